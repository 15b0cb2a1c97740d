/* SPDX-License-Identifier: ISC */
/*
 * The cheapest server there can be, to see what the load generator can do: a
 * receive and a send a connection, nothing checked. It finds the token where
 * ask.h puts it.
 *
 *   null SOCKET WORKERS
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Begin, the record of parameters, the lengths and name of the first one. */
#define VALUE	(16 + 8 + 2 + sizeof("QUERY_STRING") - 1)

static void
serve(int fd)
{
	static const char head[] = "Status: 200 OK\r\n\r\n";
	static const char end[] = { 1, 6, 0, 1, 0, 0, 0, 0, 1, 3, 0, 1, 0, 8,
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	char in[1024], out[1024] = { 1, 6, 0, 1 }, *space;
	size_t token, n = 8;

	if (recv(fd, in, sizeof(in), 0) < (ssize_t)VALUE ||
	    (space = memchr(in + VALUE, ' ', 127)) == NULL)
		return;
	token = (size_t)(space - (in + VALUE)) + 1;
	memcpy(out + n, head, sizeof(head) - 1);
	n += sizeof(head) - 1;
	memcpy(out + n, in + VALUE, token);
	n += token;
	out[n++] = '\n';
	out[4] = (char)((n - 8) >> 8);
	out[5] = (char)(n - 8);
	memcpy(out + n, end, sizeof(end));
	send(fd, out, n + sizeof(end), MSG_NOSIGNAL);
}

int
main(int argc, char *argv[])
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, i, listener = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 3 || strlen(argv[1]) >= sizeof(un.sun_path)) {
		fprintf(stderr, "usage: null SOCKET WORKERS\n");
		return 64;
	}
	memcpy(un.sun_path, argv[1], strlen(argv[1]));
	if (bind(listener, (struct sockaddr *)&un, sizeof(un)) == -1 ||
	    listen(listener, 1024) == -1) {
		perror("null");
		return 71;
	}
	for (i = 1; i < atoi(argv[2]); i++) {
		if (fork() == 0)
			break;
	}
	while ((fd = accept(listener, NULL, NULL)) != -1) {
		serve(fd);
		close(fd);
	}
	return 1;
}
