/* SPDX-License-Identifier: ISC */
/*
 * Workers that are made without a wait for their exec: what the child does in
 * our memory meanwhile, and one that does not come to its exec.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/raw.h"
#include "config/config.h"
#include "run/supervise.h"
#include "unit.h"

#define MARK	4711		/* no errno */
#define ROUNDS	100
#define PATIENCE	1000		/* times 10 ms */
#define LIFE		60		/* seconds */

static char script[] = "/tmp/test_spawn.XXXXXX";
static char missing[] = "/nonexistent/program";
static char *argv[] = { NULL, NULL };
static char *envp[] = { NULL };
static const struct conf conf = { .umask = UMASK_KEEP,
    .worker_log = WORKER_LOG_INHERIT };
static struct plan plan = { .conf = &conf, .cwd_fd = STDIN_FILENO,
    .argv = argv, .envp = envp };

/* What a kernel, or a filter, makes of the call. */
enum { AS_IT_IS, REFUSED, TAKEN_FOR_USED };
static int own_files;
static bool makes_group;	/* one does, before its group is asked for */

/* NOLINTBEGIN(*reserved-identifier,cert-dcl*): the linker's name */
int	 __real_raw_own_files(int end);
int	 __wrap_raw_own_files(int end);
pid_t	 __real_getpgid(pid_t pid);
pid_t	 __wrap_getpgid(pid_t pid);

int
__wrap_raw_own_files(int end)
{
	int r;

	if (own_files == REFUSED)
		return -EPERM;
	r = __real_raw_own_files(end);
	if (r == 0 && own_files == TAKEN_FOR_USED)
		raw_dup2(STDIN_FILENO, end);
	return r;
}

pid_t
__wrap_getpgid(pid_t pid)
{
	if (makes_group)
		setpgid(pid, pid);
	return __real_getpgid(pid);
}
/* NOLINTEND(*reserved-identifier,cert-dcl*) */

/* Makes one and returns its pid; errno must have survived that. */
static pid_t
make(char *program)
{
	pid_t pid;

	argv[0] = program;
	loop_block_signals();
	errno = MARK;
	pid = worker_spawn(0, 0, STDOUT_FILENO, false);
	loop_unblock_signals();
	assert_int_equal(errno, MARK);
	assert_int_not_equal(pid, -1);
	assert_int_equal(worker_pid(0), pid);
	spawn_await(0);
	return pid;
}

/* Waits for its end, and for errno to change. */
static int
end(pid_t pid)
{
	int slot, status, i;
	bool stopped;

	errno = MARK;
	for (i = 0; i < PATIENCE; i++) {
		if (worker_reap(&slot, &status, &stopped) == pid) {
			assert_int_equal(errno, MARK);
			assert_int_equal(slot, 0);
			assert_false(stopped);
			return status;
		}
		usleep(10000);
	}
	fail_msg("process %d does not end", (int)pid);
	return -1;
}

static void
raw_calls_leave_errno_alone(void **arg)
{
	struct rlimit r, again;

	(void)arg;
	if (!raw_keeps_errno())
		skip();
	errno = MARK;
	assert_int_equal(raw_chdir("/nonexistent"), -ENOENT);
	assert_int_equal(raw_exec("/nonexistent", argv, envp), -ENOENT);
	assert_int_equal(raw_dup2(-1, 1), -EBADF);
	assert_int_equal(raw_ioctl(-1, 0, NULL), -EBADF);
	assert_int_equal(raw_setpgid(-1, 0), -EINVAL);
	assert_int_equal(raw_limit(-1, NULL, &r), -EINVAL);
	assert_int_equal(raw_limit(RLIMIT_NOFILE, NULL, &r), 0);
	assert_int_equal(raw_getppid(), getppid());
	assert_int_equal(errno, MARK);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &again), 0);
	assert_int_equal(r.rlim_cur, again.rlim_cur);
	assert_int_equal(r.rlim_max, again.rlim_max);
}

