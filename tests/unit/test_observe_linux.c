/* SPDX-License-Identifier: ISC */
/*
 * Who is ready, who waits for its clients alone, and who only looks so. Each
 * worker here is a child that has accepted connections and sleeps in one way
 * or another; the time between two looks is made up.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/usage.h"
#include "pool/pool.h"
#include "tmp.h"

#define IDLE		(5 * USEC)
#define PATIENCE	(10 * USEC)
#define STEP		(USEC / 2)	/* none is too soon after the last */

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int clients[2];
static pid_t worker;
static struct probe_state probe;

/* The worker's side */

static int loop;		/* its epoll */

static int
taken(void)
{
	int fd = accept(STDIN_FILENO, NULL, NULL);

	if (fd == -1)
		_exit(1);
	return fd;
}

static void
watch(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	if (fd == -1 || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &ev) == -1)
		_exit(1);
}

/* Until it is woken; then the test has gone wrong, or is over. */
static void
wait_in_loop(int ms)
{
	struct epoll_event ev;

	epoll_wait(loop, &ev, 1, ms);
}

static void
waste_time(void)
{
	volatile unsigned int i;

	for (i = 0; i < 1000000; i++)
		;
}

static void
reads(void)
{
	char c;
	int fd = taken();

	while (read(fd, &c, 1) == 1) {
		waste_time();
		if (write(fd, &c, 1) != 1)
			break;
	}
}

static void
polls(void)
{
	struct pollfd p = { .fd = taken(), .events = POLLIN };

	poll(&p, 1, -1);
}

static void
selects_the_time(void)
{
	struct timeval tv = { .tv_sec = 60 };

	taken();
	select(0, NULL, NULL, NULL, &tv);
}

static void
polls_its_child(void)
{
	int ends[2];
	struct pollfd p = { .events = POLLIN };

	taken();
	if (pipe(ends) == -1)
		_exit(1);
	if (fork() == 0)
		for (;;)
			pause();
	close(ends[1]);
	p.fd = ends[0];
	poll(&p, 1, -1);
}

static void *
reads_one(void *arg)
{
	char c;

	while (read(*(int *)arg, &c, 1) == 1)
		;
	return NULL;
}

static void
reads_two(void)
{
	int fds[2] = { taken(), taken() };
	pthread_t t;

	if (pthread_create(&t, NULL, reads_one, &fds[0]) != 0)
		_exit(1);
	reads_one(&fds[1]);
}

/* The order of its two connections must not matter. */
static void
reads_one_of(int which)
{
	int fds[2] = { taken(), taken() };
	pthread_t t;

	if (pthread_create(&t, NULL, reads_one, &fds[which]) != 0)
		_exit(1);
	pause();
}

static void
reads_the_first(void)
{
	reads_one_of(0);
}

static void
reads_the_second(void)
{
	reads_one_of(1);
}

static void
loops(void)
{
	watch(taken(), EPOLLIN);
	wait_in_loop(-1);
}

static void
loops_and_serves(void)
{
	int fd = taken();
	char c;

	watch(fd, EPOLLIN);
	for (;;) {
		wait_in_loop(-1);
		if (read(fd, &c, 1) != 1)
			break;
		waste_time();
		if (write(fd, &c, 1) != 1)
			break;
	}
}

/* As the run-times of Node.js and Go do. */
static void
loops_and_wakes_itself(void)
{
	int ends[2];

	if (pipe(ends) == -1)
		_exit(1);
	watch(STDIN_FILENO, EPOLLIN);
	watch(ends[0], EPOLLIN);
	watch(eventfd(0, 0), EPOLLIN);
	watch(taken(), EPOLLIN | EPOLLOUT | EPOLLET);
	wait_in_loop(-1);
	wait_in_loop(-1);	/* it could be written to */
}

static void
loops_two(void)
{
	watch(taken(), EPOLLIN);
	watch(taken(), EPOLLIN);
	wait_in_loop(-1);
}

static void
loops_for_one_of_two(void)
{
	watch(taken(), EPOLLIN);
	watch(taken(), EPOLLRDHUP);
	wait_in_loop(-1);
}

static void
loops_with_a_timer(void)
{
	watch(taken(), EPOLLIN);
	wait_in_loop(50000);
}

