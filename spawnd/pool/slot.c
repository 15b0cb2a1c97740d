/* SPDX-License-Identifier: ISC */
/*
 * One slot of the pool: its state and deadline, the actions that are queued
 * for it, and what becomes of it once its process is gone. No system call is
 * made here.
 */
#include <sys/wait.h>

#include <signal.h>
#include <stdlib.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"

static int
time_compare(const struct slot *a, const struct slot *b)
{
	if (a->deadline != b->deadline)
		return a->deadline < b->deadline ? -1 : 1;
	return (a > b) - (a < b);
}

RB_GENERATE_INTERNAL(slot_times, slot, by_time, time_compare,
    static __attribute__((unused)))

static unsigned int
slot_number(const struct pool *p, const struct slot *s)
{
	return (unsigned int)(s - p->slots);
}

/* The ring holds more than one event can ever cause, or one is lost. */
static struct pool_action *
overflow(struct pool *p)
{
	p->counts.overflows++;
	p->spilt = (struct pool_action){ .what = POOL_NOTICE };
	return &p->spilt;
}

/* Queues an action; the last place of the ring is for that none is left. */
static struct pool_action *
push(struct pool *p)
{
	struct pool_action *a;

	if (p->queued >= p->nactions - 1 && p->counts.overflows > 0)
		return overflow(p);
	a = &p->actions[(p->head + p->queued++) % p->nactions];
	*a = (struct pool_action){ .what = POOL_NOTICE };
	if (p->queued < p->nactions)
		return a;
	a->notice.what = NOTICE_OVERFLOW;
	return overflow(p);
}

struct pool_action *
slot_push(struct pool *p, const struct slot *s, enum pool_action_kind what)
{
	struct pool_action *a = push(p);

	a->what = what;
	a->slot = slot_number(p, s);
	return a;
}

void
slot_signal(struct pool *p, const struct slot *s, int signo, bool whole)
{
	struct pool_action *a = slot_push(p, s, POOL_SIGNAL);

	a->signo = signo;
	a->whole = whole;
}

struct pool_notice *
slot_notice(struct pool *p, enum notice what, const struct slot *s)
{
	struct pool_notice *n = &push(p)->notice;

	n->what = what;
	if (s != NULL) {
		n->slot = slot_number(p, s);
		n->pid = s->pid;
		n->failures = s->failures;
	}
	return n;
}

void
slot_deadline(struct pool *p, struct slot *s, uint64_t when)
{
	if (s->deadline != NEVER)
		RB_REMOVE(slot_times, &p->times, s);
	s->deadline = when;
	if (when != NEVER)
		RB_INSERT(slot_times, &p->times, s);
}

void
slot_enter(struct pool *p, struct slot *s, enum slot_state state, uint64_t when)
{
	TAILQ_REMOVE(&p->lists[s->state], s, by_state);
	p->count[s->state]--;
	s->state = state;
	TAILQ_INSERT_TAIL(&p->lists[state], s, by_state);
	p->count[state]++;
	slot_deadline(p, s, when);
}

uint64_t
slot_later(uint64_t now, uint64_t pause)
{
	return now > NEVER - pause ? NEVER : now + pause;
}

void
slot_serves(struct slot *s, const struct activity *x, uint64_t now)
{
	s->connection = x->connection;
	s->age = x->age;
	s->begun = x->age < now ? now - x->age : 0;
	s->several = x->threaded || x->is_event_loop;
}

uint64_t
slot_doubled(uint64_t first, unsigned int n, uint64_t last)
{
	while (n-- > 1 && first < last)
		first *= 2;
	return min64(first, last);
}

uint64_t
slot_random(struct pool *p)
{
	uint64_t x = p->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	p->random = x;
	return x;
}

void
slot_spawn(struct pool *p, struct slot *s)
{
	slot_push(p, s, POOL_SPAWN);
	s->pid = s->slow_pid = 0;
	s->ready = 0;
	s->request_timed_out = s->term_sent = s->drain_helper = false;
	s->generation = p->generation;
	s->start_timed_out = s->elsewhere = s->elsewhere_yet = false;
	s->seen = false;
	slot_enter(p, s, SLOT_SPAWNING, NEVER);
}

