/* SPDX-License-Identifier: ISC */
/*
 * A worker that is ready, and how it is replaced: by a reload, or because it
 * is too old, too large or too long at one request. There is always first one
 * worker more, and when that is ready one of the old less.
 *
 * One worker is replaced at a time, of a reload several are: until a canary
 * is over that is alone, then there are up to replace_most() in surge and
 * outgoing together. So a reload ends nobody before a new one is ready, and has
 * no more processes than that beyond those that are wanted; but those that one
 * which failed has started are not counted while they go.
 */
#include <stddef.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"

enum replace_cause {
	ON_BEGUN,		/* it is started as one more */
	ON_TRIED,		/* ready, of a program that has yet to serve */
	ON_PROVED,		/* it is as it should be: an old one may go */
	ON_SERVED,		/* it served, and ended before that was seen */
	ON_LEFT,		/* it failed, has to leave, or is an old one */
	ON_CHOSEN,		/* it is old, and there is one more already */
	ON_GONE,		/* it has ended, or has another's place */
	NCAUSES
};

/* What a worker has to do with it; what is not here is REPLACE_NOT: over. */
static const enum replace_state replace_next[REPLACE_NSTATES][NCAUSES] = {
	[REPLACE_NOT] = {
		[ON_BEGUN] = REPLACE_SURGE,
		[ON_CHOSEN] = REPLACE_OUTGOING,
	},
	[REPLACE_SURGE] = {
		[ON_TRIED] = REPLACE_CANARY,
	},
	[REPLACE_CANARY] = {
		[ON_SERVED] = REPLACE_SURGE,
	},
	[REPLACE_OUTGOING] = {
		[ON_LEFT] = REPLACE_OUTGOING,	/* until it is gone */
	},
};

static uint64_t
request_pause(const struct pool *p)
{
	uint64_t pause = p->conf.request_timeout / 8;

	if (p->conf.request_timeout == 0)
		return POOL_REQUEST_MOST;
	if (pause < POOL_REQUEST_LEAST)
		return POOL_REQUEST_LEAST;
	return min64(pause, POOL_REQUEST_MOST);
}

void
replace_check_request(struct pool *p, struct slot *s, uint64_t now)
{
	if (now < s->request_at)
		return;
	s->request_at = slot_later(now, request_pause(p));
	slot_push(p, s, POOL_CHECK_REQUEST);
}

/* The next thing that is due of a ready worker. */
static void
replace_arm(struct pool *p, struct slot *s)
{
	slot_deadline(p, s, min64(min64(s->expires, s->measure_at),
	    min64(s->request_at, s->canary_at)));
}

bool
replace_is_surge(const struct slot *s)
{
	return s->replace == REPLACE_SURGE || s->replace == REPLACE_CANARY;
}

bool
replace_is_new(const struct pool *p, const struct slot *s)
{
	return p->reload != RELOAD_OFF && s->generation == p->generation;
}

bool
replace_is_outgoing(const struct slot *s)
{
	return s->replace == REPLACE_OUTGOING;
}

static void
replace_enter(struct pool *p, struct slot *s, enum replace_cause cause)
{
	enum replace_state state = replace_next[s->replace][cause];

	p->nsurge -= replace_is_surge(s);
	p->noutgoing -= replace_is_outgoing(s);
	s->replace = state;
	p->nsurge += replace_is_surge(s);
	p->noutgoing += replace_is_outgoing(s);
	if (state == REPLACE_CANARY)
		p->canary = s;
	else if (p->canary == s)
		p->canary = NULL;
}

/* The one that will be ready first; a canary only if there is no other. */
static struct slot *
find_surge(const struct pool *p)
{
	/* The last two have been too slow to start. */
	static const enum slot_state states[] = { SLOT_STARTING,
	    SLOT_SPAWNING, SLOT_BACKOFF, SLOT_STOPPING, SLOT_KILLED };
	struct slot *s;
	size_t i;

	if (p->nsurge == 0 || (p->nsurge == 1 && p->canary != NULL))
		return p->canary;
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		TAILQ_FOREACH(s, &p->lists[states[i]], by_state) {
			if (s->replace == REPLACE_SURGE)
				return s;
		}
	}
	return p->canary;
}

