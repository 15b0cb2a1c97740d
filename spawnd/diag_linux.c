/* SPDX-License-Identifier: ISC */
/*
 * The listen socket as sock_diag(7) shows it: who waits in its queue, and
 * which sockets were accepted from it.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include <netinet/in.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spawnd.h"

#define REPLY_SIZE	32768	/* one message of the kernel's, at least */
#define HALF_OPEN_STATE	3	/* TCP_SYN_RECV */
#define LISTEN_STATE	10	/* TCP_LISTEN, for unix sockets too */
#define ALL_BUT		(0xfffU & ~(1U << 3 | 1U << 6 | 1U << 10))
				/* not SYN_RECV, TIME_WAIT, LISTEN */

static int netlink = -1;
static uint32_t sequence;
static int family;
static uint64_t listener;	/* its inode */
static uint32_t path_inode;	/* unix: the socket file's */
static uint32_t path_device;
static uint16_t port;		/* TCP: in network byte order */

/* Takes one message; returns false to see no more. */
typedef bool taker(const struct nlmsghdr *h, void *arg);

static int
error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = NLMSG_DATA(h);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*err)))
		return EINVAL;
	return -err->error;
}

/* Reads the answer. Returns 0, or -1 with errno set: it is not whole. */
static int
receive(taker *take, void *arg)
{
	static _Alignas(struct nlmsghdr) char buf[REPLY_SIZE];
	const struct nlmsghdr *h;
	bool more = true;
	ssize_t len;
	size_t left;

	for (;;) {
		len = recv(netlink, buf, sizeof(buf), MSG_TRUNC);
		if (len <= 0)
			return -1;
		if ((size_t)len > sizeof(buf)) {
			errno = EMSGSIZE;
			return -1;
		}
		left = (size_t)len;
		for (h = (const struct nlmsghdr *)buf; NLMSG_OK(h, left);
		    h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq != sequence)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR) {
				errno = error_of(h);
				return -1;
			}
			if (h->nlmsg_flags & NLM_F_DUMP_INTR) {
				errno = EINTR;
				return -1;
			}
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (more)
				more = take(h, arg);
			if ((h->nlmsg_flags & NLM_F_MULTI) == 0)
				return 0;
		}
	}
}

static int
ask(const void *body, size_t size, bool dump, taker *take, void *arg)
{
	struct {
		struct nlmsghdr	 h;
		char		 body[128];
	} request;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	size_t len = NLMSG_LENGTH(size);

	if (netlink == -1)
		return -1;
	memset(&request, 0, sizeof(request));
	request.h.nlmsg_len = (uint32_t)len;
	request.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request.h.nlmsg_flags = NLM_F_REQUEST;
	if (dump)
		request.h.nlmsg_flags |= NLM_F_DUMP;
	request.h.nlmsg_seq = ++sequence;
	memcpy(request.body, body, size);
	if (sendto(netlink, &request, len, 0, (struct sockaddr *)&kernel,
	    sizeof(kernel)) != (ssize_t)len)
		return -1;
	return receive(take, arg);
}

/* One unix socket, by its inode. */
static int
ask_unix(uint64_t inode, uint32_t show, taker *take, void *arg)
{
	struct unix_diag_req r = {
		.sdiag_family = AF_UNIX,
		.udiag_states = ~0U,
		.udiag_ino = (uint32_t)inode,
		.udiag_show = show,
		.udiag_cookie = { ~0U, ~0U },
	};

	return ask(&r, sizeof(r), false, take, arg);
}

/* All TCP sockets of our port in the given states. */
static int
ask_tcp(uint32_t states, taker *take, void *arg)
{
	struct inet_diag_req_v2 r = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = states,
		.id.idiag_sport = port,
	};

	return ask(&r, sizeof(r), true, take, arg);
}

