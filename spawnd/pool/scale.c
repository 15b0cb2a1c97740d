/* SPDX-License-Identifier: ISC */
/*
 * The size of an adaptive pool.
 *
 * More workers: when connections have waited for some milliseconds, as many
 * as wait, at most doubling from one step to the next. Not for a queue that
 * will be gone by the time a new worker could help.
 *
 * Fewer: when the highest demand of the last idle timeout was below what is
 * there. Workers that were missed soon after make the next ones stay longer
 * (`hold`), else a load that goes up and down a little would start and end
 * workers for ever. A pool that had nothing to do at all does not wait for
 * that: then all surplus goes.
 *
 * Each look pays for itself: the next one comes SCALE_PAUSE, or eighty times
 * its cost, later. One that is to tell whether a queue lasts, and those of a
 * pool that grows, come earlier, on credit.
 */
#include <string.h>

#include "base/units.h"
#include "pool/scale.h"

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
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
note(struct scale *s, unsigned int demand)
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
	s->recent.period = larger(c->idle / SCALE_BUCKETS, 1);
	s->longer.period = larger(c->idle, 1);
}

void
scale_bounds(struct scale *s, unsigned int min, unsigned int max,
    uint64_t now)
{
	/* As far as is known, all that are there were needed until now. */
	peaks_turn(&s->recent, now);
	peaks_turn(&s->longer, now);
	note(s, s->target);
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
 * How many of them were in the queue at the last look already, and may wait
 * too long?
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
foreseen(const struct scale *s, const struct scale_view *v)
{
	uint64_t gone, ahead = larger(SCALE_STEP, v->start);

	if (s->queue == SCALE_UNKNOWN || s->queue <= v->queue)
		return v->queue;
	gone = (s->queue - v->queue) * ahead / (v->now - s->looked);
	return gone >= v->queue ? 0 : v->queue;
}

/* Some wait: how many connections does a worker take at once? */
static void
learn(struct scale *s, const struct scale_view *v)
{
	unsigned int serving = v->ready + v->going;

	if (v->busy == SCALE_UNKNOWN || serving == 0)
		return;
	s->serves = v->busy / serving;
	if (s->serves < s->conf.serves)
		s->serves = s->conf.serves;
}

/* Connections that those who are there, or nearly, should take. */
static uint64_t
room(struct scale *s, const struct scale_view *v)
{
	uint64_t n = (uint64_t)v->starting * s->serves;
	uint64_t all = (uint64_t)(v->ready + v->going) * s->serves;

	/* Who is free and does not accept for long is not counted on. */
	if (v->busy == SCALE_UNKNOWN || v->busy >= all)
		s->patience = 0;
	else if (++s->patience < SCALE_PATIENCE)
		n += all - v->busy;
	return n;
}

/* Workers that had to go were missed: the next ones may stay longer. */
static void
regret(struct scale *s, uint64_t now)
{
	if (s->shrunk != 0 && s->hold < SCALE_HOLD_MAX)
		s->hold *= 2;
	s->shrunk = 0;
	s->grown = now;
}

/* What was done is forgotten after a while. */
static void
forget(struct scale *s, uint64_t now)
{
	uint64_t term = s->hold * s->conf.idle;

	if (s->shrunk != 0 && now - s->shrunk >= SCALE_REGRET * term)
		s->shrunk = 0;
	if (s->hold > 1 && now - s->grown >= 2 * SCALE_REGRET * term) {
		s->hold /= 2;
		s->grown = now;
	}
}

/*
 * The last look was so long ago that all may be new who wait now, and yet
 * they may wait for some time, each of them: a second look soon will tell.
 */
static bool
undecided(const struct scale *s, const struct scale_view *v, uint32_t waits)
{
	return waits == 0 && v->queue > 0 && v->queue != SCALE_UNKNOWN &&
	    v->now - s->looked >= 2 * SCALE_WAIT;
}

/*
 * Has there been a queue for long enough? Workers that take long to start are
 * nothing for one that comes and goes: they would only come when it is gone.
 */
static bool
lasts(struct scale *s, const struct scale_view *v, uint32_t waits)
{
	if (undecided(s, v, waits))
		return false;
	if (waits == 0) {
		s->since = 0;
		s->patience = 0;
		return false;
	}
	if (s->since == 0)
		s->since = s->looked;
	return v->now - s->since >= smaller(v->start / SCALE_EVIDENCE,
	    SCALE_EVIDENCE_MAX);
}

/* Returns true if there are to be more workers. */
static bool
grow(struct scale *s, const struct scale_view *v)
{
	uint64_t need, have;

	learn(s, v);
	need = foreseen(s, v);
	have = room(s, v);
	if (s->target >= s->conf.max || v->failing > 0 || need <= have)
		return false;
	need = (need - have + s->serves - 1) / s->serves;
	if (need > larger(s->target, 1))
		need = larger(s->target, 1);
	s->target = clamp(s, s->target + need);
	note(s, s->target);
	regret(s, v->now);
	return true;
}

/*
 * How many are enough, by the demand of late: its peak and a quarter.
 * *until is when it may be less.
 */
static unsigned int
enough(const struct scale *s, uint64_t *until)
{
	unsigned int peak, n, longer;
	uint64_t later;

	n = peak = peaks_max(&s->recent, SCALE_BUCKETS, until);
	if (s->hold > 1) {
		longer = peaks_max(&s->longer, s->hold, &later);
		*until = smaller(*until, later);
		/* But never more than twice of what was needed just now. */
		n = (unsigned int)smaller(longer, 2 * (uint64_t)peak);
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

	forget(s, v->now);
	if (s->target <= s->conf.min)
		return NEVER;
	n = enough(s, &until);
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
    struct scale_next *n)
{
	if (full) {
		if (s->full_since == 0) {
			s->full_since = v->now;
			s->full_peak = 0;
			s->full_times++;
			n->notice = SCALE_FULL;
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
		n->notice = SCALE_RELIEVED;
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
	note(s, n > s->conf.max ? s->conf.max : (unsigned int)n);
}

/*
 * Is the watch to tell of the next connection? Not when there are so many
 * that it would tell of one at each look, nor before the last look is paid.
 */
static bool
watches(struct scale *s, const struct scale_view *v, bool paid)
{
	if (v->fired) {
		s->polls = s->armed != 0 && v->now - s->armed < SCALE_PAUSE ?
		    SCALE_POLLS : 1;
		s->armed = 0;
		return false;
	}
	if (s->armed != 0)
		return true;	/* it still does */
	if (paid && s->polls > 0)
		s->polls--;
	if (!paid || s->polls > 0 || (v->queue > 0 && s->target > 0))
		return false;
	s->armed = v->now;
	return true;
}

/* When to look at the queue again, be there a connection or not. */
static uint64_t
next_look(const struct scale *s, const struct scale_view *v, bool grown,
    uint32_t waits)
{
	if (v->queue == SCALE_UNKNOWN)
		return larger(s->due, v->now + SCALE_BLIND);
	if (grown)
		return v->now + larger(SCALE_STEP,
		    SCALE_GROWTH_COST * v->cost);
	if (waits > 0 && s->target >= s->conf.max)
		return larger(s->due, v->now + SCALE_FULL_PAUSE);
	/* Will those that came just now be taken? */
	if (s->target < s->conf.max && (undecided(s, v, waits) ||
	    (waits == 0 && v->queue > s->queue)))
		return v->now + SCALE_WAIT;
	if (v->fired && (v->queue > 0 || s->target < s->conf.max ||
	    s->target > s->conf.min))
		return v->now + SCALE_WAIT;
	return s->due;
}

struct scale_next
scale_look(struct scale *s, const struct scale_view *v)
{
	struct scale_next n = { .notice = SCALE_NOTHING };
	bool paid = s->due <= v->now, grown = false;
	uint64_t over, surplus;
	uint32_t waits = held_up(s, v);

	peaks_turn(&s->recent, v->now);
	peaks_turn(&s->longer, v->now);
	s->due = larger(s->due, v->now) + larger(SCALE_PAUSE,
	    SCALE_COST * v->cost);
	note_demand(s, v);
	if (s->target == 0 && s->conf.max > 0 && (v->fired ||
	    (v->queue > 0 && v->queue != SCALE_UNKNOWN))) {
		s->target = 1;
		note(s, 1);
		grown = true;
	} else if (lasts(s, v, waits))
		grown = grow(s, v);
	over = saturate(s, v, waits > 0 && !grown && v->starting == 0 &&
	    s->target >= s->conf.max, &n);
	surplus = shrink(s, v);
	n.target = s->target;
	n.watch = watches(s, v, paid);
	n.look = n.watch ? NEVER : next_look(s, v, grown, waits);
	n.look = smaller(n.look, smaller(over, surplus));
	s->looked = v->now;
	s->queue = v->queue;
	return n;
}
