/* SPDX-License-Identifier: ISC */
/*
 * A service manager's protocols, as sd_listen_fds(3) and sd_notify(3)
 * document them. libsystemd is not needed for so little.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "run/supervise.h"

#define FIRST_FD	3
#define LISTEN_MAX	1024

#define LINES_SIZE	512	/* of one message */
#define AGAIN_FIRST	UINT64_C(10000)	/* usec to the next try */

static int sock = -1;
static char state[2 * LINES_SIZE]; /* lines the manager has not taken yet */
static uint64_t again;
static uint64_t watchdog;
static bool mute;		/* another process is the main one */

/* A number from the environment; -1: there is none. */
static long long
get_number(const char *name)
{
	const char *s = getenv(name), *why;
	long long n;

	if (s == NULL || s[strspn(s, "0123456789")] != '\0')
		return -1;
	n = strtonum(s, 0, INT64_MAX, &why);
	return why == NULL ? n : -1;
}

int
sdnotify_listen_fds(struct err *e)
{
	long long n;

	if (getenv("LISTEN_FDS") == NULL ||
	    get_number("LISTEN_PID") != getpid())
		return 0;
	n = get_number("LISTEN_FDS");
	if (n < 0 || n > LISTEN_MAX)
		return err_set(e, EX_CONFIG, "LISTEN_FDS: %s: not a number "
		    "of descriptors", getenv("LISTEN_FDS"));
	return (int)n;
}

/* Is word number i of the colon-separated list this name? */
static bool
is_named(const char *list, int i, const char *name)
{
	size_t len;

	for (; i > 0 && list != NULL; i--) {
		list = strchr(list, ':');
		if (list != NULL)
			list++;
	}
	if (list == NULL)
		return false;
	len = strcspn(list, ":");
	return strlen(name) == len && strncmp(list, name, len) == 0;
}

int
sdnotify_choose(int n, const char *name, struct err *e)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int i, chosen = n == 1 ? FIRST_FD : -1;

	for (i = FIRST_FD; i < FIRST_FD + n; i++) {
		if (fcntl(i, F_GETFD) == -1)
			return err_set(e, EX_CONFIG, "LISTEN_FDS: %d: "
			    "descriptor %d is not open", n, i);
	}
	for (i = 0; n > 1 && i < n; i++) {
		if (!is_named(names, i, name))
			continue;
		if (chosen != -1)
			return err_set(e, EX_CONFIG, "LISTEN_FDNAMES: %s: "
			    "more than one socket is called %s", names,
			    name);
		chosen = FIRST_FD + i;
	}
	if (chosen == -1)
		return err_set(e, EX_CONFIG, "LISTEN_FDS: %d sockets, none "
		    "of which LISTEN_FDNAMES calls %s (choose one with "
		    "--name)", n, name);
	for (i = FIRST_FD; i < FIRST_FD + n; i++) {
		if (i != chosen)
			close(i);
	}
	fcntl(chosen, F_SETFD, FD_CLOEXEC);
	return chosen;
}

void
sdnotify_close(int n)
{
	int i;

	for (i = FIRST_FD; i < FIRST_FD + n; i++)
		close(i);
}

void
sdnotify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	long long usec = get_number("WATCHDOG_USEC");
	size_t len;

	if (usec > 0 && (getenv("WATCHDOG_PID") == NULL ||
	    get_number("WATCHDOG_PID") == getpid()))
		watchdog = (uint64_t)usec / 2;
	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    (len = strlen(path)) >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, len);
	if (path[0] == '@')
		un.sun_path[0] = '\0';	/* an abstract name has no NUL */
	else
		len++;
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock == -1)
		return;
	len += offsetof(struct sockaddr_un, sun_path);
	if (connect(sock, (struct sockaddr *)&un, (socklen_t)len) == -1) {
		log_warn("NOTIFY_SOCKET: %s: %s", path, strerror(errno));
		close(sock);
		sock = -1;
	}
}

/* Returns false if the manager's queue is full. */
static bool
send_now(const char *text, size_t len)
{
	/* If the manager is gone, the pool serves on. */
	return send(sock, text, len, MSG_NOSIGNAL) != -1 ||
	    (errno != EAGAIN && errno != ENOBUFS);
}

static void
send_state(void)
{
	size_t len = strlen(state);

	if (len == 0 || send_now(state, len - 1)) {
		state[0] = '\0';
		return;
	}
	loop_timer(TIMER_NOTIFY, loop_now() + again, send_state);
	again = again * 2 > USEC ? USEC : again * 2;
}

/* Replaces the line with the same key; without room for it, drops it. */
static void
set_line(const char *line, size_t len)
{
	size_t key = strcspn(line, "=") + 1, n;
	char *p = state, *end;

	while (*p != '\0') {
		end = strchr(p, '\n') + 1;
		if (strncmp(p, line, key) == 0)
			memmove(p, end, strlen(end) + 1);
		else
			p = end;
	}
	n = strlen(state);
	if (n + len + 2 > sizeof(state))
		return;
	memcpy(state + n, line, len);
	memcpy(state + n + len, "\n", 2);
}

void
sdnotify_send(const char *fmt, ...)
{
	char text[LINES_SIZE], *rest = text, *line;
	va_list ap;
	int n;

	if (sock == -1 || mute)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Without room, whole lines are left out. */
	if (n >= (int)sizeof(text)) {
		line = strrchr(text, '\n');
		*(line != NULL ? line : text) = '\0';
	}
	/* A state may be late, but not lost; it contains those before. */
	if (strncmp(text, "WATCHDOG", 8) == 0) {
		if (state[0] == '\0')
			send_now(text, strlen(text));
		return;
	}
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] != '\0')
			set_line(line, strlen(line));
	}
	again = AGAIN_FIRST;
	send_state();
}

int
sdnotify_socket(void)
{
	return sock;
}

void
sdnotify_take(int fd, uint64_t usec)
{
	sock = fd;
	watchdog = usec;
	mute = true;
}

void
sdnotify_is_main(bool ours)
{
	mute = !ours;
}

bool
sdnotify_wanted(void)
{
	return sock != -1 && !mute;
}

uint64_t
sdnotify_watchdog(void)
{
	return sock != -1 ? watchdog : 0;
}
