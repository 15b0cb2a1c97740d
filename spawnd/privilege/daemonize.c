/* SPDX-License-Identifier: ISC */
/* The first steps of the process, and its way into the background. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/alias.h"
#include "config/config.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "privilege/privilege.h"

#define STOP_SPARE	10	/* s above --stop-timeout */
#define CONT_SPARE	3	/* s, after SIGCONT, and after SIGKILL */

/* The supervisor, for the first process. */
struct supervisor {
	pid_t		 pid;
	bool		 adopted;	/* it is not our child any more */
	int		 fd;		/* see end_open(); or -1 */
};

/* What the supervisor sends to the first process. */
struct outcome {
	int		 status;
	char		 text[OUTCOME_SIZE];	/* one or more lines */
};

static int channel = -1;	/* to the first process */
static int null = -1;		/* /dev/null */
static const char *name = "";	/* of the pool */
static const char *outcome;	/* printed in place of our own text */
static bool outcome_sent;
static volatile sig_atomic_t child;	/* of the first process */

int
daemonize_sanitize(int keep, struct err *e)
{
	struct stat st;
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd == -1)
			return err_set(e, EX_OSERR, "/dev/null: %s",
			    strerror(errno));
		if (fstat(fd, &st) == -1 || !S_ISCHR(st.st_mode))
			return err_set(e, EX_OSERR, "/dev/null: not a device");
	} while (fd <= STDERR_FILENO);
	/* Sockets that were passed in begin at descriptor 3. */
	close(fd);
	closefrom(STDERR_FILENO + 1 + keep);
	/* Above the sockets that were passed in. */
	null = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1 + keep);
	if (null == -1 || (fd = open("/dev/null", O_RDWR)) == -1 ||
	    dup3(fd, null, O_CLOEXEC) == -1)
		return err_set(e, EX_OSERR, "/dev/null: %s",
		    strerror(errno));
	close(fd);
	return 0;
}

/* Passes a signal that was sent to the start on to the supervisor. */
static void
forward_signal(int signo)
{
	int saved = errno;

	kill((pid_t)child, signo);
	errno = saved;
}

/*
 * Prints each line with our name before it, and escaped: paths and workers'
 * output may contain anything.
 */
static void
print_lines(int status, const char *text)
{
	FILE *f = status == 0 ? stdout : stderr;
	size_t len;

	for (; *text != '\0'; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		fprintf(f, "%s: ", getprogname());
		text_print(f, text, len);
		fputc('\n', f);
	}
	fflush(f);
}

/* Is there something to be read by then, a time of loop_now()? */
static bool
is_told(int fd, uint64_t until)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = loop_now();
	int r = 0;

	while (now < until) {
		r = poll(&p, 1, (int)((until - now) / 1000 + 1));
		if (r != -1 || errno != EINTR)
			break;
		now = loop_now();
	}
	return r == 1;
}

/*
 * A worker has the user of the supervisor, and may have stopped it: it is
 * continued once, and has some seconds more. Returns false if it says nothing.
 */
static bool
await_word(int fd, pid_t pid, const struct conf *c)
{
	uint64_t until = loop_now() + ((uint64_t)c->start_timeout +
	    START_SPARE) * USEC;

	if (is_told(fd, until))
		return true;
	kill(pid, SIGCONT);
	return is_told(fd, until + CONT_SPARE * USEC);
}

