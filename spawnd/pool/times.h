/* SPDX-License-Identifier: ISC */
/*
 * How long, how often and how many: all times and limits of the pool, except
 * those that the user sets (struct pool_conf) and those that other folders need
 * (pool.h). Times are in microseconds.
 */
#ifndef POOL_TIMES_H
#define POOL_TIMES_H

#include "base/units.h"

#define POOL_READY_FIRST	UINT64_C(1000)	/* first look at a start */
#define POOL_READY_LAST		UINT64_C(50000)	/* pause between the last */
#define POOL_FAIL_FIRST		(USEC / 10)	/* after a failed start */
#define POOL_FAIL_LAST		(30 * USEC)
#define POOL_EXIT0_FIRST	UINT64_C(10000)	/* after an unseen exit 0 */
#define POOL_EXIT0_LAST		USEC
#define POOL_UNSEEN		8	/* so many exits 0 end a reload */
#define POOL_UNSEEN_PART	64	/* of the age, from look to look */
#define POOL_TOKENS		20		/* per worker, for crashes */
#define POOL_REFILL		10		/* per worker and second */
#define POOL_START_FAILURES	3		/* of every slot: give up */
#define POOL_START_GRACE	USEC		/* from the first ready one */
#define POOL_ACTIVITY_FIRST	UINT64_C(1000)	/* looks at a retiring worker */
#define POOL_ACTIVITY_LAST	UINT64_C(100000)
#define POOL_ACTIVITY_CHECKS	32		/* at once, at the most */
#define POOL_QUEUED_LAST	USEC		/* of those that wait for it */
#define POOL_FREEZE		UINT64_C(20000)	/* for a process to stop */
#define POOL_FREEZE_AGAIN	UINT64_C(50000)	/* after one that did not */
#define POOL_ACTIVITY_PART	64		/* of a request, between two */
#define POOL_BUSY_LONG		USEC		/* long for a request */
#define POOL_LAST_CHANCE	USEC		/* signal before KILL */
#define POOL_DOOR_FIRST	UINT64_C(1000)	/* looks at a closed door */
#define POOL_DOOR_LAST	UINT64_C(20000)
#define POOL_DOOR_CLOSING	(USEC / 10)	/* to close a door, at first */
#define POOL_DOOR_CLOSING_MOST	USEC		/* and after failures */
#define POOL_DOOR_STOPS	UINT64_C(50)	/* of each task, before a rest */
#define POOL_DOOR_MORE	4	/* times as many after each rest */
#define POOL_DOOR_STOPS_MOST	UINT64_C(200000)
#define POOL_DOOR_STOP	UINT64_C(200)	/* at most for each of them */
#define POOL_DOOR_REST	3		/* times as long as these took */
#define POOL_DOOR_LASTS	4	/* of its time, the last: rarely a rest */
#define POOL_HEED		(USEC / 2)	/* for a signal to be heeded */
#define POOL_CANARY_LAST	UINT64_C(20000)	/* pause between its looks */
#define POOL_SURGE_SHARE	4		/* of the workers, a surge */
#define POOL_MEASURE		USEC		/* between two measurements */
#define POOL_OVERSIZE_YOUNG	(10 * USEC)	/* younger: has not grown */
#define POOL_OVERSIZE_MAX	3		/* in a row: it is logged */
#define POOL_OVERSIZE_FIRST	USEC		/* pause before a replacement */
#define POOL_OVERSIZE_LAST	(60 * USEC)
#define POOL_REQUEST_MOST	USEC		/* between looks for old ones */
#define POOL_REQUEST_LEAST	(USEC / 20)
#define POOL_AGE_SPREAD		8		/* of --max-age, a fraction */
#define POOL_DRAIN_FIRST	UINT64_C(1000)	/* looks at what still waits */
#define POOL_DRAIN_LAST		UINT64_C(10000)
#define POOL_DRAIN_FAILURES	3		/* in a row: give up */
#define POOL_DRAIN_KEPT		(USEC / 10)	/* then a client keeps it */
#define POOL_DRAIN_IDLE_LOOKS	2		/* then it serves nobody */

#endif
