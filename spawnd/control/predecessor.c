/* SPDX-License-Identifier: ISC */
/*
 * The pool that we are to take over from: what it says it is, before anything
 * is done. Can we take over, and what would that change?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "client/client.h"
#include "config/config.h"
#include "config/describe.h"
#include "control/control.h"
#include "control/predecessor.h"
#include "privilege/privilege.h"
#include "proto/proto.h"

static struct predecessor old = { .listener = -1,
    .conn = { .fd = -1, .at = -1 } };

struct predecessor *
predecessor_get(void)
{
	return &old;
}

bool
predecessor_says(const struct proto_record *r, const char *key)
{
	const char *s = proto_get(r, key);

	return s != NULL && strcmp(s, "yes") == 0;
}

int
predecessor_passed(const struct proto_record *r, const char *key)
{
	double n;

	if (!proto_get_number(r, key, &n) || n < 0 || n >= old.conn.npassed)
		return -1;
	return old.conn.passed[(int)n];
}

static char *
copy(const struct proto_record *r, const char *key)
{
	const char *s = proto_get(r, key);

	return s != NULL ? strdup(s) : NULL;
}

static void
take_self(const struct proto_record *r)
{
	double n;

	old.pid = proto_get_number(r, "pid", &n) ? (pid_t)n : 0;
	old.listener = predecessor_passed(r, "listener");
	old.inherited = predecessor_says(r, "inherited");
	old.polls = predecessor_says(r, "polls");
	old.managed = predecessor_says(r, "managed");
	old.cgroup = copy(r, "cgroup");
	old.refuses = copy(r, "refuses");
}

static int
take_fact(const struct proto_record *r, struct err *e)
{
	struct fact *list;

	list = old.facts.n >= REPLY_RECORDS ? NULL : reallocarray(
	    old.facts.list, old.facts.n + 1, sizeof(*list));
	if (list == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	old.facts.list = list;
	list += old.facts.n++;
	*list = (struct fact){ .key = copy(r, "key"),
	    .value = copy(r, "value"),
	    .hidden = predecessor_says(r, "hidden") };
	if (list->value == NULL)
		list->value = strdup("");
	return list->key == NULL || list->value == NULL ? err_set(e,
	    EX_PROTOCOL, "the answer is not in spawnd's protocol") : 0;
}

/* It does not know the command: which version is it? */
static int
find_too_old(struct err *e)
{
	struct reply a = { NULL, 0 };
	char version[64], pid[64];
	const struct proto_record *r;

	if (conn_ask(&old.conn, "status", &a, e) == 0) {
		r = reply_find(&a, "pool");
		err_set(e, EX_UNAVAILABLE, "its spawnd, version %s, pid %s, "
		    "does not know how to be taken over from (stop it and "
		    "start it: the next one does)",
		    reply_cut(r, "version", version, sizeof(version)),
		    reply_cut(r, "pid", pid, sizeof(pid)));
	}
	reply_free(&a);
	return -1;
}

static int
ask_plan(struct err *e)
{
	struct proto_record r;
	int more;

	old.conn.npassed = 0;
	if (conn_send(&old.conn, "plan", -1, e) == -1)
		return -1;
	while ((more = conn_next(&old.conn, false, &r, e)) == 1) {
		if (strcmp(r.kind, "self") == 0)
			take_self(&r);
		else if (strcmp(r.kind, "fact") == 0 && take_fact(&r, e) == -1)
			return -1;
	}
	if (more == -1 && e->status == EX_USAGE)
		return find_too_old(e);
	return more;
}

/* The pool must be ours: else it would change its owner with us. */
static int
check_owner(struct err *e)
{
	uid_t uid = (uid_t)-1;
	gid_t gid;

	if (getpeereid(old.conn.fd, &uid, &gid) == -1 || uid != geteuid())
		return err_set(e, EX_NOPERM, "it was started by another user, "
		    "uid %u (start spawnd as that one)", uid);
	return 0;
}

int
predecessor_blame(const char *name, struct err *e)
{
	char why[ERR_SIZE];

	strlcpy(why, e->text, sizeof(why));
	return err_set(e, e->status, "--replace: %s: %s", name, why);
}

/* The pool's directory, wherever its start has found a place for it. */
static char *
find_dir(struct conf *c, const char *name, struct err *e)
{
	char *dir = NULL;

	if (c->control != NULL && strcmp(c->control, "none") == 0) {
		err_set(e, EX_USAGE, "--replace: %s: with --control none there "
		    "is no socket to ask it by", name);
		return NULL;
	}
	if (c->control != NULL)
		dir = path_absolute(c->control, false);
	else if ((c->found = find_place(name, environ_get(environ_own(),
	    "XDG_RUNTIME_DIR"))) == NULL) {
		e->status = EX_UNAVAILABLE;	/* the caller says it */
		return NULL;
	} else if (asprintf(&dir, "%s/%s", c->found, name) == -1)
		dir = NULL;
	if (dir == NULL)
		err_set(e, EX_OSERR, "out of memory");
	return dir;
}

