/* SPDX-License-Identifier: ISC */
/* Children that have stopped or ended, and what the pool is told of it. */
#include <sys/wait.h>

#include <signal.h>

#include "base/base.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "run/run.h"

#define REAP_TURN	UINT64_C(2000)	/* usec, then the others */

/* Is no process but one left in the pool? */
static bool
is_last(const struct pool *pool)
{
	return pool_count(pool, SLOT_EMPTY) + 1 >= pool_slots(pool);
}

void
reap_ended(unsigned int slot, int status)
{
	const struct pool *pool = supervise_pool();
	struct pool_event ev = { .what = EV_EXIT, .slot = slot,
	    .status = status, .exec_failed = worker_failure(slot) != NULL };

	traced_clear(slot);
	if (supervise_stops() && is_last(pool))
		orphans_find();	/* they are waited for */
	output_end(slot);
	/* One that starts dies of limits that are too low. */
	if (ev.exec_failed || (WIFSIGNALED(status) &&
	    pool_state(pool, slot) == SLOT_STARTING))
		selfcheck_no_spawn();
	if (pool_wants_queue(pool, slot))
		ev.moved = observe_moved(worker_sight(slot)->mark);
	supervise_event(&ev);
}

static void
take_halted(unsigned int slot, int signo)
{
	struct pool_event ev = { .what = EV_FROZEN, .slot = slot };

	selfcheck_stopped(slot, signo);
	supervise_event(&ev);
}

/*
 * Workers may end as fast as they are started, for as long as their clients
 * like; so this ends after a time, and goes on once the others had theirs.
 */
void
reap_children(void)
{
	uint64_t until = loop_now() + REAP_TURN;
	bool halted, died = false;
	int slot, status;
	pid_t pid;

	while ((pid = worker_reap(&slot, &status, &halted)) > 0) {
		if (slot == -1 && !halted) {
			observe_reaped(pid);
			orphans_reaped(pid);
		} else if (slot != -1 && halted)
			take_halted((unsigned int)slot, status);
		else if (slot != -1)
			reap_ended((unsigned int)slot, status);
		died = died || (slot != -1 && !halted);
		if (loop_now() >= until) {
			loop_again(SIGCHLD);
			break;
		}
	}
	if (died)
		orphans_expect();
}
