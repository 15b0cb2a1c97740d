/* SPDX-License-Identifier: ISC */
/* What it costs tasks to be followed, and whether that is too much. */
#include <sys/queue.h>

#include <poll.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/door.h"
#include "observe/linux.h"

#define STOP_MOST	UINT64_C(100)	/* usec that are counted for a stop */
#define STOP_LEAST	UINT64_C(25)	/* where its call may have waited */
#define STOPS_SHARE	3	/* they may take 1/3 of a task's time */
#define WINDOW		(USEC / 10)	/* that is looked at, or more */

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
		    waits ? STOP_LEAST : STOP_MOST);
	t->since = 0;
}

/* Once the socket is shut down accept(2) fails. */
static bool
is_shut(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP)) != 0;
}

/*
 * One that was signalled is not left alone, nor is one of several tasks of
 * which the first that hears of a failed accept may end the others.
 */
static bool
may_rest(const struct door *d)
{
	return !d->signalled && (!d->drains || (!d->polls &&
	    TAILQ_NEXT(TAILQ_FIRST(&d->tasks), of_door) == NULL) || !is_shut());
}

bool
toll_check(struct door *d)
{
	uint64_t now = loop_now();
	struct task *t;

	TAILQ_FOREACH(t, &d->tasks, of_door) {
		if (t->cost * STOPS_SHARE > now - t->counted) {
			if (t->stops > d->allowed)
				return may_rest(d);
		} else if (now - t->counted > WINDOW) {
			/* Quiet so far: what comes now is not made up for. */
			t->counted = now;
			t->stops = t->cost = 0;
		}
	}
	return false;
}
