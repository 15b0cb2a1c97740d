/* SPDX-License-Identifier: ISC */
/*
 * What is done with the rights spawnd was started with, and how they are given
 * away for good.
 */
#ifndef PRIVILEGE_PRIVILEGE_H
#define PRIVILEGE_PRIVILEGE_H

#include "base/base.h"
#include "config/config.h"
#include "observe/observe.h"

#define OUTCOME_SIZE		3072	/* of all lines about the start */
#define DIR_LOCK_MS		5000	/* wait for a directory's lock */

/* daemonize.c */
/*
 * Makes descriptors 0 to 2 open (on /dev/null where they are not) and
 * closes all others but the `keep` first ones, so that nothing inherited
 * leaks into a worker. Returns 0, or -1 with *e set.
 */
int	 daemonize_sanitize(int keep, struct err *e);
/*
 * Takes the plan's pool into the background: forks, starts a session, moves
 * to "/", takes its title. Returns 0 in the child. The first process does not
 * return: it waits until the child calls daemonize_outcome() or ends, prints
 * the line and exits with the status. Returns -1 with *e set when no child
 * could be made.
 */
int	 daemonize_start(const struct plan *p, struct err *e);
/*
 * Reports how the start went, in one or more lines. With status 0 and in the
 * background, standard output and (unless it is the log) error go to
 * /dev/null after that. In the foreground a success is only logged. At most
 * the first call has an effect.
 */
void	 daemonize_outcome(int status, const char *text);
/* /dev/null, for a worker whose output nobody wants. */
int	 daemonize_null(void);
/* True until daemonize_outcome() was called: the start is not over. */
bool	 daemonize_starting(void);

/* pidfile.c */
/*
 * Creates, locks and fills the plan's pidfile, before the jail; one that is
 * public, which cannot be locked, is only looked at. Returns 0, or -1 with *e
 * set (73, 77).
 */
int	 pidfile_lock(const struct plan *p, struct err *e);
/*
 * Fills one that is public, once the listen socket has shown that it is
 * nobody else's. Returns 0, or -1 with *e set (73).
 */
int	 pidfile_publish(const struct plan *p, struct err *e);
/* Empties it and, where that is still possible, removes it. */
void	 pidfile_clear(const struct plan *p);

/* terminal.c */
/*
 * Looks for our controlling terminal, before the jail: the descriptor is kept
 * for terminal_leave(). Most often there is none.
 */
void	 terminal_open(void);
/*
 * In a new child, which does not lead the session: gives up the controlling
 * terminal and reads that back. Async-signal-safe. Returns 0, or -1 with
 * errno set: it still has one.
 */
int	 terminal_leave(void);
/*
 * The same for a process that may lead the session, whose other processes
 * then lose the terminal, too. We are not ended by the SIGHUP that follows.
 */
int	 terminal_leave_session(void);

/* listen.c */
/*
 * No new connections from now on, where that does no harm to those that wait:
 * a unix socket's file is removed if the rights of this moment allow it, at a
 * TCP socket new ones are refused. Returns false where they cannot be kept
 * out: then only a single one can wait at a time.
 */
bool	 listen_refuse(const struct plan *p);
/* None at all: a unix socket is shut down. Those that wait can be accepted. */
void	 listen_shut(const struct plan *p);
/*
 * Creates, binds and listens on the plan's socket, or takes the inherited
 * one, and puts it on descriptor 0. Returns 0, or -1 with *e set (73, 77, 71)
 * and nothing left behind.
 */
int	 listen_open(const struct plan *p, struct err *e);
/*
 * Clears O_NONBLOCK on descriptor 0: all its holders share the flag, and
 * one worker that sets it makes the others leave. Cheap; errors are ignored.
 */
void	 listen_blocking(void);
/*
 * Removes the unix socket if it is still the one listen_open() made and the
 * rights of that moment allow it.
 */
void	 listen_remove(const struct plan *p);

/* refuse_linux.c, refuse_none.c: the same name on every system */
/*
 * Refuses new TCP connections at a listening socket; those that wait in its
 * queue or are in their handshake stay. For ever, and for all who hold it.
 * Returns 0, or -1 with errno set.
 */
int	 refuse_new(int fd);

/* jail.c */
/*
 * Gives up every privilege: supplementary groups, root directory, ids and
 * capabilities, in that order, then reads each back from the kernel. The
 * working directory is "/" afterwards. Returns 0 with *g filled, or -1 with
 * *e set (77, 71); there is no way back from a partial drop, so the caller
 * must end.
 */
int	 jail_enter(struct plan *p, struct guarantees *g, struct err *e);

/* jail_linux.c, jail_posix.c: the same names on every system */
/*
 * Drops ids (where id->change) and capabilities, and forbids new ones and
 * inspection by others. Returns 0, or -1 with *e set.
 */
int	 jail_drop(const struct plan *p, struct err *e);
/* Reads the other rights back. Returns 0 with *g filled, or -1 with *e. */
int	 jail_verify(const struct plan *p, struct guarantees *g,
	    struct err *e);
/*
 * Makes this process the parent of what its dead children leave behind, so
 * that it can be reaped. Fails silently: then init does that.
 */
void	 jail_adopt(void);
/*
 * In a new child: asks for SIGTERM when the parent dies. Async-signal-safe.
 * Returns 0, or -1 when that parent has died already or on failure.
 */
int	 jail_tie(pid_t parent);
/*
 * Gives the unix socket `name` in directory dir, which this process has just
 * bound with that mode, to uid and gid; never anything else that may have
 * taken its place. Returns 0, or -1 with errno set (ENOTSOCK: it was
 * replaced).
 */
int	 jail_chown_socket(int dir, const char *name, mode_t mode, uid_t uid,
	    gid_t gid);

#endif
