/* SPDX-License-Identifier: ISC */
/*
 * The looker: a child that asks sysctl(2) for its supervisor. No promise of
 * pledge(2) allows KERN_FILE there, so the looker makes none, and is forked
 * before the supervisor does, in the jail. It holds nothing but its end of a
 * socket pair, and ends when the other one is closed. Without it what workers
 * hold is unknown. Compiled for OpenBSD (scripts/bsd-check.sh), and not yet run
 * there.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "observe/holding.h"

#define LOOKER_NAME	"spawnd: looker"
#define LOOKER_MS	1000	/* the wait for an answer; then it is lost */

struct question {
	pid_t		 pid;
	int		 signo;
};

struct answer {
	struct holding	 holding;
	bool		 known;
};

static pid_t looker;		/* 0: there is none */
static int channel = -1;	/* to it */

/*
 * All signals stay blocked: one to the whole process group is not meant for us.
 */
static void __attribute__((noreturn))
answer_questions(int fd)
{
	struct question q;
	struct answer a;

	if (dup2(fd, STDIN_FILENO) == -1)
		_exit(1);
	closefrom(STDOUT_FILENO);
	self_name(LOOKER_NAME, sizeof(LOOKER_NAME) - 1, "");
	while (recv(STDIN_FILENO, &q, sizeof(q), 0) == sizeof(q)) {
		memset(&a, 0, sizeof(a));
		a.known = holding_look(q.pid, q.signo, &a.holding) == 0;
		if (send(STDIN_FILENO, &a, sizeof(a), MSG_NOSIGNAL) == -1)
			break;
	}
	_exit(0);
}

int
holding_begin(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1)
		return -1;
	looker = fork();
	if (looker == 0)
		answer_questions(ends[1]);
	close(ends[1]);
	if (looker == -1) {
		close(ends[0]);
		looker = 0;
		return -1;
	}
	channel = ends[0];
	return 0;
}

static void
lose_looker(void)
{
	if (channel == -1)
		return;
	log_warn("looker %d: does not answer (until spawnd is restarted, what "
	    "workers hold is unknown)", (int)looker);
	holding_close();
}

static bool
await_answer(void)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	int r;

	while ((r = poll(&p, 1, LOOKER_MS)) == -1 && errno == EINTR)
		continue;
	return r == 1;
}

/* A late answer would be taken for one to another question. */
int
holding_find(pid_t pid, int signo, struct holding *h)
{
	const struct question q = { pid, signo };
	struct answer a;

	*h = (struct holding){ .connections = 0 };
	if (channel == -1)
		return -1;
	if (send(channel, &q, sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    sizeof(q) || !await_answer() ||
	    recv(channel, &a, sizeof(a), MSG_DONTWAIT) != sizeof(a)) {
		lose_looker();
		return -1;
	}
	*h = a.holding;
	return a.known ? 0 : -1;
}

void
holding_reaped(pid_t pid)
{
	if (pid != looker)
		return;
	lose_looker();
	looker = 0;
}

void
holding_close(void)
{
	if (channel != -1)
		close(channel);
	channel = -1;
}
