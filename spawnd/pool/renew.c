/* SPDX-License-Identifier: ISC */
/*
 * A worker that is ready, and how it is replaced: by a reload, or because it
 * is too old, too large or too long at one request. There is always first one
 * worker more, and when that is ready one of the old less.
 */
#include <signal.h>
#include <stddef.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
overdue_pause(const struct pool *p)
{
	uint64_t pause = p->conf.request_timeout / 8;

	if (pause < POOL_OVERDUE_LEAST)
		return POOL_OVERDUE_LEAST;
	return smaller(pause, POOL_OVERDUE);
}

void
renew_look_overdue(struct pool *p, struct slot *s, uint64_t now)
{
	if (now < s->overdue_at)
		return;
	s->overdue_at = slot_later(now, overdue_pause(p));
	slot_push(p, s, POOL_OVERDUE_LOOK);
}

/* The next thing that is due of a ready worker. */
static void
arm(struct pool *p, struct slot *s)
{
	slot_deadline(p, s, smaller(smaller(s->expires, s->measure_at),
	    smaller(s->overdue_at, s->prove_at)));
}

void
renew_ready(struct pool *p, struct slot *s, uint64_t now)
{
	const struct pool_conf *c = &p->conf;

	if (s->ready == 0)
		s->ready = now;
	s->expires = s->measure_at = s->overdue_at = s->prove_at = NEVER;
	s->late = 0;
	/* Workers that started together part. */
	if (c->max_age != 0)
		s->expires = slot_later(s->ready, c->max_age - slot_random(p) %
		    (c->max_age / POOL_AGE_SPREAD + 1));
	if (c->max_rss != 0)
		s->measure_at = slot_later(now, POOL_MEASURE +
		    slot_random(p) % POOL_MEASURE);
	if (c->request_timeout != 0)
		s->overdue_at = slot_later(now, overdue_pause(p));
	slot_enter(p, s, SLOT_READY, NEVER);
	arm(p, s);
}

/* first, doubled n - 1 times, at most last. */
static uint64_t
doubled(uint64_t first, unsigned int n, uint64_t last)
{
	while (n-- > 1 && first < last)
		first *= 2;
	return smaller(first, last);
}

void
renew_forget(struct pool *p, struct slot *s)
{
	if (s->expired)
		p->nexpired--;
	if (s->oversize)
		p->noversize--;
	s->expired = s->oversize = false;
}

/* Without a pause a new worker that ends at once would be a loop. */
void
renew_in_vain(struct pool *p, const struct slot *s)
{
	p->renew_after = slot_later(s->spawned, doubled(POOL_FAIL_FIRST,
	    ++p->renewals, POOL_FAIL_LAST));
}

static void
expire(struct pool *p, struct slot *s, uint64_t *count)
{
	if (s->expired)
		return;
	s->expired = true;
	p->nexpired++;
	(*count)++;
}

/* Its age is a reason of its own, and waits for nothing. */
static void
expire_old(struct pool *p, struct slot *s)
{
	expire(p, s, &p->counts.aged);
	if (s->oversize)
		p->noversize--;
	s->oversize = false;
}

void
renew_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	if (now >= s->expires) {
		s->expires = NEVER;
		expire_old(p, s);
	}
	if (now >= s->measure_at) {
		s->measure_at = slot_later(now, POOL_MEASURE);
		slot_push(p, s, POOL_MEASURE_SIZE);
	}
	renew_look_overdue(p, s, now);
	if (now >= s->prove_at) {
		s->prove_at = NEVER;
		if (s == p->extra && !p->proven) {
			s->pause = smaller(s->pause * 2, POOL_PROOF_LAST);
			s->prove_at = slot_later(now, s->pause);
			slot_push(p, s, POOL_PROVE);
		}
	}
	arm(p, s);
}

