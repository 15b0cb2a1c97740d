/* SPDX-License-Identifier: ISC */
/* The door of a real process, see observe/door_linux.c. */
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "unit.h"

#define PATIENCE	(10 * USEC)
#define ROUNDS		200

static struct sockaddr_in address;
static pid_t child;

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

static void
begin(void (*work)(void))
{
	assert_true((child = fork()) != -1);
	if (child == 0) {
		alarm(60);
		work();
		_exit(0);
	}
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
	enum door_state s = door_close(child, false);

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
finish(void)
{
	kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) == -1)
		continue;
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
	/* Its accept(2) has failed with EINTR: this program ends by that. */
	do
		reap(200);
	while (kill(child, 0) == 0 && loop_now() < end);
	close(first);
	close(second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_door_keeps_no_thread),
		cmocka_unit_test(nobody_comes_in_until_it_is_opened),
	};
	socklen_t len = sizeof(address);
	bool detached;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&address, len) == -1 ||
	    listen(fd, 8) == -1 || getsockname(fd,
	    (struct sockaddr *)&address, &len) == -1 ||
	    dup2(fd, STDIN_FILENO) == -1 || proc_open(&detached) == -1 ||
	    diag_open(STDIN_FILENO) == -1)
		return 1;
	close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
