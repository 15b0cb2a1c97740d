/* SPDX-License-Identifier: ISC */
/*
 * The file of our unix listen socket. The socket's directory is the working
 * directory while it is bound, so that no link can redirect the call. The
 * kernel shows a socket by the path that was bound, and those that ask whether
 * it is in use, such as systemd-tmpfiles(8), look for its whole path there. So
 * it is bound by that where nobody can redirect the call either.
 */
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"
#include "privilege/privilege.h"

static struct stat bound;	/* the unix socket we made */

socklen_t
socketfile_address(const char *path, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	strlcpy(un->sun_path, path, sizeof(un->sun_path));
	return sizeof(*un);
}

static bool
is_of_others(const struct stat *st)
{
	return st->st_uid != 0 && st->st_uid != geteuid();
}

/*
 * Could users other than root and us replace that directory? The group's right
 * may be one that an access list gives, whatever the group is.
 */
static bool
may_be_replaced(const struct stat *above, const struct stat *st)
{
	if (!is_of_others(above) &&
	    (above->st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return false;
	return (above->st_mode & S_ISVTX) == 0 || is_of_others(above) ||
	    is_of_others(st);
}

/*
 * Returns 0 if the path, which has no link in it, leads to the working
 * directory for good; else -1, with the path cut to the first directory that
 * could be replaced.
 */
static int
check_way(char *path)
{
	struct stat above, st, here;
	char *slash = path;

	if (stat("/", &above) == -1 || stat(".", &here) == -1)
		return -1;
	st = above;
	while (slash != NULL && slash[1] != '\0') {
		slash = strchr(slash + 1, '/');
		if (slash != NULL)
			*slash = '\0';
		if (lstat(path, &st) == -1 || !S_ISDIR(st.st_mode) ||
		    may_be_replaced(&above, &st))
			return -1;
		if (slash != NULL)
			*slash = '/';
		above = st;
	}
	return st.st_ino == here.st_ino && st.st_dev == here.st_dev ? 0 : -1;
}

bool
socketfile_path(const char *file, char path[SOCKET_PATH], char *why,
    size_t size)
{
	char dir[PATH_MAX];
	int n;

	if (getcwd(dir, sizeof(dir)) == NULL || dir[0] != '/') {
		strlcpy(why, "its directory has no path", size);
		return false;
	}
	n = snprintf(path, SOCKET_PATH, "%s/%s", dir[1] != '\0' ? dir : "",
	    file);
	if (n < 0 || (size_t)n >= SOCKET_PATH)
		snprintf(why, size, "%s/%s is longer than %zu bytes", dir,
		    file, SOCKET_PATH - 1);
	else if (check_way(dir) == -1)
		snprintf(why, size, "users other than root could replace %s",
		    dir);
	else
		return true;
	return false;
}

/* Removes the socket that we bound, unless another is in its place. */
static void
unbind(const struct plan *p, int dir)
{
	struct stat st;

	if (fstatat(dir, p->socket_file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISSOCK(st.st_mode) && st.st_ino == bound.st_ino &&
	    st.st_dev == bound.st_dev)
		unlinkat(dir, p->socket_file, 0);
	memset(&bound, 0, sizeof(bound));
}

int
socketfile_bind(const struct plan *p, int dir, int fd, struct err *e)
{
	char path[SOCKET_PATH], why[ERR_SIZE];
	struct sockaddr_un un;
	socklen_t len;
	mode_t old;
	int r;

	len = socketfile_address(socketfile_path(p->socket_file, path, why,
	    sizeof(why)) ? path : p->socket_file, &un);
	/* The socket has its mode from the start. */
	old = umask(0777 & ~p->socket_mode);
	r = bind(fd, (struct sockaddr *)&un, len);
	umask(old);
	if (r == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "bind: %s: %s", p->socket_name, strerror(errno));
	if (fstatat(dir, p->socket_file, &bound, AT_SYMLINK_NOFOLLOW) == -1)
		memset(&bound, 0, sizeof(bound));
	if (jail_chown_socket(dir, p->socket_file, p->socket_mode,
	    p->socket_uid, p->socket_gid) == -1)
		err_set(e, err_status(errno, EX_CANTCREAT), "chown: %s: %s",
		    p->socket_name, errno == ENOTSOCK ?
		    "another process has replaced it" : strerror(errno));
	else if (listen(fd, p->backlog) == -1)
		err_set(e, EX_CANTCREAT, "listen: %s: %s", p->socket_name,
		    strerror(errno));
	else
		return 0;
	unbind(p, dir);
	return -1;
}

void
socketfile_remove(const struct plan *p)
{
	/* In the jail "/" is its root, and jail_fd is closed. */
	bool jailed = p->jail != NULL && p->jail_fd == -1;
	int dir;

	if (bound.st_ino == 0 || (jailed && !p->socket_in_jail))
		return;
	dir = path_open_dir(p->socket_in_jail ? p->jail_fd : -1,
	    p->socket_dir);
	if (dir == -1)
		return;
	unbind(p, dir);
	close(dir);
}
