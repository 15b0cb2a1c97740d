/* SPDX-License-Identifier: ISC */
/* The door of a real process, see observe/door_linux.c. */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/skip.h"
#include "unit.h"

#define PATIENCE	(10 * USEC)
#define ROUNDS		200
#define LOOKS		100

static struct sockaddr_in address;
static pid_t child;
static int ended;			/* its si_status, or -1: it lives */
static int wakes[2];			/* a pipe to it */
static volatile pid_t *grandchild;	/* shared with it */

static void *
short_thread(void *arg)
{
	return arg;
}

/* One thread after another, for as long as it lives. */
static void
makes_threads(void)
{
	pthread_t t;

	for (;;) {
		if (pthread_create(&t, NULL, short_thread, NULL) != 0)
			_exit(1);
		pthread_join(t, NULL);
	}
}

/* Answers each connection with a byte, and takes the next. */
static void
serves(void)
{
	int fd;

	while ((fd = accept(STDIN_FILENO, NULL, NULL)) != -1) {
		if (write(fd, "x", 1) != 1)
			_exit(1);
		close(fd);
	}
	_exit(2);
}

/* It has a connection nearly always, but never for long. */
static void
serves_slowly(void)
{
	int fd;

	while ((fd = accept(STDIN_FILENO, NULL, NULL)) != -1) {
		usleep(200);
		close(fd);
	}
	_exit(2);
}

/* Ends with 0 if it is woken, and by nothing else. */
static void
waits_in_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd = epoll_create1(0);

	if (epoll_ctl(fd, EPOLL_CTL_ADD, wakes[0], &e) == -1)
		_exit(3);
	_exit(epoll_wait(fd, &e, 1, -1) == 1 ? 0 : 4);
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
	struct pollfd p = { .fd = wakes[0], .events = POLLIN };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
		_exit(3);
	_exit(poll(&p, 1, 60000) == 1 ? 0 : 4);
}

static void
pass_on(int signo)
{
	kill(*grandchild, signo);
}

/* Serves nobody itself, and passes TERM on. */
static void
leads(void)
{
	pid_t pid = fork();

	if (pid == 0)
		serves();
	*grandchild = pid;
	signal(SIGTERM, pass_on);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		continue;
	_exit(0);
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

static volatile sig_atomic_t stops;

static void
note_stop(int signo)
{
	(void)signo;
	stops = 1;
}

static void *
accept_until_stop(void *arg)
{
	while (!stops)
		close(accept(STDIN_FILENO, NULL, NULL));
	return arg;
}

/* Each thread accepts, and only one of them meets the signal. */
static void
has_threads(void)
{
	pthread_t threads[4];
	size_t i;

	signal(SIGTERM, note_stop);		/* which has SA_RESTART */
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, accept_until_stop, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* A socket over which one descriptor at a time is handed. */
static void
hand(int over, int fd)
{
	union {
		struct cmsghdr	 h;
		char		 space[CMSG_SPACE(sizeof(int))];
	} u = { .h = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	    .cmsg_len = CMSG_LEN(sizeof(int)) } };
	char c = 'x';
	struct iovec v = { .iov_base = &c, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
	    .msg_control = &u, .msg_controllen = sizeof(u) };

	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	if (sendmsg(over, &m, 0) != 1)
		_exit(3);
	close(fd);
}

static int
take(int over)
{
	union {
		struct cmsghdr	 h;
		char		 space[CMSG_SPACE(sizeof(int))];
	} u;
	char c;
	struct iovec v = { .iov_base = &c, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
	    .msg_control = &u, .msg_controllen = sizeof(u) };
	int fd;

	if (recvmsg(over, &m, 0) != 1 || m.msg_controllen == 0)
		_exit(3);
	memcpy(&fd, CMSG_DATA(&u.h), sizeof(fd));
	return fd;
}

/* Two processes, between which one connection goes to and fro. */
static void
hands_on(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		_exit(3);
	if (fork() == 0)
		close(ends[0]);
	else {
		close(ends[1]);
		ends[1] = ends[0];
		hand(ends[1], accept(STDIN_FILENO, NULL, NULL));
	}
	for (;;)
		hand(ends[1], take(ends[1]));
}

static pid_t
start(void (*work)(void))
{
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0) {
		alarm(60);
		work();
		_exit(0);
	}
	return pid;
}

