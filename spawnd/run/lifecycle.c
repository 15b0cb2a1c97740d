/* SPDX-License-Identifier: ISC */
/*
 * The pool's start, reload and stop as the outside sees them: what the process
 * that started us, the service manager and the log get, and the exit
 * status.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/alias.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "privilege/privilege.h"
#include "run/supervise.h"

#define LAST_SPARE	5	/* s, for what a stop has not ended in time */

static const struct plan *plan;
static int exit_status;
static uint64_t last = NEVER;	/* then the stop is over */
static bool waits;		/* for the pool that we have taken over */
static bool leaves;		/* another spawnd has taken over */
static bool done;		/* but for the other pool's end */
static unsigned int left;	/* processes that it has not ended */
static const char *hint;	/* why a start may have failed */
static char last_exit[ERR_SIZE];	/* of a start that fails */
static int last_status = EX_UNAVAILABLE;

/* One of those that are still there and can be looked at, or 0. */
static pid_t
first_worker(void)
{
	unsigned int i, n = pool_slots(actor_pool());

	for (i = 0; i < n; i++) {
		if (worker_pid(i) != 0 && !spawner_shares(i))
			return worker_pid(i);
	}
	return 0;
}

/*
 * Ends a stop that is over, or whose time is. Processes that are still there
 * fork faster than they were killed, or hang in the kernel: they are killed
 * once more, and then we exit.
 */
static void
end_at_last(void)
{
	if (waits && neighbour_before() != 0 && loop_now() < last)
		return;
	observe_close();	/* else there is a child that does not end */
	left = orphans_kill();
	if (left > 0)
		log_warn("stop: %u process%s could not be ended in time (%s "
		    "left behind)", left, left == 1 ? "" : "es",
		    left == 1 ? "it is" : "they are");
	loop_end();
}

/* No stop takes longer than its own time-out and some seconds. */
static void
limit_stop(bool fast)
{
	uint64_t most = fast ? POOL_FAST_STOP :
	    (uint64_t)plan->conf->stop_timeout * USEC;

	last = min64(last, loop_now() + most + LAST_SPARE * USEC);
	loop_timer(TIMER_LAST, last, end_at_last);
}

unsigned int
lifecycle_left(void)
{
	return left;
}

/* Why the start failed, behind what the workers said of it. */
static void
report_failed_start(const struct pool_notice *n)
{
	char text[OUTCOME_SIZE], slow[SLOW_SIZE];
	size_t len = 0;

	exit_status = compat_exitcode(plan->conf, EX_UNAVAILABLE);
	if (n->why != FAILED_TIME)
		exit_status = last_status;
	if (!plan->conf->foreground)	/* else the log has shown it */
		len = strlcpy(text, output_tail(), sizeof(text));
	if (n->why == FAILED_EXEC)
		strlcpy(text + len, last_exit, sizeof(text) - len);
	else if (n->why == FAILED_TIME && last_exit[0] == '\0')
		snprintf(text + len, sizeof(text) - len, "%s: no worker was "
		    "ready within %d s%s", plan->argv[0],
		    plan->conf->start_timeout,
		    report_slow(plan->conf, first_worker(), slow));
	else
		snprintf(text + len, sizeof(text) - len, "%s: no worker "
		    "became ready: the last one %s", plan->argv[0],
		    last_exit);
	if (hint != NULL)
		strlcat(text, hint, sizeof(text));
	daemonize_outcome(exit_status, text);
}

/* Before what the manager shows. */
static const char *
state_prefix(void)
{
	return pool_is_announced(actor_pool()) ? "draining: " : "";
}

/* The pool is ready, for the first time or again after a reload. */
static void
announce_ready(unsigned int ready)
{
	char line[ERR_SIZE];

	if (daemonize_starting()) {
		report_ready(plan, ready, line, sizeof(line));
		daemonize_outcome(0, line);
	}
	sdnotify_send("READY=1\nSTATUS=%s%u of %u workers ready\nMAINPID=%d",
	    state_prefix(), ready, pool_target(actor_pool()), (int)getpid());
}

/*
 * Keeps how a worker of the start ended. Returns true if that ends the start:
 * then the last line, which the caller will write, says it.
 */
static bool
note_exit(const struct pool_notice *n, const struct exec_failure *f)
{
	last_status = report_exitcode(plan->conf, f, n->status);
	if (f != NULL && pool_count(actor_pool(), SLOT_READY) == 0) {
		report_exec(plan, f, last_exit, sizeof(last_exit));
		return true;
	}
	report_end(n, last_exit, sizeof(last_exit));
	return false;
}

