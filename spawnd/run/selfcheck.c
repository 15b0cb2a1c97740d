/* SPDX-License-Identifier: ISC */
/*
 * Processes of one user may send each other signals and lower each other's
 * limits. What they have done to the workers or to us is undone here, where
 * that is possible.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "run/supervise.h"

#define STOPPED_PAUSE	UINT64_C(100000)	/* usec, then it is continued */
#define STOPPED_MAX	(60 * USEC)	/* that one may stay so, in all */
#define STOPPED_LEAST	(10 * USEC)	/* less is too short to inspect it */
#define STOPPED_LOOK	USEC		/* is it still stopped? */

/* If these are too low, no worker can be started any more. */
static const struct {
	int		 resource;
	const char	*name;
} needed[] = {
	{ RLIMIT_NOFILE, "nofile" },
	{ RLIMIT_NPROC, "nproc" },
	{ RLIMIT_AS, "as" },
	{ RLIMIT_DATA, "data" },
	{ RLIMIT_STACK, "stack" },
};

static struct rlimit at_first[sizeof(needed) / sizeof(needed[0])];

void
selfcheck_init(void)
{
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		getrlimit(needed[i].resource, &at_first[i]);
}

/* Raises the limits again. Returns the name of one that cannot be raised. */
static const char *
find_lowered(void)
{
	struct rlimit r;
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (getrlimit(needed[i].resource, &r) == -1)
			continue;
		if (r.rlim_max < at_first[i].rlim_max)
			return needed[i].name;
		if (r.rlim_cur < at_first[i].rlim_cur)
			setrlimit(needed[i].resource, &at_first[i]);
	}
	return NULL;
}

/* Without CAP_SYS_RESOURCE a hard limit cannot be raised again. */
static void
on_lowered(void)
{
	const char *name = find_lowered();
	char why[ERR_SIZE];

	if (name == NULL)
		return;
	snprintf(why, sizeof(why), "limits: %s: has been lowered by a worker "
	    "or another process of this user, and no worker can be started",
	    name);
	lifecycle_restart(why);
}

/* Limits that are too low let a spawn fail, or kill the worker at once. */
static bool
may_be_limits(const struct pool_notice *n)
{
	return n->what == NOTICE_NOFORK || n->exec_failed ||
	    (n->what == NOTICE_EXIT && WIFSIGNALED(n->status) &&
	    !n->was_ready);
}

void
selfcheck_notice(const struct pool_notice *n)
{
	/* The pool's actions come first. */
	if (may_be_limits(n) && find_lowered() != NULL)
		loop_timer(TIMER_CRIPPLED, loop_now(), on_lowered);
}

/*
 * The sender of a SIGSTOP cannot be seen: an administrator who inspects a
 * worker, or a process of its own user that wants it not to serve. So one
 * worker at a time is left stopped, while another one serves, and for no more
 * of the time than it is not. Stopping many, or for long, gains nothing.
 */
static struct {
	pid_t		 pid;		/* 0: none */
	uint64_t	 budget;	/* usec that it may stay so */
	uint64_t	 at;		/* when that was counted */
} spared = { .budget = STOPPED_MAX };

static uint64_t next_look = NEVER;

static void
fill_budget(uint64_t now)
{
	uint64_t passed = now - spared.at, b = spared.budget;

	if (spared.pid != 0)
		spared.budget = passed < b ? b - passed : 0;
	else
		spared.budget = passed < STOPPED_MAX - b ? b + passed :
		    STOPPED_MAX;
	spared.at = now;
}

static bool
another_serves(const struct pool *pool, unsigned int slot)
{
	unsigned int i;

	for (i = 0; i < pool_slots(pool); i++) {
		if (i != slot && pool_state(pool, i) == SLOT_READY &&
		    worker_probe_state(i)->stopped_by == 0)
			return true;
	}
	return false;
}

/* May it stay stopped? Not while it starts, or once it is to go. */
static bool
may_stay(const struct pool *pool, unsigned int slot, bool inspected)
{
	pid_t pid = worker_pid(slot);

	if (pool_state(pool, slot) != SLOT_READY)
		return false;
	if (inspected)
		return true;
	if (worker_probe_state(slot)->stopped_by != SIGSTOP ||
	    !another_serves(pool, slot))
		return false;
	if (spared.pid == 0 && spared.budget >= STOPPED_LEAST)
		spared.pid = pid;
	return spared.pid == pid && spared.budget > 0;
}

static void
log_spared(pid_t pid, bool inspected)
{
	if (inspected)
		log_warn("worker %d: was stopped and is traced by a process of "
		    "another user (left alone until that ends)", (int)pid);
	else
		log_warn("worker %d: was stopped by another process (left so "
		    "for up to %u s, to be inspected)", (int)pid,
		    (unsigned int)(spared.budget / USEC));
}

static void
end_stopped(unsigned int slot)
{
	worker_probe_state(slot)->stopped_by = 0;
	worker_probe_state(slot)->stays_stopped = false;
	if (spared.pid == worker_pid(slot))
		spared.pid = 0;
}

/* Returns true if it stays stopped. */
static bool
check_stopped(const struct pool *pool, unsigned int slot)
{
	struct probe_state *s = worker_probe_state(slot);
	pid_t pid = worker_pid(slot);
	bool inspected;

	if (pool_state(pool, slot) == SLOT_FREEZING) {
		end_stopped(slot);		/* the pool will continue it */
		return false;
	}
	if (worker_continued(slot)) {
		if (s->stays_stopped)
			log_info("worker %d: was continued by another process",
			    (int)pid);
		end_stopped(slot);
		return false;
	}
	inspected = observe_inspected(pid);
	if (may_stay(pool, slot, inspected)) {
		if (!s->stays_stopped)
			log_spared(pid, inspected);
		s->stays_stopped = true;
		return true;
	}
	log_warn("worker %d: was stopped by another process (continuing it)",
	    (int)pid);
	worker_signal(slot, SIGCONT, false);
	end_stopped(slot);
	return false;
}

static void on_stopped(void);

static void
selfcheck_later(uint64_t pause)
{
	if (loop_now() + pause >= next_look)
		return;
	next_look = loop_now() + pause;
	loop_timer(TIMER_STOPPED, next_look, on_stopped);
}

/* However often workers are stopped, this runs once a STOPPED_PAUSE. */
static void
on_stopped(void)
{
	const struct pool *pool = actor_pool();
	unsigned int i, n = pool_slots(pool);
	bool there = false, stays = false;

	next_look = NEVER;
	fill_budget(loop_now());
	for (i = 0; i < n; i++)
		there |= spared.pid != 0 && worker_pid(i) == spared.pid;
	if (!there)
		spared.pid = 0;
	for (i = 0; i < n; i++) {
		if (worker_pid(i) != 0 &&
		    worker_probe_state(i)->stopped_by != 0)
			stays |= check_stopped(pool, i);
	}
	if (stays)
		selfcheck_later(STOPPED_LOOK);
}

void
selfcheck_stopped(unsigned int slot, int signo)
{
	if (pool_state(actor_pool(), slot) == SLOT_FREEZING)
		return;		/* it was us */
	worker_probe_state(slot)->stopped_by = signo;
	selfcheck_later(STOPPED_PAUSE);
}
