/* SPDX-License-Identifier: ISC */
/*
 * The making of a worker on Linux. Copying the page tables, and then each page
 * that is written to, takes longer than all the rest, and the longer the larger
 * the pool is; so the child runs in our memory until its exec, on a stack of
 * its own. As vfork(2), but we do not wait: an exec can take as long as other
 * processes want.
 */
#include <sys/mman.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/raw.h"
#include "run/supervise.h"

/* A sanitizer's memory cannot be shared. */
#ifndef SPAWN_SHARES
#define SPAWN_SHARES	CLONE_VM
#endif

#define STACK_SIZE	65536

static char *stack;

int
spawn_init(struct err *e)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	char *m = mmap(NULL, guard + STACK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (m == MAP_FAILED || mprotect(m, guard, PROT_NONE) == -1)
		return err_set(e, EX_OSERR, "workers: no stack: %s",
		    strerror(errno));
	stack = m + guard;
	return 0;
}

static int
run_child(void *arg)
{
	(void)arg;
	child_run();
}

pid_t
spawn_make(void)
{
	int flags = SPAWN_SHARES | SIGCHLD, saved = errno;
	pid_t pid;

	if (!raw_keeps_errno())
		flags |= CLONE_VFORK;
	pid = clone(run_child, stack + STACK_SIZE, flags, NULL);
	if (pid != -1)
		errno = saved;
	return pid;
}
