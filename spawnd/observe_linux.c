/* SPDX-License-Identifier: ISC */
/* What the kernel tells about the workers, on Linux. */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spawnd.h"

#define POLL_AGE	UINT64_C(200000)	/* usec a poller must live */
#define POLL_STILL	UINT64_C(50000)		/* and use no cpu */
#define BLIND_STILL	UINT64_C(200000)	/* where no call can be read */
#define OOM_RAISE	100
#define SOCKETS_MAX	32

static uint64_t listener;	/* the listen socket's inode */
static bool have_diag;
static char oom_score[16];	/* of a worker; "": leave it alone */

void
observe_init(struct guarantees *g)
{
	struct stat st;
	char buf[32];
	int adj;

	if (fstat(STDIN_FILENO, &st) == 0)
		listener = st.st_ino;
	g->proc = proc_open(&g->proc_detached) == 0;
	have_diag = g->queue = diag_open(STDIN_FILENO) == 0;
	if (proc_read("self/oom_score_adj", buf, sizeof(buf)) > 0) {
		adj = atoi(buf) + OOM_RAISE;
		snprintf(oom_score, sizeof(oom_score), "%d",
		    adj > 1000 ? 1000 : adj);
	}
}

/*
 * Workers are to go before the supervisor when memory runs out. Until its
 * exec the child is not ours to write to, so this is done at a look.
 */
static void
raise_oom(pid_t pid, struct sight *s)
{
	char path[64];

	if (s->oom_done || oom_score[0] == '\0')
		return;
	snprintf(path, sizeof(path), "%d/oom_score_adj", (int)pid);
	s->oom_done = proc_write(path, oom_score) == 0;
}

static bool
holds_connection(pid_t pid)
{
	uint64_t inodes[SOCKETS_MAX];
	bool unread;
	int n;

	if (!have_diag)
		return false;
	n = proc_sockets(pid, true, inodes, SOCKETS_MAX);
	return n > 0 && diag_accepted(inodes, n, &unread) > 0;
}

enum look
observe_look(pid_t pid, uint64_t age, uint64_t now, struct sight *s)
{
	uint64_t still;
	struct view v;

	raise_oom(pid, s);
	if (proc_view(pid, listener, true, &v) == -1)
		return age >= BLIND_STILL ? LOOK_READY : LOOK_UNKNOWN;
	if (v.accepting || holds_connection(pid))
		return LOOK_READY;
	if (s->still_since == 0 || v.cpu != s->cpu || !v.asleep) {
		s->cpu = v.cpu;
		s->still_since = now;
	}
	still = now - s->still_since;
	if (!v.readable)
		return still >= BLIND_STILL ? LOOK_READY : LOOK_UNKNOWN;
	if (v.polling && age >= POLL_AGE && still >= POLL_STILL)
		return LOOK_READY;
	return LOOK_NO;
}

#define ANY_CPU	UINT64_MAX	/* stopping and continuing it uses some */

/* A kept-open connection that nothing has happened on for a while. */
static bool
is_quiet(const struct view *v, bool unread, uint64_t keep_idle, uint64_t now,
    struct sight *s)
{
	bool still = !unread && (v->stopped ? s->quiet_since != 0 :
	    (v->reading || v->polling) &&
	    (s->quiet_cpu == ANY_CPU || s->quiet_cpu == v->cpu));

	s->quiet_cpu = v->stopped ? ANY_CPU : v->cpu;
	if (!still)
		s->quiet_since = 0;
	else if (s->quiet_since == 0)
		s->quiet_since = now;
	return still && keep_idle != 0 && now - s->quiet_since >= keep_idle;
}

void
observe_examine(pid_t pid, int signo, uint64_t keep_idle, uint64_t now,
    struct sight *s, struct exam *x)
{
	uint64_t inodes[SOCKETS_MAX];
	bool unread = false;
	struct view v;
	int n = -1;

	*x = (struct exam){ .holds = HOLDS_UNKNOWN };
	x->catches = proc_catches(pid, signo);
	if (!have_diag || proc_view(pid, listener, false, &v) == -1)
		return;
	x->frozen = v.stopped;
	x->threaded = v.tasks > 1;
	x->loops = v.looping && !v.accepting;
	n = proc_sockets(pid, false, inodes, SOCKETS_MAX);
	if (n < 0 || n == SOCKETS_MAX)
		return;
	if (n > 0)
		n = diag_accepted(inodes, n, &unread);
	if (n == -1)
		return;
	x->holds = HOLDS_NOTHING;
	if (n == 0) {
		s->connection = 0;
		x->waits = v.accepting && v.tasks == 1;
		x->leads = v.child != 0 && !v.accepting &&
		    observe_serves(v.child);
		return;
	}
	if (inodes[0] != s->connection) {
		s->connection = inodes[0];
		s->held_since = now;
		s->quiet_since = 0;
	}
	x->holds = is_quiet(&v, unread, keep_idle, now, s) ? HOLDS_QUIET :
	    HOLDS_BUSY;
	x->waits = x->holds == HOLDS_QUIET;
	x->connection = inodes[0];
	x->age = now - s->held_since;
}

int
observe_children(pid_t *list, int n)
{
	return proc_children(getpid(), list, n);
}

bool
observe_serves(pid_t pid)
{
	uint64_t inodes[SOCKETS_MAX];
	bool unread;
	int i, n;

	n = proc_sockets(pid, false, inodes, SOCKETS_MAX);
	for (i = 0; i < n; i++) {
		if (inodes[i] == listener)
			return true;
	}
	return n > 0 && have_diag && diag_accepted(inodes, n, &unread) > 0;
}

uint64_t
observe_head(void)
{
	return have_diag ? diag_head() : 0;
}

enum moved
observe_moved(uint64_t mark)
{
	return have_diag ? diag_moved(mark) : MOVED_UNKNOWN;
}

pid_t
observe_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1 ||
	    peer.pid <= 0)
		return -1;
	return peer.pid;
}

int
observe_shutdown(void)
{
	/* Without EPOLLIN; what else there is, EPOLLHUP, comes unasked. */
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
