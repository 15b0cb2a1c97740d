/* SPDX-License-Identifier: ISC */
/* What the looks at workers share, on Linux. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"

#define FAULT_PAUSE	USEC	/* without one: it is over */

static struct {
	bool		 on;
	uint64_t	 last;	/* when it was met */
} faults[NFAULTS];

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
look_accepted(pid_t pid, uint64_t *inodes, int n, struct accepted *what,
    uint64_t now)
{
	*what = (struct accepted){ .unread = false };
	if (n == 0)
		return 0;
	n = diag_accepted(pid, inodes, n, what);
	if (n == -1)
		fault_met(FAULT_SOCKETS, 0, now);
	else
		fault_gone(FAULT_SOCKETS, now);
	return n;
}

int
look_connections(pid_t pid, bool tree, uint64_t *inodes, struct accepted *what)
{
	int n;

	(void)proc_sockets(pid, tree, inodes, &n, SOCKETS_MAX);
	n = n > 0 ? diag_accepted(pid, inodes, n, what) : 0;
	return n > 0 ? n : 0;
}

const char *
fault_begin(enum fault f)
{
	faults[f].on = true;
	return explain(f, errno);
}

int
look_sockets(pid_t pid, bool tree, uint64_t *inodes, int *n, bool *listens)
{
	int i = 0, r = proc_sockets(pid, tree, inodes, n, SOCKETS_MAX);

	*listens = false;
	while (i < *n) {
		if (inodes[i] != diag_listener()) {
			i++;
			continue;
		}
		*listens = true;
		inodes[i] = inodes[--*n];
	}
	return r;
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

uint64_t
observe_age(pid_t pid)
{
	char buf[512];
	struct timespec ts;
	uint64_t started, hz = (uint64_t)sysconf(_SC_CLK_TCK), now;

	if (proc_read_of(pid, "stat", buf, sizeof(buf)) <= 0 ||
	    (started = parse_started(buf)) == 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &ts) == -1)
		return NEVER;
	/* A tick less: the start was rounded down. */
	started = (started + 1) * USEC / hz;
	now = (uint64_t)ts.tv_sec * USEC + (uint64_t)ts.tv_nsec / 1000;
	return now > started ? now - started : 0;
}

bool
observe_accepts(pid_t pid)
{
	struct view v;

	/* An event loop may be stopped at a call that would not wait. */
	return proc_view(pid, diag_listener(), true, &v) == 0 && v.waiting;
}
