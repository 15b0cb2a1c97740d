/* SPDX-License-Identifier: ISC */
/*
 * How many workers an adaptive pool should have.
 *
 * More: when connections have waited for some milliseconds, as many as wait,
 * at most doubling from one step to the next. Not for a queue that will be
 * gone by the time a new worker could help.
 *
 * Fewer: when the highest demand of the last idle timeout was below what is
 * there. If the workers that had to go are missed soon after, the next ones
 * stay longer (`hold`); otherwise a load that goes up and down a little would
 * start and end workers for ever. A pool that had nothing to do at all does
 * not wait for that: then all surplus goes.
 */
#include <string.h>

#include "base/units.h"
#include "pool/scale.h"

static uint64_t
at_least(uint64_t least, uint64_t n)
{
	return n > least ? n : least;
}

static uint64_t
at_most(uint64_t most, uint64_t n)
{
	return n < most ? n : most;
}

static unsigned int
clamp(const struct scale *s, uint64_t n)
{
	if (n > s->conf.max)
		return s->conf.max;
	return n < s->conf.min ? s->conf.min : (unsigned int)n;
}

/* Makes the period of `now` the newest one. */
static void
peaks_turn(struct scale_peaks *p, uint64_t now)
{
	uint64_t n = now / p->period;

	if (n - p->last > SCALE_BUCKETS)
		memset(p->max, 0, sizeof(p->max));
	else
		for (; p->last < n; p->last++)
			p->max[(p->last + 1) % (SCALE_BUCKETS + 1)] = 0;
	p->last = n;
}

static void
peaks_note(struct scale_peaks *p, unsigned int demand)
{
	unsigned int *m = &p->max[p->last % (SCALE_BUCKETS + 1)];

	if (demand > *m)
		*m = demand;
}

/*
 * The peak of the last n whole periods and the present one; *until is when
 * that can be lower.
 */
static unsigned int
peaks_max(const struct scale_peaks *p, unsigned int n, uint64_t *until)
{
	unsigned int m, max = 0;
	uint64_t i, newest = p->last;

	for (i = 0; i <= n && i <= p->last; i++) {
		m = p->max[(p->last - i) % (SCALE_BUCKETS + 1)];
		if (m > max) {
			max = m;
			newest = p->last - i;
		}
	}
	*until = (newest + n + 1) * p->period;
	return max;
}

static void
note_peak(struct scale *s, unsigned int demand)
{
	peaks_note(&s->recent, demand);
	peaks_note(&s->longer, demand);
}

void
scale_init(struct scale *s, const struct scale_conf *c)
{
	memset(s, 0, sizeof(*s));
	s->conf = *c;
	s->target = c->min;
	s->serves = c->serves > 0 ? c->serves : 1;
	s->conf.serves = s->serves;
	s->hold = 1;
	s->recent.period = at_least(1, c->idle / SCALE_BUCKETS);
	s->longer.period = at_least(1, c->idle);
}

void
scale_bounds(struct scale *s, unsigned int min, unsigned int max,
    uint64_t now)
{
	/* As far as is known, all that are there were needed until now. */
	peaks_turn(&s->recent, now);
	peaks_turn(&s->longer, now);
	note_peak(s, s->target);
	s->conf.min = min;
	s->conf.max = max;
	s->target = clamp(s, s->target);
}

bool
scale_wants_busy(const struct scale *s, uint32_t queue)
{
	return s->target > s->conf.min || (queue > 0 && s->target > 0);
}

/*
 * How many connections were in the queue at the last look already, and may
 * have waited too long?
 */
static uint32_t
held_up(const struct scale *s, const struct scale_view *v)
{
	if (v->queue == SCALE_UNKNOWN || s->looked == 0 ||
	    v->now - s->looked < SCALE_WAIT)
		return 0;
	if (v->waited != SCALE_UNKNOWN)
		return v->waited;
	if (s->queue == SCALE_UNKNOWN)
		return 0;
	return v->queue < s->queue ? v->queue : s->queue;
}

