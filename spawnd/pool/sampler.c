/* SPDX-License-Identifier: ISC */
/*
 * When to look at the listen queue.
 *
 * Of a pool with bounds each look pays for itself: the next one comes
 * SAMPLER_PAUSE, or eighty times its cost, later. A look that is to tell
 * whether a queue lasts, and those of a pool that grows, come earlier, and the
 * ones after them later.
 */
#include "base/units.h"
#include "pool/scale.h"

static uint64_t
later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Where counting is expensive it is done as seldom as will do. */
bool
sampler_affords_busy(const struct sampler *s, uint64_t now, uint64_t idle)
{
	uint64_t pause = SAMPLER_COST * s->busy_cost;

	if (pause > SAMPLER_PAUSE && pause < idle / SCALE_BUCKETS)
		pause = idle / SCALE_BUCKETS;
	return now - s->busy_at >= pause || pause <= SAMPLER_PAUSE;
}

/*
 * Is the watch to tell of the next connection? Not when there are so many
 * that it would tell of one at each look, nor before the last look is paid.
 */
static bool
arm_watch(struct sampler *s, const struct scale_view *v, bool paid, bool some)
{
	if (v->fired) {
		s->polls = s->armed != 0 && v->now - s->armed < SAMPLER_PAUSE ?
		    SAMPLER_POLLS : 1;
		s->armed = 0;
		return false;
	}
	if (s->armed != 0)
		return true;	/* it still does */
	if (paid && s->polls > 0)
		s->polls--;
	if (!paid || s->polls > 0 || (v->queue > 0 && some))
		return false;
	s->armed = v->now;
	return true;
}

/* When to look again, whether a connection comes or not. */
static uint64_t
next_time(const struct sampler *s, const struct scale_view *v,
    const struct scale_decision *d)
{
	if (v->queue == SCALE_UNKNOWN)
		return later_of(s->due, v->now + SAMPLER_BLIND);
	if (d->grown)
		return v->now + later_of(SCALE_STEP,
		    SAMPLER_GROWTH_COST * v->cost);
	if (d->waits && !d->can_grow)
		return later_of(s->due, v->now + SAMPLER_FULL_PAUSE);
	/* Will the connections that came just now be accepted? */
	if (d->can_grow && (d->undecided || (!d->waits &&
	    v->queue > s->queue)))
		return v->now + SCALE_WAIT;
	if (v->fired && (v->queue > 0 || d->can_grow || d->can_shrink))
		return v->now + SCALE_WAIT;
	return s->due;
}

struct sampler_next
sampler_next(struct sampler *s, const struct scale_view *v,
    const struct scale_decision *d)
{
	struct sampler_next n = { .look = NEVER };
	bool paid = s->due <= v->now;

	if (v->busy != SCALE_UNKNOWN) {
		s->busy_cost = v->cost;
		s->busy_at = v->now;
	}
	s->due = later_of(s->due, v->now) + later_of(SAMPLER_PAUSE,
	    SAMPLER_COST * v->cost);
	n.watch = arm_watch(s, v, paid, d->target > 0);
	if (!n.watch)
		n.look = next_time(s, v, d);
	if (d->until < n.look)
		n.look = d->until;
	s->queue = v->queue;
	return n;
}

struct sampler_next
sampler_next_fixed(struct sampler *s, const struct scale_view *v)
{
	bool same = v->queue == s->queue && v->busy == s->busy;
	bool idle = v->queue == 0 && v->busy == 0;
	bool waits = v->queue > 0 && v->queue != SCALE_UNKNOWN;
	struct sampler_next n = { .look = NEVER };

	s->fresh |= v->fired;
	/* Two looks in a row tell whether a queue lasts. */
	s->again = waits && !s->again;
	if (s->again) {
		n.look = v->now + SAMPLER_FIXED_AGAIN;
		return n;
	}
	if (!same || s->fresh || waits)
		s->pause = SAMPLER_FIXED_PAUSE;
	else if (s->pause < SAMPLER_FIXED_LAST)
		s->pause *= 2;
	if (!idle || s->fresh)
		n.look = v->now + later_of(s->pause,
		    SAMPLER_FIXED_COST * v->cost);
	/* A busy pool always has a connection: not more than one a pause. */
	n.watch = v->queue == 0 && !s->fresh && (same || idle);
	s->queue = v->queue;
	s->busy = v->busy;
	s->fresh = false;
	return n;
}
