/* SPDX-License-Identifier: ISC */
/* What the kernel shows of the workers, on Linux. */
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
#include "observe/end.h"
#include "observe/linux.h"
#include "observe/looker.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "pool/seen.h"

#define POLL_AGE	UINT64_C(200000)	/* usec a poller must live */
#define POLL_STILL	UINT64_C(50000)		/* and use no cpu */
#define LOOK_WHOLE	UINT64_C(10000)	/* younger: the first task alone */
#define LIMITED_AGE	USEC		/* until its own socket is known */
#define BLIND_STILL	UINT64_C(200000)	/* where no call can be read */
#define UNASKED_LONG	USEC		/* for the looker not to answer */
#define OOM_RAISE	100
#define EXPENSIVE	UINT64_C(1000)	/* usec of cpu for one look */
#define LOOK_SHARE	20		/* expensive ones take 1/20 at most */

static uint64_t listener;	/* the listen socket's inode */
static char oom_score[16];	/* of a worker; "": leave it alone */

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
	    diag_accepted(0, NULL, 0, &what) == 0;
	g->ends = end_init() == 0;
	if (!g->ends)
		g->no_ends = strerror(errno);
	g->no_door = door_refused();
	g->door = g->no_door == NULL;
	if (!g->queue) {
		g->no_queue = fault_begin(FAULT_SOCKETS);
	}
	listener_begin();
	if (proc_read("self/oom_score_adj", buf, sizeof(buf)) > 0) {
		adj = atoi(buf) + OOM_RAISE;
		snprintf(oom_score, sizeof(oom_score), "%d",
		    adj > 1000 ? 1000 : adj);
	}
}

const char *
observe_untried(void)
{
	return NULL;
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

static enum readiness
holds_connection(pid_t pid, uint64_t now)
{
	uint64_t inodes[SOCKETS_MAX];
	struct accepted what;
	bool listens, whole;
	int n;

	whole = look_sockets(pid, true, inodes, &n, &listens) == 0;
	n = look_accepted(pid, inodes, n, &what, now);
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

/* What it waits for is unknown, and will be. */
static enum readiness
assume_ready(pid_t pid)
{
	static bool said;

	if (!said)
		log_info("worker %d: taken as ready: it sleeps, and what it "
		    "waits for cannot be seen", (int)pid);
	said = true;
	return READY_ASSUMED;
}

/* One that connects to a database may have a socket for its figures first. */
static enum readiness
look_elsewhere(pid_t pid, uint64_t age, const struct view *v)
{
	enum readiness found = listens_elsewhere(pid, v);

	return found == READY_ELSEWHERE_YET && age < LIMITED_AGE ? READY_NO :
	    found;
}

/* Nothing of it waits in accept, and it sleeps for so long. */
static enum readiness
look_at_waits(pid_t pid, uint64_t age, uint64_t still, uint64_t now,
    const struct view *v, struct probe_state *s)
{
	enum listens listens = listens_is(v);
	bool sleeps = age >= POLL_AGE && still >= POLL_STILL;

	if (listens != LISTENS_UNASKED)
		s->unasked_since = 0;
	else if (s->unasked_since == 0)
		s->unasked_since = now;
	if (listens == LISTENS_YES)
		return READY_YES;
	if (listens == LISTENS_NO)
		return sleeps ? look_elsewhere(pid, age, v) : READY_NO;
	if (!v->asleep)
		return READY_NO;
	if (!sleeps || (listens == LISTENS_UNASKED &&
	    now - s->unasked_since < UNASKED_LONG))
		return READY_UNKNOWN;
	return assume_ready(pid);
}

static enum readiness
look_at_tree(pid_t pid, uint64_t age, uint64_t now, struct probe_state *s)
{
	enum readiness holds = READY_NO;
	uint64_t still;
	struct view v;

	if (proc_view(pid, listener, true, &v) == -1)
		return age >= BLIND_STILL ? READY_ASSUMED : READY_UNKNOWN;
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
		return still >= BLIND_STILL ? assume_ready(pid) :
		    READY_UNKNOWN;
	return look_at_waits(pid, age, still, now, &v, s);
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

	n = proc_own_children(list, n);
	while (i < n) {
		if (looker_is(list[i]))
			list[i] = list[--n];
		else
			i++;
	}
	return n;
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
