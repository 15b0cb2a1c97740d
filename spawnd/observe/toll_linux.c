/* SPDX-License-Identifier: ISC */
/* What it costs tasks to be followed, and whether that is too much. */
#include <sys/queue.h>

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
	t->stops = t->cost = t->since = 0;
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

	if (t->since != 0)
		t->cost += 2 * min64(loop_now() - t->since,
		    waits ? STOP_WAITING : STOP_MOST);
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

bool
toll_check(struct door *d)
{
	uint64_t now = loop_now();
	struct task *t;

	TAILQ_FOREACH(t, &d->tasks, of_door) {
		/* There is nothing left of it to be slowed down. */
		if (t->following == TASK_HELD || t->following == TASK_PAUSED)
			continue;
		if (t->cost * STOPS_SHARE > now - t->counted) {
			if (t->stops > d->allowed)
				return true;
		} else if (now - t->counted > WINDOW) {
			/* Quiet so far: what comes now is not made up for. */
			t->counted = now;
			t->stops = t->cost = 0;
		}
	}
	return false;
}
