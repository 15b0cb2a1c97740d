/* SPDX-License-Identifier: ISC */
/*
 * The supervisor's promises. Compiled for OpenBSD (scripts/bsd-check.sh), and
 * not yet run there; for that reason "error" is among them: a call that was
 * overlooked fails with ENOSYS, and does not end the pool.
 *
 * The workers get no promises of exec. With these each of them and all that it
 * starts would be pledged, and an unmodified program does what no promise
 * allows: set-id programs, System V memory, most of ioctl(2), sysctl(2) and
 * setsockopt(2), mlock(2), chroot(2). It would keep our unveiled files too. And
 * none would keep the workers apart, which --confine is for: whoever may
 * fork(2) by "proc" may kill(2) by it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"
#include "observe/holding.h"
#include "privilege/privilege.h"

/*
 * What for, by the promise:
 *
 *	stdio	the loop (kevent, pipes), wait, the log, the clock; what was
 *		passed in or opened before
 *	rpath	the program to be executed, chdir in a child, the file of the
 *		socket, why an exec failed; local time
 *	wpath	the log when it is opened again, /dev/null
 *	cpath	the log is made again; pidfile, sockets and their directory are
 *		removed at the end
 *	fattr	fchmod of a pidfile that is filled again after a take-over
 *	unix	accept of the control sockets, who asks there (SO_PEERCRED),
 *		syslog; the listen socket: getsockname, listen with another
 *		backlog, getsockopt
 *	inet	the same of a listen socket of TCP
 *	sendfd	a take-over: the listen and control sockets, locks, a pipe
 *	recvfd	a log that the client has opened for us; a take-over
 *	proc	fork, kill, setpgid, and in a child setrlimit and setpriority
 *	exec	the workers
 *
 * Not among them: id, chown, getpw, flock, tty, dns and dpath, which the start
 * alone needs, and ps: see looker_openbsd.c.
 */
#define PROMISES	"stdio rpath wpath cpath fattr unix inet sendfd " \
			"recvfd proc exec error"

static int
show(const char *path, const char *rights, struct err *e)
{
	/* What is not there needs no showing. */
	if (unveil(path, rights) == -1 && errno != ENOENT)
		return err_set(e, EX_OSERR, "unveil: %s: %s", path,
		    strerror(errno));
	return 0;
}

static int
show_below(const char *dir, const char *name, struct err *e)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, EX_OSERR, "unveil: %s/%s: %s", dir, name,
		    strerror(ENAMETOOLONG));
	return show(path, "rwc", e);
}

/*
 * Everything can be read and executed, as the workers are; no more than our own
 * files can be made, written to or removed. The workers themselves see all
 * again from their exec on. In a jail the files outside, of which we have the
 * directories open, have no path to show: there chroot(2) has to do.
 */
static int
show_files(const struct plan *p, struct err *e)
{
	if (p->jail != NULL)
		return 0;
	if (show("/", "rx", e) == -1 || show("/dev/null", "rw", e) == -1 ||
	    show("/dev/log", "rw", e) == -1 ||
	    (p->log != NULL && show(p->log, "rwc", e) == -1) ||
	    (p->pidfile != NULL && show(p->pidfile, "rwc", e) == -1) ||
	    (p->control != NULL && show(p->control, "rwc", e) == -1) ||
	    (p->socket_dir != NULL && p->socket_file != NULL &&
	    show_below(p->socket_dir, p->socket_file, e) == -1))
		return -1;
	if (unveil(NULL, NULL) == -1)
		return err_set(e, EX_OSERR, "unveil: %s", strerror(errno));
	return 0;
}

int
jail_pledge(const struct plan *p, struct err *e)
{
	if (holding_begin() == -1)
		log_warn("looker: fork: %s (what workers hold is unknown)",
		    strerror(errno));
	/* No promise allows TIOCNOTTY, by which each worker gives it up. */
	if (terminal_is_kept()) {
		log_info("no pledge(2): the workers have a terminal to give "
		    "up (start spawnd in the background, or without one)");
		return 0;
	}
	if (show_files(p, e) == -1)
		return -1;
	if (pledge(PROMISES, NULL) == -1)
		return err_set(e, EX_OSERR, "pledge: %s", strerror(errno));
	return 0;
}
