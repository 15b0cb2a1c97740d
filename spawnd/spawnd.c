/* SPDX-License-Identifier: ISC */
/*
 * spawnd: the order of the start. It is a chain of phases, each of which hands
 * an error up to main(); once the jail is entered nothing is privileged any
 * more, and once the pool is ready nothing a worker or client does ends the
 * loop.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "spawnd.h"

static struct conf conf;
static struct plan plan;
static struct guarantees guarantees;

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
		log_info("the listen queue cannot be seen here");
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

/* What needs a path or a right, before both are given away. */
static int
open_all(struct err *e)
{
	unsigned int slots = plan.room + 1 + POOL_STRAYS;

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
	    loop_init(e) == -1 || supervise_init(&plan, e) == -1) {
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
	int status = supervise_run();

	listen_remove(&plan);
	pidfile_clear(&plan);
	log_close();
	return status;
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