static void
loops_with_a_timer_of_the_kernel(void)
{
	watch(taken(), EPOLLIN);
	watch(timerfd_create(CLOCK_MONOTONIC, 0), EPOLLIN);
	wait_in_loop(-1);
}

static void
loops_for_a_pipe(void)
{
	int ends[2];

	watch(taken(), EPOLLIN);
	if (pipe(ends) == -1)
		_exit(1);
	watch(ends[0], EPOLLIN);
	/* What writes into it is no child of it any more. */
	if (fork() == 0) {
		if (fork() == 0)
			for (;;)
				pause();
		_exit(0);
	}
	wait(NULL);
	close(ends[1]);
	wait_in_loop(-1);
}

static void
loops_with_a_child(void)
{
	watch(taken(), EPOLLIN);
	if (fork() == 0)
		for (;;)
			pause();
	wait_in_loop(-1);
}

static void
loops_for_a_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	watch(taken(), EPOLLIN);
	watch(fd, EPOLLIN);
	wait_in_loop(-1);
}

static void *
sleeps(void *arg)
{
	pause();
	return arg;
}

static void
loops_beside_a_thread(void)
{
	pthread_t t;

	watch(taken(), EPOLLIN);
	if (pthread_create(&t, NULL, sleeps, NULL) != 0)
		_exit(1);
	wait_in_loop(-1);
}

#define CROWD	600	/* threads: to look at them takes a while */

static void
sleeps_with_a_crowd(void)
{
	pthread_attr_t small;
	pthread_t t;
	int i;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	for (i = 1; i < CROWD; i++) {
		if (pthread_create(&t, &small, sleeps, NULL) != 0)
			_exit(1);
	}
	pause();
}

/* One connection, and so many sockets beside it and the listen socket. */
static void
has_sockets(int n)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1)
		_exit(1);
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) == -1)
		_exit(1);
	while (n-- > 0) {
		if (socket(AF_UNIX, SOCK_DGRAM, 0) == -1)
			_exit(1);
	}
	reads();
}

static void
has_few_sockets(void)
{
	has_sockets(SOCKETS_MAX - 50);
}

static void
has_too_many_sockets(void)
{
	has_sockets(SOCKETS_MAX + 50);
}

/* Ours */

static void
start(void (*work)(void), int nclients)
{
	int i;

	worker = fork();
	assert_int_not_equal(worker, -1);
	if (worker == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);	/* of a failed test */
		closefrom(STDERR_FILENO + 1);
		loop = epoll_create1(0);
		work();
		_exit(0);
	}
	setpgid(worker, worker);
	probe = (struct probe_state){ .connection = 0 };
	for (i = 0; i < nclients; i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i],
		    (struct sockaddr *)&address, sizeof(address)), 0);
	}
}

/* How a worker sleeps, and what that is worth. */
struct sleep {
	const char	*name;
	void		(*work)(void);
	int		 clients;
	int		 tasks;
	int		 reads;		/* of these; with none it polls */
	bool		 quiet;
};

static bool
has_come_to_rest(const struct sleep *sleep, struct view *v)
{
	return proc_view(worker, 0, false, v) == 0 && v->asleep &&
	    v->tasks == sleep->tasks && v->nreads == sleep->reads &&
	    (sleep->reads > 0 || v->polling);
}

static void
await_rest(const struct sleep *sleep)
{
	uint64_t end = loop_now() + PATIENCE, cpu = 0;
	struct view v;

	/* It is said to sleep a moment before it has used its last cpu. */
	while (!has_come_to_rest(sleep, &v) || v.cpu != cpu) {
		cpu = v.cpu;
		if (loop_now() > end)
			fail_msg("%s: %d tasks, %d reads", sleep->name,
			    v.tasks, v.nreads);
		usleep(1000);
	}
}

static void
finish(const struct sleep *sleep)
{
	int i;

	kill(-worker, SIGKILL);
	waitpid(worker, NULL, 0);
	for (i = 0; i < sleep->clients; i++)
		close(clients[i]);
}

static struct activity
look(uint64_t now)
{
	struct activity x;

	observe_activity(worker, SIGTERM, IDLE, now, &probe, &x);
	return x;
}

