/* SPDX-License-Identifier: ISC */
/*
 * Unix connections of clients in another network namespace, as in another
 * container that shares the socket. They belong to the namespace of the client,
 * and sock_diag(7) shows only our own. What the kernel tells of such a socket
 * is told by a copy of the worker's descriptor, which pidfd_getfd(2) makes.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"

#define OTHERS	1024

/* Sockets that are known to be none, each at the place of its inode. */
static uint64_t others[OTHERS];

/*
 * Copies the process's descriptor of that name, if it is that socket: since it
 * was seen to be, the process may have closed it and opened another thing.
 * Returns -1 if it cannot.
 */
static int
copy_descriptor(pid_t pid, const char *name, uint64_t inode)
{
	int pidfd = proc_pidfd(pid), fd = -1;
	struct stat st;

#ifdef SYS_pidfd_getfd
	if (pidfd != -1)
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(name), 0);
#endif
	if (pidfd != -1)
		close(pidfd);
	if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISSOCK(st.st_mode) ||
	    st.st_ino != inode)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Copies the descriptor by which the process has that socket. */
static int
copy_socket(pid_t pid, uint64_t inode)
{
	struct dirent *de;
	uint64_t found;
	char path[32];
	int fd = -1;
	DIR *d;

	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	if ((d = proc_opendir(path)) == NULL)
		return -1;
	while (fd == -1 && (de = readdir(d)) != NULL) {
		if (de->d_name[0] >= '0' && de->d_name[0] <= '9' &&
		    proc_socket_at(dirfd(d), de->d_name, &found) == 0 &&
		    found == inode)
			fd = copy_descriptor(pid, de->d_name, inode);
	}
	closedir(d);
	return fd;
}

/* An accepted socket has the address of its listener. */
static bool
is_ours(int fd)
{
	struct sockaddr_un a = { 0 }, b = { 0 };
	socklen_t alen = sizeof(a), blen = sizeof(b);

	return getsockname(fd, (struct sockaddr *)&a, &alen) == 0 &&
	    a.sun_family == AF_UNIX && alen > sizeof(a.sun_family) &&
	    getsockname(STDIN_FILENO, (struct sockaddr *)&b, &blen) == 0 &&
	    alen == blen && memcmp(&a, &b, alen) == 0;
}

bool
foreign_accepted(pid_t pid, uint64_t inode, uint32_t *unread, bool *alive)
{
	pid_t tree[TREE_MAX];
	struct pollfd p = { .events = POLLIN };
	int i, n, bytes = 0;
	bool ours;

	if (pid <= 0 || others[inode % OTHERS] == inode)
		return false;
	p.fd = copy_socket(pid, inode);
	n = p.fd == -1 ? proc_tree(pid, tree, TREE_MAX) : 0;
	for (i = 1; i < n && p.fd == -1; i++)
		p.fd = copy_socket(tree[i], inode);
	if (p.fd == -1)
		return false;
	if ((ours = is_ours(p.fd))) {
		*unread = ioctl(p.fd, FIONREAD, &bytes) == 0 && bytes > 0;
		*alive = poll(&p, 1, 0) != -1 && (p.revents & POLLHUP) == 0;
	} else
		others[inode % OTHERS] = inode;
	close(p.fd);
	return ours;
}
