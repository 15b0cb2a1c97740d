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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "observe/linux.h"

static int procfd = -1;

int
proc_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int
proc_pidfd_signal(int fd, int signo)
{
	int result;

	if (fd == -1)
		return -1;
	result = (int)syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
	close(fd);
	return result;
}

/* Does it show our own PID namespace? In another one numbers differ. */
static int
check_self(void)
{
	struct stat st;
	char self[16] = "";

	if (readlinkat(procfd, "self", self, sizeof(self) - 1) == -1 &&
	    errno != ENOENT)
		return -1;
	if (atoi(self) != (int)getpid()) {
		errno = ESRCH;
		return -1;
	}
	/* faccessat(3) fails where a filter does not know its newest call. */
	return fstatat(procfd, "self/stat", &st, 0);
}

int
proc_open(bool *detached)
{
	if (procfd != -1)
		close(procfd);
	procfd = path_detach(path_open_dir(-1, "/proc"), detached);
	if (procfd != -1 && check_self() == -1)
		procfd = path_close(procfd, -1);
	return procfd == -1 ? -1 : 0;
}

int
proc_move(int fd)
{
	procfd = procfd == -1 ? -1 : dup2(procfd, fd);
	return procfd == -1 ? -1 : 0;
}

int
proc_at(const char *path, int flags)
{
	if (procfd == -1) {
		errno = ENOENT;
		return -1;
	}
	return openat(procfd, path, flags | O_CLOEXEC | O_NOCTTY);
}

ssize_t
proc_read(const char *path, char *buf, size_t size)
{
	ssize_t n;
	int fd;

	fd = proc_at(path, O_RDONLY);
	if (fd == -1)
		return -1;
	n = read(fd, buf, size - 1);
	path_close(fd, 0);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

bool
proc_is_gone(void)
{
	return errno == ENOENT || errno == ESRCH;
}

int
proc_write(const char *path, const char *text)
{
	ssize_t n;
	int fd;

	fd = proc_at(path, O_WRONLY);
	if (fd == -1)
		return -1;
	n = write(fd, text, strlen(text));
	return path_close(fd, n == (ssize_t)strlen(text) ? 0 : -1);
}

DIR *
proc_opendir(const char *path)
{
	DIR *d;
	int fd;

	fd = proc_at(path, O_RDONLY | O_DIRECTORY);
	if (fd == -1)
		return NULL;
	if ((d = fdopendir(fd)) == NULL)
		close(fd);
	return d;
}

ssize_t
proc_read_of(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
	return proc_read(path, buf, size);
}

ssize_t
proc_read_task(pid_t pid, pid_t tid, const char *name, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/task/%d/%s", (int)pid, (int)tid, name);
	return proc_read(path, buf, size);
}

/* What getdents64(2) fills in; libc's readdir(3) makes three calls more. */
struct entry {
	uint64_t	 ino;
	int64_t		 off;
	uint16_t	 len;
	uint8_t		 type;
	char		 name[];
};

/* Takes an entry that a number names; false with errno set: no more. */
typedef bool entry_taker(int dir, const char *name, void *arg);

static bool
take_entries(int dir, const char *buf, ssize_t len, entry_taker *take,
    void *arg)
{
	const struct entry *e;
	ssize_t at;

	for (at = 0; at < len; at += e->len) {
		e = (const void *)(buf + at);
		if (e->name[0] >= '0' && e->name[0] <= '9' &&
		    !take(dir, e->name, arg))
			return false;
	}
	return true;
}

/*
 * Passes on the entries of a directory that numbers name. Returns 0, or -1
 * with errno set: not all of them.
 */
static int
read_numbers(const char *path, entry_taker *take, void *arg)
{
	_Alignas(struct entry) char buf[4096];
	int dir = proc_at(path, O_RDONLY | O_DIRECTORY);
	ssize_t len;

	if (dir == -1)
		return -1;
	do {
		len = syscall(SYS_getdents64, dir, buf, sizeof(buf));
	} while (len > 0 && take_entries(dir, buf, len, take, arg));
	/* Of a process that has just ended nothing is left. */
	if (len == -1 && errno == ENOENT)
		len = 0;
	return path_close(dir, len == 0 ? 0 : -1);
}

struct numbers {
	int		*list;
	int		 n, max;
};

static bool
take_number(int dir, const char *name, void *arg)
{
	struct numbers *x = arg;

	(void)dir;
	if (x->n == x->max) {
		errno = E2BIG;
		return false;
	}
	x->list[x->n++] = atoi(name);
	return true;
}

/*
 * The numbers that name a directory's entries. Returns how many, or -1 with
 * errno set (E2BIG: there are more than max).
 */
static int
list_numbers(const char *path, int *numbers, int max)
{
	struct numbers x = { .list = numbers, .max = max };

	return read_numbers(path, take_number, &x) == -1 ? -1 : x.n;
}

int
proc_socket_at(int dir, const char *name, uint64_t *inode)
{
	char link[64];
	ssize_t n;

	*inode = 0;
	n = readlinkat(dir, name, link, sizeof(link) - 1);
	if (n == -1)
		return proc_is_gone() ? 0 : -1;
	link[n] = '\0';
	if (strncmp(link, "socket:[", 8) == 0)
		*inode = strtoull(link + 8, NULL, 10);
	return 0;
}

static int
open_children(pid_t pid, int tid)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/task/%d/children", (int)pid, tid);
	return proc_at(path, O_RDONLY);
}

