/* SPDX-License-Identifier: ISC */
/*
 * The pool's actions, done to the processes of the world (world.h) and held
 * against the rules (rules.h), and the answers to what it asks.
 */
#ifndef ACT_H
#define ACT_H

#include "rules.h"

static void
trace(const char *what, uint64_t a, uint64_t b)
{
	const char *c;

	for (c = what; *c != '\0'; c++)
		w.hash = (w.hash ^ (uint64_t)*c) * UINT64_C(0x100000001b3);
	w.hash = (w.hash ^ a) * UINT64_C(0x100000001b3);
	w.hash = (w.hash ^ b) * UINT64_C(0x100000001b3);
	w.hash = (w.hash ^ w.now) * UINT64_C(0x100000001b3);
	if (w.sim->verbose)
		printf("# %" PRIu64 " %s %" PRIu64 " %" PRIu64 "\n", w.now,
		    what, a, b);
}

static void
tell_pool(const struct pool_event *ev)
{
	w.events++;
	trace("event", ev->what, ev->slot);
	pool_event(w.p, ev, w.now);
}

static void
do_spawn(unsigned int slot)
{
	if (slot >= w.used)
		w.used = slot + 1;
	check_spawn(slot);
	w.queue[(w.first + w.nqueue++) % SLOTS] = slot;
}

/* Some are kept from their program until they are killed. */
static void
proc_spawn(struct proc *p)
{
	w.free_at = w.now + sim_random(w.sim) % MS;
	if (chance(40)) {
		*p = (struct proc){ .pid = ++w.pid, .ready_at = NEVER,
		    .catches = true, .deaf = true, .halt_at = NEVER,
		    .report_at = NEVER, .shut_at = NEVER, .status = SIGKILL,
		    .die_at = w.now + EXEC_TIME };
		w.free_at = p->die_at;
	} else
		proc_start(p);
	w.sharing = p->pid;
}

/* The first of those that wait is started, or is not wanted any more. */
static void
start_first(void)
{
	struct pool_event ev = { .what = EV_SPAWNED,
	    .slot = w.queue[w.first] };

	w.first = (w.first + 1) % SLOTS;
	w.nqueue--;
	if (w.procs[ev.slot].pid != 0)
		sim_fail(w.sim, "slot %u has a process already", ev.slot);
	if (!pool_wants_spawn(w.p, ev.slot))
		ev.what = EV_UNSPAWNED;
	else if (chance(15)) {
		ev.what = EV_NOFORK;
		ev.error = 11;
	} else {
		proc_spawn(&w.procs[ev.slot]);
		ev.pid = w.procs[ev.slot].pid;
	}
	tell_pool(&ev);
}

static bool
may_start(void)
{
	return w.nqueue > 0 && (w.free_at <= w.now ||
	    !pool_wants_spawn(w.p, w.queue[w.first]));
}

static void
signal_one(unsigned int slot, struct proc *p, int signo)
{
	check_signal(slot, p, signo);
	if (signo == SIGSTOP) {
		p->stopped = true;
		p->stopped_at = w.now;
		p->halts_at = w.now + p->pause;
		p->halt_at = p->halts_at + (chance(3) ? 3 * MS : 0);
		return;
	}
	if (signo != SIGCONT)
		check_waiting(slot, p);
	if (signo == SIGCONT || signo == SIGKILL) {
		if (signo == SIGCONT && p->stopped && p->filtered &&
		    !w.p->slots[slot].no_door && !w.stopping &&
		    !p->term_sent && p->die_at == NEVER)
			sim_fail(w.sim, "slot %u is continued, and dies",
			    slot);
		p->stopped = false;
		p->halt_at = NEVER;
	}
	if (signo == SIGKILL) {
		check_counted(slot, p);
		lose(p);
		die(p, SIGKILL);
		return;
	}
	p->term_sent |= signo != SIGCONT;
	if (p->term_sent)
		heed(p);
}

static void
do_signal(unsigned int slot, int signo, bool whole)
{
	pid_t leader = w.procs[slot].pid;
	unsigned int i;

	trace("signal", slot, (uint64_t)signo);
	signal_one(slot, &w.procs[slot], signo);
	for (i = SLOTS; whole && i < w.end; i++) {
		if (is_child_of(&w.procs[i], leader))
			signal_one(slot, &w.procs[i], signo);
	}
}

