/* SPDX-License-Identifier: ISC */
/*
 * The state of a pool in a few bytes a slot: of each field that is not 0 its
 * number and its value, both as varints of 7 bits a byte. Slots come in the
 * order of the lists that they are in, which decides who is chosen first.
 */
#include <stddef.h>
#include <string.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"
#include "pool/snapshot.h"
#include "pool/trace.h"

#define FIELD(type, name, kind) { #name, offsetof(struct type, name), \
    sizeof(((struct type *)0)->name), FIELD_##kind }
#define POINTER(type, name) { #name, offsetof(struct type, name), \
    sizeof(void *), FIELD_SLOT }

const struct snapshot_field snapshot_conf[] = {
	FIELD(pool_conf, workers, NUMBER),
	FIELD(pool_conf, max, NUMBER),
	FIELD(pool_conf, surge, NUMBER),
	FIELD(pool_conf, processes, NUMBER),
	FIELD(pool_conf, stop_signal, NUMBER),
	FIELD(pool_conf, drains, NUMBER),
	FIELD(pool_conf, shared, NUMBER),
	FIELD(pool_conf, door, NUMBER),
	FIELD(pool_conf, set_id, NUMBER),
	FIELD(pool_conf, canary, NUMBER),
	FIELD(pool_conf, max_age, NUMBER),
	FIELD(pool_conf, max_rss, NUMBER),
	FIELD(pool_conf, request_timeout, NUMBER),
	FIELD(pool_conf, start_timeout, NUMBER),
	FIELD(pool_conf, stop_timeout, NUMBER),
	FIELD(pool_conf, seed, NUMBER),
	{ "", 0, 0, FIELD_NUMBER },
};

/* Lists and counts of slots follow from the slots. */
const struct snapshot_field snapshot_pool[] = {
	FIELD(pool, phase, NUMBER),
	FIELD(pool, target, NUMBER),
	FIELD(pool, resize_pending, NUMBER),
	FIELD(pool, nused, NUMBER),
	FIELD(pool, deadline, TIME),
	FIELD(pool, first_ready, TIME),
	FIELD(pool, undecided, NUMBER),
	FIELD(pool, given_up, NUMBER),
	FIELD(pool, nretiring, NUMBER),
	FIELD(pool, norphans, NUMBER),
	FIELD(pool, fast, NUMBER),
	FIELD(pool, tokens, NUMBER),
	FIELD(pool, refilled, TIME),
	FIELD(pool, random, NUMBER),
	FIELD(pool, reload, NUMBER),
	FIELD(pool, unseen, NUMBER),
	FIELD(pool, nsurge, NUMBER),
	FIELD(pool, noutgoing, NUMBER),
	POINTER(pool, canary),
	FIELD(pool, canary_by, TIME),
	FIELD(pool, nexpired, NUMBER),
	FIELD(pool, noversize, NUMBER),
	FIELD(pool, replace_failures, NUMBER),
	FIELD(pool, oversize_streak, NUMBER),
	FIELD(pool, oversize_at, TIME),
	FIELD(pool, replace_after, TIME),
	FIELD(pool, resize_after, TIME),
	FIELD(pool, generation, NUMBER),
	POINTER(pool, frozen),
	POINTER(pool, freeze_next),
	FIELD(pool, announced, NUMBER),
	FIELD(pool, stop_at, TIME),
	FIELD(pool, stop_by, TIME),
	FIELD(pool, drain, NUMBER),
	FIELD(pool, shut_by, TIME),
	FIELD(pool, drain_at, TIME),
	FIELD(pool, drain_pause, NUMBER),
	FIELD(pool, drain_width, NUMBER),
	FIELD(pool, drain_failures, NUMBER),
	FIELD(pool, drain_noted, NUMBER),
	{ "waiting_known", offsetof(struct pool, waiting.known),
	    sizeof(bool), FIELD_NUMBER },
	{ "waiting_open", offsetof(struct pool, waiting.open),
	    sizeof(bool), FIELD_NUMBER },
	{ "waiting_depth", offsetof(struct pool, waiting.depth),
	    sizeof(unsigned int), FIELD_NUMBER },
	{ "nevers", offsetof(struct pool, counts.nevers),
	    sizeof(uint64_t), FIELD_NUMBER },
	{ "overflows", offsetof(struct pool, counts.overflows),
	    sizeof(uint64_t), FIELD_NUMBER },
	{ "", 0, 0, FIELD_NUMBER },
};

