/* SPDX-License-Identifier: ISC */
/*
 * Whom dead workers left behind: as a subreaper we are their parent then.
 * Those that serve go like a worker; others are none of our business until
 * the stop, and those never that we had before there were workers.
 */
#include <errno.h>
#include <signal.h>

#include "spawnd.h"

#define LOOK_SHARE	20	/* looking may take that part of the time */

static pid_t before[CHILDREN_MAX];	/* whom we had at our start */
static int nbefore;
static bool everybody;			/* also those that do not serve */
static bool due;			/* they will be looked for */
static uint64_t rest = STRAYS_PAUSE;	/* until then */

void
strays_init(void)
{
	int n = observe_children(before, CHILDREN_MAX);

	nbefore = n > 0 ? n : 0;
}

void
strays_reaped(pid_t pid)
{
	int i;

	for (i = 0; i < nbefore; i++) {
		if (before[i] == pid)
			before[i] = before[--nbefore];
	}
}

static bool
was_before(pid_t pid)
{
	int i;

	for (i = 0; i < nbefore; i++) {
		if (before[i] == pid)
			return true;
	}
	return false;
}

/* Who may not be sent a signal would be waited for in vain. */
static bool
is_stray(pid_t pid)
{
	if (worker_known(pid) || was_before(pid) ||
	    (!everybody && !observe_serves(pid)))
		return false;
	return kill(pid, 0) == 0 || errno != EPERM;
}

/* So many found no place in the pool. Each gets one when another has gone. */
static void
say_waiting(unsigned int waiting)
{
	static bool said;

	if (waiting > 0 && !said)
		log_warn("orphans: %u more processes of dead workers than the "
		    "%d that can be ended at a time: they wait for these",
		    waiting, POOL_STRAYS);
	else if (waiting == 0 && said)
		log_info("orphans: none waits any more");
	said = waiting > 0;
}

void
strays_find(void)
{
	static pid_t list[CHILDREN_MAX];
	struct pool_event ev = { .what = EV_STRAY };
	uint64_t began = loop_now(), cost;
	unsigned int waiting = 0;
	int i, n;

	due = false;
	n = observe_children(list, CHILDREN_MAX);
	for (i = 0; i < n; i++) {
		if (!is_stray(list[i]))
			continue;
		ev.pid = list[i];
		supervise_event(&ev);
		waiting += !worker_known(list[i]);
	}
	if (n >= 0)
		say_waiting(waiting);
	cost = loop_now() - began;
	rest = cost * LOOK_SHARE > STRAYS_PAUSE ? cost * LOOK_SHARE :
	    STRAYS_PAUSE;
}

void
strays_expect(void)
{
	if (due)
		return;
	due = true;
	loop_timer(TIMER_STRAYS, loop_now() + rest, strays_find);
}

void
strays_all(void)
{
	everybody = true;
}
