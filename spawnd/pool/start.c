/* SPDX-License-Identifier: ISC */
/*
 * A worker from its spawn to the moment it is ready, or to its end before
 * that: what it is looked at for, and how long the next one has to wait.
 */
#include <sys/wait.h>

#include <stddef.h>

#include "base/units.h"
#include "pool/drain.h"
#include "pool/pool.h"
#include "pool/slot.h"

/* Up to a quarter less, so that slots which failed together part. */
static uint64_t
jitter(struct pool *p, uint64_t delay)
{
	return delay - slot_random(p) % (delay / 4 + 1);
}

static void
decide_start(struct pool *p, struct slot *s)
{
	if (!s->start_decided) {
		s->start_decided = true;
		p->undecided--;
	}
}

/* A start has failed. */
static void
tried(struct pool *p, struct slot *s)
{
	decide_start(p, s);
	if (++s->tries == POOL_START_FAILURES)
		p->given_up++;
}

static void
came_up(struct pool *p, struct slot *s, uint64_t now)
{
	decide_start(p, s);
	if (p->first_ready == NEVER) {
		p->first_ready = now;
		if (p->phase == PHASE_START)
			p->deadline = slot_later(now, POOL_START_GRACE);
	}
	s->failures = 0;
	s->ready_generation = s->generation;
}

void
start_note(struct pool_notice *n, const struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	n->failed = ev->failed;
	n->error = ev->error;
	n->status = ev->status;
	n->cause = s->elsewhere ? CAUSE_ELSEWHERE : ev->cause;
	n->exec_failed = ev->exec_failed;
	n->was_ready = s->ready > 0;	/* a stop's last helpers may be */
	n->age = now - s->spawned;
}

/* The slot's worker did not start: what now, and when again. */
void
start_failed(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	struct pool_notice *n;
	uint64_t delay;

	tried(p, s);
	p->counts.failed++;
	drain_count_failure(p);
	s->failures++;
	delay = jitter(p, slot_doubled(POOL_FAIL_FIRST, s->failures,
	    POOL_FAIL_LAST));
	n = slot_notice(p, ev->what == EV_NOFORK ? NOTICE_NOFORK : NOTICE_EXIT,
	    s);
	start_note(n, s, ev, now);
	replace_failed(p, s, ev, now);
	if (slot_vacate(p, s))
		return;
	replace_forget(p, s);
	n->delay = delay;
	slot_spawn_after(p, s, now, delay);
}

/* Looks cost, so with many starts at once each is seen less often. */
static uint64_t
crowded(const struct pool *p, uint64_t pause)
{
	return pause * (1 + (p->count[SLOT_SPAWNING] +
	    p->count[SLOT_STARTING]) / 32);
}

void
start_spawned(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	p->counts.started++;
	s->pid = ev->pid;
	/* It may have waited for its turn, and a reload have begun. */
	s->generation = p->generation;
	s->spawned = now;
	if (drain_spawned(p, s, ev, now))
		return;
	s->ready_by = slot_later(now, p->conf.start_timeout);
	s->pause = crowded(p, POOL_READY_FIRST);
	slot_enter(p, s, SLOT_STARTING,
	    min64(slot_later(now, s->pause), s->ready_by));
	if (s->retiring_for_good)
		slot_stop(p, s, ev, now);
}

void
start_nofork(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	s->spawned = now;
	start_failed(p, s, ev, now);
}

/* It was to leave before its turn came. */
void
start_unspawned(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	decide_start(p, s);
	if (!slot_vacate(p, s))
		table_never(p, s, ev, now);
}

void
start_timer(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	uint64_t next;

	(void)ev;
	s->pause = min64(s->pause * 2, crowded(p, POOL_READY_LAST));
	if (p->unseen > 0 && replace_is_new(p, s))
		s->pause = min64(s->pause, max64(POOL_READY_FIRST,
		    (now - s->spawned) / POOL_UNSEEN_PART));
	next = slot_later(now, s->pause);
	slot_deadline(p, s, now < s->ready_by ? min64(next, s->ready_by) :
	    next);
	slot_push(p, s, POOL_CHECK_READY)->age = now - s->spawned;
}

static bool
is_elsewhere(const struct pool_event *ev)
{
	return ev->readiness == READY_ELSEWHERE ||
	    ev->readiness == READY_ELSEWHERE_YET;
}

