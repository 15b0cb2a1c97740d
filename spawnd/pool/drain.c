/* SPDX-License-Identifier: ISC */
/*
 * What still waits in the listen queue when the pool is to stop: it is served
 * before the last worker goes. As long as something waits nobody is asked to
 * stop, and nothing new is let in; the last worker goes only when, with nobody
 * else left and the worker itself stopped, the queue is seen empty.
 */
#include <sys/wait.h>

#include <stddef.h>

#include "pool/drain.h"
#include "pool/pool.h"
#include "pool/slot.h"

enum drain_cause {
	ON_STOP,		/* a stop begins */
	ON_SHUT,		/* nothing new is let in any more */
	ON_FROZEN,		/* one serves, and is frozen */
	ON_THAWED,		/* it was continued, told to go, or has ended */
	ON_NOBODY,		/* nobody serves */
	ON_KNOWN,		/* it is known what waits */
	ON_SERVES,		/* somebody serves */
	NCAUSES
};

/* How it goes on; from what is not here (DRAIN_OFF) nothing follows. */
static const enum drain_state drain_next[DRAIN_NSTATES][NCAUSES] = {
	[DRAIN_OFF] = {
		[ON_STOP] = DRAIN_REFUSED,
	},
	[DRAIN_REFUSED] = {
		[ON_SHUT] = DRAIN_SHUT,
	},
	[DRAIN_SHUT] = {
		[ON_FROZEN] = DRAIN_LAST,
		[ON_NOBODY] = DRAIN_ALONE,
	},
	[DRAIN_LAST] = {
		[ON_THAWED] = DRAIN_SHUT,
		[ON_NOBODY] = DRAIN_ALONE,
	},
	[DRAIN_ALONE] = {
		[ON_FROZEN] = DRAIN_LAST,
		[ON_KNOWN] = DRAIN_ASKED,
		[ON_SERVES] = DRAIN_SHUT,
	},
	[DRAIN_ASKED] = {
		[ON_FROZEN] = DRAIN_LAST,
		[ON_SERVES] = DRAIN_SHUT,
	},
};

/* Returns false if nothing follows from that. */
static bool
drain_goes_on(struct pool *p, enum drain_cause cause)
{
	enum drain_state to = drain_next[p->drain][cause];

	if (to == DRAIN_OFF)
		return false;
	p->drain = to;
	return true;
}

/*
 * Could more than so many still take a connection? Signalled ones do not count,
 * nor do those a dead worker left behind that never do (a job in the
 * background). It is asked with each event: in a large pool the first few are
 * the answer.
 */
static bool
serve_beyond(const struct pool *p, unsigned int few)
{
	static const enum slot_state states[] = { SLOT_RETIRING, SLOT_DOOR };
	unsigned int n = p->count[SLOT_SPAWNING] + p->count[SLOT_STARTING] +
	    p->count[SLOT_READY];
	struct slot *s;
	size_t i;

	n += p->frozen != NULL && !p->frozen->term_sent;
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		TAILQ_FOREACH(s, &p->lists[states[i]], by_state) {
			if (n > few)
				return true;
			n += !s->term_sent &&
			    s->idle_looks < POOL_DRAIN_IDLE_LOOKS;
		}
	}
	return n > few;
}

static bool
something_waits(const struct pool *p)
{
	return p->waiting.known && p->waiting.depth > 0;
}

static void
drain_ask(struct pool *p)
{
	slot_push(p, &p->slots[0], POOL_QUEUE);
}

static void
drain_shut(struct pool *p)
{
	if (drain_goes_on(p, ON_SHUT))
		slot_push(p, &p->slots[0], POOL_SHUT);
}

void
drain_begin(struct pool *p, unsigned int width, uint64_t now)
{
	p->drain_width = width > 0 ? width : 1;
	drain_goes_on(p, ON_STOP);
	/* Until that is known something may wait, and no signal is sent. */
	p->waiting = (struct queue){ .known = true, .depth = 1 };
	p->shut_by = slot_later(now, p->conf.stop_timeout / 2);
	p->drain_pause = POOL_DRAIN_FIRST;
	p->drain_at = slot_later(now, p->drain_pause);
	slot_push(p, &p->slots[0], POOL_REFUSE);
	drain_ask(p);
}

/* Nothing waits any more: whoever was kept for it is looked at soon. */
static void
drain_release(struct pool *p, uint64_t now)
{
	struct slot *s, *next;

	TAILQ_FOREACH_SAFE(s, &p->lists[SLOT_RETIRING], by_state, next) {
		if (s->pause > POOL_ACTIVITY_FIRST && !s->busy &&
		    !s->freeze_queued) {
			s->pause = POOL_ACTIVITY_FIRST;
			slot_deadline(p, s, slot_later(now, s->pause));
		}
	}
	freeze_wake(p);
}

/*
 * Once the socket is shut, accept(2) fails in every thread that waits in it.
 * Many a program ends with the first such thread, whatever others serve. Those
 * with a closed door do not hear of it.
 */
static bool
have_threads(const struct pool *p)
{
	struct slot *s;

	TAILQ_FOREACH(s, &p->lists[SLOT_DOOR], by_state) {
		if (s->threads && !s->is_closed)
			return true;
	}
	TAILQ_FOREACH(s, &p->lists[SLOT_RETIRING], by_state) {
		if (s->threads)
			return true;
	}
	return false;
}

