/* SPDX-License-Identifier: ISC */
/*
 * The pidfile. libbsd's pidfile_open() follows links and empties what it
 * finds before it knows what that is; its flopenat() does neither.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <libutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "spawnd.h"

static int file = -1;
static int dir = -1;
static bool filled;

/* Who holds the lock, as far as the file tells. */
static int
in_use(const char *path, const char *name, struct err *e)
{
	char buf[16] = "";
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	ssize_t n = 0;

	if (fd != -1) {
		n = read(fd, buf, sizeof(buf) - 1);
		close(fd);
	}
	buf[strspn(buf, "0123456789")] = '\0';
	return err_set(e, EX_CANTCREAT, "-P: %s: in use by %s%s", path,
	    n > 0 && buf[0] != '\0' ? "pid " : "another process", buf);
}

static int
check(const char *path, struct err *e)
{
	struct stat st;

	if (fstat(file, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_nlink != 1)
		return err_set(e, EX_CANTCREAT, "-P: %s: is not a file of "
		    "its own", path);
	return 0;
}

static int
fill(const char *path, mode_t mode, struct err *e)
{
	if (fchmod(file, mode) == -1 || ftruncate(file, 0) == -1 ||
	    dprintf(file, "%d\n", (int)getpid()) < 0)
		return err_set(e, EX_CANTCREAT, "-P: %s: %s", path,
		    strerror(errno));
	filled = true;
	return 0;
}

int
pidfile_lock(const struct plan *p, struct err *e)
{
	char *path = p->pidfile, *slash;
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC | O_NOCTTY;
	bool detached, public = p->conf->pidfile_public;

	if (path == NULL)
		return 0;
	slash = strrchr(path, '/');
	*slash = '\0';
	dir = jail_detach(slash == path ? "/" : path, &detached);
	*slash = '/';
	if (dir == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "-P: %s: its directory: %s", path, strerror(errno));
	file = public ? openat(dir, slash + 1, flags, 0644) :
	    flopenat(dir, slash + 1, flags, 0600);
	if (file == -1 && errno == EWOULDBLOCK)
		return in_use(path, slash + 1, e);
	if (file == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "-P: %s: %s", path, errno == ELOOP ? "is a link" :
		    strerror(errno));
	/* Whoever may read it may lock it, and so prevent the next start. */
	if (check(path, e) == -1 ||
	    (!public && fill(path, 0600, e) == -1)) {
		close(file);
		file = -1;
		return -1;
	}
	if (p->jail != NULL && !detached) {
		close(dir);	/* it would lead out of the jail */
		dir = -1;
	}
	return 0;
}

int
pidfile_publish(const struct plan *p, struct err *e)
{
	if (p->pidfile == NULL || !p->conf->pidfile_public)
		return 0;
	return fill(p->pidfile, 0644, e);
}

void
pidfile_clear(const struct plan *p)
{
	struct stat st;

	if (file == -1)
		return;
	/* Not filled it is another's, unless it was made just now. */
	if (!filled && (fstat(file, &st) == -1 || st.st_size > 0)) {
		close(file);
		file = -1;
		return;
	}
	/* Whoever reads it from now on learns nothing wrong. */
	if (ftruncate(file, 0) == -1)
		log_warn("-P: %s: %s", p->pidfile, strerror(errno));
	if (dir != -1)
		unlinkat(dir, strrchr(p->pidfile, '/') + 1, 0);
	close(file);
	file = -1;
}
