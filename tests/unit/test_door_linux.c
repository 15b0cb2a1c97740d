/* SPDX-License-Identifier: ISC */
/* The door of real processes: who comes in, who is followed, who is told. */
#include <sys/mman.h>

#include <pthread.h>

#include "child.h"

#define ROUNDS		200
#define LOOKS		100

static volatile pid_t *grandchild;	/* shared with the child */

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

/* The same by another program, which does not begin before its door is. */
static void
asks_for_its_door(void)
{
	if (door_ask() == 0)
		execl("/proc/self/exe", "test_door_linux", "serve", NULL);
	_exit(3);
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

static volatile sig_atomic_t stops;

static void
note_stop(int signo)
{
	(void)signo;
	stops = 1;
}

/* The others ask more than once before that. */
static void
note_stop_late(int signo)
{
	(void)signo;
	usleep(50000);
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
accept_by_threads(void (*handler)(int))
{
	pthread_t threads[4];
	size_t i;

	signal(SIGTERM, handler);		/* which has SA_RESTART */
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, accept_until_stop, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

static void
has_threads(void)
{
	accept_by_threads(note_stop);
}

static void
has_threads_and_a_slow_handler(void)
{
	accept_by_threads(note_stop_late);
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

static bool
is_traced(pid_t tid)
{
	char buf[4096];

	return proc_read_task(child, tid, "status", buf, sizeof(buf)) > 0 &&
	    parse_field(buf, "TracerPid") > 0;
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
	child_begin(makes_threads);
	for (i = 0; i < ROUNDS; i++) {
		child_close_door();
		door_open(child);
		end = loop_now() + PATIENCE;
		do
			child_reap(200);
		while (any_is_traced() && loop_now() < end);
		assert_false(any_is_traced());
	}
	child_finish();
}

static void
nobody_comes_in_until_it_is_opened(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int first, second;

	(void)arg;
	child_begin(serves);
	first = client_connect();
	assert_true(client_is_answered(first, 10000));
	child_close_door();
	second = client_connect();
	while (door_came() != child && loop_now() < end)
		child_reap(200);
	child_reap(20000);
	assert_false(client_is_answered(second, 0));
	door_open(child);
	while (!client_is_answered(second, 0) && loop_now() < end)
		child_reap(200);
	assert_true(client_is_answered(second, 0));
	close(first);
	close(second);
	child_finish();
}

static bool
is_in_state(char state)
{
	char buf[4096];

	return proc_read_of(child, "stat", buf, sizeof(buf)) > 0 &&
	    parse_state(buf) == state;
}

/* However late we come, it has not come further than to its exec. */
static void
a_program_that_asks_begins_behind_its_door(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int fd = client_connect();

	(void)arg;
	child_begin(asks_for_its_door);
	while (!is_in_state('t') && loop_now() < end)
		usleep(100);
	assert_false(client_is_answered(fd, 0));
	assert_int_equal(door_close(child, false, false, true), DOOR_UNBEGUN);
	/* Up to there a program with sanitizers makes many calls in no time. */
	while (door_came() != child && child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_int_equal(door_check(child), DOOR_CLOSED);
	assert_true(door_is_held(child));
	assert_false(client_is_answered(fd, 0));
	door_open(child);
	while (!client_is_answered(fd, 0) && loop_now() < end)
		child_reap(200);
	assert_true(client_is_answered(fd, 0));
	close(fd);
	child_finish();
}

/* It goes on when its door is opened before it is there. */
static void
a_program_that_asks_may_be_let_in(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int fd = client_connect();

	(void)arg;
	child_begin(asks_for_its_door);
	assert_int_equal(door_close(child, false, false, true), DOOR_UNBEGUN);
	door_open(child);
	while (!client_is_answered(fd, 0) && loop_now() < end)
		child_reap(200);
	assert_true(client_is_answered(fd, 0));
	assert_false(any_is_traced());
	close(fd);
	child_finish();
}

static void
fails(void)
{
	if (door_ask() == 0)
		execl("/no/such/program", "none", NULL);
	_exit(3);
}

static void
one_that_asks_and_ends_is_forgotten(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;

	(void)arg;
	child_begin(fails);
	assert_int_equal(door_close(child, false, false, true), DOOR_UNBEGUN);
	while (child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_ended, 3);
	assert_false(door_is_closed(child));
	child_finish();
}

/* The first process is told; what it tells others these meet at the door. */
static void
a_tree_is_kept_and_told_as_one(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int first, second;

	(void)arg;
	*grandchild = 0;
	child_begin(leads);
	first = client_connect();
	assert_true(client_is_answered(first, 10000));
	while (*grandchild == 0 && loop_now() < end)
		usleep(100);
	child_close_door();
	second = client_connect();
	while (door_came() != child && loop_now() < end)
		child_reap(200);
	assert_true(door_is_closed(*grandchild));
	door_signal(child, SIGTERM);
	while (child_ended == -1 && loop_now() < end) {
		child_reap(200);
		(void)door_check(child);
	}
	assert_int_equal(child_ended, 0);
	assert_int_equal(kill(*grandchild, 0), -1);
	assert_false(client_is_answered(second, 0));
	close(accept(STDIN_FILENO, NULL, NULL));
	close(first);
	close(second);
	child_finish();
}

/* One short request after another; what is not read leaves no TIME_WAIT. */
static void
asks(void)
{
	char c;
	int fd;

	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&child_address,
		    sizeof(child_address)) == 0 && write(fd, "x", 1) == 1)
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
	child_begin(leads);
	fd = client_connect();
	assert_true(client_is_answered(fd, 10000));
	while (*grandchild == 0 && loop_now() < end)
		usleep(100);
	child_close_door();
	other = child_fork(serves_slowly);
	clients = child_fork(asks);
	for (i = 0; i < LOOKS; i++) {
		child_reap(0);
		busy += child_holds(&s) == HOLDS_BUSY;
	}
	/* One may have been seen in the middle of its accept(2). */
	assert_between(busy, 0, LOOKS / 20);
	child_kill(clients);
	child_kill(other);
	close(fd);
	child_finish();
}

/* Whoever of them has it when: it is theirs. */
static void
a_connection_that_is_handed_on_is_never_missed(void **arg)
{
	struct probe_state s = { .cpu = 0 };
	uint64_t end = loop_now() + PATIENCE, longer;
	int i, fd;

	(void)arg;
	child_begin(hands_on);
	fd = client_connect();
	while (child_holds(&s) != HOLDS_BUSY && loop_now() < end)
		usleep(100);
	/* For longer than one that nobody has is taken for theirs. */
	longer = loop_now() + 3 * USEC / 2;
	for (i = 0; i < LOOKS || loop_now() < longer; i++)
		assert_int_equal(child_holds(&s), HOLDS_BUSY);
	close(fd);
	child_finish();
}

static void
threads_hear_that_they_were_told(void (*run)(void))
{
	uint64_t end = loop_now() + PATIENCE;
	int tids[64];

	child_begin(run);
	child_close_door();
	while ((proc_tasks(child, tids, 64) != 5 || !door_is_held(child)) &&
	    loop_now() < end) {
		child_reap(200);
		(void)door_check(child);
	}
	door_signal(child, SIGTERM);
	while (child_ended == -1 && loop_now() < end) {
		child_reap(200);
		(void)door_check(child);
	}
	assert_int_equal(child_ended, 0);
	child_finish();
}

static void
each_thread_hears_that_it_was_told(void **arg)
{
	(void)arg;
	threads_hear_that_they_were_told(has_threads);
}

/* The handler is slow, or has to wait for a processor. */
static void
whoever_was_told_too_early_is_told_again(void **arg)
{
	(void)arg;
	threads_hear_that_they_were_told(has_threads_and_a_slow_handler);
}

/* Nobody can connect any more after this one. */
static void
nobody_hears_that_the_socket_is_shut(void **arg)
{
	uint64_t end = loop_now() + PATIENCE;
	int fd;

	(void)arg;
	child_begin(serves);
	assert_int_not_equal(door_close(child, true, false, false),
	    DOOR_REFUSED);
	child_reap(2000);
	fd = client_connect();
	while (!client_is_answered(fd, 0) && loop_now() < end)
		child_reap(200);
	assert_true(client_is_answered(fd, 0));
	while (door_check(child) != DOOR_CLOSED && loop_now() < end)
		child_reap(200);
	/* Its accept goes on, and waits for somebody. */
	while (!door_is_held(child) && loop_now() < end)
		child_reap(200);
	assert_true(door_is_held(child));
	assert_int_equal(shutdown(STDIN_FILENO, SHUT_RD), 0);
	while (!door_is_held(child) && child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_true(door_is_held(child));
	assert_int_equal(child_ended, -1);
	door_signal(child, SIGTERM);
	while (child_ended == -1 && loop_now() < end)
		child_reap(200);
	assert_int_equal(child_ended, SIGTERM);
	close(fd);
	child_finish();
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_door_keeps_no_thread),
		cmocka_unit_test(nobody_comes_in_until_it_is_opened),
		cmocka_unit_test(a_program_that_asks_begins_behind_its_door),
		cmocka_unit_test(a_program_that_asks_may_be_let_in),
		cmocka_unit_test(one_that_asks_and_ends_is_forgotten),
		cmocka_unit_test(a_tree_is_kept_and_told_as_one),
		cmocka_unit_test(what_others_have_served_is_not_underway),
		cmocka_unit_test(
		    a_connection_that_is_handed_on_is_never_missed),
		cmocka_unit_test(each_thread_hears_that_it_was_told),
		cmocka_unit_test(whoever_was_told_too_early_is_told_again),
		cmocka_unit_test(nobody_hears_that_the_socket_is_shut),
	};

	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		serves();
	grandchild = mmap(NULL, sizeof(*grandchild), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if ((void *)grandchild == MAP_FAILED || child_listen() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
