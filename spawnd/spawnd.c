/* SPDX-License-Identifier: ISC */
/*
 * spawnd: the order of the start, and the hands of the pool. The start is a
 * chain of phases, each of which hands an error up to main(); once the jail
 * is entered nothing is privileged any more, and once the pool is ready
 * nothing a worker or client does ends the loop.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "spawnd.h"

static struct conf conf;
static struct plan plan;
static struct guarantees guarantees;
static struct pool *pool;
static int exit_status;
static bool stopping;
static struct loop_watch *shutdown_watch;
static char last_exit[ERR_SIZE];	/* of a start that fails */

static void
do_spawn(unsigned int slot)
{
	struct pool_event ev = { .slot = slot, .pid = -1 };
	uint64_t mark = observe_head();
	int output;

	listen_blocking();
	loop_block_signals();
	if ((output = capture_pipe(slot)) != -1)
		ev.pid = worker_spawn(slot, output);
	ev.error = errno;
	if (output != -1)
		capture_start(slot, output, ev.pid);
	loop_unblock_signals();
	worker_sight(slot)->mark = mark;
	ev.what = ev.pid == -1 ? EV_NOFORK : EV_SPAWNED;
	pool_event(pool, &ev, loop_now());
}

static void
do_look(unsigned int slot, uint64_t age)
{
	struct pool_event ev = { .what = EV_LOOKED, .slot = slot };
	uint64_t now = loop_now();

	ev.look = observe_look(worker_pid(slot), age, now,
	    worker_sight(slot));
	pool_event(pool, &ev, now);
}

static void
do_examine(unsigned int slot)
{
	struct pool_event ev = { .what = EV_EXAMINED, .slot = slot };
	uint64_t now = loop_now();

	observe_examine(worker_pid(slot), conf.stop_signal,
	    (uint64_t)conf.keep_idle * USEC, now, worker_sight(slot),
	    &ev.exam);
	pool_event(pool, &ev, now);
}

/* Why the start failed, behind what the workers said of it. */
static void
start_failed(const struct pool_notice *n)
{
	char text[OUTCOME_SIZE];
	size_t len = 0;

	exit_status = EX_UNAVAILABLE;
	if (!conf.foreground)	/* else the log has shown it */
		len = strlcpy(text, capture_tail(), sizeof(text));
	if (n->why == FAILED_EXEC)
		strlcpy(text + len, last_exit, sizeof(text) - len);
	else if (n->why == FAILED_TIME && last_exit[0] == '\0')
		snprintf(text + len, sizeof(text) - len, "%s: no worker was "
		    "ready within %d s (--start-timeout)", plan.argv[0],
		    conf.start_timeout);
	else
		snprintf(text + len, sizeof(text) - len, "%s: no worker "
		    "became ready: the last one %s", plan.argv[0],
		    last_exit);
	daemon_outcome(exit_status, text);
}

/* The pool is ready, for the first time or again after a reload. */
static void
say_ready(unsigned int ready)
{
	char line[ERR_SIZE];

	if (daemon_starting()) {
		report_ready(&plan, ready, line, sizeof(line));
		daemon_outcome(0, line);
	}
	notify_send("READY=1\nSTATUS=%u of %d workers ready\nMAINPID=%d",
	    ready, plan.workers, (int)getpid());
}

static void
do_notice(const struct pool_notice *n)
{
	const struct exec_failure *f = NULL;

	if (n->exec_failed)
		f = worker_failure(n->slot);
	switch (n->what) {
	case NOTICE_READY:
		say_ready(n->ready);
		return;
	case NOTICE_FAILED:
		start_failed(n);
		return;
	case NOTICE_DONE:
		loop_end();
		return;
	case NOTICE_EXIT:
		if (!daemon_starting())
			break;
		if (f != NULL && pool_count(pool, SLOT_READY) == 0) {
			/* It ends the start, whose last line this will be. */
			report_exec(&plan, f, last_exit, sizeof(last_exit));
			return;
		}
		report_status(n->status, last_exit, sizeof(last_exit));
		break;
	case NOTICE_NOFORK:
		snprintf(last_exit, sizeof(last_exit), "could not be forked: "
		    "%s", strerror(n->error));
		break;
	case NOTICE_RELOADED:
	case NOTICE_RELOAD_FAILED:
		say_ready(pool_count(pool, SLOT_READY));
		break;
	default:
		break;
	}
	report_notice(&plan, n, f);
}

/* Keeps the manager's status true, once a second at most. */
static void
say_status(void)
{
	static unsigned int said;
	static uint64_t said_at;
	unsigned int ready = pool_count(pool, SLOT_READY);
	uint64_t now = loop_now();

	if (ready == said || stopping || daemon_starting())
		return;
	if (now - said_at < USEC) {
		loop_timer(TIMER_STATUS, said_at + USEC, say_status);
		return;
	}
	said = ready;
	said_at = now;
	notify_send("STATUS=%u of %d workers ready", ready, plan.workers);
}

