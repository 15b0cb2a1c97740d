/* SPDX-License-Identifier: ISC */
/*
 * The sockets by which spawnctl(1) watches and steers a pool that runs. What a
 * client may ask is in command.c; how it is written, in proto/proto.h.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/base.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/pool.h"

/* control.c */
/*
 * Makes the directory and the sockets of the plan; to be called before the
 * jail. A pool whose name is taken gets a number behind it, and so does p->name
 * then. A failure is only logged unless the user asked for that directory or
 * name. Returns 0, or -1 with *e set (71, 73, 77). After successor_take() it
 * takes the sockets of the other pool instead, and each failure is an error.
 */
int	 control_open(struct plan *p, struct err *e);
/*
 * Begins to accept clients; to be called after loop_init(). Returns 0, or -1
 * with *e set (71). Does nothing while the sockets are another spawnd's.
 */
int	 control_start(struct err *e);
/* The pool may have changed: tells the clients that wait how far it is. */
void	 control_changed(void);
/* Looks at a notice of the pool: answers those who wait for a reload. */
void	 control_notice(const struct pool_notice *n);
/*
 * The end: answers clients that wait for it, drops all, and removes the sockets
 * and the directory as far as they are ours and our rights still suffice.
 */
void	 control_close(void);

/* rundir.c */
/*
 * After a take-over, and still with the rights of the start: gives the files in
 * the sockets' directory the group, mode and contents that the plan wants. A
 * failure is only logged.
 */
void	 rundir_settle(const struct plan *p);
/*
 * Closes, before the jail, descriptors that would lead out of it. To be called
 * only after a successor_take(); else control_open() has done so.
 */
void	 rundir_done(const struct plan *p);

/* predecessor.c: the pool that we are to take over from */
/*
 * Connects to the running pool that a command line means, and asks what it is.
 * Sets found of *c, malloc'd, without --control. Returns 0, or -1 with *e set
 * (64, 69: no such pool runs, or it is too old; 71, 75, 76, 77).
 */
int	 predecessor_ask(struct conf *c, struct err *e);
/*
 * Returns its listen socket, if that was passed in to it and the command line
 * names none; else -1.
 */
int	 predecessor_inherited(const struct conf *c);
/*
 * Can a spawnd with this plan take over? Sets its member taken. Returns 0, or
 * -1 with *e set (69, 71, 73, 77, 78).
 */
int	 predecessor_check(struct plan *p, struct err *e);
/*
 * Would that change anything? Also true without memory. print: says on standard
 * output what, a line each.
 */
bool	 predecessor_differs(const struct plan *p, bool print);
/*
 * Has the running pool reload instead, and waits without limit until it has.
 * Returns 0, or -1 with *e set (69, 71, 75, 76, or what the pool answers: 69 if
 * the reload failed, 75 if the pool stops).
 */
int	 predecessor_reload(struct err *e);

/* successor.c: we take over from it */
/*
 * Begins the take-over: the other spawnd passes all that is to be ours. To be
 * called before listen_open(), control_open() and pidfile_lock(), which use
 * that. Returns 0, or -1 with *e set (69, 71, 75, 76, or what the other
 * answers).
 */
int	 successor_take(const struct plan *p, struct err *e);
/*
 * Returns the connection to the other pool, or -1. As long as it is open the
 * other takes us to be there, so no other process of ours may have a copy.
 */
int	 successor_connection(void);
/*
 * Begins to watch the other pool, so that its end or refusal is noticed; to be
 * called after loop_init(). Returns 0, or -1 with *e set (71).
 */
int	 successor_start(const struct plan *p, struct err *e);
/*
 * The pool may have changed: if it stops, the take-over is given up by closing
 * the connection.
 */
void	 successor_changed(void);
/*
 * The pool is ready, as that notice says: completes the take-over, once the
 * loop is back, and then passes the notice to lifecycle_notice(). If the other
 * refuses our start fails: lifecycle_fail().
 */
void	 successor_ready(const struct pool_notice *n);
/* Is all ours, and so the listen socket's file, too? */
bool	 successor_is_done(void);

/* takeover.c */
/* Keeps the plan; to be called before environ_scrub() and the jail. */
void	 takeover_init(const struct plan *p);

/* Has another process taken over from us, with the listen socket's file? */
bool	 takeover_is_done(void);

/* status.c */
/*
 * Keeps both for the answers to "status", and notes the time as that of the
 * start.
 */
void	 status_init(const struct plan *p, const struct guarantees *g);

#endif
