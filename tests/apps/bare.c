/* SPDX-License-Identifier: ISC */
/*
 * A worker as plain as can be: no library, no signal handler, one request a
 * connection. Whoever ends it blindly loses what it serves.
 *
 * QUERY_STRING is "TOKEN", "TOKEN MS" to sleep so long, "TOKEN MS SIZE", or
 * "TOKEN MS SIZE CALLS" to make so many system calls. The answer's body is
 * TOKEN, a space, the pid, a newline, SIZE times "x", and what was posted.
 *
 *   bare [KB] [socket] [max N]
 *
 * KB: so much it leaks at each request; socket: holds another socket, too, as
 * one that asks a database; max: serves N requests, then exits 0.
 */
#include <sys/socket.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BEGIN		1
#define END		3
#define PARAMS		4
#define STDIN		5
#define STDOUT		6

static unsigned char posted[4 << 20];
static size_t nposted;

static int
take(int fd, void *to, size_t len)
{
	char *p = to;
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n) {
		if ((n = read(fd, p, len)) <= 0)
			return -1;
	}
	return 0;
}

static int
give(int fd, int type, const void *body, size_t len)
{
	static unsigned char record[8 + 65535] = { 1, 0, 0, 1 };
	size_t done = 0;
	ssize_t n;

	record[1] = (unsigned char)type;
	record[4] = (unsigned char)(len >> 8);
	record[5] = (unsigned char)len;
	memcpy(record + 8, body, len);
	for (; done < len + 8; done += (size_t)n) {
		n = send(fd, record + done, len + 8 - done, MSG_NOSIGNAL);
		if (n <= 0)
			return -1;
	}
	return 0;
}

/* The value of QUERY_STRING; short names and values are enough here. */
static void
find_query(const unsigned char *p, size_t len, char *query, size_t size)
{
	size_t name, value;

	while (len >= 2) {
		name = p[0];
		value = p[1];
		if (name > 127 || value > 127 || len < 2 + name + value)
			return;
		if (name == strlen("QUERY_STRING") && value < size &&
		    memcmp(p + 2, "QUERY_STRING", name) == 0) {
			memcpy(query, p + 2 + name, value);
			query[value] = '\0';
		}
		p += 2 + name + value;
		len -= 2 + name + value;
	}
}

/* What was posted, in records of the greatest size. */
static int
give_posted(int fd)
{
	size_t done, n;

	for (done = 0; done < nposted; done += n) {
		n = nposted - done < 65535 ? nposted - done : 65535;
		if (give(fd, STDOUT, posted + done, n) == -1)
			return -1;
	}
	return 0;
}

static int
answer(int fd, const char *query)
{
	static const unsigned char end[8];
	static char body[65535];
	char token[128] = "";
	unsigned int ms = 0, size = 0, calls = 0;
	struct timespec pause;
	size_t n;

	sscanf(query, "%127s %u %u %u", token, &ms, &size, &calls);
	if (ms > 0) {
		pause.tv_sec = ms / 1000;
		pause.tv_nsec = ms % 1000 * 1000000L;
		nanosleep(&pause, NULL);
	}
	while (calls-- > 0)
		(void)getppid();
	n = (size_t)snprintf(body, 512, "Status: 200 OK\r\n"
	    "Content-Type: text/plain\r\n\r\n%s %d\n", token, (int)getpid());
	if (size > sizeof(body) - n)
		size = (unsigned int)(sizeof(body) - n);
	memset(body + n, 'x', size);
	if (give(fd, STDOUT, body, n + size) == -1 ||
	    give_posted(fd) == -1 || give(fd, STDOUT, "", 0) == -1)
		return -1;
	return give(fd, END, end, sizeof(end));
}

static void
serve(int fd)
{
	static unsigned char params[65536], body[65536];
	unsigned char h[8];
	char query[256] = "";
	size_t len, have = 0;

	nposted = 0;
	while (take(fd, h, sizeof(h)) == 0) {
		len = (size_t)h[4] << 8 | h[5];
		if (take(fd, body, len + h[6]) == -1)
			return;
		if (h[1] == PARAMS && have + len <= sizeof(params)) {
			memcpy(params + have, body, len);
			have += len;
		}
		if (h[1] == STDIN && nposted + len <= sizeof(posted)) {
			memcpy(posted + nposted, body, len);
			nposted += len;
		}
		if (h[1] == STDIN && len == 0) {
			find_query(params, have, query, sizeof(query));
			answer(fd, query);
			return;
		}
	}
}

int
main(int argc, char *argv[])
{
	static char *p;		/* the last that was not freed */
	size_t leak = 0;
	long left = -1;
	int fd, i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "socket") == 0) {
			if (socket(AF_UNIX, SOCK_STREAM, 0) == -1)
				return 1;
		} else if (strcmp(argv[i], "max") == 0 && i + 1 < argc)
			left = atol(argv[++i]);
		else
			leak = (size_t)atoi(argv[i]) << 10;
	}
	while (left != 0 && (fd = accept(STDIN_FILENO, NULL, NULL)) != -1) {
		serve(fd);
		close(fd);
		if (leak > 0 && (p = malloc(leak)) != NULL)
			memset(p, 1, leak);
		if (left > 0)
			left--;
	}
	return left == 0 ? 0 : 1;
}