/* Adds what such a file says, and closes it. */
static int
read_children(int fd, pid_t *tree, int *n, int max)
{
	char buf[4096];
	size_t have = 0, used;
	ssize_t len;
	int error = 0;

	/* The kernel hands out no more than a page at a time. */
	while ((len = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
		have += (size_t)len;
		buf[have] = '\0';
		used = parse_pids(buf, tree, n, max);
		have -= used;
		memmove(buf, buf + used, have);
		if (*n == max) {
			error = E2BIG;
			break;
		}
	}
	if (len == -1 && !proc_is_gone())
		error = errno;
	close(fd);
	errno = error;
	return error == 0 ? 0 : -1;
}

int
proc_add_children(pid_t pid, int tid, pid_t *tree, int *n, int max)
{
	int fd = open_children(pid, tid);

	if (fd == -1)
		return proc_is_gone() ? 0 : -1;
	return read_children(fd, tree, n, max);
}

int
proc_own_children(pid_t *list, int max)
{
	pid_t own = getpid();
	int n = 0, fd = open_children(own, (int)own);

	if (fd == -1 || (read_children(fd, list, &n, max) == -1 &&
	    errno != E2BIG))
		return -1;
	return n;
}

int
proc_children(pid_t pid, pid_t *list, int max)
{
	int tasks[TASKS_MAX];
	int i, n = 0, ntasks;

	if ((ntasks = proc_tasks(pid, tasks, TASKS_MAX)) <= 0)
		return -1;
	for (i = 0; i < ntasks; i++) {
		if (proc_add_children(pid, tasks[i], list, &n, max) == -1 &&
		    errno != E2BIG)
			return -1;
	}
	return n;
}

/*
 * Fills the list with a process and its descendants. Returns 0, or -1 with
 * errno set: there may be more than *n.
 */
static int
find_tree(pid_t pid, pid_t *list, int *n, int max)
{
	int tasks[TASKS_MAX];
	int i, j, ntasks, left = TASKS_MAX, error = 0;

	list[0] = pid;
	*n = 1;
	for (i = 0; i < *n; i++) {
		ntasks = proc_tasks(list[i], tasks, left);
		if (ntasks == -1 && (i == 0 || !proc_is_gone()))
			error = errno;
		for (j = 0; j < ntasks; j++) {
			if (proc_add_children(list[i], tasks[j], list, n,
			    max) == -1)
				error = errno;
		}
		left -= ntasks > 0 ? ntasks : 0;
	}
	errno = error;
	return error == 0 ? 0 : -1;
}

int
proc_tree(pid_t pid, pid_t *list, int max)
{
	int n;

	if (find_tree(pid, list, &n, max) == -1 && n == 1 && errno != E2BIG)
		return 0;
	return n;
}

bool
proc_sleeps(pid_t pid, pid_t tid)
{
	char buf[512], state;
	uint64_t ticks;

	return proc_read_task(pid, tid, "stat", buf, sizeof(buf)) > 0 &&
	    parse_stat(buf, &state, &ticks) == 0 && state == 'S';
}

bool
proc_is_filtered(const char *status)
{
	static long own = -1;	/* filters, which each worker has, too */
	long n = parse_field(status, "Seccomp_filters");
	char buf[4096];

	if (n <= 0)
		return n != 0 && parse_field(status, "Seccomp") > 0;
	if (own == -1 && proc_read("self/status", buf, sizeof(buf)) > 0)
		own = parse_field(buf, "Seccomp_filters");
	return n > own;
}

void
proc_traits(pid_t pid, int signo, bool *catches, bool *filtered)
{
	char buf[4096];

	*catches = *filtered = false;
	if (proc_read_of(pid, "status", buf, sizeof(buf)) <= 0)
		return;
	*catches = parse_caught(buf, signo);
	*filtered = proc_is_filtered(buf);
}

struct table {
	uint64_t	*inodes;
	int		*n, max;
	int		 fds;
};

static bool
take_fd(int dir, const char *name, void *arg)
{
	struct table *t = arg;
	uint64_t inode;

	if (proc_socket_at(dir, name, &inode) == -1)
		return false;
	if (t->fds++ == FDS_MAX || (inode != 0 && *t->n == t->max)) {
		errno = E2BIG;
		return false;
	}
	if (inode != 0)
		t->inodes[(*t->n)++] = inode;
	return true;
}

/*
 * Adds the sockets of one table of descriptors. Returns how many descriptors
 * it has, or -1 with errno set: not all could be seen.
 */
static int
add_table(const char *path, uint64_t *inodes, int *n, int max)
{
	struct table t = { .inodes = inodes, .n = n, .max = max };

	return read_numbers(path, take_fd, &t) == -1 ? -1 : t.fds;
}

/*
 * The sockets of one process. If its main thread has ended before the others,
 * its own table is empty or hidden; the last task shows the table they share.
 * Returns 0, or -1 with errno set.
 */
static int
add_sockets(pid_t pid, uint64_t *inodes, int *n, int max)
{
	int tasks[TASKS_MAX];
	char path[64];
	int ntasks, fds, error;

	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	if ((fds = add_table(path, inodes, n, max)) > 0 ||
	    (fds == -1 && errno != EACCES && errno != EPERM))
		return fds == -1 ? -1 : 0;
	error = fds == -1 ? errno : 0;
	if ((ntasks = proc_tasks(pid, tasks, TASKS_MAX)) > 1) {
		snprintf(path, sizeof(path), "%d/task/%d/fd", (int)pid,
		    tasks[ntasks - 1]);
		if (add_table(path, inodes, n, max) != -1)
			return 0;
		error = errno;
	}
	errno = error;
	return error == 0 ? 0 : -1;
}

int
proc_sockets(pid_t pid, bool all, uint64_t *inodes, int *n, int max)
{
	pid_t tree[TREE_MAX];
	int i, ntree = 1, error = 0;

	*n = 0;
	tree[0] = pid;
	if (all && find_tree(pid, tree, &ntree, TREE_MAX) == -1)
		error = errno;
	for (i = 0; i < ntree; i++) {
		if (add_sockets(tree[i], inodes, n, max) == -1 &&
		    (i == 0 || !proc_is_gone()))
			error = errno;
	}
	errno = error;
	return error == 0 ? 0 : -1;
}

bool
proc_is_among(uint64_t inode, const uint64_t *inodes, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (inodes[i] == inode)
			return true;
	}
	return false;
}

uint64_t
proc_socket(pid_t tid, int fd)
{
	uint64_t inode;
	char path[64];

	snprintf(path, sizeof(path), "%d/fd/%d", (int)tid, fd);
	return proc_socket_at(procfd, path, &inode) == 0 ? inode : 0;
}

int
proc_tasks(pid_t pid, int *tids, int max)
{
	char path[32];

	snprintf(path, sizeof(path), "%d/task", (int)pid);
	return list_numbers(path, tids, max);
}

ssize_t
proc_readlink(const char *path, char *link, size_t size)
{
	return readlinkat(procfd, path, link, size);
}
