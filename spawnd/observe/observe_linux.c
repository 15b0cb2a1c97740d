/* SPDX-License-Identifier: ISC */
/* What the kernel tells about the workers, on Linux. */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/looker.h"
#include "observe/observe.h"
#include "pool/pool.h"

#define POLL_AGE	UINT64_C(200000)	/* usec a poller must live */
#define POLL_STILL	UINT64_C(50000)		/* and use no cpu */
#define LOOK_WHOLE	UINT64_C(10000)	/* younger: the first task alone */
#define BLIND_STILL	UINT64_C(200000)	/* where no call can be read */
#define OOM_RAISE	100
#define FAULT_PAUSE	USEC	/* without one: it is over */
#define EXPENSIVE	UINT64_C(1000)	/* usec of cpu for one look */
#define LOOK_SHARE	20		/* expensive ones take 1/20 at most */
#define EXAM_SHARE	10
#define EXAM_CREDIT	UINT64_C(20000)

/* What keeps us from knowing; logged when it begins and when it is over. */
enum fault { FAULT_SOCKETS, FAULT_PROC, NFAULTS };

static struct {
	bool		 on;
	uint64_t	 last;	/* when it was met */
} faults[NFAULTS];

static uint64_t listener;	/* the listen socket's inode */
static char oom_score[16];	/* of a worker; "": leave it alone */

static const char *
explain(enum fault f, int error)
{
	switch (error) {
	case ENOENT:
		return f == FAULT_SOCKETS ?
		    "it is of another network namespace" :
		    "it is hidden from us";
	case E2BIG:
		return "there is too much of it";
	default:
		return strerror(error);
	}
}

static void
fault_met(enum fault f, pid_t pid, uint64_t now)
{
	int error = errno;

	faults[f].last = now;
	if (faults[f].on)
		return;
	faults[f].on = true;
	if (f == FAULT_SOCKETS)
		log_warn("listen socket: its connections cannot be seen: %s "
		    "(workers are treated as busy until they can)",
		    explain(f, error));
	else
		log_warn("worker %d: cannot be inspected: %s (it is treated "
		    "as busy until it can)", (int)pid, explain(f, error));
}

/* Keeps a fault that comes and goes from filling the log. */
static void
fault_gone(enum fault f, uint64_t now)
{
	if (!faults[f].on || now - faults[f].last < FAULT_PAUSE)
		return;
	faults[f].on = false;
	if (f == FAULT_SOCKETS)
		log_info("listen socket: its connections can be seen again");
	else
		log_info("workers: can be inspected again");
}

/*
 * As diag_accepted(), which is not asked about a process that holds no socket
 * but the listen socket: that one is not among the inodes.
 */
static int
find_accepted(uint64_t *inodes, int n, struct accepted *what, uint64_t now)
{
	*what = (struct accepted){ .unread = false };
	if (n == 0)
		return 0;
	n = diag_accepted(inodes, n, what);
	if (n == -1)
		fault_met(FAULT_SOCKETS, 0, now);
	else
		fault_gone(FAULT_SOCKETS, now);
	return n;
}

void
observe_init(struct guarantees *g)
{
	struct stat st;
	char buf[32];
	struct accepted what;
	int adj;

	if (fstat(STDIN_FILENO, &st) == 0)
		listener = st.st_ino;
	g->proc = proc_open(&g->proc_detached) == 0;
	g->proc_foreign = !g->proc && errno == ESRCH;
	g->queue = diag_open(STDIN_FILENO) == 0 &&
	    diag_accepted(NULL, 0, &what) == 0;
	g->ends = end_init() == 0;
	if (!g->ends)
		g->no_ends = strerror(errno);
	g->no_door = door_refused();
	g->door = g->no_door == NULL;
	if (!g->queue) {
		faults[FAULT_SOCKETS].on = true;
		g->no_queue = explain(FAULT_SOCKETS, errno);
	}
	if (proc_read("self/oom_score_adj", buf, sizeof(buf)) > 0) {
		adj = atoi(buf) + OOM_RAISE;
		snprintf(oom_score, sizeof(oom_score), "%d",
		    adj > 1000 ? 1000 : adj);
	}
}

/*
 * When memory runs out the kernel should end workers before the supervisor.
 * Until its exec the child is not ours to write to, so a look does this.
 */
static void
raise_oom(pid_t pid, struct probe_state *s)
{
	char path[64];

	if (s->oom_done || oom_score[0] == '\0')
		return;
	snprintf(path, sizeof(path), "%d/oom_score_adj", (int)pid);
	s->oom_done = proc_write(path, oom_score) == 0;
}

/*
 * The sockets of a process or tree without the listen socket; *listens: the
 * process holds that, too. Returns 0, or -1 with errno set: there may be more.
 */