/*
 * The queue, unless it will be gone when a worker that is started now could
 * help, if it goes on as it did since the last look.
 */
static uint32_t
projected_queue(const struct scale *s, const struct scale_view *v)
{
	uint64_t gone, ahead = at_least(SCALE_STEP, v->start);

	if (s->queue == SCALE_UNKNOWN || s->queue <= v->queue)
		return v->queue;
	gone = (s->queue - v->queue) * ahead / (v->now - s->looked);
	return gone >= v->queue ? 0 : v->queue;
}

/* Connections wait: how many does a worker take at once? */
static void
learn_serves(struct scale *s, const struct scale_view *v)
{
	unsigned int serving = v->ready + v->leaving;

	if (v->busy == SCALE_UNKNOWN || serving == 0)
		return;
	s->serves = v->busy / serving;
	if (s->serves < s->conf.serves)
		s->serves = s->conf.serves;
}

/* Connections that the workers there, or nearly there, should accept. */
static uint64_t
free_places(struct scale *s, const struct scale_view *v)
{
	uint64_t n = (uint64_t)v->starting * s->serves;
	uint64_t all = (uint64_t)(v->ready + v->leaving) * s->serves;

	/* A free worker that does not accept for long is not counted on. */
	if (v->busy == SCALE_UNKNOWN || v->busy >= all)
		s->accept_misses = 0;
	else if (++s->accept_misses < SCALE_ACCEPT_MISSES)
		n += all - v->busy;
	return n;
}

/* Workers that had to go are missed: the next ones may stay longer. */
static void
note_early_shrink(struct scale *s, uint64_t now)
{
	if (s->shrunk != 0 && s->hold < SCALE_HOLD_MAX)
		s->hold *= 2;
	s->shrunk = 0;
	s->grown = now;
}

/* A shrink that was not missed was right; a hold decays. */
static void
decay_hold(struct scale *s, uint64_t now)
{
	uint64_t term = s->hold * s->conf.idle;

	if (s->shrunk != 0 && now - s->shrunk >= SCALE_EARLY * term)
		s->shrunk = 0;
	if (s->hold > 1 && now - s->grown >= 2 * SCALE_EARLY * term) {
		s->hold /= 2;
		s->grown = now;
	}
}

/*
 * The last look was so long ago that all connections in the queue may be new,
 * and each of them may still wait for some time: a second look soon will tell.
 */
static bool
is_undecided(const struct scale *s, const struct scale_view *v, uint32_t waits)
{
	return waits == 0 && v->queue > 0 && v->queue != SCALE_UNKNOWN &&
	    v->now - s->looked >= 2 * SCALE_WAIT;
}

/*
 * Has there been a queue for long enough? Workers that take long to start do
 * not help against one that comes and goes: it is gone when they are ready.
 */
static bool
queue_lasts(struct scale *s, const struct scale_view *v, uint32_t waits)
{
	if (is_undecided(s, v, waits))
		return false;
	if (waits == 0) {
		s->since = 0;
		s->accept_misses = 0;
		return false;
	}
	if (s->since == 0)
		s->since = s->looked;
	return v->now - s->since >= at_most(SCALE_EVIDENCE_MAX,
	    v->start / SCALE_EVIDENCE);
}

/* Returns true if there are to be more workers. */
static bool
grow(struct scale *s, const struct scale_view *v)
{
	uint64_t need, have;

	learn_serves(s, v);
	need = projected_queue(s, v);
	have = free_places(s, v);
	if (s->target >= s->conf.max || v->failing > 0 || need <= have)
		return false;
	need = (need - have + s->serves - 1) / s->serves;
	need = at_most(at_least(1, s->target), need);
	s->target = clamp(s, s->target + need);
	note_peak(s, s->target);
	note_early_shrink(s, v->now);
	return true;
}

/*
 * How many are enough: the peak of the recent demand and a quarter. *until is
 * when it may be fewer.
 */
