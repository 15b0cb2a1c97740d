/* SPDX-License-Identifier: ISC */
/* The listen queue: how long it is, and whether it moves. */
#include <sys/socket.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/unix_diag.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "pool/seen.h"

#define FRESH		UINT64_C(1000)	/* usec */
#define KEPT		64		/* of those that wait */
#define WAITING		(1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT)

/*
 * Some of the waiting connections: the oldest of a unix socket; of TCP, which
 * does not show their order, all that waited at one moment, or as many as fit.
 * Each stays here until it was seen to have left the queue. The oldest leaves
 * the queue first, so it has moved once one of these has left.
 */
static struct {
	struct inet_diag_sockid tcp[KEPT];
	uint64_t	 ids[KEPT];
	unsigned int	 n;
	bool		 all;		/* the oldest is among them */
	uint64_t	 marks;		/* so many have left; from 1 */
	uint64_t	 seen;		/* usec; when they last were */
} some = { .marks = 1 };

bool
queue_is_empty(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

bool
queue_has(const struct inet_diag_msg *m, uint64_t *id)
{
	/* A connection that was accepted and closed has no inode either. */
	if (m->idiag_inode != 0 || (1U << m->idiag_state & WAITING) == 0)
		return false;
	*id = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
	return true;
}

static bool
take_oldest(const struct nlmsghdr *h, void *arg)
{
	uint32_t *inode = arg;
	const char *a;
	size_t len, i;

	a = diag_attribute(h, UNIX_DIAG_ICONS, &len);
	/* A client that has given up is still there, as a 0. */
	for (i = 0; a != NULL && *inode == 0 && i < len / sizeof(*inode); i++)
		memcpy(inode, a + i * sizeof(*inode), sizeof(*inode));
	return false;
}

static bool
take_listed(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->udiag_ino != (uint32_t)diag_listener())
		return true;
	return take_oldest(h, arg);
}

/*
 * An answer about one socket has a page for its queue. An answer about all
 * that listen has room for some 8000 waiting connections.
 */
static int
ask_oldest(uint32_t *inode)
{
	if (diag_ask_unix(diag_listener(), UDIAG_SHOW_ICONS, take_oldest,
	    inode) == 0)
		return 0;
	if (errno != EMSGSIZE)
		return -1;
	return diag_ask_listeners(UDIAG_SHOW_ICONS, take_listed, inode);
}

static int
see_oldest(void)
{
	uint32_t inode = 0;

	if (ask_oldest(&inode) == -1)
		return -1;
	if (some.n > 0 && some.ids[0] != inode)
		some.marks++;
	some.ids[0] = inode;
	some.n = inode != 0;
	some.all = true;
	return 0;
}

static bool
take_waiting(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	uint64_t id;

	(void)arg;
	if (!queue_has(m, &id))
		return true;
	some.all = some.n < KEPT;
	if (some.all) {
		some.tcp[some.n] = m->id;
		some.ids[some.n++] = id;
	}
	return some.all;
}

static bool
take_one(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	uint64_t *id = arg;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || !queue_has(m, id))
		*id = 0;
	return false;
}

/* TCP: drops those that have left. Returns 0, or -1: unknown. */
static int
see_who_left(void)
{
	unsigned int i = 0;
	uint64_t id;

	while (i < some.n) {
		id = 0;
		if (diag_ask_connection(&some.tcp[i], take_one, &id) == -1 &&
		    errno != ENOENT && errno != ESTALE)
			return -1;
		if (id == some.ids[i]) {
			i++;
			continue;
		}
		some.marks++;
		some.n--;
		some.ids[i] = some.ids[some.n];
		some.tcp[i] = some.tcp[some.n];
	}
	return 0;
}

/* Looks which have left. */
static int
look_who_left(void)
{
	some.seen = loop_now();
	return diag_is_unix() ? see_oldest() : see_who_left();
}

/* On a host with many sockets a question takes as long as a fork. */
uint64_t
observe_mark(void)
{
	if (queue_is_empty())
		return 0;
	if (some.n > 0 && loop_now() - some.seen < FRESH)
		return some.marks;
	if (look_who_left() == -1)
		return MARK_UNKNOWN;
	if (some.n == 0 && !diag_is_unix() &&
	    diag_ask_tcp(WAITING, take_waiting, NULL) == -1)
		some.n = 0;
	return some.n > 0 ? some.marks : MARK_UNKNOWN;
}

enum moved
observe_moved(uint64_t mark)
{
	/* The queue was empty then: what waits now has come since. */
	if (mark == 0)
		return queue_is_empty() ? MOVED_NO : MOVED_YES;
	/* What waited then is unknown; whether anything still does is not. */
	if (mark == MARK_UNKNOWN)
		return queue_is_empty() ? MOVED_YES : MOVED_UNKNOWN;
	if (some.marks == mark && look_who_left() == -1)
		return MOVED_UNKNOWN;
	if (some.marks != mark)
		return MOVED_YES;
	return some.all ? MOVED_NO : MOVED_UNKNOWN;
}

/* How many connections wait. */
struct crowd {
	bool		 known;
	unsigned int	 n;
	unsigned int	 limit;
};

static bool
take_crowd_unix(const struct nlmsghdr *h, void *arg)
{
	struct unix_diag_rqlen r;
	struct crowd *c = arg;
	const void *a;
	size_t len;

	a = diag_attribute(h, UNIX_DIAG_RQLEN, &len);
	if (a == NULL || len < sizeof(r))
		return false;
	memcpy(&r, a, sizeof(r));
	c->n = r.udiag_rqueue;
	c->limit = r.udiag_wqueue;
	c->known = true;
	return false;
}

/* Of a listening socket, tcp_info has the queue in fields for other things. */
static void
count_tcp(struct crowd *c)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(STDIN_FILENO, IPPROTO_TCP, TCP_INFO, &info, &len) ==
	    -1 || info.tcpi_state != TCP_LISTEN)
		return;
	c->n = info.tcpi_unacked;
	c->limit = info.tcpi_sacked;
	c->known = true;
}

/* A connection whose handshake is not over is in no queue. */
static bool
take_half_open(const struct nlmsghdr *h, void *arg)
{
	struct crowd *c = arg;

	(void)h;
	c->n++;
	return true;
}

/* These are too many, for a moment, where another socket shares our address. */
static int
count_half_open(struct crowd *c)
{
	return diag_ask_tcp(1U << TCP_SYN_RECV, take_half_open, c) == -1 &&
	    errno != EADDRINUSE ? -1 : 0;
}

int
queue_depth(bool half_open, unsigned int *depth, unsigned int *limit)
{
	struct crowd c = { 0 };

	if (diag_is_unix()) {
		if (diag_ask_unix(diag_listener(), UDIAG_SHOW_RQLEN,
		    take_crowd_unix, &c) == -1)
			return -1;
	} else
		count_tcp(&c);
	if (c.known && half_open && !diag_is_unix() &&
	    count_half_open(&c) == -1)
		return -1;
	if (!c.known)
		return -1;
	*depth = c.n;
	*limit = c.limit;
	return 0;
}

int
observe_queue(unsigned int *depth, unsigned int *limit)
{
	return queue_depth(false, depth, limit);
}
