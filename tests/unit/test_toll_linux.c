/* SPDX-License-Identifier: ISC */
/* Who has too much to bear at its door is tired, if it may rest. */
#include <sys/un.h>

#include <pthread.h>
#include <time.h>

#include "child.h"

#define A_WHILE		(PATIENCE / 20)	/* in which nothing is to happen */
#define STOPS		50		/* that are allowed */
#define TRIES		10
#define LITTLE		10		/* one of so many moments */

static uint64_t delay;		/* of the last child, and ours meanwhile */

static void
calls(void)
{
	for (;;)
		(void)getppid();
}

static void *
waits_beside(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void
begin_to_wait_beside(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, waits_beside, NULL) != 0)
		_exit(1);
}

static void
calls_beside_others(void)
{
	begin_to_wait_beside();
	calls();
}

/* The threads are those of another process of it. */
static void
calls_with_a_child(void)
{
	char c;
	int ready[2];

	if (pipe(ready) == -1)
		_exit(1);
	if (fork() == 0) {
		alarm(60);
		begin_to_wait_beside();
		(void)write(ready[1], "x", 1);
		waits_beside(NULL);
	}
	(void)read(ready[0], &c, 1);
	calls();
}

/* As a program that waits for others, a moment each time. */
static void
naps(void)
{
	struct timespec nap = { .tv_nsec = 100000 };

	for (;;)
		nanosleep(&nap, NULL);
}

/* As one that waits for a disk or a lock, by calls that may also be short. */
static void
waits_for_a_queue(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_usec = 10000 };
	socklen_t len = sizeof(sun);
	int i, listener = socket(AF_UNIX, SOCK_STREAM, 0);

	if (bind(listener, (void *)&sun, sizeof(sa_family_t)) == -1 ||
	    getsockname(listener, (void *)&sun, &len) == -1 ||
	    listen(listener, 0) == -1)
		_exit(1);
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (connect(fd, (void *)&sun, len) == -1)
			close(fd);
		for (i = 0; i < 5; i++)
			(void)getppid();
	}
}

/* How long a process has waited for a processor, in usec. */
static uint64_t
delay_of(pid_t pid)
{
	char buf[64];
	unsigned long long ns = 0;

	if (proc_read_of(pid, "schedstat", buf, sizeof(buf)) > 0)
		(void)sscanf(buf, "%*u %llu", &ns);
	return ns / 1000;
}

/* What is left of the tree is killed with its first process. */
static void
end_child(void)
{
	pid_t tree[8];
	int i, n = proc_tree(child, tree, 8);

	delay += delay_of(child) + delay_of(getpid());
	for (i = n - 1; i >= 0; i--)
		kill(tree[i], SIGKILL);
	while (child_ended == -1)
		child_reap(200);
	close(child_wakes[0]);
	close(child_wakes[1]);
}

/* Follows a child until it is tired, or for so long; signalled, if not 0. */
static enum door_state
follow(void (*work)(void), bool drains, uint64_t stops, int signo,
    uint64_t longest)
{
	uint64_t end = loop_now() + longest;
	enum door_state s;

	delay = -delay_of(getpid());
	child_begin(work);
	s = door_close(child, drains, false, false);
	door_allow(child, signo == 0 ? stops : NEVER);
	while (s != DOOR_TIRED && loop_now() < end) {
		child_reap(200);
		s = door_check(child);
		if (signo != 0 && s == DOOR_CLOSED) {
			door_signal(child, signo);
			door_allow(child, stops);
			signo = 0;
		}
	}
	end_child();
	return s;
}

/* Each of them takes a hundred times as long as without us. */
static void
who_makes_call_after_call_is_tired(void **arg)
{
	(void)arg;
	assert_int_equal(follow(calls, false, STOPS, 0, PATIENCE), DOOR_TIRED);
	assert_int_equal(follow(calls, true, STOPS, 0, PATIENCE), DOOR_TIRED);
	assert_int_equal(follow(calls, false, NEVER, 0, A_WHILE), DOOR_CLOSED);
}

/* Another of its threads might hear that the socket is shut down. */
static void
who_drains_with_several_threads_has_no_rest(void **arg)
{
	(void)arg;
	assert_int_equal(follow(calls_beside_others, false, STOPS, 0,
	    PATIENCE), DOOR_TIRED);
	assert_int_equal(follow(calls_beside_others, true, STOPS, 0, A_WHILE),
	    DOOR_CLOSED);
}

static void
nor_has_one_whose_child_has_several(void **arg)
{
	(void)arg;
	assert_int_equal(follow(calls_with_a_child, false, STOPS, 0, PATIENCE),
	    DOOR_TIRED);
	assert_int_equal(follow(calls_with_a_child, true, STOPS, 0, A_WHILE),
	    DOOR_CLOSED);
}

static void
nor_has_one_that_was_signalled(void **arg)
{
	(void)arg;
	signal(SIGUSR1, SIG_IGN);	/* of the child, from its begin on */
	assert_int_equal(follow(calls, false, STOPS, SIGUSR1, A_WHILE),
	    DOOR_CLOSED);
	signal(SIGUSR1, SIG_DFL);
}

/* Unless one of the two really waits for a processor meanwhile. */
static void
is_not_tired(void (*work)(void))
{
	uint64_t began;
	int i;

	for (i = 0; i < TRIES; i++) {
		began = loop_now();
		if (follow(work, false, STOPS, 0, A_WHILE) == DOOR_CLOSED)
			return;
		assert_true(delay * LITTLE > loop_now() - began);
	}
}

static void
who_sleeps_in_its_calls_is_not(void **arg)
{
	(void)arg;
	is_not_tired(naps);
}

static void
nor_who_waits_in_others(void **arg)
{
	(void)arg;
	is_not_tired(waits_for_a_queue);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_makes_call_after_call_is_tired),
		cmocka_unit_test(who_drains_with_several_threads_has_no_rest),
		cmocka_unit_test(nor_has_one_whose_child_has_several),
		cmocka_unit_test(nor_has_one_that_was_signalled),
		cmocka_unit_test(who_sleeps_in_its_calls_is_not),
		cmocka_unit_test(nor_who_waits_in_others),
	};

	if (child_listen() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
