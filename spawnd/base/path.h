/* SPDX-License-Identifier: ISC */
/* Files by their paths: what may be trusted, and how it is reached. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

/* path.c */
/* A user whose rights to a path are in question. */
struct path_user {
	uid_t		 uid;
	gid_t		 gid;
	const gid_t	*groups;	/* the supplementary ones */
	int		 ngroups;
};
/* What of a path a user could write to or replace. */
struct exposure {
	const struct path_user *user;	/* NULL: anybody but root */
	bool		 found;
	bool		 sticky;	/* a directory for all, as /tmp is */
	char		 path[ERR_SIZE / 2];	/* the first part exposed */
};
/*
 * Opens a directory for looking up names in it. `root` is a descriptor of the
 * directory that is "/" for this look-up, so that no link and no ".." leads
 * out of it; -1 is the process's own. If we are root, a symbolic link on the
 * way is followed only if root owns it. Returns a close-on-exec descriptor
 * (O_PATH), or -1 with errno set (EXDEV: another user's link).
 */
int	 path_open_dir(int root, const char *path);
/* Closes fd, and leaves errno as it was. Returns result. */
int	 path_close(int fd, int result);
/*
 * Opens the directory that contains the last component of path, and points
 * *name at that component, within path. Returns as path_open_dir().
 */
int	 path_open_above(const char *path, const char **name);
/*
 * Opens the directory at path or, if path is another kind of file, the one
 * that contains it; `name`, of size bytes, is its name there then, else "". A
 * symbolic link on the way is followed only if root or we own it, whoever we
 * are. Returns as path_open_dir() (ENAMETOOLONG also for a name that does not
 * fit).
 */
int	 path_open_own(const char *path, char *name, size_t size);
/*
 * Opens an existing file with flags of open(2). If we are root, links are
 * treated as by path_open_dir(), the last component included (EXDEV), and a
 * file with more than one hard link is refused (EMLINK) in a directory that
 * users other than root can write to. Returns a close-on-exec descriptor, or
 * -1 with errno set.
 */
int	 path_open_file(const char *path, int flags);
/*
 * Opens a regular file in a directory for appending, without following a link
 * and without blocking; flags may add O_CREAT (mode 0640). Returns a
 * close-on-exec descriptor, or -1 with errno set (ELOOP: a link, EMLINK: more
 * than one hard link, EINVAL: not a regular file).
 */
int	 path_open_append(int dir, const char *name, int flags);
/* Returns in words why path_open_append() failed with that errno. */
const char *path_append_reason(int error);
/*
 * Finds out whether user u, or with NULL anybody but root, could write to the
 * file or directory at path, or replace it or a directory on the way to it.
 * Only owners and modes count, access lists are not read. root is as for
 * path_open_dir(). Returns x->found; false for a path that cannot be reached.
 */
bool	 path_find_exposure(int root, const char *path,
	    const struct path_user *u, struct exposure *x);
/*
 * Could user u, or with NULL anybody but root, write to that file or directory?
 * Only its owner and mode count.
 */
bool	 path_may_write(const struct stat *st, const struct path_user *u);
/*
 * Can nobody but root and us change that file or directory? By its owner and
 * mode, and "us" is the effective user.
 */
bool	 path_is_ours(const struct stat *st);
/* Returns in words why another path_open_*() failed with that errno. */
const char *path_reason(int error);
/*
 * Makes path absolute: a relative one begins at "/" with in_jail, else at the
 * working directory. Of several slashes in a row one is left. Returns malloc'd
 * memory, or NULL with errno set.
 */
char	*path_absolute(const char *path, bool in_jail);
/*
 * Returns what an absolute path inside the jail is outside, malloc'd, or NULL
 * without memory. Without a jail (NULL) that is the path itself.
 */
char	*path_outside(const char *jail, const char *path);

/* Are these two the same file? */
bool	 path_is_same(const struct stat *a, const struct stat *b);
/*
 * Is that open file the one that has the name in the directory? A link is not
 * followed: it is another file.
 */
bool	 path_leads_to(int dir, const char *name, int fd);

/* places.c */
/*
 * Enumerates the directories in which a user's pools may have theirs, with
 * their control sockets: place number i, from 0 on; the best come first. own is
 * XDG_RUNTIME_DIR or NULL. A daemon takes the first that it can make, a client
 * looks at all of them, so that neither needs the other's environment. Returns
 * a path, malloc'd, "" for a place to be passed over, or NULL behind the last
 * and without memory.
 */
char	*path_place(unsigned int i, uid_t uid, const char *own);

/* path_linux.c, path_posix.c: the same name on every system */
/*
 * Prepares a directory's descriptor for use inside the jail: where the system
 * can, it is replaced by a detached mount, from which no ".." leads out, and
 * *detached is set; else it is false, and the caller must close the descriptor
 * before the jail is entered. Returns a close-on-exec descriptor in place of
 * dir, which is closed if it is another one; or -1 if dir is -1, with errno
 * left as it was.
 */
int	 path_detach(int dir, bool *detached);

#endif
