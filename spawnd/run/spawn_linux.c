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
 * one memory at once are in each other's way. But where many are to be started
 * a wait for each makes a busy machine's scheduler the measure of all: so in a
 * large pool there are several places, a stack each.
 *
 * A copy of our descriptors, and their end at the exec, would take the longer
 * the larger the pool is, too. The child takes the few that it needs.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/futex.h>

#include <errno.h>
#include <fcntl.h>
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
#define PLACES_MOST	16
#define PLACE_SHARE	8		/* workers for each of them */
#define WORD		64		/* see can_own_files() */

/* What a child uses of our memory; the stack ends where this begins. */
struct area {
	_Alignas(64) atomic_int used;	/* 0: by none, or no longer */
	struct child	 child;
};

_Static_assert(sizeof(atomic_int) == 4, "as the kernel has it");

static struct area *areas[PLACES_MOST];	/* NULL: not used yet */
static unsigned int nplaces;
static bool shares_files;		/* until the child wants its own */

static int
make_area(unsigned int place)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	char *m = mmap(NULL, guard + STACK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	int error;

	if (m == MAP_FAILED)
		return -1;
	if (mprotect(m, guard, PROT_NONE) == -1) {
		error = errno;
		munmap(m, guard + STACK_SIZE);
		errno = error;
		return -1;
	}
	areas[place] = (struct area *)(m + guard + STACK_SIZE) - 1;
	return 0;
}

static int
try_own_files(void *arg)
{
	int *lowest = arg;
	int r = raw_own_files(WORD);

	*lowest = r < 0 ? r : raw_dup_from(STDIN_FILENO, WORD);
	raw_exit(0);
}

/* Has such a child what is below WORD, and no more? Signals are blocked. */
static bool
is_own(void)
{
	int lowest = -1;
	pid_t pid = clone(try_own_files, areas[0], CLONE_VM | CLONE_VFORK |
	    CLONE_FILES, &lowest);

	return pid != -1 && waitpid(pid, NULL, __WALL) == pid &&
	    lowest == WORD;
}

/*
 * Can a child that has our descriptors make some of them its own? A filter can
 * forbid it. And kernels from 5.9 on, unless mended in or after 6.11, note as
 * used for ever what the child has not taken, if a word of their bits is full
 * of it: its program would soon be out of descriptors. So it is tried.
 */
static bool
can_own_files(void)
{
	int fds[WORD + 1], n = 0, fd;
	sigset_t all, old;
	bool can;

	do {
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, WORD);
		if (fd != -1)
			fds[n++] = fd;
	} while (fd != -1 && fd < 2 * WORD);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	can = fd != -1 && is_own();
	sigprocmask(SIG_SETMASK, &old, NULL);
	while (n > 0)
		can = close(fds[--n]) == 0 && can;	/* we have them still */
	return can;
}

int
spawn_init(unsigned int workers, struct err *e)
{
	nplaces = workers / PLACE_SHARE;
	if (nplaces < 1)
		nplaces = 1;
	if (nplaces > PLACES_MOST)
		nplaces = PLACES_MOST;
	if (make_area(0) == -1)
		return err_set(e, EX_OSERR, "workers: no stack: %s",
		    strerror(errno));
	shares_files = can_own_files();
	return 0;
}

unsigned int
spawn_places(void)
{
	return nplaces;
}

static int
run_child(void *arg)
{
	const struct area *a = arg;

	child_run(&a->child);
}

void
spawn_await(unsigned int place)
{
	const struct timespec wait = { .tv_nsec = PATIENCE };
	atomic_int *used = &areas[place]->used;

	if (atomic_load(used) != 0)
		syscall(SYS_futex, used, FUTEX_WAIT, 1, &wait, NULL, 0);
}

pid_t
spawn_make(unsigned int place, const struct child *what)
{
	int flags = CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, saved = errno;
	struct area *a;
	pid_t pid;

	if (areas[place] == NULL && make_area(place) == -1)
		return -1;
	a = areas[place];
	a->child = *what;
	a->child.shares = shares_files;
	if (shares_files)
		flags |= CLONE_FILES;
	if (!raw_keeps_errno())
		flags |= CLONE_VFORK;
	atomic_store(&a->used, 1);
	pid = clone(run_child, a, flags, a, NULL, NULL, &a->used);
	if (pid == -1 || (flags & CLONE_VFORK) != 0)
		atomic_store(&a->used, 0);
	if (pid != -1)
		errno = saved;
	return pid;
}

bool
spawn_has_left(unsigned int place)
{
	return atomic_load(&areas[place]->used) == 0;
}

/* It would clear the word, too, and that of another child by then. */
bool
spawn_give_up(unsigned int place)
{
	return make_area(place) == 0;
}
