/* SPDX-License-Identifier: ISC */
/*
 * The file of our unix listen socket. The socket's directory is the working
 * directory while it is bound, so that no link can redirect the call. The
 * kernel shows a socket by the path that was bound, and those that ask whether
 * it is in use, such as systemd-tmpfiles(8), look for its whole path there. So
 * it is bound by that where nobody can redirect the call either.
 *
 * Some programs believe that path, too: asyncio of Python 3.13 and later
 * removes what it names when a server is closed, and with it the way in for all
 * other workers. So where workers have the right to do that the socket is bound
 * by another name, which is gone once the file has its own. The path is kept,
 * for those that look for it, by a socket that was bound by it and has no file.
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
#include "base/path.h"
#include "config/config.h"
#include "observe/listener.h"
#include "observe/observe.h"
#include "privilege/privilege.h"

#define OTHER_NAME	".spawnd"	/* follows the file's in that one */

static struct stat bound;	/* the unix socket we made */
static int named = -1;		/* a socket that keeps its path */

/* The file of the socket, whoever has made it. */
static int kept = -1;		/* for no use but to look at it */
static int changes = -1;	/* see listener_watch_file() */
static struct stat at_first;	/* of the file */
static char path_at_first[PATH_MAX];	/* of the file; "" if unknown */

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
	if (path_is_ours(above))
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
	return path_is_same(&st, &here) ? 0 : -1;
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

static bool
is_that_socket(const struct stat *a, const struct stat *b)
{
	return S_ISSOCK(a->st_mode) && path_is_same(a, b);
}

/* Removes the socket that we bound, unless another is in its place. */
static void
unbind(const char *file, int dir)
{
	struct stat st;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    is_that_socket(&st, &bound))
		unlinkat(dir, file, 0);
	memset(&bound, 0, sizeof(bound));
}

/* Watches the file. Some systems have nothing for that, which is no news. */
static void
watch(const struct plan *p, const char *name)
{
	changes = listener_watch_file(name);
	if (changes == -1 && errno != ENOTSUP)
		log_info("socket: %s: watching its file: %s (spawnd notices a "
		    "change only when somebody asks, or shortly after the "
		    "pool has had something to do)", p->socket_name,
		    strerror(errno));
}

/* Keeps an eye on the file from now on, if it is the one that *st is of. */
static void
keep(const struct plan *p, const char *name, const struct stat *st)
{
	struct stat now;

	kept = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (kept != -1 && fstat(kept, &now) == 0 && is_that_socket(&now, st)) {
		watch(p, name);
		return;
	}
	if (kept != -1)
		close(kept);
	kept = -1;
}

/*
 * In a jail the path that the socket is bound by leads nowhere. A directory for
 * all, as /tmp, is one that is cleaned: there the path does more good.
 */
static bool
workers_may_remove(const struct plan *p)
{
	const struct path_user u = { p->ident.uid, p->ident.gid,
	    p->ident.groups, p->ident.ngroups };
	struct stat dir;

	return p->jail == NULL && stat(".", &dir) == 0 &&
	    (dir.st_mode & S_ISVTX) == 0 && path_may_write(&dir, &u);
}

const char *
socketfile_bound_as(const struct plan *p, char name[SOCKET_PATH])
{
	int n;

	if (!workers_may_remove(p))
		return p->socket_file;
	n = snprintf(name, SOCKET_PATH, "%s" OTHER_NAME, p->socket_file);
	return n > 0 && (size_t)n < SOCKET_PATH ? name : p->socket_file;
}

/* The directory is locked: such a one is of a start that did not end. */
static void
remove_other_name(int dir, const char *file)
{
	struct stat st;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISSOCK(st.st_mode) && st.st_uid == geteuid())
		unlinkat(dir, file, 0);
}

static int
bind_file(const struct plan *p, int fd, const char *file)
{
	char path[SOCKET_PATH], why[ERR_SIZE];
	struct sockaddr_un un;
	socklen_t len;
	mode_t old;
	int r;

	len = socketfile_address(socketfile_path(file, path, why,
	    sizeof(why)) ? path : file, &un);
	/* The socket has its mode from the start. */
	old = umask(0777 & ~p->socket_mode);
	r = bind(fd, (struct sockaddr *)&un, len);
	umask(old);
	return r;
}

