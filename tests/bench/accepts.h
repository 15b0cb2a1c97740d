/* SPDX-License-Identifier: ISC */
/* The file in which workers note that they are about to accept. */
#ifndef ACCEPTS_H
#define ACCEPTS_H

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <linux/futex.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#define ACCEPTS_MAX	65536		/* pids that are kept, in a ring */

struct accepts {
	atomic_uint	 claimed;	/* places taken in pids */
	atomic_uint	 ready;		/* and filled */
	pid_t		 pids[ACCEPTS_MAX];
};

/* Maps it; NULL when that fails. */
static struct accepts *
accepts_map(const char *path)
{
	struct accepts *a;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd == -1)
		return NULL;
	a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return a == MAP_FAILED ? NULL : a;
}

#endif
