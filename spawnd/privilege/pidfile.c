/* SPDX-License-Identifier: ISC */
/* The pidfile. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/config.h"
#include "privilege/privilege.h"

#define LOCK_TRIES	20
#define LOCK_PAUSE	10	/* ms between two of them */

static int file = -1;
static int dir = -1;
static bool filled;
static int taken = -1;		/* the locked one of another spawnd */

static int
check_pidfile(const char *opt, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(file, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_nlink != 1)
		return err_set(e, EX_CANTCREAT, "%s: %s: is not a regular file "
		    "with a single hard link", opt, path);
	/* Whoever starts or stops us signals the number that is in it. */
	if (!path_is_ours(&st))
		return err_set(e, EX_CANTCREAT, "%s: %s: others may write it "
		    "(remove it)", opt, path);
	if (!pidlock_is_pid(file))
		return err_set(e, EX_CANTCREAT, "%s: %s: is not a pidfile: it "
		    "contains something else", opt, path);
	return 0;
}

static int
fill_pidfile(const struct plan *p, mode_t mode, struct err *e)
{
	if (pidlock_fill(file, mode) == -1)
		return err_set(e, EX_CANTCREAT, "%s: %s: %s",
		    OPT(p->conf, pidfile), p->pidfile, strerror(errno));
	filled = true;
	return 0;
}

/* Is it the file that another spawnd has passed to us, with its lock? */
static bool
is_taken(const char *name)
{
	if (taken != -1 && path_leads_to(dir, name, taken))
		return true;
	errno = EWOULDBLOCK;
	return false;
}

static int
lock_pidfile(const struct plan *p, struct err *e)
{
	const char *path = p->pidfile, *name;
	const char *opt = OPT(p->conf, pidfile);
	char who[HOLDER_SIZE];
	bool detached, public = p->conf->pidfile_public;
	int tries;

	if (path == NULL)
		return 0;
	dir = path_detach(path_open_above(path, &name), &detached);
	if (dir == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "%s: %s: its directory: %s", opt, path,
		    path_reason(errno));
	/* A script that asks whether we run has it for a moment. */
	for (tries = 0; (file = pidlock_open(dir, name, !public)) == -1 &&
	    errno == EWOULDBLOCK && taken == -1 && tries < LOCK_TRIES;
	    tries++)
		poll(NULL, 0, LOCK_PAUSE);
	if (file == -1 && errno == EWOULDBLOCK && is_taken(name))
		file = taken;
	if (file == -1 && errno == EWOULDBLOCK)
		return err_set(e, EX_CANTCREAT, "%s: %s: in use by %s", opt,
		    path, pidlock_holder(dir, name, who));
	if (file == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "%s: %s: %s", opt, path, errno == ELOOP ? "is a link" :
		    strerror(errno));
	if (check_pidfile(opt, path, e) == -1 ||
	    (!public && file != taken && fill_pidfile(p, 0600, e) == -1)) {
		if (file != taken)
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
pidfile_lock(const struct plan *p, struct err *e)
{
	int r = lock_pidfile(p, e);

	/* Of no use where the plan has another file, or none. */
	if (taken != -1 && file != taken) {
		close(taken);
		taken = -1;
	}
	return r;
}

int
pidfile_descriptor(void)
{
	return file;
}

void
pidfile_take(int fd)
{
	taken = fd;
}

void
pidfile_name(void)
{
	if (file == -1)
		return;
	filled = true;
	if (pidlock_rewrite(file, getpid()) == -1)
		log_warn("pidfile: %s", strerror(errno));
}

void
pidfile_give_back(pid_t pid)
{
	if (file == -1 || file != taken)
		return;
	if (pidlock_holds(file, getpid()) && pidlock_rewrite(file, pid) == -1)
		log_warn("pidfile: %s", strerror(errno));
	filled = false;
}

int
pidfile_publish(const struct plan *p, struct err *e)
{
	if (p->pidfile == NULL || !p->conf->pidfile_public)
		return 0;
	return fill_pidfile(p, 0644, e);
}

/*
 * Is the pid in it ours? A file that is not locked may be our successor's by
 * now. If we have not filled it, it is ours only while it is empty.
 */
static bool
is_own_pid(void)
{
	struct stat st;

	return filled ? pidlock_holds(file, getpid()) :
	    fstat(file, &st) == 0 && st.st_size == 0;
}

void
pidfile_clear(const struct plan *p)
{
	const char *name;

	if (file == -1)
		return;
	if (is_own_pid()) {
		/* A reader must not find a pid that is no longer ours. */
		if (ftruncate(file, 0) == -1)
			log_warn("%s: %s: %s", OPT(p->conf, pidfile),
			    p->pidfile, strerror(errno));
		name = strrchr(p->pidfile, '/') + 1;
		if (dir != -1 && path_leads_to(dir, name, file))
			unlinkat(dir, name, 0);
	}
	close(file);
	file = -1;
}
