/* SPDX-License-Identifier: ISC */
/* What there is to tell of the guarantees: one table for all who do. */
#include "observe/observe.h"

#define AT(member)	offsetof(struct guarantees, member)

static const struct guarantee table[] = {
	{ AT(no_new_privs), "no_new_privs", "no new privileges" },
	{ AT(bounding_empty), "bounding_empty", "empty bounding set" },
	{ AT(proc), "proc", "processes can be looked at" },
	{ AT(proc_detached), "proc_detached", NULL },
	{ AT(queue), "queue", "listen queue can be seen" },
	{ AT(ends), "traced_ends", "ends of traced workers are seen" },
	{ AT(door), "door", "busy workers are kept from new connections" },
	{ AT(confine_signals), "confine_signals",
	    "workers cannot signal or trace others" },
	{ AT(confine_limits), "confine_limits",
	    "workers cannot limit or slow others" },
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
