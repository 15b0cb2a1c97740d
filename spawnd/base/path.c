/* SPDX-License-Identifier: ISC */
/*
 * Path look-ups that are safe for root, done component by component. The owner
 * of a directory on the way could have put a link there that leads anywhere,
 * so root follows a link only if root owns it. Below another root directory
 * the walk ends where it would for a process with that root directory: ".."
 * goes back to the descriptor it came from, and never above the first.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"

#define LINKS_MAX	40	/* as the kernel has it */
#define DEPTH_MAX	128	/* directories, each of them open */

struct walk {
	int		 root;			/* -1: the system's own */
	int		 dirs[DEPTH_MAX];
	int		 depth;			/* index of the last one */
	int		 links;			/* that were followed */
	bool		 own;			/* root's and ours alone */
	char		 rest[PATH_MAX];	/* components still to come */
	struct exposure	*exposure;		/* NULL: not asked for */
	size_t		 len;			/* of exposure->path */
};

static const int dir_flags = O_PATH | O_DIRECTORY | O_CLOEXEC;

static int
walk_end(struct walk *w)
{
	int saved = errno;

	while (w->depth >= 0)
		close(w->dirs[w->depth--]);
	errno = saved;
	return -1;
}

/* Begins, or begins again, at the root directory or the working directory. */
static int
walk_begin(struct walk *w, bool absolute)
{
	int fd;

	walk_end(w);
	w->len = 0;
	if (w->root == -1)
		fd = open(absolute ? "/" : ".", dir_flags);
	else
		fd = openat(w->root, ".", dir_flags);
	if (fd == -1)
		return -1;
	w->dirs[w->depth = 0] = fd;
	return 0;
}

/* Removes the last component from the path that is noted. */
static void
cut_name(struct walk *w)
{
	while (w->len > 0 && w->exposure->path[--w->len] != '/')
		continue;
	w->exposure->path[w->len] = '\0';
}

static int
walk_up(struct walk *w)
{
	int fd;

	if (w->depth > 0) {
		close(w->dirs[w->depth--]);
		if (w->exposure != NULL && !w->exposure->found)
			cut_name(w);
		return 0;
	}
	if (w->root != -1)
		return 0;
	if ((fd = openat(w->dirs[0], "..", dir_flags)) == -1)
		return -1;
	close(w->dirs[0]);
	w->dirs[0] = fd;
	return 0;
}

/* Moves the next component from the rest to name; false: there is none. */
static bool
next_name(struct walk *w, char name[PATH_MAX])
{
	size_t skip = strspn(w->rest, "/");
	size_t len = strcspn(w->rest + skip, "/");

	memcpy(name, w->rest + skip, len);
	name[len] = '\0';
	memmove(w->rest, w->rest + skip + len,
	    strlen(w->rest + skip + len) + 1);
	return len > 0;
}

/*
 * Without root's rights the owner of a link does not matter where only the
 * right to open something is at stake.
 */
static bool
may_follow(const struct walk *w, const struct stat *st)
{
	if (geteuid() != 0 && !w->own)
		return true;
	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	    st->st_nlink == 1;
}

/*
 * fd is a link: puts its target before the rest of the way. An open link
 * cannot be replaced. The walk stays below another root directory.
 */
