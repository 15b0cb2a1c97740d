/* SPDX-License-Identifier: ISC */
/*
 * The pools that there are, and those that there were. All are asked at once,
 * and the answers are read as they come: one that stays out costs no other its
 * place on the page, and the page no more than its two seconds.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/base.h"
#include "client/client.h"
#include "page/page.h"
#include "proto/proto.h"

#define PATIENCE	2000		/* ms until all pools have answered */
#define ANSWER_PATIENCE	500		/* ms for a pool to take its question */
#define MEMORY		3600		/* s, of a pool that has gone */

static struct view *views;
static size_t nviews;
static bool any_named;
/* A name that no pool has had. */
static struct view stranger = { .conn = { .fd = -1 } };

static struct view *
gather_find(const char *name)
{
	size_t i;

	for (i = 0; i < nviews; i++) {
		if (strcmp(views[i].name, name) == 0)
			return &views[i];
	}
	return NULL;
}

static void
view_free(struct view *v)
{
	reply_free(&v->status);
	reply_free(&v->trace);
	free(v->name);
	free(v->dir);
	*v = (struct view){ .conn = { .fd = -1 } };
}

/* Returns a new one, or NULL: there is no memory, or there are too many. */
static struct view *
gather_add(const char *name, size_t len)
{
	struct view *list, *v;

	if (nviews >= POOLS_MAX ||
	    (list = reallocarray(views, nviews + 1, sizeof(*list))) == NULL)
		return NULL;
	views = list;
	v = &views[nviews];
	*v = (struct view){ .name = strndup(name, len), .conn = { .fd = -1 } };
	if (v->name == NULL)
		return NULL;
	nviews++;
	return v;
}

int
gather_name(const char *word, struct err *e)
{
	const char *path = strchr(word, '/'), *name = word, *slash;
	size_t len = strlen(word);
	struct view *v;

	if (path != NULL && path > word && path[-1] == '=') {
		len = (size_t)(path - word) - 1;
	} else if (path != NULL) {
		path = word;
		while (len > 1 && word[len - 1] == '/')
			len--;
		for (slash = word; slash < word + len; slash++)
			name = *slash == '/' ? slash + 1 : name;
		len -= (size_t)(name - word);
	}
	if (!request_is_name(name, len))
		return err_set(e, EX_USAGE, "%s: not a name (1 to %d of A-Z "
		    "a-z 0-9 . _ -; NAME=PATH gives one)", word,
		    NAME_SIZE - 1);
	if ((v = gather_add(name, len)) == NULL || (path != NULL &&
	    (v->dir = strdup(path)) == NULL))
		return err_set(e, EX_OSERR, "out of memory");
	if (gather_find(v->name) != v)
		return err_set(e, EX_USAGE, "%s: a second pool of this name "
		    "(NAME=PATH gives another)", word);
	v->named = any_named = true;
	v->fixed = path != NULL;
	return 0;
}

static void
set_dir(struct view *v, const char *dir)
{
	char *copy = strdup(dir);

	if (copy == NULL)
		return;
	free(v->dir);
	v->dir = copy;
}

/* Where does the pool of that name run? */
static void
gather_locate(struct view *v)
{
	struct pools p;
	struct err e;

	if (v->fixed)
		return;
	if (pools_find(v->name, &p, &e) == 0 && p.n > 0)
		set_dir(v, p.list[0].dir);
	pools_free(&p);
}

/* The pools that run, and those that did. */
static int
look_around(size_t *denied, struct err *e)
{
	struct view *v;
	struct pools p;
	size_t i;

	for (i = 0; i < nviews; i++)
		views[i].found = false;
	if (pools_find(NULL, &p, e) == -1) {
		pools_free(&p);
		return -1;
	}
	*denied = p.denied;
	for (i = 0; i < p.n; i++) {
		const char *name = p.list[i].name;

		if (!request_is_name(name, strlen(name)))
			continue;
		v = gather_find(name);
		/* Of two of one name our own is the first. */
		if ((v == NULL && (v = gather_add(name, strlen(name))) ==
		    NULL) || v->found)
			continue;
		v->found = true;
		set_dir(v, p.list[i].dir);
	}
	pools_free(&p);
	return 0;
}

static void
forget_old(time_t now)
{
	size_t i = 0;

	while (i < nviews) {
		if (views[i].named || views[i].found ||
		    now - views[i].seen < MEMORY) {
			i++;
			continue;
		}
		view_free(&views[i]);
		memmove(&views[i], &views[i + 1], (nviews - i - 1) *
		    sizeof(*views));
		nviews--;
	}
}

