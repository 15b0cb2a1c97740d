/* SPDX-License-Identifier: ISC */
/* How a running pool is watched and steered: sockets, figures, history. */
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
#define CONTROL_TAKE	(10 * USEC)	/* without reading an answer */
#define CONTROL_WHOLE	(15 * USEC)	/* for a whole answer */
#define CONTROL_PAUSE	USEC	/* without descriptors */
#define STATUS_BURST	(USEC / 5)	/* cpu for readers, at once */
#define STATUS_SHARE	10	/* and after that a tenth of the time */
#define STATUS_STEP	UINT64_C(2000)	/* usec for all, then the loop's turn */
#define PSS_AGE		(30 * USEC)	/* a younger pss is used again */
#define PSS_WHOLE	USEC	/* asking takes so long for one answer */

/* status.c: the pool as records */
/* Remembers what does not change. Before the loop. */
void	 status_init(const struct plan *p, const struct guarantees *g);
struct status;
/* Begins a status; NULL without memory. */
struct status *status_begin(bool full);
/*
 * Writes at least one worker, and more for its share of STATUS_STEP. Returns
 * true as long as there is more: a client that reads slowly gets each worker
 * as it is then.
 */
bool	 status_step(struct status *s, struct proto_output *o);
void	 status_free(struct status *s);
/* Writes the points of the history as records. */
void	 status_write_history(uint64_t now, struct proto_output *o);
/* The state of the pool in one word. */
const char *status_state(void);
/* Are requests served, now or as soon as a worker is free? */
bool	 status_serves(void);

/* trace_records.c */
/* Writes the last events and actions (pool/trace.h) as records. */
void	 trace_records_write(uint64_t now, struct proto_output *o);

/* control.c */
/*
 * Makes the directory and the sockets of the plan, before the jail; the
 * pool's name may get a number. Failure is only logged unless the user asked
 * for that directory or name. Returns 0, or -1 with *e set (73, 77, 78).
 */
int	 control_open(struct plan *p, struct err *e);
/* Begins to accept. The loop is there. Returns 0, or -1 with *e set (71). */
int	 control_start(struct err *e);
/* The pool has changed: tells the clients that wait for it. */
void	 control_changed(void);
void	 control_notice(const struct pool_notice *n);
/* The end: answers waiting clients, removes sockets and directory. */
void	 control_close(void);

/* rundir.c: the directory of the sockets */
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
/* Closes, before the jail, descriptors that would lead out of it. */
void	 rundir_done(const struct plan *p);
/* Removes what was made, as far as we still may. */
void	 rundir_remove(void);

#endif