/* It will not be ready, whatever is waited for. */
static void
start_hopeless(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	s->elsewhere = is_elsewhere(ev);
	slot_notice(p, s->elsewhere ? NOTICE_ELSEWHERE : NOTICE_START_TIMEOUT,
	    s);
	s->start_timed_out = true;
	slot_stop(p, s, ev, now);
}

/* The last look is at the deadline itself: an older one may be wrong by now. */
void
start_readiness(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (ev->readiness == READY_YES || ev->readiness == READY_ASSUMED) {
		s->exit0_streak = 0;
		s->seen = ev->readiness == READY_YES;
		if (s->generation == p->generation)
			p->unseen = 0;
		came_up(p, s, now);
		replace_ready(p, s, now);
		if (p->phase == PHASE_STOP)
			slot_end(p, s, now);
	} else if (ev->readiness == READY_ELSEWHERE ||
	    (now >= s->ready_by && ev->readiness != READY_UNKNOWN))
		start_hopeless(p, s, ev, now);
	else if (is_elsewhere(ev) && !s->elsewhere_yet) {
		/* It may have to wait before it serves: it keeps its time. */
		s->elsewhere_yet = true;
		slot_notice(p, NOTICE_ELSEWHERE, s)->delay = s->ready_by - now;
	}
}

/*
 * A reload's worker that serves a single request may have had it, and nobody
 * looked. So not the first of them ends the reload, unless it is known what it
 * did instead; the next ones are looked at more often.
 */
static void
count_unseen(struct pool *p, const struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (replace_is_new(p, s) && (ev->cause != CAUSE_UNKNOWN ||
	    ++p->unseen >= POOL_UNSEEN))
		replace_failed(p, s, ev, now);
}

/*
 * One that served a single request may look like one that did not, if its
 * connection came and went between two looks; so many in a row do not.
 */
static bool
is_workless(const struct slot *s, const struct pool_event *ev)
{
	return ev->cause != CAUSE_UNKNOWN || (ev->moved == MOVED_NO &&
	    s->exit0_streak >= POOL_UNSEEN);
}

/* An exit 0 of a worker that was never seen ready. */
static void
unseen_exit(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	/* What it was seen to do instead tells more than the queue. */
	bool wrong = ev->cause != CAUSE_UNKNOWN;
	enum moved moved = wrong ? MOVED_NO : ev->moved;
	struct pool_notice *n = NULL;
	uint64_t next, delay;

	if (moved == MOVED_YES) {
		s->exit0_streak = 0;
		came_up(p, s, now);
		slot_recycle(p, s);
		return;
	}
	tried(p, s);
	if (moved == MOVED_NO || s->exit0_streak == 0)
		s->exit0_streak++;
	if (is_workless(s, ev) || (p->phase == PHASE_START &&
	    p->first_ready == NEVER)) {
		n = slot_notice(p, NOTICE_EXIT, s);
		n->cause = ev->cause;
		n->age = now - s->spawned;
		n->failures = s->exit0_streak;
	}
	if (is_workless(s, ev))
		p->counts.failed++;
	else
		p->counts.recycled++;
	if (moved == MOVED_NO) {
		drain_count_failure(p);
		count_unseen(p, s, ev, now);
	}
	if (slot_vacate(p, s))
		return;
	next = slot_later(s->spawned, slot_doubled(POOL_EXIT0_FIRST,
	    s->exit0_streak, POOL_EXIT0_LAST));
	delay = next > now ? next - now : 0;
	if (n != NULL && p->phase != PHASE_START)
		n->delay = delay;
	slot_spawn_after(p, s, now, delay);
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
	    ev->moved == MOVED_YES && !replace_is_new(p, s);
}

void
start_exit(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	if (!ev->exec_failed && WIFEXITED(ev->status) &&
	    WEXITSTATUS(ev->status) == 0)
		unseen_exit(p, s, ev, now);
	else if (served_unseen(p, s, ev)) {
		came_up(p, s, now);
		slot_ready_exit(p, s, ev, now);
	} else
		start_failed(p, s, ev, now);
}

void
start_backoff_timer(struct pool *p, struct slot *s,
    const struct pool_event *ev, uint64_t now)
{
	(void)ev;
	(void)now;
	slot_spawn(p, s);
}

void
start_backoff_end(struct pool *p, struct slot *s, const struct pool_event *ev,
    uint64_t now)
{
	retire_leave(p, s, ev, now);
	slot_vacate(p, s);
}
