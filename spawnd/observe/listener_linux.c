/* SPDX-License-Identifier: ISC */
/*
 * What can keep clients from the listen socket: what becomes of its file, and
 * what whoever holds the socket can do to it for all its holders. The socket
 * is compared with what it was before a worker had it, so what we or whoever
 * passed it in have set is not taken for a worker's deed.
 */
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/filter.h>

#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "observe/linux.h"
#include "observe/listener.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"

#ifndef SO_NETNS_COOKIE		/* Linux 5.14 */
#define SO_NETNS_COOKIE	71
#endif

#define EVENTS_SIZE	4096	/* bytes that are read at a time */
#define READS		4	/* of those; the rest is for the next turn */

static struct {
	struct sock_filter *filter;	/* malloc'd */
	int		 length;	/* of it; 0: none */
	int		 device;
	int		 ttl;
	unsigned int	 limit;		/* of the queue; LOAD_UNKNOWN */
} at_first;

/*
 * Returns how many instructions the packet filter has, with *f malloc'd, or 0:
 * there is none, or -1: it is of a kind that we never set.
 */
static int
read_filter(struct sock_filter **f)
{
	socklen_t n = 0;

	*f = NULL;
	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_GET_FILTER, NULL, &n) == -1)
		return errno == EACCES ? -1 : 0;
	if (n == 0 || (*f = calloc(n, sizeof(**f))) == NULL)
		return (int)n;
	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_GET_FILTER, *f, &n) == -1)
		return -1;
	return (int)n;
}

/* Is it another packet filter than the socket had before the workers? */
static bool
has_foreign_filter(void)
{
	struct sock_filter *f;
	int n = read_filter(&f);
	bool same = n == at_first.length;

	if (same && f != NULL && at_first.filter != NULL)
		same = memcmp(f, at_first.filter, (size_t)n * sizeof(*f)) == 0;
	free(f);
	return !same;
}

/* Returns 0 for an option that does not exist. */
static int
read_option(int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(STDIN_FILENO, level, name, &value, &len) == -1)
		return 0;
	return value;
}

/* The network device that it is bound to, by its number. */
static int
read_device(void)
{
	return read_option(SOL_SOCKET, SO_BINDTOIFINDEX);
}

/* The time to live, or hop limit, below which a packet is dropped. */
static int
read_ttl(void)
{
	int four = read_option(IPPROTO_IP, IP_MINTTL);
	int six = read_option(IPPROTO_IPV6, IPV6_MINHOPCOUNT);

	return four > six ? four : six;
}

/* How many connections may wait, or LOAD_UNKNOWN. */
static unsigned int
read_limit(void)
{
	unsigned int depth, limit;

	return observe_queue(&depth, &limit) == -1 ? LOAD_UNKNOWN : limit;
}

void
listener_begin(void)
{
	at_first.limit = read_limit();
	if (diag_is_unix())
		return;
	at_first.length = read_filter(&at_first.filter);
	at_first.device = read_device();
	at_first.ttl = read_ttl();
}

void
listener_settle(void)
{
	at_first.limit = read_limit();
}

enum deaf
listener_deaf(void)
{
	unsigned int limit;

	/* These keep nobody from a unix socket. */
	if (!diag_is_unix() && has_foreign_filter())
		return DEAF_FILTER;
	if (!diag_is_unix() && read_device() != at_first.device)
		return DEAF_DEVICE;
	if (!diag_is_unix() && read_ttl() > at_first.ttl)
		return DEAF_TTL;
	limit = read_limit();
	if (limit == LOAD_UNKNOWN || at_first.limit == LOAD_UNKNOWN)
		return DEAF_UNKNOWN;
	return limit < at_first.limit && limit <= DEAF_LIMIT ? DEAF_BACKLOG :
	    DEAF_NO;
}

int
listener_watch_file(const char *name)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	/* The file alone: its directory may be one where much happens. */
	if (fd == -1 || inotify_add_watch(fd, name, IN_ATTRIB | IN_MOVE_SELF |
	    IN_DELETE_SELF | IN_DONT_FOLLOW) != -1)
		return fd;
	return path_close(fd, -1);
}

void
listener_take_events(int fd)
{
	char buf[EVENTS_SIZE];
	int i;

	for (i = 0; i < READS; i++) {
		if (read(fd, buf, sizeof(buf)) <= 0)
			break;
	}
}

bool
listener_has_file(const struct stat *file)
{
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 &&
	    diag_bound(file) == st.st_ino;
}

bool
listener_is_local(int fd)
{
	uint64_t cookie, own;
	socklen_t len = sizeof(cookie), own_len = sizeof(own);
	int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool local = true;

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0 &&
	    getsockopt(probe, SOL_SOCKET, SO_NETNS_COOKIE, &own,
	    &own_len) == 0)
		local = cookie == own;
	if (probe != -1)
		close(probe);
	return local;
}

bool
listener_may_have_file(int fd, const struct stat *file)
{
	uint64_t inode = diag_bound(file);
	struct stat st;

	return fstat(fd, &st) == 0 &&
	    (inode == 0 || inode == st.st_ino);
}

bool
listener_path(int fd, char *buf, size_t size)
{
	char name[32];
	ssize_t n;

	snprintf(name, sizeof(name), "self/fd/%d", fd);
	n = proc_readlink(name, buf, size);
	if (n <= 0 || (size_t)n >= size)
		return false;
	buf[n] = '\0';
	return true;
}