/* Reads the outcome, which is written in one piece. */
static void
read_outcome(int fd, struct outcome *o)
{
	size_t got = 0;
	ssize_t n;

	while (got < sizeof(*o)) {
		n = read(fd, (char *)o + got, sizeof(*o) - got);
		if (n == 0 || (n == -1 && errno != EINTR))
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	o->text[sizeof(o->text) - 1] = '\0';
	if (got == sizeof(*o))
		return;
	o->status = EX_OSERR;
	strlcpy(o->text, "the supervisor ended during the start",
	    sizeof(o->text));
}

/* Waits so many seconds. Returns false if it has not ended. */
static bool
await_seconds(const struct supervisor *s, int seconds)
{
	int status;

	return s->adopted ? end_await_other(s->fd, s->pid, seconds * 1000) :
	    end_await(s->pid, &status, seconds * 1000);
}

/* When a failed start is reported, its processes have ended. */
static void
await_end(const struct supervisor *s, const struct conf *c)
{
	if (await_seconds(s, c->stop_timeout + STOP_SPARE))
		return;
	kill(s->pid, SIGCONT);
	if (await_seconds(s, CONT_SPARE))
		return;
	kill(s->pid, SIGKILL);
	await_seconds(s, CONT_SPARE);
}

/*
 * The first process: waits for the outcome and exits with it. It may be root's
 * command, so nothing that a worker does to the supervisor holds it up.
 */
static void __attribute__((noreturn))
await_start(int fd, const struct supervisor *s, const struct conf *c)
{
	static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM,
	    SIGUSR1, SIGUSR2 };
	struct sigaction sa = { .sa_handler = forward_signal };
	struct outcome o = { 0, "" };
	bool killed;
	size_t i;

	child = s->pid;
	for (i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaction(forwarded[i], &sa, NULL);
	loop_unblock_signals();
	if (await_word(fd, s->pid, c)) {
		read_outcome(fd, &o);
		if (o.status != 0)
			await_end(s, c);
	} else {
		kill(s->pid, SIGKILL);
		killed = await_seconds(s, CONT_SPARE);
		o.status = compat_exitcode(c, EX_UNAVAILABLE);
		snprintf(o.text, sizeof(o.text), "the supervisor said nothing "
		    "for %d s, nor after SIGCONT, and %s (a worker may have "
		    "stopped it)", c->start_timeout + START_SPARE, killed ?
		    "was killed" : "cannot be killed");
	}
	print_lines(o.status, o.text);
	_exit(o.status);
}

/*
 * Who stops the application searches the process list for it, by its path or
 * by its name. Where this finds the workers alone they come back.
 */
static void
take_name(const struct conf *c)
{
	static const char blanks[] = " \t\n";
	const char *s;

	if (c->command == NULL)
		self_name(c->argv[0], strlen(c->argv[0]), ": supervisor");
	else {
		s = c->command + strspn(c->command, blanks);
		self_name(s, strcspn(s, blanks), ": supervisor");
	}
}

/*
 * Has whoever adopts orphans become our parent before we go on: a service
 * manager can make only its own child the main process of a service. The first
 * process gets our pid.
 */
static int
leave_parent(struct err *e)
{
	pid_t self = getpid(), pid = fork();

	if (pid == -1)
		return err_set(e, EX_OSERR, "fork: %s", strerror(errno));
	if (pid != 0)
		_exit(write(channel, &pid, sizeof(pid)) == sizeof(pid) ? 0 :
		    EX_OSERR);
	while (getppid() == self)
		poll(NULL, 0, 1);
	return 0;
}

/*
 * The first process: finds its child's child; or it ends. What it has of the
 * other pool would outlive the supervisor.
 */
static void
await_pid(int *fd, struct supervisor *s)
{
	int status;
	bool ended;
	pid_t pid;

	if (dup2(*fd, STDERR_FILENO + 1) != -1) {
		closefrom(STDERR_FILENO + 2);
		*fd = STDERR_FILENO + 1;
	}
	ended = end_await(s->pid, &status, START_SPARE * 1000);
	if (!ended) {
		kill(s->pid, SIGCONT);
		ended = end_await(s->pid, &status, CONT_SPARE * 1000);
	}
	if (ended && status == 0 &&
	    read(*fd, &pid, sizeof(pid)) == sizeof(pid)) {
		*s = (struct supervisor){ pid, true, end_open(pid) };
		return;
	}
	/* What is reported as failed must not go on later. */
	if (!ended)
		kill(s->pid, SIGKILL);
	fprintf(stderr, "%s: the supervisor ended during the start\n",
	    getprogname());
	_exit(EX_OSERR);
}

int
daemonize_start(const struct plan *p, struct err *e)
{
	struct supervisor s = { .fd = -1 };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_set(e, EX_OSERR, "pipe: %s", strerror(errno));
	s.pid = fork();
	if (s.pid == -1)
		return err_set(e, EX_OSERR, "fork: %s", strerror(errno));
	if (s.pid != 0) {
		close(fds[1]);
		if (p->conf->takeover != TAKE_OVER_NO)
			await_pid(&fds[0], &s);
		await_start(fds[0], &s, p->conf);
	}
	close(fds[0]);
	channel = fds[1];
	name = p->name;
	outcome = p->conf->outcome;
	if (p->conf->titled)
		take_name(p->conf);
	if (p->conf->takeover != TAKE_OVER_NO && leave_parent(e) == -1)
		return -1;
	if (setsid() == -1)
		return err_set(e, EX_OSERR, "setsid: %s", strerror(errno));
	if (chdir("/") == -1)
		return err_set(e, EX_OSERR, "chdir: /: %s", strerror(errno));
	return 0;
}

bool
daemonize_starting(void)
{
	return !outcome_sent;
}

/* Logs the outcome, unless it was printed on standard error. */
static void
log_outcome(int status, const char *text)
{
	const char *last = strrchr(text, '\n');

	if (status == 0)
		log_info("%s", text);
	else if (!log_on_stderr())	/* without the workers' lines */
		log_warn("start: %s", last != NULL ? last + 1 : text);
}

void
daemonize_outcome(int status, const char *text)
{
	struct outcome o = { .status = status };
	ssize_t r;

	if (outcome_sent)
		return;
	outcome_sent = true;
	log_outcome(status, text);
	if (channel == -1) {
		/* As the log does, see write_some() of log.c. */
		if (status != 0 && signal(SIGTTOU, SIG_IGN) != SIG_ERR)
			print_lines(status, text);
		return;
	}
	/* A program that spawnd stands in for has no log. */
	if (status == 0 && outcome == NULL && log_complaint()[0] != '\0')
		print_lines(-1, log_complaint());
	if (status == 0 && outcome != NULL)
		snprintf(o.text, sizeof(o.text), "%s%d", outcome,
		    (int)getpid());
	else
		snprintf(o.text, sizeof(o.text), "%s%s%s", status == 0 ?
		    name : "", status == 0 ? ": " : "", text);
	/* It is smaller than PIPE_BUF, so it is written whole or not at all. */
	r = write(channel, &o, sizeof(o));
	(void)r;
	close(channel);
	channel = -1;
	/* The caller may wait until these are closed. */
	dup2(null, STDOUT_FILENO);
	if (!log_on_stderr())
		dup2(null, STDERR_FILENO);
}

int
daemonize_null(void)
{
	return null;
}
