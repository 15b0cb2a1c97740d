/* SPDX-License-Identifier: ISC */
/*
 * A file that holds our pid and is locked for as long as we live. libbsd's
 * pidfile_open() follows links, and truncates a file before it is known to be
 * a pidfile; not all systems have its flopenat().
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"

#define FLAGS	(O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | \
		    O_NOCTTY)

#define PID_SIZE	16	/* of what is in it, at the most */

/* Opens and locks the file that has the name then. */
static int
open_locked(int dir, const char *name)
{
	int fd;

	for (;;) {
		if ((fd = openat(dir, name, FLAGS, 0600)) == -1)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) == -1)
			return path_close(fd, -1);
		if (path_leads_to(dir, name, fd))
			return fd;
		close(fd);	/* it was removed or replaced meanwhile */
	}
}

int
pidlock_open(int dir, const char *name, bool locked)
{
	/* A user who can read it can lock it, and so prevent a start. */
	return locked ? open_locked(dir, name) :
	    openat(dir, name, FLAGS, 0644);
}

bool
pidlock_is_pid(int fd)
{
	char buf[PID_SIZE];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_nlink != 1 || st.st_size >= (off_t)sizeof(buf) ||
	    (n = pread(fd, buf, sizeof(buf) - 1, 0)) == -1)
		return false;
	buf[n] = '\0';
	return buf[strspn(buf, "0123456789\n")] == '\0' &&
	    strlen(buf) == (size_t)n;
}

int
pidlock_fill(int fd, mode_t mode)
{
	return fchmod(fd, mode) == -1 || ftruncate(fd, 0) == -1 ||
	    dprintf(fd, "%d\n", (int)getpid()) < 0 ? -1 : 0;
}

int
pidlock_rewrite(int fd, pid_t pid)
{
	char text[PID_SIZE];
	struct stat st;
	size_t len, n;

	if (fstat(fd, &st) == -1)
		return -1;
	/* What is left of a longer one, a second number, is cut off then. */
	memset(text, '\n', sizeof(text));
	n = (size_t)snprintf(text, sizeof(text), "%d\n", (int)pid);
	text[n] = '\n';
	len = st.st_size > (off_t)n && st.st_size <= (off_t)sizeof(text) ?
	    (size_t)st.st_size : n;
	if (pwrite(fd, text, len, 0) != (ssize_t)len)
		return -1;
	return len > n ? ftruncate(fd, (off_t)n) : 0;
}

bool
pidlock_holds(int fd, pid_t pid)
{
	char own[PID_SIZE], buf[PID_SIZE];
	int len = snprintf(own, sizeof(own), "%d\n", (int)pid);

	return pread(fd, buf, sizeof(buf), 0) == len &&
	    memcmp(buf, own, (size_t)len) == 0;
}

const char *
pidlock_holder(int dir, const char *name, char who[HOLDER_SIZE])
{
	char buf[16] = "";
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK | O_NOCTTY);

	if (fd != -1) {
		if (read(fd, buf, sizeof(buf) - 1) == -1)
			buf[0] = '\0';
		close(fd);
	}
	buf[strspn(buf, "0123456789")] = '\0';
	snprintf(who, HOLDER_SIZE, "%s%s", buf[0] != '\0' ? "pid " :
	    "another process", buf);
	return who;
}
