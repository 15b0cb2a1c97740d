/* SPDX-License-Identifier: ISC */
/* Children that have stopped or ended, and what follows for the pool. */
#include <sys/wait.h>

#include <signal.h>

#include "base/base.h"
#include "base/loop.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "run/supervise.h"

#define REAP_TURN	UINT64_C(500)	/* usec, then other events */

/* Is only one process left in the pool? */
static bool
is_last(const struct pool *pool)
{
	return pool_count(pool, SLOT_EMPTY) + 1 >= pool_slots(pool);
}

/* What a worker was that has ended before it was ready, with 0. */
static enum start_cause
find_cause(unsigned int slot)
{
	if (output_is_cgi(slot))
		return CAUSE_CGI;
	return orphans_are_new(worker_since(slot)) ? CAUSE_LEFT : CAUSE_UNKNOWN;
}

void
reap_ended(unsigned int slot, int status)
{
	const struct pool *pool = actor_pool();
	struct pool_event ev = { .what = EV_EXIT, .slot = slot,
	    .status = status, .exec_failed = worker_failure(slot) != NULL,
	    .cancelled = worker_is_cancelled(slot) };

	suspects_remove(slot);
	/* The stop waits for them; a start asks whether they poll. */
	if ((actor_stops() && is_last(pool)) || actor_polls(slot))
		orphans_find();
	actor_ended(slot);
	output_end(slot);
	if (pool_wants_queue(pool, slot))
		ev.moved = observe_moved(worker_probe_state(slot)->mark);
	if (status == 0 && pool_wants_cause(pool, slot))
		ev.cause = find_cause(slot);
	actor_event(&ev);
}

static void
reap_stopped(unsigned int slot, int signo)
{
	struct pool_event ev = { .what = EV_FROZEN, .slot = slot };

	selfcheck_stopped(slot, signo);
	actor_event(&ev);
}

/* A task of a worker has come to its closed door: it may be idle now. */
static void
reap_door(void)
{
	struct pool_event ev = { .what = EV_DOOR };
	pid_t pid = door_came();
	int slot = pid != 0 ? worker_slot(pid) : -1;

	if (slot == -1)
		return;
	ev.slot = (unsigned int)slot;
	ev.door = door_check(pid);
	actor_event(&ev);
}

/*
 * Workers may end as fast as they are started, for as long as their clients
 * want; so this returns after a time, and continues after other events.
 */
void
reap_children(void)
{
	uint64_t until = loop_now() + REAP_TURN;
	bool stopped, died = false;
	int slot, status;
	pid_t pid;

	suspects_hold(false);
	while ((pid = worker_reap(&slot, &status, &stopped)) > 0) {
		if (door_take(pid, stopped, &status))
			reap_door();
		else if (slot == -1 && !stopped) {
			observe_reaped(pid);
			orphans_reaped(pid);
		} else if (slot != -1 && stopped)
			reap_stopped((unsigned int)slot, status);
		else if (slot != -1)
			reap_ended((unsigned int)slot, status);
		died = died || (slot != -1 && !stopped);
		if (loop_now() >= until) {
			suspects_hold(true);
			loop_again(SIGCHLD);
			break;
		}
	}
	if (died)
		orphans_expect();
}
