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
 * jail. A pool whose name is taken gets a number behind it. A failure is only
 * logged unless the user asked for that directory or name. Returns 0, or -1
 * with *e set (73, 77, 78).
 */
int	 control_open(struct plan *p, struct err *e);
/*
 * Begins to accept clients. To be called after loop_init(). Returns 0, or -1
 * with *e set (71).
 */
int	 control_start(struct err *e);
/* The pool has changed: answers the clients that wait for that. */
void	 control_changed(void);
/* Looks at a notice of the pool: answers those who wait for a reload. */
void	 control_notice(const struct pool_notice *n);
/* The end: answers waiting clients, removes sockets and directory. */
void	 control_close(void);

/* rundir.c */
/*
 * After a take-over, and still with the rights of the start: has the sockets'
 * directory as the plan wants it.
 */
void	 rundir_settle(const struct plan *p);
/*
 * Closes, before the jail, descriptors that would lead out of it. Only after a
 * successor_take() it is not control_open() that does so.
 */
void	 rundir_done(const struct plan *p);

/* predecessor.c: the pool that we are to take over from */
/*
 * Connects to the running pool that a command line means, and asks what it is.
 * Sets found of *c. Returns 0, or -1 with *e set (64, 69, 71, 75, 76, 77).
 */
int	 predecessor_ask(struct conf *c, struct err *e);
/* Its listen socket, if that was passed in and the command line names none. */
int	 predecessor_inherited(const struct conf *c);
/*
 * Can a spawnd with this plan take over? Sets its member taken. Returns 0, or
 * -1 with *e set (69, 71, 77, 78).
 */
int	 predecessor_check(struct plan *p, struct err *e);
/* Would that change anything? print: says what, a line each. */
bool	 predecessor_differs(const struct plan *p, bool print);
/* Has the pool reload instead. Returns 0, or -1 with *e set. */
int	 predecessor_reload(struct err *e);
/* successor.c: we take over from it */
/*
 * Begins the take-over: the other passes all that is to be ours. To be called
 * before it is opened. Returns 0, or -1 with *e set (69, 71, 75, 76).
 */
int	 successor_take(const struct plan *p, struct err *e);
/*
 * The connection to the other pool. While it is open that takes us to be there,
 * so no other process may have it.
 */
int	 successor_connection(void);
/* To be called after loop_init(). Returns 0, or -1 with *e set (71). */
int	 successor_start(const struct plan *p, struct err *e);
/* The pool may have changed: one that stops takes nothing over. */
void	 successor_changed(void);
/* The pool is ready, as that notice says: completes the take-over. */
void	 successor_ready(const struct pool_notice *n);
/* Is all ours, the listen socket's file, too? */
bool	 successor_is_done(void);

/* takeover.c */
/* Notes the plan; to be called before environ_scrub() and the jail. */
void	 takeover_init(const struct plan *p);

/* Has another process taken over, with the listen socket's file? */
bool	 takeover_is_done(void);

/* status.c */
/* Remembers what does not change while the pool runs, the start's time too. */
void	 status_init(const struct plan *p, const struct guarantees *g);

#endif
