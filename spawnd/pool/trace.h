/* SPDX-License-Identifier: ISC */
/*
 * The last events and actions of a pool, in memory of a fixed size, so that
 * somebody can read what happened and the simulation can replay it.
 *
 * A replay passes the recorded events to a pool of the same configuration, at
 * the recorded times and between the same actions. As the pool is pure, it
 * then hands out the same actions, and each slot goes through the same states.
 * That is exact
 *
 *  - from the start of the pool, until the ring has lost its first entry;
 *  - after that from a snapshot of the pool, which is taken every half turn of
 *    the ring, at the next moment at which no action waits. At least the last
 *    half of the ring is behind one, unless so many actions were handed out
 *    without such a moment.
 *
 * A snapshot has the whole state of each slot that was ever used, if it fits
 * into TRACE_SNAPSHOT bytes: about 50 slots do with all limits set, and 80
 * without any. Of a larger pool only the start can be replayed; the rest can
 * be read.
 *
 * Not kept are the counts, which step of a spawn has failed, and what is below
 * a millisecond in the ages of connections and requests. No action depends on
 * any of these. Neither environment nor output of a worker is ever in here.
 */
#ifndef POOL_TRACE_H
#define POOL_TRACE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "pool/pool.h"

#define TRACE_FORMAT	1
#define TRACE_ENTRIES	256
#define TRACE_SNAPSHOT	3840	/* bytes; there are two */
#define TRACE_VALUES	60	/* of an item */
#define TRACE_NO_SLOT	UINT32_MAX
#define TRACE_NO_STATE	15

enum trace_kind { TRACE_EVENT, TRACE_ACTION, TRACE_NOTICE };

/*
 * One event, action or notice; trace.c's table says what a and b are. All times
 * are those of the pool, in microseconds; what a name ends in _ms for is in
 * milliseconds.
 */
struct trace_entry {
	uint64_t	 time;
	uint64_t	 a;
	uint32_t	 b;
	uint32_t	 slot;		/* or TRACE_NO_SLOT */
	int32_t		 pid;		/* 0: none */
	unsigned int	 kind : 2;
	unsigned int	 what : 6;	/* the number in its enum */
	unsigned int	 choice : 3;	/* an enum that came along */
	unsigned int	 from : 4;	/* the slot's state before */
	unsigned int	 to : 4;	/* and after; or TRACE_NO_STATE */
	unsigned int	 flags : 10;
};

/* The state of the pool before entry `at`, packed by snapshot.c. */
struct trace_snapshot {
	uint64_t	 at;		/* the entry's number, from the first */
	uint64_t	 time;
	unsigned int	 len;		/* bytes; 0: it did not fit */
	unsigned char	 data[TRACE_SNAPSHOT];
};

struct trace {
	uint64_t	 began;		/* when the pool was made */
	uint64_t	 now;		/* of the last event */
	uint64_t	 n;		/* entries so far */
	struct trace_entry entries[TRACE_ENTRIES];
	struct trace_snapshot snapshots[2];
	unsigned int	 newest;	/* of those two */
};

/* A piece of a trace, to be written as a record. */
struct trace_value {
	const char	*key;
	const char	*word;		/* NULL: it is the number */
	uint64_t	 number;
};

struct trace_item {
	const char	*kind;
	unsigned int	 n;
	struct trace_value values[TRACE_VALUES];
};

/* How far a trace was read; begins as { 0 }. */
struct trace_cursor {
	unsigned int	 part;
	uint64_t	 next;		/* entry */
	unsigned int	 pos;		/* in the snapshot; 0: before it */
};

/* trace.c: for whoever reads it */
/*
 * Writes the next item of a pool's trace: "trace", which says whether it can be
 * replayed and from where; "conf"; an "event", "action" or "notice" each; and,
 * where the replay begins at a snapshot, one "pool" and then each "slot". Its
 * strings are constant. Returns false at the end. No event may come in between.
 */
bool	 trace_next(const struct pool *p, struct trace_cursor *c,
	    struct trace_item *item);
/* Returns how many entries are kept, at most TRACE_ENTRIES. */
unsigned int trace_count(const struct pool *p);
/* Writes one of them, i below that, 0 being the oldest. */
void	 trace_entry(const struct pool *p, unsigned int i,
	    struct trace_item *item);

/* trace.c: for pool.c */
/* Notes an event of pool_event(), or a tick (NULL), before it is dealt with. */
void	 trace_event(struct pool *p, const struct pool_event *ev,
	    uint64_t now);
/* Completes that with the state that the slot is in now. */
void	 trace_event_done(struct pool *p, const struct pool_event *ev);
/* Notes an action that is handed out; one that is a notice, as such. */
void	 trace_action(struct pool *p, const struct pool_action *a);

#endif
