/* SPDX-License-Identifier: ISC */
/*
 * Does a worker that sleeps in a poll wait for connections, on Linux? It may
 * as well wait for a database, or for the clock. The listen socket has to be
 * among what it waits for: that of an epoll is in /proc, that of poll(2) and
 * select(2) in the memory of the program. The looker reads both, since the
 * owner can make whoever reads them wait; the memory is opened here, as
 * yama allows that to a parent alone.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/unix_diag.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/looker.h"
#include "observe/sockets_linux.h"

#define NESTED_MAX	4	/* epolls that are watched by another */
#define LONG_BITS	(8 * sizeof(unsigned long))

/* What one of the descriptors is. */
enum what { WHAT_OTHER, WHAT_LISTENER, WHAT_EPOLL, WHAT_RING };

static int looked;			/* descriptors, for one question */

static enum what
what_is(pid_t tid, const char *fd)
{
	char path[64], link[64];
	uint64_t inode;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/fd/%s", (int)tid, fd);
	n = proc_readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = '\0';
	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
		return inode == diag_listener() ? WHAT_LISTENER : WHAT_OTHER;
	if (strcmp(link, "anon_inode:[eventpoll]") == 0)
		return WHAT_EPOLL;
	return strcmp(link, "anon_inode:[io_uring]") == 0 ? WHAT_RING :
	    WHAT_OTHER;
}

static enum listens listens_epoll(pid_t tid, int epoll, int depth);

/* Does that descriptor, which is waited for, report new connections? */
static enum listens
listens_fd(pid_t tid, int fd, int depth)
{
	char name[16];

	/* Of all sets together: they may be nested. */
	if (++looked > FDS_MAX)
		return LISTENS_UNKNOWN;
	snprintf(name, sizeof(name), "%d", fd);
	switch (what_is(tid, name)) {
	case WHAT_LISTENER:
		return LISTENS_YES;
	case WHAT_EPOLL:
		return depth == NESTED_MAX ? LISTENS_UNKNOWN :
		    listens_epoll(tid, fd, depth + 1);
	case WHAT_RING:
		return LISTENS_UNKNOWN;
	default:
		return LISTENS_NO;
	}
}

/* Yes before unknown before no. */
static enum listens
listens_either(enum listens a, enum listens b)
{
	if (a == LISTENS_YES || b == LISTENS_YES)
		return LISTENS_YES;
	return a == LISTENS_UNKNOWN ? a : b;
}

static enum listens
listens_lines(FILE *f, pid_t tid, int depth)
{
	enum listens found = LISTENS_NO;
	char line[256];
	uint32_t events;
	uint64_t inode;
	int fd, lines = 0;

	while (found != LISTENS_YES && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "tfd:", 4) != 0)
			continue;
		if (++lines > FDS_MAX ||
		    !parse_watched(line, &fd, &inode, &events))
			return LISTENS_UNKNOWN;
		if ((events & EPOLLIN) == 0)
			continue;
		/* By its inode: the number may be another's by now. */
		found = listens_either(found, inode == diag_listener() ?
		    LISTENS_YES : listens_fd(tid, fd, depth));
	}
	return found;
}

static enum listens
listens_epoll(pid_t tid, int epoll, int depth)
{
	enum listens found;
	char path[48];
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%d/fdinfo/%d", (int)tid, epoll);
	if ((fd = proc_at(path, O_RDONLY)) == -1)
		return LISTENS_UNKNOWN;
	if ((f = fdopen(fd, "r")) == NULL) {
		close(fd);
		return LISTENS_UNKNOWN;
	}
	found = listens_lines(f, tid, depth);
	fclose(f);
	return found;
}

static bool
read_memory(int memory, void *buf, size_t size, uint64_t address)
{
	return pread(memory, buf, size, (off_t)address) == (ssize_t)size;
}

static enum listens
listens_poll(const struct wait *w, int memory)
{
	static struct pollfd set[FDS_MAX];
	enum listens found = LISTENS_NO;
	uint64_t i;

	if (w->n > FDS_MAX || !read_memory(memory, set, w->n * sizeof(set[0]),
	    w->set))
		return LISTENS_UNKNOWN;
	for (i = 0; i < w->n && found != LISTENS_YES; i++) {
		if (set[i].fd >= 0 &&
		    (set[i].events & (POLLIN | POLLRDNORM)) != 0)
			found = listens_either(found, listens_fd(w->tid,
			    set[i].fd, 0));
	}
	return found;
}

static enum listens
listens_select(const struct wait *w, int memory)
{
	static unsigned long set[FDS_MAX / LONG_BITS];
	enum listens found = LISTENS_NO;
	size_t words = (w->n + LONG_BITS - 1) / LONG_BITS, fd;

	if (w->n > FDS_MAX || !read_memory(memory, set, words * sizeof(set[0]),
	    w->set))
		return LISTENS_UNKNOWN;
	for (fd = 0; fd < w->n && found != LISTENS_YES; fd++) {
		if ((set[fd / LONG_BITS] >> fd % LONG_BITS & 1) != 0)
			found = listens_either(found, listens_fd(w->tid,
			    (int)fd, 0));
	}
	return found;
}

/* Whatever comes by an io_uring may be reported by any descriptor. */
static bool
has_ring(pid_t tid)
{
	struct dirent *de;
	char path[32];
	bool found = false;
	int fds = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%d/fd", (int)tid);
	if ((d = proc_opendir(path)) == NULL)
		return true;
	while (!found && (de = readdir(d)) != NULL)
		found = ++fds > FDS_MAX ||
		    what_is(tid, de->d_name) == WHAT_RING;
	closedir(d);
	return found;
}