static const struct sleep sleeps_known[] = {
	{ "reads", reads, 1, 1, 1, true },
	{ "reads two", reads_two, 2, 2, 2, true },
	{ "reads the first of two", reads_the_first, 2, 2, 1, false },
	{ "reads the second of two", reads_the_second, 2, 2, 1, false },
	{ "polls", polls, 1, 1, 0, false },
	{ "selects the time", selects_the_time, 1, 1, 0, false },
	{ "polls its child", polls_its_child, 1, 1, 0, false },
	{ "loops", loops, 1, 1, 0, true },
	{ "loops for two", loops_two, 2, 1, 0, true },
	{ "loops and wakes itself", loops_and_wakes_itself, 1, 1, 0, true },
	{ "loops for one of two", loops_for_one_of_two, 2, 1, 0, false },
	{ "loops with a time limit", loops_with_a_timer, 1, 1, 0, false },
	{ "loops with a timer", loops_with_a_timer_of_the_kernel, 1, 1, 0,
	    false },
	{ "loops for a pipe", loops_for_a_pipe, 1, 1, 0, false },
	{ "loops with a child", loops_with_a_child, 1, 1, 0, false },
	{ "loops for a socket", loops_for_a_socket, 1, 1, 0, false },
	{ "loops beside a thread", loops_beside_a_thread, 1, 2, 0, false },
};

/* Is it quiet after that time, and never before? */
static bool
becomes_quiet(uint64_t *now)
{
	bool quiet;

	assert_int_equal(look(*now).holds, HOLDS_BUSY);
	assert_int_equal(look(++*now).holds, HOLDS_BUSY);
	assert_int_equal(look(*now + IDLE - 1).holds, HOLDS_BUSY);
	*now += IDLE;
	quiet = look(*now).holds == HOLDS_QUIET;
	*now += USEC;
	probe = (struct probe_state){ .connection = 0 };
	return quiet;
}

/* On a loaded host a look may be late, and then it is not known. */
static void
only_who_waits_for_its_clients_alone_is_quiet(void **arg)
{
	const struct sleep *s;
	uint64_t now = USEC, end;
	size_t i;
	bool quiet;

	(void)arg;
	for (i = 0; i < NITEMS(sleeps_known); i++) {
		s = &sleeps_known[i];
		start(s->work, s->clients);
		await_rest(s);
		end = loop_now() + PATIENCE;
		do
			quiet = becomes_quiet(&now);
		while (s->quiet && !quiet && loop_now() < end);
		if (quiet != s->quiet)
			fail_msg("%s: quiet: %d", s->name, (int)quiet);
		finish(s);
	}
}

/*
 * Looks until it is seen frozen and so. After looks that took long the next
 * ones, for some time, only repeat what is known.
 */
static bool
becomes_frozen(enum holds holds, uint64_t *now)
{
	uint64_t end = *now + IDLE / 2;
	struct activity x;

	do {
		x = look(*now);
		*now += USEC / 50;
	} while ((!x.frozen || x.holds != holds) && *now < end);
	return x.frozen && x.holds == holds;
}

/* Something has come that it has not read yet: not quiet. */
static void
unread_bytes_are_not_quiet(void **arg)
{
	const struct sleep s = { "reads", reads, 1, 1, 1, true };
	uint64_t now = 1000 * USEC;

	(void)arg;
	start(s.work, s.clients);
	await_rest(&s);
	look(now);
	look(now += STEP);
	kill(worker, SIGSTOP);
	assert_int_equal(waitpid(worker, NULL, WUNTRACED), worker);
	assert_true(becomes_frozen(HOLDS_BUSY, &now));
	now += IDLE;
	assert_true(becomes_frozen(HOLDS_QUIET, &now));
	assert_int_equal(write(clients[0], "x", 1), 1);
	assert_true(becomes_frozen(HOLDS_BUSY, &now));
	finish(&s);
}

/* What the status counts of it; -1: that is not known. */
static int
count_connections(struct usage *u)
{
	uint64_t *inodes = NULL;
	unsigned int left;
	int n = usage_connections(&inodes, &left);

	assert_int_equal(usage_worker(worker, inodes, n, false, u), 0);
	free(inodes);
	return u->counted ? (int)u->connections : -1;
}

