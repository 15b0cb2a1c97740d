/* SPDX-License-Identifier: ISC */
/*
 * The calls of a process behind its door: they are interrupted without an
 * effect, and tell when a request is answered.
 */
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "child.h"
#include "observe/skip.h"

#define ROUNDS		100

static int child_socket[2];		/* its first end; ours */

/* Ends with 0 if it is woken, and by nothing else. */
static void
waits_in_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd = epoll_create1(0);

	signal(SIGUSR1, SIG_IGN);
	if (epoll_ctl(fd, EPOLL_CTL_ADD, child_wakes[0], &e) == -1)
		_exit(3);
	_exit(epoll_wait(fd, &e, 1, -1) == 1 ? 0 : 4);
}

/* The same, by one short wait after another. */
static void
waits_shortly_in_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd = epoll_create1(0), n;

	if (epoll_ctl(fd, EPOLL_CTL_ADD, child_wakes[0], &e) == -1)
		_exit(3);
	while ((n = epoll_wait(fd, &e, 1, 1)) == 0)
		continue;
	_exit(n == 1 ? 0 : 4);
}

/* Its poll(2) must not go on by restart_syscall(2). */
static void
waits_in_filtered_poll(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_restart_syscall, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };
	struct pollfd p = { .fd = child_wakes[0], .events = POLLIN };

	signal(SIGUSR1, SIG_IGN);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
		_exit(3);
	_exit(poll(&p, 1, 60000) == 1 ? 0 : 4);
}

/* A call that is not to be interrupted, and fails with EINTR if it is. */
static void
waits_to_write(void)
{
	const struct timeval limit = { .tv_sec = 60 };
	int size = 1;

	if (setsockopt(child_socket[0], SOL_SOCKET, SO_SNDTIMEO, &limit,
	    sizeof(limit)) == -1 || setsockopt(child_socket[0], SOL_SOCKET,
	    SO_SNDBUF, &size, sizeof(size)) == -1)
		_exit(3);
	while (send(child_socket[0], "x", 1, MSG_DONTWAIT) == 1)
		continue;
	_exit(write(child_socket[0], "x", 1) == 1 ? 0 : 4);
}

static void
do_nothing(int signo)
{
	(void)signo;
}

/* As keeps(), by an event loop that wants to hear of its signals. */
static void
loops(void)
{
	static const char answer[] = "\1\3\0\1\0\10\0\0" "\0\0\0\0\0\0\0";
	struct epoll_event e = { .events = EPOLLIN };
	int fd = accept(STDIN_FILENO, NULL, NULL), ep = epoll_create1(0), n;
	char c;

	signal(SIGTERM, do_nothing);	/* which has SA_RESTART */
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == -1)
		_exit(3);
	while ((n = epoll_wait(ep, &e, 1, -1)) == 1) {
		if (read(fd, &c, 1) != 1 ||
		    write(fd, answer, sizeof(answer)) != sizeof(answer))
			_exit(3);
	}
	_exit(n == -1 && errno == EINTR ? 0 : 4);
}

/* Answers each byte of one connection; the end of an answer comes last. */
static void
keeps(void)
{
	static const char answer[] = "1234567890"
	    "\1\3\0\1\0\10\0\0" "\0\0\0\0\0\0\0";	/* and a NUL */
	int fd = accept(STDIN_FILENO, NULL, NULL);
	char c;

	while (read(fd, &c, 1) == 1) {
		if (write(fd, answer, sizeof(answer)) != sizeof(answer))
			_exit(3);
	}
	_exit(4);
}

/* As keeps(), and closes the connection as libfcgi does, with a last word. */
static void
lingers(void)
{
	struct sigaction sa = { .sa_handler = do_nothing };
	static const char answer[] = "1234567890"
	    "\1\3\0\1\0\10\0\0" "\0\0\0\0\0\0\0";
	int fd = accept(STDIN_FILENO, NULL, NULL);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	sigaction(SIGTERM, &sa, NULL);
	while (read(fd, &c, 1) == 1) {
		if (write(fd, answer, sizeof(answer)) != sizeof(answer))
			_exit(3);
	}
	if (errno != EINTR || shutdown(fd, SHUT_WR) == -1)
		_exit(4);
	while (poll(&p, 1, -1) == 1 && read(fd, &c, 1) == 1)
		continue;
	/* Another one only reads. */
	_exit(read(fd, &c, 1) == 0 ? 0 : 5);
}