static int
other_sockets(pid_t pid, bool tree, uint64_t *inodes, int *n, bool *listens)
{
	int i = 0, r = proc_sockets(pid, tree, inodes, n, SOCKETS_MAX);

	*listens = false;
	while (i < *n) {
		if (inodes[i] != listener) {
			i++;
			continue;
		}
		*listens = true;
		inodes[i] = inodes[--*n];
	}
	return r;
}

static enum readiness
holds_connection(pid_t pid, uint64_t now)
{
	uint64_t inodes[SOCKETS_MAX];
	struct accepted what;
	bool listens, whole;
	int n;

	whole = other_sockets(pid, true, inodes, &n, &listens) == 0;
	n = find_accepted(inodes, n, &what, now);
	if (n > 0)
		return READY_YES;
	return n == 0 && whole ? READY_NO : READY_UNKNOWN;
}

/* The cpu time that was used for us, in microseconds. */
static uint64_t
spent(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == -1)
		return 0;
	return (uint64_t)ts.tv_sec * USEC + (uint64_t)ts.tv_nsec / 1000 +
	    looker_spent();
}

static enum readiness
look_at_tree(pid_t pid, uint64_t age, uint64_t now, struct probe_state *s)
{
	enum readiness holds = READY_NO;
	uint64_t still;
	struct view v;

	if (proc_view(pid, listener, true, &v) == -1)
		return age >= BLIND_STILL ? READY_YES : READY_UNKNOWN;
	if (v.tasks == 0) {
		s->over = true;
		return READY_UNKNOWN;
	}
	if (v.accepting || (holds = holds_connection(pid, now)) == READY_YES)
		return READY_YES;
	if (s->still_since == 0 || v.cpu != s->cpu || !v.asleep) {
		s->cpu = v.cpu;
		s->still_since = now;
	}
	still = now - s->still_since;
	if (!v.readable || holds == READY_UNKNOWN)
		return still >= BLIND_STILL ? READY_YES : READY_UNKNOWN;
	if (v.polling && age >= POLL_AGE && still >= POLL_STILL)
		return READY_YES;
	return READY_NO;
}

/*
 * A look at a large tree is expensive: all of these together get a share of
 * the time, and the other workers are looked at all the same. A worker that
 * is not looked at is unknown, since it may have become ready meanwhile.
 */
enum readiness
observe_readiness(pid_t pid, uint64_t age, uint64_t now, struct probe_state *s)
{
	static uint64_t again;
	uint64_t before, cost;
	enum readiness found;

	/* Most workers wait like this at their first look. */
	if (proc_accepts(pid, listener)) {
		raise_oom(pid, s);
		return READY_YES;
	}
	if (age < LOOK_WHOLE)
		return READY_UNKNOWN;
	raise_oom(pid, s);
	if (s->expensive && now < again)
		return READY_UNKNOWN;
	before = spent();
	found = look_at_tree(pid, age, now, s);
	cost = spent() - before;
	s->expensive = cost >= EXPENSIVE;
	if (s->expensive)
		again = now + cost * LOOK_SHARE;
	return found;
}

#define HIDDEN	1		/* stands for a connection's inode */
#define ANY_CPU	UINT64_MAX	/* a stop and its end use some */

/*
 * Have its connections been kept open for long enough without a request?
 * waits: the worker waits for its clients now.
 */
static bool
note_quiet(const struct view *v, bool waits, uint64_t keep_idle, uint64_t now,
    struct probe_state *s)
{
	bool still = v->stopped ? waits && s->quiet_since != 0 : waits &&
	    (s->quiet_cpu == ANY_CPU || s->quiet_cpu == v->cpu);

	s->quiet_cpu = v->stopped ? ANY_CPU : v->cpu;
	if (!still)
		s->quiet_since = 0;
	else if (s->quiet_since == 0)
		s->quiet_since = now;
	return still && keep_idle != 0 && now - s->quiet_since >= keep_idle;
}

/* The worker holds n connections: since when, and are they in use? */
static void
connected(pid_t pid, const struct view *v, const uint64_t *inodes, int n,
    bool unread, uint64_t keep_idle, uint64_t now, struct probe_state *s,
    struct activity *x)
{
	uint64_t sum = 0;
	bool waits;
	int i;

	for (i = 0; i < n; i++)
		sum += inodes[i];
	if (inodes[0] != s->connection) {
		s->connection = inodes[0];
		s->held_since = now;
	}
	if (sum != s->held) {
		s->held = sum;
		s->quiet_since = 0;
	}
	/* A stopped process shows the call that it will go on with. */
	waits = !unread && keepalive_is_quiet(pid, v, inodes, n);
	for (i = 0; i < n; i++)
		x->reads |= keepalive_is_read(v, inodes[i]);
	x->active_since_last = waits && !v->stopped && keep_idle != 0 &&
	    s->quiet_cpu != ANY_CPU && s->quiet_cpu != v->cpu;
	x->holds = note_quiet(v, waits, keep_idle, now, s) ? HOLDS_QUIET :
	    HOLDS_BUSY;
	x->sleeping = x->holds == HOLDS_QUIET;
	x->connection = s->connection;
	x->age = now - s->held_since;
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

