/* SPDX-License-Identifier: ISC */
/*
 * spawnd: the order of the start. It is a chain of phases, each of which hands
 * an error up to main(). Once the jail is entered nothing is privileged any
 * more, and once the pool is ready nothing that a worker or client does ends
 * the loop.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "config/alias.h"
#include "config/config.h"
#include "config/describe.h"
#include "control/control.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "preflight/preflight.h"
#include "privilege/privilege.h"
#include "run/run.h"

static struct conf conf;
static struct plan plan;
static struct guarantees guarantees;

/* What of the confinement does not hold although it was asked for. */
static void
log_confinement(void)
{
	const char *signals = guarantees.no_confine_signals;
	const char *limits = guarantees.no_confine_limits;
	bool same;

	if (!conf.confine || plan.stays_root ||
	    (!conf.no_new_privs && !guarantees.no_new_privs))
		return;
	if (signals != NULL && limits != NULL) {
		same = strcmp(signals, limits) == 0;
		log_info("workers are not confined here: %s%s%s", signals,
		    same ? "" : "; ", same ? "" : limits);
	} else if (signals != NULL)
		log_info("workers can signal and trace each other here: %s",
		    signals);
	else if (limits != NULL)
		log_info("workers can limit and slow each other here: %s",
		    limits);
}

static void
log_no_control(void)
{
	if (plan.control_lost != NULL)
		log_warn("no control sockets: %s belongs to another user, or "
		    "others may write there", plan.control_lost);
	else
		log_info("no control sockets: XDG_RUNTIME_DIR is not set, and "
		    "/run and /dev/shm cannot be written%s",
		    OPT_HINT(&conf, control, " (--control names a place)"));
}

/* Logs once what does not hold on this system. */
static void
log_guarantees(void)
{
	const struct guarantees *g = &guarantees;

	if (plan.stays_root)
		log_warn("no user was named: supervisor and workers stay root");
	if (plan.control == NULL && conf.control == NULL)
		log_no_control();
	if (g->proc_foreign)
		log_info("/proc is of another PID namespace: workers are taken "
		    "as ready after 0.2 s");
	else if (!g->proc)
		log_info("no /proc: workers are taken as ready after 0.2 s");
	else if (plan.jail != NULL && !g->proc_detached)
		log_info("/proc could not be detached: the supervisor's own "
		    "jail has a way out through it");
	if (!g->queue)
		log_info("the listen queue cannot be seen here: %s",
		    g->no_queue);
	if (!plan_watches(&plan))
		log_info("open files: %llu would be needed to see the end of "
		    "each worker that another process traces, the limit is "
		    "%llu (raise it: ulimit -Hn, LimitNOFILE=)",
		    (unsigned long long)plan.files,
		    (unsigned long long)plan.files_max);
	else if (!g->ends)
		log_info("the end of a worker that another process traces "
		    "cannot always be seen here: %s", g->no_ends);
	if (!g->door)
		log_info("busy workers cannot be kept from new connections "
		    "here: %s (each ends when it is seen idle)", g->no_door);
	if (!conf.no_new_privs && guarantees.no_new_privs)
		log_info("%s: it was set when we were started, and stays",
		    option_exists(&conf, offsetof(struct conf, no_new_privs)) ?
		    "--no-new-privs: no" : "no_new_privs");
	else if (!conf.no_new_privs)
		log_info("set-id programs are allowed to the workers, which "
		    "are not confined%s",
		    OPT_HINT(&conf, no_new_privs, " (--no-new-privs no)"));
	else if (!g->no_new_privs)
		log_info("set-id programs cannot be forbidden to the workers "
		    "on this system");
	else if (!g->bounding_empty)
		log_info("the capability bounding set could not be emptied; "
		    "no_new_privs makes up for it");
	log_confinement();
}

static int
open_log(struct err *e)
{
	struct log_conf c = {
		.name = plan.name,
		.to = LOG_TO_SYSLOG,
		.file = plan.log,
		.facility = syslog_facility(conf.facility),
		.foreground = conf.foreground,
		.jailed = plan.jail != NULL,
	};

	if (plan.log != NULL)
		c.to = LOG_TO_FILE;
	else if (conf.log == NULL ? conf.foreground :
	    strcmp(conf.log, "stderr") == 0)
		c.to = LOG_TO_STDERR;
	return log_open(&c, e);
}

