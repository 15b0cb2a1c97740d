/* SPDX-License-Identifier: ISC */
/*
 * How a worker goes that is busy, or leads other processes: its door is closed,
 * so that no new connection gets in, and it serves those that it has to the
 * end, undisturbed. Once nobody of it holds one that is in use, the first
 * process is sent the stop signal, and the door stays closed until that is
 * gone: whoever gets it has nothing to lose either.
 *
 * A worker that cannot be kept at its door, or would become slow there, goes on
 * as before, and is looked at again.
 */
#include <signal.h>

#include "base/units.h"
#include "pool/drain.h"
#include "pool/pool.h"
#include "pool/slot.h"

/*
 * When to look again: at once for a short request, more rarely for a long. A
 * closed door reports by itself nearly all that happens.
 */
static void
door_look_later(struct pool *p, struct slot *s, uint64_t now)
{
	uint64_t since = s->term_sent ? s->term_sent_at : s->closed;
	uint64_t pause = POOL_DOOR_FIRST + (now - since) / 8;

	pause = min64(pause, s->is_closed && !s->term_sent ?
	    POOL_ACTIVITY_LAST : POOL_DOOR_LAST);
	slot_deadline(p, s, min64(slot_later(now, pause), s->end_by));
}

/* In a stop, what waits is to be served. */
static void
push_close(struct pool *p, struct slot *s)
{
	slot_push(p, s, POOL_DOOR_CLOSE)->drains = p->conf.drains &&
	    !p->conf.shared && p->phase == PHASE_STOP;
}

bool
door_begin(struct pool *p, struct slot *s, uint64_t now)
{
	if (!p->conf.door || s->no_door)
		return false;
	s->closed = now;
	s->is_closed = s->paused = false;
	s->unknown = s->pausing = s->quiet_since = 0;
	push_close(p, s);
	slot_enter(p, s, SLOT_DOOR, NEVER);
	door_look_later(p, s, now);
	return true;
}

/* It goes on as a retiring worker without a door, looked at after a pause. */
static void
door_go_back(struct pool *p, struct slot *s, uint64_t pause, uint64_t now)
{
	slot_push(p, s, POOL_DOOR_OPEN);
	s->pause = POOL_ACTIVITY_FIRST;
	slot_enter(p, s, SLOT_RETIRING, min64(slot_later(now, pause),
	    s->end_by));
}

/* From when on who is let in has too little time. */
static uint64_t
last_part(const struct pool *p, const struct slot *s)
{
	uint64_t part = p->conf.stop_timeout / POOL_DOOR_LASTS;

	return s->end_by > part ? s->end_by - part : 0;
}

/* Has it served the same request since its last rest? */
static bool
is_at_the_same(const struct slot *s)
{
	return s->busy && s->rested != 0 && s->begun <= s->rested;
}

/*
 * Is it too late for a rest? Not if it serves one request, the same as at the
 * last one: without rests it would not come to an end.
 */
static bool
is_late(const struct pool *p, const struct slot *s, uint64_t now)
{
	return now >= last_part(p, s) && (s->several || !is_at_the_same(s));
}

static void
push_check(struct pool *p, struct slot *s, uint64_t now)
{
	/* One more, for what waits, is not to hear that the socket is shut. */
	slot_push(p, s, POOL_DOOR_CHECK)->stops = s->drain_helper ||
	    is_late(p, s, now) ? NEVER : s->stops;
}

static void
rest(struct pool *p, struct slot *s, uint64_t now)
{
	uint64_t last = last_part(p, s);
	/* It may have been closed for long before these began. */
	uint64_t took = min64(now - s->closed, POOL_ACTIVITY_LAST +
	    s->stops * POOL_DOOR_STOP);

	if (s->term_sent || is_late(p, s, now))
		return;
	/* It was at another request last time, and makes many calls in each. */
	if (s->rested != 0 && !is_at_the_same(s))
		s->stops = min64(s->stops * POOL_DOOR_MORE,
		    POOL_DOOR_STOPS_MOST);
	s->rested = now;
	door_go_back(p, s, min64(POOL_DOOR_REST * took + POOL_DOOR_LAST,
	    now < last ? last - now : POOL_ACTIVITY_LAST), now);
}

void
door_answered(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	switch (ev->door) {
	case DOOR_REFUSED:
		s->no_door = true;
		door_go_back(p, s, POOL_ACTIVITY_FIRST, now);
		break;
	case DOOR_TIRED:
		rest(p, s, now);
		break;
	case DOOR_CLOSED:
	case DOOR_PAUSED:
		s->is_closed = true;
		s->paused = ev->door == DOOR_PAUSED;
		if (!s->term_sent || now - s->term_sent_at >= POOL_HEED)
			slot_push(p, s, POOL_CHECK_TREE);
		break;
	case DOOR_UNBEGUN:
		/* Nobody waits for it yet. */
		s->closing = now - s->closed + POOL_DOOR_CLOSING;
		break;
	case DOOR_CLOSING:
		break;
	}
}

