/* SPDX-License-Identifier: ISC */
/*
 * The listen socket as sock_diag(7) shows it, and which sockets were accepted
 * from it.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/sockets_linux.h"

#define ALL_BUT		(0xfffU & ~(1U << TCP_SYN_RECV | \
			    1U << TCP_TIME_WAIT | 1U << TCP_LISTEN))
#define RIVALS_MAX	16

static int family;
static uint64_t listener;	/* its inode */
static struct inet_diag_sockid bound;	/* TCP: port, address, device */

/* A unix socket's address, and how much nobody has read yet. */
struct unix_view {
	struct unix_diag_vfs	 vfs;		/* of its file; 0: none */
	char			 name[sizeof(struct sockaddr_un) + 1];
	size_t			 name_len;
	uint32_t		 unread;
	bool			 alive;		/* its other end is open */
};

static struct unix_view ours;	/* as it was seen last */

int
diag_ask_unix(uint64_t inode, uint32_t show, netlink_taker *take, void *arg)
{
	struct unix_diag_req r = {
		.sdiag_family = AF_UNIX,
		.udiag_states = ~0U,
		.udiag_ino = (uint32_t)inode,
		.udiag_show = show,
		.udiag_cookie = { ~0U, ~0U },
	};

	return netlink_ask(&r, sizeof(r), false, take, arg);
}

int
diag_ask_listeners(uint32_t show, netlink_taker *take, void *arg)
{
	struct unix_diag_req r = {
		.sdiag_family = AF_UNIX,
		.udiag_states = 1U << TCP_LISTEN,
		.udiag_show = show,
	};

	return netlink_ask(&r, sizeof(r), true, take, arg);
}

/* A question about TCP, and what else listens where our connections go. */
struct tcp_ask {
	netlink_taker	*take;
	void		*arg;
	struct inet_diag_sockid rivals[RIVALS_MAX];
	unsigned int	 nrivals;
	bool		 listener;		/* our own was seen */
	bool		 shared;		/* a rival suits as well */
};

/* An address of IPv4 on a socket of IPv6. */
static bool
is_mapped(const struct inet_diag_sockid *id)
{
	return id->idiag_src[0] == 0 && id->idiag_src[1] == 0 &&
	    id->idiag_src[2] == htonl(0xffff);
}

/* Does it listen on every address that this one could be? */
static bool
is_any(const struct inet_diag_sockid *id, const struct inet_diag_sockid *of)
{
	static const struct inet_diag_sockid zero;

	return memcmp(id->idiag_src, zero.idiag_src,
	    sizeof(zero.idiag_src)) == 0 ||
	    (is_mapped(id) && id->idiag_src[3] == 0 && is_mapped(of));
}

/*
 * How well a socket that listens suits a connection, as the kernel sees it:
 * an address of its own goes before any, then a device before any. -1: not
 * at all; 0: only if nobody else does, the device being another.
 */
static int
suit(const struct inet_diag_sockid *id, const struct inet_diag_sockid *c)
{
	bool exact = memcmp(id->idiag_src, c->idiag_src,
	    sizeof(c->idiag_src)) == 0;

	if (!exact && !is_any(id, c))
		return -1;
	if (id->idiag_if != 0 && id->idiag_if != c->idiag_if)
		return 0;
	return 1 + 2 * exact + (id->idiag_if != 0);
}

static void
take_listener(struct tcp_ask *ask, const struct inet_diag_msg *m)
{
	if (m->idiag_inode == listener) {
		ask->listener = true;
		bound.idiag_if = m->id.idiag_if;
	} else if (suit(&m->id, &bound) == -1 && !is_any(&bound, &m->id))
		return;		/* it has no connection that we could have */
	else if (ask->nrivals == RIVALS_MAX)
		ask->shared = true;
	else
		ask->rivals[ask->nrivals++] = m->id;
}

/* Was that connection made to our socket? Listening sockets come first. */
static bool
take_tcp(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct tcp_ask *ask = arg;
	int own, other;
	unsigned int i;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return true;
	if (m->idiag_state == TCP_LISTEN) {
		take_listener(ask, m);
		return true;
	}
	if ((own = suit(&bound, &m->id)) == -1)
		return true;
	for (i = 0; i < ask->nrivals; i++) {
		other = suit(&ask->rivals[i], &m->id);
		if (other > own)
			return true;
		ask->shared |= other == own;
	}
	return ask->take(h, ask->arg);
}

int
diag_ask_tcp(uint32_t states, netlink_taker *take, void *arg)
{
	struct inet_diag_req_v2 r = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = states | 1U << TCP_LISTEN,
		.id.idiag_sport = bound.idiag_sport,
	};
	struct tcp_ask ask = { .take = take, .arg = arg };

	if (netlink_ask(&r, sizeof(r), true, take_tcp, &ask) == -1)
		return -1;
	errno = ask.listener ? EADDRINUSE : ENOENT;
	return ask.listener && !ask.shared ? 0 : -1;
}

