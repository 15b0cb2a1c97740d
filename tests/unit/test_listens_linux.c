/* SPDX-License-Identifier: ISC */
/*
 * Does a process that sleeps wait for connections of the listen socket? Each
 * worker here is a child that sleeps in one way or another. What it has to
 * wait for never comes, so that it sleeps until it is killed.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/looker.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "pool/pool.h"
#include "tmp.h"

#define PATIENCE	(10 * USEC)
#define YOUNG		(2 * USEC)	/* long enough for all rules */

static pid_t worker;

/* The worker's side */

static int
must(int fd)
{
	if (fd == -1)
		_exit(1);
	return fd;
}

static int
loop_of(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };
	int loop = must(epoll_create1(0));

	if (fd != -1)
		must(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &ev));
	return loop;
}

static void
wait_in_loop(int loop, int ms)
{
	struct epoll_event ev;

	epoll_wait(loop, &ev, 1, ms);
}

static void
wait_in_poll(int fd, short events, int ms)
{
	/* The first is none, and the second is not waited for. */
	struct pollfd p[] = { { .fd = -1, .events = POLLIN },
	    { .fd = STDIN_FILENO, .events = POLLPRI },
	    { .fd = fd, .events = events } };

	poll(p, 3, ms);
}

/* A socket that listens, but is not the listen socket. */
static int
listens_itself(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = must(socket(AF_INET, SOCK_STREAM, 0));

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(fd, (struct sockaddr *)&in, sizeof(in)));
	must(listen(fd, 1));
	return fd;
}

static int
listens_on_a_file(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = must(socket(AF_UNIX, SOCK_STREAM, 0));

	must(bind(fd, (struct sockaddr *)&un, sizeof(un.sun_family)));
	must(listen(fd, 1));
	return fd;
}

static int
own_pipe(void)
{
	int ends[2];

	must(pipe(ends));
	return ends[0];
}

static void
accepts(void)
{
	accept(STDIN_FILENO, NULL, NULL);
}

static void
accepts_on_another_number(void)
{
	int fd = must(dup(STDIN_FILENO));

	close(STDIN_FILENO);
	must(open("/dev/null", O_RDONLY));
	accept(fd, NULL, NULL);
}

static void
polls(void)
{
	wait_in_poll(STDIN_FILENO, POLLIN, -1);
}

static void
polls_with_a_limit(void)
{
	wait_in_poll(must(dup(STDIN_FILENO)), POLLIN, 60000);
}

static void
selects(void)
{
	int fd = must(dup2(STDIN_FILENO, 200));
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	select(fd + 1, &set, NULL, NULL, NULL);
}

static void
waits_in_loop(void)
{
	int loop = loop_of(must(dup(STDIN_FILENO)), EPOLLIN | EPOLLET);

	close(STDIN_FILENO);
	wait_in_loop(loop, -1);
}

static void
waits_in_a_loop_of_a_loop(void)
{
	int inner = loop_of(STDIN_FILENO, EPOLLIN);

	wait_in_poll(loop_of(inner, EPOLLIN), POLLIN, -1);
}

static void *
waits_beside(void *arg)
{
	(void)arg;
	waits_in_loop();
	return NULL;
}

static void
a_thread_waits(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, waits_beside, NULL) == 0)
		pthread_join(t, NULL);
}

static void
a_child_polls(void)
{
	pid_t pid = fork();

	if (pid == 0)
		wait_in_poll(STDIN_FILENO, POLLIN, -1);
	else
		waitpid(pid, NULL, 0);
}

static void
selects_the_time(void)
{
	struct timeval tv = { .tv_sec = 60 };

	select(0, NULL, NULL, NULL, &tv);
}

static void
selects_another(void)
{
	int fd = own_pipe();
	fd_set set, writes;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	FD_ZERO(&writes);
	select(fd + 1, &set, &writes, NULL, NULL);
}

static void
polls_another(void)
{
	wait_in_poll(own_pipe(), POLLIN, -1);
}

static void
polls_for_errors(void)
{
	wait_in_poll(STDIN_FILENO, POLLPRI, -1);
}

static void
waits_in_another_loop(void)
{
	loop_of(STDIN_FILENO, EPOLLIN);		/* not in this one */
	wait_in_loop(loop_of(own_pipe(), EPOLLIN), -1);
}

static void
has_taken_it_out(void)
{
	wait_in_loop(loop_of(STDIN_FILENO, 0), -1);
}

static void
sleeps(void)
{
	sleep(60);
}

static void
has_a_ring(void)
{
	char params[120] = { 0 };

	/* Where there is none this is not tried, see can_have_a_ring(). */
	must((int)syscall(SYS_io_uring_setup, 1, params));
	wait_in_loop(loop_of(own_pipe(), EPOLLIN), -1);
}

static void
waits_in_a_ring(void)
{
	char params[120] = { 0 };
	int ring = must((int)syscall(SYS_io_uring_setup, 1, params));

	syscall(SYS_io_uring_enter, ring, 0, 1, 1, NULL, 0);
}

