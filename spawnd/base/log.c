/* SPDX-License-Identifier: ISC */
/*
 * The log: whole lines to standard error, a file or syslog. Nothing here waits
 * for a reader: lines that cannot be written are counted and reported.
 */
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/path.h"
#include "base/units.h"

#define HEAD_SIZE	128		/* time, pool, pid and level */
#define ESCAPED_SIZE	32768		/* 8 KiB, every byte a \xNN */
#define RAW_SIZE	65536
#define CHUNK		4096		/* a pipe that is ready takes it */
#define BACKLOG_SIZE	262144		/* bytes of lines not yet taken */
#define FLUSH_FIRST	UINT64_C(10000)	/* usec to the next try */
#define FLUSH_LAST	USEC
#define STUCK		USEC		/* nothing taken for so long */
#define LAST_WAIT	USEC		/* for a slow reader, at the end */

static enum log_target target;
static const char *pool = "spawnd";
static const char *path;		/* of the file */
static int file = STDERR_FILENO;
static int dir = -1;			/* of the file; -1: out of reach */
static int facility = LOG_DAEMON;
static bool foreground;
static bool terminal;			/* stderr is one */
static bool journal;			/* stderr leads to the journal */
static unsigned long lost;
static char *backlog;			/* mapped; whole lines but the first */
static size_t backlog_len;
static uint64_t flush_pause;
static uint64_t taken;			/* when the last of it was written */
static char complaint[256];		/* about a log that is not there */

/* Is standard error what systemd says it has connected to its journal? */
static bool
is_journal(void)
{
	const char *s = environ_get(environ_own(), "JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return s != NULL && sscanf(s, "%llu:%llu", &dev, &ino) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && (dev_t)dev == st.st_dev &&
	    st.st_ino == ino;
}

static int
open_by_name(int flags)
{
	return path_open_append(dir, strrchr(path, '/') + 1, flags);
}

/*
 * A write to a terminal blocks until all of it has been sent, whatever poll(2)
 * says. A descriptor of our own can be non-blocking without affecting the
 * caller's.
 */
static void
open_terminal(void)
{
	const char *name;
	int fd;

	terminal = isatty(STDERR_FILENO);
	if (!terminal || (name = ttyname(STDERR_FILENO)) == NULL)
		return;
	fd = open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd != -1)
		file = fd;
}

static int
open_log_file(const struct log_conf *c, struct err *e)
{
	const char *name;
	bool detached;

	path = c->file;
	dir = path_detach(path_open_above(path, &name), &detached);
	if (dir == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "--log: %s: its directory: %s", path, path_reason(errno));
	if ((file = open_by_name(O_CREAT)) == -1) {
		file = STDERR_FILENO;
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "--log: %s: %s", path, path_append_reason(errno));
	}
	target = LOG_TO_FILE;
	if (c->jailed && !detached) {
		close(dir);	/* it would lead out of the jail */
		dir = -1;
	}
	return 0;
}

int
log_open(const struct log_conf *c, struct err *e)
{
	pool = c->name;
	facility = c->facility;
	foreground = c->foreground;
	environ_keep_time_zone();
	if (c->to == LOG_TO_FILE)
		return open_log_file(c, e);
	journal = is_journal();
	open_terminal();
	if (c->to == LOG_TO_STDERR)
		return 0;
	target = LOG_TO_SYSLOG;
	if (syslog_open(c->jailed) == -1)
		snprintf(complaint, sizeof(complaint), "syslog: %s: %s (lines "
		    "are lost until it is there; name a file with --log)",
		    SYSLOG_SOCKET, strerror(errno));
	return 0;
}

const char *
log_complaint(void)
{
	return complaint;
}

bool
log_on_stderr(void)
{
	return target == LOG_TO_STDERR;
}

static void flush_backlog(void);

static int
take_log_file(int fd)
{
	/* The rest of a line goes to the same file, or nowhere. */
	flush_backlog();
	if (backlog_len > 0) {
		lost++;
		backlog_len = 0;
	}
	close(file);
	file = fd;
	log_info("log: reopened");
	return 0;
}

/* Is that a regular file open for appending only? */
static bool
is_log(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & O_ACCMODE) == O_WRONLY &&
	    (flags & O_APPEND) != 0 && fstat(fd, &st) == 0 &&
	    S_ISREG(st.st_mode);
}

bool
log_has_name_of(int fd)
{
	return target == LOG_TO_FILE && dir != -1 &&
	    path_leads_to(dir, strrchr(path, '/') + 1, fd);
}

