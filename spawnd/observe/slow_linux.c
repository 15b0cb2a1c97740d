/* SPDX-License-Identifier: ISC */
/*
 * Slow requests, on Linux: which connections the tree of a worker holds, for
 * how long, and in which process. A process may change its descriptors at any
 * time, so what is found here is true of one moment only.
 */
#include <sys/tree.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/units.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "pool/seen.h"

#define FORGET		(10 * USEC)	/* connections not seen again */
#define HELD_MAX	65536		/* that are remembered */

/* A connection that was seen, and since when it counts. */
struct held {
	uint64_t	 inode;
	uint64_t	 since;
	uint64_t	 quiet;		/* since then, at each look; 0: not */
	uint64_t	 seen;		/* last */
	uint64_t	 cpu;		/* of its process then */
	bool		 idle;		/* and it was not used then */
	RB_ENTRY(held)	 entry;
};

RB_HEAD(held_tree, held);

static struct held_tree held = RB_INITIALIZER(&held);
static unsigned int nheld;
static uint64_t swept_at;

static int
held_compare(const struct held *a, const struct held *b)
{
	return (a->inode > b->inode) - (a->inode < b->inode);
}

RB_GENERATE_INTERNAL(held_tree, held, entry, held_compare,
    static __attribute__((unused)))

uint64_t
observe_connection(pid_t pid)
{
	uint64_t inodes[SOCKETS_MAX];
	struct accepted what;

	return look_connections(pid, true, inodes, &what) > 0 ? inodes[0] : 0;
}

uint64_t
observe_size(pid_t pid)
{
	pid_t tree[TREE_MAX];
	char buf[128];
	uint64_t pages, sum = 0;
	int i, n;

	n = proc_tree(pid, tree, TREE_MAX);
	for (i = 0; i < n; i++) {
		if (proc_read_of(tree[i], "statm", buf, sizeof(buf)) > 0 &&
		    sscanf(buf, "%*u %" SCNu64, &pages) == 1)
			sum += pages;
	}
	return sum * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* We do not see a connection end: forget those not met for a while. */
static void
sweep(uint64_t now)
{
	struct held *h, *next;

	if (now - swept_at < USEC)
		return;
	swept_at = now;
	RB_FOREACH_SAFE(h, held_tree, &held, next) {
		if (now - h->seen < FORGET)
			continue;
		RB_REMOVE(held_tree, &held, h);
		free(h);
		nheld--;
	}
}

/* NULL: there is no room for one more. */
static struct held *
find_held(uint64_t inode, const struct view *v, uint64_t now)
{
	struct held key = { .inode = inode }, *h;

	if ((h = RB_FIND(held_tree, &held, &key)) != NULL)
		return h;
	if (nheld == HELD_MAX || (h = malloc(sizeof(*h))) == NULL)
		return NULL;
	*h = (struct held){ .inode = inode, .since = now,
	    .cpu = v->cpu };
	RB_INSERT(held_tree, &held, h);
	nheld++;
	return h;
}

void
slow_look(uint64_t inode, const struct view *v, bool unread, bool waits,
    uint64_t now, struct slow_times *t)
{
	struct held *h = find_held(inode, v, now);
	bool idle;

	*t = (struct slow_times){ 0 };
	if (h == NULL)
		return;
	waits = waits && !unread;
	if (!waits)
		h->quiet = 0;
	else if (h->quiet == 0)
		h->quiet = now;
	/* An event loop that sleeps and has used no cpu is taken to be idle. */
	idle = waits || (!unread && v->cpu == h->cpu && v->looping &&
	    !v->accepting);
	/* What has begun since the last look may have begun just now. */
	if (idle || h->idle)
		h->since = now;
	h->idle = idle;
	t->quiet = h->quiet != 0 ? now - h->quiet : 0;
	t->age = now - h->since;
	h->cpu = v->cpu;
	h->seen = now;
}

/* Looks at one process of a worker. */
static void
find_slow_request(pid_t pid, uint64_t limit, uint64_t now,
    struct slow_request *o)
{
	uint64_t inodes[SOCKETS_MAX];
	struct slow_times t;
	struct accepted what;
	struct view v;
	bool all;
	int i, n;

	n = look_connections(pid, false, inodes, &what);
	if (n == 0 || proc_view(pid, 0, false, &v) == -1)
		return;
	all = keepalive_is_quiet(pid, &v, inodes, n);
	for (i = 0; i < n; i++) {
		slow_look(inodes[i], &v, what.unread, all ||
		    keepalive_is_read(&v, inodes[i]), now, &t);
		if (t.age <= limit || t.age <= o->age)
			continue;
		o->slow = true;
		o->pid = pid;
		o->age = t.age;
	}
}

void
observe_slow_request(pid_t pid, uint64_t limit, uint64_t now,
    struct slow_request *o)
{
	pid_t tree[TREE_MAX];
	int i, n;

	*o = (struct slow_request){ .slow = false };
	sweep(now);
	n = proc_tree(pid, tree, TREE_MAX);
	for (i = 0; i < n; i++)
		find_slow_request(tree[i], limit, now, o);
}

void
observe_waiting(bool half_open, struct queue *q)
{
	unsigned int limit;

	q->known = queue_depth(half_open, &q->depth, &limit) == 0;
}
