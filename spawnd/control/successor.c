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
 *		go on alone: its pipe shows it.
 *	commit	Our pool is ready. It accepts no client of its control sockets
 *		any more, and has named us to the service manager.
 *	named	Our pid is in the files, and clients are accepted here. If we
 *		die before it knows, it takes all back.
 *	done	It ends its workers when their requests are done. All is ours,
 *		and finisher.c's process does what rights are needed for.
 */
#include <sys/socket.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "client/client.h"
#include "config/config.h"
#include "control/control.h"
#include "control/predecessor.h"
#include "control/server.h"
#include "pool/pool.h"
#include "privilege/privilege.h"
#include "proto/proto.h"
#include "run/run.h"

#define LAST_LOOK	100	/* ms from its connection's end to that of its
				   pipe, if it has died */

static struct predecessor *old;
static const struct plan *plan;
static struct loop_watch *watch;	/* of the connection */
static int life = -1;			/* of the pool */
static bool died;			/* before it was done */
static bool done;
static struct pool_notice ready;

/* The listen socket of the answer is known; what came with it is not. */
static void
take_passed(const struct proto_record *r)
{
	double usec;
	int manager = predecessor_passed(r, "manager");

	control_borrow();
	rundir_take(predecessor_passed(r, "control"),
	    predecessor_passed(r, "status"), predecessor_passed(r, "lock"),
	    predecessor_says(r, "made"));
	life = predecessor_passed(r, "life");
	pidfile_take(predecessor_passed(r, "pidfile"));
	socketfile_take_named(predecessor_passed(r, "named"));
	if (!proto_get_number(r, "watchdog", &usec) || usec < 0)
		usec = 0;
	if (manager != -1)
		sdnotify_take(manager, (uint64_t)usec);
}

int
successor_take(const struct plan *p, struct err *e)
{
	struct proto_record r;
	char command[40];
	int fds[2], more;

	old = predecessor_get();
	old->conn.npassed = 0;
	snprintf(command, sizeof(command), "takeover " TAKEOVER_VERSION
	    " %d %d", p->conf->start_timeout + START_SPARE, (int)getpid());
	if (conn_send(&old->conn, command, -1, e) == -1)
		return predecessor_blame(p->name, e);
	while ((more = conn_next(&old->conn, false, &r, e)) == 1) {
		if (strcmp(r.kind, "passed") == 0)
			take_passed(&r);
	}
	old->conn.npassed = -1;
	/* No directory outside is to be open in the jail. */
	close(old->conn.at);
	old->conn.at = -1;
	if (more == -1)
		return predecessor_blame(p->name, e);
	rundir_sockets(fds);
	if (old->pid <= 0 || life == -1 || fds[0] == -1 || fds[1] == -1)
		return err_set(e, EX_PROTOCOL, "--replace: the pool has not "
		    "passed all that is to be taken over");
	return 0;
}

/* The connection has ended, with that error: is it because it has died? */
static bool
is_dead(const struct err *e)
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
	/* Whatever process has a copy of it, for however short a time. */
	if (old->conn.fd != -1)
		shutdown(old->conn.fd, SHUT_RDWR);
	conn_close(&old->conn);
	old->conn.fd = -1;
}

static void
give_up(struct err *e)
{
	close_connection();
	predecessor_blame(plan->name, e);
	lifecycle_fail(e->status, e->text);
}

/* Its connection has ended. If it lives it does not want us. */
static void
on_closed(void *arg)
{
	struct proto_record r;
	struct err e;

	(void)arg;
	loop_pause(watch);
	/* What it has to say is an answer that nobody has asked for. */
	old->conn.greeted = false;
	while (conn_next(&old->conn, false, &r, &e) != -1)
		continue;
	if (!is_dead(&e) && !actor_stops())
		give_up(&e);
}

static void
on_gone(void)
{
	life = -1;
	if (done)
		log_info("take-over: pid %d, which served before, has ended",
		    (int)old->pid);
	else
		log_warn("take-over: pid %d, which served before, has died: "
		    "this spawnd keeps its pool", (int)old->pid);
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
	if (old->polls)
		lifecycle_explain(POLLS);
	plan = p;
	if (neighbour_watch(old->pid, life, on_gone, e) == -1)
		return -1;
	watch = loop_watch(old->conn.fd, on_closed, NULL);
	return watch == NULL ? err_set(e, EX_OSERR, "loop: out of memory") :
	    0;
}

static int
ask_other(const char *command, struct err *e)
{
	struct proto_record r;
	int more;

	if (old->conn.fd == -1)
		return err_set(e, EX_UNAVAILABLE, "the pool has ended");
	if (conn_send(&old->conn, command, -1, e) == -1)
		return -1;
	while ((more = conn_next(&old->conn, false, &r, e)) == 1)
		continue;
	return more;
}

/*
 * Is it ours? If it has not answered in time it may still do so, until it
 * cannot any more: then it is decided whose the pool is, for both.
 */
static bool
ask_for_all(struct err *e)
{
	struct proto_record r;
	struct err none;
	int more;

	if (ask_other("done", e) == 0 || is_dead(e))
		return true;
	if (old->conn.fd == -1)
		return false;
	shutdown(old->conn.fd, SHUT_RDWR);
	while ((more = conn_next(&old->conn, false, &r, &none)) == 1)
		continue;
	return more == 0;
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
	signals_watch_again();
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
	if (ask_other(command, &e) == -1 && !is_dead(&e)) {
		give_up(&e);
		return;
	}
	pidfile_name();
	if (control_adopt(&e) == -1 || !ask_for_all(&e)) {
		pidfile_give_back(old->pid);
		control_disown(old->pid);
		give_up(&e);
		return;
	}
	complete();
}

void
successor_changed(void)
{
	if (watch != NULL && !done && actor_stops())
		close_connection();
}

int
successor_connection(void)
{
	return old->conn.fd;
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