/* The new worker is as it should be: an old one may go. */
static void
surge_over(struct pool *p, struct slot *s)
{
	if (p->reload == RELOAD_CANARY)
		p->reload = RELOAD_ROLLING;
	replace_enter(p, s, ON_PROVED);
	p->replace_failures = 0;
	p->resize_pending = true;	/* should there be no old one left */
}

static void
surge_ready(struct pool *p, struct slot *s, uint64_t now)
{
	if (p->reload != RELOAD_CANARY || p->conf.canary == 0) {
		surge_over(p, s);
		return;
	}
	replace_enter(p, s, ON_TRIED);
	p->canary_by = slot_later(now, p->conf.canary);
	s->canary = 0;
	s->pause = POOL_READY_FIRST;
	s->canary_at = slot_later(now, s->pause);
	replace_arm(p, s);
}

void
replace_ready(struct pool *p, struct slot *s, uint64_t now)
{
	const struct pool_conf *c = &p->conf;

	if (s->ready == 0)
		s->ready = now;
	s->expires = s->measure_at = s->request_at = s->canary_at = NEVER;
	s->slow_pid = 0;
	/* Workers that started together part. */
	if (c->max_age != 0)
		s->expires = slot_later(s->ready, c->max_age - slot_random(p) %
		    (c->max_age / POOL_AGE_SPREAD + 1));
	if (c->max_rss != 0)
		s->measure_at = slot_later(now, POOL_MEASURE +
		    slot_random(p) % POOL_MEASURE);
	if (c->request_timeout != 0)
		s->request_at = slot_later(now, request_pause(p));
	slot_enter(p, s, SLOT_READY, NEVER);
	replace_arm(p, s);
	if (s->replace == REPLACE_SURGE)
		surge_ready(p, s, now);
}

static void
replace_expire(struct pool *p, struct slot *s, enum expired why)
{
	p->nexpired -= s->expired != EXPIRED_NOT;
	p->noversize -= s->expired == EXPIRED_SIZE;
	s->expired = why;
	p->nexpired += why != EXPIRED_NOT;
	p->noversize += why == EXPIRED_SIZE;
}

void
replace_forget(struct pool *p, struct slot *s)
{
	replace_expire(p, s, EXPIRED_NOT);
}

void
replace_left(struct pool *p, struct slot *s)
{
	replace_enter(p, s, ON_LEFT);
}

/* All of them are as others are, and too many may be there. */
static void
release_surge(struct pool *p)
{
	struct slot *s;

	while ((s = find_surge(p)) != NULL) {
		replace_enter(p, s, ON_LEFT);
		p->resize_pending = true;
	}
}

/* Without a pause a new worker that ends at once would be a loop. */
static void
in_vain(struct pool *p, const struct slot *s)
{
	p->replace_after = slot_later(s->spawned, slot_doubled(POOL_FAIL_FIRST,
	    ++p->replace_failures, POOL_FAIL_LAST));
}

/* Where another has ended, and not by our wish, a new one replaces it. */
void
replace_vacated(struct pool *p, struct slot *s)
{
	struct slot *instead;

	if (replace_is_surge(s))
		in_vain(p, s);
	if (s->replace != REPLACE_NOT)
		replace_enter(p, s, ON_GONE);
	else if (!s->retiring_for_good && (instead = find_surge(p)) != NULL)
		replace_enter(p, instead, ON_GONE);
}

void
replace_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	if (now >= s->expires) {
		s->expires = NEVER;
		p->counts.aged += s->expired == EXPIRED_NOT;
		replace_expire(p, s, EXPIRED_AGE);
	}
	if (now >= s->measure_at) {
		s->measure_at = slot_later(now, POOL_MEASURE);
		slot_push(p, s, POOL_MEASURE_SIZE);
	}
	replace_check_request(p, s, now);
	if (now >= s->canary_at) {
		s->canary_at = NEVER;
		if (s == p->canary) {
			s->pause = min64(s->pause * 2, POOL_CANARY_LAST);
			s->canary_at = slot_later(now, s->pause);
			slot_push(p, s, POOL_CHECK_CANARY);
		}
	}
	replace_arm(p, s);
}

/*
 * One that is too large as soon as it serves has not grown: the limit is below
 * what the program needs, and the next one would be no better. So each is kept
 * for longer and longer, up to a minute; those that are too large meanwhile
 * are not counted.
 */
