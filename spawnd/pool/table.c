/* SPDX-License-Identifier: ISC */
/*
 * Everything that a slot can go through: one table, [state][event]. A handler
 * changes the slot, sets its deadline and queues what the caller has to do.
 */
#include <stddef.h>

#include "pool/pool.h"
#include "pool/slot.h"

/* Nothing follows from that event in that state. */
static void
table_ignore(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)p;
	(void)s;
	(void)ev;
	(void)now;
}

void
table_never(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	struct pool_notice *n;

	(void)now;
	if (p->counts.nevers++ > 0)
		return;
	n = slot_notice(p, NOTICE_NEVER, s);
	n->event = ev->what;
	if (s != NULL)
		n->state = s->state;
	else
		n->slot = ev->slot;
}

/*
 * An answer may come when the slot has moved on, and a process can be stopped
 * by anybody: where there is a process that is ignored. Never is an event of
 * a process where there is none, the answer to what is not asked in a state
 * nor in one before it, and a deadline where there is none.
 *
 * The state of a slot is changed without an event of its own only where the
 * pool as a whole decides, by slot_enter() in these:
 *
 *	slot_spawn	an empty slot is to have a worker, or a reload ends
 *			the pause after a failure
 *	slot_orphan	an empty slot takes a process in
 *	retire_undo	a retiring worker is wanted again
 *	drain_queue	the answer about the queue decides over the last
 *			worker of a stop, which is frozen until then
 */
