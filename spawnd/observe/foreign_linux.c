/* SPDX-License-Identifier: ISC */
/*
 * Unix connections of clients in another network namespace, as in another
 * container that shares the socket. They belong to the namespace of the client,
 * and sock_diag(7) shows only our own. What the kernel knows of such a socket
 * is read from a copy of the worker's descriptor, which pidfd_getfd(2) makes.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/sockets_linux.h"

#define OTHERS	1024

/* Sockets that are none, or cannot be copied, each at its inode's place. */
static uint64_t others[OTHERS];
static bool refused;		/* every copy is: by the kernel, or a filter */

static int
get_descriptor(int pidfd, int fd)
{
#ifdef SYS_pidfd_getfd
	return (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
#else
	errno = ENOSYS;
	return -1;
#endif
}

/* Is it that one process, or a filter (which may say EPERM) for all of them? */
static void
note_refusal(int error)
{
	if (error == ENOSYS || (error == EPERM &&
	    get_descriptor(-1, -1) == -1 && errno != EBADF))
		refused = true;
}

/*
 * Copies the process's descriptor of that name, if it is that socket: since it
 * was seen to be, the process may have closed it and opened another thing.
 * Returns -1 if it cannot; *denied: nor could it later.
 */
static int
copy_descriptor(pid_t pid, const char *name, uint64_t inode, bool *denied)
{
	int pidfd = proc_pidfd(pid), fd, error;
	struct stat st;

	if (pidfd == -1)
		return -1;
	fd = get_descriptor(pidfd, atoi(name));
	error = errno;
	close(pidfd);
	if (fd == -1) {
		*denied = error == ENOSYS || error == EPERM;
		note_refusal(error);
	} else if (fstat(fd, &st) == -1 || !S_ISSOCK(st.st_mode) ||
	    st.st_ino != inode) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Copies the descriptor by which the process has that socket. */
static int
copy_socket(pid_t pid, uint64_t inode, bool *denied)
{
	struct dirent *de;
	uint64_t found;
	char path[32];
	int fd = -1;
	DIR *d;

	snprintf(path, sizeof(path), "%d/fd", (int)pid);
	if ((d = proc_opendir(path)) == NULL)
		return -1;
	while (fd == -1 && !*denied && (de = readdir(d)) != NULL) {
		if (de->d_name[0] >= '0' && de->d_name[0] <= '9' &&
		    proc_socket_at(dirfd(d), de->d_name, &found) == 0 &&
		    found == inode)
			fd = copy_descriptor(pid, de->d_name, inode, denied);
	}
	closedir(d);
	return fd;
}

/* The same of the first of them that has it, and lets us. */
static int
copy_of_any(struct foreign *f, uint64_t inode, bool *denied)
{
	bool mine = false;
	int i, fd = copy_socket(f->pid, inode, &mine);

	*denied = mine;
	if (fd != -1)
		return fd;
	if (f->n == 0)
		f->n = proc_tree(f->pid, f->tree, TREE_MAX);
	for (i = 1; i < f->n && fd == -1; i++) {
		mine = false;
		fd = copy_socket(f->tree[i], inode, &mine);
		*denied |= mine;
	}
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
foreign_accepted(struct foreign *f, uint64_t inode, uint32_t *unread,
    bool *alive)
{
	struct pollfd p = { .events = POLLIN };
	bool denied, ours = false;
	int bytes = 0;

	if (f->pid <= 0 || refused || others[inode % OTHERS] == inode)
		return false;
	p.fd = copy_of_any(f, inode, &denied);
	if (p.fd == -1 && !denied)
		return false;
	if (p.fd != -1 && (ours = is_ours(p.fd))) {
		*unread = ioctl(p.fd, FIONREAD, &bytes) == 0 && bytes > 0;
		*alive = poll(&p, 1, 0) != -1 && (p.revents & POLLHUP) == 0;
	} else
		others[inode % OTHERS] = inode;
	if (p.fd != -1)
		close(p.fd);
	return ours;
}