/*
 * One that is too large as soon as it serves has not grown: the limit is below
 * what the program needs, and the next one would be no better. So each is kept
 * for longer and longer, up to a minute; those that are too large meanwhile
 * are not counted.
 */
static void
grown_soon(struct pool *p, const struct slot *s, uint64_t now)
{
	uint64_t pause;

	if (now - s->ready >= POOL_SOON ||
	    now - p->soon_at > 2 * POOL_SOON_LAST)
		p->soon = 0;
	if (now - s->ready >= POOL_SOON || now < p->resize_after)
		return;
	p->soon++;
	p->soon_at = now;
	pause = doubled(POOL_SOON_FIRST, p->soon, POOL_SOON_LAST);
	p->resize_after = slot_later(now, pause);
	if (p->soon == POOL_SOON_MAX)
		slot_notice(p, NOTICE_TOO_SMALL, NULL)->delay = POOL_SOON_LAST;
}

void
renew_measured(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (p->conf.max_rss == 0 || ev->size <= p->conf.max_rss || s->expired)
		return;
	expire(p, s, &p->counts.grown);
	s->oversize = true;
	p->noversize++;
	slot_notice(p, NOTICE_GROWN, s)->size = ev->size;
	grown_soon(p, s, now);
}

/* Who serves an old request is told first, and killed at the next look. */
void
renew_overdue(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	const struct overdue *o = &ev->overdue;
	struct pool_notice *n;
	struct pool_action *a;
	bool again = o->late && s->late == o->pid;

	s->late = o->late ? o->pid : 0;
	if (!o->late)
		return;
	if (!again) {
		n = slot_notice(p, NOTICE_LATE, s);
		n->holder = o->pid;
		n->age = o->age;
		p->counts.timed_out++;
		s->overdue_at = slot_later(now, POOL_FAST_STOP);
		if (s->state == SLOT_READY)
			arm(p, s);
	}
	s->timed_out = o->pid == s->pid;
	a = slot_push(p, s, POOL_SIGNAL_HOLDER);
	a->pid = o->pid;
	a->signo = again ? SIGKILL : p->conf.stop_signal;
}

/* A new worker has served when the connection it had is gone again. */
void
renew_proved(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	uint64_t connection = ev->exam.connection;

	(void)now;
	if (s != p->extra)
		return;
	if (s->served && connection != s->proof)
		p->proven = true;
	else if (connection != 0) {
		s->served = true;
		s->proof = connection;
	}
}

/* Did the reload's program serve a request, or was it given the time to? */
static bool
ask_proof(struct pool *p, uint64_t now)
{
	struct slot *s = p->extra;

	if (!p->reloading || p->proven || p->conf.proof == 0)
		return true;
	/* Not asked yet, or of another one, which is in question no more. */
	if (s->prove_at == NEVER) {
		p->prove_by = slot_later(now, p->conf.proof);
		s->served = false;
		s->pause = POOL_LOOK_FIRST;
		s->prove_at = slot_later(now, s->pause);
		arm(p, s);
	}
	p->proven = now >= p->prove_by;
	return p->proven;
}

void
renew_reload(struct pool *p)
{
	struct slot *s, *next;

	if (p->phase >= PHASE_STOP)
		return;	/* in the start it waits until that is over */
	p->reloading = true;
	p->proven = false;
	p->prove_by = NEVER;
	p->generation++;
	p->soon = 0;	/* of the old program */
	p->resize_after = 0;
	/* What is quiet now need not be waited for when its turn comes. */
	TAILQ_FOREACH(s, &p->lists[SLOT_READY], by_state)
		slot_push(p, s, POOL_EXAMINE);
	/* Whoever waits after a failure has nothing to lose. */
	TAILQ_FOREACH_SAFE(s, &p->lists[SLOT_BACKOFF], by_state, next) {
		s->quick = 0;
		slot_spawn(p, s);
	}
}

