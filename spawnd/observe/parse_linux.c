/* SPDX-License-Identifier: ISC */
/*
 * The texts of /proc, as the kernel writes them. Pure: whoever wrote them, no
 * byte of them leads astray.
 */
#include <sys/syscall.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"

/* Of the flags of proc(5). */
#define EXITING		0x4U	/* it is ending */
#define SIGNALED	0x400U	/* a signal ends it */

#define LIMIT_NONE	59000U	/* ms; so long, or negative: there is none */

bool
parse_is_accept(long call)
{
#ifdef SYS_accept
	if (call == SYS_accept)
		return true;
#endif
	return call == SYS_accept4;
}

static bool
is_poll(long call)
{
	static const long calls[] = {
#ifdef SYS_poll
		SYS_poll,
#endif
#ifdef SYS_select
		SYS_select,
#endif
#ifdef SYS_epoll_wait
		SYS_epoll_wait,
#endif
#ifdef SYS_epoll_pwait2
		SYS_epoll_pwait2,
#endif
		SYS_ppoll, SYS_pselect6, SYS_epoll_pwait,
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (call == calls[i])
			return true;
	}
	return false;
}

/* What event loops wait in, and libraries between two calls do not. */
static bool
is_epoll(long call)
{
#ifdef SYS_epoll_wait
	if (call == SYS_epoll_wait)
		return true;
#endif
#ifdef SYS_epoll_pwait2
	if (call == SYS_epoll_pwait2)
		return true;
#endif
	return call == SYS_epoll_pwait;
}

bool
parse_is_read(long call)
{
	return call == SYS_read || call == SYS_readv ||
	    call == SYS_recvfrom || call == SYS_recvmsg;
}

bool
parse_is_write(long call)
{
	return call == SYS_write || call == SYS_writev ||
	    call == SYS_sendto || call == SYS_sendmsg ||
	    call == SYS_sendfile;
}

/* What threads wait for each other in. */
static bool
is_futex(long call)
{
#ifdef SYS_futex
	if (call == SYS_futex)
		return true;
#endif
#ifdef SYS_futex_time64
	if (call == SYS_futex_time64)
		return true;
#endif
	return false;
}

static bool
is_sleep(long call)
{
#ifdef SYS_nanosleep
	if (call == SYS_nanosleep)
		return true;
#endif
#ifdef SYS_clock_nanosleep_time64
	if (call == SYS_clock_nanosleep_time64)
		return true;
#endif
#ifdef SYS_clock_nanosleep
	if (call == SYS_clock_nanosleep)
		return true;
#endif
	return false;
}

static bool
is_wait(long call)
{
#ifdef SYS_wait4
	if (call == SYS_wait4)
		return true;
#endif
	return call == SYS_waitid;
}

static bool
is_select(long call)
{
#ifdef SYS_select
	if (call == SYS_select)
		return true;
#endif
	return call == SYS_pselect6;
}

/* These may wait for any descriptor; the last goes on with another call. */
static bool
is_unclear(long call)
{
#ifdef SYS_io_uring_enter
	if (call == SYS_io_uring_enter)
		return true;
#endif
#ifdef SYS_io_getevents
	if (call == SYS_io_getevents)
		return true;
#endif
#ifdef SYS_io_pgetevents
	if (call == SYS_io_pgetevents)
		return true;
#endif
	return call == SYS_restart_syscall;
}

/*
 * The time limit of a futex or a poll: a pointer, or a number of which int is
 * read. An event loop without a timer need not wait for ever: libev has a
 * limit of nearly a minute then.
 */
static bool
is_endless(long call, const unsigned long *args)
{
#ifdef SYS_epoll_pwait2
	if (call == SYS_epoll_pwait2)
		return args[3] == 0;
#endif
#ifdef SYS_poll
	if (call == SYS_poll)
		return (args[2] & 0xffffffffU) >= LIMIT_NONE;
#endif
	if (call == SYS_ppoll)
		return args[2] == 0;
	if (is_select(call))
		return args[4] == 0;
	if (is_futex(call))
		return args[3] == 0;
	return is_epoll(call) && (args[3] & 0xffffffffU) >= LIMIT_NONE;
}

bool
parse_waits(long call)
{
	return parse_is_read(call) || is_poll(call);
}

bool
parse_may_wait(long call)
{
	return parse_waits(call) || parse_is_accept(call) || is_futex(call) ||
	    is_sleep(call) || is_wait(call) || is_unclear(call);
}

struct call
parse_call(const char *text)
{
	struct call c = { .kind = CALL_NONE, .fd = -1 };
	unsigned long args[5], stack;
	long n;

	if (sscanf(text, "%ld 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%*x 0x%lx",
	    &n, &args[0], &args[1], &args[2], &args[3], &args[4],
	    &stack) != 7)
		return c;	/* "running", or not in a call */
	/* A 32-bit program on a 64-bit kernel numbers its calls otherwise. */
	if (sizeof(long) == 8 && stack <= UINT32_MAX)
		c.kind = CALL_FOREIGN;
	else if (parse_is_accept(n))
		c.kind = CALL_ACCEPT;
	else if (parse_is_read(n))
		c.kind = CALL_READ;
	else if (parse_is_write(n))
		c.kind = CALL_WRITE;
	else if (is_epoll(n))
		c.kind = CALL_EPOLL;
	else if (is_poll(n))
		c.kind = CALL_POLL;
	else if (is_futex(n))
		c.kind = CALL_FUTEX;
	else if (is_sleep(n))
		c.kind = CALL_SLEEP;
	else if (is_wait(n))
		c.kind = CALL_WAIT;
	else if (is_unclear(n))
		c.kind = CALL_UNCLEAR;
	else
		c.kind = CALL_OTHER;
	c.endless = is_endless(n, args);
	c.fd = args[0] <= INT_MAX ? (int)args[0] : -1;
	/* select(2) has the number first, the others the address. */
	c.bits = is_select(n);
	c.set = args[c.bits];
	c.n = args[!c.bits];
	return c;
}

