/* SPDX-License-Identifier: ISC */
/*
 * A worker that is ready, and how it is replaced: by a reload, or because it
 * is too old, too large or too long at one request. There is always first one
 * worker more, and when that is ready one of the old less:
 *
 *	idle	one is old, and there is room	-> surge
 *		and there is one more already	-> outgoing
 *	surge	the new one is ready		-> idle, or of a reload whose
 *		program has not served yet	-> canary
 *	canary	it has served, or for long enough did not fail	-> idle
 *	surge, canary	it fails or has to leave, takes the place of another
 *		that ended, or a reload makes it an old one	-> idle
 *	outgoing	the old one is gone	-> idle
 */
#include <signal.h>
#include <stddef.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"

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

static void
replace_enter(struct pool *p, enum replace_state state, struct slot *s)
{
	p->replace = state;
	p->replacing = s;
}

unsigned int
replace_surge(const struct pool *p)
{
	return p->replace == REPLACE_SURGE || p->replace == REPLACE_CANARY;
}

bool
replace_is_surge(const struct pool *p, const struct slot *s)
{
	return replace_surge(p) > 0 && s == p->replacing;
}

bool
replace_is_outgoing(const struct pool *p, const struct slot *s)
{
	return p->replace == REPLACE_OUTGOING && s == p->replacing;
}

void
replace_left(struct pool *p, const struct slot *s)
{
	if (replace_is_surge(p, s))
		replace_enter(p, REPLACE_IDLE, NULL);
}

/* Without a pause a new worker that ends at once would be a loop. */
static void
in_vain(struct pool *p, const struct slot *s)
{
	p->replace_after = slot_later(s->spawned, slot_doubled(POOL_FAIL_FIRST,
	    ++p->replace_failures, POOL_FAIL_LAST));
}

