/* SPDX-License-Identifier: ISC */
/*
 * listener_linux.c, listener_none.c: the same names on every system. What may
 * keep clients from the listen socket.
 */
#ifndef OBSERVE_LISTENER_H
#define OBSERVE_LISTENER_H

#include <sys/stat.h>

#include <stdbool.h>
#include <stddef.h>

#define DEAF_LIMIT	4	/* nobody who serves wants so short a queue */
enum deaf {
	DEAF_UNKNOWN,
	DEAF_NO,
	DEAF_FILTER,		/* another packet filter than at first */
	DEAF_DEVICE,		/* bound to another network device */
	DEAF_TTL,		/* a higher minimum TTL */
	DEAF_BACKLOG		/* hardly any connection may wait */
};
/* What has a process that holds the socket done to it since observe_init()? */
enum deaf listener_deaf(void);
/*
 * Watches a file by its name, not following a link. Returns a close-on-exec
 * descriptor that can be read once it may have been renamed or removed, and
 * again after listener_take_events(); or -1 with errno set (ENOTSUP: not on
 * this system).
 */
int	 listener_watch_file(const char *name);
/* Reads what that descriptor has to tell, and drops it. */
void	 listener_take_events(int fd);
/* We have set the backlog again: from now on that length is the right one. */
void	 listener_settle(void);
/*
 * Is the TCP socket fd of our own network namespace? True if that is unknown:
 * before Linux 5.14, and elsewhere.
 */
bool	 listener_is_local(int fd);
/*
 * May that file be the one of the unix socket fd? False only if another socket
 * is known to have it.
 */
bool	 listener_may_have_file(int fd, const struct stat *file);
/* Is that the file of the listen socket, a unix socket? False if unknown. */
bool	 listener_has_file(const struct stat *file);
/*
 * Writes to buf, of `size` bytes, the path that the file of the descriptor fd
 * has now; in the jail, from the jail's root, if the file lies within. Returns
 * false if that is unknown, as it is before observe_init().
 */
bool	 listener_path(int fd, char *buf, size_t size);

#endif
