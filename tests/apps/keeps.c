/* SPDX-License-Identifier: ISC */
/*
 * An event loop that keeps its connections open as long as its clients do, as
 * Node.js and Go programs do, but by epoll(7) and nothing else: whether it is
 * busy can be seen. Its answer's body is its pid.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "whole.h"

static int
answer(int fd)
{
	static const unsigned char end[16] = { 1, 3, 0, 1, 0, 8 };
	unsigned char b[256] = { 1, 6, 0, 1 };
	int n = snprintf((char *)b + 8, 200, "Status: 200 OK\r\n\r\n%d\n",
	    (int)getpid());

	b[5] = (unsigned char)n;
	memcpy(b + 8 + n, end, sizeof(end));
	return send(fd, b, 8 + (size_t)n + sizeof(end), MSG_NOSIGNAL) > 0;
}

/* A request comes in one piece here; returns 0 when there are no more. */
static int
serve(int fd)
{
	unsigned char request[4096];
	ssize_t n = read(fd, request, sizeof(request));

	return n > 0 && (!is_whole(request, (size_t)n) || answer(fd));
}

int
main(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd, loop = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
	for (;;) {
		if (epoll_wait(loop, &ev, 1, -1) != 1)
			continue;	/* a tracer has come or gone */
		fd = ev.data.fd;
		if (fd != STDIN_FILENO) {
			if (!serve(fd))
				close(fd);
			continue;
		}
		/* Each time: spawnd clears the flag for all at a start. */
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		if ((fd = accept(STDIN_FILENO, NULL, NULL)) == -1)
			continue;
		ev = (struct epoll_event){ .events = EPOLLIN,
		    .data.fd = fd };
		epoll_ctl(loop, EPOLL_CTL_ADD, fd, &ev);
	}
}
