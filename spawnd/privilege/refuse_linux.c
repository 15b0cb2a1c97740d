/* SPDX-License-Identifier: ISC */
/*
 * Keeps new connections out of a listening TCP socket, on Linux: the socket is
 * bound to a network interface that does not exist. No packet of a new
 * connection comes in by it, so each is refused. Those that the kernel knows
 * already, in the queue or in the middle of their handshake, have the
 * interface that the socket had when they began, and come through.
 */
#include <sys/socket.h>

#include <limits.h>

#include "privilege/privilege.h"

int
refuse_new(int fd)
{
	int none = INT_MAX;	/* Interfaces are counted from 1. */

	return setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &none,
	    sizeof(none));
}
