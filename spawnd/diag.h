/* SPDX-License-Identifier: ISC */
/* What diag_linux.c, load_linux.c and queue_linux.c share: sock_diag(7). */
#ifndef DIAG_H
#define DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
/* Asks for all unix sockets that listen, of whomever. */
int	 diag_ask_listeners(uint32_t show, netlink_taker *take, void *arg);
/*
 * Asks for the TCP connections of our listen socket in the given states: not
 * for those that other sockets on this port, of another address, family or
 * device, were given. Returns as netlink_ask(); ENOENT: our own socket is not
 * seen, EADDRINUSE: another one shares its address (SO_REUSEPORT), and whose
 * they are cannot be told, though take() has had them all. The kernel walks
 * the table of all connections, which takes a third of a millisecond on a
 * quiet host.
 */
int	 diag_ask_tcp(uint32_t states, netlink_taker *take, void *arg);
/*
 * Asks for one TCP connection, which costs next to nothing. Fails with ENOENT
 * or ESTALE where it is gone.
 */
int	 diag_ask_connection(const struct inet_diag_sockid *id,
	    netlink_taker *take, void *arg);
/* The attribute of that type behind a unix_diag_msg, or NULL. */
const void *diag_attribute(const struct nlmsghdr *h, int type, size_t *len);

#endif