static int
walk_link(struct walk *w, int fd, const struct stat *st)
{
	char target[PATH_MAX], whole[PATH_MAX];
	ssize_t n;
	int len;

	if (!may_follow(w, st)) {
		errno = EXDEV;
		return -1;
	}
	if (++w->links > LINKS_MAX) {
		errno = ELOOP;
		return -1;
	}
	if ((n = readlinkat(fd, "", target, sizeof(target))) == -1)
		return -1;
	len = snprintf(whole, sizeof(whole), "%.*s/%s", (int)n, target,
	    w->rest);
	if (len >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(w->rest, whole, sizeof(whole));
	return n > 0 && target[0] == '/' ? walk_begin(w, true) : 0;
}

static bool
has_group(const struct path_user *u, gid_t gid)
{
	int i;

	for (i = 0; i < u->ngroups; i++) {
		if (u->groups[i] == gid)
			return true;
	}
	return u->gid == gid;
}

/* An owner without the permission can grant it to himself. */
bool
path_may_write(const struct stat *st, const struct path_user *u)
{
	if ((st->st_mode & S_IWOTH) != 0)
		return true;
	if (u == NULL)		/* anybody but root */
		return st->st_uid != 0 || (st->st_gid != 0 &&
		    (st->st_mode & S_IWGRP) != 0);
	return st->st_uid == u->uid ||
	    ((st->st_mode & S_IWGRP) != 0 && has_group(u, st->st_gid));
}

/* Could the user replace *entry in that directory? */
static bool
may_replace(const struct stat *dir, const struct stat *entry,
    const struct path_user *u)
{
	if (!path_may_write(dir, u))
		return false;
	if ((dir->st_mode & S_ISVTX) == 0)
		return true;
	if (u == NULL)
		return entry->st_uid != 0 || dir->st_uid != 0;
	return entry->st_uid == u->uid || dir->st_uid == u->uid;
}

static void
note_found(struct exposure *x, const struct stat *st)
{
	x->found = true;
	x->sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;
}

/* Notes the first directory on the way whose entry could be replaced. */
static void
note_exposure(struct walk *w, const char *name, const struct stat *entry)
{
	struct exposure *x = w->exposure;
	struct stat dir;
	int n;

	if (x == NULL || x->found)
		return;
	if (fstat(w->dirs[w->depth], &dir) == 0 &&
	    may_replace(&dir, entry, x->user)) {
		note_found(x, &dir);
		if (w->len == 0)
			strlcpy(x->path, "/", sizeof(x->path));
		return;
	}
	if (S_ISLNK(entry->st_mode))
		return;
	n = snprintf(x->path + w->len, sizeof(x->path) - w->len, "/%s", name);
	if (n > 0 && (size_t)n < sizeof(x->path) - w->len)
		w->len += (size_t)n;
}

/* Opens the last component, which need not be a directory. */
static int
open_last(struct walk *w, const char *name, int flags)
{
	return openat(w->dirs[w->depth], name, flags | O_NOFOLLOW | O_CLOEXEC);
}

/* One step: a directory is entered, a link is followed. Returns 0 or -1. */
static int
walk_step(struct walk *w, const char *name)
{
	struct stat st = { 0 };
	int fd, r = -1, saved;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0)
		return walk_up(w);
	/* O_DIRECTORY triggers a mount on demand, O_PATH alone does not. */
	fd = openat(w->dirs[w->depth], name, dir_flags | O_NOFOLLOW);
	if (fd == -1 && (errno == ENOTDIR || errno == ELOOP))
		fd = open_last(w, name, O_PATH);
	if (fd == -1 || fstat(fd, &st) == -1)
		saved = errno;
	else {
		note_exposure(w, name, &st);
		if (S_ISDIR(st.st_mode) && w->depth + 1 < DEPTH_MAX) {
			w->dirs[++w->depth] = fd;
			return 0;
		}
		if (S_ISLNK(st.st_mode))
			r = walk_link(w, fd, &st);
		else
			errno = S_ISDIR(st.st_mode) ? ENAMETOOLONG : ENOTDIR;
		saved = errno;
	}
	if (fd != -1)
		close(fd);
	errno = saved;
	return r;
}

static int
walk_start(struct walk *w, int root, const char *path)
{
	w->root = root;
	w->depth = -1;
	w->links = 0;
	if (strlcpy(w->rest, path, sizeof(w->rest)) >= sizeof(w->rest)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return walk_begin(w, path[0] == '/');
}

/* Walks the whole path. Returns the directory, or -1 with errno set. */
static int
walk(struct walk *w, int root, const char *path)
{
	char name[PATH_MAX];

	if (walk_start(w, root, path) == -1)
		return -1;
	while (next_name(w, name)) {
		if (walk_step(w, name) == -1)
			return walk_end(w);
	}
	return w->dirs[w->depth--];
}

int
path_close(int fd, int result)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return result;
}

int
path_open_dir(int root, const char *path)
{
	struct walk w = { .exposure = NULL };
	int fd;

	/* Without root's rights a link gives its owner nothing. */
	if (geteuid() != 0 && root == -1)
		return open(path, dir_flags);
	fd = walk(&w, root, path);
	walk_end(&w);
	return fd;
}

int
path_open_above(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];

	*name = slash != NULL ? slash + 1 : path;
	if (slash == NULL)
		return path_open_dir(-1, ".");
	if ((size_t)(slash - path) >= sizeof(above)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	snprintf(above, sizeof(above), "%.*s", (int)(slash - path), path);
	return path_open_dir(-1, slash == path ? "/" : above);
}

/* Walks until the last component is not a link. Returns 0 or -1. */
static int
walk_above(struct walk *w, char name[PATH_MAX], struct stat *st)
{
	while (next_name(w, name)) {
		if (w->rest[strspn(w->rest, "/")] == '\0' &&
		    strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
		    fstatat(w->dirs[w->depth], name, st,
		    AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st->st_mode))
			return 0;
		if (walk_step(w, name) == -1)
			return -1;
	}
	errno = EISDIR;
	return -1;
}

