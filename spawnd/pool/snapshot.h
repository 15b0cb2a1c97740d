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
	char		 name[20];	/* "": of none */
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
/* Add a value to an item; key and word are constants. */
void	 snapshot_number(struct trace_item *item, const char *key,
	    uint64_t number);
void	 snapshot_word(struct trace_item *item, const char *key,
	    const char *word);
/*
 * Returns a field of the object at `from`. A pointer to a slot becomes the
 * slot's number plus 1, or 0 if it is NULL.
 */
uint64_t snapshot_get(const struct pool *p, const struct snapshot_field *f,
	    const void *from);
/* Adds a field with the value of snapshot_get(), unless that is 0. */
void	 snapshot_add(const struct snapshot_field *f, uint64_t value,
	    struct trace_item *item);
/* Fills *s with the pool before entry `at`; no action may wait. */
void	 snapshot_take(const struct pool *p, struct trace_snapshot *s,
	    uint64_t at, uint64_t now);
/* Writes its next item, and moves *c. Returns false at the end. */
bool	 snapshot_next(const struct trace_snapshot *s, struct trace_cursor *c,
	    struct trace_item *item);

#endif
