/* SPDX-License-Identifier: ISC */
/*
 * The load of the listen socket: how long its queue is, how much of that was
 * there at the last look already, and how many connections are accepted.
 */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/unix_diag.h>

#include <netinet/tcp.h>

#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "observe/usage.h"

#define KEPT		64	/* waiting connections remembered */
#define TCP_ACCEPTED	(0xfffU & ~(1U << TCP_SYN_RECV | \
			    1U << TCP_TIME_WAIT | 1U << TCP_LISTEN))

/* Some of the connections in the queue at one look, evenly chosen. */
struct sample {
	uint64_t	 ids[KEPT];
	uint64_t	 since[KEPT];	/* when they were first seen, usec */
	unsigned int	 n;
	unsigned int	 total;		/* these stand for so many */
	uint64_t	 at;		/* the time of the look */
};

static struct sample last;
static uint64_t sighted;		/* sightings_total(), the last time */

/* One look, as it comes in. */
struct count {
	unsigned int	 depth;
	unsigned int	 accepted;
	bool		 listener;	/* our own socket could be seen */
	bool		 named;		/* and what waits in its queue */
	struct sample	 now;
	unsigned int	 found;		/* of `last`, still there */
	bool		 stays[KEPT];	/* which of them */
	uint64_t	*inodes;	/* of TCP: those that are accepted */
	size_t		 room;
	bool		 failed;	/* there was no memory for them */
};

/* Counts a connection that waits. */
static void
count_waiting(struct count *c, uint64_t id, unsigned int stride)
{
	uint64_t since = c->now.at;
	unsigned int i;

	for (i = 0; i < last.n; i++) {
		if (last.ids[i] != id)
			continue;
		c->found++;
		c->stays[i] = true;
		since = last.since[i];
	}
	if (c->now.total++ % stride != 0 || c->now.n == KEPT)
		return;
	c->now.since[c->now.n] = since;
	c->now.ids[c->now.n++] = id;
}

/* Adds an accepted connection, of TCP. */
static void
add_accepted(struct count *c, uint64_t inode)
{
	uint64_t *more;

	if (leftover_has(inode))
		return;
	if (c->accepted == c->room) {
		more = reallocarray(c->inodes, 2 * c->room + 64,
		    sizeof(*more));
		if (more == NULL) {
			c->failed = true;
			return;
		}
		c->inodes = more;
		c->room = 2 * c->room + 64;
	}
	c->inodes[c->accepted++] = inode;
}

/* Counts their inodes, the oldest first; 0 stands for one that has left. */
static void
count_icons(struct count *c, const void *a, size_t len)
{
	unsigned int i, n = (unsigned int)(len / sizeof(uint32_t));
	unsigned int stride = (n + KEPT - 1) / KEPT;
	uint32_t id;

	c->named = true;
	for (i = 0; i < n; i++) {
		memcpy(&id, (const char *)a + i * sizeof(id), sizeof(id));
		if (id != 0)
			count_waiting(c, id, stride);
	}
}

static bool
take_unix_listener(const struct nlmsghdr *h, void *arg)
{
	struct unix_diag_rqlen r;
	struct count *c = arg;
	const void *a;
	size_t len;

	a = diag_attribute(h, UNIX_DIAG_RQLEN, &len);
	if (a != NULL && len >= sizeof(r)) {
		memcpy(&r, a, sizeof(r));
		c->depth = r.udiag_rqueue;
		c->listener = true;
	}
	a = diag_attribute(h, UNIX_DIAG_ICONS, &len);
	if (a != NULL)
		count_icons(c, a, len);
	return false;
}

static bool
take_connection(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct count *c = arg;
	uint64_t id;

	if (m->idiag_inode != 0)
		add_accepted(c, m->idiag_inode);
	else if (queue_has(m, &id))
		count_waiting(c, id, 1);
	return true;
}

/* The queue of a unix socket and what is in it. */
static int
look_at_unix(struct count *c)
{
	if (diag_ask_unix(diag_listener(), UDIAG_SHOW_RQLEN |
	    UDIAG_SHOW_ICONS, take_unix_listener, c) == 0)
		return 0;
	/* The kernel names no more than fit in a page. */
	*c = (struct count){ .now.at = c->now.at };
	return diag_ask_unix(diag_listener(), UDIAG_SHOW_RQLEN,
	    take_unix_listener, c);
}

static int
look_at_queue(struct count *c)
{
	unsigned int limit;

	*c = (struct count){ .listener = true, .now.at = loop_now() };
	if (queue_is_empty())
		return 0;
	if (!diag_is_unix())
		return queue_depth(false, &c->depth, &limit);
	c->listener = false;
	return look_at_unix(c);
}

/* The accepted connections; with TCP, those that wait are among them. */
static int
look_at_connected(struct count *c)
{
	uint64_t *inodes = NULL;
	struct count all = { .depth = c->depth, .now.at = c->now.at };
	unsigned int left;
	int n, r;

	if (diag_is_unix()) {
		if ((n = usage_connections(&inodes, &left)) == -1)
			return -1;
		free(inodes);
		c->accepted = (unsigned int)n;
		return 0;
	}
	r = diag_ask_tcp(TCP_ACCEPTED, take_connection, &all);
	if (r == 0 && !all.failed) {
		usage_note(all.inodes, (int)all.accepted);
		all.named = true;
		*c = all;
	}
	free(all.inodes);
	c->inodes = NULL;
	return r == 0 && !all.failed ? 0 : -1;
}

/* How many of the queue were in it at the last look already. */
static unsigned int
compare_queues(const struct count *c)
{
	unsigned int waited = LOAD_UNKNOWN;

	if (c->depth == 0 || (last.n == 0 && last.total == 0))
		waited = 0;
	else if (c->named && last.n > 0) {
		waited = (unsigned int)((uint64_t)c->found * last.total /
		    last.n);
		if (waited > c->depth)
			waited = c->depth;
	}
	return waited;
}

static unsigned int
wait_class(uint64_t usec)
{
	uint64_t limit = 10000;
	unsigned int i = 0;

	for (; i < WAIT_CLASSES - 1 && usec > limit; i++)
		limit *= 10;
	return i;
}

/* How long those have waited that are there, and those that have left. */
static void
tell_waits(const struct count *c, struct load *l)
{
	uint64_t then = (last.at + c->now.at) / 2;
	unsigned int i;

	for (i = 0; i < c->now.n; i++) {
		if (c->now.at - c->now.since[i] > l->oldest)
			l->oldest = c->now.at - c->now.since[i];
	}
	/* What is not named may still be there. */
	if (!c->named && c->depth > 0)
		return;
	for (i = 0; i < last.n; i++) {
		if (!c->stays[i])
			l->left[wait_class(then - last.since[i])] +=
			    last.total / last.n;
	}
}

static void
keep_sample(const struct count *c)
{
	last = c->now;
	/* The queue is not empty, although none of it is known by name. */
	if (!c->named && c->depth > 0)
		last = (struct sample){ .total = c->depth };
}

void
observe_load(bool busy, struct load *l)
{
	struct count c;

	*l = (struct load)LOAD_UNSEEN;
	if (look_at_queue(&c) == -1 || !c.listener)
		return;
	if ((busy || (!diag_is_unix() && c.depth > 0)) &&
	    look_at_connected(&c) == 0) {
		l->busy = c.accepted;
		l->fresh = (unsigned int)(sightings_total() - sighted);
		sighted = sightings_total();
	}
	l->depth = c.depth;
	l->waited = compare_queues(&c);
	tell_waits(&c, l);
	keep_sample(&c);
}