void
renew_failed(struct pool *p, const struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	struct pool_notice *n;

	if (!p->reloading || s->generation != p->generation)
		return;
	p->reloading = false;
	p->extra = NULL;
	p->counts.reloads_failed++;
	n = slot_notice(p, NOTICE_RELOAD_FAILED, s);
	n->failed = ev->failed;
	n->error = ev->error;
	n->status = ev->status;
	n->exec_failed = ev->exec_failed;
	n->was_ready = s->ready != 0;
	n->age = now - s->spawned;
}

static bool
is_old(const struct pool *p, const struct slot *s)
{
	return s != p->extra && (s->expired ||
	    (p->reloading && s->generation != p->generation));
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* When a replacement may begin; those that are too large may have to wait. */
static uint64_t
due_after(const struct pool *p, bool oversize)
{
	if (p->reloading)
		return 0;
	return oversize ? larger(p->renew_after, p->resize_after) :
	    p->renew_after;
}

struct slot *
renew_find_old(const struct pool *p, uint64_t now)
{
	static const enum slot_state states[] = { SLOT_STARTING, SLOT_READY };
	struct slot *s, *later = NULL;
	size_t i;

	if (!p->reloading && p->nexpired == 0)
		return NULL;
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		TAILQ_FOREACH(s, &p->lists[states[i]], by_state) {
			if (!is_old(p, s))
				continue;
			if (now >= due_after(p, s->oversize))
				return s;
			if (later == NULL)
				later = s;
		}
	}
	return later;
}

/* Is there a slot that no worker of this reload was ever ready in? */
static bool
find_unproven(const struct pool *p)
{
	static const enum slot_state states[] = { SLOT_SPAWNING,
	    SLOT_STARTING, SLOT_STOPPING, SLOT_KILLED, SLOT_BACKOFF };
	struct slot *s;
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		TAILQ_FOREACH(s, &p->lists[states[i]], by_state) {
			if (!s->leaving && s->proven != p->generation)
				return true;
		}
	}
	return false;
}

static void
reload_done(struct pool *p)
{
	if (!p->reloading || find_unproven(p))
		return;
	p->reloading = false;
	p->counts.reloads++;
	slot_notice(p, NOTICE_RELOADED, NULL);
}

/* Is there something to replace, and nothing that has to come first? */
static bool
take_turn(struct pool *p, uint64_t now)
{
	if (p->phase != PHASE_UP || p->going != NULL ||
	    (!p->reloading && p->nexpired == 0 && p->extra == NULL))
		return false;
	if (p->extra != NULL && p->reloading &&
	    p->extra->generation != p->generation)
		p->extra = NULL;	/* a second reload overtook it */
	if (p->extra != NULL && (p->extra->state != SLOT_READY ||
	    !ask_proof(p, now)))
		return false;
	if (p->extra != NULL) {
		p->renewals = 0;
		p->unfit = true;	/* should there be no old one left */
	}
	p->extra = NULL;
	return true;
}

void
renew_step(struct pool *p, uint64_t now)
{
	struct slot *old;

	if (!take_turn(p, now))
		return;
	if ((old = renew_find_old(p, now)) == NULL)
		reload_done(p);
	else if (pool_staying(p) > p->target) {
		p->going = old;
		slot_end(p, old, now);
	} else if (now >= due_after(p, old->oversize) &&
	    pool_has_room(p) && (p->extra = pool_empty(p)) != NULL)
		slot_spawn(p, p->extra);
}

uint64_t
renew_deadline(const struct pool *p)
{
	if (p->phase != PHASE_UP || p->going != NULL)
		return NEVER;
	if (p->extra == NULL && !pool_has_room(p))
		return NEVER;	/* until one that leaves is gone */
	if (p->extra != NULL)
		return p->reloading && !p->proven &&
		    p->extra->state == SLOT_READY ? p->prove_by : NEVER;
	return !p->reloading && p->nexpired > 0 ?
	    due_after(p, p->nexpired == p->noversize) : NEVER;
}
