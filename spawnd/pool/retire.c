/* SPDX-License-Identifier: ISC */
/*
 * How a worker goes without a request being lost, whatever program it is. A
 * stopped process cannot accept: so it is looked at, stopped when it holds no
 * connection, and looked at again. Only if it still holds none is it sent its
 * stop signal, which it meets before accept(2) can return, and continued.
 *
 * That is for an idle worker of one process, and where there is no door; see
 * door.c for the others. The unit is the process then: one that only watches
 * over others goes the same way, and what it leaves behind comes back as
 * orphans, each of which does, too.
 */
#include <signal.h>
#include <stddef.h>

#include "base/units.h"
#include "pool/drain.h"
#include "pool/pool.h"
#include "pool/slot.h"

/* The next look, in growing pauses. */
static void
check_later(struct pool *p, struct slot *s, uint64_t now)
{
	slot_enter(p, s, SLOT_RETIRING,
	    min64(slot_later(now, s->pause), s->end_by));
	s->pause = min64(s->pause * 2, POOL_ACTIVITY_LAST);
}

/* A trace has no more of it than that, and is to be replayed exactly. */
static uint64_t
whole_ms(uint64_t usec)
{
	return usec - usec % 1000;
}

/* A short request has to be met at its end; a long one is not soon over. */
static void
check_by_age(struct pool *p, struct slot *s, uint64_t age, uint64_t now)
{
	s->pause = min64(max64(whole_ms(age) / POOL_ACTIVITY_PART,
	    POOL_ACTIVITY_FIRST), POOL_ACTIVITY_LAST);
	slot_deadline(p, s, min64(slot_later(now, s->pause), s->end_by));
}

/* The stop signal; whether it is heeded is seen after a while. */
static void
send_stop_signal(struct pool *p, struct slot *s, bool whole, uint64_t now)
{
	s->term_sent = true;
	s->term_sent_at = now;
	slot_signal(p, s, p->conf.stop_signal, whole);
	slot_enter(p, s, SLOT_STOPPING,
	    min64(slot_later(now, POOL_HEED), s->end_by));
}

/*
 * A spawn that was handed out already is ended once it is there, and there
 * is nothing stronger than KILL.
 */
void
retire_leave(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	(void)now;
	if (s->retiring_for_good)
		return;
	replace_forget(p, s);
	replace_left(p, s);
	s->retiring_for_good = true;
	p->nretiring++;
}

void
retire_unseen(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	retire_leave(p, s, ev, now);
	s->term_sent = s->busy = s->freeze_queued = false;
	s->connection = s->rested = s->age = s->unknown = 0;
	s->several = false;
	s->owed = 0;
	s->stops = POOL_DOOR_STOPS;
	s->no_door = false;
	s->closing = POOL_DOOR_CLOSING;
	s->idle_looks = 0;
	s->retiring = now;
	/*
	 * As long as it serves --request-timeout holds, too. Without that it is
	 * looked at all the same, for the ages of what it holds.
	 */
	if (p->conf.request_timeout == 0)
		s->request_at = slot_later(now, POOL_REQUEST_MOST);
	else if (s->ready == 0)
		s->request_at = now;
	s->end_by = min64(slot_later(now, p->conf.stop_timeout),
	    p->stop_by);
	s->pause = POOL_ACTIVITY_FIRST;
}

void
retire_end(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (p->fast) {
		retire_leave(p, s, ev, now);
		freeze_forget(p, s);
		/* A dead worker may have left it behind its closed door. */
		if (s->state == SLOT_DOOR || (p->conf.door && s->orphan))
			slot_push(p, s, POOL_DOOR_OPEN);
		slot_stop(p, s, ev, now);
		/* Should it be stopped: a pending signal is met at once. */
		slot_signal(p, s, SIGCONT, true);
		return;
	}
	retire_unseen(p, s, ev, now);
	if (p->count[SLOT_RETIRING] >= POOL_ACTIVITY_CHECKS) {
		freeze_queue(p, s, now);
		return;
	}
	check_later(p, s, now);
	slot_push(p, s, POOL_CHECK_ACTIVITY);
}

void
retire_end_again(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	retire_leave(p, s, ev, now);
	if (p->fast)
		retire_end(p, s, ev, now);
}

/* It may have answered in its last moment, which nobody has seen. */
static void
note_owed(struct pool *p, struct slot *s, uint64_t now)
{
	struct pool_notice *n = slot_notice(p, NOTICE_TOLD_BUSY, s);

	n->count = s->owed;
	n->holder = s->pid;
	n->age = now - s->owed_since;
	p->counts.lost += s->owed;
	s->owed = 0;
}

void
retire_gone(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (s->term_sent && !s->orphan)
		p->counts.retired++;
	if (s->owed > 0)
		note_owed(p, s, now);
	if (s->start_timed_out || drain_failed(s, ev)) {
		start_failed(p, s, ev, now);
		return;
	}
	drain_gone(p, s, ev->moved);
	if (!slot_vacate(p, s))
		slot_spawn(p, s);
}