/* The attribute of that type behind a unix_diag_msg, or NULL. */
static const void *
unix_attribute(const struct nlmsghdr *h, int type, size_t *len)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a;
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return NULL;
	left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m));
	for (a = (const struct rtattr *)(m + 1); RTA_OK(a, left);
	    a = RTA_NEXT(a, left)) {
		if (a->rta_type == type) {
			*len = RTA_PAYLOAD(a);
			return RTA_DATA(a);
		}
	}
	return NULL;
}

static bool
take_path(const struct nlmsghdr *h, void *arg)
{
	struct unix_diag_vfs *vfs = arg;
	const void *a;
	size_t len;

	a = unix_attribute(h, UNIX_DIAG_VFS, &len);
	if (a != NULL && len >= sizeof(*vfs))
		memcpy(vfs, a, sizeof(*vfs));
	return false;
}

int
diag_open(int fd)
{
	struct sockaddr_storage ss = { 0 };
	struct timeval patience = { .tv_usec = 100000 };
	socklen_t len = sizeof(ss);
	struct unix_diag_vfs vfs = { 0 };
	struct stat st;

	if (fstat(fd, &st) == -1 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return -1;
	listener = st.st_ino;
	family = ss.ss_family;
	if (family == AF_INET)
		port = ((struct sockaddr_in *)&ss)->sin_port;
	else if (family == AF_INET6)
		port = ((struct sockaddr_in6 *)&ss)->sin6_port;
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
	    NETLINK_SOCK_DIAG);
	if (netlink == -1)
		return -1;
	/* The kernel answers within the request; this is for the case. */
	setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	if (family == AF_UNIX) {
		if (ask_unix(listener, UDIAG_SHOW_VFS, take_path,
		    &vfs) == -1 || vfs.udiag_vfs_ino == 0) {
			close(netlink);
			netlink = -1;
			return -1;
		}
		path_inode = vfs.udiag_vfs_ino;
		path_device = vfs.udiag_vfs_dev;
	}
	return 0;
}

/* Looking for one in the queue. */
struct waiting {
	uint64_t	 mark;		/* who is looked for */
	bool		 marked;	/* it is there */
	uint64_t	 head;		/* one of it; unix: the oldest */
};

static bool
take_icons(const struct nlmsghdr *h, void *arg)
{
	struct waiting *w = arg;
	uint32_t inode;
	const void *a;
	size_t len;

	a = unix_attribute(h, UNIX_DIAG_ICONS, &len);
	if (a != NULL && len >= sizeof(inode)) {
		memcpy(&inode, a, sizeof(inode));
		w->head = inode;
		w->marked = inode == w->mark;
	}
	return false;
}

/* Queued connections have no inode yet; the client's port tells them. */
static bool
take_queued(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct waiting *w = arg;
	uint64_t id;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || m->idiag_inode != 0)
		return true;
	id = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
	if (w->head == 0)
		w->head = id;
	if (id == w->mark)
		w->marked = true;
	return true;
}

static int
look_at_queue(struct waiting *w)
{
	if (family == AF_UNIX)
		return ask_unix(listener, UDIAG_SHOW_ICONS, take_icons, w);
	return ask_tcp(ALL_BUT, take_queued, w);
}

uint64_t
diag_head(void)
{
	struct waiting w = { 0, false, 0 };

	return look_at_queue(&w) == -1 ? 0 : w.head;
}

enum moved
diag_moved(uint64_t mark)
{
	struct waiting w = { mark, false, 0 };

	if (mark == 0)
		return MOVED_NO;
	if (look_at_queue(&w) == -1)
		return MOVED_UNKNOWN;
	return w.marked ? MOVED_NO : MOVED_YES;
}

/* Counting those that wait. */
struct crowd {
	bool		 half_open;
	bool		 listener;	/* our own socket could be seen */
	unsigned int	 n;
};

static bool
take_crowd_unix(const struct nlmsghdr *h, void *arg)
{
	struct unix_diag_rqlen r;
	struct crowd *c = arg;
	const void *a;
	size_t len;

	a = unix_attribute(h, UNIX_DIAG_RQLEN, &len);
	if (a == NULL || len < sizeof(r))
		return false;
	memcpy(&r, a, sizeof(r));
	c->n = r.udiag_rqueue;
	c->listener = true;
	return false;
}

