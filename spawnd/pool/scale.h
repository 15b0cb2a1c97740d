/* SPDX-License-Identifier: ISC */
/*
 * The size of a pool between two bounds, by what waits in the listen queue and
 * what is being served. Two halves, both pure: the policy (scale.c) says how
 * many workers there should be, the sampler (sampler.c) when to look next.
 *
 * The caller fills in a view of the load, hands it to scale_decide(), and the
 * decision to the sampler. It looks again when the listen socket can be read
 * (the watch), or at the time that the sampler named, whichever is first. All
 * times are in microseconds.
 */
#ifndef POOL_SCALE_H
#define POOL_SCALE_H

#include <stdbool.h>
#include <stdint.h>

#define SCALE_UNKNOWN		UINT32_MAX	/* it could not be seen */

/* The policy; times in microseconds. */
#define SCALE_WAIT		UINT64_C(3000)	/* too long in the queue */
#define SCALE_STEP		UINT64_C(10000)	/* between two growths */
#define SCALE_CALM		UINT64_C(10000000) /* ends a saturation */
#define SCALE_EVIDENCE		16	/* a queue lasts that part of a start */
#define SCALE_EVIDENCE_MAX	UINT64_C(100000)
#define SCALE_ACCEPT_MISSES	4	/* looks; then they count no more */
#define SCALE_BUCKETS		16	/* of the idle timeout */
#define SCALE_EARLY		6	/* idle timeouts; sooner is too early */
#define SCALE_HOLD_MAX		16	/* idle timeouts, see scale.c */

/* The sampler of a pool with bounds; times in microseconds. */
#define SAMPLER_PAUSE		UINT64_C(33000)	/* looks, on the average */
#define SAMPLER_FULL_PAUSE	UINT64_C(100000) /* with nothing to add */
#define SAMPLER_BLIND		UINT64_C(1000000) /* nothing could be seen */
#define SAMPLER_COST		80	/* looks take 1/80 at most */
#define SAMPLER_GROWTH_COST	10	/* and 1/10 before a growth is over */
#define SAMPLER_POLLS		16	/* looks before the watch, if busy */

/* And of a pool of one size. */
#define SAMPLER_FIXED_PAUSE	UINT64_C(1000000)
#define SAMPLER_FIXED_LAST	UINT64_C(16000000) /* nothing changes */
#define SAMPLER_FIXED_AGAIN	UINT64_C(10000)	/* after a connection */
#define SAMPLER_FIXED_COST	200	/* looks take 1/200 at most */

struct scale_conf {
	unsigned int	 min;
	unsigned int	 max;
	uint64_t	 idle;		/* usec; surplus goes after it */
	unsigned int	 serves;	/* connections at once, at least */
};

/* What a look has seen. */
struct scale_view {
	uint64_t	 now;
	bool		 fired;		/* by the watch, not by time */
	uint64_t	 cost;		/* usec of cpu that it took */
	uint64_t	 start;		/* usec until a worker is ready; 0 */
	unsigned int	 ready;
	unsigned int	 starting;	/* ready soon */
	unsigned int	 leaving;	/* retire or stop; may still serve */
	unsigned int	 failing;	/* their start failed, they wait */
	uint32_t	 queue;		/* or SCALE_UNKNOWN, as all below */
	uint32_t	 waited;	/* of these, since the last look */
	uint32_t	 busy;		/* connections that were accepted */
};

enum scale_notice {
	SCALE_NOTHING,
	SCALE_FULL,		/* at the upper bound, some wait */
	SCALE_RELIEVED		/* that is over */
};

/* What follows from it. */
struct scale_decision {
	unsigned int	 target;	/* so many workers, now */
	uint64_t	 until;		/* then time alone may change that;
					   NEVER */
	bool		 grown;		/* the target, by this look */
	bool		 can_grow, can_shrink;	/* within the bounds */
	bool		 waits;		/* connections waited for too long */
	bool		 undecided;	/* a second look soon will tell */
	enum scale_notice notice;
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
	uint64_t	 looked;	/* 0: never */
	uint32_t	 queue;		/* then */
	uint64_t	 since;		/* some wait; 0: none does */
	unsigned int	 accept_misses;	/* looks while some should accept */

	/* Of the saturation, for the log and the status. */
	uint64_t	 full_since;	/* 0: is not */
	uint64_t	 full_last;	/* when it was seen last */
	uint64_t	 full_total;	/* usec, of those that are over */
	uint64_t	 full_length;	/* of the last that is over */
	unsigned int	 full_times;
	unsigned int	 full_peak;	/* of the queue, in this or the last */
};

/* scale.c: how many */
/* Begins with a target of c->min workers, which are there or about to be. */
void	 scale_init(struct scale *s, const struct scale_conf *c);
/* Sets new bounds, min <= max; a look should follow. */
void	 scale_bounds(struct scale *s, unsigned int min, unsigned int max,
	    uint64_t now);
/*
 * With that many in the queue, does it help to know the accepted connections,
 * which may be expensive to count?
 */
bool	 scale_wants_busy(const struct scale *s, uint32_t queue);
/* Takes a look into account, and returns what follows from it. */
struct scale_decision scale_decide(struct scale *s,
	    const struct scale_view *v);
/*
 * Returns how long all saturations were together; the present one counts up to
 * when it was seen last.
 */
uint64_t scale_full_time(const struct scale *s);

/* sampler.c: when to look; zeroed at first */
struct sampler {
	uint64_t	 due;		/* looks are paid for until then */
	uint32_t	 queue, busy;	/* at the last look */
	uint64_t	 armed;		/* the watch, since; 0: it is not */
	unsigned int	 polls;		/* looks until it is armed again */
	uint64_t	 busy_cost, busy_at; /* of counting connections, last */

	/* Of a pool of one size. */
	uint64_t	 pause;		/* the last one */
	bool		 fresh;		/* a connection came since */
	bool		 again;		/* the second of two looks */
};

struct sampler_next {
	uint64_t	 look;		/* at that time; NEVER */
	bool		 watch;		/* and when a connection comes */
};

/* Is counting accepted connections paid for? idle is the idle timeout. */
bool	 sampler_affords_busy(const struct sampler *s, uint64_t now,
	    uint64_t idle);
/*
 * Takes a look into account, and returns when the next one is due, of a pool
 * with bounds; d is what followed from this one.
 */
struct sampler_next sampler_next(struct sampler *s,
	    const struct scale_view *v, const struct scale_decision *d);
/*
 * The same of a pool of one size, for its history. It is not woken while it is
 * idle: the first connection makes a look, SAMPLER_FIXED_AGAIN later.
 */
struct sampler_next sampler_next_fixed(struct sampler *s,
	    const struct scale_view *v);

#endif