/*
 * Each of its tasks waits on a connection. Its client is about to close it,
 * after the answer, or else it keeps it open, however much it is used.
 */
static bool
holds_kept(struct slot *s, const struct activity *x, uint64_t now)
{
	if (x->holds != HOLDS_QUIET || x->sleeping || x->is_event_loop)
		return false;
	if (s->quiet_since == 0 || s->quiet != x->connection) {
		s->quiet = x->connection;
		s->quiet_since = now;
	}
	return now - s->quiet_since >= POOL_DRAIN_KEPT;
}

/* In a stop: not as long as something waits that it could serve. */
static bool
allow_stop(struct pool *p, struct slot *s, const struct activity *x,
    uint64_t now)
{
	if (!drain_allows(p))
		return holds_kept(s, x, now);
	if (x->holds == HOLDS_QUIET && !x->sleeping && !x->is_event_loop)
		return true;
	return !drain_shuts(p, s);
}

static void
door_wait_on(struct pool *p, struct slot *s)
{
	s->paused = false;
	s->pausing = 0;
	slot_push(p, s, POOL_DOOR_GO_ON);
}

/*
 * It was signalled when it had nothing to lose, a while ago. If it has come
 * back to its door, or waits for clients that keep their connections, or these
 * have sent what it is not to read any more, it ignores the signal.
 */
static void
check_ignored(struct pool *p, struct slot *s, const struct activity *x)
{
	/* Busy without a connection: somebody's is on its way in the pool. */
	if (!x->sleeping && (x->holds == HOLDS_NOTHING ||
	    x->holds == HOLDS_UNKNOWN || x->connection == 0))
		return;		/* it has things to do before it goes */
	slot_signal(p, s, SIGKILL, true);
	slot_enter(p, s, SLOT_KILLED, NEVER);
}

/* Nobody of it serves: the first process is signalled, once that is certain. */
static void
door_stop(struct pool *p, struct slot *s, const struct activity *x,
    uint64_t now)
{
	if (!allow_stop(p, s, x, now)) {
		door_wait_on(p, s);
		return;
	}
	/* A request may come at any time; in a stop also a client. */
	if (!s->paused && (x->holds == HOLDS_QUIET ||
	    p->phase == PHASE_STOP)) {
		if (s->pausing == 0)
			s->pausing = now;
		slot_push(p, s, POOL_DOOR_PAUSE);
		slot_deadline(p, s, min64(slot_later(now, POOL_FREEZE),
		    s->end_by));
		return;
	}
	s->term_sent = true;
	s->term_sent_at = now;
	slot_push(p, s, POOL_DOOR_SIGNAL)->signo = p->conf.stop_signal;
	door_look_later(p, s, now);
}

/* For a moment that may be a process that comes or goes. */
static void
door_unknown(struct pool *p, struct slot *s, uint64_t now)
{
	if (s->unknown == 0)
		s->unknown = now;
	if (now - s->unknown < POOL_BUSY_LONG) {
		door_wait_on(p, s);
		return;
	}
	s->no_door = true;
	door_go_back(p, s, POOL_ACTIVITY_FIRST, now);
}

void
door_tree(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	const struct activity *x = &ev->activity;

	if (s->term_sent) {
		check_ignored(p, s, x);
		return;
	}
	s->busy = x->holds == HOLDS_BUSY || x->holds == HOLDS_UNKNOWN;
	s->idle_looks = retire_is_idle_orphan(s, x) ? s->idle_looks + 1 : 0;
	if (x->holds == HOLDS_UNKNOWN) {
		door_unknown(p, s, now);
		return;
	}
	s->unknown = 0;
	if (x->holds != HOLDS_BUSY) {
		door_stop(p, s, x, now);
		return;
	}
	door_wait_on(p, s);
	slot_serves(s, x, now);
}

void
door_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (now >= s->end_by) {
		retire_timer(p, s, ev, now);
		return;
	}
	/*
	 * A task of it sleeps where it must not be interrupted, or they are
	 * very many: whoever is kept already is let go for as long.
	 */
	if (!s->is_closed && now - s->closed >= s->closing) {
		s->closing = min64(2 * s->closing, POOL_DOOR_CLOSING_MOST);
		door_go_back(p, s, now - s->closed, now);
		return;
	}
	/* A task cannot be paused, and others wait because of that. */
	if (s->pausing != 0 && !s->term_sent &&
	    now - s->pausing >= POOL_FREEZE)
		door_wait_on(p, s);
	replace_check_request(p, s, now);
	door_look_later(p, s, now);
	if (s->drain_helper && !s->is_closed)
		push_close(p, s);	/* it may have had none to close */
	else
		push_check(p, s, now);
}

void
door_end(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (p->phase == PHASE_STOP && !p->fast && !s->term_sent)
		push_close(p, s);
	retire_end_again(p, s, ev, now);
}
