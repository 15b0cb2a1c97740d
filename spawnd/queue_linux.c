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

#include "spawnd.h"
#include "diag.h"

#define HEAD_FRESH	UINT64_C(1000)	/* usec */
#define WAITING		(1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT)

/*
 * One of the queue, the oldest of a unix socket. It is not given up before it
 * was seen to have left, so whoever remembers another one knows that it has.
 */
static struct {
	uint64_t	 id;		/* 0: none */
	uint64_t	 seen;		/* usec; when it last was */
	struct inet_diag_sockid tcp;
} head;

bool
queue_is_empty(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

bool
queue_has(const struct inet_diag_msg *m, uint64_t *id)
{
	/* Nor has an inode who was accepted and is closed. */
	if (m->idiag_inode != 0 || (1U << m->idiag_state & WAITING) == 0)
		return false;
	*id = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
	return true;
}

static bool
take_head_unix(const struct nlmsghdr *h, void *arg)
{
	const char *a;
	uint32_t inode;
	size_t len, i;

	(void)arg;
	a = diag_attribute(h, UNIX_DIAG_ICONS, &len);
	/* A client that has given up is still there, without a number. */
	for (i = 0; a != NULL && head.id == 0 && i < len / sizeof(inode); i++) {
		memcpy(&inode, a + i * sizeof(inode), sizeof(inode));
		head.id = inode;
	}
	return false;
}

static bool
take_head_listed(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->udiag_ino != (uint32_t)diag_listener())
		return true;
	return take_head_unix(h, arg);
}

/*
 * The queue of one socket is told in a page at most. In a list of those that
 * listen there is room for some 8000 that wait.
 */
static int
ask_head_unix(void)
{
	if (diag_ask_unix(diag_listener(), UDIAG_SHOW_ICONS, take_head_unix,
	    NULL) == 0)
		return 0;
	if (errno != EMSGSIZE)
		return -1;
	return diag_ask_listeners(UDIAG_SHOW_ICONS, take_head_listed, NULL);
}

static bool
take_head_tcp(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);

	(void)arg;
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    !queue_has(m, &head.id))
		return true;
	head.tcp = m->id;
	return false;
}

static bool
take_waits(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	bool *waits = arg;
	uint64_t id;

	*waits = h->nlmsg_len >= NLMSG_LENGTH(sizeof(*m)) &&
	    queue_has(m, &id) && id == head.id;
	return false;
}

/* TCP: is the head still there? Returns 0, or -1: it cannot be known. */
static int
head_waits(bool *waits)
{
	*waits = false;
	if (diag_ask_connection(&head.tcp, take_waits, waits) == 0 ||
	    errno == ENOENT || errno == ESTALE)
		return 0;
	return -1;
}

/* Is the head still that one? If not, there is a new one. */
static int
see_head(void)
{
	uint64_t before = head.id;
	bool waits = false;
	int r;

	if (before != 0 && !diag_is_unix() && head_waits(&waits) == -1)
		return -1;
	if (waits) {
		head.seen = loop_now();
		return 0;
	}
	head.id = 0;
	if (diag_is_unix())
		r = ask_head_unix();
	else
		r = diag_ask_tcp(WAITING, take_head_tcp, NULL);
	if (r == -1)
		head.id = before;
	head.seen = loop_now();
	return r;
}

/* To ask takes as long as a fork on a host with many sockets. */
uint64_t
queue_head(void)
{
	if (queue_is_empty())
		return 0;
	if (head.id != 0 && loop_now() - head.seen < HEAD_FRESH)
		return head.id;
	return see_head() == -1 || head.id == 0 ? HEAD_UNKNOWN : head.id;
}

enum moved
queue_moved(uint64_t mark)
{
	if (mark == 0)
		return MOVED_NO;
	/* What waited then is not known, but whether anything still does. */
	if (mark == HEAD_UNKNOWN)
		return queue_is_empty() ? MOVED_YES : MOVED_UNKNOWN;
	if (head.id == mark && see_head() == -1)
		return MOVED_UNKNOWN;
	return head.id == mark ? MOVED_NO : MOVED_YES;
}

/* Counting those that wait. */
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

/* Of a socket that listens, tcp(7) tells the queue in fields of others. */
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

/* Those whose handshake is not over are in no queue. */
static bool
take_half_open(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct crowd *c = arg;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return true;
	if (m->idiag_state == TCP_SYN_RECV)
		c->n++;
	else if (m->idiag_inode == diag_listener())
		c->known = true;
	return true;
}

static int
count_half_open(struct crowd *c)
{
	c->known = false;
	return diag_ask_tcp(1U << TCP_LISTEN | 1U << TCP_SYN_RECV,
	    take_half_open, c);
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
