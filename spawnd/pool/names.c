/* SPDX-License-Identifier: ISC */
/* What states and events are called, for those who read of them. */
#include "pool/pool.h"

const char *
pool_state_name(enum slot_state state)
{
	static const char *const names[] = {
		[SLOT_EMPTY] = "empty", [SLOT_SPAWNING] = "spawning",
		[SLOT_STARTING] = "starting", [SLOT_READY] = "ready",
		[SLOT_RETIRING] = "retiring", [SLOT_FREEZING] = "freezing",
		[SLOT_DOOR] = "door",
		[SLOT_STOPPING] = "stopping", [SLOT_KILLED] = "killed",
		[SLOT_BACKOFF] = "backoff",
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == SLOT_NSTATES,
	    "each state has a name");
	return names[state];
}

const char *
pool_event_name(enum pool_event_kind event)
{
	static const char *const names[] = {
		[EV_SPAWNED] = "spawned", [EV_NOFORK] = "nofork",
		[EV_UNSPAWNED] = "unspawned",
		[EV_READINESS] = "readiness", [EV_ACTIVITY] = "activity",
		[EV_FROZEN] = "frozen", [EV_EXIT] = "exit",
		[EV_CANARY] = "canary", [EV_MEASURED] = "measured",
		[EV_SLOW_REQUEST] = "slow_request", [EV_HELD] = "held",
		[EV_DOOR] = "door", [EV_TREE] = "tree", [EV_TIMER] = "timer",
		[EV_END] = "end", [EV_NSLOT] = "", [EV_ORPHAN] = "orphan",
		[EV_TARGET] = "target", [EV_QUEUE] = "queue",
		[EV_SHARED] = "shared", [EV_RELOAD] = "reload",
		[EV_ANNOUNCE] = "announce", [EV_RESUME] = "resume",
		[EV_SATURATED] = "saturated", [EV_RELIEVED] = "relieved",
		[EV_STOP] = "stop",
		[EV_STOP_FAST] = "stop_fast",
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == EV_STOP_FAST + 1,
	    "each event has a name");
	return names[event];
}
