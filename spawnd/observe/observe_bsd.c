/* SPDX-License-Identifier: ISC */
/*
 * What the BSDs show of workers; see queue_bsd.c for the queue. Compiled for
 * them (scripts/bsd-check.sh), and not yet run there.
 */
#include <errno.h>
#include <string.h>

#include "observe/end.h"
#include "observe/holding.h"
#include "observe/observe.h"
#include "pool/seen.h"

void
observe_init(struct guarantees *g)
{
	g->proc = false;
	g->proc_foreign = false;
	g->proc_detached = false;
	g->queue = queue_open() == 0;
	if (!g->queue)
		g->no_queue = strerror(errno);
	g->ends = end_init() == 0;
	g->no_ends = "not on this system";
	g->no_door = door_refused();
	holding_init();
}

const char *
observe_untried(void)
{
	return "kqueue(2) and sysctl(2), and on OpenBSD pledge(2)";
}

/*
 * Whether a connection is only kept open is not seen: it counts as busy. Nor
 * are the descendants that have left the process group; of one that leads
 * others, which may serve, nothing is known but that it is busy.
 */
void
observe_activity(pid_t pid, int signo, uint64_t keep_idle, uint64_t now,
    struct probe_state *s, struct activity *x)
{
	struct holding h;

	(void)keep_idle;
	/* Nor is it known whether the worker catches the signal: send it. */
	*x = (struct activity){ .holds = HOLDS_UNKNOWN, .unseen = true,
	    .catches = true };
	if (holding_find(pid, signo, &h) == -1)
		return;
	x->frozen = h.stopped;
	x->catches = h.catches;
	x->threaded = h.threaded;
	if (h.connection != s->connection) {
		s->connection = h.connection;
		s->held_since = now;
	}
	if (h.connections > 0) {
		x->holds = HOLDS_BUSY;
		x->connection = h.connection;
		x->age = now - s->held_since;
	} else if (h.others == 0)
		x->holds = HOLDS_NOTHING;
}

uint64_t
observe_connection(pid_t pid)
{
	struct holding h;

	return holding_find(pid, 0, &h) == 0 ? h.connection : 0;
}

/* Those of the group's others are not counted. */
void
observe_held(pid_t pid, bool whole, uint64_t keep_idle, uint64_t now,
    struct held_requests *h)
{
	struct holding found;

	(void)keep_idle;
	(void)now;
	/* One, for all we know. */
	*h = (struct held_requests){ .count = 1 };
	if (holding_find(pid, 0, &found) == -1 ||
	    (whole && found.connections == 0 && found.others > 0))
		return;
	h->count = found.connections;
	h->holder = h->count > 0 ? pid : 0;
	h->known = h->count == 0;
}

void
observe_reaped(pid_t pid)
{
	holding_reaped(pid);
}

void
observe_close(void)
{
	holding_close();
	queue_close();
}
