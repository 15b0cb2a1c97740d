/* SPDX-License-Identifier: ISC */
/* A child that serves a listen socket, its door, and clients of it. */
#ifndef CHILD_H
#define CHILD_H

#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "unit.h"

#define PATIENCE	(10 * USEC)

static struct sockaddr_in child_address;
static pid_t child;
static int child_ended;			/* its si_status, or -1: it lives */
static int child_wakes[2];		/* a pipe to it */

static inline pid_t
child_fork(void (*work)(void))
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

static inline void
child_begin(void (*work)(void))
{
	child_ended = -1;
	assert_int_equal(pipe(child_wakes), 0);
	child = child_fork(work);
}

/* Tells the door of all that waitid(2) has, for so many microseconds. */
static inline void
child_reap(uint64_t usec)
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
			child_ended = status;
		if (info.si_pid == 0)
			usleep(50);
		else
			(void)door_take(info.si_pid, info.si_code ==
			    CLD_STOPPED || info.si_code == CLD_TRAPPED,
			    &status);
	} while (loop_now() < end);
}

static inline void
child_close_door(void)
{
	uint64_t end = loop_now() + PATIENCE;
	enum door_state s = door_close(child, false, false, false);

	while (s == DOOR_CLOSING && loop_now() < end) {
		child_reap(200);
		s = door_check(child);
	}
	assert_int_not_equal(s, DOOR_REFUSED);
	assert_int_not_equal(s, DOOR_CLOSING);
}

static inline void
child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		continue;
}

static inline void
child_finish(void)
{
	child_kill(child);
	close(child_wakes[0]);
	close(child_wakes[1]);
}

/* Is it in that call by now? */
static inline bool
child_sleeps_in(int kind)
{
	char buf[256];

	return proc_read_of(child, "syscall", buf, sizeof(buf)) > 0 &&
	    (int)parse_call(buf).kind == kind;
}

static inline int
client_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&child_address,
	    sizeof(child_address)), 0);
	return fd;
}

static inline bool
client_is_answered(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static inline enum holds
child_holds(struct probe_state *s)
{
	struct activity x;

	observe_tree(child, 60 * USEC, loop_now(), s, &x);
	return x.holds;
}

/* The socket on descriptor 0 that all of them serve. Returns 0, or -1. */
static inline int
child_listen(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(child_address);
	struct guarantees g;

	child_address.sin_family = AF_INET;
	child_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&child_address, len) == -1 ||
	    listen(fd, 8) == -1 || getsockname(fd,
	    (struct sockaddr *)&child_address, &len) == -1 ||
	    dup2(fd, STDIN_FILENO) == -1)
		return -1;
	close(fd);
	observe_init(&g);
	return 0;
}

#endif
