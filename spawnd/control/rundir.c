/* SPDX-License-Identifier: ISC */
/*
 * The directory of a pool's sockets. The user that runs the pool owns it, and
 * nobody else may write to it. A lock on a file in it, which nobody else may
 * open, tells a running pool from what a dead one left behind; the latter is
 * taken over.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/config.h"
#include "control/control.h"
#include "control/server.h"

#define NUMBER_MAX	999	/* of NAME-2, NAME-3, ... */

static int base = -1;		/* the directory of all pools' directories */
static int dir = -1;		/* this pool's */
static int lock = -1;
static int sockets[2] = { -1, -1 };	/* control, status */
static int taken = -1;		/* another spawnd's lock, to be ours */
static bool taken_made;		/* and it has made the directory */
static const char *made = "";	/* directory to be removed, below base */
static const char *where = "";	/* its path, for messages */

/* Removes one of our files, unless it is something else of that name. */
static int
remove_own(const char *name)
{
	bool is_socket = strcmp(name, "control") == 0 ||
	    strcmp(name, "status") == 0;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : -1;
	if (is_socket ? !S_ISSOCK(st.st_mode) : !S_ISREG(st.st_mode) ||
	    st.st_nlink != 1 || st.st_uid != geteuid() ||
	    (st.st_mode & 0777) != 0600) {
		errno = EEXIST;
		return -1;
	}
	return unlinkat(dir, name, 0);
}

/* Others must not be able to replace our sockets. */
static int
check_directory(int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_set(e, EX_CANTCREAT, "control: %s: %s", where,
		    strerror(errno));
	if (!path_is_ours(&st))
		return err_set(e, EX_NOPERM, "control: %s: others may write "
		    "there (it must be root's or yours, and of mode 755 at "
		    "most)", where);
	return 0;
}

/* Opens a directory below another, and makes it if need be: *created. */
static int
open_below(int parent, const char *name, bool *created, struct err *e)
{
	int fd;

	*created = mkdirat(parent, name, 0755) == 0;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "control: %s: %s", where, errno == ELOOP ||
		    errno == ENOTDIR ? "is not a directory" :
		    strerror(errno));
	/* Whatever the umask is. */
	if ((*created && fchmod(fd, 0755) == -1) ||
	    check_directory(fd, e) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The directory above the last name of a path. */
static int
open_parent(const char *path, const char **name, struct err *e)
{
	int fd = path_open_above(path, name);

	if (fd == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "control: %s: its directory: %s", where,
		    path_reason(errno));
	return fd;
}

/* Is that lock, which another spawnd has passed to us, of this directory? */
static int
take_over(struct err *e)
{
	if (!path_leads_to(dir, "pid", taken) || !pidlock_is_pid(taken))
		return err_set(e, EX_NOPERM, "--replace: %s: the pool has "
		    "passed another lock than that of its directory", where);
	lock = taken;
	return 1;
}

/*
 * Takes the lock of the directory. Returns 1, or 0 if a running pool holds it
 * (holder names its process), or -1 with *e set.
 */
static int
take_lock(char holder[HOLDER_SIZE], struct err *e)
{
	if (taken != -1)
		return take_over(e);
	lock = pidlock_open(dir, "pid", true);
	if (lock != -1 && !pidlock_is_pid(lock)) {
		close(lock);
		lock = -1;
		return err_set(e, EX_CANTCREAT, "control: %s: pid: is not "
		    "a pidfile of spawnd's", where);
	}
	if (lock != -1 && pidlock_fill(lock, 0600) == 0)
		return 1;
	if (lock != -1 || errno != EWOULDBLOCK)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "control: %s: pid: %s", where, strerror(errno));
	pidlock_holder(dir, "pid", holder);
	return 0;
}

/* A directory that was asked for must be free. */
static int
open_own(struct plan *p, struct err *e)
{
	char holder[HOLDER_SIZE];
	const char *name = "";
	bool created;
	int r;

	if ((base = open_parent(p->control, &name, e)) == -1)
		return -1;
	if ((dir = open_below(base, name, &created, e)) == -1)
		return -1;
	if (created || taken_made)
		made = name;
	if ((r = take_lock(holder, e)) == 0)
		return err_set(e, EX_CANTCREAT, "--control: %s: in use by %s",
		    p->control, holder);
	return r == 1 ? 0 : -1;
}

/* NAME-2 and so on, cut to what a name may be. */
static void
number_name(const char *name, int n, char to[NAME_SIZE])
{
	char suffix[16] = "";
	int len = 0;

	if (n > 1)
		len = snprintf(suffix, sizeof(suffix), "-%d", n);
	snprintf(to, NAME_SIZE, "%.*s%s", NAME_SIZE - 1 - len, name, suffix);
}

/* The first name that no running pool uses, from the plan's on. */
static int
open_named(struct plan *p, struct err *e)
{
	char name[NAME_SIZE], holder[HOLDER_SIZE], first[HOLDER_SIZE] = "";
	bool created;
	int n, r;

	for (n = 1; n <= NUMBER_MAX; n++) {
		number_name(p->name, n, name);
		if ((dir = open_below(base, name, &created, e)) == -1)
			return -1;
		if ((r = take_lock(holder, e)) == -1)
			return -1;
		if (r == 1)
			break;
		close(dir);
		dir = -1;
		if (p->conf->name != NULL)
			return err_set(e, EX_CANTCREAT, "--name: %s: in use "
			    "by %s", name, holder);
		if (first[0] == '\0')
			strlcpy(first, holder, sizeof(first));
	}
	if (dir == -1)
		return err_set(e, EX_CANTCREAT, "control: %s: too many pools "
		    "are called %s", where, p->name);
	if (n > 1)
		log_warn("name: %s: in use by %s, this pool is called %s%s",
		    p->name, first, name, OPT_HINT(p->conf, name,
		    " (--name chooses one)"));
	strlcpy(p->name, name, sizeof(p->name));
	made = p->name;
	return 0;
}

