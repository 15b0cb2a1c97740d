/* SPDX-License-Identifier: ISC */
/* What a process does, and what of its connections is in use, on Linux. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "observe/usage.h"
#include "pool/seen.h"

#define LOOKS_SHARE	10	/* looks take 1/10 of the time at most */
#define LOOKS_CREDIT	UINT64_C(20000)
#define HIDDEN		1	/* stands for a connection's inode */
#define ANY_CPU		UINT64_MAX	/* a stop and its end use some */
#define STALLED		(USEC / 10)	/* usec, to be so for good */
#define UNDERWAY	USEC		/* longer: it is somebody else's */

/* Has the process done nothing since the last look? */
static bool
note_cpu(bool stopped, uint64_t cpu, struct probe_state *s)
{
	bool still = stopped ? s->quiet_since != 0 :
	    s->quiet_cpu == ANY_CPU || s->quiet_cpu == cpu;

	s->quiet_cpu = stopped ? ANY_CPU : cpu;
	return still;
}

/*
 * Have its connections been kept open for long enough without a request?
 * still: the worker waits for its clients now, and has since the last look.
 */
static bool
note_quiet(bool still, uint64_t keep_idle, uint64_t now,
    struct probe_state *s)
{
	if (!still)
		s->quiet_since = 0;
	else if (s->quiet_since == 0)
		s->quiet_since = now;
	return still && keep_idle != 0 && now - s->quiet_since >= keep_idle;
}

/* It holds connections, of which that is one, and that the sum of them all. */
static void
note_held(uint64_t connection, uint64_t sum, uint64_t now,
    struct probe_state *s, struct activity *x)
{
	if (connection != s->connection) {
		s->connection = connection;
		s->held_since = now;
	}
	if (sum != s->held) {
		s->held = sum;
		s->quiet_since = 0;
	}
	x->connection = s->connection;
	x->age = now - s->held_since;
}

static uint64_t
sum_of(const uint64_t *inodes, int n)
{
	uint64_t sum = 0;

	while (n-- > 0)
		sum += inodes[n];
	return sum;
}

/* The worker holds n connections: since when, and are they in use? */
static void
connected(pid_t pid, const struct view *v, const uint64_t *inodes, int n,
    bool unread, uint64_t keep_idle, uint64_t now, struct probe_state *s,
    struct activity *x)
{
	bool waits, still;
	int i;

	note_held(inodes[0], sum_of(inodes, n), now, s, x);
	/* A stopped process shows the call that it will go on with. */
	waits = !unread && keepalive_is_quiet(pid, v, inodes, n);
	for (i = 0; i < n; i++)
		x->reads |= keepalive_is_read(v, inodes[i]);
	x->active_since_last = waits && !v->stopped && keep_idle != 0 &&
	    s->quiet_cpu != ANY_CPU && s->quiet_cpu != v->cpu;
	still = note_cpu(v->stopped, v->cpu, s);
	x->holds = note_quiet(waits && still, keep_idle, now, s) ?
	    HOLDS_QUIET : HOLDS_BUSY;
	x->sleeping = x->holds == HOLDS_QUIET;
}

/*
 * The connections of a process that does not show them: it has none if there
 * are none at all. Otherwise one is taken for its own, and to be read from.
 */
static void
look_at_hidden(uint64_t now, struct probe_state *s, struct activity *x)
{
	uint64_t *inodes = NULL;
	int n = diag_connections(&inodes);

	x->reads = true;
	if (n == -1)
		return;
	free(inodes);
	if (n == 0) {
		s->connection = 0;
		x->holds = HOLDS_NOTHING;
		return;
	}
	note_held(HIDDEN, HIDDEN, now, s, x);
	x->holds = HOLDS_BUSY;
}

/* Is the process gone, or has it no live task any more? Keeps errno. */
static bool
is_ending(pid_t pid)
{
	int error = errno;
	struct view v;
	bool ending = proc_view(pid, diag_listener(), false, &v) == 0 ?
	    v.tasks == 0 : proc_is_gone();

	errno = error;
	return ending;
}

/*
 * If we stopped it and died, would it stay stopped? The kernel continues only
 * a process group of our session, when that becomes an orphan.
 */
static bool
is_away(pid_t pid)
{
	return getsid(pid) != getsid(0) || getpgid(pid) == getpgid(0);
}

/*
 * The connections that a process holds. Returns how many, or -1: unknown;
 * *whole: there are no more; *hidden: it shows none of its sockets.
 */