/* Carries out what the pool wants, then sets the time of its next deadline. */
static void on_timer(void);

static void
act(void)
{
	struct pool_action a;

	while (pool_next(pool, &a)) {
		switch (a.what) {
		case POOL_SPAWN:
			do_spawn(a.slot);
			break;
		case POOL_LOOK:
			do_look(a.slot, a.age);
			break;
		case POOL_SIGNAL:
			worker_signal(a.slot, a.signo, a.whole);
			break;
		case POOL_EXAMINE:
			do_examine(a.slot);
			break;
		case POOL_ADOPT:
			worker_adopt(a.slot, a.pid);
			break;
		case POOL_NOTICE:
			do_notice(&a.notice);
			break;
		}
	}
	loop_timer(TIMER_POOL, pool_deadline(pool), on_timer);
	if (notify_wanted())
		say_status();
}

static void
on_timer(void)
{
	pool_tick(pool, loop_now());
	act();
}

/*
 * Whoever a dead worker left behind is our child now. Those that serve go
 * like a worker; others are none of our business until the stop.
 */
static void
find_strays(void)
{
	static pid_t list[CHILDREN_MAX];
	struct pool_event ev = { .what = EV_STRAY };
	int i, n;

	n = observe_children(list, CHILDREN_MAX);
	for (i = 0; i < n; i++) {
		if (worker_known(list[i]) ||
		    (!stopping && !observe_serves(list[i])))
			continue;
		ev.pid = list[i];
		pool_event(pool, &ev, loop_now());
		act();
	}
}

static void
on_child(int signo)
{
	struct pool_event ev;
	bool stopped, died = false;
	int slot, status;

	(void)signo;
	while (worker_reap(&slot, &status, &stopped) > 0) {
		if (slot == -1)
			continue;
		ev = (struct pool_event){ .what = EV_HALTED,
		    .slot = (unsigned int)slot };
		if (!stopped) {
			if (stopping)
				find_strays();	/* they are waited for */
			capture_end(ev.slot);
			ev.what = EV_EXIT;
			ev.status = status;
			ev.exec_failed = worker_failure(ev.slot) != NULL;
			if (pool_wants_queue(pool, ev.slot))
				ev.moved = observe_moved(
				    worker_sight(ev.slot)->mark);
			died = true;
		}
		pool_event(pool, &ev, loop_now());
		act();
	}
	/* Many may die at once: one look at what they left is enough. */
	if (died)
		loop_timer(TIMER_STRAYS, loop_now() + STRAYS_PAUSE,
		    find_strays);
}

static void
on_stop(int signo)
{
	struct pool_event ev = { .what = EV_STOP };

	if (signo == SIGINT)
		ev.what = EV_STOP_FAST;
	if (daemon_starting()) {
		exit_status = EX_UNAVAILABLE;
		daemon_outcome(exit_status, "stopped before it was ready");
	}
	stopping = true;
	log_info("stop: SIG%s received", signame_name(signo));
	/* The manager's own deadline must not be shorter than ours. */
	notify_send("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%llu",
	    ((unsigned long long)conf.stop_timeout + 10) * USEC);
	find_strays();
	pool_event(pool, &ev, loop_now());
	act();
}

/* Any holder can do that, to all of them: a new start makes a new socket. */
static void
on_shut_down(void *arg)
{
	struct pool_event ev = { .what = EV_STOP_FAST };

	(void)arg;
	loop_pause(shutdown_watch);
	log_warn("listen socket: has been shut down, by a worker or who else "
	    "has it; spawnd ends (to be started anew)");
	if (daemon_starting())
		daemon_outcome(EX_OSERR, "the listen socket was shut down");
	stopping = true;
	exit_status = EX_OSERR;
	pool_event(pool, &ev, loop_now());
	act();
}

static void
on_reload(int signo)
{
	struct pool_event ev = { .what = EV_RELOAD };

	(void)signo;
	if (stopping)
		return;
	log_info("reload: begun");
	notify_send("RELOADING=1\nSTATUS=reloading\nMONOTONIC_USEC=%llu",
	    (unsigned long long)loop_now());
	pool_event(pool, &ev, loop_now());
	act();
}

static void
on_reopen(int signo)
{
	(void)signo;
	log_reopen();
}

/* The loop still turns: the manager's watchdog may know. */
static void
on_watchdog(void)
{
	notify_send("WATCHDOG=1");
	loop_timer(TIMER_WATCHDOG, loop_now() + notify_watchdog(),
	    on_watchdog);
}

