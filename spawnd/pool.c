/* SPDX-License-Identifier: ISC */
/*
 * The pool as a whole: its start, its reload and its end, made of what
 * happens to the slots. Like slot.c it makes no system call.
 */
#include <sys/wait.h>

#include <assert.h>
#include <stdlib.h>

#include "slot.h"

unsigned int
pool_active(const struct pool *p)
{
	return p->nslots - p->count[SLOT_EMPTY];
}

/* How many slots will still be there when those that leave are gone. */
unsigned int
pool_staying(const struct pool *p)
{
	return pool_active(p) - p->nleaving;
}

uint64_t
pool_take_token(struct pool *p, uint64_t now)
{
	int64_t rate = (int64_t)p->conf.workers * POOL_REFILL;
	int64_t full = (int64_t)p->conf.workers * POOL_TOKENS * (int64_t)USEC;
	uint64_t spent = now - p->refilled;

	p->refilled = now;
	if (spent > (uint64_t)((full - p->tokens) / rate))
		p->tokens = full;
	else
		p->tokens += (int64_t)spent * rate;
	p->tokens -= (int64_t)USEC;
	if (p->tokens >= 0)
		return 0;
	return (uint64_t)(-p->tokens / rate) + 1;
}

static void
stop_all(struct pool *p, bool fast, uint64_t now)
{
	unsigned int i;

	p->fast = fast;
	if (p->phase != PHASE_STOP)
		p->stop_by = slot_later(now, p->conf.stop_timeout);
	p->phase = PHASE_STOP;
	p->reloading = false;
	for (i = 0; i < p->nslots; i++)
		slot_end(p, &p->slots[i], now);
}

static void
stop(struct pool *p, bool fast, uint64_t now)
{
	if (p->phase == PHASE_DONE || p->fast)
		return;
	stop_all(p, fast || p->phase == PHASE_STOP, now);
}

static void
reload(struct pool *p)
{
	struct slot *s, *next;

	if (p->phase >= PHASE_STOP)
		return;	/* in the start it waits until that is over */
	p->reloading = true;
	p->generation++;
	/* What is quiet now need not be waited for when its turn comes. */
	TAILQ_FOREACH(s, &p->lists[SLOT_READY], by_state)
		slot_push(p, s, POOL_EXAMINE);
	/* Whoever waits after a failure has nothing to lose. */
	TAILQ_FOREACH_SAFE(s, &p->lists[SLOT_BACKOFF], by_state, next) {
		s->quick = 0;
		slot_spawn(p, s);
	}
}

/* One slot is kept free for a reload; who gets none now is found again. */
static void
take_stray(struct pool *p, pid_t pid, uint64_t now)
{
	if (p->count[SLOT_EMPTY] > 1 && p->phase != PHASE_DONE)
		slot_stray(p, TAILQ_LAST(&p->lists[SLOT_EMPTY], slot_list),
		    pid, now);
}