/* The queue of a listener holds none whose handshake is not over. */
static bool
take_crowd_tcp(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct crowd *c = arg;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return true;
	if (m->idiag_state == LISTEN_STATE && m->idiag_inode == listener) {
		c->n += m->idiag_rqueue;
		c->listener = true;
	} else if (m->idiag_state == HALF_OPEN_STATE && c->half_open)
		c->n++;
	return true;
}

int
diag_waiting(bool half_open, unsigned int *depth)
{
	struct crowd c = { .half_open = half_open };
	int r;

	if (family == AF_UNIX)
		r = ask_unix(listener, UDIAG_SHOW_RQLEN, take_crowd_unix, &c);
	else
		r = ask_tcp(1U << LISTEN_STATE | 1U << HALF_OPEN_STATE,
		    take_crowd_tcp, &c);
	*depth = c.n;
	return r == -1 || !c.listener ? -1 : 0;
}

struct search {
	uint64_t	*inodes;	/* those found are moved to the front */
	int		 n;
	int		 found;
	bool		 unread;
	bool		 listener;	/* our own socket could be seen */
};

static void
found(struct search *s, int i, uint32_t unread)
{
	uint64_t inode = s->inodes[i];

	s->inodes[i] = s->inodes[s->found];
	s->inodes[s->found++] = inode;
	if (unread > 0)
		s->unread = true;
}

static bool
take_accepted(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct search *s = arg;
	int i;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return true;
	if (m->idiag_inode == listener)
		s->listener = true;
	for (i = s->found; m->idiag_inode != 0 && i < s->n; i++) {
		if (s->inodes[i] == m->idiag_inode &&
		    m->idiag_inode != listener)
			found(s, i, m->idiag_rqueue);
	}
	return true;
}

/* A unix socket's file, and how much nobody has read yet. */
struct unix_view {
	struct unix_diag_vfs	 vfs;
	struct unix_diag_rqlen	 rqlen;
};

static bool
take_view(const struct nlmsghdr *h, void *arg)
{
	struct unix_view *v = arg;
	const void *a;
	size_t len;

	take_path(h, &v->vfs);
	a = unix_attribute(h, UNIX_DIAG_RQLEN, &len);
	if (a != NULL && len >= sizeof(v->rqlen))
		memcpy(&v->rqlen, a, sizeof(v->rqlen));
	return false;
}

static int
accepted_unix(struct search *s)
{
	struct unix_view v;
	int i;

	for (i = 0; i < s->n; i++) {
		memset(&v, 0, sizeof(v));
		if (ask_unix(s->inodes[i], UDIAG_SHOW_VFS | UDIAG_SHOW_RQLEN,
		    take_view, &v) == -1) {
			if (errno == ENOENT)
				continue;	/* not a unix socket */
			return -1;
		}
		if (s->inodes[i] == listener)
			s->listener = true;
		else if (v.vfs.udiag_vfs_ino == path_inode &&
		    v.vfs.udiag_vfs_dev == path_device)
			found(s, i, v.rqlen.udiag_rqueue);
	}
	return 0;
}

int
diag_accepted(uint64_t *inodes, int n, bool *unread)
{
	struct search s = { .inodes = inodes, .n = n };
	struct unix_view v = { 0 };
	int r;

	/* Who cannot see our own socket, in another namespace, sees none. */
	if (family != AF_UNIX)
		r = ask_tcp(ALL_BUT | 1U << LISTEN_STATE, take_accepted, &s);
	else if ((r = ask_unix(listener, UDIAG_SHOW_VFS, take_view,
	    &v)) == 0) {
		s.listener = v.vfs.udiag_vfs_ino == path_inode;
		r = accepted_unix(&s);
	}
	if (r == -1 || !s.listener)
		return -1;
	*unread = s.unread;
	return s.found;
}
