/* SPDX-License-Identifier: ISC */
/*
 * The edges of the pool's table as they are met in the simulation, for
 * Graphviz (make graph). The linker puts __wrap_table_event() in the place of
 * table_event() (--wrap), so that each event of a slot passes here.
 */
#ifndef GRAPH_H
#define GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pool/pool.h"
#include "pool/slot.h"

#define GRAPH_SLOTS	256
#define GRAPH_POOL	EV_NSLOT	/* no event: the pool's decision */

static struct graph {
	const struct pool *pool;	/* not one that replays it */
	bool		 met[SLOT_NSTATES][EV_NSLOT + 1][SLOT_NSTATES];
	enum slot_state	 was[GRAPH_SLOTS];	/* when last seen */
	enum pool_event_kind event[GRAPH_SLOTS]; /* it is at, or GRAPH_POOL */
	uint64_t	 events;
} graph;

/* NOLINTBEGIN(*-identifier,cert-dcl*): the linker wants these names */
void	 __real_table_event(struct pool *p, struct slot *s,
	    const struct pool_event *ev, uint64_t now);
void	 __wrap_table_event(struct pool *p, struct slot *s,
	    const struct pool_event *ev, uint64_t now);
/* NOLINTEND(*-identifier,cert-dcl*) */

static inline void
graph_moved(size_t slot, enum slot_state to)
{
	graph.met[graph.was[slot]][graph.event[slot]][to] = true;
	graph.was[slot] = to;
}

/* A handler may tell its slot of another event, as "end". */
void
__wrap_table_event(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	size_t slot = (size_t)(s - p->slots);
	enum pool_event_kind outer = graph.event[slot];
	uint64_t before = ++graph.events;

	if (p != graph.pool) {
		__real_table_event(p, s, ev, now);
		return;
	}
	if (graph.was[slot] != s->state)
		graph_moved(slot, s->state);
	graph.event[slot] = ev->what;
	__real_table_event(p, s, ev, now);
	if (graph.was[slot] != s->state || graph.events == before)
		graph_moved(slot, s->state);
	graph.event[slot] = outer;
}

/* A new pool: all its slots are empty. */
static inline void
graph_begin(const struct pool *p)
{
	size_t i;

	graph.pool = p;
	for (i = 0; i < GRAPH_SLOTS; i++) {
		graph.was[i] = SLOT_EMPTY;
		graph.event[i] = GRAPH_POOL;
	}
}

static inline void
graph_cell(enum slot_state from, enum pool_event_kind event)
{
	bool met = false;
	unsigned int to;

	for (to = 0; to < SLOT_NSTATES; to++) {
		if (!graph.met[from][event][to])
			continue;
		met = true;
		printf("\t%s -> %s [", pool_state_name(from),
		    pool_state_name((enum slot_state)to));
		if (event == GRAPH_POOL)
			printf("style=dashed];\n");
		else
			printf("label=\"%s\"];\n", pool_event_name(event));
	}
	if (!met && event != GRAPH_POOL)
		printf("\t/* not met: %s, %s */\n", pool_state_name(from),
		    pool_event_name(event));
}

/* Dashed: what the pool decides. Nothing of what is ignored or cannot be. */
static inline void
graph_print(void)
{
	unsigned int s, e;

	printf("digraph slot {\n");
	for (s = 0; s < SLOT_NSTATES; s++) {
		for (e = 0; e <= GRAPH_POOL; e++) {
			if (e == GRAPH_POOL || table_acts((enum slot_state)s,
			    (enum pool_event_kind)e))
				graph_cell((enum slot_state)s,
				    (enum pool_event_kind)e);
		}
	}
	printf("}\n");
}

#endif
