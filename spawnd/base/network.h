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
 * Parses the len bytes at s, ADDR or ADDR/LEN, into *n. They are part of a
 * string with a NUL, which is also looked at to explain a mistake. IPv4 in
 * IPv6's form (::ffff:192.0.2.1) becomes IPv4. Returns 0, or -1 with the reason
 * in why.
 */
int	 network_parse(const char *s, size_t len, struct network *n,
	    char why[NETWORK_WHY]);
/*
 * Sets *n to that one address, IPv4 in IPv6's form as above. One of another
 * family gets the family 0, and is in no network.
 */
void	 network_of(const struct sockaddr_storage *ss, struct network *n);
/* Writes ADDR, or ADDR/LEN. Returns buf. */
const char *network_text(const struct network *n, char buf[NETWORK_SIZE]);
/*
 * Sorts n networks in place, IPv4 first and then by address, and drops those
 * that are in another one. Returns how many are left.
 */
size_t	 network_sort(struct network *list, size_t n);
/* Is all of `one` in one of the n networks, in whatever order? */
bool	 network_holds(const struct network *list, size_t n,
	    const struct network *one);

#endif