/* The end of a take-over, in a process that still has the rights for it. */
static void
settle(void)
{
	socketfile_settle(&plan);
	rundir_settle(&plan);
}

/* All that needs a path or a right, before both are given away. */
static int
open_all(struct err *e)
{
	const bool takes = conf.takeover != TAKE_OVER_NO;
	unsigned int slots = plan.room + pool_surge(plan.surge, plan.room) +
	    POOL_ORPHANS;
	unsigned int most = plan.max_workers > 0 ? plan.max_workers :
	    (unsigned int)plan.workers;

	if (open_log(e) == -1 ||
	    (takes && successor_take(&plan, e) == -1) ||
	    pidfile_lock(&plan, e) == -1 ||
	    worker_init(&plan, slots, e) == -1 ||
	    output_init(slots, most, conf.worker_log, e) == -1 ||
	    listen_open(&plan, e) == -1 || pidfile_publish(&plan, e) == -1 ||
	    control_open(&plan, e) == -1)
		return -1;
	if (sdnotify_socket() == -1)
		sdnotify_open();
	takeover_init(&plan);
	observe_init(&guarantees);
	guarantees.only_allowed = plan.only_allowed &&
	    allow_holds(STDIN_FILENO);
	if (!guarantees.only_allowed) {
		free(plan.clients);
		plan.clients = NULL;
	}
	socketfile_keep(&plan);
	environ_scrub();
	if (takes && finisher_start(settle, successor_connection(), e) == -1)
		return -1;
	rundir_done(&plan);
	return 0;
}

static void
on_notice(const struct pool_notice *n)
{
	control_notice(n);
	selfcheck_notice(n);
	draining_notice(n);
	if (conf.takeover != TAKE_OVER_NO && n->what == NOTICE_READY)
		successor_ready(n);
	else
		lifecycle_notice(n);
	if (n->what == NOTICE_READY)
		autoscale_start();
}

static void
on_change(void)
{
	lifecycle_changed();
	if (conf.takeover != TAKE_OVER_NO)
		successor_changed();
	control_changed();
	entry_changed();
}

/* All that runs by the loop, in the jail. */
static int
init_run(struct err *e)
{
	const struct actor_hooks hooks = { on_notice, on_change,
	    traffic_is_none };

	orphans_init();
	selfcheck_init();
	draining_init(&conf);
	if (loop_init(e) == -1 ||
	    actor_init(&plan, &guarantees, &hooks, e) == -1 ||
	    entry_init(&plan, e) == -1 || signals_init(&conf, e) == -1 ||
	    traced_init(e) == -1 ||
	    autoscale_init(&plan, guarantees.queue, e) == -1 ||
	    (conf.takeover != TAKE_OVER_NO && successor_start(&plan, e) == -1))
		return -1;
	return control_start(e);
}

/* Everything from the plan to a jailed process with nothing running yet. */
static int
start_pool(struct err *e)
{
	/* From here to run_pool() signals wait: nothing is left half done. */
	loop_block_signals();
	if (!conf.foreground && getpid() == 1)
		return err_set(e, EX_USAGE, "%s: required for process 1, as "
		    "of a container, with which all others end",
		    OPT(&conf, foreground));
	if (!conf.foreground && daemonize_start(&plan, e) == -1)
		return -1;
	if (open_all(e) == -1 || jail_enter(&plan, &guarantees, e) == -1 ||
	    confine_enter(&plan, &guarantees, e) == -1 ||
	    init_run(e) == -1 || jail_pledge(&plan, e) == -1) {
		control_close();
		if (conf.takeover == TAKE_OVER_NO)
			socketfile_remove(&plan);
		pidfile_clear(&plan);
		return -1;
	}
	log_guarantees();
	status_init(&plan, &guarantees);
	return 0;
}

/* While starting: one line on standard error, and the end. */
static void __attribute__((noreturn))
fatal(const struct err *e)
{
	daemonize_outcome(e->status, e->text);
	exit(e->status);
}

static void __attribute__((noreturn))
die(struct err *e)
{
	e->status = compat_exitcode(&conf, e->status);
	fatal(e);
}

