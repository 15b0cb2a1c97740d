/* SPDX-License-Identifier: ISC */
/*
 * The load generator: clients that send FastCGI requests one after another,
 * each over a connection of its own, never twice, and check each answer.
 *
 *   load SOCKET|ADDR:PORT CLIENTS SECONDS MS [SIZE [SCRIPT [QUERY]]]
 *
 * Each request carries a token that the answer must bring back, sleeps MS in
 * the worker and asks for SIZE bytes; SCRIPT is for applications that want a
 * SCRIPT_FILENAME, QUERY, to which the token is appended, for those that do
 * not take "TOKEN MS SIZE". At the end, on one line:
 *
 *   sent N answered N failed N connect N cut N wrong N late N gap_us N busy N
 *
 * sent = answered + failed; failed is the sum of the kinds. connect: it was
 * refused or reset; cut: the answer ended too soon; wrong: it was another's;
 * late: none within 10 s. gap_us is the longest time without any answer, busy
 * the clients' time in requests, in percent.
 */
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX	1024

enum kind { ANSWERED, CONNECT, CUT, WRONG, LATE, NKINDS };

static struct sockaddr_storage address;
static socklen_t address_len;
static uint64_t until;
static unsigned int ms, size;
static const char *script = "", *own_query;
static atomic_ulong counts[NKINDS], busy;
static atomic_ulong last, gap;

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
note_answer(uint64_t t)
{
	uint64_t before = atomic_exchange(&last, t), longest;

	if (t < before)
		return;
	longest = atomic_load(&gap);
	while (t - before > longest &&
	    !atomic_compare_exchange_weak(&gap, &longest, t - before))
		continue;
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

static size_t
request(unsigned char *b, const char *query)
{
	char uri[160];
	static const unsigned char begin[] = { 1, 1, 0, 1, 0, 8, 0, 0, 0, 1,
	    0, 0, 0, 0, 0, 0 };
	static const unsigned char ends[] = { 1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0,
	    1, 0, 0, 0, 0 };
	unsigned char *params = b + sizeof(begin);
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

static enum kind
ask(const char *token, const char *query)
{
	static _Thread_local unsigned char b[140000];
	struct timeval patience = { .tv_sec = 10 };
	enum kind kind = CONNECT;
	size_t len, have = 0;
	ssize_t n;
	int fd;

	fd = socket(address.ss_family, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	len = request(b, query);
	if (connect(fd, (struct sockaddr *)&address, address_len) == 0 &&
	    send(fd, b, len, MSG_NOSIGNAL) == (ssize_t)len) {
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
	return kind;
}

static void *
client(void *arg)
{
	char token[64], query[144];
	unsigned long i;
	uint64_t t;
	enum kind kind;

	for (i = 0; (t = now()) < until; i++) {
		snprintf(token, sizeof(token), "t%d-%lu-%d", (int)getpid(),
		    i, (int)(intptr_t)arg);
		if (own_query != NULL)
			snprintf(query, sizeof(query), "%s%s", own_query,
			    token);
		else
			snprintf(query, sizeof(query), "%s %u %u", token, ms,
			    size);
		kind = ask(token, query);
		atomic_fetch_add(&counts[kind], 1);
		atomic_fetch_add(&busy, now() - t);
		if (kind == ANSWERED)
			note_answer(now());
		else if (kind == CONNECT)
			usleep(1000);	/* do not drown what is refused */
	}
	return NULL;
}

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

int
main(int argc, char *argv[])
{
	static pthread_t threads[CLIENTS_MAX];
	unsigned long failed, all;
	int clients, i;
	uint64_t began = now();
	double seconds;

	if (argc < 5 || (argc > 6 && strlen(argv[6]) > 127) ||
	    (argc > 7 && strlen(argv[7]) > 63) ||
	    parse(argv[1]) == -1 || (clients = atoi(argv[2])) < 1 ||
	    clients > CLIENTS_MAX) {
		fprintf(stderr, "usage: load SOCKET|ADDR:PORT CLIENTS SECONDS "
		    "MS [SIZE [SCRIPT [QUERY]]]\n");
		return 64;
	}
	seconds = atof(argv[3]);
	ms = (unsigned int)atoi(argv[4]);
	size = argc > 5 ? (unsigned int)atoi(argv[5]) : 0;
	script = argc > 6 ? argv[6] : "";
	own_query = argc > 7 ? argv[7] : NULL;
	until = began + (uint64_t)(seconds * 1e6);
	atomic_store(&last, began);
	for (i = 0; i < clients; i++) {
		if (pthread_create(&threads[i], NULL, client,
		    (void *)(intptr_t)i) != 0)
			return 71;
	}
	for (i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	failed = counts[CONNECT] + counts[CUT] + counts[WRONG] + counts[LATE];
	all = counts[ANSWERED] + failed;
	printf("sent %lu answered %lu failed %lu connect %lu cut %lu wrong "
	    "%lu late %lu gap_us %lu busy %lu\n", all, counts[ANSWERED],
	    failed, counts[CONNECT], counts[CUT], counts[WRONG], counts[LATE],
	    gap, busy / (unsigned long)clients * 100 /
	    (unsigned long)(now() - began));
	return 0;
}
