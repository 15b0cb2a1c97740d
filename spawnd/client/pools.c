/* SPDX-License-Identifier: ISC */
/* Finds pools, and the log that a pool has recorded. */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "client/client.h"

static int
add_pool(struct pools *p, const char *base, const char *name, struct err *e)
{
	struct found *list;

	list = reallocarray(p->list, p->n + 1, sizeof(*list));
	if (list == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	p->list = list;
	list[p->n] = (struct found){ .name = strdup(name) };
	if (list[p->n].name == NULL || asprintf(&list[p->n].dir, "%s%s%s",
	    base, base[0] != '\0' ? "/" : "", name) == -1) {
		free(list[p->n].name);
		return err_set(e, EX_OSERR, "out of memory");
	}
	p->n++;
	return 0;
}

static int
compare_pools(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/*
 * Is a daemon there, though it may be too busy for us? A pool that refuses us
 * is counted.
 */
static bool
ask_alive(struct pools *p, const char *dir)
{
	struct conn t;
	struct err e;

	if (conn_open(&t, dir, true, &e) == -1) {
		p->denied += e.status == EX_NOPERM;
		return e.status == EX_TEMPFAIL;
	}
	conn_close(&t);
	return true;
}

static int
scan_base(struct pools *p, const char *base, struct err *e)
{
	struct dirent *de;
	char *path;
	int r = 0;
	DIR *d;

	if (!find_is_trusted(base) || (d = opendir(base)) == NULL)
		return 0;
	while (r == 0 && p->n < POOLS_MAX && (de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if (asprintf(&path, "%s/%s", base, de->d_name) == -1)
			continue;
		if (find_is_directory(path) && ask_alive(p, path))
			r = add_pool(p, base, de->d_name, e);
		free(path);
	}
	closedir(d);
	return r;
}

static int
find_named(const char *name, struct pools *p, struct err *e)
{
	char *base = find_place(name, getenv("XDG_RUNTIME_DIR"));
	int r;

	if (base == NULL)
		return err_set(e, EX_UNAVAILABLE, "-p: %s: no pool has this "
		    "name (spawnctl list shows them)", name);
	r = add_pool(p, base, name, e);
	free(base);
	return r;
}

int
pools_find(const char *which, struct pools *p, struct err *e)
{
	char *list[FIND_PLACES];
	int i, n, r = 0;

	*p = (struct pools){ NULL, 0, 0 };
	if (which != NULL && strchr(which, '/') != NULL)
		return add_pool(p, "", which, e);
	if (which != NULL)
		return find_named(which, p, e);
	n = find_places(getenv("XDG_RUNTIME_DIR"), list);
	for (i = 0; i < n; i++) {
		if (r == 0)
			r = scan_base(p, list[i], e);
		free(list[i]);
	}
	if (p->n > 1)
		qsort(p->list, p->n, sizeof(*p->list), compare_pools);
	return r;
}

void
pools_free(struct pools *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->list[i].dir);
		free(p->list[i].name);
	}
	free(p->list);
	*p = (struct pools){ NULL, 0, 0 };
}

static int
no_path(const char *dir, const char *why, struct err *e)
{
	return err_set(e, EX_CONFIG, "%s: %s (name the file: spawnctl "
	    "log-reopen FILE)", dir, why);
}

char *
pools_log(int at, const char *dir, struct err *e)
{
	char buf[PATH_MAX], *path;
	struct stat st;
	ssize_t n;
	int fd;

	if (fstat(at, &st) == -1 || !path_is_ours(&st)) {
		no_path(dir, "others may write there", e);
		return NULL;
	}
	fd = openat(at, "log", O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	if (fd == -1) {
		no_path(dir, "the path of its log is not recorded there", e);
		return NULL;
	}
	n = fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid() ? -1 : read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 1 || buf[n - 1] != '\n' || buf[0] != '/') {
		no_path(dir, "the path of its log was not recorded by you", e);
		return NULL;
	}
	buf[n - 1] = '\0';
	if ((path = strdup(buf)) == NULL)
		err_set(e, EX_OSERR, "out of memory");
	return path;
}

int
pools_open_log(const char *path, struct err *e)
{
	const char *name;
	int dir, fd, error;

	if ((dir = path_open_above(path, &name)) == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT), "%s: its "
		    "directory: %s", path, path_reason(errno));
	fd = path_open_append(dir, name, O_CREAT);
	error = errno;
	close(dir);
	if (fd == -1)
		return err_set(e, err_status(error, EX_CANTCREAT), "%s: %s",
		    path, path_append_reason(error));
	return fd;
}