static int
held_by(pid_t pid, uint64_t now, const struct probe_state *s,
    uint64_t *inodes, struct accepted *what, bool *whole, bool *hidden,
    bool *listens)
{
	bool kept;
	int n;

	*whole = look_sockets(pid, false, inodes, &n, listens) == 0;
	*hidden = !*whole && n == 0 && errno != E2BIG && !is_ending(pid);
	if (*whole)
		fault_gone(FAULT_PROC, now);
	else if (!is_ending(pid))
		fault_met(FAULT_PROC, pid, now);
	/* No table has a TCP connection that was reset. */
	kept = s->connection != 0 && proc_is_among(s->connection, inodes, n);
	n = look_accepted(pid, inodes, n, what, now);
	/* A job in the background keeps what its starter had open. */
	if (n > 0 && !*listens && !what->alive)
		n = 0;
	if (n == 0 && kept && *listens)
		inodes[n++] = s->connection;
	return n;
}

static void
examine(pid_t pid, uint64_t keep_idle, uint64_t now, struct probe_state *s,
    struct activity *x)
{
	uint64_t inodes[SOCKETS_MAX];
	bool away = is_away(pid), listens, whole, hidden;
	struct accepted what;
	struct view v;
	int n;

	if (proc_view(pid, diag_listener(), false, &v) == -1) {
		fault_met(FAULT_PROC, pid, now);
		return;
	}
	if (v.tasks == 0) {
		s->over = true;
		return;
	}
	x->reads = false;
	x->frozen = v.stopped;
	x->threaded = v.tasks > 1;
	x->is_event_loop = v.looping && !v.accepting;
	n = held_by(pid, now, s, inodes, &what, &whole, &hidden,
	    &listens);
	if (hidden && !away)
		look_at_hidden(now, s, x);
	else if (n > 0) {
		connected(pid, &v, inodes, n, what.unread || !whole,
		    away ? 0 : keep_idle, now, s, x);
	} else if (n == 0 && whole && !away) {
		s->connection = 0;
		x->holds = HOLDS_NOTHING;
		/* Ruby acts on USR1 only when the next request comes. */
		x->sleeping = v.accepting && v.tasks == 1;
		x->is_master = v.child != 0 && !v.accepting &&
		    observe_serves(v.child);
	} else
		x->reads = v.nreads > 0 || !v.readable;
	x->needs_door |= door_is_closed(pid) ||
	    (v.child != 0 && observe_serves(v.child));
}

/*
 * Where many or expensive looks would take too large a share of the time, a
 * worker that was busy a moment ago is taken to be busy still.
 */
void
observe_activity(pid_t pid, int signo, uint64_t keep_idle, uint64_t now,
    struct probe_state *s, struct activity *x)
{
	static uint64_t again;
	uint64_t before = look_spent();

	if (now + LOOKS_CREDIT < again && s->examined) {
		*x = s->activity;
		return;
	}
	*x = (struct activity){ .holds = HOLDS_UNKNOWN, .reads = true };
	proc_traits(pid, signo, &x->catches, &x->needs_door);
	examine(pid, keep_idle, now, s, x);
	if (again < now)
		again = now;
	again += (look_spent() - before) * LOOKS_SHARE;
	s->examined = !x->frozen && (x->holds == HOLDS_BUSY ||
	    x->holds == HOLDS_UNKNOWN);
	s->activity = *x;
	/* A repeated answer does not know. */
	s->activity.active_since_last = false;
	s->activity.reads = true;
}

/* What a look at all processes of a worker has found so far. */
struct tree_look {
	uint64_t	 connection, sum;	/* as note_held() has them */
	int		 tasks;
	bool		 looping;
	bool		 accepting;
	bool		 asleep;
	bool		 unknown;
	bool		 over;		/* each of them has been answered */
	bool		 waits;		/* for its clients */
	bool		 stalled;	/* nobody reads what clients send */
	bool		 still;		/* its tasks wait for each other */
};

static void
look_at_process(pid_t pid, uint64_t now, struct probe_state *s,
    struct tree_look *l)
{
	uint64_t inodes[SOCKETS_MAX];
	struct accepted what;
	bool whole, listens, hidden, over;
	struct view v;
	int n;

	if (proc_view(pid, diag_listener(), false, &v) == -1) {
		l->unknown |= !proc_is_gone();
		return;
	}
	l->tasks += v.tasks;
	l->looping |= v.looping && !v.accepting;
	l->accepting |= v.accepting;
	l->asleep &= v.asleep;
	l->still &= !v.engaged && !v.timed && !v.looping && v.nreads == 0;
	n = held_by(pid, now, s, inodes, &what, &whole, &hidden,
	    &listens);
	l->unknown |= n == -1 || (!whole && !is_ending(pid));
	if (n <= 0)
		return;
	l->connection = inodes[0];
	l->sum += sum_of(inodes, n);
	over = door_is_over(pid, inodes, n);
	l->stalled &= door_is_held(pid) && !v.engaged && !v.timed &&
	    !v.looping && v.nreads == 0;
	over = over && !what.unread;
	l->over &= over;
	l->waits &= over || (!what.unread &&
	    keepalive_is_quiet(pid, &v, inodes, n));
}