void
drain_queue(struct pool *p, const struct queue *q, uint64_t now)
{
	struct slot *last = p->drain == DRAIN_LAST ? p->frozen : NULL;

	if (p->drain == DRAIN_OFF || p->phase != PHASE_STOP)
		return;
	p->waiting = *q;
	drain_goes_on(p, ON_KNOWN);
	/* It may never be empty; those that wait now came after the stop. */
	if (q->open && now >= p->shut_by)
		p->waiting.depth = 0;
	if (last != NULL && something_waits(p))
		retire_thaw(p, last, POOL_ACTIVITY_FIRST, now);
	else if (last != NULL)
		retire_stop_frozen(p, last, now);
	if (!something_waits(p))
		drain_release(p, now);
	else if (now >= p->shut_by || !have_threads(p))
		drain_shut(p);
}

/* One that was started in the stop has no more time than the others. */
static void
end_starting(struct pool *p, uint64_t now)
{
	struct slot *s, *next;

	TAILQ_FOREACH_SAFE(s, &p->lists[SLOT_STARTING], by_state, next)
		slot_end(p, s, now);
	TAILQ_FOREACH(s, &p->lists[SLOT_SPAWNING], by_state)
		slot_end(p, s, now);
}

void
drain_tick(struct pool *p, uint64_t now)
{
	if (now < p->drain_at)
		return;
	if (now >= p->stop_by)
		end_starting(p, now);
	p->drain_pause *= 2;
	if (p->drain_pause > POOL_DRAIN_LAST)
		p->drain_pause = POOL_DRAIN_LAST;
	p->drain_at = slot_later(now, p->drain_pause);
	drain_ask(p);
}

bool
drain_allows(const struct pool *p)
{
	return p->drain == DRAIN_OFF || !something_waits(p);
}

bool
drain_shuts(struct pool *p, const struct slot *s)
{
	if (p->drain == DRAIN_OFF || p->drain >= DRAIN_SHUT ||
	    serve_beyond(p, 1) || s->term_sent)
		return false;
	drain_shut(p);
	drain_ask(p);
	return true;
}

bool
drain_last(struct pool *p, struct slot *s)
{
	if (p->drain == DRAIN_LAST)
		return true;	/* it is asked for already */
	if (p->drain == DRAIN_OFF || s->term_sent || serve_beyond(p, 1))
		return false;
	drain_shut(p);
	drain_goes_on(p, ON_FROZEN);
	drain_ask(p);
	return true;
}

void
drain_thawed(struct pool *p)
{
	drain_goes_on(p, ON_THAWED);
}

/*
 * The socket is shut: once nothing waits accept(2) fails, and a thread that
 * sees it may end those of others. So one more goes by its door from its first
 * moment, before it is ready.
 */
bool
drain_wants_door(const struct pool *p, const struct slot *s)
{
	return s->drain_helper && p->conf.door && !p->conf.set_id &&
	    !p->fast && !s->retiring_for_good;
}

bool
drain_spawned(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (!drain_wants_door(p, s))
		return false;
	retire_unseen(p, s, ev, now);
	door_begin(p, s, now);
	return true;
}

bool
drain_failed(const struct slot *s, const struct pool_event *ev)
{
	bool by_us = s->term_sent || s->request_timed_out ||
	    s->state == SLOT_STOPPING || s->state == SLOT_KILLED;

	if (!s->drain_helper)
		return false;
	if (ev->exec_failed)
		return true;
	if (by_us || ev->cancelled || ev->moved == MOVED_YES ||
	    ev->status == STATUS_UNKNOWN)
		return false;
	if (!WIFEXITED(ev->status))
		return true;
	/* It may have found nothing, and accept(2) to fail for that. */
	return ev->moved == MOVED_UNKNOWN && WEXITSTATUS(ev->status) != 0;
}

/*
 * What fails before a stop is of no account, and several that are started
 * together may fail for one reason.
 */
void
drain_count_failure(struct pool *p)
{
	if (p->drain == DRAIN_OFF || p->drain_noted)
		return;
	p->drain_failures++;
	p->drain_noted = true;
}

void
drain_gone(struct pool *p, const struct slot *s, enum moved moved)
{
	if (s->drain_helper && moved == MOVED_NO)
		drain_count_failure(p);
	else if (s->drain_helper && moved == MOVED_YES)
		p->drain_failures = 0;
}

/*
 * Nobody is left to serve what waits: as many as it may need, but no more than
 * the pool had, if there is hope.
 */
static bool
start_helpers(struct pool *p, uint64_t now)
{
	unsigned int n = p->waiting.depth;
	struct slot *s;

	if (n > p->drain_width)
		n = p->drain_width;
	if (p->drain_failures >= POOL_DRAIN_FAILURES || now >= p->stop_by)
		n = 0;
	while (n-- > 0 && pool_has_room(p) && (s = pool_empty(p)) != NULL) {
		drain_goes_on(p, ON_SERVES);
		p->drain_noted = false;
		slot_spawn(p, s);
		s->drain_helper = true;
	}
	if (pool_active(p) > 0)
		return false;
	slot_notice(p, NOTICE_QUEUE_ABANDONED, NULL)->count = p->waiting.depth;
	return true;
}

bool
drain_step(struct pool *p, uint64_t now)
{
	if (p->drain == DRAIN_OFF || p->fast)
		return pool_active(p) == 0;
	if (serve_beyond(p, 0)) {
		drain_goes_on(p, ON_SERVES);
		return false;
	}
	if (p->drain == DRAIN_REFUSED) {
		drain_shut(p);
		drain_goes_on(p, ON_NOBODY);
		drain_ask(p);
		return false;
	}
	drain_goes_on(p, ON_NOBODY);
	if (!something_waits(p))
		return pool_active(p) == 0;
	if (p->drain == DRAIN_ASKED)
		return start_helpers(p, now);
	drain_ask(p);
	return false;
}
