/* SPDX-License-Identifier: ISC */
/* What diag_linux.c and load_linux.c share: asking sock_diag(7). */
#ifndef DIAG_H
#define DIAG_H

#include <stddef.h>
#include <stdint.h>

/*
 * Asks for one unix socket, by its inode, or for all TCP sockets of our port
 * in the given states. show: UDIAG_SHOW_*. As netlink_ask().
 */
int	 diag_ask_unix(uint64_t inode, uint32_t show, netlink_taker *take,
	    void *arg);
int	 diag_ask_tcp(uint32_t states, netlink_taker *take, void *arg);
/* The attribute of that type behind a unix_diag_msg, or NULL. */
const void *diag_attribute(const struct nlmsghdr *h, int type, size_t *len);

#endif
