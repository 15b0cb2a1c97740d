/* SPDX-License-Identifier: ISC */
/*
 * Does anybody send requests? A reload waits for the first request of a new
 * program, which in a pool that nobody uses never comes. Each thing that can be
 * seen may miss a short request that is rare, so all of them have to agree:
 *
 *	- for ten seconds, or since the start, no look at the listen socket
 *	  found a connection, and none that came has woken the supervisor
 *	- no connection waits, or is accepted
 *	- no other worker has used any cpu while the new one is there
 */
#include <stdlib.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "run/supervise.h"

#define TRAFFIC_AGO	(10 * USEC)	/* the last that was seen, at least */
#define TRAFFIC_WATCHED	(USEC / 10)	/* so long no cpu was used */

/* What the others had used when a new worker was first asked about. */
static struct {
	pid_t		 pid;		/* of the new one */
	uint64_t	 since;
	uint64_t	 cpu;
	bool		 over;		/* the answer is no */
} first;

/* The cpu time of all ready workers but one. Returns false: unknown. */
static bool
find_cpu(unsigned int but, uint64_t *cpu)
{
	unsigned int i, n = pool_slots(actor_pool());
	unsigned int left = pool_count(actor_pool(), SLOT_READY);
	uint64_t used;

	*cpu = 0;
	for (i = 0; i < n && left > 0; i++) {
		if (pool_state(actor_pool(), i) != SLOT_READY)
			continue;
		left--;
		if (i == but)
			continue;
		if ((used = usage_cpu(worker_pid(i))) == 0)
			return false;
		*cpu += used;
	}
	return true;
}

static bool
has_connections(void)
{
	unsigned int left;
	unsigned int depth, limit;
	uint64_t *inodes = NULL;
	int n;

	if (observe_queue(&depth, &limit) == -1 || depth > 0)
		return true;
	if ((n = usage_connections(&inodes, &left)) != -1)
		free(inodes);
	return n != 0;
}

bool
traffic_is_none(unsigned int slot)
{
	uint64_t now = loop_now(), cpu;

	if (first.pid != worker_pid(slot)) {
		first.pid = worker_pid(slot);
		first.since = now;
		first.over = autoscale_saw_since(now < TRAFFIC_AGO ?
		    0 : now - TRAFFIC_AGO) ||
		    !find_cpu(slot, &first.cpu);
		return false;
	}
	if (first.over || now - first.since < TRAFFIC_WATCHED)
		return false;
	first.over = has_connections() || !find_cpu(slot, &cpu) ||
	    cpu != first.cpu || autoscale_saw_since(first.since);
	return !first.over;
}
