/* SPDX-License-Identifier: ISC */
/* Directories that outlive the jail, on Linux. */
#include <sys/syscall.h>

#include <linux/mount.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"

int
path_detach(int dir, bool *detached)
{
	int fd = -1;

	/*
	 * A plain descriptor leads out of a jail by "..". The clone is a
	 * separate mount, and ".." stays inside it.
	 */
	if (dir != -1)
		fd = (int)syscall(SYS_open_tree, dir, "", AT_EMPTY_PATH |
		    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	*detached = fd != -1;
	if (fd == -1)
		return dir;
	close(dir);
	return fd;
}
