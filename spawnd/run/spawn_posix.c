/* SPDX-License-Identifier: ISC */
/* The making of a worker where there is no clone(2): we wait for its exec. */
#include <errno.h>
#include <unistd.h>

#include "base/base.h"
#include "run/supervise.h"

int
spawn_init(unsigned int workers, struct err *e)
{
	(void)workers;
	(void)e;
	return 0;
}

unsigned int
spawn_places(void)
{
	return 1;
}

/*
 * vfork(2): copying the page tables, and then each page that is written to,
 * takes longer than all the rest, and the longer the larger the pool is.
 */
pid_t
spawn_make(unsigned int place, const struct child *what)
{
	int saved = errno;
	pid_t pid;

	(void)place;
	pid = vfork();	/* NOLINT(*.vfork,*-functions,*-msc*): see above */
	if (pid == 0)
		child_run(what);	/* NOLINT(*.Vfork): the same */
	if (pid != -1)
		errno = saved;		/* the child's calls set it, too */
	return pid;
}

void
spawn_await(unsigned int place)
{
	(void)place;
}

bool
spawn_has_left(unsigned int place)
{
	(void)place;
	return true;
}

bool
spawn_give_up(unsigned int place)
{
	(void)place;
	return true;
}
