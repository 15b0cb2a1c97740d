/* SPDX-License-Identifier: ISC */
/* What is reported of the guarantees: one table for all who do. */
#include "observe/observe.h"

#define AT(member)	offsetof(struct guarantees, member)

static const struct guarantee table[] = {
	{ AT(no_new_privs), "no_new_privs", "no new privileges", 0 },
	{ AT(bounding_empty), "bounding_empty", "empty bounding set", 0 },
	{ AT(proc), "proc", "processes can be looked at", 0 },
	{ AT(proc_detached), "proc_detached", NULL, 0 },
	{ AT(queue), "queue", "listen queue can be seen", AT(no_queue) },
	{ AT(ends), "traced_ends", "ends of traced workers are seen",
	    AT(no_ends) },
	{ AT(door), "door", "busy workers are kept from new connections",
	    AT(no_door) },
	{ AT(confine_signals), "confine_signals",
	    "workers cannot signal or trace others", AT(no_confine_signals) },
	{ AT(confine_limits), "confine_limits",
	    "workers cannot limit or slow others", AT(no_confine_limits) },
};

_Static_assert(sizeof(table) / sizeof(table[0]) == GUARANTEES,
    "the table has them all");

const struct guarantee *
guarantee_at(size_t i)
{
	return &table[i];
}

bool
guarantee_holds(const struct guarantees *g, size_t i)
{
	return *(const bool *)((const char *)g + table[i].at);
}

void
guarantee_set(struct guarantees *g, size_t i, bool holds)
{
	*(bool *)((char *)g + table[i].at) = holds;
}

const char *
guarantee_why(const struct guarantees *g, size_t i)
{
	return table[i].why == 0 || guarantee_holds(g, i) ? NULL :
	    *(const char *const *)((const char *)g + table[i].why);
}

void
guarantee_set_why(struct guarantees *g, size_t i, const char *why)
{
	if (table[i].why != 0)
		*(const char **)((char *)g + table[i].why) = why;
}