	if (n == -1)
		return;
	free(inodes);
	if (n == 0) {
		s->connection = 0;
		x->holds = HOLDS_NOTHING;
		return;
	}
	if (s->connection != HIDDEN) {
		s->connection = HIDDEN;
		s->held_since = now;
	}
	x->holds = HOLDS_BUSY;
	x->reads = true;
	x->connection = HIDDEN;
	x->age = now - s->held_since;
}

/* Has the process no live task any more? Keeps errno. */
static bool
is_ending(pid_t pid)
{
	int error = errno;
	struct view v;
	bool ending = proc_view(pid, listener, false, &v) == 0 && v.tasks == 0;

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

static void
examine(pid_t pid, uint64_t keep_idle, uint64_t now, struct probe_state *s,
    struct activity *x)
{
	uint64_t inodes[SOCKETS_MAX];
	bool away = is_away(pid), listens, kept, whole, hidden;
	struct accepted what;
	struct view v;
	int n;

	if (proc_view(pid, listener, false, &v) == -1) {
		fault_met(FAULT_PROC, pid, now);
		return;
	}
	if (v.tasks == 0) {
		s->over = true;
		return;
	}
	x->frozen = v.stopped;
	x->threaded = v.tasks > 1;
	x->is_event_loop = v.looping && !v.accepting;
	whole = other_sockets(pid, false, inodes, &n, &listens) == 0;
	hidden = !whole && n == 0 && errno != E2BIG && !is_ending(pid);
	if (whole)
		fault_gone(FAULT_PROC, now);
	else if (!is_ending(pid))
		fault_met(FAULT_PROC, pid, now);
	/* No table has a TCP connection that was reset. */
	kept = s->connection != 0 && proc_is_among(s->connection, inodes, n);
	n = find_accepted(inodes, n, &what, now);
	/* A job in the background keeps what its starter had open. */
	if (n > 0 && !listens && !what.alive)
		n = 0;
	if (n == 0 && kept && listens)
		inodes[n++] = s->connection;
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
	}
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
	uint64_t before = spent();

	if (now + EXAM_CREDIT < again && s->examined) {
		*x = s->activity;
		return;
	}
	*x = (struct activity){ .holds = HOLDS_UNKNOWN };
	x->catches = proc_catches(pid, signo);
	examine(pid, keep_idle, now, s, x);
	if (again < now)
		again = now;
	again += (spent() - before) * EXAM_SHARE;
	s->examined = !x->frozen && (x->holds == HOLDS_BUSY ||
	    x->holds == HOLDS_UNKNOWN);
	s->activity = *x;
	/* A repeated answer does not know. */
	s->activity.active_since_last = false;
	s->activity.reads = true;
}

void
observe_load(bool busy, struct load *l)
{
	load_look(busy, l);
}

int
observe_children(pid_t *list, int n)
{
	int i = 0;

	n = proc_children(getpid(), list, n);
	while (i < n) {
		if (looker_is(list[i]))
			list[i] = list[--n];
		else
			i++;
	}
	return n;
}

void
observe_reaped(pid_t pid)
{
	looker_reaped(pid);
}

void
observe_close(void)
{
	looker_close();
}

bool
observe_serves(pid_t pid)
{
	uint64_t inodes[SOCKETS_MAX];
	bool listens;
	int n;

	/*
	 * What is unknown of a process is no reason to end it. Nor is a
	 * connection: a process that holds no more than that ends with its
	 * request, or is a job that the program has put in the background.
	 */
	(void)other_sockets(pid, false, inodes, &n, &listens);
	return listens;
}

uint64_t
observe_mark(void)
{
	return queue_mark();
}

enum moved
observe_moved(uint64_t mark)
{
	return queue_moved(mark);
}

int
observe_shutdown(void)
{
	/* No EPOLLIN: a connection must not wake us. EPOLLHUP is implied. */
	struct epoll_event want = { .events = EPOLLRDHUP };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd != -1 &&
	    epoll_ctl(fd, EPOLL_CTL_ADD, STDIN_FILENO, &want) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

int
observe_somaxconn(void)
{
	FILE *f = fopen("/proc/sys/net/core/somaxconn", "re");
	int n;

	if (f == NULL)
		return -1;
	if (fscanf(f, "%d", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

int
observe_queue(unsigned int *depth, unsigned int *limit)
{
	return queue_depth(false, depth, limit);
}