void
slot_spawn_after(struct pool *p, struct slot *s, uint64_t now, uint64_t delay)
{
	if (delay == 0)
		slot_spawn(p, s);
	else
		slot_enter(p, s, SLOT_BACKOFF, slot_later(now, delay));
}

bool
slot_vacate(struct pool *p, struct slot *s)
{
	/* In a stop none is wanted. */
	if (!s->retiring_for_good &&
	    (pool_staying(p) <= p->target || replace_is_new(p, s)))
		return false;
	freeze_forget(p, s);
	replace_forget(p, s);
	replace_vacated(p, s);
	if (s->retiring_for_good)
		p->nretiring--;
	if (s->orphan)
		p->norphans--;
	s->retiring_for_good = s->orphan = false;
	s->pid = 0;
	s->failures = s->exit0_streak = 0;
	slot_enter(p, s, SLOT_EMPTY, NEVER);
	return true;
}

/* The stop signal, and KILL when it is not heeded. */
void
slot_stop(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	uint64_t pause = p->fast ? min64(POOL_FAST_STOP,
	    p->conf.stop_timeout) : p->conf.stop_timeout;
	uint64_t when = min64(slot_later(now, pause), p->stop_by);

	(void)ev;
	if (s->state == SLOT_STARTING || s->state == SLOT_READY) {
		s->busy = false;	/* not that it was seen */
		s->age = 0;
	} else
		when = min64(when, s->end_by);
	s->end_by = when;
	slot_signal(p, s, p->conf.stop_signal, true);
	slot_enter(p, s, SLOT_STOPPING, when);
}

void
slot_recycle(struct pool *p, struct slot *s)
{
	p->counts.recycled++;
	p->drain_failures = 0;
	if (slot_vacate(p, s))
		return;
	replace_forget(p, s);
	slot_spawn(p, s);
}

/* Is that the end of a worker as it is to be expected? */
static bool
is_expected(const struct pool *p, const struct slot *s, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	/* Once the socket is shut accept(2) fails, which not all expect. */
	return s->request_timed_out ||
	    (p->drain >= DRAIN_SHUT && WIFEXITED(status));
}

void
slot_ready_exit(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	struct pool_notice *n;
	uint64_t delay = 0;

	if (is_expected(p, s, ev->status)) {
		replace_served(p, s);
		slot_recycle(p, s);
		return;
	}
	p->counts.crashed++;
	replace_crashed(p, s, ev, now);
	n = slot_notice(p, NOTICE_EXIT, s);
	n->status = ev->status;
	n->was_ready = true;
	n->age = now - s->spawned;
	if (slot_vacate(p, s))
		return;
	replace_forget(p, s);
	delay = pool_take_token(p, now);
	n->delay = delay;
	slot_spawn_after(p, s, now, delay);
}

void
slot_orphan(struct pool *p, struct slot *s, pid_t pid, uint64_t now)
{
	s->pid = pid;
	s->spawned = now;
	s->start_timed_out = s->elsewhere = s->term_sent = false;
	s->request_timed_out = s->drain_helper = false;
	s->orphan = true;
	s->ready = 0;
	s->slow_pid = 0;
	p->norphans++;
	slot_push(p, s, POOL_ADOPT)->pid = pid;
	slot_enter(p, s, SLOT_READY, NEVER);
	slot_end(p, s, now);
}

void
slot_end(struct pool *p, struct slot *s, uint64_t now)
{
	struct pool_event ev = { .what = EV_END };

	table_event(p, s, &ev, now);
}

struct slot *
slot_next_due(const struct pool *p)
{
	/* RB_MIN takes no const head but changes nothing. */
	struct slot_times head = p->times;

	return RB_MIN(slot_times, &head);
}

void
slot_fall_due(struct pool *p, struct slot *s, uint64_t now)
{
	struct pool_event ev = { .what = EV_TIMER };

	slot_deadline(p, s, NEVER);
	table_event(p, s, &ev, now);
}
