/* SPDX-License-Identifier: ISC */
/*
 * We take over from a spawnd that runs: our side; for the language see
 * takeover.c. Who has what, at each step, and what happens if one dies:
 *
 *	asked	It has all. What we are is compared with what it is, and each
 *		reason for a refusal is found here, before anything is done.
 *	taken	We have the listen socket, the control sockets and the locks,
 *		too; then we drop our rights, and our workers serve beside its
 *		own. If we die, or our start fails, it goes on. If it dies, we
 *		go on alone: its pipe tells us.
 *	commit	Our pool is ready. It accepts no client of its control sockets
 *		any more, and has named us to the service manager.
 *	named	Our pid is in the files, and clients are accepted here. If we
 *		die before it is told so, it takes all back.
 *	done	It ends its workers at their requests' end. All is ours, and
 *		what rights are needed for is done by finisher.c's process.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "client/client.h"
#include "config/config.h"
#include "control/control.h"
#include "control/server.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "privilege/privilege.h"
#include "proto/proto.h"
#include "run/run.h"

#define LAST_LOOK	100	/* ms from its connection's end to that of its
				   pipe, if it has died */

/* The running pool, as it has answered. */
static struct {
	pid_t		 pid;
	int		 listener;
	bool		 inherited;
	bool		 polls;
	bool		 managed;
	char		*cgroup;
	char		*refuses;
	struct facts	 facts;
} old = { .listener = -1 };

static const struct plan *plan;
static struct conn conn = { .fd = -1, .at = -1 };
static struct loop_watch *watch;	/* of the connection */
static int life = -1;			/* of the pool */
static bool died;			/* before it was done */
static bool done;
static struct pool_notice ready;

static bool
is_yes(const struct proto_record *r, const char *key)
{
	const char *s = proto_get(r, key);

	return s != NULL && strcmp(s, "yes") == 0;
}

