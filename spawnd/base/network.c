/* SPDX-License-Identifier: ISC */
/* Addresses and networks of clients, ADDR[/LEN]; no name is looked up. */
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/network.h"

#define MAPPED		96	/* bits before the IPv4 address in IPv6 */
#define BITS(family)	((family) == AF_INET ? 32U : 128U)

/* Returns the address's family, or 0 if it is none. */
static sa_family_t
parse_address(const char *s, size_t len, uint8_t addr[16])
{
	char text[INET6_ADDRSTRLEN];

	if (len >= sizeof(text))
		return 0;
	memcpy(text, s, len);
	text[len] = '\0';
	memset(addr, 0, 16);
	if (inet_pton(AF_INET, text, addr) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, addr) == 1 ? AF_INET6 : 0;
}

/* It is no address: perhaps there is one in brackets, or before a port. */
static int
explain_network(const char *s, size_t len, char why[NETWORK_WHY])
{
	bool brackets;
	uint8_t addr[16];

	while (len > 0 && isspace((unsigned char)*s))
		s++, len--;
	brackets = len > 0 && *s == '[';
	s += brackets;
	len = strcspn(s, brackets ? "],/" : ":,/ \t");
	if (parse_address(s, len, addr) != 0)
		snprintf(why, NETWORK_WHY, "not an address alone (write %.*s)",
		    (int)len, s);
	else
		strlcpy(why, "not an IPv4 or IPv6 address, or ADDRESS/LENGTH "
		    "(names are not looked up)", NETWORK_WHY);
	return -1;
}

/* Digits alone, without a zero before others. */
static bool
parse_length(const char *s, size_t len, unsigned int max, unsigned int *bits)
{
	size_t i;

	if (len == 0 || len > 3 || (len > 1 && s[0] == '0'))
		return false;
	for (*bits = 0, i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		*bits = *bits * 10 + (unsigned int)(s[i] - '0');
	}
	return *bits <= max;
}

/* Clears all bits but the first n->len. Returns true if one was set. */
static bool
clear_rest(struct network *n)
{
	bool any = false;
	unsigned int i, keep;

	for (i = 0; i < 16; i++) {
		keep = n->len >= 8 * (i + 1) ? 0xff : n->len <= 8 * i ? 0 :
		    0xffU << (8 - n->len % 8);
		any |= (n->addr[i] & ~keep) != 0;
		n->addr[i] = (uint8_t)(n->addr[i] & keep);
	}
	return any;
}

/* A client of IPv4 sends IPv4, also to a socket on which it has IPv6's form. */
static void
unmap(struct network *n)
{
	static const uint8_t prefix[MAPPED / 8] = { [10] = 0xff, 0xff };

	if (n->family != AF_INET6 || n->len < MAPPED ||
	    memcmp(n->addr, prefix, sizeof(prefix)) != 0)
		return;
	n->family = AF_INET;
	n->len -= MAPPED;
	memmove(n->addr, n->addr + sizeof(prefix), 4);
	memset(n->addr + 4, 0, 12);
}

int
network_parse(const char *s, size_t len, struct network *n,
    char why[NETWORK_WHY])
{
	const char *slash = memchr(s, '/', len);
	size_t addrlen = slash != NULL ? (size_t)(slash - s) : len;
	char text[NETWORK_SIZE];
	unsigned int max;

	memset(n, 0, sizeof(*n));
	if ((n->family = parse_address(s, addrlen, n->addr)) == 0)
		return explain_network(s, len, why);
	max = BITS(n->family);
	if (slash == NULL)
		n->len = max;
	else if (!parse_length(slash + 1, len - addrlen - 1, max, &n->len)) {
		snprintf(why, NETWORK_WHY,
		    "has no length from 0 to %u behind the slash", max);
		return -1;
	}
	unmap(n);
	if (clear_rest(n)) {
		snprintf(why, NETWORK_WHY, "has more bits than the length "
		    "says (write %s for the network, %.*s for one address)",
		    network_text(n, text), (int)addrlen, s);
		return -1;
	}
	return 0;
}

void
network_of(const struct sockaddr_storage *ss, struct network *n)
{
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;

	memset(n, 0, sizeof(*n));
	if (ss->ss_family == AF_INET)
		memcpy(n->addr, &in->sin_addr, 4);
	else if (ss->ss_family == AF_INET6)
		memcpy(n->addr, &in6->sin6_addr, 16);
	else
		return;
	n->family = ss->ss_family;
	n->len = BITS(n->family);
	unmap(n);
}

const char *
network_text(const struct network *n, char buf[NETWORK_SIZE])
{
	char addr[INET6_ADDRSTRLEN] = "?";

	inet_ntop(n->family, n->addr, addr, sizeof(addr));
	if (n->len == BITS(n->family))
		strlcpy(buf, addr, NETWORK_SIZE);
	else
		snprintf(buf, NETWORK_SIZE, "%s/%u", addr, n->len);
	return buf;
}

/* IPv4 first, then by address, and a network before what is in it. */
static int
compare(const void *a, const void *b)
{
	const struct network *x = a, *y = b;
	int r = memcmp(x->addr, y->addr, 16);

	if (x->family != y->family)
		return x->family == AF_INET ? -1 : 1;
	return r != 0 ? r : (x->len > y->len) - (x->len < y->len);
}

static bool
contains(const struct network *n, const struct network *other)
{
	struct network start = *other;

	if (n->family != other->family || n->len > other->len)
		return false;
	start.len = n->len;
	clear_rest(&start);
	return memcmp(start.addr, n->addr, 16) == 0;
}

size_t
network_sort(struct network *list, size_t n)
{
	size_t i, kept = 0;

	if (n > 0)
		qsort(list, n, sizeof(*list), compare);
	for (i = 0; i < n; i++) {
		if (kept == 0 || !contains(&list[kept - 1], &list[i]))
			list[kept++] = list[i];
	}
	return kept;
}

bool
network_holds(const struct network *list, size_t n, const struct network *one)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (contains(&list[i], one))
			return true;
	}
	return false;
}
