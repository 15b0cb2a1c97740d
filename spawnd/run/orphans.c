/* SPDX-License-Identifier: ISC */
/*
 * Orphans of dead workers. As their subreaper we become their parent. Those
 * that serve are stopped like a worker; the others are left alone until the
 * stop, and the children that we had before there were workers always.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "run/supervise.h"

#define LOOK_SHARE	50	/* a look takes 1/50 of the time at most */
#define KILL_TIME	(2 * USEC) /* at the end of a stop */
#define KILL_LOOKS	20	/* that find nobody, one after another */
#define KILL_PAUSE	1	/* ms, after one that finds no dead */

static pid_t before[CHILDREN_MAX];	/* at our start */
static int nbefore;
static pid_t given_up[CHILDREN_MAX];	/* that cannot be reaped yet */
static int ngiven_up;
static bool everybody;			/* also those that do not serve */
static bool expected;			/* a look is due */
static uint64_t look_pause = ORPHANS_PAUSE;

void
orphans_init(void)
{
	int n = observe_children(before, CHILDREN_MAX);

	nbefore = n > 0 ? n : 0;
}

/* Its index in a list, or -1. */
static int
find_orphan(pid_t pid, const pid_t *list, int n)
{
	while (--n >= 0 && list[n] != pid)
		continue;
	return n;
}

void
orphans_reaped(pid_t pid)
{
	int i;

	if ((i = find_orphan(pid, before, nbefore)) != -1)
		before[i] = before[--nbefore];
	if ((i = find_orphan(pid, given_up, ngiven_up)) != -1)
		given_up[i] = given_up[--ngiven_up];
}

void
orphans_give_up(pid_t pid)
{
	if (ngiven_up < CHILDREN_MAX)
		given_up[ngiven_up++] = pid;
}

bool
orphans_were_before(pid_t pid)
{
	return find_orphan(pid, before, nbefore) != -1;
}

/*
 * An orphan that cannot be sent a signal, or has ended and is kept by its
 * tracer, is not one that can be waited for.
 */
static bool
is_orphan(pid_t pid)
{
	if (worker_slot(pid) != -1 || orphans_were_before(pid) ||
	    find_orphan(pid, given_up, ngiven_up) != -1 ||
	    (!everybody && !observe_serves(pid)) || end_reached(pid))
		return false;
	return kill(pid, 0) == 0 || errno != EPERM;
}

/* Its age comes first: time goes on between the two. */
static bool
is_since(pid_t pid, uint64_t since)
{
	uint64_t age = observe_age(pid);

	return age <= loop_now() - since;
}

/* Was it started for a slot? An orphan can have come to one before this. */
static bool
is_started(pid_t pid)
{
	int slot = worker_slot(pid);
	struct pool_worker w;

	return slot != -1 && (!pool_worker(actor_pool(), (unsigned int)slot,
	    &w) || !w.orphan);
}

bool
orphans_are_new(uint64_t since)
{
	static pid_t list[CHILDREN_MAX];
	int n = observe_children(list, CHILDREN_MAX);

	while (--n >= 0) {
		if (!is_started(list[n]) && !is_started(getpgid(list[n])) &&
		    !orphans_were_before(list[n]) &&
		    find_orphan(list[n], given_up, ngiven_up) == -1 &&
		    is_since(list[n], since) && !end_reached(list[n]))
			return true;
	}
	return false;
}

/* That many found no slot. Each gets one when another has gone. */
static void
log_waiting(unsigned int waiting)
{
	static bool logged;

	if (waiting > 0 && !logged)
		log_warn("orphans: dead workers left %u more processes than "
		    "the %d that can be stopped at once (the rest wait)",
		    waiting, POOL_ORPHANS);
	else if (waiting == 0 && logged)
		log_info("orphans: no more of them are waiting");
	logged = waiting > 0;
}

void
orphans_find(void)
{
	static pid_t list[CHILDREN_MAX];
	struct pool_event ev = { .what = EV_ORPHAN };
	uint64_t began = loop_now(), cost;
	unsigned int waiting = 0;
	int i, n;

	expected = false;
	n = observe_children(list, CHILDREN_MAX);
	for (i = 0; i < n; i++) {
		if (!is_orphan(list[i]))
			continue;
		ev.pid = list[i];
		actor_event(&ev);
		waiting += worker_slot(list[i]) == -1;
	}
	door_open_orphans();
	if (n >= 0)
		log_waiting(waiting);
	cost = loop_now() - began;
	look_pause = cost * LOOK_SHARE > ORPHANS_PAUSE ?
	    cost * LOOK_SHARE : ORPHANS_PAUSE;
}

/* Sends KILL to a child that is to end, if it is one and still runs. */
static bool
kill_orphan(pid_t pid)
{
	return !orphans_were_before(pid) && find_orphan(pid, given_up,
	    ngiven_up) == -1 && !end_reached(pid) && kill(pid, SIGKILL) == 0;
}

/* Sends KILL to the workers and their groups. Returns how many there are. */
static unsigned int
kill_workers(void)
{
	unsigned int i, n = pool_slots(actor_pool()), found = 0;

	for (i = 0; i < n; i++) {
		found += worker_pid(i) != 0;
		worker_signal(i, SIGKILL, true);
	}
	return found;
}

/* Sends KILL to all of them. Returns how many it found. */
static unsigned int
kill_orphans(void)
{
	static pid_t list[CHILDREN_MAX];
	int i, n = observe_children(list, CHILDREN_MAX);
	unsigned int found = 0;

	if (n < 0)
		return kill_workers();
	for (i = 0; i < n; i++)
		found += kill_orphan(list[i]);
	return found;
}

/*
 * Takes those that have ended or stopped, but not for ever. Returns how many,
 * or -1: there is no child any more.
 */
static int
reap_orphans(void)
{
	int n, slot, status;
	bool stopped;
	pid_t pid;

	for (n = 0; n < CHILDREN_MAX; n++) {
		errno = 0;
		if ((pid = worker_reap(&slot, &status, &stopped)) <= 0)
			return errno == ECHILD ? -1 : n;
		if (stopped || slot != -1)
			continue;
		observe_reaped(pid);
		orphans_reaped(pid);
	}
	return n;
}

/*
 * Children of children come to us one by one. It is sure that none is left when
 * there is no child to wait for: one that forks and ends can be missing in the
 * list, but leaves a zombie, which counts as a look that finds somebody. The
 * kernel must not reap them, or a signal would reach who has got the number.
 */
unsigned int
orphans_kill(void)
{
	uint64_t until = loop_now() + KILL_TIME;
	unsigned int n, found = 1, looks = 0;
	int reaped;

	signal(SIGCHLD, SIG_DFL);
	do {
		if ((reaped = reap_orphans()) == -1)
			return 0;
		if ((n = kill_orphans()) > 0)
			found = n;
		looks = n > 0 || reaped > 0 ? 0 : looks + 1;
		if (reaped == 0)
			poll(NULL, 0, KILL_PAUSE);
	} while (looks < KILL_LOOKS && loop_now() < until);
	return looks < KILL_LOOKS ? found : 0;
}

void
orphans_expect(void)
{
	if (expected)
		return;
	expected = true;
	loop_timer(TIMER_ORPHANS, loop_now() + look_pause, orphans_find);
}

void
orphans_find_all(void)
{
	everybody = true;
	orphans_find();
}
