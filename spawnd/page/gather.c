/* SPDX-License-Identifier: ISC */
/*
 * The pools that there are, and those that there were: asked all at once, so
 * that one which does not answer keeps the others waiting no longer than its
 * own two seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/base.h"
#include "client/client.h"
#include "page/page.h"
#include "proto/proto.h"

#define PATIENCE	2000		/* ms for all pools together */
#define QUEUE_PATIENCE	200		/* ms for a place in one's queue */
#define MEMORY		3600		/* s, of a pool that has gone */

static struct view *views;
static size_t nviews;
static bool any_named;
static struct view stranger;	/* a name that no pool has had */

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

static void
gather_send(struct view *v, const char *command, long long until)
{
	if (!v->up)
		return;
	if (conn_send(&v->conn, command, -1, &v->err) == -1)
		gather_fail(v);
	else
		v->conn.until = until;
}

static void
gather_open(struct view *v, const char *command, long long until)
{
	v->up = false;
	if (v->dir == NULL)
		err_set(&v->err, EX_UNAVAILABLE, "no pool of this name runs "
		    "here, or none that may be read");
	else if (conn_clock() >= until)
		err_set(&v->err, EX_TEMPFAIL, "not asked: others took all of "
		    "the time");
	else if (conn_open(&v->conn, v->dir, true, &v->err) == 0) {
		v->up = true;
		gather_send(v, command, until);
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

/* Reads an answer, and sends the next command (NULL: there is none). */
static void
gather_read(struct view *v, struct reply *to, const char *next,
    long long until)
{
	struct proto_record r;
	int more = 1;

	while (v->up && more == 1) {
		more = conn_next(&v->conn, false, &r, &v->err);
		if (more == 1) {
			rename_pool(v, &r);
			more = reply_add(to, &r, &v->err) == -1 ? -1 : 1;
		}
		if (more == -1)
			gather_fail(v);
	}
	if (next != NULL)
		gather_send(v, next, until);
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

static void
ask_all(struct view *list, size_t n, enum page_what what, bool trace)
{
	const char *history = what == PAGE_PEOPLE || what == PAGE_JSON ?
	    "history" : NULL;
	long long until = conn_clock() + PATIENCE;
	size_t i;

	for (i = 0; i < n; i++) {
		reply_free(&list[i].status);
		reply_free(&list[i].trace);
		gather_open(&list[i], what == PAGE_PING ? "ping" : "status",
		    until);
	}
	for (i = 0; i < n; i++)
		gather_read(&list[i], &list[i].status, history, until);
	for (i = 0; history != NULL && i < n; i++)
		gather_read(&list[i], &list[i].status, trace ? "trace" : NULL,
		    until);
	for (i = 0; trace && i < n; i++)
		gather_read(&list[i], &list[i].trace, NULL, until);
	for (i = 0; i < n; i++)
		gather_finish(&list[i], time(NULL));
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

	conn_patience(QUEUE_PATIENCE);
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
	ask_all(list, *n, r->what, r->what == PAGE_PEOPLE && *n == 1);
	return list;
}

void
gather_free(void)
{
	while (nviews > 0)
		view_free(&views[--nviews]);
	view_free(&stranger);
	free(views);
	views = NULL;
	any_named = false;
}