int
diag_ask_connection(const struct inet_diag_sockid *id, netlink_taker *take,
    void *arg)
{
	struct inet_diag_req_v2 r = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = ~0U,
		.id = *id,
	};

	return netlink_ask(&r, sizeof(r), false, take, arg);
}

bool
diag_is_unix(void)
{
	return family == AF_UNIX;
}

uint64_t
diag_listener(void)
{
	return listener;
}

const void *
diag_attribute(const struct nlmsghdr *h, int type, size_t *len)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a;
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return NULL;
	left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m));
	for (a = (const struct rtattr *)(m + 1); a != NULL && RTA_OK(a, left);
	    a = netlink_next(a, a->rta_len, &left)) {
		if (a->rta_type == type) {
			*len = RTA_PAYLOAD(a);
			return RTA_DATA(a);
		}
	}
	return NULL;
}

static bool
take_view(const struct nlmsghdr *h, void *arg)
{
	struct unix_view *v = arg;
	struct unix_diag_rqlen rqlen;
	uint32_t peer;
	const void *a;
	size_t len;

	a = diag_attribute(h, UNIX_DIAG_VFS, &len);
	if (a != NULL && len >= sizeof(v->vfs))
		memcpy(&v->vfs, a, sizeof(v->vfs));
	a = diag_attribute(h, UNIX_DIAG_NAME, &len);
	if (a != NULL && len <= sizeof(v->name)) {
		memcpy(v->name, a, len);
		v->name_len = len;
	}
	a = diag_attribute(h, UNIX_DIAG_RQLEN, &len);
	if (a != NULL && len >= sizeof(rqlen)) {
		memcpy(&rqlen, a, sizeof(rqlen));
		v->unread = rqlen.udiag_rqueue;
	}
	a = diag_attribute(h, UNIX_DIAG_PEER, &len);
	if (a != NULL && len >= sizeof(peer)) {
		memcpy(&peer, a, sizeof(peer));
		v->alive = peer != 0;	/* one that was closed has none */
	}
	return false;
}

/* Returns 0, or -1 with errno set (ENOENT: there is no such unix socket). */
static int
view_unix(uint64_t inode, struct unix_view *v)
{
	memset(v, 0, sizeof(*v));
	return diag_ask_unix(inode, UDIAG_SHOW_VFS | UDIAG_SHOW_NAME |
	    UDIAG_SHOW_RQLEN | UDIAG_SHOW_PEER, take_view, v);
}

/* An accepted socket has the address of its listener. */
static bool
is_ours_unix(const struct unix_view *v)
{
	if (ours.vfs.udiag_vfs_ino != 0)
		return v->vfs.udiag_vfs_ino == ours.vfs.udiag_vfs_ino &&
		    v->vfs.udiag_vfs_dev == ours.vfs.udiag_vfs_dev;
	return v->name_len == ours.name_len &&
	    memcmp(v->name, ours.name, ours.name_len) == 0;
}

/* Returns 0 if our own socket is seen, or -1 with errno set. */
static int
find_unix(void)
{
	struct unix_view v;

	if (view_unix(listener, &v) == -1)
		return -1;
	/* An abstract name, which has no file, begins with a NUL. */
	if (v.vfs.udiag_vfs_ino == 0 && (v.name_len == 0 || v.name[0] != 0)) {
		errno = ENOENT;
		return -1;
	}
	ours = v;
	return 0;
}

