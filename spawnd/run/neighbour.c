/* SPDX-License-Identifier: ISC */
/*
 * Another pool that serves the same listen socket: while it takes over from us,
 * or ends because we have taken over from it. What is done to the socket is
 * done to both. So its O_NONBLOCK is left as it is, and a stop of ours does not
 * end before the other has: a service manager would kill it then.
 */
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "observe/end.h"
#include "run/supervise.h"

static bool follows;		/* one that takes over from us */
static pid_t late;		/* that one, or the last that has given up */
static int late_end = -1;	/* see end_open() */
static pid_t before;		/* one that we have taken over from, or 0 */
static int life = -1;
static struct loop_watch *watch;
static void (*on_gone)(void);

static void
forget_late(void)
{
	if (late_end != -1)
		close(late_end);
	late_end = -1;
	late = 0;
}

void
neighbour_follows(pid_t pid)
{
	forget_late();
	follows = true;
	if (pid > 0 && (late_end = end_open(pid)) != -1)
		late = pid;
}

void
neighbour_gave_up(void)
{
	follows = false;
}

pid_t
neighbour_late(void)
{
	if (late != 0 && end_await_other(late_end, late, 0))
		forget_late();
	return follows ? 0 : late;
}

bool
neighbour_is_next(void)
{
	return follows;
}

bool
neighbour_is_there(void)
{
	return follows || before != 0;
}

pid_t
neighbour_before(void)
{
	return before;
}

static void
on_end(void *arg)
{
	(void)arg;
	loop_unwatch(watch);
	close(life);
	watch = NULL;
	life = -1;
	before = 0;
	on_gone();
}

int
neighbour_watch(pid_t pid, int fd, void (*handler)(void), struct err *e)
{
	before = pid;
	life = fd;
	on_gone = handler;
	if ((watch = loop_watch(fd, on_end, NULL)) == NULL)
		return err_set(e, EX_OSERR, "loop: out of memory");
	return 0;
}