/* The deadline has passed: nothing is waited for any more. */
static void
end_now(struct pool *p, struct slot *s)
{
	p->counts.killed++;
	s->owed = 0;	/* that is counted now */
	slot_push(p, s, POOL_CHECK_HELD)->whole = true;
	slot_signal(p, s, SIGKILL, true);
	slot_enter(p, s, SLOT_KILLED, NEVER);
}

void
retire_killed_held(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	const struct held_requests *h = &ev->held;
	struct pool_notice *n;

	(void)now;
	n = slot_notice(p, h->count > 0 ? NOTICE_KILLED_BUSY :
	    NOTICE_KILLED_IDLE, s);
	n->count = h->count;
	n->known = h->known;
	n->holder = h->holder;
	n->age = h->age;
	n->delay = p->fast ? POOL_FAST_STOP : 0;
	/* The process itself was looked at before. */
	if (s->busy && h->holder == s->pid)
		n->age = max64(n->age, s->age);
	p->counts.lost += h->count;
}

void
retire_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	if (now >= s->end_by) {
		end_now(p, s);
		return;
	}
	/* One that is only asked for its age has time until its turn. */
	if (!s->freeze_queued || p->conf.request_timeout != 0)
		replace_check_request(p, s, now);
	if (s->freeze_queued && !freeze_has_turn(p, s)) {
		freeze_queue(p, s, now);
		return;
	}
	if (s->freeze_queued)
		p->freeze_next = s;
	check_later(p, s, now);
	slot_push(p, s, POOL_CHECK_ACTIVITY);
}

/*
 * Does it have a connection that is kept open and used all the time, and waits
 * there for the next request? What it had is answered.
 */
static bool
is_between_requests(const struct slot *s, const struct activity *x,
    uint64_t now)
{
	return x->active_since_last && x->age >= POOL_BUSY_LONG &&
	    now - s->retiring >= POOL_BUSY_LONG;
}

/*
 * Is it killed so soon that it may as well be sent its stop signal? Most that
 * catch it finish what they have. But one that reads a request takes it for
 * the end of that, and answers what it has.
 */
static bool
has_last_chance(const struct pool *p, const struct slot *s,
    const struct activity *x, uint64_t now)
{
	uint64_t chance = min64(POOL_LAST_CHANCE, p->conf.stop_timeout / 2);

	return !x->reads && slot_later(now, chance) >= s->end_by;
}

/* It may answer before it ends: whether it had is asked after. */
static void
stop_busy(struct pool *p, struct slot *s, uint64_t now)
{
	slot_push(p, s, POOL_CHECK_HELD);
	send_stop_signal(p, s, false, now);
}

/* It holds a connection. */
static void
found_busy(struct pool *p, struct slot *s, const struct activity *x,
    uint64_t now)
{
	/* Between short requests there is a moment: it wants many looks. */
	check_by_age(p, s, x->active_since_last ? 0 : x->age, now);
	if (x->connection != s->connection)
		s->owed = 0;	/* it has answered, and serves another */
	s->busy = true;
	s->unknown = 0;
	slot_serves(s, x, now);
	if (s->term_sent || door_begin(p, s, now) || !drain_allows(p) ||
	    !x->catches || x->threaded)
		return;
	if (is_between_requests(s, x, now))
		send_stop_signal(p, s, false, now);
	else if (has_last_chance(p, s, x, now))
		stop_busy(p, s, now);
}

void
retire_stopped_held(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	s->owed = ev->held.count;
	/* It was looked at just before. */
	s->owed_since = now - whole_ms(max64(ev->held.age, s->age));
	/* Is the answer seen whole? That wants many looks, too. */
	if (s->owed > 0)
		slot_deadline(p, s, min64(slot_later(now,
		    POOL_ACTIVITY_FIRST), s->end_by));
}

bool
retire_is_idle_orphan(const struct slot *s, const struct activity *x)
{
	return s->orphan && x->holds == HOLDS_NOTHING && !x->sleeping &&
	    !x->threaded && !x->is_event_loop && !x->is_master;
}

/*
 * What cannot be seen may serve, and goes as a busy one does. Where the system
 * tells of nobody, what catches the signal gets that at once; one with threads
 * may serve in any of them: only when it is not for a moment.
 */
static void
found_unknown(struct pool *p, struct slot *s, const struct activity *x,
    uint64_t now)
{
	/* A dead worker may have left it behind its closed door. */
	if (p->conf.door && s->orphan && !s->no_door) {
		s->no_door = true;
		slot_push(p, s, POOL_DOOR_OPEN);
	}
	s->busy = true;		/* for all we know */
	if (s->unknown == 0)
		s->unknown = now;
	if (!x->catches || s->term_sent || !drain_allows(p))
		return;
	if (!x->unseen) {
		if (!x->threaded && has_last_chance(p, s, x, now))
			stop_busy(p, s, now);
	} else if (!x->threaded || now - s->unknown >= POOL_BUSY_LONG)
		send_stop_signal(p, s, false, now);
}