/* Gives the bound file its own name; what has that by now is left alone. */
static int
give_name(const struct plan *p, int dir, const char *file)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	if (bind_file(p, fd, p->socket_file) == -1)
		return path_close(fd, -1);
	if (renameat(dir, file, dir, p->socket_file) == -1) {
		fd = path_close(fd, -1);
		unlinkat(dir, p->socket_file, 0);
		return fd;
	}
	named = fd;
	return 0;
}

int
socketfile_named(void)
{
	return named;
}

void
socketfile_take_named(int fd)
{
	named = fd;
}

int
socketfile_bind(const struct plan *p, int dir, int fd, struct err *e)
{
	char name[SOCKET_PATH];
	const char *file = socketfile_bound_as(p, name);
	bool other = file != p->socket_file;

	if (other)
		remove_other_name(dir, file);
	if (bind_file(p, fd, file) == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "bind: %s%s: %s", p->socket_name, other ? OTHER_NAME : "",
		    strerror(errno));
	if (fstatat(dir, file, &bound, AT_SYMLINK_NOFOLLOW) == -1)
		memset(&bound, 0, sizeof(bound));
	if (other && give_name(p, dir, file) == -1) {
		err_set(e, err_status(errno, EX_CANTCREAT), "bind: %s: %s",
		    p->socket_name, strerror(errno));
		unbind(file, dir);
		return -1;
	}
	if (jail_chown_socket(dir, p->socket_file, p->socket_mode,
	    p->socket_uid, p->socket_gid) == -1)
		err_set(e, err_status(errno, EX_CANTCREAT), "chown: %s: %s",
		    p->socket_name, errno == ENOTSOCK ?
		    "another process has replaced it" : strerror(errno));
	else if (listen(fd, p->backlog) == -1)
		err_set(e, EX_CANTCREAT, "listen: %s: %s", p->socket_name,
		    strerror(errno));
	else {
		bound.st_uid = p->socket_uid;
		bound.st_gid = p->socket_gid;
		keep(p, p->socket_file, &bound);
		return 0;
	}
	unbind(p->socket_file, dir);
	return -1;
}

