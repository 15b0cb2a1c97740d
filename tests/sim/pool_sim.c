/* SPDX-License-Identifier: ISC */
/*
 * The pool under a clock of its own, over the processes of world.h: they
 * start, serve what waits in a queue, hang, hide, ignore signals and die, and
 * the pool is reloaded, sized and stopped in the middle of anything. What it
 * does is held against what really is. Each seed runs twice: both must agree.
 *
 *	make sim SIM="-n 1000"			1000 seeds of each case
 *	make sim SIM="-v -k CASE -s SEED"	one, with all that happens
 *	make sim TRACE=FILE			no world, but a recorded trace
 *	make graph				what the slots went through
 *
 * mutate.sh plants bugs in the pool and shows that each is found here.
 */
#include "graph.h"
#include "replay.h"
#include "world.h"

#define EVENTS		150
#define CALM		(600 * USEC)
#define SLACK		(10 * MS)
#define DRAWN_SEEDS	300

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

/* So many more than wanted may be there, to replace others. */
static unsigned int
surge(void)
{
	return pool_surge(w.conf.surge, pool_max(w.p));
}

/* May there be one more, at this moment? */
static void
check_spawn(unsigned int slot)
{
	unsigned int i, n = 0, untold = 0;

	for (i = 0; i < SLOTS; i++) {
		struct pool_worker x;

		n += pool_worker(w.p, i, &x) && !x.orphan;
		untold += w.procs[i].pid != 0 && !w.procs[i].term_sent &&
		    !w.procs[i].job && w.procs[i].die_at == NEVER;
	}
	if (w.procs[slot].pid != 0)
		sim_fail(w.sim, "slot %u has a process already", slot);
	if (n > pool_max(w.p) + surge())
		sim_fail(w.sim, "%u workers, %u may be, %u wanted", n,
		    pool_max(w.p), pool_target(w.p));
	n = pool_count(w.p, SLOT_STARTING) + pool_count(w.p, SLOT_READY) +
	    pool_count(w.p, SLOT_BACKOFF);
	for (i = 0; i < w.used; i++)
		n += pool_state(w.p, i) == SLOT_SPAWNING &&
		    pool_wants_spawn(w.p, i);
	if (pool_phase(w.p) == PHASE_UP && n > pool_target(w.p) + surge())
		sim_fail(w.sim, "%u stay, %u are wanted", n,
		    pool_target(w.p));
	if (pool_phase(w.p) >= PHASE_STOP && (w.depth == 0 || untold > 0))
		sim_fail(w.sim, "spawned in a stop: %u wait, %u serve",
		    w.depth, untold);
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

/* How long may a worker take to go? */
static uint64_t
going_limit(const struct track *t)
{
	uint64_t end = t->going + w.conf.stop_timeout;

	if (w.stopping && w.stopped_at + w.conf.stop_timeout < end)
		end = w.stopped_at + w.conf.stop_timeout;
	return end;
}

static void
check_signal(unsigned int slot, const struct proc *p, int signo)
{
	const struct track *t = &w.tracks[slot];
	unsigned int i;

	if (p->pid == 0)
		sim_fail(w.sim, "signal %d, slot %u: no process", signo,
		    slot);
	for (i = 0; signo == SIGSTOP && i < PROCS; i++) {
		if (w.procs[i].pid != 0 && w.procs[i].stopped)
			sim_fail(w.sim, "two are stopped");
	}
	if (w.fast || signo == SIGCONT || requests(p) == 0 || p->excused ||
	    p->die_at != NEVER)
		return;
	if (signo == SIGSTOP)
		sim_fail(w.sim, "slot %u is busy and is stopped", slot);
	else if (signo != SIGKILL && (!p->catches ||
	    (p->threads && !p->hidden) || (w.conf.door && !w.stopping &&
	    !p->untraceable && !p->was_hidden)))
		sim_fail(w.sim, "slot %u is busy and is told", slot);
	else if (signo != SIGKILL && !p->was_hidden && (reads(p) ||
	    w.now + POOL_LAST_CHANCE < going_limit(t)))
		sim_fail(w.sim, "slot %u is busy and is told, after %" PRIu64
		    " of %" PRIu64, slot, w.now - t->going,
		    w.conf.stop_timeout);
	else if (signo == SIGKILL && w.now < going_limit(t))
		sim_fail(w.sim, "slot %u is busy and is killed, after %"
		    PRIu64 " of %" PRIu64, slot, w.now - t->going,
		    w.conf.stop_timeout);
}

/*
 * Nobody is told in a stop while something waits, as far as is known, but who
 * has no room for it since its client keeps the connection open.
 */
static void
check_waiting(unsigned int slot, const struct proc *p)
{
	if (examine_tree(slot).holds == HOLDS_QUIET &&
	    !examine_tree(slot).sleeping)
		return;
	if (w.stopping && w.conf.drains && !w.fast && !p->term_sent &&
	    !p->excused && w.waits > 0 && w.waited > 0 &&
	    w.now < going_limit(&w.tracks[slot]))
		sim_fail(w.sim, "slot %u is told, and %u wait", slot, w.waits);
}

/* What is killed with requests at a deadline, somebody has counted before. */
static void
check_counted(unsigned int slot, const struct proc *p)
{
	if (p->die_at == NEVER && !p->excused && requests(p) > 0 &&
	    w.tracks[slot].counted != w.now)
		sim_fail(w.sim, "slot %u: nobody has counted %u requests",
		    slot, requests(p));
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
do_signal_holder(unsigned int slot, pid_t pid, int signo)
{
	unsigned int i;

	for (i = 0; i < PROCS; i++) {
		struct proc *p = &w.procs[i];

		if (p->pid != pid ||
		    (i != slot && !is_child_of(p, w.procs[slot].pid)))
			continue;
		p->excused = true;
		signal_one(slot, p, signo);
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
check_early(unsigned int slot)
{
	const struct track *t = &w.tracks[slot];

	if (t->state == SLOT_STARTING && t->pid == w.procs[slot].pid &&
	    w.now < t->since + w.conf.start_timeout)
		sim_fail(w.sim, "slot %u is slow after %" PRIu64, slot,
		    w.now - t->since);
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
	bool closed = true, refused = false;
	bool close = a->what == POOL_DOOR_CLOSE;
	unsigned int slot = a->slot;
	unsigned int i;

	for (i = 0; i < w.end; i = after(i)) {
		struct proc *p = &w.procs[i];

		if (!is_of(slot, i))
			continue;
		p->drains = close ? a->drains : w.procs[slot].drains;
		if (close || p->shut_at == NEVER)
			p->shut_at = min64(p->shut_at,
			    w.now + sim_random(w.sim) % (3 * MS));
		closed = closed && p->shut_at <= w.now;
		refused = refused || p->untraceable;
	}
	*door = refused ? DOOR_REFUSED : !w.procs[slot].drains &&
	    !w.procs[slot].term_sent && chance(20) ? DOOR_TIRED : !closed ?
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
		else if (a.what == POOL_SIGNAL_HOLDER)
			do_signal_holder(a.slot, a.pid, a.signo);
		else if (a.what == POOL_ADOPT)
			do_adopt(a.slot, a.pid);
		else if (a.what == POOL_DOOR_OPEN)
			do_open(a.slot);
		else if (a.what == POOL_DOOR_GO_ON)
			continue;
		else if (a.what == POOL_DOOR_TELL)
			do_tell(a.slot, a.signo);
		else if (a.what == POOL_NOTICE)
			do_notice(&a.notice);
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

static void
check_late(unsigned int slot, const char *what, uint64_t limit)
{
	if (w.now > limit + SLACK)
		sim_fail(w.sim, "slot %u is %s for %" PRIu64 " too long", slot,
		    what, w.now - limit);
}

/* A request that is too old, by the time that it takes to end it. */
static void
check_requests(unsigned int slot, const struct track *t)
{
	uint64_t timeout = w.conf.request_timeout, since;
	const struct conn *c;
	pid_t pid;

	if (timeout == 0 || (t->state != SLOT_READY &&
	    t->state != SLOT_RETIRING && t->state != SLOT_DOOR) ||
	    (c = oldest(slot, &pid)) == NULL)
		return;
	since = c->began + timeout > t->since ? c->began + timeout : t->since;
	/* One of a tree is ended after the other. */
	if (w.now > since + 4 * (POOL_FAST_STOP + timeout / 8 + SLACK))
		sim_fail(w.sim, "slot %u: its request is of age %" PRIu64,
		    slot, w.now - c->began);
}

/* A deadline that is lost leaves a slot where it is. */
static void
check_slot(unsigned int slot, const struct proc *p, struct track *t)
{
	enum slot_state s = pool_state(w.p, slot);

	if (p->pid != t->pid)
		t->going = 0;
	if (s != t->state || p->pid != t->pid) {
		t->state = s;
		t->pid = p->pid;
		t->since = t->looked = w.now;
	}
	if (s == SLOT_READY || s <= SLOT_STARTING || s == SLOT_BACKOFF)
		t->going = 0;
	else if (t->going == 0)
		t->going = w.now;
	if (s == SLOT_STARTING) {
		check_late(slot, "not looked at",
		    t->looked + POOL_READY_LAST);
		if (!p->was_hidden)
			check_late(slot, "slow",
			    t->since + w.conf.start_timeout);
		if (w.stopping && !w.fast)
			check_late(slot, "starting",
			    w.stopped_at + w.conf.stop_timeout + SLACK);
	} else if (s == SLOT_SPAWNING && w.stopping)
		check_late(slot, "to be started",
		    w.stopped_at + w.conf.stop_timeout);
	else if (s == SLOT_BACKOFF)
		check_late(slot, "waiting", t->since + POOL_FAIL_LAST);
	if (t->going != 0)
		check_late(slot, "going", going_limit(t) + POOL_FREEZE +
		    2 * MS);
	check_requests(slot, t);
	if ((p->pid != 0) != (s >= SLOT_STARTING && s <= SLOT_KILLED))
		sim_fail(w.sim, "slot %u: a process is lost", slot);
	if (p->pid != 0 && p->stopped && s != SLOT_FREEZING)
		sim_fail(w.sim, "slot %u is left stopped", slot);
	if (p->pid != 0 && p->shut_at != NEVER && s != SLOT_DOOR &&
	    s != SLOT_KILLED)
		sim_fail(w.sim, "slot %u is left with a closed door", slot);
	if (p->pid != 0 && p->stopped)
		check_late(slot, "stopped", p->stopped_at + POOL_FREEZE);
}

/* One more than wanted, until an old one is told: that is not for long. */
static void
check_surplus(void)
{
	if (pool_phase(w.p) != PHASE_UP ||
	    pool_count(w.p, SLOT_READY) <= pool_target(w.p))
		w.fits_at = w.now;
	else if (w.now > w.fits_at + POOL_CANARY + USEC)
		sim_fail(w.sim, "%u of %u are ready for too long",
		    pool_count(w.p, SLOT_READY), pool_target(w.p));
}

/* One more first, and not too many; the first of a reload is alone. */
static void
check_replacing(void)
{
	const struct pool *p = w.p;

	if (p->nsurge + p->noutgoing > surge())
		sim_fail(w.sim, "%u are replaced, %u may be",
		    p->nsurge + p->noutgoing, surge());
	if (p->phase == PHASE_UP && !p->resize_pending &&
	    pool_staying(p) < p->target + p->nsurge)
		sim_fail(w.sim, "%u stay, %u are wanted and %u are new",
		    pool_staying(p), p->target, p->nsurge);
	if (p->reload == RELOAD_CANARY && p->nsurge > 1)
		sim_fail(w.sim, "%u of a program that has not served",
		    p->nsurge);
}

static void
check_always(void)
{
	unsigned int i;

	if (pool_counts(w.p)->lost != w.counted)
		sim_fail(w.sim, "%" PRIu64 " are counted as lost, not %"
		    PRIu64, pool_counts(w.p)->lost, w.counted);
	if (pool_counts(w.p)->nevers > 0 || pool_counts(w.p)->overflows > 0)
		sim_fail(w.sim, "what cannot be has happened");
	if (w.done)
		return;
	check_surplus();
	check_replacing();
	for (i = 0; i < w.used; i++)
		check_slot(i, &w.procs[i], &w.tracks[i]);
}

static void
tell(struct pool_event ev)
{
	tell_pool(&ev);
	act();
	check_always();
}

/* Somebody is found whose leader is gone. */
static void
report(struct proc *p)
{
	p->report_at = w.now + 50 * MS;
	if (!p->job || w.stopping)
		tell((struct pool_event){ .what = EV_ORPHAN, .pid = p->pid });
	/* Nobody is to open its door again. */
	if (p->pid != 0)
		p->shut_at = NEVER;
}

static void
report_all(void)
{
	unsigned int i;

	for (i = SLOTS; i < PROCS; i++) {
		if (w.procs[i].pid != 0 && w.procs[i].report_at != NEVER)
			report(&w.procs[i]);
	}
}

static void
child_dies(struct proc *p)
{
	pid_t leader = p->leader;
	unsigned int i;

	p->pid = 0;
	for (i = 0; i < SLOTS && leader != 0; i++) {
		const struct proc *l = &w.procs[i];

		if (l->pid == leader && !l->term_sent && l->die_at == NEVER &&
		    !p->job)
			proc_child(leader, w.now + sim_between(w.sim, 1, MS));
	}
}

/*
 * A reload's new worker ends it if it was never seen to serve and leaves in any
 * way but with 0, or shows what is wrong with it. A mere 0 may be a request.
 */
static void
tell_exit(const struct pool_event *ev, const struct proc *p)
{
	const struct slot *s = &w.p->slots[ev->slot];
	uint64_t failed = pool_counts(w.p)->reloads_failed;
	bool new = pool_reloading(w.p) && !p->excused && !p->seen &&
	    s->generation == w.p->generation &&
	    (s->state == SLOT_STARTING || s->state == SLOT_READY);
	bool ends = ev->status != 0 || (ev->cause != CAUSE_UNKNOWN &&
	    s->state == SLOT_STARTING);
	bool first = !ends && s->state == SLOT_STARTING &&
	    w.p->unseen + 1 < POOL_UNSEEN;

	tell_pool(ev);
	if (new && ends && pool_counts(w.p)->reloads_failed == failed)
		sim_fail(w.sim, "slot %u has failed, not the reload",
		    ev->slot);
	if (new && first && pool_counts(w.p)->reloads_failed != failed)
		sim_fail(w.sim, "slot %u may have served, the reload failed",
		    ev->slot);
	act();
	check_always();
}

static void
worker_dies(unsigned int slot)
{
	struct proc *p = &w.procs[slot], old = *p;
	struct pool_event ev = { .what = EV_EXIT, .slot = slot,
	    .status = p->status };
	unsigned int i;

	ev.moved = w.blind ? MOVED_UNKNOWN : connections(p) > 0 ? MOVED_YES :
	    MOVED_NO;
	if (pool_wants_cause(w.p, slot))
		ev.cause = p->cause;
	for (i = SLOTS; i < PROCS; i++) {
		if (!is_child_of(&w.procs[i], p->pid))
			continue;
		w.procs[i].leader = 0;
		w.procs[i].report_at = w.now + sim_between(w.sim, 1, 50 * MS);
	}
	/* The last one is not gone before the pool knows of the others. */
	if (w.stopping &&
	    pool_count(w.p, SLOT_EMPTY) + 1 >= pool_slots(w.p))
		report_all();
	if (p->pid == w.sharing)
		w.free_at = w.now;
	p->pid = 0;
	p->stopped = false;
	tell_exit(&ev, &old);
}

/* What is due of one process by now. */
static void
process_due(unsigned int i)
{
	struct proc *p = &w.procs[i];
	unsigned int k;

	if (p->die_at <= w.now) {
		if (i < SLOTS)
			worker_dies(i);
		else
			child_dies(p);
	} else if (p->halt_at <= w.now) {
		p->halt_at = NEVER;
		tell((struct pool_event){ .what = EV_FROZEN, .slot = i });
	} else if (p->report_at <= w.now)
		report(p);
	else {
		for (k = 0; k < CONNS && runs(p); k++) {
			if (p->c[k].id != 0 && p->c[k].until <= w.now)
				conn_due(p, &p->c[k]);
		}
	}
}

static uint64_t
next_time(uint64_t end)
{
	uint64_t t = pool_deadline(w.p), n;
	unsigned int i;

	if (w.arrival < t && !w.closed)
		t = w.arrival;
	if (w.nqueue > 0 && w.free_at < t)
		t = w.free_at;
	for (i = 0; i < w.end; i = after(i)) {
		if (w.procs[i].pid == 0)
			continue;
		n = proc_next(&w.procs[i]);
		if (n < t)
			t = n;
	}
	return t < end ? t : end;
}

static void
pass(uint64_t usec)
{
	uint64_t end = w.now + usec, t;
	unsigned int i, still = 0;

	while (w.now < end && !w.sim->failed && !w.done) {
		t = next_time(end);
		still = t > w.now ? 0 : still + 1;
		if (still > 10000)
			sim_fail(w.sim, "the clock stands still");
		if (t > w.now)
			w.now = t;
		if (w.arrival <= w.now && !w.closed) {
			w.depth++;
			w.arrival = w.now + 1 +
			    sim_exponential(w.sim, w.mean);
		}
		for (i = 0; i < w.end; i = after(i)) {
			if (w.procs[i].pid != 0)
				process_due(i);
		}
		serve();
		if (may_start()) {
			act();
			check_always();
		}
		if (pool_deadline(w.p) <= w.now) {
			pool_tick(w.p, w.now);
			w.events++;
			act();
			check_always();
		}
	}
}

static void
stop(bool fast)
{
	if (!w.stopping)
		w.stopped_at = w.now;
	w.fast |= fast || w.stopping;
	w.stopping = true;
	if (w.open && !w.calm)
		w.mean = sim_between(w.sim, MS, 20 * MS);
	report_all();
	tell((struct pool_event){ .what = fast ? EV_STOP_FAST : EV_STOP });
}

static void
random_change(struct proc *p)
{
	if (p->pid == 0)
		return;
	if (sim_random(w.sim) % 3 == 0) {
		p->hidden = chance(2);
		p->was_hidden |= p->hidden;
	} else if (!p->stopped) {
		lose(p);
		/* One that was traced may not have told how. */
		die(p, p->pid % 3 == 0 ? STATUS_UNKNOWN : SIGSEGV);
	}
}

/* Fewer are wanted, just when there is one more to replace an old one. */
static void
one_fewer(void)
{
	unsigned int n = pool_target(w.p);

	if (n > 0 && pool_count(w.p, SLOT_READY) == n &&
	    pool_count(w.p, SLOT_STARTING) > 0)
		tell((struct pool_event){ .what = EV_TARGET,
		    .workers = n - 1 });
}

static void
random_event(void)
{
	struct proc *p;

	switch (sim_random(w.sim) % 12) {
	case 0:
	case 1:
		random_change(&w.procs[sim_between(w.sim, 0, 8)]);
		break;
	case 2:
		tell((struct pool_event){ .what = EV_RELOAD });
		break;
	case 3:
		tell((struct pool_event){ .what = EV_TARGET, .workers =
		    (unsigned int)sim_between(w.sim, 0, w.conf.max) });
		break;
	case 4:
		if ((p = proc_child(0, w.now)) != NULL)
			report(p);
		break;
	case 5:
		w.mean = sim_between(w.sim, 2 * MS, USEC);
		break;
	case 6:
		random_change(&w.procs[SLOTS + sim_between(w.sim, 0, 8)]);
		break;
	case 7:
	case 8:
		one_fewer();
		break;
	default:
		break;
	}
	pass(sim_between(w.sim, 1, chance(4) ? 5 * USEC : 100 * MS));
}

/* What the pool has noted of this must be what it does again. */
static void
check_trace(void)
{
	struct proto_output o = { 0 };
	struct trace_cursor c = { 0 };
	struct replay r = { 0 };
	struct trace_item item;

	while (r.status == 0 && trace_next(w.p, &c, &item)) {
		o.len = 0;
		replay_write(&item, &o);
		if (o.failed)
			abort();
		o.buf[o.len - 1] = '\0';
		replay_line(&r, o.buf);
	}
	if (r.status == 0)
		replay_line(&r, "end");
	proto_free(&o);
	replay_over(&r);
	if (r.status != 0 && w.sim->verbose)
		printf("# trace: %s\n", r.why);
	if (r.status != 0)
		sim_fail(w.sim, "trace: line %u: %.*s", r.line,
		    (int)strcspn(r.why, "\n"), r.why);
}

/* What was stuck goes on. */
static void
loosen(void)
{
	unsigned int i, k;

	for (i = 0; i < PROCS; i++) {
		struct proc *p = &w.procs[i];

		p->hidden = p->deaf = p->brittle = false;
		p->pause = 10;
		for (k = 0; k < CONNS; k++) {
			if (p->c[k].until == NEVER)
				p->c[k].until = w.now + MS;
		}
	}
}

/* The pool is as it should be, and nothing is on its way. */
static bool
is_fit(void)
{
	return !pool_reloading(w.p) &&
	    pool_count(w.p, SLOT_READY) == pool_target(w.p) &&
	    pool_count(w.p, SLOT_EMPTY) ==
	    pool_slots(w.p) - pool_target(w.p);
}

static void
check_ages(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS && w.conf.max_age != 0; i++) {
		struct pool_worker x;

		if (pool_worker(w.p, i, &x) && x.ready != 0 &&
		    w.now - x.ready > 2 * w.conf.max_age)
			sim_fail(w.sim, "slot %u is too old", i);
	}
}

/* Nothing goes wrong any more. */
static void
calm_down(void)
{
	uint64_t end = w.now + CALM;

	w.calm = true;
	w.blind = false;
	w.mean = USEC;
	loosen();
	while (w.now < end && !w.sim->failed && !is_fit())
		pass(USEC);
	if (!is_fit())
		sim_fail(w.sim, "%u of %u are ready%s",
		    pool_count(w.p, SLOT_READY), pool_target(w.p),
		    pool_reloading(w.p) ? ", the reload does not end" : "");
	pass(2 * w.conf.max_age + 30 * USEC);
	check_ages();
}

static void
setup(struct sim *s)
{
	w = (struct world){ .sim = s, .used = 1, .end = SLOTS,
	    .now = 1000 * USEC, .pid = 100,
	    .mean = 20 * MS, .hash = UINT64_C(0xcbf29ce484222325) };
	w.arrival = w.now + MS;
	w.blind = chance(8);
	w.blinks = chance(4);
	w.open = chance(3);
	w.conf = (struct pool_conf){ .stop_signal = SIGTERM,
	    .workers = (unsigned int)sim_between(s, 0, 6), .max = 8,
	    .surge = (unsigned int)sim_between(s, 0, 4),
	    .processes = chance(3) ? 9 : 0,
	    .drains = sim_random(s) % 2, .door = s->random >> 7 & 1,
	    .canary = sim_random(s) % 2 ? POOL_CANARY : 0,
	    .max_age = chance(3) ? 10 * USEC : 0,
	    .max_rss = chance(3) ? 1000 : 0,
	    .request_timeout = chance(3) ? 3 * USEC : 0,
	    .start_timeout = sim_between(s, 1, 10) * USEC,
	    .stop_timeout = sim_between(s, 1, 10) * USEC, .seed = s->random };
	if ((w.p = pool_new(&w.conf, w.now)) == NULL)
		abort();
	if (pool_slots(w.p) > SLOTS)
		abort();
	graph_begin(w.p);
	act();
	check_always();
}

static void
check_end(void)
{
	unsigned int i;

	pass(w.conf.stop_timeout + 5 * USEC);
	if (!w.done)
		sim_fail(w.sim, "the stop does not end");
	for (i = 0; i < PROCS && w.done; i++) {
		if (w.procs[i].pid != 0)
			sim_fail(w.sim, "process %d is left",
			    (int)w.procs[i].pid);
	}
	if (w.conf.drains && !w.fast && !w.unsure && w.depth != w.left)
		sim_fail(w.sim, "%u are left, %u are said to be", w.depth,
		    w.left);
}

/* A stop when nothing goes wrong: all that waits or is served is answered. */
static void
stop_calmly(void)
{
	uint64_t lost = w.lost;

	w.depth = (unsigned int)sim_between(w.sim, 0,
	    w.conf.stop_timeout / USEC * 10);
	stop(false);
	check_end();
	if (w.lost != lost)
		sim_fail(w.sim, "%" PRIu64 " requests are lost",
		    w.lost - lost);
	if (w.conf.drains && w.depth > 0)
		sim_fail(w.sim, "%u connections are left", w.depth);
}

static void
stop_anyhow(struct sim *s)
{
	/* Who waits then must be served by one that is yet to start. */
	if (chance(4) && !w.failed) {
		tell((struct pool_event){ .what = EV_TARGET, .workers = 0 });
		pass(sim_between(s, 1, 2 * w.conf.stop_timeout));
	}
	if (!w.failed)
		stop(chance(4));
	if (chance(4)) {
		pass(sim_between(s, 1, USEC));
		if (!w.done)
			stop(false);
	}
	check_end();
}

static uint64_t
run_once(struct sim *s, bool calm)
{
	unsigned int i;

	setup(s);
	for (i = 0; i < EVENTS && !s->failed && !w.failed; i++) {
		random_event();
		if (i % 10 == 0)
			check_trace();
	}
	if (calm && !w.failed && !s->failed) {
		calm_down();
		stop_calmly();
	} else
		stop_anyhow(s);
	check_trace();
	pool_free(w.p);
	snprintf(s->said, sizeof(s->said), "%" PRIu64 " events, %" PRIu64
	    " requests lost", w.events, w.lost);
	return w.hash;
}

static void
run(struct sim *s, bool calm)
{
	uint64_t seed = s->random, hash = run_once(s, calm);

	if (s->failed)
		return;
	s->random = seed;
	if (run_once(s, calm) != hash)
		sim_fail(s, "two runs differ");
}

static void
stop_in_the_middle(struct sim *s)
{
	run(s, false);
}

static void
calm_again(struct sim *s)
{
	run(s, true);
}

static const struct sim_case cases[] = {
	{ "stop", stop_in_the_middle },
	{ "calm", calm_again },
};

/* What all that the simulation can do makes the slots go through. */
static int
draw(void)
{
	struct sim s;
	uint64_t i;
	size_t k;

	for (i = 1; i <= DRAWN_SEEDS; i++) {
		for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
			s = (struct sim){ .random = i };
			cases[k].run(&s);
			if (s.failed)
				return 1;
		}
	}
	graph_print();
	return 0;
}

int
main(int argc, char *argv[])
{
	if (argc == 3 && strcmp(argv[1], "-t") == 0)
		return replay_file(argv[2]);
	if (argc == 2 && strcmp(argv[1], "--graph") == 0)
		return draw();
	return sim_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