static unsigned int
count_enough(const struct scale *s, uint64_t *until)
{
	unsigned int peak, n, longer;
	uint64_t later;

	n = peak = peaks_max(&s->recent, SCALE_BUCKETS, until);
	if (s->hold > 1) {
		longer = peaks_max(&s->longer, s->hold, &later);
		*until = at_most(later, *until);
		/* But never more than twice what was needed just now. */
		n = (unsigned int)at_most(2 * (uint64_t)peak, longer);
	}
	return n <= s->conf.min ? s->conf.min : clamp(s, n + (n + 2) / 4);
}

/*
 * Lowers the target where the demand was lower. Returns when it may have to
 * be lowered again.
 */
static uint64_t
shrink(struct scale *s, const struct scale_view *v)
{
	unsigned int n;
	uint64_t until, none;

	decay_hold(s, v->now);
	if (s->target <= s->conf.min)
		return NEVER;
	n = count_enough(s, &until);
	if (n >= s->target)
		return until;
	/* What cannot be seen is not idle. */
	if (v->busy == SCALE_UNKNOWN)
		return v->now + s->recent.period;
	s->target = n;
	if (peaks_max(&s->recent, SCALE_BUCKETS, &none) > 0)
		s->shrunk = v->now;
	return s->target > s->conf.min ? until : NEVER;
}

/* Begins, follows and ends a saturation. Returns when it may be over. */
static uint64_t
saturate(struct scale *s, const struct scale_view *v, bool full,
    struct scale_decision *d)
{
	if (full) {
		if (s->full_since == 0) {
			s->full_since = v->now;
			s->full_peak = 0;
			s->full_times++;
			d->notice = SCALE_FULL;
		}
		s->full_last = v->now;
	}
	if (s->full_since == 0)
		return NEVER;
	if (v->queue != SCALE_UNKNOWN && v->queue > s->full_peak)
		s->full_peak = v->queue;
	if (v->now - s->full_last >= SCALE_CALM) {
		s->full_length = s->full_last - s->full_since;
		s->full_total += s->full_length;
		s->full_since = 0;
		d->notice = SCALE_RELIEVED;
		return NEVER;
	}
	return s->full_last + SCALE_CALM;
}

uint64_t
scale_full_time(const struct scale *s)
{
	return s->full_total + (s->full_since == 0 ? 0 :
	    s->full_last - s->full_since);
}

/* What is needed at this moment, for the peaks. */
static void
note_demand(struct scale *s, const struct scale_view *v)
{
	uint64_t n = v->busy;

	if (v->busy == SCALE_UNKNOWN)
		return;
	if (v->queue != SCALE_UNKNOWN)
		n += v->queue;
	n = (n + s->serves - 1) / s->serves;
	note_peak(s, n > s->conf.max ? s->conf.max : (unsigned int)n);
}

struct scale_decision
scale_decide(struct scale *s, const struct scale_view *v)
{
	struct scale_decision d = { .notice = SCALE_NOTHING };
	uint32_t waits = held_up(s, v);
	uint64_t over, surplus;

	peaks_turn(&s->recent, v->now);
	peaks_turn(&s->longer, v->now);
	note_demand(s, v);
	d.waits = waits > 0;
	d.undecided = is_undecided(s, v, waits);
	if (s->target == 0 && s->conf.max > 0 && (v->fired ||
	    (v->queue > 0 && v->queue != SCALE_UNKNOWN))) {
		s->target = 1;
		note_peak(s, 1);
		d.grown = true;
	} else if (queue_lasts(s, v, waits))
		d.grown = grow(s, v);
	over = saturate(s, v, d.waits && !d.grown && v->starting == 0 &&
	    s->target >= s->conf.max, &d);
	surplus = shrink(s, v);
	d.until = at_most(surplus, over);
	d.target = s->target;
	d.can_grow = s->target < s->conf.max;
	d.can_shrink = s->target > s->conf.min;
	s->looked = v->now;
	s->queue = v->queue;
	return d;
}