/*
 * It goes, and has things to do before. But one that was signalled while it
 * started may have had its handler, and not yet what that is to end, as uwsgi
 * does: it gets another signal, after pauses that double.
 */
static void
stop_again(struct pool *p, struct slot *s, const struct activity *x,
    uint64_t now)
{
	if (s->ready == 0 && !s->orphan && x->holds == HOLDS_NOTHING &&
	    now - s->term_sent_at >= POOL_HEED + (s->term_sent_at -
	    s->retiring))
		send_stop_signal(p, s, false, now);
}

static void
activity_found(struct pool *p, struct slot *s, const struct activity *x,
    uint64_t now)
{
	s->threads = x->threaded && !x->is_event_loop;
	s->idle_looks = retire_is_idle_orphan(s, x) ? s->idle_looks + 1 : 0;
	s->freeze_queued = false;
	if (p->freeze_next == s)
		p->freeze_next = NULL;
	if (x->holds == HOLDS_BUSY) {
		found_busy(p, s, x, now);
		return;
	}
	if (x->holds == HOLDS_UNKNOWN) {
		found_unknown(p, s, x, now);
		return;
	}
	s->unknown = s->owed = 0;
	s->busy = false;
	/*
	 * The signal would reach one thread while others, or it, accept. Or it
	 * would read one request more of its connection.
	 */
	if ((x->needs_door || s->threads || x->is_event_loop ||
	    x->holds == HOLDS_QUIET) && !s->term_sent &&
	    door_begin(p, s, now))
		return;
	if (s->term_sent && !x->sleeping) {
		stop_again(p, s, x, now);
		return;
	}
	if (!drain_allows(p))
		return;		/* somebody waits, and it may serve them */
	if (p->frozen == NULL)
		freeze_begin(p, s, now);
	else
		freeze_queue(p, s, now);
}

/* One whose turn it was, and who is not stopped now, passes it on. */
void
retire_activity(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	bool was_next = p->freeze_next == s;

	activity_found(p, s, &ev->activity, now);
	if (was_next && drain_allows(p))
		freeze_wake(p);
}

bool
retire_undo(struct pool *p, struct slot *s, uint64_t now)
{
	if (!s->retiring_for_good || s->term_sent || s->orphan ||
	    replace_is_outgoing(s))
		return false;
	s->retiring_for_good = s->freeze_queued = false;
	p->nretiring--;
	replace_ready(p, s, now);
	freeze_forget(p, s);
	return true;
}

void
retire_thaw(struct pool *p, struct slot *s, uint64_t pause, uint64_t now)
{
	freeze_forget(p, s);
	slot_signal(p, s, SIGCONT, false);
	slot_enter(p, s, SLOT_RETIRING,
	    min64(slot_later(now, pause), s->end_by));
}

void
retire_frozen(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	(void)ev;
	(void)now;
	slot_push(p, s, POOL_CHECK_ACTIVITY);
}

void
retire_freeze_timer(struct pool *p, struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	(void)ev;
	/* Even when it is late: we may be, and not the process. */
	slot_deadline(p, s, slot_later(now, POOL_ACTIVITY_FIRST));
	slot_push(p, s, POOL_CHECK_ACTIVITY);
}

/* Stopped, and looked at once more: now it is certain. */
void
retire_freeze_activity(struct pool *p, struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	const struct activity *x = &ev->activity;

	if (!x->frozen) {
		if (now >= s->thaw_by)
			retire_thaw(p, s, POOL_FREEZE_AGAIN, now);
		return;		/* else the timer looks again */
	}
	if (x->holds == HOLDS_BUSY || x->holds == HOLDS_UNKNOWN) {
		s->busy = true;
		s->connection = x->connection;
		s->age = x->age;
		retire_thaw(p, s, s->pause, now);
		return;
	}
	/* The stop began, or learnt what waits, since it was stopped. */
	if (!drain_allows(p)) {
		retire_thaw(p, s, s->pause, now);
		return;
	}
	s->kill = x->threaded && x->catches && !x->is_master;
	if (!drain_last(p, s))
		retire_stop_frozen(p, s, now);
}

/*
 * One that did not heed the signal is killed: nothing is lost with it. Nor can
 * one with threads in accept be sent it: the thread that ends the process
 * would take along what another has accepted meanwhile.
 */
void
retire_stop_frozen(struct pool *p, struct slot *s, uint64_t now)
{
	freeze_forget(p, s);
	if (s->term_sent || s->kill) {
		s->term_sent = true;
		slot_signal(p, s, SIGKILL, false);
		slot_enter(p, s, SLOT_KILLED, NEVER);
		return;
	}
	send_stop_signal(p, s, false, now);
	slot_signal(p, s, SIGCONT, false);
}

void
retire_stop_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (p->fast || s->start_timed_out || now >= s->end_by) {
		end_now(p, s);
		return;
	}
	/* The signal was not heeded yet: perhaps it serves, perhaps not. */
	s->pause = POOL_ACTIVITY_FIRST;
	retire_timer(p, s, ev, now);
}