static void
begin(void (*work)(void))
{
	ended = -1;
	assert_int_equal(pipe(wakes), 0);
	child = start(work);
}

/* Tells the door of all that waitid(2) has, for so many microseconds. */
static void
reap(uint64_t usec)
{
	uint64_t end = loop_now() + usec;
	siginfo_t info;
	int status;

	do {
		info = (siginfo_t){ .si_pid = 0 };
		if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED |
		    WNOHANG) == -1)
			return;		/* there is no child any more */
		status = info.si_status;
		if (info.si_pid == child && info.si_code != CLD_STOPPED &&
		    info.si_code != CLD_TRAPPED)
			ended = status;
		if (info.si_pid == 0)
			usleep(50);
		else
			(void)door_take(info.si_pid, info.si_code ==
			    CLD_STOPPED || info.si_code == CLD_TRAPPED,
			    &status);
	} while (loop_now() < end);
}

static void
close_door(void)
{
	uint64_t end = loop_now() + PATIENCE;
	enum door_state s = door_close(child, false, false);

	while (s == DOOR_CLOSING && loop_now() < end) {
		reap(200);
		s = door_check(child);
	}
	assert_int_not_equal(s, DOOR_REFUSED);
	assert_int_not_equal(s, DOOR_CLOSING);
}

static bool
is_traced(pid_t tid)
{
	char path[64], buf[4096];

	snprintf(path, sizeof(path), "%d/task/%d/status", (int)child,
	    (int)tid);
	return proc_read(path, buf, sizeof(buf)) > 0 &&
	    parse_field(buf, "TracerPid") > 0;
}

static void
stop(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		continue;
}

static void
finish(void)
{
	stop(child);
	close(wakes[0]);
	close(wakes[1]);
}

/* Is it in that call by now? */
static bool
sleeps_in(int kind)
{
	char path[32], buf[256];

	snprintf(path, sizeof(path), "%d/syscall", (int)child);
	return proc_read(path, buf, sizeof(buf)) > 0 &&
	    (int)parse_call(buf).kind == kind;
}

static bool
any_is_traced(void)
{
	int tids[64], i, n = proc_tasks(child, tids, 64);

	for (i = 0; i < n; i++) {
		if (is_traced(tids[i]))
			return true;
	}
	return false;
}

/* Whenever it is opened, a thread may just be made. */
static void
an_open_door_keeps_no_thread(void **arg)
{
	uint64_t end;
	int i;

	(void)arg;
	begin(makes_threads);
	for (i = 0; i < ROUNDS; i++) {
		close_door();
		door_open(child);
		end = loop_now() + PATIENCE;
		do
			reap(200);
		while (any_is_traced() && loop_now() < end);
		assert_false(any_is_traced());
	}
	finish();
}

static int
client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	return fd;
}

