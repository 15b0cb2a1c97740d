/* SPDX-License-Identifier: ISC */
/* The first moments of the process, and its way into the background. */
#include <sys/wait.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "spawnd.h"

/* What the supervisor tells the first process. */
struct outcome {
	int		 status;
	char		 line[ERR_SIZE];
};

static int channel = -1;	/* to the first process */
static int null = -1;		/* /dev/null, for when the start is over */
static bool told;
static volatile sig_atomic_t child;	/* of the first process */

int
daemon_sanitize(struct err *e)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd == -1)
			return err_set(e, EX_OSERR, "/dev/null: %s",
			    strerror(errno));
	} while (fd <= STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
	return 0;
}

/* A signal meant for the start is the supervisor's, not ours. */
static void
forward(int signo)
{
	int saved = errno;

	kill((pid_t)child, signo);
	errno = saved;
}

static void
say(int status, const char *line)
{
	FILE *f = status == 0 ? stdout : stderr;

	/* Paths may hold anything; a terminal gets to see one plain line. */
	fputs("spawnd: ", f);
	for (; *line != '\0'; line++)
		fputc(iscntrl((unsigned char)*line) ? '?' : *line, f);
	fputc('\n', f);
	fflush(f);
}

/* The first process: waits for the outcome and exits with it. */
static void __attribute__((noreturn))
await(int fd, pid_t pid)
{
	static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction sa = { .sa_handler = forward };
	struct outcome o = { 0, "" };
	size_t i, got = 0;
	ssize_t n;

	child = pid;
	for (i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaction(forwarded[i], &sa, NULL);
	while (got < sizeof(o)) {
		n = read(fd, (char *)&o + got, sizeof(o) - got);
		if (n == 0)
			break;
		if (n == -1 && errno != EINTR)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	if (got < sizeof(o)) {
		o.status = EX_OSERR;
		strlcpy(o.line, "the supervisor ended during the start",
		    sizeof(o.line));
	}
	/* When a failed start is reported, nothing of it is left. */
	while (o.status != 0 && waitpid(pid, NULL, 0) == -1 &&
	    errno == EINTR)
		continue;
	say(o.status, o.line);
	_exit(o.status);
}

int
daemon_start(struct err *e)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_set(e, EX_OSERR, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == -1)
		return err_set(e, EX_OSERR, "fork: %s", strerror(errno));
	if (pid != 0) {
		close(fds[1]);
		await(fds[0], pid);
	}
	close(fds[0]);
	channel = fds[1];
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		return err_set(e, EX_OSERR, "/dev/null: %s",
		    strerror(errno));
	if (setsid() == -1)
		return err_set(e, EX_OSERR, "setsid: %s", strerror(errno));
	if (chdir("/") == -1)
		return err_set(e, EX_OSERR, "chdir: /: %s", strerror(errno));
	return 0;
}

bool
daemon_starting(void)
{
	return !told;
}

void
daemon_outcome(int status, const char *line)
{
	struct outcome o = { .status = status };
	ssize_t r;

	if (told)
		return;
	told = true;
	if (channel == -1) {
		if (status == 0)
			log_info("%s", line);
		else
			say(status, line);
		return;
	}
	strlcpy(o.line, line, sizeof(o.line));
	/* Smaller than PIPE_BUF: it is written whole or not at all. */
	r = write(channel, &o, sizeof(o));
	(void)r;
	close(channel);
	channel = -1;
	/* Whoever started us must not wait for these to be closed. */
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
}

int
daemon_output(void)
{
	return null != -1 ? null : STDERR_FILENO;
}