static void
do_kill_holder(unsigned int slot, pid_t pid)
{
	unsigned int i;

	for (i = 0; i < PROCS; i++) {
		struct proc *p = &w.procs[i];

		if (p->pid != pid ||
		    (i != slot && !is_child_of(p, w.procs[slot].pid)))
			continue;
		p->excused = true;
		signal_one(slot, p, SIGKILL);
		return;
	}
	sim_fail(w.sim, "slot %u: process %d is not its own", slot, (int)pid);
}

static void
do_adopt(unsigned int slot, pid_t pid)
{
	unsigned int i;

	if (w.procs[slot].pid != 0)
		sim_fail(w.sim, "slot %u has a process already", slot);
	for (i = SLOTS; i < PROCS && w.procs[i].pid != pid; )
		i++;
	if (i == PROCS) {
		sim_fail(w.sim, "process %d is adopted, and is not", (int)pid);
		return;
	}
	if (slot >= w.used)
		w.used = slot + 1;
	w.procs[slot] = w.procs[i];
	w.procs[slot].report_at = NEVER;
	w.procs[slot].leader = 0;
	w.procs[i].pid = 0;
}

static void
do_notice(const struct pool_notice *n)
{
	struct proc *p = &w.procs[n->slot];

	trace("notice", n->what, n->slot);
	if (n->what == NOTICE_START_TIMEOUT) {
		p->excused = true;
		if (!p->hidden && p->ready_at <= w.now)
			sim_fail(w.sim, "slot %u is ended, and is ready",
			    n->slot);
		check_early(n->slot);
	} else if (n->what == NOTICE_ELSEWHERE) {
		p->excused = n->delay == 0;
		if (!p->elsewhere || (p->limited && p->ready_at <= w.now))
			sim_fail(w.sim, "slot %u is ended, and may be ready",
			    n->slot);
		if (!p->limited && n->delay != 0)
			sim_fail(w.sim, "slot %u is waited for in vain",
			    n->slot);
		if (p->limited && n->delay == 0)
			check_early(n->slot);
	} else if (n->what == NOTICE_FAILED) {
		if (!w.stopping)
			w.stopped_at = w.now;
		w.failed = w.fast = w.stopping = true;
	} else if (n->what == NOTICE_DUE) {
		if (!w.announced || w.now < w.due_at)
			sim_fail(w.sim, "a stop is due too early");
		w.due = true;
	} else if (n->what == NOTICE_DONE)
		w.done = true;
	else if (n->what == NOTICE_QUEUE_ABANDONED)
		w.left = n->count;
	else if (n->what == NOTICE_TOLD_BUSY) {
		if (w.tracks[n->slot].owed != n->count)
			sim_fail(w.sim, "slot %u: owed %u, not %u", n->slot,
			    w.tracks[n->slot].owed, n->count);
		w.counted += n->count;
	}
}

/* Who waits in accept sees it fail: few programs know what to do then. */
static void
do_shut(void)
{
	unsigned int i;

	w.closed = w.shut = true;
	w.shut_at = w.now;
	for (i = 0; i < PROCS; i++) {
		struct proc *p = &w.procs[i];

		/* Those that are followed do not see it. */
		if (p->is_event_loop || !p->brittle || !accepts(p) ||
		    p->shut_at <= w.now)
			continue;
		if (requests(p) > 0 && !p->was_hidden && w.depth > 0 &&
		    w.now < w.stopped_at + w.conf.stop_timeout / 2)
			sim_fail(w.sim, "a thread of process %d ends %u "
			    "requests", (int)p->pid, requests(p));
		lose(p);
		die(p, 1 << 8);
	}
}

/*
 * Who comes to accept later sees it, too, once nothing waits. One that was
 * started for what waits is at its door by then.
 */
