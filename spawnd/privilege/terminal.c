/* SPDX-License-Identifier: ISC */
/*
 * The controlling terminal, which whoever starts spawnd by hand shares with
 * it. A process that has it can push keys into the shell behind it (TIOCSTI),
 * and that shell may be root's. So the supervisor keeps it, since Ctrl-C
 * comes from there, and no worker has it.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/base.h"
#include "privilege/privilege.h"

static int terminal = -1;

/* Where /dev/tty is missing, a descriptor can still be the terminal. */
static int
find_terminal(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (tcgetsid(fd) == getsid(0))
			return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	}
	return -1;
}

void
terminal_open(void)
{
	int error;

	terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK |
	    O_CLOEXEC);
	if (terminal != -1 || errno == ENXIO)	/* ENXIO: there is none */
		return;
	error = errno;
	if ((terminal = find_terminal()) == -1 && error != ENOENT)
		log_warn("terminal: /dev/tty: %s (if there is a terminal, the "
		    "workers keep it: start spawnd with setsid)",
		    strerror(error));
}

int
terminal_leave(void)
{
	if (terminal == -1)
		return 0;
	/* It fails if the terminal was hung up: then it is nobody's. */
	(void)ioctl(terminal, TIOCNOTTY);
	if (tcgetpgrp(terminal) == -1)
		return 0;
	errno = EPERM;
	return -1;
}

int
terminal_leave_session(void)
{
	void (*old)(int) = signal(SIGHUP, SIG_IGN);
	int r = terminal_leave();

	signal(SIGHUP, old);
	return r;
}