int
log_reopen(int fd, struct err *e)
{
	if (target != LOG_TO_FILE)
		err_set(e, EX_USAGE, "--log: the log does not go to a file");
	else if (fd != -1 && !is_log(fd))
		err_set(e, EX_USAGE, "--log: %s: the descriptor that was "
		    "passed is not a file open for appending (the old file is "
		    "kept)", path);
	else if (fd == -1 && dir == -1)
		err_set(e, EX_CANTCREAT, "--log: %s: cannot be reached from "
		    "the jail (the old file is kept)", path);
	else if (fd == -1 && (fd = open_by_name(0)) == -1)
		err_set(e, err_status(errno, EX_CANTCREAT), "--log: %s: %s "
		    "(the old file is kept)", path, path_append_reason(errno));
	else
		return take_log_file(fd);
	if (fd != -1)
		close(fd);
	return -1;
}

/*
 * Would a write succeed within so many milliseconds? If not, errno is EPIPE
 * where the reader has gone: poll(2) reports that of a full pipe, and write(2)
 * is not called then.
 */
static bool
writable(int timeout)
{
	struct pollfd pfd = { .fd = file, .events = POLLOUT };
	struct timeval tv = { .tv_usec = (suseconds_t)timeout * 1000 };
	fd_set fds;

	if (poll(&pfd, 1, timeout) != -1) {
		if ((pfd.revents & ~POLLOUT) != 0)
			errno = EPIPE;
		return (pfd.revents & POLLOUT) != 0;
	}
	/* poll(2) fails once the limit of open files has been lowered to 0. */
	if (errno != EINVAL || file >= FD_SETSIZE)
		return false;
	FD_ZERO(&fds);
	FD_SET(file, &fds);
	return select(file + 1, NULL, &fds, NULL, &tv) == 1;
}

/* Has the reader gone for good? By errno. */
static bool
is_abandoned(int error)
{
	return error == EPIPE || error == EIO || error == ECONNRESET;
}

/*
 * With "stty tostop", writing to the terminal from the background sends SIGTTOU
 * to whoever does not block it, and begins again after a handler, for ever.
 */
static ssize_t
write_some(const char *s, size_t len)
{
	sigset_t set, old;
	ssize_t n;

	if (!terminal)
		return write(file, s, len);
	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	sigprocmask(SIG_BLOCK, &set, &old);
	n = write(file, s, len);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return n;
}

