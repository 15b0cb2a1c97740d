/* SPDX-License-Identifier: ISC */
/* Addresses and networks of clients, ADDR[/LEN]; no name is looked up. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include <sys/types.h>
#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

#define NETWORK_SIZE	52	/* of ADDR/LEN as text, with the NUL */
#define NETWORK_WHY	192	/* bytes of a reason, with the NUL */
/* As much of a wrong one as a message shows, for %.*s. */
#define NETWORK_SHOWN(len) ((int)((len) < NETWORK_SIZE ? (len) : NETWORK_SIZE))

/* An address, or all that begin with the same bits. */
struct network {
	sa_family_t	 family;	/* AF_INET, AF_INET6 */
	uint8_t		 addr[16];	/* IPv4: the first four */
	unsigned int	 len;		/* bits; of one address all */
};

/*
 * Parses ADDR or ADDR/LEN, len bytes at s; what is behind them is text, too,
 * or a NUL. IPv4 in IPv6's form (::ffff:192.0.2.1) becomes IPv4. Returns 0, or
 * -1 with the reason in why.
 */
int	 network_parse(const char *s, size_t len, struct network *n,
	    char why[NETWORK_WHY]);
/* That one address; of another family than these two it is in no network. */
void	 network_of(const struct sockaddr_storage *ss, struct network *n);
/* Writes ADDR, or ADDR/LEN. Returns buf. */
const char *network_text(const struct network *n, char buf[NETWORK_SIZE]);
/*
 * Sorts n networks, IPv4 first and then by address, and leaves out what is in
 * another. Returns how many are left.
 */
size_t	 network_sort(struct network *list, size_t n);
/* Is all of `one` in a network of the list? */
bool	 network_holds(const struct network *list, size_t n,
	    const struct network *one);

#endif
