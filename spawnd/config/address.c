/* SPDX-License-Identifier: ISC */
/* Addresses of listen sockets; no name is looked up. */
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "base/path.h"
#include "config/phases.h"

#define IPV4_ALONE	"0.0.0.0"
#define IPV6_ALONE	"::"

socklen_t
address_parse(const char *address, int port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((in_port_t)port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((in_port_t)port);
		return sizeof(*in6);
	}
	return 0;
}

int
address_of_listener(int fd, struct sockaddr_storage *ss)
{
	int type, listening;
	socklen_t len = sizeof(type);

	memset(ss, 0, sizeof(*ss));
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1 ||
	    type != SOCK_STREAM)
		return -1;
	len = sizeof(listening);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening,
	    &len) == -1 || listening == 0)
		return -1;
	len = sizeof(*ss);
	if (getsockname(fd, (struct sockaddr *)ss, &len) == -1)
		return -1;
	return ss->ss_family == AF_UNIX || ss->ss_family == AF_INET ||
	    ss->ss_family == AF_INET6 ? 0 : -1;
}

bool
address_is_reachable(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;

	if (ss->ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 != 127;
	return ss->ss_family == AF_INET6 &&
	    !IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) &&
	    !(IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) &&
	    in6->sin6_addr.s6_addr[12] == 127);
}

static bool
is_every_ipv6(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 *in6 = (const void *)ss;

	return ss->ss_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

/* Does that socket of IPv6 take IPv4 as well? Returns -1 with errno set. */
static int
takes_ipv4(int fd)
{
	int only = 1;
	socklen_t len = sizeof(only);

	if (getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == -1)
		return -1;
	return only == 0;
}

/*
 * Would a new one? With ask it is set so, else it is as the system has it.
 * Returns -1 with errno set if there is no such socket.
 */
static int
would_take_ipv4(bool ask)
{
	int fd, off = 0;

	if ((fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	/* Where the option cannot be changed, it still has its value. */
	if (ask)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off,
		    sizeof(off));
	return path_close(fd, takes_ipv4(fd));
}

int
address_name(struct plan *p, int fd)
{
	const struct sockaddr_in *in = (const void *)&p->addr;
	const struct sockaddr_in6 *in6 = (const void *)&p->addr;
	char text[INET6_ADDRSTRLEN] = "?";

	if (is_every_ipv6(&p->addr) && fd != -1)
		p->both_families = takes_ipv4(fd) == 1;
	if (p->addr.ss_family == AF_INET)
		return asprintf(&p->socket_name, "tcp:%s:%d",
		    inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)),
		    ntohs(in->sin_port)) == -1 ? -1 : 0;
	if (p->both_families)
		return asprintf(&p->socket_name, "tcp:" ANY_ADDRESS ":%d",
		    ntohs(in6->sin6_port)) == -1 ? -1 : 0;
	return asprintf(&p->socket_name, "tcp:[%s]:%d", inet_ntop(AF_INET6,
	    &in6->sin6_addr, text, sizeof(text)), ntohs(in6->sin6_port)) ==
	    -1 ? -1 : 0;
}

/* "*": one socket for IPv4 and IPv6, or where there is no IPv6 for IPv4. */
static int
plan_both(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	const char *a = IPV6_ALONE;
	int both = would_take_ipv4(true);

	if (both == -1 && (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT))
		a = IPV4_ALONE;
	else if (both == -1)
		return err_set(e, EX_OSERR, "%s: %s: %s", OPT(c, address),
		    ANY_ADDRESS, strerror(errno));
	else if (both == 0)
		return err_set(e, EX_CONFIG, "%s: " ANY_ADDRESS ": no socket "
		    "is for both IPv4 and IPv6 on this system (start two "
		    "pools, with %s " IPV4_ALONE " and %s " IPV6_ALONE ")",
		    OPT(c, address), OPT(c, address), OPT(c, address));
	p->addrlen = address_parse(a, c->port, &p->addr);
	p->both_families = both == 1;
	return 0;
}

/* It is no literal address: perhaps it has brackets or a port around one. */
static int
refuse_address(const struct conf *c, const char *a, struct err *e)
{
	bool brackets = a[0] == '[';
	size_t len = strcspn(a + brackets, brackets ? "]" : ":");
	const char *rest = a + brackets + len;
	char plain[INET6_ADDRSTRLEN] = "";
	struct sockaddr_storage ss;

	if (len < sizeof(plain))
		strlcpy(plain, a + brackets, len + 1);
	rest += brackets && *rest != '\0';
	if (address_parse(plain, 0, &ss) != 0 || (!c->system_families &&
	    strcmp(plain, ANY_ADDRESS) == 0)) {
		if (brackets && *rest == '\0')
			return err_set(e, EX_USAGE, "%s: %s: brackets are not "
			    "allowed (write %s)", OPT(c, address), a, plain);
		if (*rest == ':')
			return err_set(e, EX_USAGE, "%s: %s: has a port, for "
			    "which there is %s (write %s %s)", OPT(c, address),
			    a, OPT(c, port), OPT(c, address), plain);
	}
	return err_set(e, EX_USAGE, "%s: %s: not an IPv4 or IPv6 address "
	    "(names are not looked up)", OPT(c, address), a);
}

int
address_plan(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	const char *a = c->address != NULL ? c->address : DEFAULT_ADDRESS;
	const struct sockaddr_in6 *in6 = (const void *)&p->addr;

	if (strcmp(a, ANY_ADDRESS) == 0 && !c->system_families) {
		if (plan_both(p, e) == -1)
			return -1;
	} else if ((p->addrlen = address_parse(a, c->port, &p->addr)) == 0)
		return refuse_address(c, a, e);
	if (p->addr.ss_family == AF_INET6 &&
	    (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ||
	    IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)))
		return err_set(e, EX_USAGE, "%s: %s: cannot be listened on "
		    "(write an IPv4 address as such; a link-local one does not "
		    "say which link)", OPT(c, address), a);
	if (c->system_families && is_every_ipv6(&p->addr))
		p->both_families = would_take_ipv4(false) == 1;
	return address_name(p, -1) == -1 ? err_set(e, EX_OSERR,
	    "out of memory") : 0;
}

void
address_check(const struct plan *p, struct findings *f)
{
	const struct conf *c = p->conf;

	if (p->addr.ss_family == AF_INET && c->address != NULL &&
	    strcmp(c->address, ANY_ADDRESS) == 0)
		findings_add(f, FINDING_NOTE, 0, "%s: " ANY_ADDRESS ": there "
		    "is no IPv6 here: IPv4 alone", OPT(c, address));
}
