/* SPDX-License-Identifier: ISC */
/*
 * What a pool remembers of its load for those who choose its size: how many
 * connections were served at a time, and how many each connection met when it
 * came. It is bounded, and pure: it is told of the looks that are made anyway.
 */
#ifndef POOL_LEDGER_H
#define POOL_LEDGER_H

#include <stdint.h>

#include "pool/scale.h"

#define LEDGER_EXACT	64	/* counts below have a bin each, and those */
#define LEDGER_STEPS	32	/* of each doubling above have so many */
#define LEDGER_BINS	(LEDGER_EXACT + 10 * LEDGER_STEPS)
#define LEDGER_WAITS	5	/* classes of the time in the queue */
/* When it knows of so many microseconds, all of it counts half from then on. */
#define LEDGER_SPAN	UINT64_C(1209600000000)
#define LEDGER_SMALL	100	/* it is too small if one of so many waits */

/* What a look has seen; each count may be SCALE_UNKNOWN. */
struct ledger_look {
	uint64_t	 now;		/* usec */
	uint32_t	 queue;		/* connections that wait */
	uint32_t	 busy;		/* those that were accepted */
	uint32_t	 fresh;		/* accepted since the last look that
					   knew `busy` */
	uint32_t	 cause;		/* because so many came it was made;
					   0: it was time */
	unsigned int	 places;	/* that workers which are ready have */
	const unsigned int *left;	/* how many went out of the queue, by
					   LEDGER_WAITS classes of how long
					   they were there; or NULL */
};

struct ledger {
	uint64_t	 seen;		/* the last look, in usec; 0: none */
	uint32_t	 queue;		/* then */
	uint64_t	 counted;	/* the last that knew `busy`; 0: none */
	uint32_t	 queued;	/* then */
	uint64_t	 span;		/* usec that the rest tells of */
	uint64_t	 busy_time;	/* usec, of all connections */
	uint64_t	 queue_time;	/* and in the queue */
	uint64_t	 came;		/* connections that were seen */
	uint64_t	 full;		/* of these were among more than there
					   were places, and some waited */
	uint64_t	 over;		/* or more than that were served */
	uint32_t	 most;		/* at once, with those that wait */
	uint64_t	 waits[LEDGER_WAITS];
	uint64_t	 time[LEDGER_BINS]; /* usec with so many busy */
	uint64_t	 met[LEDGER_BINS]; /* connections that were among so
					   many, with those that wait */
};

/* Adds a look; *l begins zeroed. */
void	 ledger_look(struct ledger *l, const struct ledger_look *v);
/*
 * The size of the pool is another from now on: what came to one that was too
 * small does not tell what a larger one will see, and is forgotten.
 */
void	 ledger_resized(struct ledger *l);
/* Return the bin of a count, and the highest count that a bin has. */
unsigned int ledger_bin(uint32_t count);
uint32_t ledger_count(unsigned int bin);

#endif