int
diag_open(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	struct stat st;

	if (fstat(fd, &st) == -1 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return -1;
	listener = st.st_ino;
	family = ss.ss_family;
	bound = (struct inet_diag_sockid){ 0 };
	if (family == AF_INET) {
		const struct sockaddr_in *in = (struct sockaddr_in *)&ss;

		bound.idiag_sport = in->sin_port;
		bound.idiag_src[0] = in->sin_addr.s_addr;
	} else if (family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

		bound.idiag_sport = in6->sin6_port;
		memcpy(bound.idiag_src, &in6->sin6_addr,
		    sizeof(bound.idiag_src));
	}
	return netlink_open();
}

/* A socket that listens, by its file. */
struct bound {
	const struct stat *file;
	uint64_t	 inode;
};

static bool
take_bound(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	struct unix_view v = { 0 };
	struct bound *b = arg;

	take_view(h, &v);
	/* As the kernel puts a device's two numbers into one. */
	if (v.vfs.udiag_vfs_ino != (uint32_t)b->file->st_ino ||
	    v.vfs.udiag_vfs_dev >> 20 != major(b->file->st_dev) ||
	    (v.vfs.udiag_vfs_dev & 0xfffff) != minor(b->file->st_dev))
		return true;
	b->inode = m->udiag_ino;
	return false;
}

uint64_t
diag_bound(const struct stat *file)
{
	struct bound b = { .file = file };

	if (netlink_open() == -1 ||
	    diag_ask_listeners(UDIAG_SHOW_VFS, take_bound, &b) == -1)
		return 0;
	return b.inode;
}

struct search {
	pid_t		 pid;		/* that has them; 0: several */
	uint64_t	*inodes;	/* those found are moved to the front */
	int		 n;
	int		 found;
	struct accepted	 what;
};

static void
found(struct search *s, int i, uint32_t unread, uint32_t unsent, bool alive)
{
	uint64_t inode = s->inodes[i];

	s->inodes[i] = s->inodes[s->found];
	s->inodes[s->found++] = inode;
	if (unread > 0)
		s->what.unread = true;
	if (unsent > 0)
		s->what.unsent = true;
	if (alive)
		s->what.alive = true;
}

static bool
take_accepted(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct search *s = arg;
	int i;

	for (i = s->found; m->idiag_inode != 0 && i < s->n; i++) {
		if (s->inodes[i] == m->idiag_inode)
			found(s, i, m->idiag_rqueue, m->idiag_wqueue,
			    m->idiag_state == TCP_ESTABLISHED);
	}
	return true;
}

/* Exact requests: a dump in parts may miss what moves between them. */
static int
accepted_unix(struct search *s)
{
	struct foreign f = { .pid = s->pid };
	struct unix_view v;
	bool accepted;
	int i;

	for (i = 0; i < s->n; i++) {
		if (view_unix(s->inodes[i], &v) == 0)
			accepted = s->inodes[i] != listener && is_ours_unix(&v);
		else if (errno != ENOENT)
			return -1;
		else	/* not a unix socket, or one that we are not shown */
			accepted = foreign_accepted(&f, s->inodes[i],
			    &v.unread, &v.alive);
		if (accepted)
			found(s, i, v.unread, 0, v.alive);
	}
	return 0;
}

int
diag_accepted(pid_t pid, uint64_t *inodes, int n, struct accepted *what)
{
	struct search s = { .pid = pid, .inodes = inodes, .n = n };

	*what = s.what;
	/* From another network namespace not even our own socket is seen. */
	if (family == AF_UNIX) {
		if (find_unix() == -1 || accepted_unix(&s) == -1)
			return -1;
	} else if (diag_ask_tcp(ALL_BUT, take_accepted, &s) == -1 &&
	    errno != EADDRINUSE)	/* the process has it from us */
		return -1;
	*what = s.what;
	return s.found;
}

/* A list that grows. */
struct collection {
	uint64_t	*inodes;
	int		 n, room;
	bool		 listener;	/* a unix socket: ours was seen */
	bool		 failed;
};

static void
collect(struct collection *c, uint64_t inode)
{
	uint64_t *more;

	if (c->n == c->room) {
		more = reallocarray(c->inodes, (size_t)c->room * 2 + 64,
		    sizeof(*more));
		if (more == NULL) {
			c->failed = true;
			return;
		}
		c->inodes = more;
		c->room = c->room * 2 + 64;
	}
	c->inodes[c->n++] = inode;
}

static bool
collect_tcp(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct collection *c = arg;

	if (m->idiag_inode != 0)
		collect(c, m->idiag_inode);
	return true;
}

static bool
collect_unix(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	struct unix_view v = { 0 };
	struct collection *c = arg;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return true;
	take_view(h, &v);
	if (m->udiag_ino == (uint32_t)listener)
		c->listener = true;
	else if (is_ours_unix(&v))
		collect(c, m->udiag_ino);
	return true;
}

int
diag_connections(uint64_t **inodes)
{
	struct unix_diag_req r = {
		.sdiag_family = AF_UNIX,
		.udiag_states = 1U << TCP_ESTABLISHED | 1U << TCP_LISTEN,
		.udiag_show = UDIAG_SHOW_VFS | UDIAG_SHOW_NAME,
	};
	struct collection c = { 0 };
	bool known;

	if (family == AF_UNIX && find_unix() == -1)
		return -1;
	if (family == AF_UNIX)
		known = netlink_ask(&r, sizeof(r), true, collect_unix,
		    &c) == 0 && c.listener;
	else
		known = diag_ask_tcp(ALL_BUT, collect_tcp, &c) == 0;
	if (!known || c.failed) {
		free(c.inodes);
		return -1;
	}
	*inodes = c.inodes;
	return c.n;
}