static void
whoever_looks_knows_as_much(void **arg)
{
	static const struct sleep few = { "few sockets", has_few_sockets, 1,
	    1, 1, true };
	static const struct sleep many = { "too many sockets",
	    has_too_many_sockets, 1, 1, 1, false };
	struct usage u;
	uint64_t i;
	int holds;

	(void)arg;
	start(few.work, few.clients);
	await_rest(&few);
	assert_int_equal(look(7000 * USEC).holds, HOLDS_BUSY);
	assert_int_equal(look(7001 * USEC).holds, HOLDS_BUSY);
	assert_int_equal(look(7010 * USEC).holds, HOLDS_QUIET);
	assert_int_not_equal(observe_connection(worker), 0);
	assert_int_equal(count_connections(&u), 1);
	finish(&few);
	start(many.work, many.clients);
	await_rest(&many);
	for (i = 0; i < 3; i++) {
		holds = look((8000 + 10 * i) * USEC).holds;
		assert_int_not_equal(holds, HOLDS_NOTHING);
		assert_int_not_equal(holds, HOLDS_QUIET);
	}
	assert_int_equal(count_connections(&u), -1);
	finish(&many);
}

/* What a fork has inherited is held once, and whoever reads waits. */
static void
a_connection_of_two_processes_is_one(void **arg)
{
	static const struct sleep two = { "polls its child", polls_its_child,
	    1, 1, 0, true };
	static const struct sleep one = { "reads", reads, 1, 1, 1, true };
	struct usage u;

	(void)arg;
	start(two.work, two.clients);
	await_rest(&two);
	assert_int_equal(count_connections(&u), 1);
	assert_int_equal(u.processes, 2);
	assert_int_equal(u.awaited, 0);
	finish(&two);
	start(one.work, one.clients);
	await_rest(&one);
	assert_int_equal(count_connections(&u), 1);
	assert_int_equal(u.awaited, 1);
	/* This was the first look at it. */
	assert_true(u.first > 0 && u.before < u.first);
	finish(&one);
}

/* A short request, from its first byte until the worker waits again. */
static void
request(const struct sleep *s)
{
	char c;

	assert_int_equal(write(clients[0], "x", 1), 1);
	assert_int_equal(read(clients[0], &c, 1), 1);
	await_rest(s);
}

/* That the worker is between two requests is seen once for each. */
static void
a_request_that_is_over_is_seen(void **arg)
{
	const struct sleep s = { "reads", reads, 1, 1, 1, true };
	uint64_t now = 4000 * USEC;

	(void)arg;
	start(s.work, s.clients);
	await_rest(&s);
	look(now);
	assert_false(look(now += STEP).active_since_last);
	request(&s);
	assert_true(look(now += STEP).active_since_last);
	assert_false(look(now += STEP).active_since_last);
	finish(&s);
}

static bool
is_late(uint64_t now)
{
	struct slow_request o;

	observe_slow_request(worker, IDLE, now, &o);
	return o.slow;
}

static const struct sleep servers[] = {
	{ "reads", reads, 1, 1, 1, true },
	{ "loops", loops_and_serves, 1, 1, 0, true },
};

static void
short_requests_on_one_connection_are_never_late(void **arg)
{
	uint64_t now = 2000 * USEC, end;
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(servers); i++) {
		start(servers[i].work, servers[i].clients);
		await_rest(&servers[i]);
		for (end = now + 3 * IDLE; now < end; now += USEC) {
			if (is_late(now))
				fail_msg("%s: is late", servers[i].name);
			request(&servers[i]);
		}
		finish(&servers[i]);
	}
}

static void
one_long_request_is_late(void **arg)
{
	const struct sleep s = { "selects the time", selects_the_time, 1, 1,
	    0, false };
	uint64_t now = 3000 * USEC;

	(void)arg;
	start(s.work, s.clients);
	await_rest(&s);
	assert_false(is_late(now));
	assert_false(is_late(now + IDLE));
	assert_true(is_late(now + IDLE + 1));
	finish(&s);
}