static void
is_not_disturbed(void (*work)(void), int kind)
{
	uint64_t end = loop_now() + PATIENCE;

	if (!skip_restarts())
		skip();
	child_begin(work);
	while (!child_sleeps_in(kind) && loop_now() < end)
		child_reap(200);
	child_close_door();
	child_reap(5000);
	assert_int_equal(child_ended, -1);
	/* Again, while it is followed from call to call. */
	while (door_pause(child) != DOOR_PAUSED && child_ended == -1 &&
	    loop_now() < end)
		child_reap(200);
	door_go_on(child);
	child_reap(5000);
	assert_int_equal(child_ended, -1);
	/* And when the door is opened before it has stopped for that. */
	(void)door_pause(child);
	door_open(child);
	child_reap(5000);
	assert_int_equal(child_ended, -1);
	assert_int_equal(write(child_wakes[1], "x", 1), 1);
	while (child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_ended, 0);
	child_finish();
}

static void
an_interrupted_epoll_begins_anew(void **arg)
{
	(void)arg;
	is_not_disturbed(waits_in_epoll, CALL_EPOLL);
}

/* Let go between two calls, or at the beginning or the end of one. */
static void
a_task_is_let_go_without_an_interrupt(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	unsigned int i;

	(void)arg;
	if (!skip_restarts())
		skip();
	child_begin(waits_shortly_in_epoll);
	for (i = 0; i < ROUNDS && child_ended == -1; i++) {
		child_close_door();
		while (door_pause(child) != DOOR_PAUSED &&
		    child_ended == -1 && loop_now() < end)
			child_reap(100);
		door_go_on(child);
		child_reap(100UL * (i % 20));
		door_open(child);
		child_reap(500);
	}
	assert_int_equal(write(child_wakes[1], "x", 1), 1);
	while (child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_ended, 0);
	child_finish();
}

static void
a_filter_need_not_know_of_restarts(void **arg)
{
	(void)arg;
	is_not_disturbed(waits_in_filtered_poll, CALL_POLL);
}

/* Nobody but a tracer would see these arrive: they are ignored. */
static void
is_not_disturbed_by_signals(void (*work)(void), int kind)
{
	static const int ignored[] = { SIGCHLD, SIGURG, SIGWINCH, SIGCONT,
	    SIGUSR1 };
	uint64_t end = loop_now() + PATIENCE;
	size_t i;

	if (!skip_restarts())
		skip();
	child_begin(work);
	while (!child_sleeps_in(kind) && loop_now() < end)
		child_reap(200);
	child_close_door();
	for (i = 0; i < 3 * sizeof(ignored) / sizeof(ignored[0]); i++) {
		assert_int_equal(kill(child, ignored[i / 3]), 0);
		child_reap(5000);
		assert_int_equal(child_ended, -1);
	}
	assert_int_equal(write(child_wakes[1], "x", 1), 1);
	while (child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_ended, 0);
	child_finish();
}

static void
an_ignored_signal_does_not_end_an_epoll(void **arg)
{
	(void)arg;
	is_not_disturbed_by_signals(waits_in_epoll, CALL_EPOLL);
}

static void
an_ignored_signal_does_not_end_a_poll(void **arg)
{
	(void)arg;
	is_not_disturbed_by_signals(waits_in_filtered_poll, CALL_POLL);
}

/* It is traced, and has not come to a stop of ours yet. */
static void
nor_does_it_end_a_write_that_is_left_alone(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	char buf[4096];
	int i;

	(void)arg;
	if (!skip_restarts())
		skip();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, child_socket), 0);
	child_begin(waits_to_write);
	while (!child_sleeps_in(CALL_WRITE) && loop_now() < end)
		child_reap(200);
	assert_int_equal(door_close(child, false, false, false), DOOR_CLOSING);
	for (i = 0; i < 3; i++) {
		assert_int_equal(kill(child, SIGCHLD), 0);
		child_reap(5000);
		assert_int_equal(child_ended, -1);
	}
	while (child_ended == -1 && loop_now() < end) {
		(void)recv(child_socket[1], buf, sizeof(buf), MSG_DONTWAIT);
		child_reap(200);
	}
	assert_int_equal(child_ended, 0);
	child_finish();
	close(child_socket[0]);
	close(child_socket[1]);
}

