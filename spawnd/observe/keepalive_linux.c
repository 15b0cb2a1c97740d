/* SPDX-License-Identifier: ISC */
/*
 * Is a kept-open connection in use, on Linux? A process that sleeps need not
 * be idle: it may wait for a program that it has started, a database or the
 * clock. Only certainty counts: the process reads from the connection, or
 * it is an event loop that nothing but its connections can wake.
 */
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/looker.h"
#include "observe/sockets_linux.h"

#define PIPES_MAX	32	/* ends of pipes that are looked at */
#define WATCHED_MAX	4096	/* descriptors of an event loop */

/* The pipes of a process; it can wake itself by one that has both ends here. */
struct pipes {
	uint64_t	 inodes[PIPES_MAX];
	bool		 writes[PIPES_MAX];
	int		 n;
};

static bool
is_whole(const struct pipes *p)
{
	int i, j;

	for (i = 0; i < p->n; i++) {
		for (j = 0; j < p->n; j++) {
			if (p->inodes[j] == p->inodes[i] &&
			    p->writes[j] != p->writes[i])
				break;
		}
		if (j == p->n)
			return false;
	}
	return true;
}

/*
 * Is it a fifo, as far as can be known without asking a server? The kernel's
 * own struct statx: musl has none before 1.2.5.
 */
static bool
is_fifo(int dir, const char *name)
{
	struct {
		uint32_t	 before[7];
		uint16_t	 mode;
		uint8_t		 behind[226];
	} sx;
	const unsigned int type = 1;

	_Static_assert(sizeof(sx) == 256, "what the kernel fills");
	return syscall(SYS_statx, dir, name, AT_STATX_DONT_SYNC, type, &sx) ==
	    -1 || S_ISFIFO(sx.mode);
}

/* Can that descriptor, which is none of its connections, wake the process? */
static bool
take_descriptor(int dir, const char *name, const uint64_t *inodes, int n,
    struct pipes *p)
{
	char link[64];
	struct stat st;
	uint64_t inode;
	ssize_t len = readlinkat(dir, name, link, sizeof(link) - 1);

	if (len == -1)
		return true;
	link[len] = '\0';
	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
		return inode != diag_listener() &&
		    !proc_is_among(inode, inodes, n);
	if (sscanf(link, "pipe:[%" SCNu64 "]", &inode) == 1) {
		/* Its output goes to us, and we never write there. */
		if (strcmp(name, "1") == 0 || strcmp(name, "2") == 0)
			return false;
		if (p->n == PIPES_MAX || fstatat(dir, name, &st,
		    AT_SYMLINK_NOFOLLOW) == -1)
			return true;
		p->inodes[p->n] = inode;
		p->writes[p->n++] = (st.st_mode & S_IWUSR) != 0;
		return false;
	}
	if (link[0] == '/')	/* a regular file is always ready */
		return is_fifo(dir, name);
	return strcmp(link, "anon_inode:[eventpoll]") != 0 &&
	    strcmp(link, "anon_inode:[eventfd]") != 0 &&
	    strcmp(link, "anon_inode:[signalfd]") != 0;
}

/* Has the process nothing to wait for but these connections? */
static bool
has_no_other(pid_t pid, const uint64_t *inodes, int n)
{
	struct pipes p = { .n = 0 };
	struct dirent *de;
	char path[32];
	bool other = false;
	int fd, fds = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	if ((fd = proc_at(path, O_RDONLY | O_DIRECTORY)) == -1)
		return false;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return false;
	}
	while (!other && (de = readdir(d)) != NULL) {
		if (de->d_name[0] != '.')
			other = ++fds > FDS_MAX || take_descriptor(fd,
			    de->d_name, inodes, n, &p);
	}
	closedir(d);
	return !other && is_whole(&p);
}

/*
 * Keeps those of the n connections on which the event loop waits for no
 * request: while it works on one, it may leave that out. Returns how many.
 */
static int
find_unwatched(pid_t pid, int epoll, uint64_t *inodes, int n)
{
	char path[48], line[256];
	uint32_t events;
	uint64_t inode;
	int fd, i, lines, number;
	FILE *f;

	snprintf(path, sizeof(path), "%d/fdinfo/%d", (int)pid, epoll);
	if ((fd = proc_at(path, O_RDONLY)) == -1)
		return n;
	if ((f = fdopen(fd, "r")) == NULL) {
		close(fd);
		return n;
	}
	for (lines = 0; n > 0 && lines < WATCHED_MAX; lines++) {
		if (fgets(line, sizeof(line), f) == NULL)
			break;
		if (!parse_watched(line, &number, &inode, &events) ||
		    (events & EPOLLIN) == 0)
			continue;
		for (i = 0; i < n && inodes[i] != inode; i++)
			;
		if (i < n)
			inodes[i] = inodes[--n];
	}
	fclose(f);
	return n;
}

bool
keepalive_is_read(const struct view *v, uint64_t inode)
{
	return proc_is_among(inode, v->reads, v->nreads);
}

/* Runs in the looker: both steps can make the reader wait. */
bool
keepalive_find(const struct looker_question *q, uint64_t *waits)
{
	uint64_t left[SOCKETS_MAX];

	memcpy(left, q->inodes, sizeof(left));
	*waits = (q->nunread == 0 || find_unwatched(q->pid, q->fd, left,
	    q->nunread) == 0) &&
	    has_no_other(q->pid, q->inodes, q->n);
	return true;
}

bool
keepalive_is_quiet(pid_t pid, const struct view *v, const uint64_t *inodes,
    int n)
{
	struct looker_question q = { .what = LOOKER_KEEPALIVE, .pid = pid,
	    .fd = v->epoll };
	uint64_t waits;
	int i, nread = 0;

	if (n <= 0 || n > SOCKETS_MAX)
		return false;
	for (i = 0; i < n; i++) {
		if (keepalive_is_read(v, inodes[i]))
			q.inodes[n - ++nread] = inodes[i];
		else
			q.inodes[q.nunread++] = inodes[i];
	}
	if (q.nunread == 0)
		return true;
	q.n = n;
	return v->endless && !v->engaged && (v->asleep || v->stopped) &&
	    v->readable && v->child == 0 && looker_ask(&q, &waits) &&
	    waits != 0;
}