static void
an_expensive_worker_hides_no_other(void **arg)
{
	const struct sleep crowd = { "crowd", sleeps_with_a_crowd, 0, CROWD,
	    0, false };
	const struct sleep s = { "polls", polls, 1, 1, 0, false };
	struct probe_state large = { .cpu = 0 };
	uint64_t now = 5000 * USEC, end = loop_now() + PATIENCE;
	pid_t other;
	struct view v;

	(void)arg;
	start(crowd.work, crowd.clients);
	other = worker;
	while (proc_view(other, 0, false, &v) == -1 || v.tasks < CROWD) {
		assert_true(loop_now() < end);
		usleep(1000);
	}
	start(s.work, s.clients);
	await_rest(&s);
	assert_int_equal(observe_readiness(other, USEC, now, &large), READY_NO);
	assert_true(large.expensive);
	assert_int_equal(observe_readiness(other, USEC, now + 1, &large),
	    READY_UNKNOWN);
	assert_int_equal(observe_readiness(worker, USEC, now + 1, &probe),
	    READY_YES);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	finish(&s);
}

/* Of so young a one not all is looked at. */
static void
a_young_worker_is_not_known_to_be_unready(void **arg)
{
	const struct sleep s = { "polls", polls, 1, 1, 0, false };

	(void)arg;
	start(s.work, s.clients);
	await_rest(&s);
	assert_int_equal(observe_readiness(worker, 1000, 6000 * USEC, &probe),
	    READY_UNKNOWN);
	finish(&s);
}

/* More than the kernel names when it is asked for one socket. */
#define LONG_QUEUE	3000

static void
a_long_queue_is_seen_to_move(void **arg)
{
	static int waiting[LONG_QUEUE];
	struct rlimit files;
	uint64_t mark;
	int i;

	(void)arg;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(observe_mark(), 0);
	for (i = 0; i < LONG_QUEUE; i++) {
		waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_int_equal(connect(waiting[i],
		    (struct sockaddr *)&address, sizeof(address)), 0);
	}
	/* The first has given up already. */
	close(waiting[0]);
	mark = observe_mark();
	assert_int_not_equal(mark, 0);
	assert_int_not_equal(mark, MARK_UNKNOWN);
	assert_int_equal(observe_moved(mark), MOVED_NO);
	close(accept(STDIN_FILENO, NULL, NULL));
	assert_int_equal(observe_moved(mark), MOVED_NO);
	close(accept(STDIN_FILENO, NULL, NULL));
	assert_int_equal(observe_moved(mark), MOVED_YES);
	/* Where it cannot be named, it can be seen to be over. */
	assert_int_equal(observe_moved(MARK_UNKNOWN), MOVED_UNKNOWN);
	for (i = 2; i < LONG_QUEUE; i++)
		close(accept(STDIN_FILENO, NULL, NULL));
	assert_int_equal(observe_moved(MARK_UNKNOWN), MOVED_YES);
	for (i = 1; i < LONG_QUEUE; i++)
		close(waiting[i]);
}

static int
set_up(void **arg)
{
	struct guarantees g;
	int fd;

	if (tmp_make(arg) == -1)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
	    tmp_path("sock"));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd == -1 || bind(fd, (struct sockaddr *)&address,
	    sizeof(address)) == -1 || listen(fd, LONG_QUEUE) == -1 ||
	    dup2(fd, STDIN_FILENO) == -1)
		return -1;
	close(fd);
	observe_init(&g);
	return g.proc && g.queue ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_who_waits_for_its_clients_alone_is_quiet),
		cmocka_unit_test(unread_bytes_are_not_quiet),
		cmocka_unit_test(
		    short_requests_on_one_connection_are_never_late),
		cmocka_unit_test(one_long_request_is_late),
		cmocka_unit_test(a_request_that_is_over_is_seen),
		cmocka_unit_test(an_expensive_worker_hides_no_other),
		cmocka_unit_test(a_young_worker_is_not_known_to_be_unready),
		cmocka_unit_test(whoever_looks_knows_as_much),
		cmocka_unit_test(a_connection_of_two_processes_is_one),
		cmocka_unit_test(a_long_queue_is_seen_to_move),
	};

	return cmocka_run_group_tests(tests, set_up, tmp_remove);
}
