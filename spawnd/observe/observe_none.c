/* SPDX-License-Identifier: ISC */
/* Systems where neither the listen queue nor what workers hold is seen. */
#include "observe/end.h"
#include "observe/observe.h"
#include "pool/seen.h"

void
observe_init(struct guarantees *g)
{
	g->proc = false;
	g->proc_foreign = false;
	g->proc_detached = false;
	g->queue = false;
	g->no_queue = "not on this system";
	g->ends = end_init() == 0;
	g->no_ends = "not on this system";
	g->no_door = door_refused();
}

const char *
observe_untried(void)
{
	return NULL;
}

void
observe_activity(pid_t pid, int signo, uint64_t keep_idle, uint64_t now,
    struct probe_state *s, struct activity *x)
{
	(void)pid;
	(void)signo;
	(void)keep_idle;
	(void)now;
	(void)s;
	/* Nor is it known whether the worker catches the signal: send it. */
	*x = (struct activity){ .holds = HOLDS_UNKNOWN, .unseen = true,
	    .catches = true };
}

uint64_t
observe_connection(pid_t pid)
{
	(void)pid;
	return 0;
}

void
observe_held(pid_t pid, bool whole, uint64_t keep_idle, uint64_t now,
    struct held_requests *h)
{
	(void)pid;
	(void)whole;
	(void)keep_idle;
	(void)now;
	/* One, for all we know. */
	*h = (struct held_requests){ .count = 1 };
}

void
observe_waiting(bool half_open, struct queue *q)
{
	(void)half_open;
	*q = (struct queue){ .known = false };
}

void
observe_load(bool busy, struct load *l)
{
	(void)busy;
	*l = (struct load)LOAD_UNSEEN;
}

void
observe_reaped(pid_t pid)
{
	(void)pid;
}

void
observe_close(void)
{
}

uint64_t
observe_mark(void)
{
	return 0;
}

enum moved
observe_moved(uint64_t mark)
{
	(void)mark;
	return MOVED_UNKNOWN;
}

int
observe_queue(unsigned int *depth, unsigned int *limit)
{
	(void)depth;
	(void)limit;
	return -1;
}
