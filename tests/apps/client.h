/* SPDX-License-Identifier: ISC */
/* What clients of the test workers have in common. */
#ifndef CLIENT_H
#define CLIENT_H

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_storage address;
static socklen_t address_len;
static unsigned int ms;
static const char *script = "";

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static size_t
put_pair(unsigned char *b, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);

	b[0] = (unsigned char)n;
	b[1] = (unsigned char)v;
	memcpy(b + 2, name, n);
	memcpy(b + 2 + n, value, v);
	return 2 + n + v;
}

/* SOCKET or ADDR:PORT. */
static int
parse(const char *s)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&address;
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	char host[64];
	int port;

	if (s[0] == '/') {
		un->sun_family = AF_UNIX;
		strncpy(un->sun_path, s, sizeof(un->sun_path) - 1);
		address_len = sizeof(*un);
		return 0;
	}
	if (sscanf(s, "%63[0-9.]:%d", host, &port) != 2 ||
	    inet_pton(AF_INET, host, &in->sin_addr) != 1)
		return -1;
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	address_len = sizeof(*in);
	return 0;
}

#endif