static void
count_oversize(struct pool *p, const struct slot *s, uint64_t now)
{
	uint64_t pause;

	if (now - s->ready >= POOL_OVERSIZE_YOUNG ||
	    now - p->oversize_at > 2 * POOL_OVERSIZE_LAST)
		p->oversize_streak = 0;
	if (now - s->ready >= POOL_OVERSIZE_YOUNG || now < p->resize_after)
		return;
	p->oversize_streak++;
	p->oversize_at = now;
	pause = slot_doubled(POOL_OVERSIZE_FIRST, p->oversize_streak,
	    POOL_OVERSIZE_LAST);
	p->resize_after = slot_later(now, pause);
	if (p->oversize_streak == POOL_OVERSIZE_MAX)
		slot_notice(p, NOTICE_TOO_SMALL, NULL)->delay =
		    POOL_OVERSIZE_LAST;
}

void
replace_measured(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (p->conf.max_rss == 0 || ev->size <= p->conf.max_rss ||
	    s->expired != EXPIRED_NOT)
		return;
	p->counts.grown++;
	replace_expire(p, s, EXPIRED_SIZE);
	slot_notice(p, NOTICE_GROWN, s)->size = ev->size;
	count_oversize(p, s, now);
}

/*
 * Who serves an old request is killed at once: one that catches a signal may
 * take it for the end of the request that it reads, and answer half of that.
 */
void
replace_slow_request(struct pool *p, struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	const struct slow_request *o = &ev->request;
	struct pool_notice *n;
	bool again = o->slow && s->slow_pid == o->pid;

	(void)now;
	s->slow_pid = o->slow ? o->pid : 0;
	if (!o->slow)
		return;
	if (!again) {
		n = slot_notice(p, NOTICE_REQUEST_TIMEOUT, s);
		n->holder = o->pid;
		n->age = o->age;
		p->counts.timed_out++;
	}
	s->request_timed_out = o->pid == s->pid;
	slot_push(p, s, POOL_KILL_HOLDER)->pid = o->pid;
}

/* A new worker has served when the connection it had is gone again. */
void
replace_canary(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	uint64_t connection = ev->activity.connection;

	(void)now;
	if (s != p->canary)
		return;
	s->seen |= connection != 0;
	if (connection == 0 ? s->canary != 0 || ev->no_traffic :
	    s->canary != 0 && connection != s->canary)
		surge_over(p, s);
	else if (connection != 0)
		s->canary = connection;
}

/* It is not ready any more, but was there, and the next one is there soon. */
void
replace_served(struct pool *p, struct slot *s)
{
	if (s != p->canary)
		return;
	p->reload = RELOAD_ROLLING;
	replace_enter(p, s, ON_SERVED);
}

void
replace_reload(struct pool *p)
{
	struct slot *s, *next;

	if (p->phase >= PHASE_STOP)
		return;	/* in the start it waits until that is over */
	p->reload = RELOAD_CANARY;
	p->unseen = 0;
	p->generation++;
	release_surge(p);
	p->oversize_streak = 0;	/* of the old program */
	p->resize_after = 0;
	/* What is quiet now need not be waited for when its turn comes. */
	TAILQ_FOREACH(s, &p->lists[SLOT_READY], by_state)
		slot_push(p, s, POOL_CHECK_ACTIVITY);
	/* Whoever waits after a failure has nothing to lose. */
	TAILQ_FOREACH_SAFE(s, &p->lists[SLOT_BACKOFF], by_state, next) {
		s->exit0_streak = 0;
		slot_spawn(p, s);
	}
}

void
replace_failed(struct pool *p, const struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	if (!replace_is_new(p, s))
		return;
	p->reload = RELOAD_OFF;
	release_surge(p);
	p->counts.reloads_failed++;
	start_note(slot_notice(p, NOTICE_RELOAD_FAILED, s), s, ev, now);
}

/* That it was ready may have been a guess: then it has failed to start. */
void
replace_crashed(struct pool *p, const struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	if (s == p->canary || !s->seen)
		replace_failed(p, s, ev, now);
}

static bool
is_old(const struct pool *p, const struct slot *s)
{
	return s->replace == REPLACE_NOT && (s->expired != EXPIRED_NOT ||
	    (p->reload != RELOAD_OFF && s->generation != p->generation));
}

