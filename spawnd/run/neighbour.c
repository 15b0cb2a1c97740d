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
#include "run/supervise.h"

static bool is_there;
static int life = -1;
static struct loop_watch *watch;
static void (*on_gone)(void);

void
neighbour_set(bool there)
{
	is_there = there;
}

bool
neighbour_is_there(void)
{
	return is_there;
}

static void
on_end(void *arg)
{
	(void)arg;
	loop_unwatch(watch);
	close(life);
	watch = NULL;
	life = -1;
	is_there = false;
	on_gone();
}

int
neighbour_watch(int fd, void (*handler)(void), struct err *e)
{
	is_there = true;
	life = fd;
	on_gone = handler;
	if ((watch = loop_watch(fd, on_end, NULL)) == NULL)
		return err_set(e, EX_OSERR, "loop: out of memory");
	return 0;
}