/* Neither its tracer nor a debugger lets such a task go on in its program. */
static bool
is_held(char state, unsigned int flags)
{
	return state == 't' && (flags & SIGNALED) != 0;
}

int
parse_stat(const char *text, char *state, uint64_t *ticks)
{
	unsigned long user, sys;
	unsigned int flags;
	/* The name in parentheses is the program's own and may hold any. */
	const char *s = strrchr(text, ')');

	if (s == NULL || sscanf(s + 1, " %c %*d %*d %*d %*d %*d %u %*u %*u "
	    "%*u %*u %lu %lu", state, &flags, &user, &sys) != 4)
		return -1;
	if ((flags & EXITING) != 0 || is_held(*state, flags))
		*state = 'X';
	*ticks = (uint64_t)user + sys;
	return 0;
}

char
parse_state(const char *text)
{
	const char *s = strrchr(text, ')');
	unsigned int flags = 0;
	char state = '\0';

	if (s != NULL && sscanf(s + 1, " %c %*d %*d %*d %*d %*d %u", &state,
	    &flags) == 2 && is_held(state, flags))
		return STATE_HELD;
	return state;
}

int
parse_usage(const char *text, uint64_t *ticks, uint64_t *pages)
{
	unsigned long user, sys;
	const char *s = strrchr(text, ')');
	long rss;

	if (s == NULL || sscanf(s + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u "
	    "%*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &user,
	    &sys, &rss) != 3)
		return -1;
	*ticks = (uint64_t)user + sys;
	*pages = (uint64_t)(rss > 0 ? rss : 0);
	return 0;
}

/* The blank before a field of /proc/PID/stat, or NULL; the first is 1. */
static const char *
find_field(const char *text, int field)
{
	/* The second, a name, ends there. */
	const char *s = strrchr(text, ')');
	int i;

	for (i = 2; s != NULL && i < field; i++)
		s = strchr(s + 1, ' ');
	return s;
}

uint64_t
parse_started(const char *text)
{
	const char *s = find_field(text, 22);

	return s != NULL ? strtoull(s + 1, NULL, 10) : 0;
}

int
parse_exit(const char *text, int *status)
{
	const char *s = find_field(text, 52);	/* the last */
	char *end;
	long n;

	if (s == NULL)
		return -1;
	n = strtol(s + 1, &end, 10);
	if (end == s + 1 || n < 0 || n > 0xffff)
		return -1;
	*status = (int)n;
	return 0;
}

long
parse_field(const char *text, const char *name)
{
	size_t len = strlen(name);
	const char *s = text;
	char *end;
	long n;

	/* The first line is the program's name for itself. */
	while ((s = strchr(s, '\n')) != NULL) {
		s++;
		if (strncmp(s, name, len) != 0 || s[len] != ':')
			continue;
		n = strtol(s + len + 1, &end, 10);
		return end == s + len + 1 || n > INT_MAX ? -1 : n;
	}
	return -1;
}

uint64_t
parse_pss(const char *text)
{
	static const char key[] = "\nPss:";
	const char *s = strstr(text, key);

	return s == NULL ? 0 : (uint64_t)strtoull(s + sizeof(key) - 1, NULL,
	    10) * 1024;
}

size_t
parse_pids(const char *text, pid_t *list, int *n, int max)
{
	const char *s = text;
	char *end;
	long pid;

	while (*n < max) {
		pid = strtol(s, &end, 10);
		if (end == s || *end != ' ' || pid <= 0 || pid > INT_MAX)
			break;
		list[(*n)++] = (pid_t)pid;
		s = end + 1;
	}
	return (size_t)(s - text);
}

uint64_t
parse_mask(const char *text, const char *name)
{
	size_t len = strlen(name);
	const char *s = text;

	/* The first line is the program's name for itself. */
	while ((s = strchr(s, '\n')) != NULL) {
		s++;
		if (strncmp(s, name, len) == 0 && s[len] == ':')
			return strtoull(s + len + 1, NULL, 16);
	}
	return 0;
}

bool
parse_caught(const char *text, int signo)
{
	return signo >= 1 && signo <= 64 &&
	    (parse_mask(text, "SigCgt") >> (signo - 1) & 1) != 0;
}

/* The four user ids of /proc/PID/status. */
static bool
read_uids(const char *text, unsigned int u[4])
{
	static const char key[] = "\nUid:";
	const char *s = strstr(text, key);

	return s != NULL && sscanf(s + sizeof(key) - 1, "%u %u %u %u", &u[0],
	    &u[1], &u[2], &u[3]) == 4;
}

bool
parse_is_user(const char *text, uid_t uid)
{
	unsigned int u[4];

	return read_uids(text, u) && u[0] == uid && u[1] == uid &&
	    u[2] == uid && u[3] == uid;
}

bool
parse_has_uid(const char *text, uid_t uid)
{
	unsigned int u[4];
	size_t i;

	if (!read_uids(text, u))
		return true;	/* what cannot be known is nobody else's */
	for (i = 0; i < 4; i++) {
		if (u[i] == uid)
			return true;
	}
	return false;
}

bool
parse_watched(const char *line, int *fd, uint64_t *inode, uint32_t *events)
{
	return sscanf(line, "tfd: %d events: %" SCNx32 " data: %*s pos:%*d "
	    "ino:%" SCNx64, fd, events, inode) == 3;
}
