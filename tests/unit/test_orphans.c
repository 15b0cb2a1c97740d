/* SPDX-License-Identifier: ISC */
/* The end of a stop, which kills what is left. */
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "run/supervise.h"
#include "unit.h"

static struct conf conf;
static struct plan plan = { .conf = &conf, .cwd_fd = STDIN_FILENO,
    .workers = 1, .room = 1, .surge = 1, .processes = 8, .inherited = -1 };
static struct guarantees g;
static pid_t child;

static int
begin(void **arg)
{
	(void)arg;
	if ((child = fork()) == 0) {
		setpgid(0, 0);
		for (;;)
			pause();
	}
	return child == -1 ? -1 : 0;
}

static int
finish(void **arg)
{
	(void)arg;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

static bool
is_gone(void)
{
	return waitpid(child, NULL, WNOHANG) == -1 && errno == ECHILD;
}

/* /proc is not open yet. */
static void
where_no_child_can_be_seen_the_workers_are_killed(void **arg)
{
	(void)arg;
	worker_adopt(0, child);
	assert_int_equal(orphans_kill(), 0);
	assert_true(is_gone());
	assert_int_equal(worker_pid(0), 0);
}

/* A signal to a child that the kernel reaps itself may reach another one. */
static void
nobody_but_us_reaps(void **arg)
{
	struct sigaction sa;

	(void)arg;
	assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	worker_adopt(0, child);
	assert_int_equal(orphans_kill(), 0);
	assert_int_equal(sigaction(SIGCHLD, NULL, &sa), 0);
	assert_true(sa.sa_handler == SIG_DFL);
	assert_int_equal(sa.sa_flags & SA_NOCLDWAIT, 0);
}

static void
who_is_in_no_slot_is_killed_too_if_it_can_be_seen(void **arg)
{
	(void)arg;
	observe_init(&g);
	assert_int_equal(orphans_kill(), 0);
	assert_int_equal(is_gone(), g.proc);
}

static void
who_was_there_before_is_left_alone_and_watched_in_pauses(void **arg)
{
	struct rusage before, after;

	(void)arg;
	observe_init(&g);
	orphans_init();
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	assert_int_equal(orphans_kill(), 0);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
	assert_true(after.ru_nvcsw - before.ru_nvcsw >= 10);
}

static void
ignore_notice(const struct pool_notice *n)
{
	(void)n;
}

static void
ignore_change(void)
{
}

static bool
has_traffic(unsigned int slot)
{
	(void)slot;
	return false;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    where_no_child_can_be_seen_the_workers_are_killed, begin,
		    finish),
		cmocka_unit_test_setup_teardown(nobody_but_us_reaps, begin,
		    finish),
		cmocka_unit_test_setup_teardown(
		    who_is_in_no_slot_is_killed_too_if_it_can_be_seen, begin,
		    finish),
		cmocka_unit_test_setup_teardown(
		    who_was_there_before_is_left_alone_and_watched_in_pauses,
		    begin, finish),
	};
	const struct actor_hooks hooks = { ignore_notice, ignore_change,
	    has_traffic };
	const struct guarantees none = { 0 };
	struct err e;

	alarm(30);
	if (loop_init(&e) == -1 || actor_init(&plan, &none, &hooks, &e) == -1 ||
	    worker_init(&plan, pool_slots(actor_pool()), &e) == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