/* Writes what can be written now. Returns how much; errno: why not more. */
static size_t
write_ready(const char *s, size_t len)
{
	size_t done = 0;
	ssize_t n;

	errno = 0;
	while (done < len) {
		/* A write of a chunk does not wait where poll(2) says so. */
		if (target != LOG_TO_FILE && !writable(0))
			break;
		n = write_some(s + done, target != LOG_TO_FILE &&
		    len - done > CHUNK ? CHUNK : len - done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static void
flush_backlog(void)
{
	size_t n;

	if (backlog_len == 0)
		return;
	n = write_ready(backlog, backlog_len);
	if (n == 0 && is_abandoned(errno)) {
		for (; n < backlog_len; n++)
			lost += backlog[n] == '\n';
	}
	if (n > 0)
		taken = loop_now();
	backlog_len -= n;
	memmove(backlog, backlog + n, backlog_len);
	if (backlog_len == 0) {
		munmap(backlog, BACKLOG_SIZE);
		backlog = NULL;
		flush_pause = FLUSH_FIRST;
		return;
	}
	flush_pause = n > 0 || flush_pause == 0 ? FLUSH_FIRST :
	    flush_pause * 2 > FLUSH_LAST ? FLUSH_LAST : flush_pause * 2;
	loop_timer(TIMER_LOG, loop_now() + flush_pause, flush_backlog);
}

/*
 * Writes a line, or keeps what cannot be written now, so that no line is cut.
 * Returns 0, or -1 if there is no room for it and it is lost.
 */
static int
put_stream(const char *s, size_t len)
{
	size_t done = 0;
	int error = 0;

	if (backlog_len > 0)
		flush_backlog();
	if (backlog_len == 0) {
		done = write_ready(s, len);
		error = errno;
	}
	if (done == len)
		return 0;
	/* A full disk is not a slow reader: the line is lost. */
	if (done == 0 && (target == LOG_TO_FILE || is_abandoned(error)))
		return -1;
	if (backlog == NULL) {
		/* An allocator might keep so much for good. */
		backlog = mmap(NULL, BACKLOG_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (backlog == MAP_FAILED) {
			backlog = NULL;
			return -1;
		}
		taken = loop_now();
	}
	/* The rest of a line always fits: the backlog is empty then. */
	if (backlog_len + len - done > BACKLOG_SIZE)
		return -1;
	memcpy(backlog + backlog_len, s + done, len - done);
	backlog_len += len - done;
	loop_timer(TIMER_LOG, loop_now() + FLUSH_FIRST, flush_backlog);
	return 0;
}

bool
log_ready(void)
{
	if (backlog_len > 0)
		flush_backlog();
	return backlog_len < (target == LOG_TO_FILE ? 1 : BACKLOG_SIZE / 2);
}

bool
log_stuck(void)
{
	/* Waiting makes no room on a disk; lines are dropped meanwhile. */
	return backlog_len > 0 && (target == LOG_TO_FILE ||
	    loop_now() - taken >= STUCK);
}

void
log_lost(unsigned long n)
{
	lost += n;
}

void
log_close(void)
{
	uint64_t until = loop_now() + LAST_WAIT;

	while (backlog_len > 0 && loop_now() < until) {
		(void)writable(100);
		flush_backlog();
		if (target == LOG_TO_FILE)
			break;	/* it is always writable, however full */
	}
}

/* "2026-01-31T23:59:59.123+01:00 "; returns its length. */
static size_t
format_time(char *buf, size_t size)
{
	struct timespec ts;
	struct tm tm;
	char zone[8];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	if (strftime(zone, sizeof(zone), "%z", &tm) != 5)
		strlcpy(zone, "+0000", sizeof(zone));
	n += (size_t)snprintf(buf + n, size - n, ".%03ld%.3s:%s ",
	    ts.tv_nsec / 1000000, zone, zone + 3);
	return n;
}

/* The beginning of a line in the target's form; level NULL: a worker's. */
static size_t
begin_line(char *buf, int priority, pid_t pid, const char *level)
{
	size_t n = 0;

	if (target != LOG_TO_SYSLOG && journal)
		n = (size_t)snprintf(buf, HEAD_SIZE, "<%d>", priority);
	else if (target != LOG_TO_SYSLOG)
		n = format_time(buf, HEAD_SIZE);
	n += (size_t)snprintf(buf + n, HEAD_SIZE - n, "%s[%d]%s%s: ", pool,
	    (int)pid, level != NULL ? " " : "", level != NULL ? level : "");
	return n;
}

/* line has room for a newline behind its len bytes. */
static int
put_log(int priority, char *line, size_t len)
{
	line[len] = '\n';
	if (target != LOG_TO_SYSLOG)
		return put_stream(line, len + 1);
	if (syslog_send(facility | priority, line, len) == 0)
		return 0;
	if (foreground)
		put_stream(line, len + 1);	/* somebody may see it */
	return -1;
}

static void
finish_line(int priority, char *line, size_t len)
{
	char note[HEAD_SIZE + 64];
	int saved = errno;
	size_t n;

	if (put_log(priority, line, len) == -1)
		lost++;
	else if (lost > 0) {
		n = begin_line(note, LOG_WARNING, getpid(), "warning");
		n += (size_t)snprintf(note + n, sizeof(note) - n - 1,
		    "log: %lu lines were lost", lost);
		if (put_log(LOG_WARNING, note, n) == 0)
			lost = 0;
	}
	errno = saved;
}

static void
put_message(int priority, const char *level, const char *fmt, va_list ap)
{
	char line[HEAD_SIZE + 2 * ERR_SIZE + 1], text[ERR_SIZE];
	size_t n;

	n = begin_line(line, priority, getpid(), level);
	vsnprintf(text, sizeof(text), fmt, ap);
	n += text_escape(line + n, sizeof(line) - n, text, strlen(text),
	    false);
	finish_line(priority, line, n);
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_message(LOG_WARNING, "warning", fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_message(LOG_INFO, "info", fmt, ap);
	va_end(ap);
}

size_t
log_worker(pid_t pid, const char *text, size_t len, bool split, bool raw)
{
	static char line[HEAD_SIZE + RAW_SIZE + 2];
	size_t n = 0;

	if (!raw || target == LOG_TO_SYSLOG)
		n = begin_line(line, LOG_INFO, pid, NULL);
	if (raw) {
		len = len < RAW_SIZE ? len : RAW_SIZE;
		memcpy(line + n, text, len);
		n += len;
	} else {
		n += text_escape(line + n, ESCAPED_SIZE + 1, text, len, false);
		if (split)
			line[n++] = '\\';
	}
	finish_line(LOG_INFO, line, n);
	return n + 1;
}
