/* SPDX-License-Identifier: ISC */
/* Addresses of listen sockets; no name is looked up. */
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <string.h>

#include "config/phases.h"

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