int
socketfile_take(const struct plan *p, int dir, int fd, struct err *e)
{
	struct stat st;

	if (fstatat(dir, p->socket_file, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISSOCK(st.st_mode) || st.st_nlink != 1 ||
	    !listener_may_have_file(fd, &st))
		return err_set(e, EX_NOPERM, "--replace: the socket that the "
		    "pool has passed is not %s", p->socket_name);
	bound = st;
	keep(p, p->socket_file, &bound);
	return 0;
}

void
socketfile_settle(const struct plan *p)
{
	if (p->addr.ss_family != AF_UNIX || p->inherited != -1)
		return;
	if ((bound.st_uid != p->socket_uid || bound.st_gid != p->socket_gid) &&
	    jail_own_socket(kept, p->socket_uid, p->socket_gid) == -1)
		log_warn("chown: %s: %s", p->socket_name, strerror(errno));
	if ((bound.st_mode & 07777) != p->socket_mode &&
	    jail_chmod_socket(kept, p->socket_mode) == -1)
		log_warn("chmod: %s: %s", p->socket_name, strerror(errno));
}

/* In the jail "/" is its root, and jail_fd is closed. */
static bool
is_out_of_reach(const struct plan *p)
{
	return p->jail != NULL && p->jail_fd == -1 && !p->socket_in_jail;
}

/* The path of a socket that was passed in, or NULL: it has none. */
static const char *
inherited_path(const struct plan *p)
{
	const struct sockaddr_un *un = (const void *)&p->addr;

	return un->sun_path[0] == '/' ? un->sun_path : NULL;
}

static bool
has_file(const struct plan *p)
{
	return p->addr.ss_family == AF_UNIX &&
	    (p->inherited == -1 || inherited_path(p) != NULL);
}

void
socketfile_keep(const struct plan *p)
{
	struct stat st;

	if (has_file(p) && p->inherited != -1 &&
	    lstat(inherited_path(p), &st) == 0 && listener_has_file(&st))
		keep(p, inherited_path(p), &st);
	if (kept != -1 && fstat(kept, &at_first) == -1)
		memset(&at_first, 0, sizeof(at_first));
}

void
socketfile_begin(void)
{
	if (kept != -1 && !listener_path(kept, path_at_first,
	    sizeof(path_at_first)))
		path_at_first[0] = '\0';
}

int
socketfile_changes(void)
{
	return changes;
}

/* What the file is to be: the plan's, or still what it was before. */
static bool
is_planned(const struct plan *p, const struct stat *own)
{
	return p->taken != -1 && p->inherited == -1 &&
	    own->st_uid == p->socket_uid && own->st_gid == p->socket_gid &&
	    (own->st_mode & 0777) == p->socket_mode;
}

/* What a client finds. Returns 0, or -1 with errno set. */
static int
look_as_client(const struct plan *p, struct stat *st)
{
	int dir, r, saved;

	if (is_out_of_reach(p)) {
		errno = EACCES;
		return -1;
	}
	if (p->inherited != -1)
		return stat(inherited_path(p), st);
	dir = path_open_dir(p->socket_in_jail ? p->jail_fd : -1,
	    p->socket_dir);
	if (dir == -1)
		return -1;
	r = fstatat(dir, p->socket_file, st, 0);
	saved = errno;
	close(dir);
	errno = saved;
	return r;
}

/* Does the path lead to our own file? */
static enum socketfile_state
look_at_path(const struct plan *p, const struct stat *own)
{
	char path[PATH_MAX];
	struct stat st;

	if (look_as_client(p, &st) == 0)
		return is_that_socket(&st, own) ? SOCKETFILE_THERE :
		    SOCKETFILE_REPLACED;
	if (own->st_nlink == 0)
		return SOCKETFILE_REMOVED;
	if (errno == ENOENT || errno == ENOTDIR)
		return SOCKETFILE_MOVED;
	if (path_at_first[0] == '\0' || !listener_path(kept, path,
	    sizeof(path)))
		return SOCKETFILE_UNKNOWN;
	return strcmp(path, path_at_first) == 0 ? SOCKETFILE_THERE :
	    SOCKETFILE_MOVED;
}

/*
 * Has somebody lost the right to connect? Who is let in besides is no fault.
 * Where all may connect it does not matter whose the file is.
 */
static bool
is_closed(const struct stat *own)
{
	const mode_t all = S_IWUSR | S_IWGRP | S_IWOTH;
	mode_t was = at_first.st_mode & all;

	if ((was & ~own->st_mode) != 0)
		return true;
	if ((own->st_mode & all) == all)
		return false;
	return ((was & S_IWUSR) != 0 && own->st_uid != at_first.st_uid) ||
	    ((was & S_IWGRP) != 0 && own->st_gid != at_first.st_gid);
}

enum socketfile_state
socketfile_look(const struct plan *p)
{
	enum socketfile_state state;
	struct stat own;

	if (!has_file(p))
		return SOCKETFILE_NONE;
	if (kept == -1 || fstat(kept, &own) == -1)
		return SOCKETFILE_UNKNOWN;
	state = look_at_path(p, &own);
	if ((state == SOCKETFILE_THERE || state == SOCKETFILE_UNKNOWN) &&
	    !is_planned(p, &own) && is_closed(&own))
		return SOCKETFILE_CLOSED;
	return state;
}

const char *
socketfile_unseen(const struct plan *p)
{
	struct stat st;

	if (!has_file(p))
		return NULL;
	if (kept == -1)
		return "what becomes of its file";
	if (look_as_client(p, &st) == 0 || errno == ENOENT || errno == ENOTDIR)
		return NULL;
	return path_at_first[0] == '\0' ? "whether its file is renamed, as "
	    "its path is out of reach" : "whether something is mounted over "
	    "its path, which is out of reach";
}

void
socketfile_remove(const struct plan *p)
{
	int dir;

	if (bound.st_ino == 0 || is_out_of_reach(p))
		return;
	dir = path_open_dir(p->socket_in_jail ? p->jail_fd : -1,
	    p->socket_dir);
	if (dir == -1)
		return;
	unbind(p->socket_file, dir);
	close(dir);
}