/* Where another has ended, and not by our wish, the new one replaces it. */
void
replace_vacated(struct pool *p, const struct slot *s)
{
	if (replace_is_surge(p, s) && !s->retiring_for_good)
		in_vain(p, s);
	if (replace_is_outgoing(p, s) ||
	    (replace_surge(p) > 0 && !s->retiring_for_good))
		replace_enter(p, REPLACE_IDLE, NULL);
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
		if (p->replace == REPLACE_CANARY && s == p->replacing) {
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

/* Who serves an old request is told first, and killed at the next look. */
void
replace_slow_request(struct pool *p, struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	const struct slow_request *o = &ev->request;
	struct pool_notice *n;
	struct pool_action *a;
	bool again = o->slow && s->slow_pid == o->pid;

	s->slow_pid = o->slow ? o->pid : 0;
	if (!o->slow)
		return;
	if (!again) {
		n = slot_notice(p, NOTICE_REQUEST_TIMEOUT, s);
		n->holder = o->pid;
		n->age = o->age;
		p->counts.timed_out++;
		s->request_at = slot_later(now, POOL_FAST_STOP);
		if (s->state == SLOT_READY)
			replace_arm(p, s);
	}
	s->request_timed_out = o->pid == s->pid;
	a = slot_push(p, s, POOL_SIGNAL_HOLDER);
	a->pid = o->pid;
	a->signo = again ? SIGKILL : p->conf.stop_signal;
}

/* A new worker has served when the connection it had is gone again. */
void
replace_canary(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	uint64_t connection = ev->activity.connection;

	(void)now;
	if (p->replace != REPLACE_CANARY || s != p->replacing)
		return;
	if (s->canary != 0 && connection != s->canary)
		p->reload = RELOAD_ROLLING;
	else if (connection != 0)
		s->canary = connection;
}

static void
begin_canary(struct pool *p, struct slot *s, uint64_t now)
{
	replace_enter(p, REPLACE_CANARY, s);
	p->canary_by = slot_later(now, p->conf.canary);
	s->canary = 0;
	s->pause = POOL_READY_FIRST;
	s->canary_at = slot_later(now, s->pause);
	replace_arm(p, s);
}

void
replace_served(struct pool *p, const struct slot *s)
{
	if (replace_is_surge(p, s) && p->reload == RELOAD_CANARY)
		p->reload = RELOAD_ROLLING;
}

void
replace_reload(struct pool *p)
{
	struct slot *s, *next;

	if (p->phase >= PHASE_STOP)
		return;	/* in the start it waits until that is over */
	p->reload = RELOAD_CANARY;
	p->generation++;
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
	struct pool_notice *n;

	if (p->reload == RELOAD_OFF || s->generation != p->generation)
		return;
	p->reload = RELOAD_OFF;
	if (replace_surge(p) > 0)
		replace_enter(p, REPLACE_IDLE, NULL);
	p->counts.reloads_failed++;
	n = slot_notice(p, NOTICE_RELOAD_FAILED, s);
	n->failed = ev->failed;
	n->error = ev->error;
	n->status = ev->status;
	n->exec_failed = ev->exec_failed;
	n->was_ready = s->ready != 0;
	n->age = now - s->spawned;
}

void
replace_crashed(struct pool *p, const struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	if (replace_is_surge(p, s) && p->reload == RELOAD_CANARY &&
	    p->conf.canary != 0)
		replace_failed(p, s, ev, now);
}

static bool
is_old(const struct pool *p, const struct slot *s)
{
	return !replace_is_surge(p, s) && (s->expired != EXPIRED_NOT ||
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

struct slot *
replace_find_old(const struct pool *p, uint64_t now)
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
			if (now >= due_after(p, s->expired == EXPIRED_SIZE))
				return s;
			if (later == NULL)
				later = s;
		}
	}
	return later;
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

/*
 * Is the new worker as it should be, so that an old one may go? Or has a
 * second reload overtaken it?
 */
static bool
surge_ends(struct pool *p, uint64_t now)
{
	struct slot *s = p->replacing;

	if (p->reload != RELOAD_OFF && s->generation != p->generation) {
		replace_enter(p, REPLACE_IDLE, NULL);
		return true;
	}
	if (s->state != SLOT_READY) {
		replace_enter(p, REPLACE_SURGE, s);
		return false;
	}
	if (p->reload == RELOAD_CANARY && p->conf.canary != 0) {
		if (p->replace == REPLACE_SURGE)
			begin_canary(p, s, now);
		if (now < p->canary_by)
			return false;
		p->reload = RELOAD_ROLLING;
	}
	replace_enter(p, REPLACE_IDLE, NULL);
	p->replace_failures = 0;
	p->resize_pending = true;	/* should there be no old one left */
	return true;
}

void
replace_step(struct pool *p, uint64_t now)
{
	struct slot *old, *s;

	if (p->phase != PHASE_UP || p->replace == REPLACE_OUTGOING ||
	    (p->reload == RELOAD_OFF && p->nexpired == 0 &&
	    p->replace == REPLACE_IDLE))
		return;
	if (p->replace != REPLACE_IDLE && !surge_ends(p, now))
		return;
	if ((old = replace_find_old(p, now)) == NULL)
		reload_done(p);
	else if (pool_staying(p) > p->target) {
		replace_enter(p, REPLACE_OUTGOING, old);
		slot_end(p, old, now);
	} else if (now >= due_after(p, old->expired == EXPIRED_SIZE) &&
	    pool_has_room(p) && (s = pool_empty(p)) != NULL) {
		replace_enter(p, REPLACE_SURGE, s);
		slot_spawn(p, s);
	}
}

uint64_t
replace_deadline(const struct pool *p)
{
	if (p->phase != PHASE_UP)
		return NEVER;
	if (p->replace == REPLACE_CANARY)
		return p->canary_by;
	/* An event ends what is under way, and makes room. */
	if (p->replace != REPLACE_IDLE || !pool_has_room(p))
		return NEVER;
	return p->reload == RELOAD_OFF && p->nexpired > 0 ?
	    due_after(p, p->nexpired == p->noversize) : NEVER;
}