void
lifecycle_notice(const struct pool_notice *n)
{
	const struct exec_failure *f = NULL;
	char reason[REASON_SIZE];

	if (n->exec_failed)
		f = worker_failure(n->slot);
	switch (n->what) {
	case NOTICE_READY:
		announce_ready(n->ready);
		return;
	case NOTICE_FAILED:
		report_failed_start(n);
		limit_stop(true);
		return;
	case NOTICE_DONE:
		done = true;
		end_at_last();
		return;
	case NOTICE_EXIT:
		if (daemonize_starting() && note_exit(n, f))
			return;
		break;
	case NOTICE_NOFORK:
		snprintf(last_exit, sizeof(last_exit), "could not be started: "
		    "%s: %s", n->failed, report_reason(n, reason));
		break;
	case NOTICE_RELOADED:
	case NOTICE_RELOAD_FAILED:
		announce_ready(pool_count(actor_pool(), SLOT_READY));
		break;
	default:
		break;
	}
	report_notice(plan, n, f);
}

void
lifecycle_send_state(void)
{
	sdnotify_send("STATUS=%s%u of %u workers ready", state_prefix(),
	    pool_count(actor_pool(), SLOT_READY), pool_target(actor_pool()));
}

void
lifecycle_changed(void)
{
	static unsigned int said;
	static uint64_t said_at;
	unsigned int ready = pool_count(actor_pool(), SLOT_READY);
	uint64_t now = loop_now();

	if (!sdnotify_wanted() || ready == said || actor_stops() ||
	    daemonize_starting())
		return;
	if (now - said_at < USEC) {
		loop_timer(TIMER_STATUS, said_at + USEC, lifecycle_changed);
		return;
	}
	said = ready;
	said_at = now;
	lifecycle_send_state();
}

void
lifecycle_reload(void)
{
	const struct pool_event ev = { .what = EV_RELOAD };

	if (actor_stops())
		return;
	log_info("reload: begun");
	sdnotify_send("RELOADING=1\nSTATUS=reloading\nMONOTONIC_USEC=%llu",
	    (unsigned long long)loop_now());
	actor_event(&ev);
}

/* The manager's own deadline must not be shorter than ours. */
static unsigned long long
stop_time(void)
{
	return ((unsigned long long)plan->conf->stop_timeout + 10) * USEC;
}

void
lifecycle_send_stop(void)
{
	sdnotify_send("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%llu",
	    stop_time());
}

void
lifecycle_ask_time(uint64_t delay)
{
	sdnotify_send("EXTEND_TIMEOUT_USEC=%llu", delay + stop_time());
}

void
lifecycle_stop(bool fast)
{
	const struct pool_event ev = { .what = fast ? EV_STOP_FAST : EV_STOP };
	bool begun = leaves && !fast;

	/* Whoever stops all of a service means it to lose nothing. */
	leaves = false;
	if (begun)
		return;
	if (daemonize_starting()) {
		exit_status = compat_exitcode(plan->conf, EX_UNAVAILABLE);
		daemonize_outcome(exit_status, "stopped before it was ready");
	}
	lifecycle_send_stop();
	limit_stop(fast);
	orphans_find_all();
	actor_event(&ev);
}

void
lifecycle_explain(const char *text)
{
	hint = text;
}

void
lifecycle_leave(void)
{
	const struct pool_event shared = { .what = EV_SHARED, .shared = true };
	const struct pool_event stop = { .what = EV_STOP };

	leaves = true;
	limit_stop(false);
	orphans_find_all();
	actor_event(&shared);
	actor_event(&stop);
}

void
lifecycle_fail(int status, const char *why)
{
	const struct pool_event stop = { .what = EV_STOP };

	exit_status = compat_exitcode(plan->conf, status);
	if (daemonize_starting())
		daemonize_outcome(exit_status, why);
	limit_stop(false);
	orphans_find_all();
	actor_event(&stop);
}

void
lifecycle_await_other(void)
{
	const struct pool_event alone = { .what = EV_SHARED };

	waits = true;
	actor_event(&alone);
}

void
lifecycle_alone(void)
{
	actor_alone();
	if (done)
		end_at_last();
}

void
lifecycle_restart(const char *why)
{
	const struct pool_event ev = { .what = EV_STOP_FAST };

	exit_status = compat_exitcode(plan->conf, EX_OSERR);
	log_warn("%s (exiting with status %d so that the service manager "
	    "restarts spawnd)", why, exit_status);
	if (daemonize_starting())
		daemonize_outcome(exit_status, why);
	limit_stop(true);
	actor_event(&ev);
}

int
lifecycle_run(const struct plan *p)
{
	plan = p;
	loop_unblock_signals();
	actor_act();
	if (loop_run() == -1) {
		log_warn("loop: failed: %s", strerror(errno));
		exit_status = compat_exitcode(plan->conf, EX_OSERR);
	}
	observe_close();
	return exit_status;
}
