/* SPDX-License-Identifier: ISC */
/* Which process holds a unix socket, on Linux: for a start that finds one. */
#include <sys/socket.h>
#include <sys/stat.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/observe.h"

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
	/* A worker's output goes to its supervisor, by pipes. */
	*left = pid > 0 && maker > 0 && pid != maker &&
	    is_pipe(pid, STDOUT_FILENO) &&
	    is_pipe(pid, STDERR_FILENO);
	return pid;
}
