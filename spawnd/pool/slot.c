/* SPDX-License-Identifier: ISC */
/*
 * One slot of the pool. Everything it can go through stands in one table,
 * [state][event]; a handler changes the slot, sets its deadline and queues
 * what the caller has to do. No system call is made here.
 */
#include <sys/wait.h>

#include <assert.h>
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

/* Queues an action; the ring holds more than one event can ever cause. */
static struct pool_action *
push(struct pool *p)
{
	struct pool_action *a;

	assert(p->queued < p->nactions);
	a = &p->actions[(p->head + p->queued++) % p->nactions];
	*a = (struct pool_action){ .what = POOL_NOTICE };
	return a;
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

/* Puts a slot into a state; its deadline there is `when`. */
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

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
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
	s->pid = s->late = 0;
	s->ready = 0;
	s->timed_out = s->told = s->rest = false;
	s->generation = p->generation;
	s->slow = false;
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

/*
 * Empties a slot whose process is gone if it is to leave, or if there are
 * more than wanted: then the reload's extra worker has taken its place.
 * Returns false if a new worker is due instead.
 */
bool
slot_vacate(struct pool *p, struct slot *s)
{
	/* In a stop none is wanted. */
	if (!s->leaving &&
	    (pool_staying(p) <= p->target ||
	    (p->reloading && s->generation == p->generation)))
		return false;
	retire_forget(p, s);
	renew_forget(p, s);
	if (s->leaving)
		p->nleaving--;
	else {
		if (p->extra == s)
			renew_in_vain(p, s);
		p->extra = NULL;
	}
	if (s->orphan)
		p->norphans--;
	if (p->going == s)
		p->going = NULL;
	s->leaving = s->orphan = false;
	s->pid = 0;
	s->failures = s->quick = 0;
	slot_enter(p, s, SLOT_EMPTY, NEVER);
	return true;
}

/* The stop signal, and KILL when it is not heeded. */
void
slot_stop(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	uint64_t pause = p->fast ? smaller(POOL_FAST_STOP,
	    p->conf.stop_timeout) : p->conf.stop_timeout;
	uint64_t when = smaller(slot_later(now, pause), p->stop_by);

	(void)ev;
	if (s->state == SLOT_STARTING || s->state == SLOT_READY) {
		s->busy = false;	/* not that it was seen */
		s->age = 0;
	} else
		when = smaller(when, s->end_by);
	s->end_by = when;
	slot_signal(p, s, p->conf.stop_signal, true);
	slot_enter(p, s, SLOT_STOPPING, when);
}

static void
leave(struct pool *p, struct slot *s)
{
	if (s->leaving)
		return;
	renew_forget(p, s);
	if (p->extra == s)
		p->extra = NULL;
	s->leaving = true;
	p->nleaving++;
}

/*
 * A spawn that was handed out already is ended once it is there, and there
 * is nothing stronger than KILL.
 */
static void
on_leave(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	(void)now;
	leave(p, s);
}

static void
on_end_leaving(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	leave(p, s);
	if (p->fast) {
		retire_forget(p, s);
		slot_stop(p, s, ev, now);
		/* Should it be stopped: a pending signal is met at once. */
		slot_signal(p, s, SIGCONT, true);
	} else
		retire_begin(p, s, ev, now);
}

/* Once on its way only a fast stop makes a difference. */
static void
on_end_again(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	leave(p, s);
	if (p->fast)
		on_end_leaving(p, s, ev, now);
}

/* A worker has served and exits 0, as it should now and then. */
void
slot_recycle(struct pool *p, struct slot *s)
{
	p->counts.recycled++;
	p->drain_failures = 0;
	if (slot_vacate(p, s))
		return;
	renew_forget(p, s);
	slot_spawn(p, s);
}

/* Is that the end of a worker as it is to be expected? */
static bool
is_expected(const struct pool *p, const struct slot *s, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	/* Once the socket is shut accept(2) fails, which not all expect. */
	return s->timed_out || (p->shut && WIFEXITED(status));
}

void
slot_ready_exit(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	struct pool_notice *n;
	uint64_t delay = 0;

	if (is_expected(p, s, ev->status)) {
		if (s == p->extra)
			p->proven = true;
		slot_recycle(p, s);
		return;
	}
	p->counts.crashed++;
	if (s == p->extra && !p->proven && p->conf.proof != 0)
		renew_failed(p, s, ev, now);
	n = slot_notice(p, NOTICE_EXIT, s);
	n->status = ev->status;
	n->was_ready = true;
	n->age = now - s->spawned;
	if (slot_vacate(p, s))
		return;
	renew_forget(p, s);
	delay = pool_take_token(p, now);
	n->delay = delay;
	slot_spawn_after(p, s, now, delay);
}

static void
on_gone(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (s->told && !s->orphan)
		p->counts.retired++;
	drain_gone(p, s, ev->moved);
	if (s->slow)
		start_failed(p, s, ev, now);
	else if (!slot_vacate(p, s))
		slot_spawn(p, s);
}

static void
on_backoff_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	(void)now;
	slot_spawn(p, s);
}

