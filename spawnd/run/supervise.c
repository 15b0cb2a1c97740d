/* SPDX-License-Identifier: ISC */
/*
 * The supervisor at work: tells the pool what has happened, and carries out
 * what the pool wants done. What and when is the pool's to say.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "privilege/privilege.h"
#include "run/run.h"

static const struct plan *plan;
static struct supervise_hooks hooks;
static struct pool *pool;
static int exit_status;
static bool stopping;
static bool refuses = true;		/* they can be kept out */
static uint64_t refused_at;		/* when new connections were; 0: not */
static struct loop_watch *shutdown_watch;
static char last_exit[ERR_SIZE];	/* of a start that fails */
static int last_status = EX_UNAVAILABLE;

static void
do_spawn(unsigned int slot)
{
	struct pool_event ev = { .slot = slot, .pid = -1, .failed = "fork" };
	uint64_t mark = observe_mark();
	int output;

	listen_blocking();
	loop_block_signals();
	if ((output = output_pipe(slot, &ev.failed)) != -1)
		ev.pid = worker_spawn(slot, output);
	ev.error = errno;
	if (output != -1)
		output_start(slot, output, ev.pid);
	loop_unblock_signals();
	worker_sight(slot)->mark = mark;
	ev.what = ev.pid == -1 ? EV_NOFORK : EV_SPAWNED;
	if (ev.pid == -1)
		selfcheck_no_spawn();
	else
		traced_expect();
	pool_event(pool, &ev, loop_now());
}

static void
do_check_ready(unsigned int slot, uint64_t age)
{
	struct pool_event ev = { .what = EV_READINESS, .slot = slot };
	uint64_t now = loop_now();

	ev.readiness = observe_readiness(worker_pid(slot), age, now,
	    worker_sight(slot));
	if (worker_sight(slot)->over)
		traced_suspect(slot, false);
	pool_event(pool, &ev, now);
}

static void
do_check_activity(unsigned int slot)
{
	struct pool_event ev = { .what = EV_ACTIVITY, .slot = slot };
	uint64_t now = loop_now();

	observe_activity(worker_pid(slot), plan->conf->stop_signal,
	    (uint64_t)plan->conf->keep_idle * USEC, now, worker_sight(slot),
	    &ev.activity);
	if (worker_sight(slot)->over)
		traced_suspect(slot, false);
	pool_event(pool, &ev, now);
}

/* Why the start failed, behind what the workers said of it. */
static void
start_failed(const struct pool_notice *n)
{
	char text[OUTCOME_SIZE];
	size_t len = 0;

	exit_status = exitcode(plan->conf, EX_UNAVAILABLE);
	if (n->why != FAILED_TIME)
		exit_status = last_status;
	if (!plan->conf->foreground)	/* else the log has shown it */
		len = strlcpy(text, output_tail(), sizeof(text));
	if (n->why == FAILED_EXEC)
		strlcpy(text + len, last_exit, sizeof(text) - len);
	else if (n->why == FAILED_TIME && last_exit[0] == '\0')
		snprintf(text + len, sizeof(text) - len, "%s: no worker was "
		    "ready within %d s (--start-timeout)", plan->argv[0],
		    plan->conf->start_timeout);
	else
		snprintf(text + len, sizeof(text) - len, "%s: no worker "
		    "became ready: the last one %s", plan->argv[0],
		    last_exit);
	daemonize_outcome(exit_status, text);
}

/* The pool is ready, for the first time or again after a reload. */
static void
say_ready(unsigned int ready)
{
	char line[ERR_SIZE];

	if (daemonize_starting()) {
		report_ready(plan, ready, line, sizeof(line));
		daemonize_outcome(0, line);
	}
	sdnotify_send("READY=1\nSTATUS=%u of %u workers ready\nMAINPID=%d",
	    ready, pool_target(pool), (int)getpid());
}

static void
do_notice(const struct pool_notice *n)
{
	const struct exec_failure *f = NULL;

	if (n->exec_failed)
		f = worker_failure(n->slot);
	hooks.notice(n);
	switch (n->what) {
	case NOTICE_READY:
		say_ready(n->ready);
		adapt_start();
		return;
	case NOTICE_FAILED:
		start_failed(n);
		return;
	case NOTICE_DONE:
		loop_end();
		return;
	case NOTICE_EXIT:
		if (!daemonize_starting())
			break;
		last_status = report_exitcode(plan->conf, f, n->status);
		if (f != NULL && pool_count(pool, SLOT_READY) == 0) {
			/* It ends the start, whose last line this will be. */
			report_exec(plan, f, last_exit, sizeof(last_exit));
			return;
		}
		signame_wait_status(n->status, last_exit, sizeof(last_exit));
		break;
	case NOTICE_NOFORK:
		snprintf(last_exit, sizeof(last_exit), "could not be started: "
		    "%s: %s", n->failed, strerror(n->error));
		break;
	case NOTICE_RELOADED:
	case NOTICE_RELOAD_FAILED:
		say_ready(pool_count(pool, SLOT_READY));
		break;
	default:
		break;
	}
	report_notice(plan, n, f);
}

