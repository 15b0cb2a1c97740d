/* SPDX-License-Identifier: ISC */
/* The end of a child that another child traces and never waits for. */
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include "base/units.h"
#include "observe/end.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "unit.h"

static pid_t child, tracer;

static pid_t
sleeper(void)
{
	int ends[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ends), 0);
	if ((pid = fork()) == 0) {
		/* Where yama would let only its parents trace it. */
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
		if (write(ends[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &c, 1), 1);
	close(ends[0]);
	return pid;
}

/* Traces the child, and does no more. */
static void
trace(void)
{
	int ends[2];
	char c;

	assert_int_equal(pipe(ends), 0);
	if ((tracer = fork()) == 0) {
		if (ptrace(PTRACE_SEIZE, child, NULL, NULL) == -1 ||
		    write(ends[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &c, 1), 1);
	close(ends[0]);
}

static void
release(void)
{
	kill(tracer, SIGKILL);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
}

static bool
all(pid_t pid)
{
	(void)pid;
	return true;
}

static bool
none(pid_t pid)
{
	(void)pid;
	return false;
}

static int
fresh(void **arg)
{
	bool detached;

	(void)arg;
	return proc_open(&detached);
}

static void
child_that_ends_is_waited_for_and_reaped(void **arg)
{
	int status;

	(void)arg;
	child = sleeper();
	kill(child, SIGTERM);
	assert_true(end_await(child, &status, -1));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	assert_int_equal(waitpid(child, NULL, WNOHANG), -1);
}

static void
child_that_lives_on_is_waited_for_no_longer_than_said(void **arg)
{
	int status;

	(void)arg;
	child = sleeper();
	assert_false(end_await(child, &status, 20));
	assert_int_equal(status, STATUS_UNKNOWN);
	kill(child, SIGKILL);
	assert_true(end_await(child, &status, -1));
}

/* waitpid(2) would wait for as long as the tracer lives. */
static void
child_that_is_kept_by_its_tracer_is_not_waited_for(void **arg)
{
	int status;

	(void)arg;
	child = sleeper();
	trace();
	kill(child, SIGKILL);
	assert_false(end_await(child, &status, -1));
	assert_int_equal(status, STATUS_UNKNOWN);
	assert_true(end_reached(child));
	release();
	assert_true(end_await(child, &status, -1));
	assert_int_equal(status, SIGKILL);
}

static void
how_it_ended_and_who_keeps_it_is_found(void **arg)
{
	int status;
	struct end e;

	(void)arg;
	child = sleeper();
	trace();
	assert_false(end_reached(child));
	end_look(child, &e);
	assert_false(e.over);
	kill(child, SIGUSR1);
	/* It met its tracer before the signal, and is not dead. */
	while (end_look(child, &e), !e.held)
		usleep(1000);
	assert_false(end_reached(child));
	kill(child, SIGKILL);
	assert_false(end_await(child, &status, -1));
	end_look(child, &e);
	assert_true(e.over);
	assert_false(e.held);
	assert_int_equal(e.status, SIGKILL);
	assert_int_equal(e.ntracers, 1);
	assert_int_equal(e.tracers[0], tracer);
	release();
	assert_true(end_await(child, &status, -1));
}

static void
only_what_descends_from_us_and_still_traces_is_killed(void **arg)
{
	int status;

	(void)arg;
	child = sleeper();
	trace();
	kill(child, SIGKILL);
	assert_false(end_await(child, &status, -1));
	assert_int_equal(end_kill_tracer(tracer, child, all), TRACER_FOREIGN);
	assert_int_equal(end_kill_tracer(getppid(), child, none),
	    TRACER_FOREIGN);
	assert_int_equal(end_kill_tracer(child, child, none), TRACER_FOREIGN);
	assert_int_equal(kill(tracer, 0), 0);
	assert_int_equal(end_kill_tracer(tracer, child, none), TRACER_KILLED);
	assert_int_equal(waitpid(tracer, &status, 0), tracer);
	assert_int_equal(status, SIGKILL);
	assert_true(end_await(child, &status, -1));
}

static int
stay(int fd)
{
	return fd;
}

static void
each_end_that_is_watched_for_is_told_once(void **arg)
{
	pid_t list[END_EVENTS];
	int fd, status;

	(void)arg;
	assert_int_equal(end_init(), 0);
	child = sleeper();
	trace();
	assert_true((fd = end_watch(child, stay)) > 0);
	assert_int_equal(end_take(list, END_EVENTS), 0);
	kill(child, SIGKILL);
	assert_false(end_await(child, &status, -1));
	assert_int_equal(end_take(list, END_EVENTS), 1);
	assert_int_equal(list[0], child);
	assert_int_equal(end_take(list, END_EVENTS), 0);
	release();
	assert_true(end_await(child, &status, -1));
	assert_int_equal(end_take(list, END_EVENTS), 0);
	end_unwatch(fd);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_that_ends_is_waited_for_and_reaped),
		cmocka_unit_test(
		    child_that_lives_on_is_waited_for_no_longer_than_said),
		cmocka_unit_test(
		    child_that_is_kept_by_its_tracer_is_not_waited_for),
		cmocka_unit_test(how_it_ended_and_who_keeps_it_is_found),
		cmocka_unit_test(
		    only_what_descends_from_us_and_still_traces_is_killed),
		cmocka_unit_test(each_end_that_is_watched_for_is_told_once),
	};

	alarm(30);
	return cmocka_run_group_tests(tests, fresh, NULL);
}
