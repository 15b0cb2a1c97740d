/* SPDX-License-Identifier: ISC */
/*
 * How many workers a pool should have: between two bounds, by what waits in
 * the listen queue and what is being served. It is pure. What was seen comes
 * in through scale_look(), with the time; what is wanted, and when to look
 * again, comes back.
 *
 * A look follows when the listen socket can be read (the watch), or at the
 * time that the last one named, whichever is first.
 */
#ifndef POOL_SCALE_H
#define POOL_SCALE_H

#include <stdbool.h>
#include <stdint.h>

#define SCALE_UNKNOWN		UINT32_MAX	/* it could not be seen */

/* Microseconds. */
#define SCALE_WAIT		UINT64_C(3000)	/* too long in the queue */
#define SCALE_STEP		UINT64_C(10000)	/* between two growths */
#define SCALE_PAUSE		UINT64_C(33000)	/* looks, on the average */
#define SCALE_FULL_PAUSE	UINT64_C(100000) /* with nothing to add */
#define SCALE_BLIND		UINT64_C(1000000) /* nothing could be seen */
#define SCALE_CALM		UINT64_C(10000000) /* ends a saturation */
#define SCALE_COST		80	/* looks take 1/80 at most */
#define SCALE_GROWTH_COST	10	/* and 1/10 before a growth is over */
#define SCALE_EVIDENCE		16	/* a queue lasts that part of a start */
#define SCALE_EVIDENCE_MAX	UINT64_C(100000)
#define SCALE_PATIENCE		4	/* looks at those who should accept */
#define SCALE_POLLS		16	/* looks before the watch, if busy */
#define SCALE_BUCKETS		16	/* of the idle timeout */
#define SCALE_REGRET		6	/* idle timeouts */
#define SCALE_HOLD_MAX		16	/* idle timeouts, see scale.c */

struct scale_conf {
	unsigned int	 min;
	unsigned int	 max;
	uint64_t	 idle;		/* usec; surplus goes after it */
	unsigned int	 serves;	/* connections at once, at least */
};

struct scale_view {
	uint64_t	 now;
	bool		 fired;		/* by the watch, not by time */
	uint64_t	 cost;		/* usec of cpu that it took */
	uint64_t	 start;		/* usec until a worker is ready; 0 */
	unsigned int	 ready;
	unsigned int	 starting;	/* they will be, soon */
	unsigned int	 going;		/* they serve, but take nothing new */
	unsigned int	 failing;	/* they did not start, and wait */
	uint32_t	 queue;		/* or SCALE_UNKNOWN, as all below */
	uint32_t	 waited;	/* of these, since the last look */
	uint32_t	 busy;		/* connections that were accepted */
};

struct scale_next {
	unsigned int	 target;	/* so many workers, now */
	uint64_t	 look;		/* when to look again; NEVER */
	bool		 watch;		/* and when something comes */
	enum {
		SCALE_NOTHING,
		SCALE_FULL,		/* at the upper bound, some wait */
		SCALE_RELIEVED		/* that is over */
	}		 notice;
};

/* The highest demand of each of the last periods; zeroed: none. */
struct scale_peaks {
	uint64_t	 period;	/* usec */
	uint64_t	 last;		/* number of the newest period */
	unsigned int	 max[SCALE_BUCKETS + 1];
};

struct scale {
	struct scale_conf conf;
	unsigned int	 target;
	unsigned int	 serves;	/* connections a worker takes */
	struct scale_peaks recent;	/* over the idle timeout */
	struct scale_peaks longer;	/* over SCALE_HOLD_MAX of them */
	unsigned int	 hold;		/* so many of them count */
	uint64_t	 grown;		/* when, or when `hold` was halved */
	uint64_t	 shrunk;	/* when; 0: was not, or is judged */
	uint64_t	 due;		/* looks are paid for until then */
	uint64_t	 looked;	/* 0: never */
	uint32_t	 queue;		/* then */
	uint64_t	 since;		/* some wait; 0: none does */
	unsigned int	 patience;	/* looks while some should accept */
	bool		 fired;
	uint64_t	 armed;		/* the watch; 0: it is not */
	unsigned int	 polls;		/* looks until it is armed again */

	/* Of the saturation, for the log and the status. */
	uint64_t	 full_since;	/* 0: is not */
	uint64_t	 full_last;	/* when it was seen last */
	uint64_t	 full_total;	/* usec, of those that are over */
	uint64_t	 full_length;	/* of the last that is over */
	unsigned int	 full_times;
	unsigned int	 full_peak;	/* of the queue, in this or the last */
};

/* With conf.min workers there, or about to be. */
void	 scale_init(struct scale *s, const struct scale_conf *c);
/* New bounds, min <= max; a look should follow. */
void	 scale_bounds(struct scale *s, unsigned int min, unsigned int max,
	    uint64_t now);
/*
 * Does it help to know the accepted connections, which may be dear to count,
 * when so many wait?
 */
bool	 scale_wants_busy(const struct scale *s, uint32_t queue);
/* What follows from a look. */
struct scale_next scale_look(struct scale *s, const struct scale_view *v);
/* The time in saturation, in all, with that of the present one. */
uint64_t scale_full_time(const struct scale *s);

#endif
