/* SPDX-License-Identifier: ISC */
/* What the pool did, in words. */
#include <errno.h>
#include <signal.h>

#include "base/base.h"
#include "base/units.h"
#include "config/config.h"
#include "config/option.h"
#include "pool/pool.h"
#include "run/supervise.h"
#include "tmp.h"

static struct conf c = { .start_timeout = 60 };
static char *argv[] = { (char *)"/fcgi-bin/app", NULL };
static struct plan p;
static char line[ERR_SIZE];

static int
fresh(void **arg)
{
	(void)arg;
	p = (struct plan){ .conf = &c, .jail_reason = "", .argv = argv,
	    .chdir = (char *)"/htdocs", .workers = 4,
	    .socket_name = (char *)"unix:/run/app.sock", .jail_fd = -1,
	    .socket_owner = (char *)"www:www 0660", .ident = { .uid = 67 } };
	return 0;
}

static const char *
status(int s)
{
	signame_wait_status(s, line, sizeof(line));
	return line;
}

static void
exits_and_signals(void **arg)
{
	(void)arg;
	assert_string_equal(status(0), "exited with status 0");
	assert_string_equal(status(3 << 8), "exited with status 3");
	assert_string_equal(status(255 << 8), "exited with status 255");
	assert_string_equal(status(SIGSEGV), "was killed by SIGSEGV");
	assert_string_equal(status(SIGABRT | 0x80),
	    "was killed by SIGABRT (core dumped)");
	assert_string_equal(status(34), "was killed by signal 34");
	assert_string_equal(status(STATUS_UNKNOWN),
	    "ended, its status is unknown");
}

static const char *
exec_line(int step, int error)
{
	const struct exec_failure f = { step, error };

	report_exec(&p, &f, line, sizeof(line));
	return line;
}

static void
a_child_that_never_became_its_program(void **arg)
{
	(void)arg;
	argv[0] = (char *)"/no/such/app";
	assert_string_equal(exec_line(STEP_EXEC, ENOENT),
	    "exec /no/such/app: No such file or directory");
	assert_string_equal(exec_line(STEP_LIMIT, EPERM),
	    "--rlimit /no/such/app: Operation not permitted");
	assert_string_equal(exec_line(STEP_NICE, EACCES),
	    "--nice /no/such/app: Permission denied");
	assert_string_equal(exec_line(STEP_CONFINE, E2BIG),
	    "--confine /no/such/app: Argument list too long");
	assert_string_equal(exec_line(STEP_CHDIR, ENOENT),
	    "chdir /htdocs: No such file or directory");
	assert_string_equal(exec_line(STEP_DOOR, EPERM),
	    "ptrace /no/such/app: Operation not permitted");
	assert_string_equal(exec_line(STEP_PARENT, EBADF),
	    "start /no/such/app: Bad file descriptor");
}

/* Its file is not looked at: whoever does so may wait for it, too. */
static void
a_child_that_was_too_late(void **arg)
{
	(void)arg;
	argv[0] = (char *)"/no/such/app";
	assert_string_equal(exec_line(STEP_LATE, ETIMEDOUT),
	    "exec /no/such/app: killed: not done after 10 s (its file system "
	    "hangs, or another process has stopped it or holds a lease on the "
	    "file)");
}

static void
the_jail_and_the_reason_are_named(void **arg)
{
	(void)arg;
	argv[0] = tmp_dir;
	p.jail = (char *)"/var/www";
	p.jail_reason = " (a note)";
	exec_line(STEP_EXEC, EACCES);
	assert_has(line, " in /var/www: Permission denied: it is a directory "
	    "(a note)");
}

static void
a_path_outside_the_jail_is_told(void **arg)
{
	(void)arg;
	p.jail = (char *)"/var/www";
	argv[0] = (char *)"/var/www/no/such/app";
	assert_string_equal(exec_line(STEP_EXEC, ENOENT),
	    "exec /var/www/no/such/app in /var/www: No such file or "
	    "directory: paths are as seen inside the jail: try /no/such/app");
	p.chdir = (char *)"/var/www/htdocs";
	assert_string_equal(exec_line(STEP_CHDIR, ENOENT),
	    "chdir /var/www/htdocs in /var/www: No such file or directory: "
	    "paths are as seen inside the jail: try /htdocs");
	argv[0] = (char *)"/var/www2/app";
	assert_has_not(exec_line(STEP_EXEC, ENOENT), "try ");
	p.jail = (char *)"/";
	assert_has_not(exec_line(STEP_EXEC, ENOENT), "try ");
}

