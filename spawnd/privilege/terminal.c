/* SPDX-License-Identifier: ISC */
/*
 * The controlling terminal, which spawnd shares with the shell that it was
 * started from. A process that has it can push keys into that shell
 * (TIOCSTI), and the shell may be root's. So only the supervisor keeps it,
 * since Ctrl-C comes from there; no worker has it.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/base.h"
#include "base/raw.h"
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

void
terminal_write_only(void)
{
	char name[32];
	int fd, again;

	if (terminal == -1 || getsid(0) != getpid())
		return;
	for (fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		if (tcgetsid(fd) != getpid())
			continue;
		snprintf(name, sizeof(name), "/dev/fd/%d", fd);
		again = open(name, O_WRONLY | O_NOCTTY | O_CLOEXEC);
		if (again == -1 || dup2(again, fd) == -1)
			log_warn("terminal: %s: %s (the application may take "
			    "the terminal: start spawnd from a shell)", name,
			    strerror(errno));
		if (again != -1)
			close(again);
	}
}

int
terminal_leave(void)
{
	pid_t group;

	if (terminal == -1)
		return 0;
	/* It fails if the terminal was hung up, and is lost already. */
	(void)raw_ioctl(terminal, TIOCNOTTY, NULL);
	if (raw_ioctl(terminal, TIOCGPGRP, &group) < 0)
		return 0;
	return -EPERM;
}

int
terminal_leave_session(void)
{
	void (*old)(int) = signal(SIGHUP, SIG_IGN);
	int r = terminal_leave();

	signal(SIGHUP, old);
	return r;
}

bool
terminal_is_kept(void)
{
	return terminal != -1;
}