static void
one_becomes_its_program(void **arg)
{
	char program[] = "/bin/true";
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		assert_int_equal(end(make(program)), 0);
		assert_null(worker_failure(0));
	}
}

static void
one_that_cannot_says_why(void **arg)
{
	const struct exec_failure *f;
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		assert_int_equal(end(make(missing)), 127 << 8);
		f = worker_failure(0);
		assert_non_null(f);
		assert_int_equal(f->step, STEP_EXEC);
		assert_int_equal(f->error, ENOENT);
	}
}

/* It is not its program until the lease is given back. */
static void
one_that_is_kept_from_it_holds_nobody_up(void **arg)
{
	const struct exec_failure *f;
	int fd, status;
	pid_t pid;

	(void)arg;
	signal(SIGIO, SIG_IGN);
	fd = open(script, O_RDWR | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	pid = make(script);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	/* Still held: who waited for the exec would have waited for that. */
	assert_int_not_equal(fcntl(fd, F_GETLEASE), F_UNLCK);
	worker_expire(0);
	assert_int_equal(end(pid), SIGKILL);
	f = worker_failure(0);
	assert_non_null(f);
	assert_int_equal(f->step, STEP_LATE);
	close(fd);
	/* And the next one comes to it. */
	assert_int_equal(end(make(script)), 7 << 8);
	assert_null(worker_failure(0));
}

/* It begins with a copy of all then. */
static void
comes_without_own_files(int found, int later)
{
	char program[] = "/bin/true";
	struct err e;

	own_files = found;
	assert_int_equal(spawn_init(1, &e), 0);
	own_files = later;
	assert_int_equal(end(make(program)), 0);
	assert_null(worker_failure(0));
	own_files = AS_IT_IS;
	assert_int_equal(spawn_init(1, &e), 0);
}

static void
one_comes_to_its_program_where_a_filter_refuses_the_call(void **arg)
{
	(void)arg;
	comes_without_own_files(REFUSED, REFUSED);
}

static void
one_is_not_given_descriptors_that_are_taken_for_used(void **arg)
{
	(void)arg;
	comes_without_own_files(TAKEN_FOR_USED, REFUSED);
}

static void
trying_it_leaves_no_descriptor(void **arg)
{
	struct err e;
	int before, after;

	(void)arg;
	before = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	close(before);
	assert_int_equal(spawn_init(1, &e), 0);
	after = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 64);
	close(after);
	assert_int_equal(after, 64);
	after = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	close(after);
	assert_int_equal(after, before);
}

static void
one_that_makes_a_group_meanwhile_is_signalled(void **arg)
{
	pid_t pid = fork();

	(void)arg;
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		alarm(PATIENCE / 100);
		for (;;)
			pause();
	}
	worker_adopt(0, pid);
	makes_group = true;
	worker_signal(0, SIGKILL, true);
	makes_group = false;
	assert_int_equal(end(pid), SIGKILL);
}

static int
set_up(void **arg)
{
	static const char text[] = "#!/bin/sh\nexit 7\n";
	struct err e;
	int fd = mkstemp(script);

	(void)arg;
	if (fd == -1 || write(fd, text, sizeof(text) - 1) == -1 ||
	    fchmod(fd, 0700) == -1)
		return -1;
	close(fd);
	return worker_init(&plan, 1, &e);
}

static int
tear_down(void **arg)
{
	(void)arg;
	return unlink(script);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_calls_leave_errno_alone),
		cmocka_unit_test(one_becomes_its_program),
		cmocka_unit_test(one_that_cannot_says_why),
		cmocka_unit_test(one_that_is_kept_from_it_holds_nobody_up),
		cmocka_unit_test(
		    one_comes_to_its_program_where_a_filter_refuses_the_call),
		cmocka_unit_test(
		    one_is_not_given_descriptors_that_are_taken_for_used),
		cmocka_unit_test(trying_it_leaves_no_descriptor),
		cmocka_unit_test(one_that_makes_a_group_meanwhile_is_signalled),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