static void
fail_accepts(void)
{
	unsigned int i;

	for (i = 0; w.shut && w.depth == 0 && i < PROCS; i++) {
		struct proc *p = &w.procs[i];

		if (p->is_event_loop || !p->brittle || !accepts(p) ||
		    p->shut_at <= w.now)
			continue;
		if (requests(p) > 0 && w.conf.door && !p->untraceable &&
		    p->ready_at > w.shut_at)
			sim_fail(w.sim, "a thread of process %d ends %u "
			    "requests", (int)p->pid, requests(p));
		lose(p);
		die(p, 1 << 8);
	}
}

static void
answer_request(unsigned int slot, struct slow_request *o)
{
	const struct conn *c = oldest(slot, &o->pid);

	if (c == NULL)
		return;
	o->age = w.now - c->began;
	o->slow = w.conf.request_timeout != 0 &&
	    o->age > w.conf.request_timeout;
}

/* Which of its requests end with a process; of the whole group: by KILL. */
static void
answer_held(unsigned int slot, bool whole, struct held_requests *h)
{
	struct track *t = &w.tracks[slot];
	pid_t leader = w.procs[slot].pid;
	unsigned int i;

	h->known = true;
	for (i = 0; i < w.end; i = after(i)) {
		const struct proc *p = &w.procs[i];

		if (i != slot && (!whole || !is_child_of(p, leader)))
			continue;
		h->known &= !p->hidden;
		h->count += requests(p);
		if (requests(p) > 0)
			h->holder = p->pid;
	}
	t->counted = w.now;
	t->owed = whole ? 0 : h->count;
	w.counted += whole ? h->count : 0;
}

static void
answer_queue(struct queue *q)
{
	*q = (struct queue){ .known = !w.blind &&
	    !(w.blinks && chance(30)),
	    .open = w.open };
	if (q->known)
		q->depth = w.depth;
	w.waits = w.open && w.now >= w.stopped_at + w.conf.stop_timeout / 2 ?
	    0 : q->depth;
	w.unsure |= w.stopping && (!q->known ||
	    (w.open && w.now >= w.stopped_at + w.conf.stop_timeout / 2));
}

/* Is it of the worker in that slot? */
static bool
is_of(unsigned int slot, unsigned int i)
{
	return i == slot || is_child_of(&w.procs[i], w.procs[slot].pid);
}

static void
answer_door(const struct pool_action *a,
    enum door_state *door)
{
	bool closed = true, refused = false, brittle = false, tired;
	bool close = a->what == POOL_DOOR_CLOSE;
	unsigned int slot = a->slot;
	unsigned int i;

	for (i = 0; i < w.end; i = after(i)) {
		struct proc *p = &w.procs[i];

		if (!is_of(slot, i))
			continue;
		p->drains = close ? a->drains : w.procs[slot].drains;
		if (close && a->drains && w.shared)
			sim_fail(w.sim, "another pool's is let in");
		if (close || p->shut_at == NEVER)
			p->shut_at = min64(p->shut_at, p->ready_at > w.now ?
			    w.now : w.now + sim_random(w.sim) % (3 * MS));
		closed = closed && p->shut_at <= w.now;
		refused = refused || p->untraceable;
		brittle = brittle || p->brittle || p->is_event_loop;
	}
	tired = !refused && !(w.procs[slot].drains && brittle) &&
	    !w.procs[slot].term_sent && a->stops != NEVER && chance(20);
	*door = refused ? DOOR_REFUSED : tired ? DOOR_TIRED : !closed ?
	    DOOR_CLOSING : a->what == POOL_DOOR_PAUSE ? DOOR_PAUSED :
	    DOOR_CLOSED;
}

static void
do_open(unsigned int slot)
{
	unsigned int i;

	for (i = 0; i < w.end; i = after(i)) {
		if (is_of(slot, i)) {
			w.procs[i].shut_at = NEVER;
			w.procs[i].drains = false;
		}
	}
}

/* Who is told by the first process has nothing to lose either. */
static void
do_tell(unsigned int slot, int signo)
{
	unsigned int i;

	for (i = 0; i < w.end; i = after(i)) {
		if (is_of(slot, i) && requests(&w.procs[i]) > 0 &&
		    w.procs[i].die_at == NEVER)
			sim_fail(w.sim, "slot %u is told, and process %d "
			    "serves", slot, (int)w.procs[i].pid);
	}
	for (i = 0; i < w.end; i = after(i)) {
		if (!is_of(slot, i))
			continue;
		w.procs[i].drains = false;
		w.procs[i].told = true;
	}
	do_signal(slot, signo, w.procs[slot].passes);
}

