/* SPDX-License-Identifier: ISC */
/*
 * What others of our user have done to the workers or to us, who all may send
 * each other signals and lower each other's limits: mended where that can be.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "run/run.h"

#define STOPPED_PAUSE	UINT64_C(100000)	/* usec, to continue them */
#define STOPPED_LEFT	(60 * USEC)	/* that one may stay so, in all */
#define STOPPED_LEAST	(10 * USEC)	/* less is of no use to anybody */
#define STOPPED_LOOK	USEC		/* does it still? */

/* Without these no worker can be started any more. */
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

/* Raises again what can be; returns the name of one that cannot be. */
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

/* Nobody can raise a hard limit again without a right. */
static void
on_crippled(void)
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
		loop_timer(TIMER_CRIPPLED, loop_now(), on_crippled);
}

/*
 * Who has sent a SIGSTOP is not to be seen: an administrator who wants to look
 * at a worker, or one of its own user who wants it not to serve. So one at a
 * time is left stopped, if another one serves, and for no more of the time
 * than it is not; who stops many, or for long, gains nothing.
 */
static struct {
	pid_t		 pid;		/* 0: none */
	uint64_t	 credit;	/* usec */
	uint64_t	 at;		/* when that was counted */
} left = { .credit = STOPPED_LEFT };

static uint64_t due = NEVER;		/* the next look at them */

static void
count_credit(uint64_t now)
{
	uint64_t passed = now - left.at;

	if (left.pid != 0)
		left.credit -= passed < left.credit ? passed : left.credit;
	else if (passed < STOPPED_LEFT - left.credit)
		left.credit += passed;
	else
		left.credit = STOPPED_LEFT;
	left.at = now;
}

static bool
another_serves(const struct pool *pool, unsigned int slot)
{
	unsigned int i;

	for (i = 0; i < pool_slots(pool); i++) {
		if (i != slot && pool_state(pool, i) == SLOT_READY &&
		    worker_probe_state(i)->halted == 0)
			return true;
	}
	return false;
}

/* May it stay as it is? One that is to go, or has to start, may not. */
static bool
may_stay(const struct pool *pool, unsigned int slot, bool inspected)
{
	pid_t pid = worker_pid(slot);

	if (pool_state(pool, slot) != SLOT_READY)
		return false;
	if (inspected)
		return true;
	if (worker_probe_state(slot)->halted != SIGSTOP ||
	    !another_serves(pool, slot))
		return false;
	if (left.pid == 0 && left.credit >= STOPPED_LEAST)
		left.pid = pid;
	return left.pid == pid && left.credit > 0;
}

static void
say_left(pid_t pid, bool inspected)
{
	if (inspected)
		log_warn("worker %d: was stopped and is traced by a process of "
		    "another user (left alone until that ends)", (int)pid);
	else
		log_warn("worker %d: was stopped by another process (left so "
		    "for up to %u s, to be inspected)", (int)pid,
		    (unsigned int)(left.credit / USEC));
}

static void
release(unsigned int slot)
{
	worker_probe_state(slot)->halted = 0;
	worker_probe_state(slot)->left = false;
	if (left.pid == worker_pid(slot))
		left.pid = 0;
}

/* Returns true if it stays stopped. */
static bool
look_at(const struct pool *pool, unsigned int slot)
{
	struct probe_state *s = worker_probe_state(slot);
	pid_t pid = worker_pid(slot);
	bool inspected;

	if (pool_state(pool, slot) == SLOT_FREEZING) {
		release(slot);		/* the pool will continue it */
		return false;
	}
	if (worker_continued(slot)) {
		if (s->left)
			log_info("worker %d: was continued by another process",
			    (int)pid);
		release(slot);
		return false;
	}
	inspected = observe_inspected(pid);
	if (may_stay(pool, slot, inspected)) {
		if (!s->left)
			say_left(pid, inspected);
		s->left = true;
		return true;
	}
	log_warn("worker %d: was stopped by another process (continuing it)",
	    (int)pid);
	worker_signal(slot, SIGCONT, false);
	release(slot);
	return false;
}

static void go_on(void);

static void
look_later(uint64_t pause)
{
	if (loop_now() + pause >= due)
		return;
	due = loop_now() + pause;
	loop_timer(TIMER_STOPPED, due, go_on);
}

/* Who stops them over and over costs us no more than that. */
static void
go_on(void)
{
	const struct pool *pool = actor_pool();
	unsigned int i, n = pool_slots(pool);
	bool there = false, stays = false;

	due = NEVER;
	count_credit(loop_now());
	for (i = 0; i < n; i++)
		there |= left.pid != 0 && worker_pid(i) == left.pid;
	if (!there)
		left.pid = 0;
	for (i = 0; i < n; i++) {
		if (worker_probe_state(i)->halted != 0 && worker_pid(i) != 0)
			stays |= look_at(pool, i);
	}
	if (stays)
		look_later(STOPPED_LOOK);
}

void
selfcheck_stopped(unsigned int slot, int signo)
{
	if (pool_state(actor_pool(), slot) == SLOT_FREEZING)
		return;		/* that was us */
	worker_probe_state(slot)->halted = signo;
	look_later(STOPPED_PAUSE);
}
