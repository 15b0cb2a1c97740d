/* SPDX-License-Identifier: ISC */
/* The wait for a child where no descriptor tells of its end. */
#include <sys/resource.h>
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "unit.h"

static struct rlimit files;
static pid_t child;

/* Where there are pidfds none can be opened. */
static int
begin(void **arg)
{
	struct rlimit none;

	(void)arg;
	if ((child = fork()) == 0) {
		for (;;)
			pause();
	}
	if (child == -1 || getrlimit(RLIMIT_NOFILE, &files) == -1)
		return -1;
	none = files;
	none.rlim_cur = 0;
	return setrlimit(RLIMIT_NOFILE, &none);
}

static int
finish(void **arg)
{
	(void)arg;
	/* A test that failed has left it. */
	if (waitpid(child, NULL, WNOHANG) == 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return setrlimit(RLIMIT_NOFILE, &files);
}

static void
child_that_lives_on_is_waited_for_as_long_as_said(void **arg)
{
	/* Whole steps of the wait, and times that are none. */
	static const int times[] = { 0, 1, 5, 10, 15, 20 };
	uint64_t began;
	int status;
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(times); i++) {
		began = loop_now();
		assert_false(end_await(child, &status, times[i]));
		assert_int_equal(status, STATUS_UNKNOWN);
		assert_true(loop_now() - began >= (uint64_t)times[i] * 1000);
	}
	kill(child, SIGKILL);
	assert_true(end_await(child, &status, -1));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
child_that_ends_is_reaped(void **arg)
{
	int status;

	(void)arg;
	kill(child, SIGTERM);
	assert_true(end_await(child, &status, 20000));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    child_that_lives_on_is_waited_for_as_long_as_said,
		    begin, finish),
		cmocka_unit_test_setup_teardown(child_that_ends_is_reaped,
		    begin, finish),
	};

	alarm(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