static enum readiness
look_at_start(struct proc *p)
{
	if (p->guessed && (p->ready_at <= w.now || p->die_at != NEVER))
		return READY_ASSUMED;
	p->seen |= p->ready_at <= w.now;
	if (p->seen)
		return READY_YES;
	if (p->hidden || !p->elsewhere)
		return p->hidden ? READY_UNKNOWN : READY_NO;
	return p->limited ? READY_ELSEWHERE_YET : READY_ELSEWHERE;
}

/* Those that are answered at once. */
static void
do_asked(const struct pool_action *a)
{
	struct proc *p = &w.procs[a->slot];
	struct pool_event ev = { .slot = a->slot };
	const struct conn *c;

	if (a->what == POOL_CHECK_READY) {
		ev.what = EV_READINESS;
		ev.readiness = look_at_start(p);
	} else if (a->what == POOL_CHECK_ACTIVITY) {
		ev.what = EV_ACTIVITY;
		ev.activity = examine(p);
		/* It is seen to have answered, if it keeps no connection. */
		if (requests(p) == 0 && !p->hidden &&
		    ev.activity.holds != HOLDS_BUSY)
			w.tracks[a->slot].owed = 0;
	} else if (a->what == POOL_CHECK_TREE) {
		ev.what = EV_TREE;
		ev.activity = examine_tree(a->slot);
	} else if (a->what == POOL_MEASURE_SIZE) {
		ev.what = EV_MEASURED;
		ev.size = chance(8) ? 2 * w.conf.max_rss : 1;
	} else if (a->what == POOL_CHECK_CANARY) {
		ev.what = EV_CANARY;
		if ((c = oldest(a->slot, &ev.pid)) != NULL) {
			ev.activity.connection = c->id;
			p->seen = true;
		}
		ev.no_traffic = c == NULL && chance(20);
	} else if (a->what == POOL_CHECK_REQUEST) {
		ev.what = EV_SLOW_REQUEST;
		answer_request(a->slot, &ev.request);
	} else if (a->what == POOL_DOOR_CLOSE || a->what == POOL_DOOR_CHECK ||
	    a->what == POOL_DOOR_PAUSE) {
		ev.what = EV_DOOR;
		answer_door(a, &ev.door);
	} else if (a->what == POOL_CHECK_HELD) {
		ev.what = EV_HELD;
		answer_held(a->slot, a->whole, &ev.held);
	} else {
		ev.what = EV_QUEUE;
		answer_queue(&ev.queue);
	}
	w.tracks[a->slot].looked = w.now;
	tell_pool(&ev);
}

static void
act_all(void)
{
	struct pool_action a;

	while (pool_next(w.p, &a)) {
		trace("action", a.what, a.slot);
		if (a.what == POOL_SPAWN)
			do_spawn(a.slot);
		else if (a.what == POOL_SIGNAL)
			do_signal(a.slot, a.signo, a.whole);
		else if (a.what == POOL_KILL_HOLDER)
			do_kill_holder(a.slot, a.pid);
		else if (a.what == POOL_ADOPT)
			do_adopt(a.slot, a.pid);
		else if (a.what == POOL_DOOR_OPEN)
			do_open(a.slot);
		else if (a.what == POOL_DOOR_GO_ON)
			continue;
		else if (a.what == POOL_DOOR_SIGNAL)
			do_tell(a.slot, a.signo);
		else if (a.what == POOL_NOTICE)
			do_notice(&a.notice);
		else if (w.shared && (a.what == POOL_SHUT ||
		    a.what == POOL_REFUSE))
			sim_fail(w.sim, "the socket of another pool is closed");
		else if (a.what == POOL_SHUT)
			do_shut();
		else if (a.what == POOL_REFUSE)
			w.closed = !w.open;
		else
			do_asked(&a);
	}
}

static void
act(void)
{
	w.waited = w.waits;
	act_all();
	while (may_start()) {
		start_first();
		act_all();
	}
}

#endif