/* When a replacement may begin; those that are too large may have to wait. */
static uint64_t
due_after(const struct pool *p, bool oversize)
{
	if (p->reload != RELOAD_OFF)
		return 0;
	return oversize ? max64(p->replace_after, p->resize_after) :
	    p->replace_after;
}

/* The one behind so many of those that are old. */
static struct slot *
find_old(const struct pool *p, uint64_t now, unsigned int others)
{
	static const enum slot_state states[] = { SLOT_STARTING, SLOT_READY };
	struct slot *s, *later = NULL;
	size_t i;

	if (p->reload == RELOAD_OFF && p->nexpired == 0)
		return NULL;
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		TAILQ_FOREACH(s, &p->lists[states[i]], by_state) {
			if (!is_old(p, s))
				continue;
			if (others > 0) {
				others--;
				continue;
			}
			if (now >= due_after(p, s->expired == EXPIRED_SIZE))
				return s;
			if (later == NULL)
				later = s;
		}
	}
	return later;
}

struct slot *
replace_find_old(const struct pool *p, uint64_t now)
{
	return find_old(p, now, 0);
}

/* Is there a slot that no worker of this reload was ever ready in? */
static bool
is_any_left(const struct pool *p)
{
	static const enum slot_state states[] = { SLOT_SPAWNING,
	    SLOT_STARTING, SLOT_STOPPING, SLOT_KILLED, SLOT_BACKOFF };
	struct slot *s;
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		TAILQ_FOREACH(s, &p->lists[states[i]], by_state) {
			if (!s->retiring_for_good &&
			    s->ready_generation != p->generation)
				return true;
		}
	}
	return false;
}

static void
reload_done(struct pool *p)
{
	if (p->reload == RELOAD_OFF || is_any_left(p))
		return;
	p->reload = RELOAD_OFF;
	p->counts.reloads++;
	slot_notice(p, NOTICE_RELOADED, NULL);
}

/* How many may be in surge and outgoing at once. */
static unsigned int
replace_most(const struct pool *p)
{
	return p->reload == RELOAD_OFF ? 1 :
	    pool_surge(p->conf.surge, p->target);
}

static bool
has_surge_left(const struct pool *p)
{
	return p->nsurge + p->noutgoing < replace_most(p);
}

/* For each that is there beyond those that are wanted an old one goes. */
static void
end_old(struct pool *p, uint64_t now)
{
	struct slot *old;

	while (has_surge_left(p) && pool_staying(p) > p->target + p->nsurge &&
	    (old = replace_find_old(p, now)) != NULL) {
		replace_enter(p, old, ON_CHOSEN);
		slot_end(p, old, now);
	}
}

/* One more for each old one, as far as there may be. */
static void
begin_surge(struct pool *p, uint64_t now)
{
	struct slot *old, *s;

	while (has_surge_left(p) && pool_has_room(p) &&
	    (p->reload != RELOAD_CANARY || p->nsurge == 0) &&
	    (old = find_old(p, now, p->nsurge)) != NULL &&
	    now >= due_after(p, old->expired == EXPIRED_SIZE) &&
	    (s = pool_empty(p)) != NULL) {
		replace_enter(p, s, ON_BEGUN);
		slot_spawn(p, s);
	}
}

void
replace_step(struct pool *p, uint64_t now)
{
	if (p->phase != PHASE_UP || (p->reload == RELOAD_OFF &&
	    p->nexpired == 0))
		return;
	if (p->canary != NULL && now >= p->canary_by)
		surge_over(p, p->canary);
	end_old(p, now);
	begin_surge(p, now);
	if (p->nsurge + p->noutgoing == 0 && replace_find_old(p, now) == NULL)
		reload_done(p);
}

uint64_t
replace_deadline(const struct pool *p)
{
	if (p->phase != PHASE_UP)
		return NEVER;
	if (p->canary != NULL)
		return p->canary_by;
	/* An event ends what is under way, and makes room. */
	if (p->nsurge + p->noutgoing > 0 || !pool_has_room(p))
		return NEVER;
	return p->reload == RELOAD_OFF && p->nexpired > 0 ?
	    due_after(p, p->nexpired == p->noversize) : NEVER;
}
