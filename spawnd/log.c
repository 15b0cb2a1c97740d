/* SPDX-License-Identifier: ISC */
/* The log: whole lines on standard error. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spawnd.h"

#define LINE_SIZE	2048

static const char *pool = "spawnd";

void
log_init(const char *name)
{
	pool = name;
	/* In a jail localtime(3) finds its files only if told their path. */
	if (getenv("TZ") == NULL)
		setenv("TZ", ":/etc/localtime", 1);
	tzset();
}

/* "2026-01-31T23:59:59.123+01:00"; returns its length. */
static size_t
stamp(char *buf, size_t size)
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
	n += (size_t)snprintf(buf + n, size - n, ".%03ld%.3s:%s",
	    ts.tv_nsec / 1000000, zone, zone + 3);
	return n;
}

static void
put(const char *level, const char *fmt, va_list ap)
{
	char line[LINE_SIZE];
	int saved = errno;
	size_t n, i, start;
	ssize_t r;

	n = stamp(line, sizeof(line));
	n += (size_t)snprintf(line + n, sizeof(line) - n, " %s[%d] %s: ",
	    pool, (int)getpid(), level);
	start = n;
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	n += strlen(line + n);
	for (i = start; i < n; i++) {
		if (iscntrl((unsigned char)line[i]))
			line[i] = '?';
	}
	line[n++] = '\n';
	/* A log that cannot be written must not end the pool. */
	r = write(STDERR_FILENO, line, n);
	(void)r;
	errno = saved;
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put("warning", fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put("info", fmt, ap);
	va_end(ap);
}

void
fatal(const struct err *e)
{
	daemon_outcome(e->status, e->text);
	exit(e->status);
}
