/* SPDX-License-Identifier: ISC */
/*
 * The way to a file that root is to open. Whoever owns a directory on the way
 * could have put a link there that leads anywhere: such a link is not taken.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "spawnd.h"

#define LINKS_MAX	40	/* as the kernel has it */

/*
 * fd is a link: puts where it leads before the rest of the way. Once it is
 * open, nobody can exchange it. Returns 0, or -1 with errno set.
 */
static int
take_link(int fd, const struct stat *st, char rest[PATH_MAX])
{
	char target[PATH_MAX], whole[PATH_MAX];
	ssize_t n;
	int len;

	if (st->st_uid != 0 || st->st_nlink != 1) {
		errno = EXDEV;
		return -1;
	}
	if ((n = readlinkat(fd, "", target, sizeof(target))) == -1)
		return -1;
	len = snprintf(whole, sizeof(whole), "%.*s/%s", (int)n, target, rest);
	if (len >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(rest, whole, sizeof(whole));
	return 0;
}

/* The next name of the way is taken out of it; NULL: it has no more. */
static char *
next_name(char rest[PATH_MAX], char name[PATH_MAX])
{
	size_t skip = strspn(rest, "/"), len = strcspn(rest + skip, "/");

	memcpy(name, rest + skip, len);
	name[len] = '\0';
	memmove(rest, rest + skip + len, strlen(rest + skip + len) + 1);
	return len > 0 ? name : NULL;
}

/* From directory dir, which becomes ours, by one name. */
static int
step(int dir, const char *name, char rest[PATH_MAX], int *links)
{
	struct stat st = { 0 };
	int fd, saved;

	/* O_DIRECTORY has what is mounted on demand mounted. */
	fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 && (errno == ENOTDIR || errno == ELOOP))
		fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd != -1 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(dir);
		return fd;
	}
	if (fd != -1 && !S_ISLNK(st.st_mode))
		errno = ENOTDIR;
	else if (fd != -1 && ++*links > LINKS_MAX)
		errno = ELOOP;
	else if (fd != -1 && take_link(fd, &st, rest) == 0) {
		close(fd);
		if (rest[0] != '/')
			return dir;
		close(dir);
		return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	saved = errno;
	if (fd != -1)
		close(fd);
	close(dir);
	errno = saved;
	return -1;
}

int
trail_open(const char *path)
{
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
	char rest[PATH_MAX], name[PATH_MAX];
	int dir, links = 0;

	/* With no more rights than who made the link, it is no matter. */
	if (geteuid() != 0)
		return open(path, flags);
	if (strlcpy(rest, path, sizeof(rest)) >= sizeof(rest)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	dir = open(path[0] == '/' ? "/" : ".", flags);
	while (dir != -1 && next_name(rest, name) != NULL)
		dir = step(dir, name, rest, &links);
	return dir;
}

int
trail_open_above(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];

	*name = slash != NULL ? slash + 1 : path;
	if (slash == NULL)
		return trail_open(".");
	if ((size_t)(slash - path) >= sizeof(above)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	snprintf(above, sizeof(above), "%.*s", (int)(slash - path), path);
	return trail_open(slash == path ? "/" : above);
}

const char *
trail_reason(int error)
{
	return error == EXDEV ? "a link on the way there is not root's" :
	    strerror(error);
}