const struct snapshot_field snapshot_slot[] = {
	FIELD(slot, state, STATE),
	FIELD(slot, replace, NUMBER),
	FIELD(slot, pid, NUMBER),
	FIELD(slot, generation, NUMBER),
	FIELD(slot, ready_generation, NUMBER),
	FIELD(slot, failures, NUMBER),
	FIELD(slot, exit0_streak, NUMBER),
	FIELD(slot, tries, NUMBER),
	FIELD(slot, spawned, TIME),
	FIELD(slot, deadline, TIME),
	FIELD(slot, ready_by, TIME),
	FIELD(slot, pause, NUMBER),
	FIELD(slot, ready, TIME),
	FIELD(slot, expires, TIME),
	FIELD(slot, measure_at, TIME),
	FIELD(slot, request_at, TIME),
	FIELD(slot, canary_at, TIME),
	FIELD(slot, slow_pid, NUMBER),
	FIELD(slot, request_timed_out, NUMBER),
	FIELD(slot, expired, NUMBER),
	FIELD(slot, orphan, NUMBER),
	FIELD(slot, drain_helper, NUMBER),
	FIELD(slot, canary, NUMBER),
	FIELD(slot, start_decided, NUMBER),
	FIELD(slot, retiring_for_good, NUMBER),
	FIELD(slot, start_timed_out, NUMBER),
	FIELD(slot, elsewhere, NUMBER),
	FIELD(slot, elsewhere_yet, NUMBER),
	FIELD(slot, seen, NUMBER),
	FIELD(slot, term_sent, NUMBER),
	FIELD(slot, kill, NUMBER),
	FIELD(slot, busy, NUMBER),
	FIELD(slot, freeze_queued, NUMBER),
	FIELD(slot, threads, NUMBER),
	FIELD(slot, idle_looks, NUMBER),
	FIELD(slot, connection, NUMBER),
	FIELD(slot, age, NUMBER),
	FIELD(slot, begun, TIME),
	FIELD(slot, several, NUMBER),
	FIELD(slot, stops, NUMBER),
	FIELD(slot, rested, TIME),
	FIELD(slot, owed, NUMBER),
	FIELD(slot, owed_since, TIME),
	FIELD(slot, unknown, TIME),
	FIELD(slot, retiring, TIME),
	FIELD(slot, end_by, TIME),
	FIELD(slot, thaw_by, TIME),
	FIELD(slot, no_door, NUMBER),
	FIELD(slot, closed, TIME),
	FIELD(slot, term_sent_at, TIME),
	FIELD(slot, is_closed, NUMBER),
	FIELD(slot, paused, NUMBER),
	FIELD(slot, closing, NUMBER),
	FIELD(slot, pausing, TIME),
	FIELD(slot, quiet, NUMBER),
	FIELD(slot, quiet_since, TIME),
	{ "", 0, 0, FIELD_NUMBER },
};

_Static_assert(sizeof(snapshot_conf) / sizeof(snapshot_conf[0]) <
    TRACE_VALUES && sizeof(snapshot_pool) / sizeof(snapshot_pool[0]) <
    TRACE_VALUES && sizeof(snapshot_slot) / sizeof(snapshot_slot[0]) <
    TRACE_VALUES, "an item has room for all of them");

void
snapshot_number(struct trace_item *item, const char *key, uint64_t number)
{
	item->values[item->n++] = (struct trace_value){ key, NULL, number };
}

void
snapshot_word(struct trace_item *item, const char *key, const char *word)
{
	item->values[item->n++] = (struct trace_value){ key, word, 0 };
}

