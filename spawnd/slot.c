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

#include "slot.h"

typedef void handler(struct pool *, struct slot *, const struct pool_event *,
    uint64_t);

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

static void
push_signal(struct pool *p, const struct slot *s, int signo)
{
	struct pool_action *a = push(p);

	a->what = POOL_SIGNAL;
	a->slot = slot_number(p, s);
	a->signo = signo;
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

static void
set_deadline(struct pool *p, struct slot *s, uint64_t when)
{
	if (s->deadline != NEVER)
		RB_REMOVE(slot_times, &p->times, s);
	s->deadline = when;
	if (when != NEVER)
		RB_INSERT(slot_times, &p->times, s);
}

/* Puts a slot into a state; its deadline there is `when`. */
static void
enter(struct pool *p, struct slot *s, enum slot_state state, uint64_t when)
{
	TAILQ_REMOVE(&p->lists[s->state], s, by_state);
	p->count[s->state]--;
	s->state = state;
	TAILQ_INSERT_TAIL(&p->lists[state], s, by_state);
	p->count[state]++;
	set_deadline(p, s, when);
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

/* first, doubled n - 1 times, at most last. */
static uint64_t
doubled(uint64_t first, unsigned int n, uint64_t last)
{
	while (n-- > 1 && first < last)
		first *= 2;
	return smaller(first, last);
}

/* Up to a quarter less, so that slots which failed together part. */
static uint64_t
jitter(struct pool *p, uint64_t delay)
{
	uint64_t x = p->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	p->random = x;
	return delay - x % (delay / 4 + 1);
}

void
slot_spawn(struct pool *p, struct slot *s)
{
	struct pool_action *a = push(p);

	a->what = POOL_SPAWN;
	a->slot = slot_number(p, s);
	s->pid = 0;
	s->generation = p->generation;
	s->slow = false;
	enter(p, s, SLOT_SPAWNING, NEVER);
}

static void
spawn_after(struct pool *p, struct slot *s, uint64_t now, uint64_t delay)
{
	if (delay == 0)
		slot_spawn(p, s);
	else
		enter(p, s, SLOT_BACKOFF, slot_later(now, delay));
}

/*
 * Empties a slot whose process is gone if it is to leave, or if there are
 * more than wanted: then the reload's extra worker has taken its place.
 * Returns false if a new worker is due instead.
 */
static bool
vacate(struct pool *p, struct slot *s)
{
	if (!s->leaving && (pool_staying(p) <= p->conf.workers ||
	    (p->reloading && s->generation == p->generation)))
		return false;
	if (s->leaving)
		p->nleaving--;
	else
		p->extra = NULL;
	if (p->going == s)
		p->going = NULL;
	s->leaving = false;
	s->failures = s->quick = 0;
	enter(p, s, SLOT_EMPTY, NEVER);
	return true;
}

static void
settle(struct pool *p, struct slot *s)
{
	if (!s->settled) {
		s->settled = true;
		p->unsettled--;
	}
}

/* A start in vain. */
static void
tried(struct pool *p, struct slot *s)
{
	settle(p, s);
	if (++s->tries == POOL_START_FAILURES)
		p->given_up++;
}

static void
came_up(struct pool *p, struct slot *s, uint64_t now)
{
	settle(p, s);
	if (p->first_ready == NEVER) {
		p->first_ready = now;
		if (p->phase == PHASE_START)
			p->deadline = slot_later(now, POOL_START_GRACE);
	}
	s->failures = 0;
	s->proven = s->generation;
}

/* A new worker that fails ends the reload it belongs to. */
static void
reload_failed(struct pool *p, const struct slot *s,
    const struct pool_event *ev)
{
	struct pool_notice *n;

	if (!p->reloading || s->generation != p->generation)
		return;
	p->reloading = false;
	p->extra = NULL;
	n = slot_notice(p, NOTICE_RELOAD_FAILED, s);
	n->error = ev->error;
	n->status = ev->status;
	n->exec_failed = ev->exec_failed;
}

/* The slot's worker did not start: what now, and when again. */
static void
failed_start(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	struct pool_notice *n;
	uint64_t delay;

	tried(p, s);
	s->failures++;
	delay = jitter(p, doubled(POOL_FAIL_FIRST, s->failures,
	    POOL_FAIL_LAST));
	n = slot_notice(p, ev->what == EV_NOFORK ? NOTICE_NOFORK : NOTICE_EXIT,
	    s);
	n->error = ev->error;
	n->status = ev->status;
	n->exec_failed = ev->exec_failed;
	n->age = now - s->spawned;
	reload_failed(p, s, ev);
	if (vacate(p, s))
		return;
	n->delay = delay;
	spawn_after(p, s, now, delay);
}

/* The stop signal, and KILL when it is not heeded. */
static void
on_end(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	uint64_t pause = p->fast ? smaller(POOL_FAST_STOP,
	    p->conf.stop_timeout) : p->conf.stop_timeout;
	uint64_t when = slot_later(now, pause);

	(void)ev;
	if (s->state == SLOT_STOPPING)
		when = smaller(when, s->deadline);
	push_signal(p, s, p->conf.stop_signal);
	enter(p, s, SLOT_STOPPING, when);
}

static void
leave(struct pool *p, struct slot *s)
{
	if (!s->leaving) {
		s->leaving = true;
		p->nleaving++;
	}
}

static void
on_spawned(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	s->pid = ev->pid;
	s->spawned = now;
	s->ready_by = slot_later(now, p->conf.start_timeout);
	s->pause = POOL_LOOK_FIRST;
	s->seen = LOOK_UNKNOWN;
	enter(p, s, SLOT_STARTING,
	    smaller(slot_later(now, s->pause), s->ready_by));
	if (s->leaving)
		on_end(p, s, ev, now);
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
on_nofork(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	s->spawned = now;
	failed_start(p, s, ev, now);
}

static void
on_end_leaving(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	leave(p, s);
	on_end(p, s, ev, now);
}

/* Looks cost, so with many starts at once each is seen less often. */
static uint64_t
longest_pause(const struct pool *p)
{
	return POOL_LOOK_LAST * (1 + p->count[SLOT_STARTING] / 32);
}

static void
on_start_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	struct pool_action *a;

	if (now >= s->ready_by && s->seen == LOOK_NO) {
		slot_notice(p, NOTICE_SLOW, s);
		s->slow = true;
		on_end(p, s, ev, now);
		return;
	}
	if (now >= s->ready_by)
		s->ready_by = slot_later(now, p->conf.start_timeout);
	s->pause = smaller(s->pause * 2, longest_pause(p));
	set_deadline(p, s, smaller(slot_later(now, s->pause), s->ready_by));
	a = push(p);
	a->what = POOL_LOOK;
	a->slot = slot_number(p, s);
	a->age = now - s->spawned;
}

static void
on_looked(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	s->seen = ev->look;
	if (ev->look != LOOK_READY)
		return;
	s->quick = 0;
	came_up(p, s, now);
	enter(p, s, SLOT_READY, NEVER);
}

/* A worker has served and exits 0, as it should now and then. */
static void
recycle(struct pool *p, struct slot *s)
{
	if (!vacate(p, s))
		slot_spawn(p, s);
}

/* An exit 0 of a worker that was never seen ready. */
static void
unseen_exit(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	struct pool_notice *n;
	uint64_t next, delay;

	if (ev->moved == MOVED_YES) {
		s->quick = 0;
		came_up(p, s, now);
		recycle(p, s);
		return;
	}
	tried(p, s);
	if (ev->moved == MOVED_NO || s->quick == 0)
		s->quick++;
	if (p->phase == PHASE_START && p->first_ready == NEVER) {
		n = slot_notice(p, NOTICE_EXIT, s);
		n->age = now - s->spawned;
	}
	if (ev->moved == MOVED_NO)
		reload_failed(p, s, ev);
	if (vacate(p, s))
		return;
	next = slot_later(s->spawned, doubled(POOL_QUICK_FIRST, s->quick,
	    POOL_QUICK_LAST));
	delay = next > now ? next - now : 0;
	spawn_after(p, s, now, delay);
}

static void
on_ready_exit(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	struct pool_notice *n;
	uint64_t delay = 0;

	if (WIFEXITED(ev->status) && WEXITSTATUS(ev->status) == 0) {
		recycle(p, s);
		return;
	}
	n = slot_notice(p, NOTICE_EXIT, s);
	n->status = ev->status;
	n->was_ready = true;
	n->age = now - s->spawned;
	if (vacate(p, s))
		return;
	delay = pool_take_token(p, now);
	n->delay = delay;
	spawn_after(p, s, now, delay);
}

/*
 * Did it take a request that already waited, and died of it before the first
 * look? A reload's new program gets no such credit: others served, too.
 */
static bool
served_unseen(const struct pool *p, const struct slot *s,
    const struct pool_event *ev)
{
	return p->phase == PHASE_UP && !ev->exec_failed &&
	    ev->moved == MOVED_YES &&
	    !(p->reloading && s->generation == p->generation);
}

static void
on_early_exit(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (!ev->exec_failed && WIFEXITED(ev->status) &&
	    WEXITSTATUS(ev->status) == 0)
		unseen_exit(p, s, ev, now);
	else if (served_unseen(p, s, ev)) {
		came_up(p, s, now);
		on_ready_exit(p, s, ev, now);
	} else
		failed_start(p, s, ev, now);
}

static void
on_stop_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	(void)now;
	slot_notice(p, NOTICE_KILL, s);
	push_signal(p, s, SIGKILL);
	enter(p, s, SLOT_KILLED, NEVER);
}

static void
on_gone(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (s->slow)
		failed_start(p, s, ev, now);
	else if (!vacate(p, s))
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
	vacate(p, s);
}

/* What is not in the table cannot happen or has no effect. */
static handler *const table[SLOT_NSTATES][EV_NSLOT] = {
	[SLOT_SPAWNING] = {
		[EV_SPAWNED] = on_spawned,
		[EV_NOFORK] = on_nofork,
		[EV_END] = on_leave,
	},
	[SLOT_STARTING] = {
		[EV_LOOKED] = on_looked,
		[EV_EXIT] = on_early_exit,
		[EV_TIMER] = on_start_timer,
		[EV_END] = on_end_leaving,
	},
	[SLOT_READY] = {
		[EV_EXIT] = on_ready_exit,
		[EV_END] = on_end_leaving,
	},
	[SLOT_STOPPING] = {
		[EV_EXIT] = on_gone,
		[EV_TIMER] = on_stop_timer,
		[EV_END] = on_end_leaving,
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
	handler *h = table[s->state][ev->what];

	if (h != NULL)
		h(p, s, ev, now);
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

	set_deadline(p, s, NEVER);
	slot_event(p, s, &ev, now);
}
