/* SPDX-License-Identifier: ISC */
/* Workers as processes: made, signalled, watched, reaped. */
#include <sys/mman.h>
#include <sys/tree.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/raw.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "privilege/privilege.h"
#include "run/supervise.h"

#define WATCH_AGE	USEC	/* a pidfd costs as much as several calls */
#define WATCH_TURN	64	/* are opened, then the loop's turn */
#define WATCH_SPENT	16	/* are closed later, not before a spawn */
#define WATCH_PAUSE	(USEC / 10)	/* so that many are due together */
#define WATCH_YIELD	UINT64_C(1000)
#define LARGE		64	/* workers: some descriptors are set aside */

struct worker {
	pid_t		 pid;		/* 0: no process */
	uint64_t	 since;		/* it is here; loop_now() */
	int		 end;		/* of end_watch(); 0: not yet, or -1 */
	bool		 asks_for_door, takes_door;
	bool		 cancelled;
	struct probe_state probe;
	RB_ENTRY(worker) entry;
};

RB_HEAD(worker_pids, worker);

static struct worker *workers;
static struct exec_failure *failures;	/* shared with the children */
static struct worker_pids pids = RB_INITIALIZER(&pids);
static unsigned int nused;		/* those below have had a process */
static bool large;			/* see worker_aside() */
static pid_t own_pid;			/* 0: none was started yet */
static int watched_below;		/* descriptors for end_watch(); 0 */
static int spent[WATCH_SPENT];		/* of end_watch(), to be closed */
static unsigned int nspent;
static bool watch_due;			/* TIMER_WATCH is set */

static int
pid_compare(const struct worker *a, const struct worker *b)
{
	return (a->pid > b->pid) - (a->pid < b->pid);
}

RB_GENERATE_INTERNAL(worker_pids, worker, entry, pid_compare,
    static __attribute__((unused)))

