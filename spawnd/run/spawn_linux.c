/* SPDX-License-Identifier: ISC */
/*
 * The making of a worker on Linux. Copying the page tables, and then each page
 * that is written to, takes longer than all the rest, and the longer the larger
 * the pool is; so the child runs in our memory until its exec, on a stack of
 * its own. When it leaves, by its exec or by its end, the kernel clears a word
 * there and wakes whoever waits for that (clone(2), CLONE_CHILD_CLEARTID).
 *
 * That is vfork(2), but for the end of the wait: an exec takes as long as other
 * processes want it to. A short wait costs less than none, as two that run in
 * one memory at once are in each other's way.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/futex.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/raw.h"
#include "run/supervise.h"

#define STACK_SIZE	65536
#define PATIENCE	2000000		/* nsec; most take a twentieth of it */

/* What a child uses of our memory; the stack ends where this begins. */
struct area {
	_Alignas(64) atomic_int used;	/* 0: by none, or no longer */
};

_Static_assert(sizeof(atomic_int) == 4, "as the kernel has it");

static struct area *area;

int
spawn_init(struct err *e)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	char *m = mmap(NULL, guard + STACK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (m == MAP_FAILED || mprotect(m, guard, PROT_NONE) == -1) {
		err_set(e, EX_OSERR, "workers: no stack: %s",
		    strerror(errno));
		if (m != MAP_FAILED)
			munmap(m, guard + STACK_SIZE);
		return -1;
	}
	area = (struct area *)(m + guard + STACK_SIZE) - 1;
	return 0;
}

static int
run_child(void *arg)
{
	(void)arg;
	child_run();
}

/* All signals are blocked meanwhile: none ends it early. */
static void
await_child(void)
{
	const struct timespec wait = { .tv_nsec = PATIENCE };

	if (atomic_load(&area->used) != 0)
		syscall(SYS_futex, &area->used, FUTEX_WAIT, 1, &wait, NULL, 0);
}

pid_t
spawn_make(void)
{
	int flags = CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, saved = errno;
	pid_t pid;

	if (!raw_keeps_errno())
		flags |= CLONE_VFORK;
	atomic_store(&area->used, 1);
	pid = clone(run_child, area, flags, NULL, NULL, NULL, &area->used);
	if (pid == -1 || (flags & CLONE_VFORK) != 0)
		atomic_store(&area->used, 0);
	if (pid == -1)
		return -1;
	await_child();
	errno = saved;
	return pid;
}

bool
spawn_has_left(void)
{
	return atomic_load(&area->used) == 0;
}

/* It would clear the word, too, and that of another child by then. */
bool
spawn_give_up(void)
{
	struct err e;

	return spawn_init(&e) == 0;
}