int
predecessor_ask(struct conf *c, struct err *e)
{
	char name[NAME_SIZE], *dir;
	int r;

	plan_name(c, name);
	dir = find_dir(c, name, e);
	r = dir != NULL ? conn_open(&old.conn, dir, false, e) : -1;
	free(dir);
	if (r == -1 && e->status == EX_UNAVAILABLE)
		return err_set(e, EX_UNAVAILABLE, "--replace: %s: no pool of "
		    "this name runs (start it without --replace)", name);
	if (r == -1)
		return e->status == EX_USAGE ? -1 :
		    predecessor_blame(name, e);
	if (check_owner(e) == -1 || ask_plan(e) == -1)
		return predecessor_blame(name, e);
	if (old.listener == -1)
		return err_set(e, EX_PROTOCOL, "--replace: %s: the pool has "
		    "not passed its listen socket", name);
	return 0;
}

int
predecessor_inherited(const struct conf *c)
{
	return old.inherited && c->socket == NULL && c->port == 0 ?
	    old.listener : -1;
}

/* Is the other one a service of a manager, and are we in it? */
static int
check_manager(const struct plan *p, struct err *e)
{
	char *path, *own;
	bool same;

	/* Who only wants to know may ask from elsewhere. */
	if (!old.managed || p->conf->test != TEST_NO)
		return 0;
	path = self_cgroup();
	own = path != NULL ? facts_short(path) : NULL;
	free(path);
	same = own != NULL && old.cgroup != NULL &&
	    strcmp(own, old.cgroup) == 0;
	free(own);
	if (same)
		return 0;
	return err_set(e, EX_UNAVAILABLE, "--replace: %s: it is a service in "
	    "the control group %s, and only a process in that can become its "
	    "main one (have its manager start this: systemctl reload)",
	    p->name, old.cgroup != NULL ? old.cgroup : "?");
}

/* Its address is compared as it was sent: as a digest, if it is long. */
static int
check_socket(const struct plan *p, struct err *e)
{
	const struct fact *f = facts_find(&old.facts, "socket");
	char *own = NULL;
	bool same;

	if (p->socket_name != NULL)
		own = facts_short(p->socket_name);
	same = f != NULL && own != NULL && strcmp(f->value, own) == 0;
	free(own);
	if (same)
		return 0;
	return err_set(e, EX_CONFIG, "--replace: %s: it listens on %s, not on "
	    "%s (to change that stop the pool and start it)", p->name,
	    f == NULL ? "?" : f->hidden ? "a longer path" : f->value,
	    p->socket_name != NULL ? p->socket_name : "?");
}

int
predecessor_check(struct plan *p, struct err *e)
{
	if (old.refuses != NULL)
		return err_set(e, EX_UNAVAILABLE, "--replace: %s: the pool "
		    "refuses: %s", p->name, old.refuses);
	if (check_manager(p, e) == -1)
		return -1;
	if (old.inherited && p->inherited == -1)
		return err_set(e, EX_CONFIG, "--replace: %s: its listen socket "
		    "was passed in to it (leave %s out, or stop the pool and "
		    "start it)", p->name, p->conf->port != 0 ?
		    OPT(p->conf, port) : OPT(p->conf, socket));
	if (check_socket(p, e) == -1)
		return -1;
	p->taken = old.listener;
	return listen_check(p, old.listener, e);
}

static void
print_change(const char *key, const struct fact *from, const struct fact *to)
{
	const struct fact *const ends[] = { from, to };
	size_t i;

	text_print(stdout, key, strlen(key));
	putchar(':');
	for (i = 0; i < 2; i++) {
		fputs(i == 0 ? " " : " -> ", stdout);
		if (ends[i] == NULL || ends[i]->value[0] == '\0')
			fputs("none", stdout);
		else if (ends[i]->hidden)
			fputs("(not shown)", stdout);
		else
			text_print(stdout, ends[i]->value,
			    strlen(ends[i]->value));
	}
	putchar('\n');
}

/* Those of a that b has not, or has otherwise; of both only once. */
static bool
compare_facts(const struct facts *a, const struct facts *b, bool forward,
    bool print)
{
	const struct fact *x, *y;
	bool differs = false;
	size_t i;

	for (i = 0; i < a->n; i++) {
		x = &a->list[i];
		y = facts_find(b, x->key);
		if (y != NULL && (!forward || strcmp(x->value, y->value) == 0))
			continue;
		differs = true;
		if (print)
			print_change(x->key, forward ? x : y, forward ? y : x);
	}
	return differs;
}

bool
predecessor_differs(const struct plan *p, bool print)
{
	bool *shown = env_shown(p), differs;
	struct facts own;
	int r = plan_describe(p, shown, &own);

	free(shown);
	if (r == -1)
		return true;
	differs = compare_facts(&old.facts, &own, true, print);
	differs = compare_facts(&own, &old.facts, false, print) || differs;
	facts_free(&own);
	return differs;
}

int
predecessor_reload(struct err *e)
{
	struct proto_record r;
	int more;

	if (conn_send(&old.conn, "reload", -1, e) == -1)
		return -1;
	while ((more = conn_next(&old.conn, true, &r, e)) == 1)
		continue;
	return more;
}