static slot_handler *const table[SLOT_NSTATES][EV_NSLOT] = {
	[SLOT_EMPTY] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = table_never,
		[EV_ACTIVITY] = table_never,
		[EV_FROZEN] = table_never,
		[EV_EXIT] = table_never,
		[EV_CANARY] = table_never,
		[EV_MEASURED] = table_never,
		[EV_SLOW_REQUEST] = table_never,
		[EV_HELD] = table_never,
		[EV_DOOR] = table_never,
		[EV_TREE] = table_never,
		[EV_TIMER] = table_never,
		[EV_END] = table_ignore,
	},
	[SLOT_SPAWNING] = {
		[EV_SPAWNED] = start_spawned,
		[EV_NOFORK] = start_nofork,
		[EV_UNSPAWNED] = start_unspawned,
		[EV_READINESS] = table_never,
		[EV_ACTIVITY] = table_never,
		[EV_FROZEN] = table_never,
		[EV_EXIT] = table_never,
		[EV_CANARY] = table_never,
		[EV_MEASURED] = table_never,
		[EV_SLOW_REQUEST] = table_never,
		[EV_HELD] = table_never,
		[EV_DOOR] = table_never,
		[EV_TREE] = table_never,
		[EV_TIMER] = table_never,
		[EV_END] = retire_leave,
	},
	[SLOT_STARTING] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = start_readiness,
		[EV_ACTIVITY] = table_never,
		[EV_FROZEN] = table_ignore,
		[EV_EXIT] = start_exit,
		[EV_CANARY] = table_never,
		[EV_MEASURED] = table_never,
		[EV_SLOW_REQUEST] = table_never,
		[EV_HELD] = table_never,
		[EV_DOOR] = table_never,
		[EV_TREE] = table_never,
		[EV_TIMER] = start_timer,
		[EV_END] = retire_end,
	},
	[SLOT_READY] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = table_ignore,
		[EV_ACTIVITY] = table_ignore,
		[EV_FROZEN] = table_ignore,
		[EV_EXIT] = slot_ready_exit,
		[EV_CANARY] = replace_canary,
		[EV_MEASURED] = replace_measured,
		[EV_SLOW_REQUEST] = replace_slow_request,
		[EV_HELD] = table_never,
		[EV_DOOR] = table_ignore,
		[EV_TREE] = table_ignore,
		[EV_TIMER] = replace_timer,
		[EV_END] = retire_end,
	},
	[SLOT_RETIRING] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = table_ignore,
		[EV_ACTIVITY] = retire_activity,
		[EV_FROZEN] = table_ignore,
		[EV_EXIT] = retire_gone,
		[EV_CANARY] = table_ignore,
		[EV_MEASURED] = table_ignore,
		[EV_SLOW_REQUEST] = replace_slow_request,
		[EV_HELD] = table_ignore,
		[EV_DOOR] = table_ignore,
		[EV_TREE] = table_ignore,
		[EV_TIMER] = retire_timer,
		[EV_END] = retire_end_again,
	},
	[SLOT_FREEZING] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = table_ignore,
		[EV_ACTIVITY] = retire_freeze_activity,
		[EV_FROZEN] = retire_frozen,
		[EV_EXIT] = retire_gone,
		[EV_CANARY] = table_ignore,
		[EV_MEASURED] = table_ignore,
		[EV_SLOW_REQUEST] = table_ignore,
		[EV_HELD] = table_ignore,
		[EV_DOOR] = table_ignore,
		[EV_TREE] = table_ignore,
		[EV_TIMER] = retire_freeze_timer,
		[EV_END] = retire_end_again,
	},
	[SLOT_DOOR] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = table_ignore,
		[EV_ACTIVITY] = table_ignore,
		[EV_FROZEN] = table_ignore,
		[EV_EXIT] = retire_gone,
		[EV_CANARY] = table_ignore,
		[EV_MEASURED] = table_ignore,
		[EV_SLOW_REQUEST] = replace_slow_request,
		[EV_HELD] = table_ignore,
		[EV_DOOR] = door_answered,
		[EV_TREE] = door_tree,
		[EV_TIMER] = door_timer,
		[EV_END] = door_end,
	},
	[SLOT_STOPPING] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = table_ignore,
		[EV_ACTIVITY] = table_ignore,
		[EV_FROZEN] = table_ignore,
		[EV_EXIT] = retire_gone,
		[EV_CANARY] = table_ignore,
		[EV_MEASURED] = table_ignore,
		[EV_SLOW_REQUEST] = table_ignore,
		[EV_HELD] = retire_stopped_held,
		[EV_DOOR] = table_ignore,
		[EV_TREE] = table_ignore,
		[EV_TIMER] = retire_stop_timer,
		[EV_END] = retire_end_again,
	},
	[SLOT_KILLED] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = table_ignore,
		[EV_ACTIVITY] = table_ignore,
		[EV_FROZEN] = table_ignore,
		[EV_EXIT] = retire_gone,
		[EV_CANARY] = table_ignore,
		[EV_MEASURED] = table_ignore,
		[EV_SLOW_REQUEST] = table_ignore,
		[EV_HELD] = retire_killed_held,
		[EV_DOOR] = table_ignore,
		[EV_TREE] = table_ignore,
		[EV_TIMER] = table_never,
		[EV_END] = retire_leave,
	},
	[SLOT_BACKOFF] = {
		[EV_SPAWNED] = table_never,
		[EV_NOFORK] = table_never,
		[EV_UNSPAWNED] = table_never,
		[EV_READINESS] = table_never,
		[EV_ACTIVITY] = table_never,
		[EV_FROZEN] = table_never,
		[EV_EXIT] = table_never,
		[EV_CANARY] = table_never,
		[EV_MEASURED] = table_never,
		[EV_SLOW_REQUEST] = table_never,
		[EV_HELD] = table_never,
		[EV_DOOR] = table_never,
		[EV_TREE] = table_never,
		[EV_TIMER] = start_backoff_timer,
		[EV_END] = start_backoff_end,
	},
};

void
table_event(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (ev->what < EV_NSLOT)
		table[s->state][ev->what](p, s, ev, now);
	else
		table_never(p, s, ev, now);
}

bool
table_acts(enum slot_state state, enum pool_event_kind event)
{
	slot_handler *h = table[state][event];

	return h != table_ignore && h != table_never;
}

bool
table_ignores(enum slot_state state, enum pool_event_kind event)
{
	return table[state][event] == table_ignore;
}
