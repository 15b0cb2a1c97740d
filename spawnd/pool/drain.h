/* SPDX-License-Identifier: ISC */
/*
 * What still waits in the listen queue when the pool is to stop; drain.c has
 * the states. Only the files of the pool include this. Times are in
 * microseconds.
 */
#ifndef POOL_DRAIN_H
#define POOL_DRAIN_H

#include "pool/pool.h"
#include "pool/slot.h"

/* Begins; the pool was to have `width` workers. */
void	 drain_begin(struct pool *p, unsigned int width, uint64_t now);
/* Takes the answer to a POOL_QUEUE. */
void	 drain_queue(struct pool *p, const struct queue *q, uint64_t now);
/* Asks again what waits, if it is time for that. */
void	 drain_tick(struct pool *p, uint64_t now);
/* What follows from any event; returns true when nothing is left to do. */
bool	 drain_step(struct pool *p, uint64_t now);
/* May a worker that holds nothing be sent its stop signal? */
bool	 drain_allows(const struct pool *p);
/*
 * Is that frozen worker the last who could serve what waits? Then it asks what
 * waits, and drain_queue() decides.
 */
bool	 drain_last(struct pool *p, struct slot *s);
/* The frozen one is that no more. */
void	 drain_thawed(struct pool *p);
/*
 * Is that worker at its door the last who could serve what waits, and more may
 * come? Then it has the socket shut, and asks what waits.
 */
bool	 drain_shuts(struct pool *p, const struct slot *s);
/*
 * Has one that was started in a stop failed, by itself? Where it is not known
 * whether it took anything of what waited it is not to be started for ever.
 */
bool	 drain_failed(const struct slot *s, const struct pool_event *ev);
/* One that had come up is gone; did it take anything of what waited? */
void	 drain_gone(struct pool *p, const struct slot *s, enum moved moved);
/* One that was started for what waits served nobody. */
void	 drain_count_failure(struct pool *p);
/* Is its program not to begin before its door is closed? */
bool	 drain_wants_door(const struct pool *p, const struct slot *s);
/* Takes over a worker that was started in a stop. Returns false for others. */
bool	 drain_spawned(struct pool *p, struct slot *s,
	    const struct pool_event *ev, uint64_t now);

#endif