static struct slot *
find_old(const struct pool *p, enum slot_state state)
{
	struct slot *s;

	TAILQ_FOREACH(s, &p->lists[state], by_state) {
		if (s->generation != p->generation && s != p->extra)
			return s;
	}
	return NULL;
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

/*
 * One step of a rolling reload, if it is time for one: first one worker more,
 * then, when that is ready, one of the old less, and so on.
 */
static void
reload_step(struct pool *p, uint64_t now)
{
	struct slot *old;

	if (!p->reloading || p->phase != PHASE_UP || p->going != NULL)
		return;
	if (p->extra != NULL && p->extra->generation != p->generation)
		p->extra = NULL;	/* a second reload overtook it */
	if (p->extra != NULL && p->extra->state != SLOT_READY)
		return;
	p->extra = NULL;
	if ((old = find_old(p, SLOT_STARTING)) == NULL &&
	    (old = find_old(p, SLOT_READY)) == NULL) {
		if (find_unproven(p))
			return;
		p->reloading = false;
		slot_notice(p, NOTICE_RELOADED, NULL);
		return;
	}
	if (pool_staying(p) > p->conf.workers) {
		p->going = old;
		slot_end(p, old, now);
	} else if ((p->extra = TAILQ_FIRST(&p->lists[SLOT_EMPTY])) != NULL)
		slot_spawn(p, p->extra);
}

static void
give_up(struct pool *p, int why, uint64_t now)
{
	slot_notice(p, NOTICE_FAILED, NULL)->why = why;
	stop_all(p, true, now);
}

/* Is the start over, and how did it go? */
static void
start_step(struct pool *p, const struct pool_event *ev, uint64_t now)
{
	if (p->phase != PHASE_START)
		return;
	if (p->first_ready != NEVER) {
		if (p->unsettled > 0 && now < p->deadline)
			return;
		p->phase = PHASE_UP;
		p->deadline = NEVER;
		slot_notice(p, NOTICE_READY, NULL)->ready =
		    p->count[SLOT_READY];
	} else if (ev != NULL && ev->what == EV_EXIT && ev->exec_failed)
		give_up(p, FAILED_EXEC, now);
	else if (p->given_up >= p->conf.workers)
		give_up(p, FAILED_TRIES, now);
	else if (now >= p->deadline)
		give_up(p, FAILED_TIME, now);
}

/* What follows from an event for the pool as a whole. */
static void
step(struct pool *p, const struct pool_event *ev, uint64_t now)
{
	start_step(p, ev, now);
	reload_step(p, now);
	if (p->phase == PHASE_STOP && pool_active(p) == 0) {
		p->phase = PHASE_DONE;
		slot_notice(p, NOTICE_DONE, NULL);
	}
}

struct pool *
pool_new(const struct pool_conf *c, uint64_t now)
{
	struct pool *p;
	unsigned int i;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->nslots = c->workers + 1 + POOL_STRAYS;
	p->nactions = 4 * p->nslots + 16;
	p->slots = calloc(p->nslots, sizeof(*p->slots));
	p->actions = calloc(p->nactions, sizeof(*p->actions));
	if (p->slots == NULL || p->actions == NULL) {
		pool_free(p);
		return NULL;
	}
	p->conf = *c;
	p->random = c->seed | 1;
	p->refilled = now;
	p->tokens = (int64_t)c->workers * POOL_TOKENS * (int64_t)USEC;
	p->first_ready = NEVER;
	p->stop_by = NEVER;
	p->deadline = slot_later(now, c->start_timeout);
	p->unsettled = c->workers;
	RB_INIT(&p->times);
	for (i = 0; i < SLOT_NSTATES; i++)
		TAILQ_INIT(&p->lists[i]);
	for (i = 0; i < p->nslots; i++) {
		p->slots[i].deadline = NEVER;
		p->slots[i].settled = i >= c->workers;
		TAILQ_INSERT_TAIL(&p->lists[SLOT_EMPTY], &p->slots[i],
		    by_state);
		p->count[SLOT_EMPTY]++;
	}
	for (i = 0; i < c->workers; i++)
		slot_spawn(p, &p->slots[i]);
	return p;
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	free(p->slots);
	free(p->actions);
	free(p);
}

unsigned int
pool_slots(const struct pool *p)
{
	return p->nslots;
}

void
pool_event(struct pool *p, const struct pool_event *ev, uint64_t now)
{
	switch (ev->what) {
	case EV_RELOAD:
		reload(p);
		break;
	case EV_STRAY:
		take_stray(p, ev->pid, now);
		break;
	case EV_STOP:
	case EV_STOP_FAST:
		stop(p, ev->what == EV_STOP_FAST, now);
		break;
	default:
		assert(ev->what < EV_NSLOT && ev->slot < p->nslots);
		slot_event(p, &p->slots[ev->slot], ev, now);
		break;
	}
	step(p, ev, now);
}

void
pool_tick(struct pool *p, uint64_t now)
{
	struct slot *s;

	/* What is left over falls due again at once. */
	while ((s = slot_next_due(p)) != NULL && s->deadline <= now &&
	    p->queued < p->nactions / 2)
		slot_fall_due(p, s, now);
	step(p, NULL, now);
}

uint64_t
pool_deadline(const struct pool *p)
{
	const struct slot *s = slot_next_due(p);
	uint64_t when = p->phase == PHASE_START ? p->deadline : NEVER;

	return s != NULL && s->deadline < when ? s->deadline : when;
}

bool
pool_next(struct pool *p, struct pool_action *a)
{
	if (p->queued == 0)
		return false;
	*a = p->actions[p->head];
	p->head = (p->head + 1) % p->nactions;
	p->queued--;
	return true;
}

bool
pool_wants_queue(const struct pool *p, unsigned int slot)
{
	return p->slots[slot].state == SLOT_STARTING;
}

enum slot_state
pool_state(const struct pool *p, unsigned int slot)
{
	return p->slots[slot].state;
}

unsigned int
pool_count(const struct pool *p, enum slot_state state)
{
	return p->count[state];
}
