/* SPDX-License-Identifier: ISC */
/* Why a process was refused: only what is seen to be so is said. */
#include <sys/resource.h>
#include <sys/wait.h>

#include <stdlib.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/usage.h"
#include "unit.h"

#define NOBODY	54321		/* a user without processes */
#define TOO_MANY (1U << 30)	/* for any user */

/* Does a process of that user with that limit name it? In a child. */
static bool
names(uid_t uid, rlim_t limit)
{
	struct rlimit r;
	char why[256];
	bool detached;
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		getrlimit(RLIMIT_NPROC, &r);
		r.rlim_cur = limit < r.rlim_max ? limit : r.rlim_max;
		if ((uid != getuid() && setresuid(uid, uid, uid) == -1) ||
		    setrlimit(RLIMIT_NPROC, &r) == -1 ||
		    proc_open(&detached) == -1)
			_exit(2);
		usage_forks(why, sizeof(why));
		_exit(strstr(why, "RLIMIT_NPROC") != NULL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 1;
}

static uid_t
user(void)
{
	return getuid() == 0 ? NOBODY : getuid();
}

static void
a_limit_that_is_reached_is_named(void **arg)
{
	(void)arg;
	assert_true(names(user(), 1));
	assert_true(names(user(), 0));
}

static void
a_limit_that_is_not_reached_is_not(void **arg)
{
	(void)arg;
	assert_false(names(user(), TOO_MANY));
	if (getuid() == 0)
		assert_false(names(NOBODY, 2));
}

static void
none_holds_for_root(void **arg)
{
	(void)arg;
	if (getuid() != 0)
		skip();
	assert_false(names(0, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_that_is_reached_is_named),
		cmocka_unit_test(a_limit_that_is_not_reached_is_not),
		cmocka_unit_test(none_holds_for_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
