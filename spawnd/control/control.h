/* SPDX-License-Identifier: ISC */
/* How a running pool is seen and steered: sockets, figures, history. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/base.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "proto/proto.h"

#define CONTROL_CLIENTS	8	/* of root or the invoker, at a time */
#define STATUS_CLIENTS	16	/* of the socket for reading */
#define CONTROL_BACKLOG	128
#define CONTROL_IDLE	(60 * USEC)	/* without a command */
#define CONTROL_LINE	(10 * USEC)	/* for a command that has begun */
#define CONTROL_TAKE	(10 * USEC)	/* without taking of an answer */
#define CONTROL_WHOLE	(15 * USEC)	/* for all that came at once */
#define CONTROL_PAUSE	USEC	/* without descriptors */
#define STATUS_BURST	(USEC / 5)	/* cpu for readers, at once */
#define STATUS_SHARE	10	/* and after that a tenth of the time */
#define STATUS_STEP	UINT64_C(2000)	/* usec for all, then the loop's turn */
#define PSS_AGE		(30 * USEC)	/* a pss is not asked for again */

/* status.c: the pool as records */
/* Remembers what does not change. Before the loop. */
void	 status_init(const struct plan *p, const struct guarantees *g);
struct status;
/* Begins to take stock; NULL without memory. */
struct status *status_begin(bool full);
/*
 * Goes on, with a worker at least, for its share of STATUS_STEP. Returns true
 * as long as there is more: one that is asked slowly sees each worker as it is
 * then.
 */
bool	 status_step(struct status *s, struct proto_output *o);
void	 status_free(struct status *s);
/* Writes the points of the history as records. */
void	 status_write_history(uint64_t now, struct proto_output *o);
/* The state of the pool in one word. */
const char *status_state(void);
/* Can requests be served, now or as soon as a worker is free? */
bool	 status_serves(void);

/* trace_records.c */
/* Writes the last events and actions (pool/trace.h) as records. */
void	 trace_records_write(uint64_t now, struct proto_output *o);

/* control.c */
/*
 * Makes the directory and the sockets of the plan, before the jail; the
 * pool's name may get a number. Where the place is not one that was asked
 * for, failure is only logged. Returns 0, or -1 with *e set (73, 77, 78).
 */
int	 control_open(struct plan *p, struct err *e);
/* Begins to answer, once there is a loop. Returns 0, or -1 with *e set. */
int	 control_start(struct err *e);
/* The pool has changed, as whoever waits may want to know. */
void	 control_changed(void);
void	 control_notice(const struct pool_notice *n);
/* The end: tells who waits, removes what may be removed. */
void	 control_close(void);

/* rundir.c: where the sockets are */
/*
 * Makes (or takes over) the directory for the pool's sockets, under a name
 * that is free. Returns 0, or -1: with *e set (73, 77, 78), or, with e->status
 * 0, because there is to be none.
 */
int	 rundir_open(struct plan *p, struct err *e);
/*
 * Makes a listening socket in it, of that mode and, unless it is (gid_t)-1,
 * group. Returns its descriptor, or -1 with *e set.
 */
int	 rundir_socket(const char *name, mode_t mode, gid_t gid,
	    struct err *e);
/* Gives away, before the jail, what would be of no use or lead out of it. */
void	 rundir_done(const struct plan *p);
/* Removes what was made, as far as our rights go. */
void	 rundir_remove(void);

#endif
