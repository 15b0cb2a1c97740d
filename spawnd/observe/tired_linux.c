/* SPDX-License-Identifier: ISC */
/*
 * Does the door slow a worker down too much? At each stop a task waits until
 * the supervisor has dealt with it, and on a host with much to do the
 * supervisor waits for a processor first.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/door.h"
#include "observe/linux.h"

#define STOPS_LEAST	400	/* so many are always allowed */
#define STOPS_TIME	(USEC / 10)	/* as long as they take no more */
#define STOP_COST	25	/* usec, about, on a processor of our own */
#define STOPS_SHARE	3	/* stops may take 1/3 of a task's time */

/* See Documentation/scheduler/sched-stats.rst of Linux. */
static void
read_turns(struct turns *t)
{
	char buf[128];

	if (proc_read("self/schedstat", buf, sizeof(buf)) <= 0 ||
	    sscanf(buf, "%*u %" SCNu64 " %" SCNu64, &t->waited, &t->n) != 2)
		*t = (struct turns){ .n = 0 };
}

void
tired_begin(struct door *d)
{
	d->stops = 0;
	d->closed = loop_now();
	read_turns(&d->turns);
}

/* What its stops have taken, in microseconds. */
static uint64_t
cost_of_stops(const struct door *d)
{
	uint64_t each = STOP_COST;
	struct turns now;

	read_turns(&now);
	if (now.n > d->turns.n)
		each += (now.waited - d->turns.waited) /
		    (now.n - d->turns.n) / 1000;
	return d->stops * each;
}

bool
tired_is(const struct door *d)
{
	uint64_t cost = d->stops == 0 ? 0 : cost_of_stops(d);

	return (d->stops > STOPS_LEAST || cost > STOPS_TIME) &&
	    cost * STOPS_SHARE > loop_now() - d->closed;
}
