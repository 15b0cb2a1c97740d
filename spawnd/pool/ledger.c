/* SPDX-License-Identifier: ISC */
/*
 * The ledger of a pool's load.
 *
 * A connection counts once, by the first look that sees it, among as many as
 * there are then. However the looks are spread, and however long a connection
 * takes, it is one among those that it meets: the share of them that met c
 * others is that which would have waited for one of c workers.
 *
 * The time goes by looks: what one sees was so since the one before. One that
 * was made because connections came sees too many for that by these.
 */
#include <string.h>

#include "pool/ledger.h"

unsigned int
ledger_bin(uint32_t count)
{
	unsigned int octave = 0;

	if (count < LEDGER_EXACT)
		return count;
	while (octave < 9 && count >> octave >= 2 * LEDGER_EXACT)
		octave++;
	count = count >> (octave + 1);
	if (count >= 2 * LEDGER_STEPS)
		count = 2 * LEDGER_STEPS - 1;
	return LEDGER_EXACT + octave * LEDGER_STEPS + count - LEDGER_STEPS;
}

uint32_t
ledger_count(unsigned int bin)
{
	unsigned int octave, step;

	if (bin < LEDGER_EXACT)
		return bin;
	octave = (bin - LEDGER_EXACT) / LEDGER_STEPS;
	step = (bin - LEDGER_EXACT) % LEDGER_STEPS;
	return ((LEDGER_STEPS + step + 1) << (octave + 1)) - 1;
}

/* All that it knows counts half from now on. */
static void
halve(struct ledger *l)
{
	unsigned int i;

	l->span /= 2;
	l->busy_time /= 2;
	l->queue_time /= 2;
	l->came /= 2;
	l->full /= 2;
	l->over /= 2;
	for (i = 0; i < LEDGER_WAITS; i++)
		l->waits[i] /= 2;
	for (i = 0; i < LEDGER_BINS; i++) {
		l->time[i] /= 2;
		l->met[i] /= 2;
	}
}

static void
note_queue(struct ledger *l, const struct ledger_look *v)
{
	unsigned int i;

	if (l->seen != 0)
		l->queue_time += (v->now - l->seen) * l->queue;
	for (i = 0; v->left != NULL && i < LEDGER_WAITS; i++)
		l->waits[i] += v->left[i];
	l->seen = v->now;
	l->queue = v->queue;
}

/* Since the last look that counted them `busy` were served. */
static void
note_time(struct ledger *l, const struct ledger_look *v)
{
	uint32_t busy = v->busy > v->cause ? v->busy - v->cause : 0;
	uint64_t usec = v->now - l->counted;

	l->span += usec;
	l->busy_time += usec * busy;
	l->time[ledger_bin(busy)] += usec;
}

/* New are those that were accepted since, but for those that waited then. */
static void
note_newcomers(struct ledger *l, const struct ledger_look *v)
{
	uint64_t came = (uint64_t)v->fresh + v->queue;
	uint32_t among = v->busy + v->queue;

	came = came > l->queued ? came - l->queued : 0;
	l->came += came;
	l->met[ledger_bin(among)] += came;
	if (v->busy > v->places)
		l->over += came;
	/* That short waits are seldom seen makes no difference to this. */
	if (among > v->places && v->queue > 0)
		l->full += came;
}

void
ledger_look(struct ledger *l, const struct ledger_look *v)
{
	if (v->queue == SCALE_UNKNOWN)
		return;
	note_queue(l, v);
	if (v->busy == SCALE_UNKNOWN || v->fresh == SCALE_UNKNOWN)
		return;
	if (l->counted != 0) {
		note_time(l, v);
		note_newcomers(l, v);
	}
	if (v->busy + v->queue > l->most)
		l->most = v->busy + v->queue;
	l->counted = v->now;
	l->queued = v->queue;
	if (l->span >= LEDGER_SPAN)
		halve(l);
}

void
ledger_resized(struct ledger *l)
{
	struct ledger fresh = { .seen = l->seen, .queue = l->queue,
	    .counted = l->counted, .queued = l->queued };

	if (l->full > l->came / LEDGER_SMALL)
		*l = fresh;
}
