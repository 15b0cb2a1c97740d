/* SPDX-License-Identifier: ISC */
/*
 * The pool as a whole: its start, its reload and its end, made of what
 * happens to the slots. Like slot.c it makes no system call.
 */
#include <sys/wait.h>

#include <stdlib.h>

#include "base/units.h"
#include "pool/drain.h"
#include "pool/pool.h"
#include "pool/slot.h"
#include "pool/trace.h"

unsigned int
pool_active(const struct pool *p)
{
	return p->nslots - p->count[SLOT_EMPTY];
}

unsigned int
pool_staying(const struct pool *p)
{
	return pool_active(p) - p->nretiring;
}

bool
pool_has_room(const struct pool *p)
{
	return pool_active(p) - p->norphans < p->conf.processes;
}

unsigned int
pool_surge(unsigned int surge, unsigned int workers)
{
	if (surge == 0)
		surge = workers / POOL_SURGE_SHARE;
	return surge > 0 ? surge : 1;
}

uint64_t
pool_take_token(struct pool *p, uint64_t now)
{
	int64_t size = p->target > 0 ? p->target : 1;
	int64_t rate = size * POOL_REFILL;
	int64_t full = size * POOL_TOKENS * (int64_t)USEC;
	uint64_t spent = now - p->refilled;

	p->refilled = now;
	if (p->tokens > full || spent > (uint64_t)((full - p->tokens) / rate))
		p->tokens = full;
	else
		p->tokens += (int64_t)spent * rate;
	p->tokens -= (int64_t)USEC;
	if (p->tokens >= 0)
		return 0;
	return (uint64_t)(-p->tokens / rate) + 1;
}

static void
end_all(struct pool *p, uint64_t now)
{
	unsigned int i;

	for (i = 0; i < p->nused; i++)
		slot_end(p, &p->slots[i], now);
}

static void
stop_all(struct pool *p, bool fast, uint64_t now)
{
	bool was_up = p->phase == PHASE_UP;
	unsigned int width = p->target;

	p->fast = fast;
	if (p->phase != PHASE_STOP)
		p->stop_by = slot_later(now, p->conf.stop_timeout);
	p->phase = PHASE_STOP;
	announce_end(p);
	p->reload = RELOAD_OFF;
	p->target = 0;
	end_all(p, now);
	if (was_up && !fast && p->conf.drains && !p->conf.shared)
		drain_begin(p, width, now);
}

static void
pool_stop(struct pool *p, bool fast, uint64_t now)
{
	if (p->phase == PHASE_DONE || p->fast)
		return;
	stop_all(p, fast || p->phase == PHASE_STOP, now);
}

struct slot *
pool_empty(struct pool *p)
{
	struct slot *s = TAILQ_FIRST(&p->lists[SLOT_EMPTY]);

	if (s != NULL || p->nused == p->nslots)
		return s;
	s = &p->slots[p->nused++];
	s->deadline = NEVER;
	s->start_decided = p->phase != PHASE_START ||
	    p->nused > p->conf.workers;
	TAILQ_INSERT_TAIL(&p->lists[SLOT_EMPTY], s, by_state);
	return s;
}

/* The newest that has not much to lose goes first, and what is old before. */
static struct slot *
find_surplus(const struct pool *p, uint64_t now)
{
	static const enum slot_state states[] = { SLOT_BACKOFF, SLOT_SPAWNING,
	    SLOT_STARTING, SLOT_READY };
	struct slot *s;
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (states[i] == SLOT_READY &&
		    (s = replace_find_old(p, now)) != NULL)
			return s;
		TAILQ_FOREACH_REVERSE(s, &p->lists[states[i]], slot_list,
		    by_state) {
			if (!replace_is_surge(s) && !s->retiring_for_good)
				return s;
		}
	}
	return NULL;
}

/* One more: a worker that was to go, but was sent no signal yet, stays. */
static bool
add_one(struct pool *p, uint64_t now)
{
	struct slot *s, *next;

	TAILQ_FOREACH_SAFE(s, &p->lists[SLOT_RETIRING], by_state, next) {
		if (retire_undo(p, s, now))
			return true;
	}
	if (!pool_has_room(p) || (s = pool_empty(p)) == NULL)
		return false;
	slot_spawn(p, s);
	return true;
}