/* Known from the calls that were seen, and not from a pause. */
static void
an_answered_connection_is_quiet(void **arg)
{
	struct probe_state s = { .cpu = 0 };
	uint64_t end = loop_now() + PATIENCE;
	int fd;

	(void)arg;
	child_begin(keeps);
	fd = client_connect();
	while (!child_sleeps_in(CALL_READ) && loop_now() < end)
		child_reap(200);
	child_close_door();
	assert_int_equal(child_holds(&s), HOLDS_BUSY);
	assert_int_equal(write(fd, "x", 1), 1);
	while (door_came() != child && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_holds(&s), HOLDS_QUIET);
	/* The next request is there already. */
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(child_holds(&s), HOLDS_BUSY);
	door_go_on(child);
	while (door_came() != child && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_holds(&s), HOLDS_QUIET);
	door_signal(child, SIGTERM);
	while (child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_ended, SIGTERM);
	close(fd);
	child_finish();
}

/* It waits for the next request when it is told, and ends by itself. */
static void
is_told(void (*work)(void), int kind)
{
	struct probe_state s = { .cpu = 0 };
	uint64_t end = loop_now() + PATIENCE;
	int fd;

	if (kind == CALL_EPOLL && !skip_restarts())
		skip();
	child_begin(work);
	fd = client_connect();
	while (!child_sleeps_in(kind) && loop_now() < end)
		child_reap(200);
	child_close_door();
	assert_int_equal(write(fd, "x", 1), 1);
	while (door_came() != child && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_holds(&s), HOLDS_QUIET);
	door_signal(child, SIGTERM);
	while (child_ended == -1 && loop_now() < end) {
		child_reap(200);
		(void)door_check(child);
	}
	assert_int_equal(child_ended, 0);
	close(fd);
	child_finish();
}

static void
a_paused_event_loop_sees_its_signal(void **arg)
{
	(void)arg;
	is_told(loops, CALL_EPOLL);
}

/* Some clients close it only when they want to use it again. */
static void
nobody_who_was_told_waits_for_a_client(void **arg)
{
	(void)arg;
	is_told(lingers, CALL_READ);
}

/*
 * Who lingers would read the next request of a client that has not heard yet,
 * and throw it away. Unread, it is sent back with the connection.
 */
static void
nobody_who_was_told_reads_another_request(void **arg)
{
	struct probe_state s = { .cpu = 0 };
	uint64_t end = loop_now() + PATIENCE;
	char buf[64];
	ssize_t n;
	int fd;

	(void)arg;
	child_begin(lingers);
	fd = client_connect();
	while (!child_sleeps_in(CALL_READ) && loop_now() < end)
		child_reap(200);
	child_close_door();
	assert_int_equal(write(fd, "x", 1), 1);
	while (door_came() != child && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_holds(&s), HOLDS_QUIET);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		continue;
	door_signal(child, SIGTERM);
	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) == -1 &&
	    errno == EAGAIN && loop_now() < end)
		child_reap(200);
	assert_int_equal(n, 0);
	(void)send(fd, "x", 1, MSG_NOSIGNAL);
	while (child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_ended, 0);
	close(fd);
	child_finish();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupted_epoll_begins_anew),
		cmocka_unit_test(a_task_is_let_go_without_an_interrupt),
		cmocka_unit_test(a_filter_need_not_know_of_restarts),
		cmocka_unit_test(an_ignored_signal_does_not_end_an_epoll),
		cmocka_unit_test(an_ignored_signal_does_not_end_a_poll),
		cmocka_unit_test(nor_does_it_end_a_write_that_is_left_alone),
		cmocka_unit_test(an_answered_connection_is_quiet),
		cmocka_unit_test(a_paused_event_loop_sees_its_signal),
		cmocka_unit_test(nobody_who_was_told_waits_for_a_client),
		cmocka_unit_test(nobody_who_was_told_reads_another_request),
	};

	if (child_listen() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
