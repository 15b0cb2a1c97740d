/* SPDX-License-Identifier: ISC */
/*
 * The last minutes as points of change, a second each, with the most that was
 * seen in it. A pool in which nothing happens adds none and needs no timer.
 */
#include <stdlib.h>

#include "base/units.h"
#include "observe/observe.h"
#include "run/history.h"

#define GROW		16

static struct history_point *points;	/* a ring, grown as it is needed */
static unsigned int room;
static unsigned int first, count;
static int peak_busy = -1, peak_queue = -1;

static struct history_point *
point(unsigned int i)
{
	return &points[(first + i) % room];
}

/* Makes room for one more, by memory or by dropping the oldest. */
static bool
make_point(uint32_t second)
{
	struct history_point *more;
	unsigned int i;

	/* The last point that is too old still tells what came after it. */
	while (count > 1 && point(1)->second + HISTORY_SPAN <= second) {
		first = (first + 1) % room;
		count--;
	}
	if (count < room)
		return true;
	more = calloc(room + GROW, sizeof(*more));
	if (more == NULL)
		return false;
	for (i = 0; i < count; i++)
		more[i] = *point(i);
	free(points);
	points = more;
	room += GROW;
	first = 0;
	return true;
}

static uint16_t
pack(unsigned int n)
{
	if (n == LOAD_UNKNOWN)
		return HISTORY_UNKNOWN;
	return n >= HISTORY_UNKNOWN ? HISTORY_UNKNOWN - 1 : (uint16_t)n;
}

static void
raise_peak(int *peak, unsigned int n)
{
	if (n != LOAD_UNKNOWN && (int)n > *peak)
		*peak = (int)n;
}

/* The larger one; HISTORY_UNKNOWN loses against any number. */
static uint16_t
peak_of(uint16_t a, uint16_t b)
{
	return a == HISTORY_UNKNOWN || (b != HISTORY_UNKNOWN && b > a) ? b : a;
}

/* Does the new point say no more than the last one does? */
static bool
is_same(const struct history_point *last, const struct history_point *new)
{
	return last->busy == new->busy && last->queue == new->queue &&
	    last->workers == new->workers && last->peak_busy == last->busy &&
	    last->peak_queue == last->queue;
}

void
history_note(uint64_t now, const struct load *l, unsigned int workers)
{
	struct history_point *last = count > 0 ? point(count - 1) : NULL, p = {
		.second = (uint32_t)(now / USEC), .busy = pack(l->busy),
		.queue = pack(l->depth), .workers = pack(workers) };

	raise_peak(&peak_busy, l->busy);
	raise_peak(&peak_queue, l->depth);
	p.peak_busy = p.busy;
	p.peak_queue = p.queue;
	if (last != NULL && last->second == p.second) {
		p.peak_busy = peak_of(last->peak_busy, p.busy);
		p.peak_queue = peak_of(last->peak_queue, p.queue);
		*last = p;
		return;
	}
	if ((last != NULL && is_same(last, &p)) || !make_point(p.second))
		return;
	count++;
	*point(count - 1) = p;
}

static unsigned int
unpack(uint16_t n)
{
	return n == HISTORY_UNKNOWN ? LOAD_UNKNOWN : n;
}

void
history_workers(uint64_t now, unsigned int workers)
{
	const struct history_point *last = count > 0 ? point(count - 1) : NULL;
	struct load l = { 0 };

	if (last == NULL || last->workers == pack(workers))
		return;
	l.busy = unpack(last->busy);
	l.depth = unpack(last->queue);
	history_note(now, &l, workers);
}

int
history_peak_busy(void)
{
	return peak_busy;
}

int
history_peak_queue(void)
{
	return peak_queue;
}

const struct history_point *
history_at(unsigned int i)
{
	return i < count ? point(i) : NULL;
}
