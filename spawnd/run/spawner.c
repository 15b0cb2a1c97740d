/* SPDX-License-Identifier: ISC */
/*
 * Who is started when: one after the other, since only one child at a time may
 * run in our memory. It is known to have left that for its program, or to be
 * dead, when the pipe closes of which it has the other end. Other events have
 * their turn after each start, so that a large pool hears them meanwhile.
 *
 * Others can keep a child from its exec: a process of its user that stops it,
 * or holds a lease on the program's file; a file system that does not answer.
 * It is killed then. One that sleeps in the kernel even so makes no step in our
 * memory any more, and is not waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "run/supervise.h"

#define LEAVE_KILLED	USEC		/* then it makes no step any more */

static unsigned int *waiting;		/* slots, a ring */
static unsigned int nslots, first, nwaiting;
static void (*on_free)(void);
static int ends[2] = { -1, -1 };	/* the pipe; a child has a copy of [1] */
static struct loop_watch *watch;
static int sharing = -1;		/* the slot whose child it is */
static bool killed;			/* that has been */

int
spawner_init(unsigned int n, void (*handler)(void), struct err *e)
{
	if ((waiting = calloc(n, sizeof(*waiting))) == NULL)
		return err_set(e, EX_OSERR, "workers: out of memory");
	nslots = n;
	on_free = handler;
	return 0;
}

void
spawner_add(unsigned int slot)
{
	waiting[(first + nwaiting++) % nslots] = slot;
}

bool
spawner_first(unsigned int *slot)
{
	if (nwaiting == 0)
		return false;
	*slot = waiting[first];
	return true;
}

void
spawner_remove(void)
{
	first = (first + 1) % nslots;
	nwaiting--;
}

bool
spawner_is_free(void)
{
	return sharing == -1;
}

bool
spawner_shares(unsigned int slot)
{
	return sharing == (int)slot;
}

static void
close_pipe(void)
{
	loop_unwatch(watch);
	watch = NULL;
	close(ends[0]);
	sharing = -1;
}

/* The child has left our memory. */
static void
on_left(void *arg)
{
	(void)arg;
	loop_timer(TIMER_SPAWNER, NEVER, NULL);
	close_pipe();
	on_free();
}

static bool
has_left(void)
{
	struct pollfd p = { .fd = ends[0], .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void
on_late(void)
{
	if (!killed && !has_left()) {
		killed = true;
		worker_expire((unsigned int)sharing);
		loop_timer(TIMER_SPAWNER, loop_now() + LEAVE_KILLED, on_late);
	} else
		on_left(NULL);
}

int
spawner_open(const char **failed)
{
	int error;

	*failed = "pipe";
	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	if ((watch = loop_watch(ends[0], on_left, NULL)) != NULL)
		return 0;
	error = errno;
	*failed = "exec";
	close(ends[0]);
	close(ends[1]);
	errno = error;
	return -1;
}

void
spawner_made(unsigned int slot, pid_t pid)
{
	close(ends[1]);
	if (pid == -1) {
		close_pipe();
		return;
	}
	sharing = (int)slot;
	killed = false;
	loop_timer(TIMER_SPAWNER, loop_now() + EXEC_TIME * USEC, on_late);
}