static bool
is_answered(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void
nobody_comes_in_until_it_is_opened(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int first, second;

	(void)arg;
	begin(serves);
	first = client();
	assert_true(is_answered(first, 10000));
	close_door();
	second = client();
	while (door_came() != child && loop_now() < end)
		reap(200);
	reap(20000);
	assert_false(is_answered(second, 0));
	door_open(child);
	while (!is_answered(second, 0) && loop_now() < end)
		reap(200);
	assert_true(is_answered(second, 0));
	close(first);
	close(second);
	finish();
}

static void
is_not_disturbed(void (*work)(void), int kind)
{
	uint64_t end = loop_now() + PATIENCE;

	if (!skip_restarts())
		skip();
	begin(work);
	while (!sleeps_in(kind) && loop_now() < end)
		reap(200);
	close_door();
	reap(5000);
	assert_int_equal(ended, -1);
	/* Again, while it is followed from call to call. */
	while (door_pause(child) != DOOR_PAUSED && ended == -1 &&
	    loop_now() < end)
		reap(200);
	door_go_on(child);
	reap(5000);
	assert_int_equal(ended, -1);
	/* And when the door is opened before it has stopped for that. */
	(void)door_pause(child);
	door_open(child);
	reap(5000);
	assert_int_equal(ended, -1);
	assert_int_equal(write(wakes[1], "x", 1), 1);
	while (ended == -1 && loop_now() < end)
		reap(200);
	assert_int_equal(ended, 0);
	finish();
}

static void
an_interrupted_epoll_begins_anew(void **arg)
{
	(void)arg;
	is_not_disturbed(waits_in_epoll, CALL_EPOLL);
}

static void
a_filter_need_not_know_of_restarts(void **arg)
{
	(void)arg;
	is_not_disturbed(waits_in_filtered_poll, CALL_POLL);
}

/* The first process is told; what it tells others these meet at the door. */
static void
a_tree_is_kept_and_told_as_one(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int first, second;

	(void)arg;
	*grandchild = 0;
	begin(leads);
	first = client();
	assert_true(is_answered(first, 10000));
	while (*grandchild == 0 && loop_now() < end)
		usleep(100);
	close_door();
	second = client();
	while (door_came() != child && loop_now() < end)
		reap(200);
	assert_true(door_is_closed(*grandchild));
	door_tell(child, SIGTERM);
	while (ended == -1 && loop_now() < end) {
		reap(200);
		(void)door_check(child);
	}
	assert_int_equal(ended, 0);
	assert_int_equal(kill(*grandchild, 0), -1);
	assert_false(is_answered(second, 0));
	close(accept(STDIN_FILENO, NULL, NULL));
	close(first);
	close(second);
	finish();
}

static enum holds
holds(struct probe_state *s)
{
	struct activity x;

	observe_tree(child, 60 * USEC, loop_now(), s, &x);
	return x.holds;
}

/* One short request after another; what is not read leaves no TIME_WAIT. */
static void
asks(void)
{
	char c;
	int fd;

	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&address,
		    sizeof(address)) == 0 && write(fd, "x", 1) == 1)
			(void)!read(fd, &c, 1);
		close(fd);
	}
}

/* Theirs end while they are looked for, and are not on their way. */
static void
what_others_have_served_is_not_underway(void **arg)
{
	struct probe_state s = { .cpu = 0 };
	uint64_t end = loop_now() + PATIENCE;
	pid_t other, clients;
	int i, busy = 0, fd;

	(void)arg;
	*grandchild = 0;
	begin(leads);
	fd = client();
	assert_true(is_answered(fd, 10000));
	while (*grandchild == 0 && loop_now() < end)
		usleep(100);
	close_door();
	other = start(serves_slowly);
	clients = start(asks);
	for (i = 0; i < LOOKS; i++) {
		reap(0);
		busy += holds(&s) == HOLDS_BUSY;
	}
	/* One may have been seen in the middle of its accept(2). */
	assert_in_range(busy, 0, LOOKS / 20);
	stop(clients);
	stop(other);
	close(fd);
	finish();
}

/* Whoever of them has it when: it is theirs. */
static void
a_connection_that_is_handed_on_is_never_missed(void **arg)
{
	struct probe_state s = { .cpu = 0 };
	uint64_t end = loop_now() + PATIENCE;
	int i, fd;

	(void)arg;
	begin(hands_on);
	fd = client();
	while (holds(&s) != HOLDS_BUSY && loop_now() < end)
		usleep(100);
	for (i = 0; i < LOOKS; i++) {
		/* It takes that for another's if it lasts for too long. */
		s.underway = 0;
		assert_int_equal(holds(&s), HOLDS_BUSY);
	}
	close(fd);
	finish();
}

/* Known from the calls that were seen, and not from a pause. */
static void
an_answered_connection_is_quiet(void **arg)
{
	struct probe_state s = { .cpu = 0 };
	uint64_t end = loop_now() + PATIENCE;
	int fd;

	(void)arg;
	begin(keeps);
	fd = client();
	while (!sleeps_in(CALL_READ) && loop_now() < end)
		reap(200);
	close_door();
	assert_int_equal(holds(&s), HOLDS_BUSY);
	assert_int_equal(write(fd, "x", 1), 1);
	while (door_came() != child && loop_now() < end)
		reap(200);
	assert_int_equal(holds(&s), HOLDS_QUIET);
	/* The next request is there already. */
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(holds(&s), HOLDS_BUSY);
	door_go_on(child);
	while (door_came() != child && loop_now() < end)
		reap(200);
	assert_int_equal(holds(&s), HOLDS_QUIET);
	door_tell(child, SIGTERM);
	while (ended == -1 && loop_now() < end)
		reap(200);
	assert_int_equal(ended, SIGTERM);
	close(fd);
	finish();
}

