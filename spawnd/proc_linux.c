/* SPDX-License-Identifier: ISC */
/*
 * /proc, as an unprivileged and jailed process can read it. Whatever is read
 * here belongs to a worker, who may be hostile: sizes are bounded, and
 * numbers come from the kernel, not from the worker's memory.
 */
#include <sys/stat.h>
#include <sys/syscall.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spawnd.h"

#define TREE_MAX	256	/* processes of a worker that are looked at */
#define TASKS_MAX	256	/* tasks of a process */

static int procfd = -1;

int
proc_open(bool *detached)
{
	procfd = jail_detach("/proc", detached);
	if (procfd != -1 && faccessat(procfd, "self/stat", F_OK, 0) == -1) {
		close(procfd);
		procfd = -1;
	}
	return procfd == -1 ? -1 : 0;
}

ssize_t
proc_read(const char *path, char *buf, size_t size)
{
	ssize_t n;
	int fd;

	if (procfd == -1)
		return -1;
	fd = openat(procfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

int
proc_write(const char *path, const char *text)
{
	ssize_t n;
	int fd, saved;

	if (procfd == -1) {
		errno = ENOENT;
		return -1;
	}
	fd = openat(procfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1)
		return -1;
	n = write(fd, text, strlen(text));
	saved = errno;
	close(fd);
	errno = saved;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static DIR *
open_dir(const char *path)
{
	DIR *d;
	int fd;

	fd = openat(procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	if ((d = fdopendir(fd)) == NULL)
		close(fd);
	return d;
}

/* The numbers that name a directory's entries. Returns how many, or -1. */
static int
list_numbers(const char *path, int *numbers, int max)
{
	struct dirent *de;
	DIR *d;
	int n = 0;

	if ((d = open_dir(path)) == NULL)
		return -1;
	while (n < max && (de = readdir(d)) != NULL) {
		if (de->d_name[0] >= '0' && de->d_name[0] <= '9')
			numbers[n++] = atoi(de->d_name);
	}
	closedir(d);
	return n;
}

/* The inode if path is a link to a socket, else 0. */
static uint64_t
socket_inode(const char *path)
{
	char link[64];
	uint64_t inode;
	ssize_t n;

	n = readlinkat(procfd, path, link, sizeof(link) - 1);
	if (n == -1)
		return 0;
	link[n] = '\0';
	return sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1 ? inode : 0;
}

static bool
is_accept(long call)
{
#ifdef SYS_accept
	if (call == SYS_accept)
		return true;
#endif
	return call == SYS_accept4;
}

static bool
is_poll(long call)
{
	static const long calls[] = {
#ifdef SYS_poll
		SYS_poll,
#endif
#ifdef SYS_select
		SYS_select,
#endif
#ifdef SYS_epoll_wait
		SYS_epoll_wait,
#endif
#ifdef SYS_epoll_pwait2
		SYS_epoll_pwait2,
#endif
		SYS_ppoll, SYS_pselect6, SYS_epoll_pwait,
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (call == calls[i])
			return true;
	}
	return false;
}

/* What event loops wait in, and libraries between two calls do not. */
static bool
is_epoll(long call)
{
#ifdef SYS_epoll_wait
	if (call == SYS_epoll_wait)
		return true;
#endif
#ifdef SYS_epoll_pwait2
	if (call == SYS_epoll_pwait2)
		return true;
#endif
	return call == SYS_epoll_pwait;
}

static bool
is_read(long call)
{
	return call == SYS_read || call == SYS_readv ||
	    call == SYS_recvfrom || call == SYS_recvmsg;
}

/* What call a task sleeps in, of what descriptor. */
static void
view_call(pid_t pid, int tid, uint64_t inode, struct view *v)
{
	unsigned long fd, stack;
	char path[64], buf[256];
	long call;

	snprintf(path, sizeof(path), "%d/task/%d/syscall", (int)pid, tid);
	if (proc_read(path, buf, sizeof(buf)) <= 0)
		return;
	if (sscanf(buf, "%ld 0x%lx 0x%*x 0x%*x 0x%*x 0x%*x 0x%*x 0x%lx",
	    &call, &fd, &stack) != 3) {
		v->readable = true;	/* "running", or not in a call */
		return;
	}
	/* A 32-bit program on a 64-bit kernel numbers its calls otherwise. */
	if (sizeof(long) == 8 && stack <= UINT32_MAX)
		return;
	v->readable = true;
	snprintf(path, sizeof(path), "%d/fd/%d", (int)pid, (int)fd);
	if (is_read(call)) {
		v->reading = true;
		v->reads = socket_inode(path);
	}
	if (is_epoll(call))
		v->looping = true;
	if (is_poll(call))
		v->polling = true;
	if (!is_accept(call))
		return;
	if (fd == STDIN_FILENO || socket_inode(path) == inode)
		v->accepting = true;
}

/* The cpu time of a task in ns, and whether it runs. */
static void
view_time(pid_t pid, int tid, struct view *v)
{
	char path[64], buf[512], *s;
	unsigned long user, sys;
	uint64_t ns;

	snprintf(path, sizeof(path), "%d/task/%d/stat", (int)pid, tid);
	/* The name in parentheses is the program's own and may hold any. */
	if (proc_read(path, buf, sizeof(buf)) <= 0 ||
	    (s = strrchr(buf, ')')) == NULL)
		return;
	if (s[1] == ' ' && s[2] != 'S')
		v->asleep = false;
	if (s[1] == ' ' && s[2] != 'T' && s[2] != 't')
		v->stopped = false;
	snprintf(path, sizeof(path), "%d/task/%d/schedstat", (int)pid, tid);
	if (sscanf(s + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu "
	    "%lu", &user, &sys) != 2)
		return;
	if (proc_read(path, buf, sizeof(buf)) > 0 &&
	    sscanf(buf, "%" SCNu64, &ns) == 1)
		v->cpu += ns;
	else
		v->cpu += (uint64_t)(user + sys) * 1000000000 /
		    (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Adds the children of one task to the list. Returns its new length. */
static int
add_children(pid_t pid, int tid, pid_t *tree, int n, int max)
{
	char path[64], buf[4096], *s, *end;
	long child;

	snprintf(path, sizeof(path), "%d/task/%d/children", (int)pid, tid);
	if (proc_read(path, buf, sizeof(buf)) <= 0)
		return n;
	for (s = buf; n < max; s = end) {
		child = strtol(s, &end, 10);
		if (end == s || *end != ' ')
			break;
		tree[n++] = (pid_t)child;
	}
	return n;
}

int
proc_view(pid_t pid, uint64_t inode, bool all, struct view *v)
{
	pid_t tree[TREE_MAX];
	int tasks[TASKS_MAX];
	int i, j, n = 1, ntasks;
	char path[32];

	*v = (struct view){ .asleep = true, .stopped = true };
	tree[0] = pid;
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%d/task", (int)tree[i]);
		ntasks = list_numbers(path, tasks, TASKS_MAX);
		if (i == 0 && ntasks <= 0)
			return -1;
		v->tasks += ntasks;
		for (j = 0; j < ntasks && (!all || !v->accepting); j++) {
			view_time(tree[i], tasks[j], v);
			view_call(tree[i], tasks[j], inode, v);
			if (all)
				n = add_children(tree[i], tasks[j], tree, n,
				    TREE_MAX);
		}
	}
	if (!all && proc_children(pid, tree, 1) == 1)
		v->child = tree[0];
	return 0;
}

int
proc_children(pid_t pid, pid_t *list, int max)
{
	int tasks[TASKS_MAX];
	char path[32];
	int i, n = 0, ntasks;

	snprintf(path, sizeof(path), "%d/task", (int)pid);
	if ((ntasks = list_numbers(path, tasks, TASKS_MAX)) <= 0)
		return -1;
	for (i = 0; i < ntasks; i++)
		n = add_children(pid, tasks[i], list, n, max);
	return n;
}

int
proc_tree(pid_t pid, pid_t *list, int max)
{
	int tasks[TASKS_MAX];
	int i, j, n = 1, ntasks;
	char path[32];

	list[0] = pid;
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%d/task", (int)list[i]);
		ntasks = list_numbers(path, tasks, TASKS_MAX);
		if (i == 0 && ntasks <= 0)
			return 0;
		for (j = 0; j < ntasks; j++)
			n = add_children(list[i], tasks[j], list, n, max);
	}
	return n;
}

bool
proc_catches(pid_t pid, int signo)
{
	char path[32], buf[4096], *s;
	unsigned long long mask;

	snprintf(path, sizeof(path), "%d/status", (int)pid);
	if (proc_read(path, buf, sizeof(buf)) <= 0 ||
	    (s = strstr(buf, "\nSigCgt:")) == NULL)
		return false;
	mask = strtoull(s + strlen("\nSigCgt:"), NULL, 16);
	return (mask >> (signo - 1) & 1) != 0;
}

static int
add_sockets(pid_t pid, uint64_t *inodes, int n, int max)
{
	int fds[TASKS_MAX];
	char path[64];
	uint64_t inode;
	int i, nfds;

	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	nfds = list_numbers(path, fds, TASKS_MAX);
	for (i = 0; i < nfds && n < max; i++) {
		snprintf(path, sizeof(path), "%d/fd/%d", (int)pid, fds[i]);
		inode = socket_inode(path);
		if (inode != 0)
			inodes[n++] = inode;
	}
	return nfds == -1 ? -1 : n;
}

int
proc_sockets(pid_t pid, bool all, uint64_t *inodes, int max)
{
	pid_t tree[TREE_MAX];
	int i, r, n = 0, ntree = 1;

	tree[0] = pid;
	if (all)
		ntree = proc_tree(pid, tree, TREE_MAX);
	for (i = 0; i < ntree; i++) {
		r = add_sockets(tree[i], inodes, n, max);
		if (r == -1 && i == 0)
			return -1;
		n = r == -1 ? n : r;
	}
	return ntree == 0 ? -1 : n;
}