/* Runs in the looker: the set of an epoll and memory can make it wait. */
bool
listens_find(const struct looker_question *q, uint64_t *value)
{
	const struct wait *w = &q->wait;
	enum listens found;

	looked = 0;
	if (w->epoll != -1)
		found = listens_epoll(w->tid, w->epoll, 0);
	else if (w->set == 0 || w->n == 0)
		found = LISTENS_NO;	/* it waits for the clock alone */
	else if (q->memory == 0)
		found = LISTENS_UNKNOWN;
	else if (w->bits)
		found = listens_select(w, q->memory);
	else
		found = listens_poll(w, q->memory);
	if (found == LISTENS_NO && has_ring(w->tid))
		found = LISTENS_UNKNOWN;
	*value = found;
	return true;
}

static enum listens
ask_wait(const struct wait *w)
{
	struct looker_question q = { .what = LOOKER_LISTENS, .pid = w->tid,
	    .wait = *w };
	char path[32];
	uint64_t value = LISTENS_UNASKED;
	int fd = -1;

	if (w->epoll == -1 && w->set != 0) {
		snprintf(path, sizeof(path), "%d/mem", (int)w->tid);
		fd = proc_at(path, O_RDONLY);
	}
	if (fd > 0)
		q.memory = fd;
	if (!looker_ask(&q, &value))
		value = LISTENS_UNASKED;
	if (fd != -1)
		close(fd);
	return (enum listens)value;
}

enum listens
listens_is(const struct view *v)
{
	enum listens found = v->unclear ? LISTENS_UNKNOWN : LISTENS_NO, one;
	bool unasked = false;
	int i;

	for (i = 0; i < v->nwaits && found != LISTENS_YES; i++) {
		/* Threads often wait for the same. */
		if (i > 0 && v->waits[i].epoll != -1 &&
		    v->waits[i].pid == v->waits[i - 1].pid &&
		    v->waits[i].epoll == v->waits[i - 1].epoll)
			continue;
		one = ask_wait(&v->waits[i]);
		unasked |= one == LISTENS_UNASKED;
		if (one != LISTENS_UNASKED)
			found = listens_either(found, one);
	}
	return unasked && found != LISTENS_YES ? LISTENS_UNASKED : found;
}

/* Some sockets; those that listen, or lead back to themselves, are found. */
struct own {
	const uint64_t	*inodes;
	int		 n;
	bool		 listens;	/* any of them does */
	bool		 passive;	/* the last one does, or is a pair's */
	uint64_t	 found[SOCKETS_MAX]; /* of TCP, that listen */
	int		 nfound;
};

static bool
take_own_tcp(const struct nlmsghdr *h, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct own *o = arg;

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(*m)) &&
	    m->idiag_state == TCP_LISTEN &&
	    proc_is_among(m->idiag_inode, o->inodes, o->n) &&
	    o->nfound < SOCKETS_MAX)
		o->found[o->nfound++] = m->idiag_inode;
	return true;
}

static bool
take_own_unix(const struct nlmsghdr *h, void *arg)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	struct own *o = arg;
	uint32_t peer;
	const void *a;
	size_t len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return false;
	o->passive = m->udiag_state == TCP_LISTEN;
	o->listens |= o->passive;
	a = diag_attribute(h, UNIX_DIAG_PEER, &len);
	if (a != NULL && len >= sizeof(peer)) {
		memcpy(&peer, a, sizeof(peer));
		o->passive |= proc_is_among(peer, o->inodes, o->n);
	}
	return false;
}

static int
ask_own_tcp(int family, struct own *o)
{
	struct inet_diag_req_v2 r = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1U << TCP_LISTEN,
	};

	return netlink_ask(&r, sizeof(r), true, take_own_tcp, o);
}

/* Does one of these sockets listen? passive: can none of the others wake it? */
static bool
find_own(const uint64_t *inodes, int n, bool *passive)
{
	struct own o = { .inodes = inodes, .n = n };
	int i;

	*passive = ask_own_tcp(AF_INET, &o) == 0 &&
	    (ask_own_tcp(AF_INET6, &o) == 0 || errno == ENOENT);
	o.listens = o.nfound > 0;
	for (i = 0; i < n; i++) {
		if (proc_is_among(inodes[i], o.found, o.nfound))
			continue;
		o.passive = false;
		if (diag_ask_unix(inodes[i], UDIAG_SHOW_PEER, take_own_unix,
		    &o) == -1 || !o.passive)
			*passive = false;
	}
	return o.listens;
}

bool
observe_listens(pid_t pid)
{
	uint64_t inodes[SOCKETS_MAX];
	bool listens, passive;
	int n;

	(void)look_sockets(pid, true, inodes, &n, &listens);
	return n > 0 && find_own(inodes, n, &passive);
}

enum readiness
listens_elsewhere(pid_t pid, const struct view *v)
{
	struct looker_question q = { .what = LOOKER_KEEPALIVE, .pid = pid };
	uint64_t alone;
	bool listens, passive;

	if (!v->asleep || !v->readable || v->goes_on || v->unclear)
		return READY_NO;
	if (v->nwaits == 0)
		return v->elsewhere ? READY_ELSEWHERE : READY_NO;
	if (v->processes > 1 ||
	    look_sockets(pid, false, q.inodes, &q.n, &listens) == -1)
		return READY_NO;
	if (q.n == 0 || !find_own(q.inodes, q.n, &passive) || !passive ||
	    !looker_ask(&q, &alone) || alone == 0)
		return READY_NO;
	return v->limited ? READY_ELSEWHERE_YET : READY_ELSEWHERE;
}
