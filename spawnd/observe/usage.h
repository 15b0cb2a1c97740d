/* SPDX-License-Identifier: ISC */
/*
 * usage_linux.c, usage_none.c: the same names on every system. What workers
 * use, for the status.
 */
#ifndef OBSERVE_USAGE_H
#define OBSERVE_USAGE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the processes of one worker use. */
struct usage {
	uint64_t	 cpu;		/* usec, as far as they still live */
	uint64_t	 rss;		/* bytes */
	uint64_t	 pss;		/* bytes; 0: not asked for, unknown */
	unsigned int	 processes;
	unsigned int	 connections;	/* of the listen socket; one that
					   several have is one */
	unsigned int	 awaited;	/* of these it reads from so many: it
					   waits for their clients */
	uint64_t	 first;		/* usec of loop_now(), when the oldest
					   was first seen; 0: there is none */
	uint64_t	 before;	/* a look without it; 0: nobody knows */
	bool		 counted;	/* connections could be counted */
	bool		 over;		/* its first process has ended */
};

/*
 * Sets *inodes to the accepted connections of the listen socket, sorted, in
 * malloc'd memory that the caller frees. Those whose request --request-timeout
 * has ended are left out; *left is their number. Returns how many *inodes has,
 * or -1: unknown.
 */
int	 usage_connections(uint64_t **inodes, unsigned int *left);
/*
 * Returns the cpu time of a worker's processes in ns; 0: it is unknown for one
 * of them.
 */
uint64_t usage_cpu(pid_t pid);
/*
 * Fills *u with the sum over a worker's tree. inodes are the n accepted
 * connections; with n -1 they are unknown. With `pss`, which is expensive, it
 * asks for that, too. Returns 0, or -1 if the process cannot be seen.
 */
int	 usage_worker(pid_t pid, const uint64_t *inodes, int n, bool pss,
	    struct usage *u);

/* forks_linux.c, usage_none.c: the same name on every system */
/*
 * Writes to `why`, of `size` bytes, why fork(2) has failed with EAGAIN: ": "
 * and the limit that is seen to be reached, or "" if none is.
 */
void	 usage_forks(char *why, size_t size);

#endif