int
worker_init(const struct plan *p, unsigned int n, struct err *e)
{
	unsigned int most = p->max_workers > 0 ? p->max_workers :
	    (unsigned int)p->workers;
	rlim_t got;

	jail_adopt();
	terminal_open();
	/* Each worker's pipe and end, and the pipe of one it followed. */
	if (child_init(p, (rlim_t)n * 3 + FDS_RESERVED, &got, e) == -1 ||
	    spawn_init(most, e) == -1)
		return -1;
	workers = calloc(n, sizeof(*workers));
	failures = mmap(NULL, n * sizeof(*failures), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (workers == NULL || failures == MAP_FAILED)
		return err_set(e, EX_OSERR, "workers: out of memory");
	large = most >= LARGE;
	/* The supervisor needs more descriptors the more workers there are. */
	watched_below = got > INT_MAX ? INT_MAX : (int)got - FDS_RESERVED / 2;
	if (!plan_watches(p))
		watched_below = 0;
	return 0;
}

int
worker_aside(int fd)
{
	int higher;

	if (!large || fd >= FDS_RESERVED ||
	    (higher = fcntl(fd, F_DUPFD_CLOEXEC, FDS_RESERVED)) == -1)
		return fd;
	close(fd);
	return higher;
}

static void
unwatch(struct worker *w)
{
	if (w->end > 0 && nspent < WATCH_SPENT)
		spent[nspent++] = w->end;
	else if (w->end > 0)
		end_unwatch(w->end);
	w->end = 0;
}

static void
close_spent(void)
{
	while (nspent > 0)
		end_unwatch(spent[--nspent]);
}

bool
worker_watches(void)
{
	return watched_below > 0;
}

/*
 * The pool has grown beyond what there are descriptors for. It works without
 * these, but not without pipes for its workers.
 */
static void
stop_watching(void)
{
	unsigned int i;

	watched_below = 0;
	for (i = 0; i < nused; i++)
		unwatch(&workers[i]);
	close_spent();
	log_warn("open files: few are left below the limit: the end of a "
	    "worker that another process traces is not always seen from now "
	    "on (raise it: ulimit -Hn, LimitNOFILE=)");
}

/* Watches those that are old enough. Returns when the next is, or NEVER. */
static uint64_t
watch_ends(uint64_t now)
{
	uint64_t next = NEVER;
	unsigned int i, n = 0;

	close_spent();
	for (i = 0; i < nused && watched_below > 0; i++) {
		struct worker *w = &workers[i];

		if (w->pid == 0 || w->end != 0)
			continue;
		if (now - w->since < WATCH_AGE || ++n > WATCH_TURN) {
			if (w->since + WATCH_AGE < next)
				next = w->since + WATCH_AGE;
			continue;
		}
		w->end = end_watch(w->pid, worker_aside);
		if (w->end >= watched_below)
			stop_watching();
	}
	return next;
}

static void
on_watch(void)
{
	uint64_t now = loop_now(), next = watch_ends(now);

	watch_due = next != NEVER;
	if (!watch_due)
		return;
	/* Past already: more than a turn, and the others have theirs before. */
	next = next > now ? next + WATCH_PAUSE : now + WATCH_YIELD;
	loop_timer(TIMER_WATCH, next, on_watch);
}

/* The slot has a process from now on, which was there at `since`. */
static void
occupy(struct worker *w, pid_t pid, uint64_t since)
{
	w->pid = pid;
	w->since = since;
	RB_INSERT(worker_pids, &pids, w);
	if ((unsigned int)(w - workers) >= nused)
		nused = (unsigned int)(w - workers) + 1;
	if (watch_due)
		return;
	watch_due = true;
	loop_timer(TIMER_WATCH, w->since + WATCH_AGE + WATCH_PAUSE, on_watch);
}

void
worker_become(const struct plan *p, struct exec_failure *f)
{
	int n;

	f->step = STEP_TERMINAL;
	if ((n = terminal_leave_session()) < 0) {
		f->error = -n;
		return;
	}
	f->step = STEP_CHDIR;
	if (p->cwd_fd == -1 && chdir(p->chdir) == -1) {
		f->error = errno;
		return;
	}
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	execve(p->argv[0], p->argv, p->envp);
	f->step = STEP_EXEC;
	f->error = errno;
}

pid_t
worker_spawn(unsigned int slot, unsigned int place, int output, bool door)
{
	struct child child = { .output = output, .door = door,
	    .failure = &failures[slot] };
	struct worker *w = &workers[slot];
	uint64_t since = loop_now();	/* it may be over when we go on */
	pid_t pid;

	if (own_pid == 0) {
		own_pid = getpid();
		raw_note_signals();
	}
	child.parent = own_pid;
	memset(w, 0, sizeof(*w));
	w->asks_for_door = w->takes_door = door;
	failures[slot].error = 0;
	/* It may have children, and end, before we have a turn again. */
	if ((pid = spawn_make(place, &child)) == -1)
		return -1;
	/* As the child does, whichever is first: of our group it hears all. */
	raw_setpgid(pid, pid);
	occupy(w, pid, since);
	return pid;
}

bool
worker_asks_for_door(unsigned int slot)
{
	return workers[slot].asks_for_door;
}

bool
worker_takes_door(unsigned int slot)
{
	bool first = workers[slot].takes_door;

	workers[slot].takes_door = false;
	return first;
}

/*
 * kill(-pid) reaches the group only while its first process is not reaped;
 * worker_reap() takes the pid away from the slot together with the process. An
 * orphan may have no group of its own.
 */
void
worker_signal(unsigned int slot, int signo, bool whole)
{
	const struct worker *w = &workers[slot];

	if (w->pid == 0)
		return;
	/* An orphan may have no group of its own, and make itself one now. */
	if (!whole || kill(-w->pid, signo) == -1 ||
	    getpgid(w->pid) != w->pid)
		kill(w->pid, signo);
}

void
worker_cancel(unsigned int slot)
{
	workers[slot].cancelled = true;
	worker_signal(slot, SIGKILL, false);
}

bool
worker_is_cancelled(unsigned int slot)
{
	return workers[slot].cancelled;
}

void
worker_expire(unsigned int slot)
{
	struct exec_failure *f = &failures[slot];

	worker_signal(slot, SIGKILL, false);
	if (f->error != 0)
		return;
	f->step = STEP_LATE;
	f->error = ETIMEDOUT;
}

void
worker_adopt(unsigned int slot, pid_t pid)
{
	struct worker *w = &workers[slot];

	memset(w, 0, sizeof(*w));
	failures[slot].error = 0;
	occupy(w, pid, loop_now());
}

static struct worker *
find_worker(pid_t pid)
{
	struct worker key = { .pid = pid };

	return RB_FIND(worker_pids, &pids, &key);
}

int
worker_slot(pid_t pid)
{
	const struct worker *w = find_worker(pid);

	return w != NULL ? (int)(w - workers) : -1;
}

bool
worker_can_be_reaped(unsigned int slot)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)workers[slot].pid, &info, WEXITED |
	    WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

void
worker_forget(unsigned int slot)
{
	struct worker *w = &workers[slot];

	unwatch(w);
	RB_REMOVE(worker_pids, &pids, w);
	w->pid = 0;
}

pid_t
worker_reap(int *slot, int *status, bool *stopped)
{
	pid_t pid = waitpid(-1, status, WUNTRACED | WNOHANG);
	struct worker *w;

	*slot = -1;
	if (pid <= 0)
		return 0;
	w = find_worker(pid);
	if (w != NULL)
		*slot = (int)(w - workers);
	*stopped = WIFSTOPPED(*status);
	if (*stopped)
		*status >>= 8;	/* all of it: a tracer's event, too */
	else if (w != NULL)
		worker_forget((unsigned int)*slot);
	return pid;
}

bool
worker_continued(unsigned int slot)
{
	siginfo_t info = { 0 };

	return workers[slot].pid != 0 && waitid(P_PID,
	    (id_t)workers[slot].pid, &info, WCONTINUED | WNOHANG) == 0 &&
	    info.si_pid != 0;
}

const struct exec_failure *
worker_failure(unsigned int slot)
{
	return failures[slot].error != 0 ? &failures[slot] : NULL;
}

struct probe_state *
worker_probe_state(unsigned int slot)
{
	return &workers[slot].probe;
}

uint64_t
worker_since(unsigned int slot)
{
	return workers[slot].since;
}

pid_t
worker_pid(unsigned int slot)
{
	return workers[slot].pid;
}
