/* SPDX-License-Identifier: ISC */
/* What it costs tasks to be followed, and whether that is too much. */
#include <sys/queue.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/door.h"
#include "observe/linux.h"

#define STOP_MOST	UINT64_C(100)	/* usec that are counted for a stop */
#define STOP_WAITING	UINT64_C(25)	/* and where its call may have waited */
#define STOPS_SHARE	3	/* they may take 1/3 of a task's time */
#define WINDOW		(USEC / 10)	/* that is looked at, or more */

void
toll_forget(struct task *t)
{
	t->counted = loop_now();
	t->stops = t->cost = t->took = t->delay = t->since = 0;
}

/*
 * What the two stops of a call cost the task: from its entry to its exit hardly
 * anything else takes time, unless the call waits. On a machine with idle
 * processors that is ten times as much as on a busy one.
 */
void
toll_count(struct task *t)
{
	bool waits = parse_may_wait(t->call) && (!parse_is_read(t->call) ||
	    t->transfer.inode != 0);
	uint64_t took = loop_now() - t->since;

	if (t->since != 0) {
		t->cost += 2 * min64(took, waits ? STOP_WAITING : STOP_MOST);
		t->took += 2 * (waits ? min64(took, STOP_WAITING) : took);
	}
	t->since = 0;
}

/*
 * One that was signalled is not left alone. Nor is one that drains, if it is an
 * event loop or has several tasks: once the socket is shut down accept(2)
 * fails, and the first that hears of it may end the others.
 */
bool
toll_may_rest(const struct door *d)
{
	const struct task *first = TAILQ_FIRST(&d->tasks);

	return !d->signalled && (!d->drains || (!d->polls &&
	    (first == NULL || TAILQ_NEXT(first, of_door) == NULL)));
}

/* How long a task has waited for a processor, in usec; 0: that is unknown. */
static uint64_t
delay_of(pid_t pid, pid_t tid)
{
	char buf[64];
	uint64_t ns;

	return proc_read_task(pid, tid, "schedstat", buf, sizeof(buf)) > 0 &&
	    sscanf(buf, "%*u %" SCNu64, &ns) == 1 ? ns / 1000 : 0;
}

/*
 * Where many others want a processor, the task and we may wait for one at each
 * stop, for long. Did that take too much of the time since the last look? Calls
 * that took long for another reason do not count.
 */
static bool
check_delay(struct task *t, uint64_t time)
{
	uint64_t before = t->delay;

	t->delay = 0;
	if (t->took * STOPS_SHARE <= time)
		return false;
	t->delay = delay_of(t->door->pid, t->tid) +
	    delay_of(getpid(), getpid());
	return before != 0 && t->delay > before &&
	    (t->cost + t->delay - before) * STOPS_SHARE > time;
}

bool
toll_check(struct door *d)
{
	struct task *t;
	uint64_t time;
	bool many;

	TAILQ_FOREACH(t, &d->tasks, of_door) {
		/* There is nothing left of it to be slowed down. */
		if (t->following == TASK_HELD || t->following == TASK_PAUSED)
			continue;
		time = loop_now() - t->counted;
		many = t->stops > d->allowed;
		if (t->cost * STOPS_SHARE > time) {
			if (many)
				return true;
		} else if (time > WINDOW) {
			if (!many)
				t->delay = 0;
			else if (check_delay(t, time))
				return true;
			/* Quiet so far: what comes now is not made up for. */
			t->counted = loop_now();
			t->stops = t->cost = t->took = 0;
		}
	}
	return false;
}