uint64_t
snapshot_get(const struct pool *p, const struct snapshot_field *f,
    const void *from)
{
	const char *at = (const char *)from + f->offset;
	const struct slot *s;
	uint8_t byte;
	uint32_t word;
	uint64_t value;

	if (f->type == FIELD_SLOT) {
		memcpy(&s, at, f->size);
		return s == NULL ? 0 : (uint64_t)(s - p->slots) + 1;
	}
	if (f->size == sizeof(byte)) {
		memcpy(&byte, at, sizeof(byte));
		return byte;
	}
	if (f->size == sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		return word;
	}
	memcpy(&value, at, sizeof(value));
	return value;
}

void
snapshot_add(const struct snapshot_field *f, uint64_t value,
    struct trace_item *item)
{
	if (value == 0)
		return;
	if (f->type == FIELD_STATE)
		snapshot_word(item, f->name,
		    pool_state_name((enum slot_state)value));
	else if (f->type == FIELD_TIME && value == NEVER)
		snapshot_word(item, f->name, "never");
	else
		snapshot_number(item, f->name, f->type == FIELD_SLOT ?
		    value - 1 : value);
}

/* Returns false when there is no room. */
static bool
put(struct trace_snapshot *s, uint64_t value)
{
	do {
		if (s->len == sizeof(s->data))
			return false;
		s->data[s->len++] = (unsigned char)((value & 0x7f) |
		    (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value != 0);
	return true;
}

static uint64_t
take(const struct trace_snapshot *s, unsigned int *pos)
{
	uint64_t value = 0;
	unsigned int shift = 0;
	unsigned char byte;

	do {
		byte = s->data[(*pos)++];
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return value;
}

/* A time is near the snapshot's, or NEVER: that is 0, and the rest above. */
static uint64_t
fold(uint64_t time, uint64_t now)
{
	if (time == NEVER)
		return 0;
	return 1 + (time >= now ? (time - now) << 1 : (now - time) << 1 | 1);
}

static uint64_t
unfold(uint64_t value, uint64_t now)
{
	if (value-- == 0)
		return NEVER;
	return value & 1 ? now - (value >> 1) : now + (value >> 1);
}

static bool
put_fields(const struct pool *p, const struct snapshot_field *fields,
    const void *from, struct trace_snapshot *s)
{
	const struct snapshot_field *f;
	uint64_t value;

	for (f = fields; f->name[0] != '\0'; f++) {
		if ((value = snapshot_get(p, f, from)) == 0)
			continue;
		if (f->type == FIELD_TIME)
			value = fold(value, s->time);
		if (!put(s, (uint64_t)(f - fields) + 1) || !put(s, value))
			return false;
	}
	return put(s, 0);
}

static bool
put_slots(const struct pool *p, struct trace_snapshot *s)
{
	const struct slot *slot;
	unsigned int i;

	for (i = 0; i < SLOT_NSTATES; i++) {
		TAILQ_FOREACH(slot, &p->lists[i], by_state) {
			if (!put(s, (uint64_t)(slot - p->slots) + 1) ||
			    !put_fields(p, snapshot_slot, slot, s))
				return false;
		}
	}
	return put(s, 0);
}

void
snapshot_take(const struct pool *p, struct trace_snapshot *s, uint64_t at,
    uint64_t now)
{
	s->at = at;
	s->time = now;
	s->len = 0;
	/* It costs a large pool nothing: a slot has more bytes than that. */
	if (p->nused > sizeof(s->data) / 16)
		return;
	if (!put_fields(p, snapshot_pool, p, s) || !put_slots(p, s))
		s->len = 0;
}

bool
snapshot_next(const struct trace_snapshot *s, struct trace_cursor *c,
    struct trace_item *item)
{
	const struct snapshot_field *fields = snapshot_slot, *f;
	uint64_t number, value;

	*item = (struct trace_item){ .kind = "slot" };
	if (c->pos == 0) {
		item->kind = "pool";
		fields = snapshot_pool;
	} else {
		if ((number = take(s, &c->pos)) == 0)
			return false;
		snapshot_number(item, "slot", number - 1);
	}
	while ((number = take(s, &c->pos)) != 0) {
		f = &fields[number - 1];
		value = take(s, &c->pos);
		if (f->type == FIELD_TIME)
			value = unfold(value, s->time);
		snapshot_add(f, value, item);
	}
	return true;
}
