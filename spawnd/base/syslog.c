/* SPDX-License-Identifier: ISC */
/*
 * Sends datagrams to syslogd. libc's syslog(3) loses every line once syslogd
 * has been restarted and the jail has no /dev/log; here the socket's directory
 * is kept open, detached, and the next line connects again.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"

static const struct {
	const char	*name;
	int		 facility;
} facilities[] = {
	{ "auth", LOG_AUTH },		{ "authpriv", LOG_AUTHPRIV },
	{ "cron", LOG_CRON },		{ "daemon", LOG_DAEMON },
	{ "ftp", LOG_FTP },		{ "kern", LOG_KERN },
	{ "lpr", LOG_LPR },		{ "mail", LOG_MAIL },
	{ "news", LOG_NEWS },		{ "syslog", LOG_SYSLOG },
	{ "user", LOG_USER },		{ "uucp", LOG_UUCP },
	{ "local0", LOG_LOCAL0 },	{ "local1", LOG_LOCAL1 },
	{ "local2", LOG_LOCAL2 },	{ "local3", LOG_LOCAL3 },
	{ "local4", LOG_LOCAL4 },	{ "local5", LOG_LOCAL5 },
	{ "local6", LOG_LOCAL6 },	{ "local7", LOG_LOCAL7 },
};

static int dir = -1;		/* of the socket; -1: use the whole path */
static char name[108];		/* of the socket, in dir or absolute */
static int sock = -1;

int
syslog_facility(const char *s)
{
	size_t i;

	for (i = 0; i < sizeof(facilities) / sizeof(facilities[0]); i++) {
		if (strcasecmp(s, facilities[i].name) == 0)
			return facilities[i].facility;
	}
	return -1;
}

/*
 * Connects to the name in dir, which a jailed process reaches only by chdir.
 * Without dir the name is the whole path, and the working directory stays.
 */
static int
syslog_connect(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int r, saved;

	if (dir == -1 && name[0] != '/')
		return -1;
	if (sock != -1)
		close(sock);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock == -1)
		return -1;
	strlcpy(un.sun_path, name, sizeof(un.sun_path));
	if (dir != -1 && fchdir(dir) == -1)
		r = -1;
	else
		r = connect(sock, (struct sockaddr *)&un, sizeof(un));
	saved = errno;
	if ((dir != -1 && chdir("/") == -1) || r == -1) {
		close(sock);
		sock = -1;
		errno = saved;
		return -1;
	}
	return 0;
}

int
syslog_open(bool jailed)
{
	char *path, *slash;
	bool detached;
	int r, saved;

	/* It is often a link to the logger's socket. */
	if ((path = realpath(SYSLOG_SOCKET, NULL)) == NULL &&
	    (path = strdup(SYSLOG_SOCKET)) == NULL)
		return -1;
	if (!jailed && strlcpy(name, path, sizeof(name)) < sizeof(name)) {
		free(path);
		return syslog_connect();
	}
	slash = strrchr(path, '/');
	/* A name that is cut could be another's. */
	if (strlcpy(name, slash + 1, sizeof(name)) >= sizeof(name)) {
		name[0] = '\0';
		free(path);
		errno = ENAMETOOLONG;
		return -1;
	}
	slash[slash == path ? 1 : 0] = '\0';
	dir = path_detach(path_open_dir(-1, path), &detached);
	free(path);
	r = syslog_connect();
	saved = errno;
	if (jailed && dir != -1 && !detached) {
		close(dir);	/* it would lead out of the jail */
		dir = -1;
	}
	errno = saved;
	return r;
}

int
syslog_send(int priority, const char *text, size_t len)
{
	char head[64];
	time_t now = time(NULL);
	struct tm tm;
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	size_t n;

	localtime_r(&now, &tm);
	n = (size_t)snprintf(head, sizeof(head), "<%d>", priority);
	n += strftime(head + n, sizeof(head) - n, "%b %e %H:%M:%S ", &tm);
	iov[0].iov_base = head;
	iov[0].iov_len = n;
	iov[1].iov_base = (void *)(uintptr_t)text;
	iov[1].iov_len = len;
	if (sock != -1 && sendmsg(sock, &msg, MSG_NOSIGNAL) != -1)
		return 0;
	/* A slow syslogd loses the line: we do not wait. */
	if (sock != -1 && (errno == EAGAIN || errno == ENOBUFS ||
	    errno == EMSGSIZE))
		return -1;
	if (syslog_connect() == -1)
		return -1;
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == -1 ? -1 : 0;
}
