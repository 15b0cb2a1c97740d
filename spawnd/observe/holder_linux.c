/* SPDX-License-Identifier: ISC */
/* Which process holds a unix socket, on Linux: for a start that finds one. */
#include <sys/socket.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"

#define LEFT_MAX	64		/* processes that are ended */
#define LEFT_WHOLE	(LEFT_MS * UINT64_C(1000))	/* usec, for all */
#define LEFT_TERM	(LEFT_WHOLE / 2)	/* from SIGTERM to SIGKILL */
#define LEFT_PAUSE	20		/* ms between two looks */

/* Does the process hold that socket? */
static bool
holds_socket(pid_t pid, uint64_t inode)
{
	char path[32];
	struct dirent *de;
	uint64_t found = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	if ((d = proc_opendir(path)) == NULL)
		return false;
	while (found != inode && (de = readdir(d)) != NULL)
		proc_socket_at(dirfd(d), de->d_name, &found);
	closedir(d);
	return found == inode;
}

static pid_t
find_holder(uint64_t inode, pid_t likely)
{
	struct dirent *de;
	pid_t pid, found = -1;
	DIR *d;

	if (likely > 0 && holds_socket(likely, inode))
		return likely;
	if ((d = proc_opendir(".")) == NULL)
		return -1;
	while (found == -1 && (de = readdir(d)) != NULL) {
		pid = (pid_t)atoi(de->d_name);
		if (pid > 0 && holds_socket(pid, inode))
			found = pid;
	}
	closedir(d);
	return found;
}

static bool
is_pipe(pid_t pid, int fd)
{
	char path[64], link[16];

	snprintf(path, sizeof(path), "%d/fd/%d", (int)pid, fd);
	return proc_readlink(path, link, sizeof(link)) > 5 &&
	    strncmp(link, "pipe:", 5) == 0;
}

pid_t
observe_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1 ||
	    peer.pid <= 0)
		return -1;
	return peer.pid;
}

/* Has it ended for certain? What /proc hides may live. */
static bool
has_died(pid_t pid)
{
	char buf[512];

	if (kill(pid, 0) == -1)
		return errno == ESRCH;
	return proc_read_of(pid, "stat", buf, sizeof(buf)) > 0 &&
	    parse_state(buf) == 'Z';
}

/*
 * Is it certain that the process is left of a spawnd whose supervisor was
 * `maker`? A session's number stays taken as long as the session has a member,
 * so its leader is gone if none has it. A worker's output goes to its
 * supervisor, by pipes.
 */
static bool
is_left(pid_t pid, pid_t maker)
{
	return maker > 1 && has_died(maker) && getsid(pid) == maker &&
	    is_pipe(pid, STDOUT_FILENO) && is_pipe(pid, STDERR_FILENO);
}

/* And were its workers of that user? */
static bool
is_left_of(pid_t pid, pid_t maker, uid_t uid)
{
	char buf[4096];

	return is_left(pid, maker) &&
	    proc_read_of(pid, "status", buf, sizeof(buf)) > 0 &&
	    parse_is_user(buf, uid);
}

pid_t
observe_holder(const struct stat *file, pid_t maker, bool *left)
{
	uint64_t inode = diag_bound(file);
	bool detached;
	pid_t pid;

	*left = false;
	if (inode == 0 || proc_open(&detached) == -1)
		return -1;
	pid = find_holder(inode, maker);
	*left = pid > 0 && is_left(pid, maker);
	return pid;
}

/* All that hold the socket. Returns how many; -1: not each of them is left. */
static int
find_left(uint64_t inode, pid_t maker, uid_t uid, pid_t list[LEFT_MAX])
{
	struct dirent *de;
	int n = 0;
	pid_t pid;
	DIR *d;

	if ((d = proc_opendir(".")) == NULL)
		return -1;
	while (n != -1 && (de = readdir(d)) != NULL) {
		pid = (pid_t)atoi(de->d_name);
		if (pid <= 0 || !holds_socket(pid, inode))
			continue;
		if (n < LEFT_MAX && is_left_of(pid, maker, uid))
			list[n++] = pid;
		else
			n = -1;
	}
	closedir(d);
	return n;
}

static void
signal_left(pid_t pid, pid_t maker, uid_t uid, int signo)
{
	int fd = proc_pidfd(pid);

	(void)proc_pidfd_signal(fd, is_left_of(pid, maker, uid) ? signo : 0);
}

/* Waits until none of them holds the socket any more, or until then. */
static void
await_left(uint64_t inode, const pid_t *list, int n, uint64_t until)
{
	while (n > 0 && loop_now() < until) {
		if (holds_socket(list[n - 1], inode))
			poll(NULL, 0, LEFT_PAUSE);
		else
			n--;
	}
}

/*
 * All of /proc is searched again only when the ones found have gone, or their
 * time is over. So each is signalled once, as some programs have to be.
 */
int
observe_end_left(const struct stat *file, pid_t maker, uid_t uid)
{
	uint64_t inode = diag_bound(file);
	uint64_t began = loop_now(), kill_at = began + LEFT_TERM;
	uint64_t last = began + LEFT_WHOLE;
	pid_t list[LEFT_MAX];
	int i, n, most = 0;
	bool detached, late;

	if (inode == 0 || proc_open(&detached) == -1)
		return -1;
	while ((n = find_left(inode, maker, uid, list)) > 0) {
		most = n > most ? n : most;
		if (loop_now() >= last)
			return -1;
		late = loop_now() >= kill_at;
		for (i = 0; i < n; i++)
			signal_left(list[i], maker, uid, late ? SIGKILL :
			    SIGTERM);
		await_left(inode, list, n, late ? last : kill_at);
	}
	return n == 0 && most > 0 ? most : -1;
}