/* As many workers as are wanted, and those that are to replace others. */
static void
fit_step(struct pool *p, uint64_t now)
{
	struct slot *s;

	if (p->phase != PHASE_UP || !p->resize_pending)
		return;
	while (pool_staying(p) < p->target && add_one(p, now))
		continue;
	while (pool_staying(p) > p->target + p->nsurge &&
	    (s = find_surplus(p, now)) != NULL)
		slot_end(p, s, now);
	p->resize_pending = pool_staying(p) != p->target + p->nsurge;
}

/* Who gets no slot now is found again. */
static void
take_orphan(struct pool *p, pid_t pid, uint64_t now)
{
	struct slot *s;

	if (p->norphans < POOL_ORPHANS && p->phase != PHASE_DONE &&
	    (s = pool_empty(p)) != NULL)
		slot_orphan(p, s, pid, now);
}

static void
pool_give_up(struct pool *p, enum start_failure why, uint64_t now)
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
	if (p->first_ready != NEVER || p->conf.workers == 0) {
		if (p->undecided > 0 && now < p->deadline)
			return;
		p->phase = PHASE_UP;
		p->deadline = NEVER;
		slot_notice(p, NOTICE_READY, NULL)->ready =
		    p->count[SLOT_READY];
	} else if (ev != NULL && ev->what == EV_EXIT && ev->exec_failed)
		pool_give_up(p, FAILED_EXEC, now);
	else if (p->given_up >= p->conf.workers)
		pool_give_up(p, FAILED_TRIES, now);
	else if (now >= p->deadline)
		pool_give_up(p, FAILED_TIME, now);
}

/* What follows from an event for the pool as a whole. */
static void
pool_step(struct pool *p, const struct pool_event *ev, uint64_t now)
{
	start_step(p, ev, now);
	replace_step(p, now);
	fit_step(p, now);
	if (p->phase == PHASE_STOP && drain_step(p, now)) {
		p->phase = PHASE_DONE;
		slot_notice(p, NOTICE_DONE, NULL);
	}
}

