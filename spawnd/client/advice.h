/* SPDX-License-Identifier: ISC */
/*
 * How large a pool should be, from what it remembers of its load: pure. The
 * aim is that fewer than one request in a hundred waits for a worker.
 */
#ifndef CLIENT_ADVICE_H
#define CLIENT_ADVICE_H

#include <stdbool.h>

#include "client/client.h"

#define ADVICE_LEAST	1000	/* connections, to know one in a hundred */
#define ADVICE_MINUTES	10	/* and so long, as they come together */
#define ADVICE_SPAN	86400	/* s; less has not seen a whole day */

/* Why there is no number of workers, or why it may be wrong. */
enum advice_doubt {
	DOUBT_UNSEEN,		/* the load cannot be seen */
	DOUBT_FEW,		/* too few connections came so far */
	DOUBT_SHARED,		/* workers take several at once */
	DOUBT_TREE,		/* or have processes that may */
	DOUBT_CROWDED,		/* the pool is too small to tell */
	DOUBT_SHORT,		/* of the history */
	DOUBTS
};

/* A size, and what it would have meant for what came. */
struct advice_size {
	unsigned int	 workers;
	double		 waits;		/* the share that would have waited */
};

struct advice {
	bool		 doubts[DOUBTS];
	bool		 known;		/* fewest, largest, stay and sizes are
					   set */
	bool		 keep;		/* the pool has that size already */
	/* What was seen. */
	double		 span;		/* s */
	double		 came;		/* connections */
	double		 erlangs;	/* of them at a time, on average */
	double		 waited;	/* the share that found none free */
	double		 most;		/* at once, with those in the queue */
	double		 enough;	/* connections at once that leave fewer
					   than one in a hundred to wait */
	double		 queue_time;	/* s, of all that waited */
	double		 peak, limit;	/* of the queue; -1: unknown */
	double		 start;		/* s of a worker's start; -1: unknown */
	double		 pss, pss_most;	/* bytes a worker; 0: unknown */
	/* What is, and what should be. */
	unsigned int	 serves;	/* connections a worker takes */
	unsigned int	 min, max;
	unsigned int	 fewest;	/* -F */
	unsigned int	 largest;	/* -N; the same: it is not needed */
	double		 idle;		/* -w; s, that is; 0: of one size */
	double		 stay;		/* s, that should be; 0: not needed */
	unsigned int	 backlog;	/* -b; 0: unknown */
	struct advice_size sizes[3];	/* one worker fewer, as many as advised
					   (or as there are, to keep), one
					   more */
};

/* Fills *v from the answers to "status full" and "load", both in *a. */
void	 advice_make(const struct reply *a, struct advice *v);

#endif
