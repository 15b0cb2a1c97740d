/* SPDX-License-Identifier: ISC */
/* A directory of a test's own, and files in it. */
#ifndef TMP_H
#define TMP_H

#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

static char tmp_dir[128];

/* Set-up and tear-down of a group of tests. */
static inline int
tmp_make(void **arg)
{
	const char *base = getenv("TMPDIR");

	(void)arg;
	snprintf(tmp_dir, sizeof(tmp_dir), "%s/spawnd-unit.XXXXXX",
	    base != NULL && base[0] == '/' ? base : "/tmp");
	return mkdtemp(tmp_dir) == NULL || chmod(tmp_dir, 0755) == -1 ? -1 :
	    0;
}

static inline int
tmp_remove(void **arg)
{
	DIR *d = opendir(tmp_dir);
	struct dirent *de;

	(void)arg;
	if (d == NULL)
		return -1;
	while ((de = readdir(d)) != NULL) {
		if (unlinkat(dirfd(d), de->d_name, 0) == -1)
			unlinkat(dirfd(d), de->d_name, AT_REMOVEDIR);
	}
	closedir(d);
	return rmdir(tmp_dir);
}

/* The path of a name in it; good until the next but three calls. */
static inline const char *
tmp_path(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % NITEMS(paths)];

	snprintf(path, PATH_MAX, "%s/%s", tmp_dir, name);
	return path;
}

/* Writes a file, in place of an earlier one. Returns its path. */
static inline const char *
tmp_file(const char *name, const void *data, size_t size, mode_t mode)
{
	const char *path = tmp_path(name);
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

#endif