static void
accepts_elsewhere(void)
{
	accept(listens_itself(), NULL, NULL);
}

static void
polls_elsewhere(void)
{
	wait_in_poll(listens_on_a_file(), POLLIN, -1);
}

/* As event loops have it: something to wake themselves by. */
static void
loops_elsewhere(void)
{
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	must(eventfd(0, 0));
	wait_in_loop(loop_of(listens_itself(), EPOLLIN), -1);
}

static void
loops_elsewhere_for_a_while(void)
{
	wait_in_loop(loop_of(listens_itself(), EPOLLIN), 30000);
}

static void
polls_elsewhere_for_a_while(void)
{
	wait_in_poll(listens_itself(), POLLIN, 30000);
}

static void
listens_and_waits_for_the_clock(void)
{
	listens_itself();
	poll(NULL, 0, 30000);
}

static void
loops_elsewhere_and_has_a_timer(void)
{
	must(timerfd_create(CLOCK_MONOTONIC, 0));
	wait_in_loop(loop_of(listens_itself(), EPOLLIN), -1);
}

/* Its database has not answered yet. */
static void
loops_elsewhere_and_asks(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = must(socket(AF_INET, SOCK_STREAM, 0));

	must(getsockname(listens_itself(), (struct sockaddr *)&in, &len));
	must(connect(fd, (struct sockaddr *)&in, len));
	wait_in_loop(loop_of(listens_itself(), EPOLLIN), -1);
}

/* The test's side */

#define SLEEP(work, found)	{ #work, work, found, false }

static const struct sleep {
	const char	*name;
	void		(*work)(void);
	enum readiness	 found;
	bool		 ring;
} sleeps_in[] = {
	SLEEP(accepts, READY_YES),
	SLEEP(accepts_on_another_number, READY_YES),
	SLEEP(polls, READY_YES),
	SLEEP(polls_with_a_limit, READY_YES),
	SLEEP(selects, READY_YES),
	SLEEP(waits_in_loop, READY_YES),
	SLEEP(waits_in_a_loop_of_a_loop, READY_YES),
	SLEEP(a_thread_waits, READY_YES),
	SLEEP(a_child_polls, READY_YES),
	SLEEP(selects_the_time, READY_NO),
	SLEEP(selects_another, READY_NO),
	SLEEP(polls_another, READY_NO),
	SLEEP(polls_for_errors, READY_NO),
	SLEEP(waits_in_another_loop, READY_NO),
	SLEEP(has_taken_it_out, READY_NO),
	SLEEP(sleeps, READY_NO),
	SLEEP(loops_elsewhere_for_a_while, READY_ELSEWHERE_YET),
	SLEEP(polls_elsewhere_for_a_while, READY_ELSEWHERE_YET),
	SLEEP(listens_and_waits_for_the_clock, READY_NO),
	SLEEP(loops_elsewhere_and_has_a_timer, READY_NO),
	SLEEP(loops_elsewhere_and_asks, READY_NO),
	SLEEP(accepts_elsewhere, READY_ELSEWHERE),
	SLEEP(polls_elsewhere, READY_ELSEWHERE),
	SLEEP(loops_elsewhere, READY_ELSEWHERE),
	{ "has_a_ring", has_a_ring, READY_ASSUMED, true },
	{ "waits_in_a_ring", waits_in_a_ring, READY_ASSUMED, true },
};

static bool
can_have_a_ring(void)
{
	char params[120] = { 0 };
	long fd = syscall(SYS_io_uring_setup, 1, params);

	if (fd >= 0)
		close((int)fd);
	return fd >= 0;
}

static void
start(void (*work)(void))
{
	assert_int_not_equal(worker = fork(), -1);
	if (worker != 0)
		return;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* of a test that failed */
	closefrom(STDERR_FILENO + 1);
	work();
	_exit(1);
}

static void
finish(void)
{
	setpgid(worker, worker);
	kill(-worker, SIGKILL);
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
}

static void
await_rest(void)
{
	uint64_t began = loop_now(), cpu = 0;
	unsigned int same = 0;
	struct view v;

	while (same < 10) {
		assert_true(loop_now() - began < PATIENCE);
		usleep(2000);
		same = proc_view(worker, diag_listener(), true, &v) == 0 &&
		    v.asleep && v.cpu == cpu ? same + 1 : 0;
		cpu = v.cpu;
	}
}

/*
 * What the looks settle at, which is to be `wanted`. With other load the looker
 * may answer late.
 */
static enum readiness
readiness_of(enum readiness wanted)
{
	struct probe_state probe = { 0 };
	uint64_t began, now = 1000 * USEC;
	enum readiness found = READY_UNKNOWN;
	int i;

	await_rest();
	for (i = 0; i < 5; i++, now += USEC / 20)
		found = observe_readiness(worker, YOUNG, now, &probe);
	began = loop_now();
	while (found != wanted && loop_now() - began < PATIENCE) {
		usleep(2000);
		found = observe_readiness(worker, YOUNG,
		    now + loop_now() - began, &probe);
	}
	return found;
}