/* Keeps the manager's status true, once a second at most. */
static void
say_status(void)
{
	static unsigned int said;
	static uint64_t said_at;
	unsigned int ready = pool_count(pool, SLOT_READY);
	uint64_t now = loop_now();

	if (ready == said || stopping || daemonize_starting())
		return;
	if (now - said_at < USEC) {
		loop_timer(TIMER_STATUS, said_at + USEC, say_status);
		return;
	}
	said = ready;
	said_at = now;
	sdnotify_send("STATUS=%u of %u workers ready", ready,
	    pool_target(pool));
}

static void
do_measure(unsigned int slot)
{
	struct pool_event ev = { .what = EV_MEASURED, .slot = slot,
	    .size = observe_size(worker_pid(slot)) };

	pool_event(pool, &ev, loop_now());
}

static void
do_check_canary(unsigned int slot)
{
	struct pool_event ev = { .what = EV_CANARY, .slot = slot,
	    .activity.connection = observe_connection(worker_pid(slot)) };

	pool_event(pool, &ev, loop_now());
}

static void
do_check_request(unsigned int slot)
{
	struct pool_event ev = { .what = EV_SLOW_REQUEST, .slot = slot };
	uint64_t now = loop_now();

	observe_slow_request(worker_pid(slot),
	    (uint64_t)plan->conf->request_timeout * USEC, now, &ev.request);
	pool_event(pool, &ev, now);
}

/* Whoever shakes hands for long may be nobody: not waited for. */
static void
do_queue(void)
{
	struct pool_event ev = { .what = EV_QUEUE };
	uint64_t now = loop_now();

	observe_waiting(now - refused_at < HANDSHAKE, &ev.queue);
	ev.queue.open = !refuses;
	pool_event(pool, &ev, now);
}

static void
do_shut(void)
{
	if (shutdown_watch != NULL)
		loop_pause(shutdown_watch);
	listen_shut(plan);
}

static void
do_action(const struct pool_action *a)
{
	switch (a->what) {
	case POOL_SPAWN:
		do_spawn(a->slot);
		break;
	case POOL_CHECK_READY:
		do_check_ready(a->slot, a->age);
		break;
	case POOL_CHECK_ACTIVITY:
		do_check_activity(a->slot);
		break;
	case POOL_SIGNAL:
		worker_signal(a->slot, a->signo, a->whole);
		if (a->signo == SIGKILL)
			traced_suspect(a->slot, true);
		break;
	case POOL_ADOPT:
		worker_adopt(a->slot, a->pid);
		traced_expect();
		break;
	case POOL_CHECK_CANARY:
		do_check_canary(a->slot);
		break;
	case POOL_MEASURE_SIZE:
		do_measure(a->slot);
		break;
	case POOL_CHECK_REQUEST:
		do_check_request(a->slot);
		break;
	case POOL_SIGNAL_HOLDER:
		observe_signal_holder(worker_pid(a->slot), a->pid, a->signo);
		break;
	case POOL_REFUSE:
		refused_at = loop_now();
		refuses = listen_refuse(plan);
		break;
	case POOL_SHUT:
		do_shut();
		break;
	case POOL_QUEUE:
		do_queue();
		break;
	case POOL_NOTICE:
		do_notice(&a->notice);
		break;
	}
}

static void on_timer(void);

/* Carries out what the pool wants, then sets the time of its next deadline. */
static void
act(void)
{
	struct pool_action a;

	while (pool_next(pool, &a))
		do_action(&a);
	loop_timer(TIMER_POOL, pool_deadline(pool), on_timer);
	if (sdnotify_wanted())
		say_status();
	hooks.changed();
}

void
supervise_event(const struct pool_event *ev)
{
	pool_event(pool, ev, loop_now());
	act();
}

static void
on_timer(void)
{
	pool_tick(pool, loop_now());
	act();
}

void
supervise_stop(bool fast)
{
	struct pool_event ev = { .what = fast ? EV_STOP_FAST : EV_STOP };

	if (daemonize_starting()) {
		exit_status = exitcode(plan->conf, EX_UNAVAILABLE);
		daemonize_outcome(exit_status, "stopped before it was ready");
	}
	stopping = true;
	/* The manager's own deadline must not be shorter than ours. */
	sdnotify_send("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%llu",
	    ((unsigned long long)plan->conf->stop_timeout + 10) * USEC);
	orphans_all();
	orphans_find();
	supervise_event(&ev);
}

bool
supervise_stops(void)
{
	return stopping;
}

static void
on_child(int signo)
{
	(void)signo;
	reap_children();
}