static void
a_line_too_long_is_cut(void **arg)
{
	static char path[3000];

	(void)arg;
	memset(path, '/', sizeof(path) - 1);
	argv[0] = path;
	exec_line(STEP_EXEC, ENOENT);
	assert_int_equal(strlen(line), sizeof(line) - 1);
}

static const char *
ready(unsigned int n)
{
	report_ready(&p, n, line, sizeof(line));
	return line;
}

static void
the_line_of_a_start(void **arg)
{
	char want[256];

	(void)arg;
	snprintf(want, sizeof(want), "4 workers ready on "
	    "unix:/run/app.sock (www:www 0660), uid 67, pid %d",
	    (int)getpid());
	assert_string_equal(ready(4), want);
	p.jail = (char *)"/var/www";
	assert_has(ready(4), "0660), jail /var/www, uid 67, ");
	p.socket_owner = NULL;
	p.socket_name = (char *)"tcp:127.0.0.1:9000";
	assert_has(ready(4), "ready on tcp:127.0.0.1:9000, jail ");
}

static void
numbers_in_the_line_of_a_start(void **arg)
{
	(void)arg;
	assert_has(ready(3), "3 of 4 workers ready");
	p.workers = 1;
	assert_has(ready(1), "1 worker ready");
	p.children = 8;
	assert_has(ready(1), "1 worker x (8 children + 1) ready");
}

