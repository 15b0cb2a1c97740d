/* SPDX-License-Identifier: ISC */
/*
 * bare.c's answers by one event loop, so many connections at a time: with
 * that many it leaves further ones in the listen queue.
 *
 *   events CONNECTIONS
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "whole.h"

#define CLIENTS_MAX	256
#define FOREVER		INT64_MAX

struct client {
	int	fd;
	int64_t	due;		/* ms; when it is answered; FOREVER */
	size_t	have;
	unsigned int size;
	char	token[128];
	unsigned char request[4096];
};

static struct client clients[CLIENTS_MAX];
static int nclients;

static int64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* Reads what there is. Returns -1 when that is the end of it. */
static int
hear(struct client *c)
{
	static const char name[] = "QUERY_STRING";
	char query[256];
	unsigned int ms = 0;
	unsigned char *p;
	ssize_t n;

	n = read(c->fd, c->request + c->have, sizeof(c->request) - c->have);
	if (n <= 0)
		return -1;
	c->have += (size_t)n;
	if (!is_whole(c->request, c->have))
		return 0;
	p = memmem(c->request, c->have, name, sizeof(name) - 1);
	if (p == NULL)
		return -1;
	/* The two lengths of a pair stand before its name. */
	snprintf(query, sizeof(query), "%.*s", p[-1] & 0x7f,
	    (char *)p + sizeof(name) - 1);
	sscanf(query, "%127s %u %u", c->token, &ms, &c->size);
	c->due = now() + ms;
	return 0;
}

static void
answer(const struct client *c)
{
	static unsigned char b[8 + 65535 + 16] = { 1, 6, 0, 1 };
	static const unsigned char end[16] = { 1, 3, 0, 1, 0, 8 };
	unsigned int size = c->size < 60000 ? c->size : 60000;
	size_t n;

	n = (size_t)snprintf((char *)b + 8, 512, "Status: 200 OK\r\n"
	    "Content-Type: text/plain\r\n\r\n%s %d\n", c->token,
	    (int)getpid());
	memset(b + 8 + n, 'x', size);
	n += size;
	b[4] = (unsigned char)(n >> 8);
	b[5] = (unsigned char)n;
	memcpy(b + 8 + n, end, sizeof(end));
	send(c->fd, b, 8 + n + sizeof(end), MSG_NOSIGNAL);
}

static void
add(void)
{
	int fd = accept(STDIN_FILENO, NULL, NULL);

	if (fd != -1)
		clients[nclients++] = (struct client){ .fd = fd,
		    .due = FOREVER };
}

/* Those that are due are answered, and the last takes an ended one's place. */
static void
serve(const struct pollfd *p)
{
	int64_t t = now();
	int i;

	for (i = nclients - 1; i >= 0; i--) {
		struct client *c = &clients[i];

		if (c->due == FOREVER && (p[i].revents == 0 || hear(c) == 0))
			continue;
		if (c->due != FOREVER && c->due > t)
			continue;
		if (c->due != FOREVER)
			answer(c);
		close(c->fd);
		*c = clients[--nclients];
	}
}

/* How long, in ms, until one is due. */
static int
patience(void)
{
	int64_t first = FOREVER, t = now();
	int i;

	for (i = 0; i < nclients; i++)
		first = clients[i].due < first ? clients[i].due : first;
	if (first == FOREVER)
		return -1;
	return first > t ? (int)(first - t) : 0;
}

int
main(int argc, char *argv[])
{
	static struct pollfd p[CLIENTS_MAX + 1];
	int i, n, max = argc > 1 ? atoi(argv[1]) : CLIENTS_MAX;

	for (;;) {
		for (i = 0; i < nclients; i++)
			p[i] = (struct pollfd){ .fd = clients[i].due ==
			    FOREVER ? clients[i].fd : -1, .events = POLLIN };
		n = nclients;
		p[n] = (struct pollfd){ .fd = n < max ? STDIN_FILENO : -1,
		    .events = POLLIN };
		if (poll(p, (nfds_t)n + 1, patience()) == -1)
			return 1;
		serve(p);
		/* Each time: spawnd clears the flag for all at a start. */
		if (p[n].revents != 0 && fcntl(STDIN_FILENO, F_SETFL,
		    fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK) == 0)
			add();
	}
}
