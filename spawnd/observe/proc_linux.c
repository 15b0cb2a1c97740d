/* SPDX-License-Identifier: ISC */
/*
 * /proc, as an unprivileged and jailed process can read it. Whatever is read
 * here belongs to a worker, who may be hostile: sizes are bounded, and
 * numbers come from the kernel, not from the worker's memory.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "observe/linux.h"

static int procfd = -1;

/* Does it show our own PID namespace? In another one numbers differ. */
static int
check_self(void)
{
	char self[16] = "";

	if (readlinkat(procfd, "self", self, sizeof(self) - 1) == -1 &&
	    errno != ENOENT)
		return -1;
	if (atoi(self) != (int)getpid()) {
		errno = ESRCH;
		return -1;
	}
	return faccessat(procfd, "self/stat", F_OK, 0);
}

int
proc_open(bool *detached)
{
	int error;

	if (procfd != -1)
		close(procfd);
	procfd = path_detach(path_open_dir(-1, "/proc"), detached);
	if (procfd != -1 && check_self() == -1) {
		error = errno;
		close(procfd);
		procfd = -1;
		errno = error;
	}
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
	int fd, saved;

	fd = proc_at(path, O_RDONLY);
	if (fd == -1)
		return -1;
	n = read(fd, buf, size - 1);
	saved = errno;
	close(fd);
	errno = saved;
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

/* A process that has ended meanwhile hides nothing. */
static bool
is_gone(void)
{
	return errno == ENOENT || errno == ESRCH;
}

int
proc_write(const char *path, const char *text)
{
	ssize_t n;
	int fd, saved;

	fd = proc_at(path, O_WRONLY);
	if (fd == -1)
		return -1;
	n = write(fd, text, strlen(text));
	saved = errno;
	close(fd);
	errno = saved;
	return n == (ssize_t)strlen(text) ? 0 : -1;
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

/*
 * The numbers that name a directory's entries. Returns how many, or -1 with
 * errno set (E2BIG: there are more than max).
 */
static int
list_numbers(const char *path, int *numbers, int max)
{
	struct dirent *de;
	DIR *d;
	int n = 0, error;

	if ((d = proc_opendir(path)) == NULL)
		return -1;
	while (errno = 0, (de = readdir(d)) != NULL) {
		if (de->d_name[0] < '0' || de->d_name[0] > '9')
			continue;
		if (n == max) {
			errno = E2BIG;
			break;
		}
		numbers[n++] = atoi(de->d_name);
	}
	error = errno;
	closedir(d);
	errno = error;
	return error == 0 ? n : -1;
}

int
proc_socket_at(int dir, const char *name, uint64_t *inode)
{
	char link[64];
	ssize_t n;

	*inode = 0;
	n = readlinkat(dir, name, link, sizeof(link) - 1);
	if (n == -1)
		return is_gone() ? 0 : -1;
	link[n] = '\0';
	if (sscanf(link, "socket:[%" SCNu64 "]", inode) != 1)
		*inode = 0;
	return 0;
}

/* Notes a task that waits as an event loop does. */
static void
add_loop(const struct call *c, struct view *v)
{
	if (v->looping && v->epoll != c->fd)
		v->engaged = true;	/* one loop is followed, not two */
	v->endless = c->endless && (v->endless || !v->looping);
	v->looping = true;
	v->epoll = c->fd;
}

/* Finds the call that a task sleeps in, and the descriptor of that. */
static void
view_call(pid_t pid, int tid, uint64_t inode, struct view *v)
{
	char path[64], buf[256];
	struct call c;
	uint64_t of;

	snprintf(path, sizeof(path), "%d/task/%d/syscall", (int)pid, tid);
	if (proc_read(path, buf, sizeof(buf)) == -1) {
		if (!is_gone())
			v->readable = false;
		return;
	}
	c = parse_call(buf);
	if (c.kind == CALL_FOREIGN)
		v->readable = false;
	snprintf(path, sizeof(path), "%d/task/%d/fd/%d", (int)pid, tid,
	    c.fd);
	if (c.kind == CALL_READ && v->nreads < SOCKETS_MAX &&
	    proc_socket_at(procfd, path, &of) == 0 && of != 0)
		v->reads[v->nreads++] = of;
	else if (c.kind == CALL_EPOLL)
		add_loop(&c, v);
	else if (c.kind != CALL_ACCEPT && c.kind != CALL_FUTEX)
		v->engaged = true;
	if (c.kind == CALL_EPOLL || c.kind == CALL_POLL)
		v->polling = true;
	if (c.kind == CALL_FUTEX && !c.endless)
		v->timed = true;
	if (c.kind == CALL_ACCEPT && (c.fd == STDIN_FILENO ||
	    (proc_socket_at(procfd, path, &of) == 0 && of == inode)))
		v->accepting = true;
}

/*
 * The cpu time of a task in ns, and whether it runs. Returns false if it has
 * ended.
 */
static bool
view_time(pid_t pid, int tid, struct view *v)
{
	char path[64], buf[512], state;
	uint64_t ns, ticks;

	snprintf(path, sizeof(path), "%d/task/%d/stat", (int)pid, tid);
	if (proc_read(path, buf, sizeof(buf)) == -1) {
		if (is_gone())
			return false;
		v->readable = v->asleep = v->stopped = false;
		return true;
	}
	if (parse_stat(buf, &state, &ticks) == -1 || state == 'Z' ||
	    state == 'X')
		return false;
	v->asleep = v->asleep && state == 'S';
	v->stopped = v->stopped && (state == 'T' || state == 't');
	snprintf(path, sizeof(path), "%d/task/%d/schedstat", (int)pid, tid);
	if (proc_read(path, buf, sizeof(buf)) > 0 &&
	    sscanf(buf, "%" SCNu64, &ns) == 1)
		v->cpu += ns;
	else
		v->cpu += ticks * 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	return true;
}

/*
 * Adds the children of one task to the list of *n. Returns 0, or -1 with
 * errno set (E2BIG: there are more than max).
 */
static int
add_children(pid_t pid, int tid, pid_t *tree, int *n, int max)
{
	char path[64], buf[4096];
	size_t have = 0, used;
	ssize_t len;
	int fd, error = 0;

	snprintf(path, sizeof(path), "%d/task/%d/children", (int)pid, tid);
	fd = proc_at(path, O_RDONLY);
	if (fd == -1)
		return is_gone() ? 0 : -1;
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
	if (len == -1 && !is_gone())
		error = errno;
	close(fd);
	errno = error;
	return error == 0 ? 0 : -1;
}

/* Looks at the tasks of one process, at most `left`; its children join. */
static int
view_process(pid_t pid, uint64_t inode, int left, pid_t *tree, int *n,
    struct view *v)
{
	int tasks[TASKS_MAX];
	int i, ntasks;

	if ((ntasks = proc_tasks(pid, tasks, left)) == -1)
		return -1;
	for (i = 0; i < ntasks && (n == NULL || !v->accepting); i++) {
		if (view_time(pid, tasks[i], v)) {
			view_call(pid, tasks[i], inode, v);
			v->tasks++;
		}
		if (n != NULL && add_children(pid, tasks[i], tree, n,
		    TREE_MAX) == -1)
			v->readable = false;
	}
	return 0;
}

bool
proc_accepts(pid_t pid, uint64_t inode)
{
	struct view v = { .accepting = false };

	view_call(pid, pid, inode, &v);
	return v.accepting;
}

int
proc_view(pid_t pid, uint64_t inode, bool all, struct view *v)
{
	pid_t tree[TREE_MAX];
	int i, n = 1;

	*v = (struct view){ .asleep = true, .stopped = true,
	    .readable = true };
	tree[0] = pid;
	for (i = 0; i < n && (i == 0 || !v->accepting); i++) {
		if (view_process(tree[i], inode, TASKS_MAX - v->tasks, tree,
		    all ? &n : NULL, v) == 0 || (i > 0 && is_gone()))
			continue;
		if (i == 0)
			return -1;
		v->readable = false;
	}
	n = 0;
	if (!all && proc_children(pid, tree, TREE_MAX) > 0)
		v->child = tree[0];
	return 0;
}

int
proc_children(pid_t pid, pid_t *list, int max)
{
	int tasks[TASKS_MAX];
	int i, n = 0, ntasks;

	if ((ntasks = proc_tasks(pid, tasks, TASKS_MAX)) <= 0)
		return -1;
	for (i = 0; i < ntasks; i++) {
		if (add_children(pid, tasks[i], list, &n, max) == -1 &&
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
		if (ntasks == -1 && (i == 0 || !is_gone()))
			error = errno;
		for (j = 0; j < ntasks; j++) {
			if (add_children(list[i], tasks[j], list, n,
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
	char path[64], buf[512], state;
	uint64_t ticks;

	snprintf(path, sizeof(path), "%d/task/%d/stat", (int)pid, (int)tid);
	return proc_read(path, buf, sizeof(buf)) > 0 &&
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
	char path[32], buf[4096];

	*catches = *filtered = false;
	snprintf(path, sizeof(path), "%d/status", (int)pid);
	if (proc_read(path, buf, sizeof(buf)) <= 0)
		return;
	*catches = parse_caught(buf, signo);
	*filtered = proc_is_filtered(buf);
}

/*
 * Adds the sockets of one table of descriptors. Returns how many descriptors
 * it has, or -1 with errno set: not all could be seen.
 */
static int
add_table(const char *path, uint64_t *inodes, int *n, int max)
{
	struct dirent *de;
	uint64_t inode;
	DIR *d;
	int fds = 0, error;

	if ((d = proc_opendir(path)) == NULL)
		return -1;
	while (errno = 0, (de = readdir(d)) != NULL) {
		if (de->d_name[0] < '0' || de->d_name[0] > '9')
			continue;
		if (proc_socket_at(dirfd(d), de->d_name, &inode) == -1)
			break;
		if (fds++ == FDS_MAX || (inode != 0 && *n == max)) {
			errno = E2BIG;
			break;
		}
		if (inode != 0)
			inodes[(*n)++] = inode;
	}
	error = errno;
	closedir(d);
	errno = error;
	return error == 0 ? fds : -1;
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
		    (i == 0 || !is_gone()))
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