static void
on_stop(int signo)
{
	log_info("stop: SIG%s received", signame_name(signo));
	supervise_stop(signo == SIGINT);
}

void
supervise_end(const char *why)
{
	struct pool_event ev = { .what = EV_STOP_FAST };

	log_warn("%s; spawnd ends (to be started anew)", why);
	exit_status = exitcode(plan->conf, EX_OSERR);
	if (daemonize_starting())
		daemonize_outcome(exit_status, why);
	stopping = true;
	supervise_event(&ev);
}

/* Any holder can do that, to all of them: a new start makes a new socket. */
static void
on_shut_down(void *arg)
{
	(void)arg;
	loop_pause(shutdown_watch);
	supervise_end("listen socket: has been shut down, by a worker or who "
	    "else has it");
}

void
supervise_reload(void)
{
	struct pool_event ev = { .what = EV_RELOAD };

	if (stopping)
		return;
	log_info("reload: begun");
	sdnotify_send("RELOADING=1\nSTATUS=reloading\nMONOTONIC_USEC=%llu",
	    (unsigned long long)loop_now());
	supervise_event(&ev);
}

static void
on_reload(int signo)
{
	(void)signo;
	supervise_reload();
}

static void
on_scale(int signo)
{
	adapt_step(signo == SIGTTIN ? 1 : -1);
}

static void
on_status(int signo)
{
	(void)signo;
	report_pool(pool, loop_now());
}

static void
on_reopen(int signo)
{
	struct err e;

	(void)signo;
	/* Where there is no file there is nothing to be said, either. */
	if (log_reopen(-1, &e) == -1 && e.status != EX_USAGE)
		log_warn("%s", e.text);
}

/* The loop still turns: the manager's watchdog may know. */
static void
on_watchdog(void)
{
	sdnotify_send("WATCHDOG=1");
	loop_timer(TIMER_WATCHDOG, loop_now() + sdnotify_watchdog(),
	    on_watchdog);
}

static int
make_pool(struct err *e)
{
	struct pool_conf pc = {
		.workers = (unsigned int)plan->workers,
		.max = plan->room,
		.stop_signal = plan->conf->stop_signal,
		.drains = plan->inherited == -1,
		.canary = POOL_CANARY,
		.max_age = (uint64_t)plan->conf->max_age * USEC,
		.max_rss = plan->conf->max_rss,
		.request_timeout = (uint64_t)plan->conf->request_timeout *
		    USEC,
		.start_timeout = (uint64_t)plan->conf->start_timeout * USEC,
		.stop_timeout = (uint64_t)plan->conf->stop_timeout * USEC,
		.seed = (uint64_t)arc4random() << 32 | arc4random(),
	};

	if ((pool = pool_new(&pc, loop_now())) == NULL)
		return err_set(e, EX_OSERR, "pool: out of memory");
	return 0;
}

static int
watch_listener(struct err *e)
{
	int fd = observe_shutdown();

	if (fd == -1)
		return 0;
	shutdown_watch = loop_watch(fd, on_shut_down, NULL);
	if (shutdown_watch == NULL)
		return err_set(e, EX_OSERR, "loop: out of memory");
	return 0;
}

static int
watch_signals(struct err *e)
{
	bool ends = plan->conf->stop_by_any;

	if (watch_listener(e) == -1 ||
	    loop_signal(SIGCHLD, on_child, e) == -1 ||
	    loop_signal(SIGTERM, on_stop, e) == -1 ||
	    loop_signal(SIGQUIT, on_stop, e) == -1 ||
	    loop_signal(SIGINT, on_stop, e) == -1 ||
	    loop_signal(SIGHUP, ends ? on_stop : on_reload, e) == -1 ||
	    loop_signal(SIGUSR1, ends ? on_stop : on_reopen, e) == -1 ||
	    loop_signal(SIGUSR2, on_status, e) == -1 ||
	    loop_signal(SIGTTIN, on_scale, e) == -1 ||
	    loop_signal(SIGTTOU, on_scale, e) == -1)
		return -1;
	return 0;
}

int
supervise_init(const struct plan *p, const struct supervise_hooks *h,
    struct err *e)
{
	plan = p;
	hooks = *h;
	orphans_init();
	if (watch_signals(e) == -1 || make_pool(e) == -1 ||
	    traced_init(e) == -1)
		return -1;
	selfcheck_init();
	return 0;
}

struct pool *
supervise_pool(void)
{
	return pool;
}

int
supervise_run(void)
{
	loop_unblock_signals();
	if (sdnotify_watchdog() != 0)
		on_watchdog();
	act();
	if (loop_run() == -1) {
		log_warn("loop: failed: %s", strerror(errno));
		exit_status = exitcode(plan->conf, EX_OSERR);
	}
	observe_close();
	return exit_status;
}