/* Becomes the application, with the socket and without rights. */
static void __attribute__((noreturn))
become(void)
{
	struct exec_failure f = { 0 };
	struct err e;

	terminal_open();
	terminal_write_only();
	if (listen_open(&plan, &e) == -1 ||
	    jail_enter(&plan, &guarantees, &e) == -1)
		e.status = compat_exitcode(&conf, e.status);
	else {
		worker_become(&plan, &f);
		report_exec(&plan, &f, e.text, sizeof(e.text));
		e.status = report_exitcode(&conf, &f, 0);
	}
	socketfile_remove(&plan);
	fatal(&e);
}

static int
run_pool(void)
{
	int status = lifecycle_run(&plan);

	/* What the next pool of this name needs is free before that is said. */
	if (!takeover_is_done() && (conf.takeover == TAKE_OVER_NO ||
	    successor_is_done()))
		socketfile_remove(&plan);
	close(STDIN_FILENO);
	pidfile_clear(&plan);
	control_close();
	log_close();
	return status;
}

/* The listen socket we were started with, -1: none, or -2 with *e set. */
static int
find_listener(int passed, struct err *e)
{
	struct sockaddr_storage ss;
	char name[NAME_SIZE];
	int fd;

	if (conf.inherits_none) {
		sdnotify_close(passed);
		return -1;
	}
	if (passed == 0)
		return address_of_listener(STDIN_FILENO, &ss) == 0 ?
		    STDIN_FILENO : -1;
	plan_name(&conf, name);
	fd = sdnotify_choose(passed, name, e);
	return fd == -1 ? -2 : fd;
}

/* What a take-over would change, and whether it could be. */
static int
show_changes(struct findings *f)
{
	const struct finding *error = findings_error(f);
	struct err e = { 0, "" };

	if (error != NULL)
		err_set(&e, error->status, "%s", error->text);
	else {
		if (!predecessor_differs(&plan, true))
			puts("nothing would change");
		predecessor_check(&plan, &e);
	}
	if (fflush(stdout) == EOF)
		return EX_IOERR;
	if (e.status != 0)
		fprintf(stderr, "%s: %s\n", getprogname(), e.text);
	return e.status;
}

/* Can we take over? Where nothing would change a reload may do, and ends us. */
static int
check_takeover(struct err *e)
{
	if (conf.takeover == TAKE_OVER_CHANGED &&
	    !predecessor_differs(&plan, false)) {
		if (predecessor_reload(e) == -1)
			return -1;
		exit(0);
	}
	return predecessor_check(&plan, e);
}

static int
make_plan(int passed, struct findings *f, struct err *e)
{
	const struct finding *error;
	size_t i;
	int fd;

	if (conf.takeover != TAKE_OVER_NO) {
		sdnotify_close(passed);
		if (predecessor_ask(&conf, e) == -1)
			return -1;
		fd = predecessor_inherited(&conf);
	} else if ((fd = find_listener(passed, e)) == -2)
		return -1;
	describe_begin();
	plan_make(&plan, &conf, fd, f);
	if (conf.takeover != TAKE_OVER_NO && conf.test != TEST_NO)
		exit(show_changes(f));
	if (conf.test != TEST_NO)
		exit(preflight_run(&plan, f, conf.test == TEST_STRICT));
	if ((error = findings_error(f)) != NULL)
		return err_set(e, error->status, "%s", error->text);
	for (i = 0; i < f->n; i++)
		fprintf(stderr, "%s: %s\n", getprogname(), f->list[i].text);
	findings_free(f);
	return conf.takeover != TAKE_OVER_NO ? check_takeover(e) : 0;
}

int
main(int argc, char *argv[])
{
	struct findings f = { NULL, 0 };
	struct err e;
	int passed;

	/* Neither a reader that has gone nor a file too large may kill us. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* Where it was ignored the kernel would keep our children's ends. */
	signal(SIGCHLD, SIG_DFL);
	compat_begin(argc, argv);
	if ((passed = sdnotify_listen_fds(&e)) == -1 ||
	    daemonize_sanitize(passed, &e) == -1 ||
	    compat_parse(&conf, argc, argv, &e) == -1)
		die(&e);
	if (conf.version)
		return compat_version() == -1 ? EX_IOERR : 0;
	if (conf.help)
		return compat_help() == -1 ? EX_IOERR : 0;
	if (make_plan(passed, &f, &e) == -1)
		die(&e);
	if (conf.becomes_app)
		become();
	if (start_pool(&e) == -1)
		die(&e);
	return run_pool();
}
