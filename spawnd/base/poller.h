/* SPDX-License-Identifier: ISC */
/* How the loop waits, which depends on the system. For loop.c alone. */
#ifndef BASE_POLLER_H
#define BASE_POLLER_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

/* A descriptor, and who is called when it is ready. */
struct loop_watch {
	int		 fd;
	bool		 writes;	/* ready to be written, not read */
	bool		 once;		/* paused by each call */
	bool		 on;		/* the poller has it */
	bool		 refused;	/* it is to be tried again */
	void		(*handler)(void *);
	void		*arg;
	TAILQ_ENTRY(loop_watch) entry;
};

/* To be called once. Returns 0, or -1 with errno set. */
int	 poller_init(void);
/*
 * From now on poller_next() may return the watch. A descriptor has at most one
 * watch at a time here. Returns 0, or -1 with errno set.
 */
int	 poller_add(struct loop_watch *w);
/* It does not any more, even if both were ready when it returned another. */
void	 poller_remove(struct loop_watch *w);
/*
 * Waits until a descriptor is ready, has an error or was closed by its other
 * side, or until `when`, a time of loop_now(). Sets *w to its watch, in turn if
 * there are several, and leaves it as it is where the time has come. Returns 0,
 * or -1 with errno set: EINTR after a signal.
 */
int	 poller_next(uint64_t when, struct loop_watch **w);

#endif
