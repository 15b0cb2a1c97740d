/* SPDX-License-Identifier: ISC */
/* What a worker and its descendants use, as /proc shows it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/end.h"
#include "observe/linux.h"
#include "observe/looker.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "observe/usage.h"

#define PSS_TIME	UINT64_C(100000)	/* usec for a whole tree */

static int
compare_inodes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void
usage_note(uint64_t *inodes, int n)
{
	if (n > 0)
		qsort(inodes, (size_t)n, sizeof(*inodes), compare_inodes);
	sightings_note(inodes, n, loop_now());
}

int
usage_connections(uint64_t **inodes, unsigned int *left)
{
	int i = 0, n = diag_connections(inodes);

	*left = 0;
	while (i < n) {
		if (leftover_has((*inodes)[i])) {
			(*inodes)[i] = (*inodes)[--n];
			++*left;
		} else
			i++;
	}
	if (n >= 0)
		usage_note(*inodes, n);
	return n;
}

/* Returns 0 with *u added to and *state set, or -1 if it cannot be seen. */
static int
read_stat(pid_t pid, struct usage *u, char *state)
{
	uint64_t ticks, pages;
	char buf[512];

	if (proc_read_of(pid, "stat", buf, sizeof(buf)) <= 0 ||
	    parse_usage(buf, &ticks, &pages) == -1)
		return -1;
	*state = parse_state(buf);
	u->processes++;
	u->cpu += ticks * USEC / (uint64_t)sysconf(_SC_CLK_TCK);
	u->rss += pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

/* Runs in the looker: the file takes the lock of the memory map. */
bool
usage_find_pss(const struct looker_question *q, uint64_t *pss)
{
	char buf[1024];

	*pss = 0;
	if (proc_read_of(q->pid, "smaps_rollup", buf, sizeof(buf)) > 0)
		return (*pss = parse_pss(buf)) > 0;
	/* A process that has ended uses no memory. */
	return proc_is_gone();
}

/* Adds that of one process; false: the sum would be too small. */
static bool
add_pss(pid_t pid, uint64_t until, struct usage *u)
{
	const struct looker_question q = { .what = LOOKER_PSS, .pid = pid };
	uint64_t pss;

	if (loop_now() >= until || !looker_ask(&q, &pss))
		return false;
	u->pss += pss;
	return true;
}

/* The accepted connections, and which of them the worker has. */
enum held { NOT_HELD, HELD, AWAITED };
struct tally {
	const uint64_t	*inodes;
	int		 n;		/* -1: they are unknown */
	enum held	*what;		/* NULL: none is held */
};

/* Returns false if there is no memory. */
static bool
tally_connection(struct tally *t, size_t i, bool is_read, struct usage *u)
{
	const struct sighting *s;

	if (t->what == NULL && (t->what = calloc((size_t)t->n,
	    sizeof(*t->what))) == NULL)
		return false;
	if (t->what[i] == NOT_HELD) {
		u->connections++;
		t->what[i] = HELD;
		s = sightings_find(t->inodes[i]);
		if (s != NULL && (u->first == 0 || s->first < u->first)) {
			u->first = s->first;
			u->before = s->before;
		}
	}
	if (is_read && t->what[i] == HELD) {
		u->awaited++;
		t->what[i] = AWAITED;
	}
	return true;
}

/*
 * Which of a process's sockets are accepted connections? What it has inherited
 * or passed on is its worker's once.
 */
static void
count_connections(pid_t pid, struct tally *t, struct usage *u)
{
	uint64_t held[SOCKETS_MAX];
	const uint64_t *found;
	bool known = true, viewed = false;
	struct view v;
	int i, sockets = 0;

	if (t->n > 0)
		known = proc_sockets(pid, false, held, &sockets,
		    SOCKETS_MAX) == 0;
	if (t->n < 0 || !known) {
		u->counted = false;
		return;
	}
	for (i = 0; i < sockets; i++) {
		found = bsearch(&held[i], t->inodes, (size_t)t->n,
		    sizeof(held[i]), compare_inodes);
		if (found == NULL)
			continue;
		if (!viewed && proc_view(pid, diag_listener(), false,
		    &v) == -1)
			v.nreads = 0;
		viewed = true;
		if (!tally_connection(t, (size_t)(found - t->inodes),
		    keepalive_is_read(&v, held[i]), u))
			u->counted = false;
	}
}

/* Returns false if it is unknown. */
static bool
add_cpu(pid_t pid, uint64_t *sum)
{
	int tasks[TASKS_MAX];
	int i, n = proc_tasks(pid, tasks, TASKS_MAX);
	char buf[64];
	uint64_t ns;

	for (i = 0; i < n; i++) {
		if (proc_read_task(pid, tasks[i], "schedstat", buf,
		    sizeof(buf)) <= 0 ||
		    sscanf(buf, "%" SCNu64, &ns) != 1)
			return false;
		*sum += ns;
	}
	return n > 0 && n < TASKS_MAX;
}

uint64_t
usage_cpu(pid_t pid)
{
	pid_t tree[TREE_MAX];
	int i, n = proc_tree(pid, tree, TREE_MAX);
	uint64_t sum = 0;

	if (n == TREE_MAX)
		return 0;
	for (i = 0; i < n; i++) {
		if (!add_cpu(tree[i], &sum))
			return 0;
	}
	return sum;
}

int
usage_worker(pid_t pid, const uint64_t *inodes, int n, bool pss,
    struct usage *u)
{
	struct tally t = { .inodes = inodes, .n = n };
	pid_t tree[TREE_MAX];
	int i, more, found = 1;
	uint64_t until = loop_now() + PSS_TIME;
	bool known = pss;
	char state;

	*u = (struct usage){ .counted = true };
	tree[0] = pid;
	for (i = 0; i < found; i++) {
		if (read_stat(tree[i], u, &state) == -1) {
			if (i == 0)
				return -1;
			continue;
		}
		/* The main thread may have ended before the others. */
		u->over = i == 0 && (state == 'Z' || state == STATE_HELD) &&
		    end_reached(pid);
		if (u->over)
			return 0;
		count_connections(tree[i], &t, u);
		known = known && add_pss(tree[i], until, u);
		more = proc_children(tree[i], tree + found, TREE_MAX - found);
		found += more > 0 ? more : 0;
	}
	free(t.what);
	if (found == TREE_MAX)
		u->counted = false;
	if (!known)
		u->pss = 0;
	return 0;
}