static int
compare_views(const void *a, const void *b)
{
	const struct view *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void
gather_fail(struct view *v)
{
	conn_close(&v->conn);
	reply_free(&v->status);
	reply_free(&v->trace);
	v->up = false;
}

/* Sends the next of its commands; without one it has answered all. */
static void
gather_send(struct view *v, const char *const *commands)
{
	if (v->up && commands[v->answers] != NULL &&
	    conn_send(&v->conn, commands[v->answers], -1, &v->err) == -1)
		gather_fail(v);
}

static void
gather_open(struct view *v, const char *const *commands)
{
	v->up = false;
	v->answers = 0;
	if (v->dir == NULL)
		err_set(&v->err, EX_UNAVAILABLE, "no pool of this name runs "
		    "here, or none that may be read");
	else if (conn_open(&v->conn, v->dir, true, &v->err) == 0) {
		v->up = true;
		gather_send(v, commands);
	}
}

/* A pool has the name that we know it by, whatever it says. */
static void
rename_pool(const struct view *v, struct proto_record *r)
{
	int i;

	for (i = 0; strcmp(r->kind, "pool") == 0 && i < r->n; i++) {
		if (strcmp(r->fields[i].key, "name") == 0)
			r->fields[i].value = v->name;
	}
}

/* Reads what has come of an answer. After its end, it asks for the next. */
static void
gather_read(struct view *v, const char *const *commands)
{
	struct reply *to = strcmp(commands[v->answers], "trace") == 0 ?
	    &v->trace : &v->status;
	struct proto_record r;
	int more = 1;

	v->conn.until = 0;
	while (more == 1) {
		more = conn_next(&v->conn, false, &r, &v->err);
		if (more != 1)
			break;
		rename_pool(v, &r);
		if (reply_add(to, &r, &v->err) == -1)
			more = -1;
	}
	if (more == -1 && conn_lacks_more(&v->conn))
		return;
	if (more == -1) {
		gather_fail(v);
		return;
	}
	v->answers++;
	gather_send(v, commands);
}

/* Does it still have to answer? A poll() leaves a descriptor of -1 out. */
static bool
is_asked(const struct view *v, const char *const *commands)
{
	return v->up && commands[v->answers] != NULL;
}

/*
 * Waits for whichever of them answers next. Returns false when all have, or
 * the time is over.
 */
static bool
gather_next(struct view *list, struct pollfd *fds, size_t n,
    const char *const *commands, long long until)
{
	long long left = until - conn_clock();
	size_t i, asked = 0;

	for (i = 0; i < n; i++) {
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
		if (is_asked(&list[i], commands)) {
			fds[i].fd = list[i].conn.fd;
			asked++;
		}
	}
	if (asked == 0 || left <= 0 || (poll(fds, (nfds_t)n, (int)left) ==
	    -1 && errno != EINTR))
		return false;
	for (i = 0; i < n; i++) {
		if (fds[i].fd != -1 && fds[i].revents != 0)
			gather_read(&list[i], commands);
	}
	return true;
}

/* What is written of a pool that has not answered: that it has not. */
static void
gather_finish(struct view *v, time_t now)
{
	char seen[24];
	struct proto_field fields[] = { { "name", v->name }, { "state",
	    v->err.status == EX_UNAVAILABLE ? "gone" : "silent" },
	    { "seen", seen } };
	struct proto_record r = { "pool", v->seen != 0 ? 3 : 2, fields };
	struct err e;

	conn_close(&v->conn);
	snprintf(seen, sizeof(seen), "%lld", (long long)v->seen);
	if (v->up)
		v->seen = now;
	else
		reply_add(&v->status, &r, &e);
}

static const char *const *
choose_commands(enum page_what what, bool trace)
{
	static const char *const ping[] = { "ping", NULL };
	static const char *const most[] = { "status", "history", "trace",
	    NULL };
	static const char *const some[] = { "status", "history", NULL };
	static const char *const one[] = { "status", NULL };

	if (what == PAGE_PING)
		return ping;
	if (trace)
		return most;
	return what == PAGE_PEOPLE || what == PAGE_JSON ? some : one;
}

static int
ask_all(struct view *list, size_t n, enum page_what what, struct err *e)
{
	const char *const *commands = choose_commands(what, what ==
	    PAGE_PEOPLE && n == 1);
	struct pollfd *fds = calloc(n + 1, sizeof(*fds));
	long long until = conn_clock() + PATIENCE;
	size_t i;

	if (fds == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	for (i = 0; i < n; i++) {
		reply_free(&list[i].status);
		reply_free(&list[i].trace);
		gather_open(&list[i], commands);
	}
	while (gather_next(list, fds, n, commands, until))
		continue;
	free(fds);
	for (i = 0; i < n; i++) {
		if (is_asked(&list[i], commands)) {
			err_set(&list[i].err, EX_TEMPFAIL, "no answer in "
			    "time");
			gather_fail(&list[i]);
		}
		gather_finish(&list[i], time(NULL));
	}
	return 0;
}

/* The one of that name; where the command line has names, one of those. */
static struct view *
gather_one(const char *name)
{
	struct view *v = gather_find(name);

	if (v == NULL) {
		view_free(&stranger);
		if ((stranger.name = strdup(name)) == NULL)
			return NULL;
		v = &stranger;
		if (!any_named)
			gather_locate(v);
		/* What is there is remembered; the rest could be any. */
		if (v->dir != NULL && (v = gather_add(name, strlen(name))) !=
		    NULL) {
			v->dir = stranger.dir;
			stranger.dir = NULL;
		} else
			v = &stranger;
	} else
		gather_locate(v);
	return v;
}

struct view *
gather_pools(const struct request *r, size_t *n, size_t *denied,
    struct err *e)
{
	struct view *list;
	size_t i;

	conn_hurry(ANSWER_PATIENCE);
	conn_queue_never();
	*denied = 0;
	if (r->pool[0] != '\0') {
		if ((list = gather_one(r->pool)) == NULL) {
			err_set(e, EX_OSERR, "out of memory");
			return NULL;
		}
		*n = 1;
	} else {
		for (i = 0; any_named && i < nviews; i++)
			gather_locate(&views[i]);
		if (!any_named && look_around(denied, e) == -1)
			return NULL;
		forget_old(time(NULL));
		if (nviews > 1 && !any_named)
			qsort(views, nviews, sizeof(*views), compare_views);
		list = nviews > 0 ? views : &stranger;
		*n = nviews;
	}
	return ask_all(list, *n, r->what, e) == -1 ? NULL : list;
}