/*
 * A thread that waits in accept(2) may do so with a lock that the others need
 * to read the next request of a connection which is kept open: as nobody is
 * let in, they never do. Such a request goes to another worker.
 */
static bool
note_stalled(bool stalled, uint64_t now, struct probe_state *s)
{
	if (!stalled)
		s->stalled = 0;
	else if (s->stalled == 0)
		s->stalled = now;
	return stalled && now - s->stalled >= STALLED;
}

/* Takes those that the worker holds out of the list. Returns how many stay. */
static int
take_out_held(pid_t pid, uint64_t *inodes, int n)
{
	uint64_t held[SOCKETS_MAX];
	pid_t tree[TREE_MAX];
	int i, nheld, k = proc_tree(pid, tree, TREE_MAX);

	while (k-- > 0) {
		(void)proc_sockets(tree[k], false, held, &nheld, SOCKETS_MAX);
		for (i = 0; i < n; ) {
			if (proc_is_among(inodes[i], held, nheld))
				inodes[i] = inodes[--n];
			else
				i++;
		}
	}
	return n;
}

/* Takes out those that another worker holds. Returns how many stay. */
static int
take_out_others(pid_t pid, uint64_t *inodes, int n)
{
	static pid_t list[CHILDREN_MAX];
	int i, nlist = n > 0 ? observe_children(list, CHILDREN_MAX) : 0;

	for (i = 0; i < nlist && n > 0; i++) {
		if (list[i] != pid)
			n = take_out_held(list[i], inodes, n);
	}
	return n;
}

/*
 * Is an accepted connection on its way from one process to another? Then no
 * table has it, or that of the process which has got it since it was looked at.
 * In a busy pool others have been closed since they were listed.
 */
static bool
note_underway(pid_t pid, uint64_t now, struct probe_state *s)
{
	static uint64_t again;
	uint64_t *inodes = NULL, before = look_spent();
	struct accepted what;
	unsigned int left;
	bool held;
	int n;

	/* All sockets of all workers are looked at: not again at once. */
	if (s->underway != 0 && now < again)
		return now - s->underway < UNDERWAY;
	n = usage_connections(&inodes, &left);
	n = take_out_others(pid, inodes, n);
	held = n == 0 || (n > 0 && diag_accepted(0, inodes, n, &what) == 0);
	free(inodes);
	if (held)
		s->underway = 0;
	else if (s->underway == 0)
		s->underway = now;
	again = now + (look_spent() - before) * LOOKS_SHARE;
	return !held && now - s->underway < UNDERWAY;
}

void
observe_tree(pid_t pid, uint64_t keep_idle, uint64_t now,
    struct probe_state *s, struct activity *x)
{
	struct tree_look l = { .asleep = true, .over = true, .waits = true,
	    .stalled = true, .still = true };
	pid_t tree[TREE_MAX];
	int i, n = proc_tree(pid, tree, TREE_MAX);
	bool still;

	*x = (struct activity){ .holds = HOLDS_UNKNOWN };
	if (n <= 0 || n == TREE_MAX)
		return;
	if (is_ending(pid)) {
		s->over = true;
		return;
	}
	for (i = 0; i < n; i++)
		look_at_process(tree[i], now, s, &l);
	if (l.unknown)
		return;
	x->threaded = l.tasks > 1;
	x->is_event_loop = l.looping;
	x->sleeping = door_is_held(pid) || (l.accepting &&
	    (l.asleep || l.connection != 0)) || (l.still && l.asleep);
	if (l.connection != 0) {
		s->underway = 0;	/* the next one has its own time */
		note_held(l.connection, l.sum, now, s, x);
		/* Its stops use some. */
		s->quiet_cpu = ANY_CPU;
		still = !door_take_read(pid);
		x->holds = l.over || note_stalled(l.stalled, now, s) ||
		    note_quiet(l.waits && still, is_away(pid) ? 0 : keep_idle,
		    now, s) ? HOLDS_QUIET : HOLDS_BUSY;
		return;
	}
	x->holds = n > 1 && note_underway(pid, now, s) ? HOLDS_BUSY :
	    HOLDS_NOTHING;
}