/* The log's path, for the client that has to open it for us. */
static void
leave_log(const struct plan *p)
{
	int fd;

	remove_own("log");
	if (p->log == NULL)
		return;
	fd = openat(dir, "log", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd == -1 || dprintf(fd, "%s\n", p->log) < 0)
		log_warn("control: %s: log: %s", where, strerror(errno));
	if (fd != -1)
		close(fd);
}

int
rundir_open(struct plan *p, struct err *e)
{
	const char *name = "";
	bool created;
	int parent;

	e->status = 0;
	if (p->control == NULL)
		return -1;
	where = p->control;
	if (p->control_own) {
		if (open_own(p, e) == -1)
			return -1;
	} else {
		if ((parent = open_parent(p->control, &name, e)) == -1)
			return -1;
		base = open_below(parent, name, &created, e);
		close(parent);
		if (base == -1 || open_named(p, e) == -1)
			return -1;
	}
	if (taken == -1)
		leave_log(p);
	return 0;
}

static void
close_directories(void)
{
	if (base != -1)
		close(base);
	if (dir != -1)
		close(dir);
	base = dir = -1;
}

int
rundir_lock(void)
{
	return lock;
}

void
rundir_sockets(int fds[2])
{
	memcpy(fds, sockets, sizeof(sockets));
}

void
rundir_take(int control, int status, int fd, bool is_made)
{
	sockets[0] = control;
	sockets[1] = status;
	taken = fd;
	taken_made = is_made;
}

bool
rundir_is_made(void)
{
	return made[0] != '\0';
}

/* The bits and the group of a socket that is there already. */
static void
set_socket(const char *name, mode_t mode, gid_t gid)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISSOCK(st.st_mode))
		return;
	if (gid != (gid_t)-1 && gid != st.st_gid && fchownat(dir, name,
	    (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) == -1)
		log_warn("control: %s: %s: chgrp: %s", where, name,
		    strerror(errno));
	/* The directory is ours: nobody replaces it by a link meanwhile. */
	if (mode != (st.st_mode & 0777) && fchmodat(dir, name, mode, 0) == -1)
		log_warn("control: %s: %s: chmod: %s", where, name,
		    strerror(errno));
}

void
rundir_settle(const struct plan *p)
{
	if (dir == -1)
		return;
	leave_log(p);
	set_socket("status", p->status_gid != (gid_t)-1 ? 0660 : 0600,
	    p->status_gid);
}

void
rundir_name(void)
{
	if (pidlock_rewrite(lock, getpid()) == -1)
		log_warn("take-over: %s: pid: %s", where, strerror(errno));
}

void
rundir_give_back(pid_t pid)
{
	if (pidlock_holds(lock, getpid()) && pidlock_rewrite(lock, pid) == -1)
		log_warn("take-over: %s: pid: %s", where, strerror(errno));
}

void
rundir_leave(void)
{
	close_directories();
	close(lock);
	lock = -1;
}

/* The directory is the working directory, where bind(2) looks names up. */
static int
bind_here(int fd, const char *name, mode_t mode, gid_t gid)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	mode_t old;
	int r;

	strlcpy(un.sun_path, name, sizeof(un.sun_path));
	if (remove_own(name) == -1)
		return -1;
	/* The mode is right from the first instant. */
	old = umask(0777 & ~mode);
	r = bind(fd, (struct sockaddr *)&un, sizeof(un));
	umask(old);
	if (r == -1)
		return -1;
	if (gid != (gid_t)-1 && fchownat(dir, name, (uid_t)-1, gid,
	    AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	return listen(fd, CONTROL_BACKLOG);
}

int
rundir_socket(const char *name, mode_t mode, gid_t gid, struct err *e)
{
	int fd, r, error;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_set(e, EX_OSERR, "control: %s: socket: %s", where,
		    strerror(errno));
	r = fchdir(dir) == -1 ? -1 : bind_here(fd, name, mode, gid);
	error = errno;
	if (chdir("/") == -1)
		r = -1;
	if (r == 0) {
		sockets[strcmp(name, "status") == 0] = fd;
		return fd;
	}
	close(fd);
	return err_set(e, err_status(error, EX_CANTCREAT), "control: %s: "
	    "%s: %s", where, name, strerror(error));
}

void
rundir_done(const struct plan *p)
{
	/* Then the right to remove something there is gone, too. */
	if (p->ident.change || p->jail != NULL)
		close_directories();
}

void
rundir_remove(void)
{
	size_t i;

	if (dir != -1 && lock != -1) {
		for (i = 0; i < PLAN_CONTROL_FILES; i++)
			remove_own(plan_control_files[i]);
		if (made[0] != '\0')
			unlinkat(base, made, AT_REMOVEDIR);
	}
	close_directories();
	if (lock != -1)
		close(lock);
	lock = -1;
}