static void
on_backoff_end(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	(void)now;
	leave(p, s);
	slot_vacate(p, s);
}

/* What is not in the table cannot happen or has no effect. */
static slot_handler *const table[SLOT_NSTATES][EV_NSLOT] = {
	[SLOT_SPAWNING] = {
		[EV_SPAWNED] = start_spawned,
		[EV_NOFORK] = start_nofork,
		[EV_END] = on_leave,
	},
	[SLOT_STARTING] = {
		[EV_LOOKED] = start_looked,
		[EV_EXIT] = start_exit,
		[EV_TIMER] = start_timer,
		[EV_END] = on_end_leaving,
	},
	[SLOT_READY] = {
		[EV_TIMER] = renew_timer,
		[EV_PROVED] = renew_proved,
		[EV_MEASURED] = renew_measured,
		[EV_OVERDUE] = renew_overdue,
		[EV_EXIT] = slot_ready_exit,
		[EV_END] = on_end_leaving,
	},
	[SLOT_RETIRING] = {
		[EV_EXAMINED] = retire_examined,
		[EV_OVERDUE] = renew_overdue,
		[EV_EXIT] = on_gone,
		[EV_TIMER] = retire_timer,
		[EV_END] = on_end_again,
	},
	[SLOT_FREEZING] = {
		[EV_HALTED] = retire_halted,
		[EV_EXAMINED] = retire_freeze_examined,
		[EV_EXIT] = on_gone,
		[EV_TIMER] = retire_freeze_timer,
		[EV_END] = on_end_again,
	},
	[SLOT_STOPPING] = {
		[EV_EXIT] = on_gone,
		[EV_TIMER] = retire_stop_timer,
		[EV_END] = on_end_again,
	},
	[SLOT_KILLED] = {
		[EV_EXIT] = on_gone,
		[EV_END] = on_leave,
	},
	[SLOT_BACKOFF] = {
		[EV_TIMER] = on_backoff_timer,
		[EV_END] = on_backoff_end,
	},
};

void
slot_event(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	slot_handler *h = table[s->state][ev->what];

	if (h != NULL)
		h(p, s, ev, now);
}

void
slot_orphan(struct pool *p, struct slot *s, pid_t pid, uint64_t now)
{
	s->pid = pid;
	s->spawned = now;
	s->slow = s->told = s->timed_out = s->rest = false;
	s->orphan = true;
	s->ready = 0;
	s->late = 0;
	p->norphans++;
	slot_push(p, s, POOL_ADOPT)->pid = pid;
	slot_enter(p, s, SLOT_READY, NEVER);
	slot_end(p, s, now);
}

void
slot_end(struct pool *p, struct slot *s, uint64_t now)
{
	struct pool_event ev = { .what = EV_END };

	slot_event(p, s, &ev, now);
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
	slot_event(p, s, &ev, now);
}
