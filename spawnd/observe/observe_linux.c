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

void
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
void
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

/* diag_accepted() is not asked about a process that has no such socket. */
int
look_accepted(uint64_t *inodes, int n, struct accepted *what, uint64_t now)
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

int
look_sockets(pid_t pid, bool tree, uint64_t *inodes, int *n, bool *listens)
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

	whole = look_sockets(pid, true, inodes, &n, &listens) == 0;
	n = look_accepted(inodes, n, &what, now);
	if (n > 0)
		return READY_YES;
	return n == 0 && whole ? READY_NO : READY_UNKNOWN;
}

uint64_t
look_spent(void)
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
	before = look_spent();
	found = look_at_tree(pid, age, now, s);
	cost = look_spent() - before;
	s->expensive = cost >= EXPENSIVE;
	if (s->expensive)
		again = now + cost * LOOK_SHARE;
	return found;
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
	(void)look_sockets(pid, false, inodes, &n, &listens);
	return listens;
}

bool
observe_accepts(pid_t pid)
{
	struct view v;

	return proc_view(pid, listener, true, &v) == 0 && v.accepting;
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
