/* SPDX-License-Identifier: ISC */
/* What sock_diag(7) knows of the listen socket and its connections. */
#ifndef OBSERVE_SOCKETS_LINUX_H
#define OBSERVE_SOCKETS_LINUX_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observe/linux.h"

/* netlink_linux.c: questions to NETLINK_SOCK_DIAG */
/* Opens it. Returns 0, or -1 with errno set. */
int	 netlink_open(void);
/* Takes one message; returns false to see no more. */
struct nlmsghdr;
typedef bool netlink_taker(const struct nlmsghdr *h, void *arg);
/* What is known of the answer to a request while its datagrams are read. */
struct netlink_answer {
	uint32_t	 sequence;		/* of the request */
	netlink_taker	*take;
	void		*arg;
	bool		 enough;		/* take() wants no more */
	bool		 done;
	int		 error;			/* it is not whole; errno */
};
/*
 * Returns what comes behind the message or attribute at p of len bytes, and
 * takes that off the *left bytes; or NULL. The kernel's own macros go past the
 * end where the last one is not padded.
 */
const void *netlink_next(const void *p, size_t len, size_t *left);
/* Takes the messages of one datagram. */
void	 netlink_parse(struct netlink_answer *a, const void *buf, size_t len);
/*
 * Asks, with a request of SOCK_DIAG_BY_FAMILY, for one socket or, with dump,
 * all that fit. Returns 0, or -1 with errno set: the answer is not whole.
 */
int	 netlink_ask(const void *body, size_t size, bool dump,
	    netlink_taker *take, void *arg);

/* foreign_linux.c */
/* A process, and in one look its descendants; n is 0 until they are found. */
struct foreign {
	pid_t		 pid;
	pid_t		 tree[TREE_MAX];
	int		 n;
};
/*
 * Is that socket of the process or its descendants a unix connection of the
 * listen socket, although sock_diag(7) does not show it? Then it sets *unread
 * to 1 if there are bytes to be read, else 0, and *alive to whether its client
 * is there. False if that is unknown: before Linux 5.6, or where we may not
 * trace the process.
 */
bool	 foreign_accepted(struct foreign *f, uint64_t inode, uint32_t *unread,
	    bool *alive);

/* diag_linux.c: what NETLINK_SOCK_DIAG knows of the listen socket */
/* Opens it for the listen socket fd, before the jail. Returns 0 or -1. */
int	 diag_open(int fd);
/*
 * Which of these socket inodes, which that process or its descendants have, are
 * accepted connections of the listen socket? They are moved to the front. With
 * pid 0 those of clients in another network namespace are not found. Returns
 * how many, or -1 with errno set: unknown (ENOENT: our own listen socket is not
 * seen).
 */
int	 diag_accepted(pid_t pid, uint64_t *inodes, int n,
	    struct accepted *what);
/*
 * Sets *inodes to those of all accepted connections, malloc'd (NULL for none).
 * Returns how many, or -1: unknown.
 */
int	 diag_connections(uint64_t **inodes);
/* The inode of the unix socket that listens at that file, or 0. */
uint64_t diag_bound(const struct stat *file);

/* queue_linux.c: the connections that wait to be accepted */
/* Does no connection wait? Cheap. False where it cannot be known. */
bool	 queue_is_empty(void);
/* As observe_queue(), with half_open as observe_waiting(). */
int	 queue_depth(bool half_open, unsigned int *depth, unsigned int *limit);
/* Is it a TCP connection that waits? If so, *id is set, never to 0. */
struct inet_diag_msg;
bool	 queue_has(const struct inet_diag_msg *m, uint64_t *id);

/* diag_linux.c, for load_linux.c and queue_linux.c */
struct inet_diag_sockid;

/* The listen socket, as diag_open() has found it. */
bool	 diag_is_unix(void);
uint64_t diag_listener(void);			/* its inode */
/*
 * Asks for one unix socket, by its inode. show: UDIAG_SHOW_*. As
 * netlink_ask().
 */
int	 diag_ask_unix(uint64_t inode, uint32_t show, netlink_taker *take,
	    void *arg);
/* Asks for all listening unix sockets of the host. */
int	 diag_ask_listeners(uint32_t show, netlink_taker *take, void *arg);
/*
 * Asks for the TCP connections of our listen socket in the given states,
 * without those of other sockets on this port (of another address, family or
 * device). Returns as netlink_ask(). ENOENT: our own socket is not seen.
 * EADDRINUSE: another socket shares our address (SO_REUSEPORT); take() has had
 * the connections of both. The kernel walks the table of all connections,
 * which takes a third of a millisecond on a quiet host.
 */
int	 diag_ask_tcp(uint32_t states, netlink_taker *take, void *arg);
/*
 * Asks for one TCP connection; this is cheap. Fails with ENOENT or ESTALE if
 * the connection is gone.
 */
int	 diag_ask_connection(const struct inet_diag_sockid *id,
	    netlink_taker *take, void *arg);
/* The attribute of that type behind a unix_diag_msg, or NULL. */
const void *diag_attribute(const struct nlmsghdr *h, int type, size_t *len);

#endif
