/* SPDX-License-Identifier: ISC */
/*
 * What snapshot.c, trace.c and the replay of the simulation share: the fields
 * that make up the state of a pool, by name.
 */
#ifndef POOL_SNAPSHOT_H
#define POOL_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "pool/slot.h"
#include "pool/trace.h"

enum field_type { FIELD_NUMBER, FIELD_TIME, FIELD_STATE, FIELD_SLOT };

struct snapshot_field {
	const char	*name;
	size_t		 offset;
	size_t		 size;		/* 1, 4 or 8 bytes */
	enum field_type	 type;
};

/* Each ends with a name that is NULL. */
extern const struct snapshot_field snapshot_conf[];	/* pool_conf */
extern const struct snapshot_field snapshot_pool[];	/* pool */
extern const struct snapshot_field snapshot_slot[];	/* slot */

/* trace.c */
/* The name of an event, TRACE_TICK being a tick. */
#define TRACE_TICK	(EV_STOP_FAST + 1)
const char *trace_event_name(unsigned int what);

/* snapshot.c */
/* Adds a value to an item. */
void	 snapshot_number(struct trace_item *item, const char *key,
	    uint64_t number);
void	 snapshot_word(struct trace_item *item, const char *key,
	    const char *word);
/* A field of the object at `from`; a slot is its number and 1, 0: none. */
uint64_t snapshot_get(const struct pool *p, const struct snapshot_field *f,
	    const void *from);
/* Adds a field, unless it is 0, to an item. */
void	 snapshot_add(const struct snapshot_field *f, uint64_t value,
	    struct trace_item *item);
/* Takes one; no action waits. */
void	 snapshot_take(const struct pool *p, struct trace_snapshot *s,
	    uint64_t at, uint64_t now);
/* Its next item. Returns false at the end. */
bool	 snapshot_next(const struct trace_snapshot *s, struct trace_cursor *c,
	    struct trace_item *item);

#endif