/* The descriptor that a record says has come with it, or -1. */
static int
find_passed(const struct proto_record *r, const char *key)
{
	double n;

	if (!proto_get_number(r, key, &n) || n < 0 || n >= conn.npassed)
		return -1;
	return conn.passed[(int)n];
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
	old.listener = find_passed(r, "listener");
	old.inherited = is_yes(r, "inherited");
	old.polls = is_yes(r, "polls");
	old.managed = is_yes(r, "managed");
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
	    .value = copy(r, "value"), .hidden = is_yes(r, "hidden") };
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

	if (conn_ask(&conn, "status", &a, e) == 0) {
		r = reply_find(&a, "pool");
		err_set(e, EX_UNAVAILABLE, "its spawnd, version %s, pid %s, does "
		    "not know how to be taken over from (stop it and start it: "
		    "the next one does)",
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

	conn.npassed = 0;
	if (conn_send(&conn, "plan", -1, e) == -1)
		return -1;
	while ((more = conn_next(&conn, false, &r, e)) == 1) {
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
	uid_t uid;
	gid_t gid;

	if (getpeereid(conn.fd, &uid, &gid) == -1 || uid != geteuid())
		return err_set(e, EX_NOPERM, "it was started by another user, uid "
		    "%u (start spawnd as that one)", uid);
	return 0;
}

/* Says of whom an error is, and that it was to be taken over. */
static int
blame(const char *name, struct err *e)
{
	char why[ERR_SIZE];

	strlcpy(why, e->text, sizeof(why));
	return err_set(e, e->status, "--replace: %s: %s", name, why);
}

int
successor_ask(const struct conf *c, struct err *e)
{
	char name[NAME_SIZE], *place, *dir = NULL;
	bool own;
	int r;

	plan_name(c, name);
	if ((place = plan_control_place(c, &own)) == NULL)
		return err_set(e, EX_USAGE, "--replace: %s: where its control "
		    "socket is is not known: XDG_RUNTIME_DIR is not set "
		    "(--control names the place)", name);
	if (own)
		dir = strdup(place);
	else if (asprintf(&dir, "%s/%s", place, name) == -1)
		dir = NULL;
	free(place);
	if (dir == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	r = conn_open(&conn, dir, false, e);
	free(dir);
	if (r == -1 && e->status == EX_UNAVAILABLE)
		return err_set(e, EX_UNAVAILABLE, "--replace: %s: no pool of "
		    "this name runs (start it without --replace)", name);
	if (r == -1)
		return blame(name, e);
	if (check_owner(e) == -1 || ask_plan(e) == -1)
		return blame(name, e);
	if (old.listener == -1)
		return err_set(e, EX_PROTOCOL, "--replace: %s: the pool has "
		    "not passed its listen socket", name);
	return 0;
}

int
successor_inherited(const struct conf *c)
{
	return old.inherited && c->socket == NULL && c->port == 0 ?
	    old.listener : -1;
}

static const char *
find_fact(const struct facts *f, const char *key)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		if (strcmp(f->list[i].key, key) == 0)
			return f->list[i].value;
	}
	return NULL;
}

/* Is the other one a service of a manager, and are we in it? */
static int
check_manager(const struct plan *p, struct err *e)
{
	char *own;
	bool same;

	if (!old.managed)
		return 0;
	own = self_cgroup();
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

int
successor_check(struct plan *p, struct err *e)
{
	const char *socket = find_fact(&old.facts, "socket");

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
	if (socket == NULL || p->socket_name == NULL ||
	    strcmp(socket, p->socket_name) != 0)
		return err_set(e, EX_CONFIG, "--replace: %s: it listens on %s, "
		    "not on %s (to change that stop the pool and start it)",
		    p->name, socket != NULL ? socket : "?",
		    p->socket_name != NULL ? p->socket_name : "?");
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

static const struct fact *
find_entry(const struct facts *f, const char *key)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		if (strcmp(f->list[i].key, key) == 0)
			return &f->list[i];
	}
	return NULL;
}

/* Those of a that b has not, or has otherwise; of both only once. */
static bool
compare(const struct facts *a, const struct facts *b, bool forward,
    bool print)
{
	const struct fact *x, *y;
	bool differs = false;
	size_t i;

	for (i = 0; i < a->n; i++) {
		x = &a->list[i];
		y = find_entry(b, x->key);
		if (y != NULL && (!forward || strcmp(x->value, y->value) == 0))
			continue;
		differs = true;
		if (print)
			print_change(x->key, forward ? x : y, forward ? y : x);
	}
	return differs;
}

bool
successor_differs(const struct plan *p, bool print)
{
	struct facts own;
	bool differs;

	if (plan_describe(p, &own) == -1)
		return true;
	differs = compare(&old.facts, &own, true, print);
	differs = compare(&own, &old.facts, false, print) || differs;
	facts_free(&own);
	return differs;
}

int
successor_reload(struct err *e)
{
	struct proto_record r;
	int more;

	if (conn_send(&conn, "reload", -1, e) == -1)
		return -1;
	while ((more = conn_next(&conn, true, &r, e)) == 1)
		continue;
	return more;
}

/* The listen socket of the answer is known; what came with it is not. */
static void
take_passed(const struct proto_record *r)
{
	double usec;
	int manager = find_passed(r, "manager");

	control_take(find_passed(r, "control"), find_passed(r, "status"),
	    find_passed(r, "lock"));
	life = find_passed(r, "life");
	pidfile_take(find_passed(r, "pidfile"));
	if (!proto_get_number(r, "watchdog", &usec) || usec < 0)
		usec = 0;
	if (manager != -1)
		sdnotify_take(manager, (uint64_t)usec);
}

int
successor_take(const char *name, struct err *e)
{
	struct proto_record r;
	int fds[2], more;

	conn.npassed = 0;
	if (conn_send(&conn, "takeover 1", -1, e) == -1)
		return blame(name, e);
	while ((more = conn_next(&conn, false, &r, e)) == 1) {
		if (strcmp(r.kind, "passed") == 0)
			take_passed(&r);
	}
	conn.npassed = -1;
	/* No directory outside is to be open in the jail. */
	close(conn.at);
	conn.at = -1;
	if (more == -1)
		return blame(name, e);
	control_sockets(fds);
	if (life == -1 || fds[0] == -1 || fds[1] == -1)
		return err_set(e, EX_PROTOCOL, "--replace: the pool has not "
		    "passed all that is to be taken over");
	return 0;
}

/* The connection has ended, with that error: is it because it has died? */
static bool
has_died(const struct err *e)
{
	struct pollfd p = { .fd = life, .events = POLLIN };

	/* One that stops, or refuses, says so before. */
	if (e->status != EX_UNAVAILABLE)
		return false;
	return died || (life != -1 && poll(&p, 1, LAST_LOOK) == 1 &&
	    (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0);
}

static void
close_connection(void)
{
	if (watch != NULL)
		loop_unwatch(watch);
	watch = NULL;
	conn_close(&conn);
	conn.fd = -1;
}

static void
give_up(int status, const char *why)
{
	char text[ERR_SIZE];

	close_connection();
	snprintf(text, sizeof(text), "--replace: %s: %s", plan->name, why);
	lifecycle_fail(status, text);
}

/* Its connection has ended. If it lives it does not want us. */
static void
on_connection(void *arg)
{
	struct proto_record r;
	struct err e;

	(void)arg;
	loop_pause(watch);
	while (conn_next(&conn, false, &r, &e) != -1)
		continue;
	if (!has_died(&e) && !actor_stops())
		give_up(e.status, e.text);
}

static void
on_gone(void)
{
	life = -1;
	if (done)
		log_info("take-over: pid %d, which served before, has ended",
		    (int)old.pid);
	else
		log_warn("take-over: pid %d, which served before, has died: "
		    "its pool is ours all the same", (int)old.pid);
	died = true;
	lifecycle_alone();
}

/*
 * O_NONBLOCK is one flag for both pools, and is left as those before need it.
 */
#define POLLS	" (the pool that runs polls its listen socket, which is " \
    "non-blocking for that: a program that waits in accept(2) cannot start " \
    "beside it; stop the pool and start it)"

int
successor_start(const struct plan *p, struct err *e)
{
	if (old.polls)
		lifecycle_explain(POLLS);
	plan = p;
	if (neighbour_watch(life, on_gone, e) == -1)
		return -1;
	watch = loop_watch(conn.fd, on_connection, NULL);
	return watch == NULL ? err_set(e, EX_OSERR, "loop: out of memory") :
	    0;
}

static int
ask_other(const char *command, struct err *e)
{
	struct proto_record r;
	int more;

	if (conn.fd == -1)
		return err_set(e, EX_UNAVAILABLE, "the pool has ended");
	if (conn_send(&conn, command, -1, e) == -1)
		return -1;
	while ((more = conn_next(&conn, false, &r, e)) == 1)
		continue;
	return more;
}

/* All is ours. */
static void
complete(void)
{
	done = true;
	close_connection();
	sdnotify_is_main(true);
	finisher_finish();
	listen_settle(plan);
	lifecycle_await_other();
	lifecycle_notice(&ready);
}

static void
on_ready(void)
{
	char command[40];
	struct err e;

	if (actor_stops())
		return;
	if (watch != NULL)
		loop_pause(watch);
	snprintf(command, sizeof(command), "commit %d", (int)getpid());
	if (ask_other(command, &e) == -1 && !has_died(&e)) {
		give_up(e.status, e.text);
		return;
	}
	pidfile_name();
	if (control_own(&e) == -1 ||
	    (ask_other("done", &e) == -1 && !has_died(&e))) {
		control_disown();
		give_up(e.status, e.text);
		return;
	}
	complete();
}

bool
successor_is_done(void)
{
	return done;
}

void
successor_ready(const struct pool_notice *n)
{
	ready = *n;
	loop_timer(TIMER_TAKEOVER, loop_now(), on_ready);
}
