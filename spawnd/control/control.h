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
/* The pool has changed: tells the clients that wait for that. */
void	 control_changed(void);
/* Looks at a notice of the pool: answers those who wait for a reload. */
void	 control_notice(const struct pool_notice *n);
/* The end: answers waiting clients, removes sockets and directory. */
void	 control_close(void);

/* status.c */
/* Remembers what does not change while the pool runs, the start's time too. */
void	 status_init(const struct plan *p, const struct guarantees *g);

#endif