/* What a notice puts into the log. */
static const char *
logged(const struct pool_notice *n, const struct exec_failure *f)
{
	int saved = dup(STDERR_FILENO);
	int fd = open(tmp_path("log"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	ssize_t got;

	assert_int_not_equal(saved, -1);
	assert_int_not_equal(fd, -1);
	assert_int_not_equal(dup2(fd, STDERR_FILENO), -1);
	report_notice(&p, n, f);
	dup2(saved, STDERR_FILENO);
	close(saved);
	got = pread(fd, line, sizeof(line) - 1, 0);
	close(fd);
	assert_between(got, 0, sizeof(line) - 1);
	line[got] = '\0';
	return line;
}

static void
a_crash_in_the_log(void **arg)
{
	struct pool_notice n = { .what = NOTICE_EXIT, .pid = 4711,
	    .status = SIGSEGV, .was_ready = true, .age = 61250000 };

	(void)arg;
	assert_has(logged(&n, NULL), " warning: worker 4711: was killed by "
	    "SIGSEGV after 61.25 s\n");
	n.delay = 50000;
	assert_has(logged(&n, NULL), "after 61.25 s (too many of late; next "
	    "start in 0.05 s)\n");
}

static void
a_failed_start_in_the_log(void **arg)
{
	struct pool_notice n = { .what = NOTICE_EXIT, .pid = 4711,
	    .status = 1 << 8, .age = 10000, .delay = 30 * USEC,
	    .failures = 12 };

	(void)arg;
	assert_has(logged(&n, NULL), "worker 4711: exited with status 1 "
	    "after 0.01 s, before it was ready (failure 12 in a row; next "
	    "start in 30.00 s)\n");
}

/* They come each second: of so many in a row the log has ever fewer. */
static void
an_end_without_work_in_the_log(void **arg)
{
	struct pool_notice n = { .what = NOTICE_EXIT, .pid = 4711,
	    .age = 10000, .delay = USEC, .failures = 8 };

	(void)arg;
	assert_has(logged(&n, NULL), "worker 4711: exited with status 0 after "
	    "0.01 s, before it was ready (failure 8 in a row; next start in "
	    "1.00 s)\n");
	n.failures = 9;
	assert_string_equal(logged(&n, NULL), "");
	assert_string_equal(failures_last(FAILURE_WORKER)->what,
	    "exited with status 0 after 0.01 s, before it was ready");
}

static void
a_cause_in_the_log(void **arg)
{
	struct pool_notice n = { .what = NOTICE_EXIT, .pid = 4711,
	    .cause = CAUSE_CGI, .age = 10000 };

	(void)arg;
	assert_has(logged(&n, NULL), "worker 4711: exited with status 0 after "
	    "0.01 s, before it was ready: it answered as a CGI program (which "
	    "needs fcgiwrap)\n");
	report_end(&n, line, sizeof(line));
	assert_string_equal(line, "exited with status 0: it answered as a CGI "
	    "program (which needs fcgiwrap)");
	n.cause = CAUSE_LEFT;
	assert_has(logged(&n, NULL), "exited with status 0 after 0.01 s, "
	    "before it was ready: it left a process behind (a worker has to "
	    "stay in the foreground)\n");
	/* That it ended by a signal is our own doing. */
	n.cause = CAUSE_ELSEWHERE;
	n.status = SIGTERM;
	assert_has(logged(&n, NULL), "worker 4711: was stopped after 0.01 s, "
	    "before it was ready: it waited for connections of another socket "
	    "(its listen socket is descriptor 0)\n");
	n.what = NOTICE_RELOAD_FAILED;
	assert_has(logged(&n, NULL), "reload: failed: new worker: was stopped "
	    "after 0.01 s, before it was ready: it waited for ");
	n.what = NOTICE_ELSEWHERE;
	assert_has(logged(&n, NULL), "worker 4711: stopped: it waits for "
	    "connections of another socket (its listen socket is descriptor "
	    "0)\n");
	n.delay = 59 * USEC;
	assert_has(logged(&n, NULL), "worker 4711: so far it waits for "
	    "connections of another socket (its listen socket is descriptor "
	    "0; it is stopped unless it is ready in 59.00 s)\n");
}

static void
an_exec_failure_in_the_log(void **arg)
{
	const struct exec_failure f = { STEP_EXEC, ENOENT };
	struct pool_notice n = { .what = NOTICE_EXIT, .pid = 4711,
	    .status = 127 << 8, .exec_failed = true };

	(void)arg;
	argv[0] = (char *)"/no/such/app";
	assert_has(logged(&n, &f), "exec /no/such/app: No such file");
	assert_has_not(line, "status 127");
}

static void
a_spawn_that_failed_in_the_log(void **arg)
{
	struct pool_notice n = { .what = NOTICE_NOFORK, .failed = "fork",
	    .error = EPERM, .delay = 100000 };

	(void)arg;
	assert_has(logged(&n, NULL), " warning: fork: Operation not permitted "
	    "(next try in 0.10 s)\n");
	n.failed = "pipe";
	n.error = ENOSYS;
	assert_has(logged(&n, NULL), " pipe: Function not implemented (next ");
}

static void
a_slow_and_a_stubborn_worker_in_the_log(void **arg)
{
	struct pool_notice n = { .what = NOTICE_START_TIMEOUT, .pid = 4711 };

	(void)arg;
	/* A program that spawnd stands in for may have no such option. */
	c.ncalled = 0;
	assert_has(logged(&n, NULL), "worker 4711: stopped: not ready within "
	    "60 s\n");
	option_call(&c, offsetof(struct conf, start_timeout),
	    "--start-timeout");
	assert_has(logged(&n, NULL), "worker 4711: stopped: not ready within "
	    "60 s (--start-timeout)\n");
	n.what = NOTICE_KILLED_IDLE;
	assert_has(logged(&n, NULL), "worker 4711: killed: ");
}

static void
a_reload_in_the_log(void **arg)
{
	struct pool_notice n = { .what = NOTICE_RELOADED };

	(void)arg;
	assert_has(logged(&n, NULL), " info: reload: all workers are new\n");
	n.what = NOTICE_RELOAD_FAILED;
	n.status = 3 << 8;
	assert_has(logged(&n, NULL), "the old workers stay");
	assert_has(line, "exited with status 3");
	n.failed = "fork";
	n.error = EAGAIN;
	assert_has(logged(&n, NULL), "fork: Resource temporarily");
}

/* These are said by main(), once, in its own way. */
static void
start_and_end_are_not_logged_twice(void **arg)
{
	static const enum notice quiet[] = { NOTICE_READY, NOTICE_FAILED,
	    NOTICE_DUE, NOTICE_DONE };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(quiet); i++) {
		struct pool_notice n = { .what = quiet[i] };

		assert_string_equal(logged(&n, NULL), "");
	}
}

#define TEST(f)	cmocka_unit_test_setup(f, fresh)

static int
begin_all(void **arg)
{
	struct err e;

	assert_int_equal(output_init(4, 4, WORKER_LOG_RAW, &e), 0);
	return tmp_make(arg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exits_and_signals),
		TEST(a_child_that_never_became_its_program),
		TEST(a_child_that_was_too_late),
		TEST(the_jail_and_the_reason_are_named),
		TEST(a_path_outside_the_jail_is_told),
		TEST(a_line_too_long_is_cut),
		TEST(the_line_of_a_start),
		TEST(numbers_in_the_line_of_a_start),
		TEST(a_crash_in_the_log),
		TEST(a_failed_start_in_the_log),
		TEST(an_end_without_work_in_the_log),
		TEST(a_cause_in_the_log),
		TEST(an_exec_failure_in_the_log),
		TEST(a_spawn_that_failed_in_the_log),
		TEST(a_slow_and_a_stubborn_worker_in_the_log),
		TEST(a_reload_in_the_log),
		TEST(start_and_end_are_not_logged_twice),
	};

	return cmocka_run_group_tests(tests, begin_all, tmp_remove);
}