/* It waits for the next request when it is told, and ends by itself. */
static void
is_told(void (*work)(void), int kind)
{
	struct probe_state s = { .cpu = 0 };
	uint64_t end = loop_now() + PATIENCE;
	int fd;

	begin(work);
	fd = client();
	while (!sleeps_in(kind) && loop_now() < end)
		reap(200);
	close_door();
	assert_int_equal(write(fd, "x", 1), 1);
	while (door_came() != child && loop_now() < end)
		reap(200);
	assert_int_equal(holds(&s), HOLDS_QUIET);
	door_tell(child, SIGTERM);
	while (ended == -1 && loop_now() < end) {
		reap(200);
		(void)door_check(child);
	}
	assert_int_equal(ended, 0);
	close(fd);
	finish();
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

static void
each_thread_hears_that_it_was_told(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int tids[64];

	(void)arg;
	begin(has_threads);
	close_door();
	while ((proc_tasks(child, tids, 64) != 5 || !door_is_held(child)) &&
	    loop_now() < end) {
		reap(200);
		(void)door_check(child);
	}
	door_tell(child, SIGTERM);
	while (ended == -1 && loop_now() < end) {
		reap(200);
		(void)door_check(child);
	}
	assert_int_equal(ended, 0);
	finish();
}

/* Nobody can connect any more after this one. */
static void
nobody_hears_that_the_socket_is_shut(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int fd;

	(void)arg;
	begin(serves);
	assert_int_equal(door_close(child, true, false) == DOOR_REFUSED, 0);
	reap(2000);
	fd = client();
	while (!is_answered(fd, 0) && loop_now() < end)
		reap(200);
	assert_true(is_answered(fd, 0));
	while (door_check(child) != DOOR_CLOSED && loop_now() < end)
		reap(200);
	/* Its accept goes on, and waits for somebody. */
	while (!door_is_held(child) && loop_now() < end)
		reap(200);
	assert_true(door_is_held(child));
	assert_int_equal(shutdown(STDIN_FILENO, SHUT_RD), 0);
	while (!door_is_held(child) && ended == -1 && loop_now() < end)
		reap(200);
	assert_true(door_is_held(child));
	assert_int_equal(ended, -1);
	door_tell(child, SIGTERM);
	while (ended == -1 && loop_now() < end)
		reap(200);
	assert_int_equal(ended, SIGTERM);
	close(fd);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_door_keeps_no_thread),
		cmocka_unit_test(nobody_comes_in_until_it_is_opened),
		cmocka_unit_test(an_interrupted_epoll_begins_anew),
		cmocka_unit_test(a_filter_need_not_know_of_restarts),
		cmocka_unit_test(a_tree_is_kept_and_told_as_one),
		cmocka_unit_test(what_others_have_served_is_not_underway),
		cmocka_unit_test(
		    a_connection_that_is_handed_on_is_never_missed),
		cmocka_unit_test(an_answered_connection_is_quiet),
		cmocka_unit_test(a_paused_event_loop_sees_its_signal),
		cmocka_unit_test(nobody_who_was_told_waits_for_a_client),
		cmocka_unit_test(each_thread_hears_that_it_was_told),
		cmocka_unit_test(nobody_hears_that_the_socket_is_shut),
	};
	socklen_t len = sizeof(address);
	struct guarantees g;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	grandchild = mmap(NULL, sizeof(*grandchild), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if ((void *)grandchild == MAP_FAILED)
		return 1;
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&address, len) == -1 ||
	    listen(fd, 8) == -1 || getsockname(fd,
	    (struct sockaddr *)&address, &len) == -1 ||
	    dup2(fd, STDIN_FILENO) == -1)
		return 1;
	close(fd);
	observe_init(&g);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
