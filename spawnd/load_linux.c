/* SPDX-License-Identifier: ISC */
/*
 * How much the listen socket has to do: how long its queue is, who of it has
 * been there for a while, and how many connections were accepted.
 */
#include <sys/stat.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/unix_diag.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spawnd.h"
#include "diag.h"

#define KEPT		64	/* of those that wait: who they were */
#define STATE_OPEN	1	/* TCP_ESTABLISHED */
#define STATE_HALF	8	/* TCP_CLOSE_WAIT: the client has ended */
#define STATE_LISTEN	10
#define OPEN_STATES	(0xfffU & ~(1U << 3 | 1U << 6))
				/* not SYN_RECV, TIME_WAIT */

/* Some of those in the queue at one look, evenly chosen. */
struct sample {
	uint64_t	 ids[KEPT];
	unsigned int	 n;
	unsigned int	 total;		/* these stand for so many */
};

static struct sample last;
static uint64_t listener;	/* its inode */

/* One look, as it comes in. */
struct count {
	unsigned int	 depth;
	unsigned int	 accepted;
	bool		 listener;	/* our own socket could be seen */
	bool		 named;		/* and who waits in its queue */
	struct sample	 now;
	unsigned int	 found;		/* of `last`, still there */
};

/* One of those that wait. */
static void
count_waiting(struct count *c, uint64_t id, unsigned int stride)
{
	unsigned int i;

	for (i = 0; i < last.n; i++)
		c->found += last.ids[i] == id;
	if (c->now.total++ % stride == 0 && c->now.n < KEPT)
		c->now.ids[c->now.n++] = id;
}

/* The inodes of those that wait, the oldest first; 0 is of one that left. */
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
take_tcp_listener(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct count *c = arg;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->idiag_inode != listener)
		return true;
	c->depth = m->idiag_rqueue;
	c->listener = true;
	return false;
}

/*
 * Who waits to be accepted has no inode yet; nor has who was accepted and is
 * closed already, which is in none of these two states.
 */
static bool
take_tcp_connected(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct count *c = arg;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return true;
	if (m->idiag_inode == listener) {
		c->depth = m->idiag_rqueue;
			c->listener = true;
	} else if (m->idiag_state == STATE_LISTEN)
		return true;	/* another one, of another address */
	else if (m->idiag_inode != 0)
		c->accepted++;
	else if (m->idiag_state == STATE_OPEN || m->idiag_state == STATE_HALF)
		count_waiting(c, (uint64_t)m->id.idiag_cookie[1] << 32 |
		    m->id.idiag_cookie[0], 1);
	return true;
}

static bool
is_unix(void)
{
	static int domain;
	socklen_t len = sizeof(domain);
	struct stat st;

	if (domain == 0 && fstat(STDIN_FILENO, &st) == 0 &&
	    getsockopt(STDIN_FILENO, SOL_SOCKET, SO_DOMAIN, &domain,
	    &len) == 0)
		listener = st.st_ino;
	return domain == AF_UNIX;
}

/* Is nobody there? This is cheap to ask. */
static bool
queue_is_empty(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

/* The queue, and who is in it where that costs no more. */
static int
look_at_queue(struct count *c)
{
	bool local = is_unix();

	*c = (struct count){ .listener = true };
	if (queue_is_empty())
		return 0;
	*c = (struct count){ 0 };
	if (!local)
		return diag_ask_tcp(1U << STATE_LISTEN, take_tcp_listener, c);
	if (diag_ask_unix(listener, UDIAG_SHOW_RQLEN | UDIAG_SHOW_ICONS,
	    take_unix_listener, c) == 0)
		return 0;
	/* The kernel names no more than fit in a page. */
	*c = (struct count){ 0 };
	return diag_ask_unix(listener, UDIAG_SHOW_RQLEN, take_unix_listener,
	    c);
}

static int
look_at_connected(struct count *c)
{
	uint64_t *inodes = NULL;
	int n;

	*c = (struct count){ 0 };
	if (is_unix()) {
		if ((n = diag_connections(&inodes)) == -1)
			return -1;
		free(inodes);
		c->accepted = (unsigned int)n;
		return 0;
	}
	c->named = true;
	if (diag_ask_tcp(OPEN_STATES, take_tcp_connected, c) == -1)
		return -1;
	return c->listener ? 0 : -1;
}

/* How many of the queue were in it at the last look already. */
static unsigned int
compare(const struct count *c)
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
	last = c->now;
	/* Nobody is known of them, which is not: there is nobody. */
	if (!c->named && c->depth > 0)
		last = (struct sample){ .total = c->depth };
	return waited;
}

void
load_look(bool busy, struct load *l)
{
	struct count c, all;

	*l = (struct load){ LOAD_UNKNOWN, LOAD_UNKNOWN, LOAD_UNKNOWN };
	if (look_at_queue(&c) == -1 || !c.listener)
		return;
	/* With TCP those that wait are only found among all others. */
	if ((busy || (!is_unix() && c.depth > 0)) &&
	    look_at_connected(&all) == 0) {
		l->busy = all.accepted;
		if (!is_unix())
			c = all;
	}
	l->depth = c.depth;
	l->waited = compare(&c);
}