static void
is_ready_if_it_waits_for_connections(void **arg)
{
	enum readiness found;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(sleeps_in) / sizeof(sleeps_in[0]); i++) {
		if (sleeps_in[i].ring && !can_have_a_ring())
			continue;
		start(sleeps_in[i].work);
		found = readiness_of(sleeps_in[i].found);
		finish();
		if (found != sleeps_in[i].found)
			fail_msg("%s: %d, not %d", sleeps_in[i].name,
			    (int)found, (int)sleeps_in[i].found);
	}
}

static void
one_that_listens_itself_is_known(void **arg)
{
	(void)arg;
	start(loops_elsewhere_for_a_while);
	assert_int_equal(readiness_of(READY_ELSEWHERE_YET),
	    READY_ELSEWHERE_YET);
	assert_true(observe_listens(worker));
	finish();
	start(polls);
	assert_int_equal(readiness_of(READY_YES), READY_YES);
	assert_false(observe_listens(worker));
	finish();
}

/* What the program says it waits for is its own affair. */
static void
a_set_that_is_not_there_is_unknown(void **arg)
{
	struct looker_question q = { .what = LOOKER_LISTENS };
	uint64_t value = LISTENS_YES;
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	(void)arg;
	assert_int_not_equal(memory, -1);
	q.wait = (struct wait){ .tid = getpid(), .epoll = -1, .set = 8,
	    .n = 1 };
	assert_true(looker_ask(&q, &value));	/* with no memory */
	assert_int_equal(value, LISTENS_UNKNOWN);
	value = LISTENS_YES;
	q.memory = memory;
	assert_true(looker_ask(&q, &value));
	assert_int_equal(value, LISTENS_UNKNOWN);
	q.wait.n = UINT64_MAX / 8 + 2;
	value = LISTENS_YES;
	assert_true(looker_ask(&q, &value));
	assert_int_equal(value, LISTENS_UNKNOWN);
	q.wait.bits = true;
	value = LISTENS_YES;
	assert_true(looker_ask(&q, &value));
	assert_int_equal(value, LISTENS_UNKNOWN);
	close(memory);
}

/* One that does not answer makes nobody ready who may yet fail to start. */
static void
what_was_not_answered_is_waited_for(void **arg)
{
	struct probe_state probe = { 0 };
	uint64_t now = 1000 * USEC;
	pid_t list[CHILDREN_MAX];
	enum readiness found;
	int i, n;

	(void)arg;
	start(polls_another);
	assert_int_equal(readiness_of(READY_NO), READY_NO);
	n = proc_children(getpid(), list, CHILDREN_MAX);
	for (i = 0; i < n && !looker_is(list[i]); i++)
		continue;
	assert_true(i < n);
	kill(list[i], SIGSTOP);
	assert_int_equal(waitid(P_PID, (id_t)list[i], &(siginfo_t){ 0 },
	    WSTOPPED), 0);
	assert_int_equal(observe_readiness(worker, YOUNG, now, &probe),
	    READY_UNKNOWN);
	assert_int_equal(observe_readiness(worker, YOUNG, now + USEC - 1,
	    &probe), READY_UNKNOWN);
	/* A look that took long is not repeated at once. */
	now += USEC;
	while ((found = observe_readiness(worker, YOUNG, now, &probe)) ==
	    READY_UNKNOWN && now < 1010 * USEC)
		now += USEC / 10;
	assert_int_equal(found, READY_ASSUMED);
	kill(list[i], SIGCONT);
	assert_int_equal(readiness_of(READY_NO), READY_NO);
	finish();
}

/* Whoever is stopped may be anywhere: also an event loop, which polls. */
static void
one_that_is_stopped_does_not_accept(void **arg)
{
	(void)arg;
	start(accepts);
	await_rest();
	assert_true(observe_accepts(worker));
	kill(worker, SIGSTOP);
	assert_int_equal(waitid(P_PID, (id_t)worker, &(siginfo_t){ 0 },
	    WSTOPPED), 0);
	assert_false(observe_accepts(worker));
	kill(worker, SIGCONT);
	await_rest();
	assert_true(observe_accepts(worker));
	finish();
}

static int
set_up(void **arg)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct guarantees g = { .proc = false };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)arg;
	if (tmp_make(arg) == -1)
		return -1;
	strlcpy(un.sun_path, tmp_path("sock"), sizeof(un.sun_path));
	if (fd == -1 || bind(fd, (struct sockaddr *)&un, sizeof(un)) == -1 ||
	    listen(fd, 8) == -1 || dup2(fd, STDIN_FILENO) == -1)
		return -1;
	close(fd);
	observe_init(&g);
	return g.proc && g.queue ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_ready_if_it_waits_for_connections),
		cmocka_unit_test(one_that_listens_itself_is_known),
		cmocka_unit_test(a_set_that_is_not_there_is_unknown),
		cmocka_unit_test(what_was_not_answered_is_waited_for),
		cmocka_unit_test(one_that_is_stopped_does_not_accept),
	};

	return cmocka_run_group_tests(tests, set_up, tmp_remove);
}
