/* SPDX-License-Identifier: ISC */
/*
 * A client of the test workers: one request over a connection of its own,
 * sent once, and the answer checked. The request's QUERY_STRING is "TOKEN MS
 * SIZE", see bare.c.
 */
#ifndef ASK_H
#define ASK_H

#include "client.h"

enum kind { ANSWERED, CONNECT, CUT, WRONG, LATE, REFUSED, NKINDS };

static unsigned int size;

static size_t
request(unsigned char *b, const char *query)
{
	static const unsigned char begin[] = { 1, 1, 0, 1, 0, 8, 0, 0, 0, 1,
	    0, 0, 0, 0, 0, 0 };
	static const unsigned char ends[] = { 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0,
	    1, 0, 0, 0, 0 };
	unsigned char *params = b + sizeof(begin);
	char uri[160];
	size_t n = 8;

	snprintf(uri, sizeof(uri), "/load?%s", query);
	memcpy(b, begin, sizeof(begin));
	n += put_pair(params + n, "QUERY_STRING", query);
	n += put_pair(params + n, "REQUEST_METHOD", "GET");
	n += put_pair(params + n, "REQUEST_URI", uri);
	n += put_pair(params + n, "SCRIPT_NAME", "/load");
	n += put_pair(params + n, "SCRIPT_FILENAME", script);
	n += put_pair(params + n, "SERVER_PROTOCOL", "HTTP/1.1");
	memcpy(params, (const unsigned char[]){ 1, 4, 0, 1,
	    (unsigned char)((n - 8) >> 8), (unsigned char)(n - 8), 0, 0 }, 8);
	memcpy(params + n, ends, sizeof(ends));
	return sizeof(begin) + n + sizeof(ends);
}

/* Is this whole stream of records the answer to that token? */
static enum kind
check(const unsigned char *b, size_t n, const char *token)
{
	static _Thread_local char body[70000];
	size_t len, have = 0;
	char want[160], *start;
	int ended = 0;

	while (n >= 8) {
		len = (size_t)b[4] << 8 | b[5];
		if (n < 8 + len + b[6])
			return CUT;
		if (b[1] == 6 && have + len < sizeof(body)) {
			memcpy(body + have, b + 8, len);
			have += len;
		}
		if (b[1] == 3)
			ended = 1;
		n -= 8 + len + b[6];
		b += 8 + len + b[6];
	}
	if (!ended || n != 0)
		return CUT;
	body[have] = '\0';
	snprintf(want, sizeof(want), "\r\n\r\n%s ", token);
	if ((start = strstr(body, want)) == NULL)
		return WRONG;
	start = strchr(start + strlen(want), '\n');
	if (start == NULL || strlen(start + 1) != size)
		return WRONG;
	return ANSWERED;
}

static bool half_close;	/* after the request */

#define HURRY	1900000	/* usec that libfcgi waits for a request's first byte */

/*
 * Connects and sends. Whoever is kept from the cpu for so long, once the
 * kernel has connected it, that the worker has closed the connection has sent
 * nothing, and says it again.
 */
static enum kind
say(int fd, const unsigned char *b, size_t len, bool *again)
{
	uint64_t began;

	*again = false;
	began = now();
	if (connect(fd, (struct sockaddr *)&address, address_len) == -1)
		return errno == ECONNREFUSED || errno == ENOENT ? REFUSED :
		    CONNECT;
	if (send(fd, b, len, MSG_NOSIGNAL) == (ssize_t)len)
		return ANSWERED;
	*again = errno == EPIPE && now() - began > HURRY;
	return CONNECT;
}

static enum kind
ask(const char *token, const char *query)
{
	static _Thread_local unsigned char b[140000];
	struct timeval patience = { .tv_sec = 60 };
	enum kind kind;
	size_t len, have = 0;
	ssize_t n;
	bool again;
	int fd;

	fd = socket(address.ss_family, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	len = request(b, query);
	kind = say(fd, b, len, &again);
	if (kind == ANSWERED) {
		if (half_close)
			shutdown(fd, SHUT_WR);
		while ((n = recv(fd, b + have, sizeof(b) - have, 0)) > 0)
			have += (size_t)n;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			kind = LATE;
		else if (n == -1 && have == 0)
			kind = CONNECT;
		else
			kind = check(b, have, token);
	}
	close(fd);
	return again ? ask(token, query) : kind;
}

#endif
