/* SPDX-License-Identifier: ISC */
/*
 * Will a new worker be sent a request? A reload waits for the first one of a
 * new program. In a pool that nobody uses it never comes, and where the clients
 * keep their connections it goes to an old worker until one of these has ended.
 *
 * Each thing that can be seen may miss a short request that is rare, so all of
 * them have to agree that there are none:
 *
 *	- for ten seconds, or since the start, no look at the listen socket
 *	  found a connection, and none that came has woken the supervisor
 *	- no connection waits, or is accepted
 *	- no other worker has used any cpu while the new one is there
 *
 * or that they come over kept connections alone:
 *
 *	- no connection waits, and those that are accepted stay the same
 *	- each worker that holds some was seen to wait for its clients: what
 *	  it holds is not one long request
 */
#include <stdlib.h>

#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/observe.h"
#include "observe/usage.h"
#include "pool/pool.h"
#include "run/supervise.h"

#define TRAFFIC_AGO	(10 * USEC)	/* the last that was seen, at least */
#define TRAFFIC_WATCHED	(USEC / 10)	/* so long nothing has changed */
#define TRAFFIC_ASKED	16U		/* workers at a time */
#define TRAFFIC_SHARE	10		/* which takes 1/10 of it at most */

/* The accepted connections at a moment. */
struct held {
	int		 n;		/* -1: unknown, or some wait */
	uint64_t	 sum;		/* of their inodes */
};

/* What there was when a new worker was first asked about. */
static struct {
	pid_t		 pid;		/* of the new one */
	uint64_t	 since;
	uint64_t	 cpu;		/* that the others had used */
	bool		 used;		/* there are requests */
	struct held	 held;
	unsigned int	 asked;		/* slots that wait for their clients */
	uint64_t	 again;		/* not before then */
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

static struct held
find_accepted(void)
{
	struct held h = { .n = -1 };
	unsigned int left, depth, limit;
	uint64_t *inodes = NULL;
	int i;

	if (observe_queue(&depth, &limit) == -1 || depth > 0 ||
	    (h.n = usage_connections(&inodes, &left)) == -1)
		return h;
	for (i = 0; i < h.n; i++)
		h.sum += inodes[i];
	free(inodes);
	return h;
}

/* Does the worker wait for its clients, or hold no connection? */
static bool
is_waiting(unsigned int slot)
{
	struct held_requests h;

	/* For the shortest time there is. */
	observe_held(worker_pid(slot), true, 1, loop_now(), &h);
	return h.count == 0;
}

/* Goes on with those that were not seen to wait yet. */
static bool
are_waiting(unsigned int but)
{
	unsigned int n = pool_slots(actor_pool()), left = TRAFFIC_ASKED;
	uint64_t before = loop_cpu();
	bool waiting = true;

	if (loop_now() < first.again)
		return false;
	for (; first.asked < n; first.asked++) {
		if (pool_state(actor_pool(), first.asked) != SLOT_READY ||
		    first.asked == but)
			continue;
		waiting = left-- > 0 && is_waiting(first.asked);
		if (!waiting)
			break;
	}
	first.again = loop_now() + (loop_cpu() - before) * TRAFFIC_SHARE;
	return waiting;
}

bool
traffic_is_none(unsigned int slot)
{
	uint64_t now = loop_now(), cpu;
	struct held h;

	if (first.pid != worker_pid(slot)) {
		first.pid = worker_pid(slot);
		first.since = now;
		first.asked = 0;
		first.held = find_accepted();
		first.used = autoscale_saw_since(now < TRAFFIC_AGO ?
		    0 : now - TRAFFIC_AGO) ||
		    !find_cpu(slot, &first.cpu);
		return false;
	}
	if ((first.used && first.held.n <= 0) ||
	    now - first.since < TRAFFIC_WATCHED)
		return false;
	h = find_accepted();
	first.used = first.used || h.n != 0 || !find_cpu(slot, &cpu) ||
	    cpu != first.cpu || autoscale_saw_since(first.since);
	if (h.n != first.held.n || h.sum != first.held.sum)
		first.held.n = -1;
	return !first.used || (first.held.n > 0 && are_waiting(slot));
}
