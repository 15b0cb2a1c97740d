/* SPDX-License-Identifier: ISC */
/* The filter of confined workers. Each test is a child that has it. */
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "unit.h"

#include "observe/door.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "privilege/confine.h"

/* Returns the line of the first thing that is not so, 0: all is. */
#define SO(what)	do { if (!(what)) return __LINE__; } while (0)
#define GETS(error, call) SO((call) == -1 && errno == (error))

static void
install(bool scoped)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    confine_filter(scoped) == -1)
		_exit(255);
}

/* Runs it in a child; the line may be above 255. */
static int
line_of(int (*test)(void))
{
	int fds[2], line = -1;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		line = test();
		_exit(write(fds[1], &line, sizeof(line)) == -1);
	}
	close(fds[1]);
	if (read(fds[0], &line, sizeof(line)) != sizeof(line))
		line = -1;
	close(fds[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return line;
}

static pid_t
make_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	return pid;
}

static int
for_itself(void)
{
	struct rlimit r;
	cpu_set_t set;

	install(true);
	SO(getrlimit(RLIMIT_CORE, &r) == 0 && setrlimit(RLIMIT_CORE, &r) == 0);
	SO(sched_getaffinity(0, sizeof(set), &set) == 0);
	SO(sched_setaffinity(0, sizeof(set), &set) == 0);
	SO(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0)) == 0);
	SO(syscall(SYS_ioprio_set, 1, 0, 0) == 0);
	return 0;
}

static int
for_others(void)
{
	pid_t pid = getppid();
	int nice = getpriority(PRIO_PROCESS, 0);
	cpu_set_t set;

	SO(sched_getaffinity(0, sizeof(set), &set) == 0);
	install(true);
	GETS(EPERM, prlimit(pid, RLIMIT_CORE, NULL, NULL));
	GETS(EPERM, prlimit(getpid(), RLIMIT_CORE, NULL, NULL));
	GETS(EPERM, sched_setaffinity(pid, sizeof(set), &set));
	GETS(EPERM, setpriority(PRIO_PROCESS, (id_t)pid, nice));
	GETS(EPERM, setpriority(PRIO_PGRP, 0, nice));
	GETS(EPERM, setpriority(PRIO_USER, 0, nice));
	GETS(EPERM, syscall(SYS_ioprio_set, 1, pid, 0));
	GETS(EPERM, syscall(SYS_ioprio_set, 2, 0, 0));
	GETS(EPERM, unshare(CLONE_NEWUSER));
	GETS(EPERM, syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	GETS(ENOSYS, syscall(SYS_clone3, NULL, 0));
	return 0;
}

static int
for_high_halves(void)
{
	install(true);
	/* The kernel takes the low half: that is us. */
	SO(syscall(SYS_prlimit64, INT64_C(1) << 32, RLIMIT_CORE, NULL,
	    NULL) == 0);
	GETS(EPERM, syscall(SYS_prlimit64, INT64_C(1) << 32 | 1, RLIMIT_CORE,
	    NULL, NULL));
	return 0;
}

static int
for_the_key(void)
{
	pid_t pid = make_child();

	install(false);
	GETS(EPERM, ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	GETS(EPERM, ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	GETS(EPERM, syscall(SYS_ptrace, PTRACE_SEIZE, pid, NULL, NULL,
	    door_key() ^ 1));
	GETS(EPERM, syscall(SYS_ptrace, PTRACE_SEIZE, pid, NULL, NULL,
	    door_key() ^ UINT64_C(1) << 63));
	/* Which may be forbidden for other reasons. */
	SO(task_attach(pid, 0) == 0 || errno != EPERM);
	GETS(ESRCH, task_attach(-1, 0));
	SO(kill(pid, SIGKILL) == 0);
	return 0;
}

static int
for_a_domain(void)
{
	install(true);
	GETS(ESRCH, ptrace(PTRACE_SEIZE, -1, NULL, NULL));
	return 0;
}

static bool
is_filtered(long filters)
{
	char text[128];

	snprintf(text, sizeof(text), "Name:\tapp\nSeccomp:\t%d\n"
	    "Seccomp_filters:\t%ld\n", filters > 0 ? 2 : 0, filters);
	return proc_is_filtered(text);
}

/* A worker's filters count from ours on, of which a container has some. */
static int
for_looks(void)
{
	bool detached;
	char text[4096];
	long own;

	install(true);
	SO(proc_open(&detached) == 0);
	SO(proc_read("self/status", text, sizeof(text)) > 0);
	SO((own = parse_field(text, "Seccomp_filters")) > 0);
	SO(!is_filtered(0));
	SO(!is_filtered(own));
	SO(is_filtered(own + 1));
	SO(proc_is_filtered("Name:\tapp\nSeccomp:\t2\n"));
	SO(!proc_is_filtered("Name:\tapp\nSeccomp:\t0\n"));
	SO(!proc_is_filtered("Name:\tapp\n"));
	return 0;
}

/* Whether the kernel can do it is not known then. */
static int
for_no_process(void)
{
	const struct rlimit none = { 0, 0 };
	struct confinement c = { NULL, NULL };

	SO(geteuid() != 0 || setresuid(1234, 1234, 1234) == 0);
	SO(setrlimit(RLIMIT_NPROC, &none) == 0);
	confine_try(&c);
	SO(c.no_scope != NULL && strcmp(c.no_scope, "it could not be tried")
	    == 0);
	SO(c.no_filter != NULL && strcmp(c.no_filter, "it could not be tried")
	    == 0);
	return 0;
}

#define TEST(name, what)			\
static void					\
name(void **arg)				\
{						\
	(void)arg;				\
	assert_int_equal(line_of(what), 0);	\
}

TEST(a_process_may_change_itself, for_itself)
TEST(no_process_may_change_another, for_others)
TEST(the_half_counts_that_the_kernel_takes, for_high_halves)
TEST(without_a_domain_only_the_key_attaches, for_the_key)
TEST(with_a_domain_the_filter_leaves_ptrace_to_it, for_a_domain)
TEST(without_a_process_nothing_is_tried, for_no_process)
TEST(looks_do_not_count_our_filter, for_looks)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_may_change_itself),
		cmocka_unit_test(no_process_may_change_another),
		cmocka_unit_test(the_half_counts_that_the_kernel_takes),
		cmocka_unit_test(without_a_domain_only_the_key_attaches),
		cmocka_unit_test(
		    with_a_domain_the_filter_leaves_ptrace_to_it),
		cmocka_unit_test(without_a_process_nothing_is_tried),
		cmocka_unit_test(looks_do_not_count_our_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