int
path_open_own(const char *path, char *name, size_t size)
{
	struct walk w = { .own = true };
	char last[PATH_MAX];
	struct stat st;
	int fd = -1;

	name[0] = '\0';
	if (walk_start(&w, -1, path) == 0) {
		if (walk_above(&w, last, &st) == -1)
			fd = errno == EISDIR ? w.dirs[w.depth--] : -1;
		else if (S_ISDIR(st.st_mode))
			fd = open_last(&w, last, dir_flags);
		else if (strlcpy(name, last, size) < size)
			fd = w.dirs[w.depth--];
		else
			errno = ENAMETOOLONG;
	}
	walk_end(&w);
	return fd;
}

/* Could another user have made this name with link(2)? */
static bool
is_borrowed(int dir, int fd)
{
	struct stat above, st;

	return fstat(dir, &above) == 0 && fstat(fd, &st) == 0 &&
	    st.st_nlink != 1 && S_ISREG(st.st_mode) &&
	    path_may_write(&above, NULL);
}

int
path_open_file(const char *path, int flags)
{
	struct walk w = { .exposure = NULL };
	char name[PATH_MAX];
	struct stat st;
	int fd = -1;

	if (geteuid() != 0)
		return open(path, flags | O_CLOEXEC);
	if (walk_start(&w, -1, path) == 0 && walk_above(&w, name, &st) == 0) {
		fd = open_last(&w, name, flags);
		if (fd == -1 && errno == ELOOP)
			errno = EXDEV;		/* it has become a link */
		if (fd != -1 && is_borrowed(w.dirs[w.depth], fd)) {
			close(fd);
			fd = -1;
			errno = EMLINK;
		}
	}
	walk_end(&w);
	return fd;
}

int
path_open_append(int dir, const char *name, int flags)
{
	struct stat st;
	int fd;

	fd = openat(dir, name, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC |
	    O_NOCTTY | O_NONBLOCK | flags, 0640);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		errno = EINVAL;
	else if (st.st_nlink != 1)
		errno = EMLINK;		/* it may be another's file */
	else
		return fd;
	close(fd);
	return -1;
}

const char *
path_append_reason(int error)
{
	if (error == ELOOP)
		return "is a link";
	if (error == EMLINK)
		return "has more than one hard link";
	return error == EINVAL ? "is not a regular file" : strerror(error);
}

bool
path_find_exposure(int root, const char *path, const struct path_user *u,
    struct exposure *x)
{
	struct walk w = { .exposure = x };
	char name[PATH_MAX];
	struct stat st;

	*x = (struct exposure){ .user = u };
	if (walk_start(&w, root, path) == 0 && walk_above(&w, name, &st) == 0) {
		note_exposure(&w, name, &st);
		if (!x->found && path_may_write(&st, u))
			note_found(x, &st);
	} else if (w.depth >= 0 && errno == EISDIR && !x->found &&
	    fstat(w.dirs[w.depth], &st) == 0) {
		/* The path ends at a directory already entered: "/", "x/." */
		if (path_may_write(&st, u))
			note_found(x, &st);
		if (w.len == 0)
			strlcpy(x->path, "/", sizeof(x->path));
	}
	walk_end(&w);
	return x->found;
}

bool
path_is_ours(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	    (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool
path_is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

bool
path_leads_to(int dir, const char *name, int fd)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && fstatat(dir, name, &named,
	    AT_SYMLINK_NOFOLLOW) == 0 && path_is_same(&opened, &named);
}

const char *
path_reason(int error)
{
	if (error == EXDEV)
		return "a symbolic link on the way is not owned by root";
	if (error == EMLINK)
		return "it has more than one hard link, in a directory that "
		    "others can write to";
	return strerror(error);
}

/* Makes one slash of several: all systems take them for one, anywhere. */
static char *
squeeze(char *path)
{
	char *from, *to = path;

	for (from = path; from != NULL && *from != '\0'; from++) {
		if (from[0] != '/' || from[1] != '/')
			*to++ = *from;
	}
	if (path != NULL)
		*to = '\0';
	return path;
}

char *
path_absolute(const char *path, bool in_jail)
{
	char *cwd, *s = NULL;

	if (path[0] == '/')
		return squeeze(strdup(path));
	if (in_jail)
		return asprintf(&s, "/%s", path) == -1 ? NULL : squeeze(s);
	if ((cwd = getcwd(NULL, 0)) == NULL)
		return NULL;
	if (asprintf(&s, "%s/%s", cwd, path) == -1)
		s = NULL;
	free(cwd);
	return squeeze(s);
}

char *
path_outside(const char *jail, const char *path)
{
	size_t len = jail != NULL ? strlen(jail) : 0;
	char *s;

	while (len > 0 && jail[len - 1] == '/')
		len--;
	return asprintf(&s, "%.*s%s", (int)len, len > 0 ? jail : "", path) ==
	    -1 ? NULL : s;
}