struct pool *
pool_new(const struct pool_conf *c, uint64_t now)
{
	struct pool *p;
	unsigned int i, most;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->conf = *c;
	if (p->conf.max < c->workers)
		p->conf.max = c->workers;
	most = p->conf.max + pool_surge(c->surge, p->conf.max);
	if (c->processes == 0 || c->processes > most)
		p->conf.processes = most;
	p->nslots = most + POOL_ORPHANS;
	p->nactions = 4 * p->nslots + 16;
	p->slots = calloc(p->nslots, sizeof(*p->slots));
	p->actions = calloc(p->nactions, sizeof(*p->actions));
	if (p->slots == NULL || p->actions == NULL) {
		pool_free(p);
		return NULL;
	}
	p->target = c->workers;
	p->random = c->seed | 1;
	p->refilled = p->trace.began = p->trace.now = now;
	p->tokens = (int64_t)c->workers * POOL_TOKENS * (int64_t)USEC;
	p->first_ready = NEVER;
	p->stop_at = p->stop_by = p->drain_at = NEVER;
	p->deadline = slot_later(now, c->start_timeout);
	p->undecided = c->workers;
	RB_INIT(&p->times);
	for (i = 0; i < SLOT_NSTATES; i++)
		TAILQ_INIT(&p->lists[i]);
	p->count[SLOT_EMPTY] = p->nslots;
	for (i = 0; i < c->workers; i++)
		slot_spawn(p, pool_empty(p));
	if (c->workers == 0)
		pool_step(p, NULL, now);
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

static void
set_target(struct pool *p, unsigned int workers)
{
	if (p->phase >= PHASE_STOP)
		return;
	p->target = workers < p->conf.max ? workers : p->conf.max;
	p->resize_pending = true;
}

void
pool_event(struct pool *p, const struct pool_event *ev, uint64_t now)
{
	trace_event(p, ev, now);
	switch (ev->what) {
	case EV_RELOAD:
		replace_reload(p);
		break;
	case EV_ANNOUNCE:
		announce_begin(p, ev->delay, now);
		break;
	case EV_RESUME:
		announce_end(p);
		break;
	case EV_SATURATED:
	case EV_RELIEVED:
		break;
	case EV_TARGET:
		set_target(p, ev->workers);
		break;
	case EV_SHARED:
		/* In a stop it is decided already. */
		if (p->phase < PHASE_STOP)
			p->conf.shared = ev->shared;
		break;
	case EV_QUEUE:
		drain_queue(p, &ev->queue, now);
		break;
	case EV_ORPHAN:
		take_orphan(p, ev->pid, now);
		break;
	case EV_STOP:
	case EV_STOP_FAST:
		pool_stop(p, ev->what == EV_STOP_FAST, now);
		break;
	default:
		if (ev->slot < p->nslots)
			table_event(p, &p->slots[ev->slot], ev, now);
		else
			table_never(p, NULL, ev, now);
		break;
	}
	pool_step(p, ev, now);
	trace_event_done(p, ev);
}

void
pool_tick(struct pool *p, uint64_t now)
{
	struct slot *s;

	trace_event(p, NULL, now);
	/* The rest falls due again at once, when others had their turn. */
	while ((s = slot_next_due(p)) != NULL && s->deadline <= now &&
	    p->queued < POOL_ACTIVITY_CHECKS && p->queued < p->nactions / 2)
		slot_fall_due(p, s, now);
	announce_tick(p, now);
	drain_tick(p, now);
	pool_step(p, NULL, now);
}

uint64_t
pool_deadline(const struct pool *p)
{
	const struct slot *s = slot_next_due(p);
	uint64_t when = p->phase == PHASE_START ? p->deadline : NEVER;

	if (p->phase == PHASE_DONE)
		return NEVER;
	if (s != NULL)
		when = min64(when, s->deadline);
	when = min64(when, p->stop_at);
	return min64(min64(when, replace_deadline(p)), p->drain_at);
}

bool
pool_next(struct pool *p, struct pool_action *a)
{
	if (p->queued == 0)
		return false;
	*a = p->actions[p->head];
	p->head = (p->head + 1) % p->nactions;
	/* From the front again: what was never written costs no memory. */
	if (--p->queued == 0)
		p->head = 0;
	trace_action(p, a);
	return true;
}

bool
pool_wants_spawn(const struct pool *p, unsigned int slot)
{
	return !p->slots[slot].retiring_for_good;
}

bool
pool_wants_door(const struct pool *p, unsigned int slot)
{
	return drain_wants_door(p, &p->slots[slot]);
}

bool
pool_wants_queue(const struct pool *p, unsigned int slot)
{
	const struct slot *s = &p->slots[slot];

	return s->state == SLOT_STARTING || s->drain_helper;
}

bool
pool_wants_cause(const struct pool *p, unsigned int slot)
{
	const struct slot *s = &p->slots[slot];

	return s->state == SLOT_STARTING && (p->first_ready == NEVER ||
	    replace_is_new(p, s));
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

unsigned int
pool_target(const struct pool *p)
{
	return p->target;
}

unsigned int
pool_max(const struct pool *p)
{
	return p->conf.max;
}

enum pool_phase
pool_phase(const struct pool *p)
{
	return p->phase;
}

bool
pool_reloading(const struct pool *p)
{
	return p->reload != RELOAD_OFF;
}

bool
pool_is_announced(const struct pool *p)
{
	return p->announced;
}

uint64_t
pool_stop_at(const struct pool *p)
{
	return p->stop_at;
}

const struct pool_counts *
pool_counts(const struct pool *p)
{
	return &p->counts;
}

bool
pool_worker(const struct pool *p, unsigned int slot, struct pool_worker *w)
{
	const struct slot *s = &p->slots[slot];

	if (slot >= p->nslots || s->state == SLOT_EMPTY)
		return false;
	*w = (struct pool_worker){ .slot = slot, .state = s->state,
	    .pid = s->pid, .spawned = s->spawned, .ready = s->ready,
	    .due = s->state == SLOT_BACKOFF ? s->deadline : 0,
	    .generation = s->generation, .orphan = s->orphan };
	return true;
}
