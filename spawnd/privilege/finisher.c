/* SPDX-License-Identifier: ISC */
/*
 * The last step of a take-over needs the rights of the start, and is done when
 * they have been given up: so a process forks off before that, which waits for
 * a byte, and does it. It hides itself: its user may be that of workers.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "privilege/privilege.h"

#define FINISH_MS	2000

static int channel = -1;

static void __attribute__((noreturn))
await_byte(int fd, pid_t parent, void (*settle)(void))
{
	char c;

	if (jail_tie(parent) == 0 && jail_hide() == 0 && read(fd, &c, 1) == 1) {
		settle();
		if (write(fd, &c, 1) != 1)
			_exit(EX_OSERR);
	}
	_exit(0);
}

int
finisher_start(void (*settle)(void), int without, struct err *e)
{
	pid_t pid, parent = getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return err_set(e, EX_OSERR, "socketpair: %s", strerror(errno));
	if ((pid = fork()) == -1)
		return err_set(e, EX_OSERR, "fork: %s", strerror(errno));
	if (pid == 0) {
		close(fds[0]);
		close(without);
		await_byte(fds[1], parent, settle);
	}
	close(fds[1]);
	channel = fds[0];
	return 0;
}

void
finisher_finish(void)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	char c = 0;

	if (channel == -1)
		return;
	if (send(channel, &c, 1, MSG_NOSIGNAL) != 1 ||
	    poll(&p, 1, FINISH_MS) != 1 || read(channel, &c, 1) != 1)
		log_warn("take-over: the owner and mode of the sockets may "
		    "still be those of the pool before");
	close(channel);
	channel = -1;
}