/* Says once what does not hold here. */
static void
say_guarantees(void)
{
	const struct guarantees *g = &guarantees;

	if (!g->proc)
		log_info("no /proc: workers are taken as ready after 0.2 s");
	else if (plan.jail != NULL && !g->proc_detached)
		log_info("/proc could not be detached: the supervisor's own "
		    "jail has a way out through it");
	if (!g->queue)
		log_info("the listen queue cannot be seen here: %s",
		    g->no_queue);
	if (!conf.no_new_privs && guarantees.no_new_privs)
		log_info("--no-new-privs: no: it was set when we were started, "
		    "and stays");
	else if (!conf.no_new_privs)
		log_info("set-id programs are allowed to the workers "
		    "(--no-new-privs no)");
	else if (!g->no_new_privs)
		log_info("set-id programs cannot be forbidden to the workers "
		    "on this system");
	else if (!g->bounding_empty)
		log_info("the capability bounding set could not be emptied; "
		    "no_new_privs makes up for it");
}

static int
make_pool(struct err *e)
{
	struct pool_conf pc = {
		.workers = (unsigned int)plan.workers,
		.stop_signal = conf.stop_signal,
		.start_timeout = (uint64_t)conf.start_timeout * USEC,
		.stop_timeout = (uint64_t)conf.stop_timeout * USEC,
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
	if (watch_listener(e) == -1 ||
	    loop_signal(SIGCHLD, on_child, e) == -1 ||
	    loop_signal(SIGTERM, on_stop, e) == -1 ||
	    loop_signal(SIGQUIT, on_stop, e) == -1 ||
	    loop_signal(SIGINT, on_stop, e) == -1 ||
	    loop_signal(SIGHUP, on_reload, e) == -1 ||
	    loop_signal(SIGUSR1, on_reopen, e) == -1)
		return -1;
	/* No stray hand is to end us. */
	signal(SIGUSR2, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	return 0;
}

/* What needs a path or a right, before both are given away. */
static int
open_all(struct err *e)
{
	unsigned int slots = (unsigned int)plan.workers + 1 + POOL_STRAYS;

	if (log_open(&plan, e) == -1 || pidfile_lock(&plan, e) == -1 ||
	    worker_init(&plan, slots, e) == -1 ||
	    capture_init(slots, conf.worker_log, e) == -1 ||
	    listen_open(&plan, e) == -1)
		return -1;
	notify_open();
	observe_init(&guarantees);
	env_scrub();
	return 0;
}

/* Everything from the plan to a jailed process with nothing running yet. */
static int
start(struct err *e)
{
	/* From here to run() a signal waits: nothing is left half done. */
	loop_block_signals();
	if (!conf.foreground && daemon_start(plan.name, e) == -1)
		return -1;
	if (open_all(e) == -1 || jail_enter(&plan, &guarantees, e) == -1 ||
	    loop_init(e) == -1 || watch_signals(e) == -1 ||
	    make_pool(e) == -1) {
		listen_remove(&plan);
		pidfile_clear(&plan);
		return -1;
	}
	say_guarantees();
	return 0;
}

static int
run(void)
{
	loop_unblock_signals();
	if (notify_watchdog() != 0)
		on_watchdog();
	act();
	if (loop_run() == -1) {
		log_warn("loop: failed: %s", strerror(errno));
		exit_status = EX_OSERR;
	}
	listen_remove(&plan);
	pidfile_clear(&plan);
	log_close();
	return exit_status;
}

/* The listen socket we were started with: -1: none, -2: with *e set. */
static int
find_inherited(int passed, struct err *e)
{
	struct sockaddr_storage ss;
	char name[NAME_SIZE];
	int fd;

	if (passed == 0)
		return listen_check(STDIN_FILENO, &ss) == 0 ? STDIN_FILENO :
		    -1;
	plan_name(&conf, name);
	fd = notify_choose(passed, name, e);
	return fd == -1 ? -2 : fd;
}

static int
make_plan(int passed, struct findings *f, struct err *e)
{
	const struct finding *error;
	size_t i;
	int fd;

	if ((fd = find_inherited(passed, e)) == -2)
		return -1;
	plan_make(&plan, &conf, fd, f);
	if (conf.test != TEST_NO)
		exit(preflight_run(&plan, f, conf.test == TEST_STRICT));
	if ((error = findings_error(f)) != NULL)
		return err_set(e, error->status, "%s", error->text);
	for (i = 0; i < f->n; i++)
		fprintf(stderr, "spawnd: %s\n", f->list[i].text);
	findings_free(f);
	return 0;
}

int
main(int argc, char *argv[])
{
	struct findings f = { NULL, 0 };
	struct err e;
	int passed;

	/* Neither is a reader that has gone, nor a limit of the files' size. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if ((passed = notify_listen_fds(&e)) == -1 ||
	    daemon_sanitize(passed, &e) == -1 ||
	    options_parse(&conf, argc, argv, &e) == -1)
		fatal(&e);
	if (conf.version) {
		puts("spawnd " SPAWND_VERSION);
		return fflush(stdout) == EOF ? EX_IOERR : 0;
	}
	if (conf.help)
		return options_help() == -1 ? EX_IOERR : 0;
	if (make_plan(passed, &f, &e) == -1 || start(&e) == -1)
		fatal(&e);
	return run();
}
