/* SPDX-License-Identifier: ISC */
/*
 * What must hold of a pool: of each of its actions when it is done, and of all
 * that is there after each. The world (world.h) knows what really is.
 */
#ifndef RULES_H
#define RULES_H

#include "world.h"

#define SLACK		(10 * MS)

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
	    p->threads || (w.conf.door && !w.stopping && !p->untraceable &&
	    !p->was_hidden)))
		sim_fail(w.sim, "slot %u is busy and is told", slot);
	else if (signo != SIGKILL && (reads(p) ||
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
check_early(unsigned int slot)
{
	const struct track *t = &w.tracks[slot];

	if (t->state == SLOT_STARTING && t->pid == w.procs[slot].pid &&
	    w.now < t->since + w.conf.start_timeout)
		sim_fail(w.sim, "slot %u is slow after %" PRIu64, slot,
		    w.now - t->since);
}

static void
check_late(unsigned int slot, const char *what, uint64_t limit)
{
	if (w.now > limit + SLACK)
		sim_fail(w.sim, "slot %u is %s for %" PRIu64 " too long", slot,
		    what, w.now - limit);
}

/* How many processes a worker has. */
static unsigned int
family(unsigned int slot)
{
	unsigned int i, n = 1;

	for (i = 0; i < PROCS; i++)
		n += is_child_of(&w.procs[i], w.procs[slot].pid);
	return n;
}

/* A request that is too old, by the time that it takes to end it. */
static void
check_requests(unsigned int slot, const struct track *t)
{
	uint64_t timeout = w.conf.request_timeout, since, pause;
	const struct conn *c;
	pid_t pid;

	if (timeout == 0 || (t->state != SLOT_READY &&
	    t->state != SLOT_RETIRING && t->state != SLOT_DOOR) ||
	    (c = oldest(slot, &pid)) == NULL)
		return;
	/* One that is let go from its door is left alone for a while. */
	pause = t->state == SLOT_READY ? timeout / 8 :
	    4 * (POOL_FAST_STOP + timeout / 8);
	since = c->began + timeout > t->since ? c->began + timeout : t->since;
	/* One of a tree is ended after the other, each at a look. */
	if (w.now > since + family(slot) * (pause + SLACK))
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

/* Whoever asks is told so until the stop, which comes at its time. */
static void
check_announced(void)
{
	if (pool_is_announced(w.p) != w.announced)
		sim_fail(w.sim, "a stop is announced, or is not");
	if (w.announced && w.now > w.due_at && !w.due)
		sim_fail(w.sim, "an announced stop is late");
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
	check_announced();
	check_surplus();
	check_replacing();
	for (i = 0; i < w.used; i++)
		check_slot(i, &w.procs[i], &w.tracks[i]);
}

#endif
