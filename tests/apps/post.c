/* SPDX-License-Identifier: ISC */
/*
 * The load generator for what a program is told and tells back: clients that
 * post bodies of 1 byte to 2 MB, one after another, and check every byte of
 * the answers.
 *
 *   post [-k KEPT] [-m MOST] [-n REQUESTS] [-p PAUSE] [-s SCRIPT] [-x]
 *       SOCKET|ADDR:PORT CLIENTS MS
 *
 * CLIENTS clients ask without a pause, each time over a connection of its
 * own. KEPT further ones keep theirs, and pause PAUSE ms (300) between two
 * requests. A request sleeps MS in the worker. The bodies are of at most MOST
 * bytes (2 MB); they are sent in records of any size; every fifth of up to
 * 64 KB in small ones, with 2 ms between.
 *
 * It ends on SIGINT, with -x also when there is nobody to connect to: then
 * each client ends. With -n "enough" is printed after so many requests, and
 * it goes on. At the end, on one line:
 *
 *   sent N answered N refused N connect N reset N eof N short N wrong N late N
 *   stale N closed N busy N gap_us N
 *
 * sent = answered + all up to "late". refused: there was nobody to connect to;
 * connect: that failed otherwise; reset, eof: so the connection ended, before
 * a byte of the answer; short: in the middle of the answer; wrong: it was
 * whole, and not the one; late: none within 60 s.
 *
 * What is no failure is counted beside them. closed: a kept connection was
 * found closed before a request; stale: it was closed while the request was
 * on its way, which nobody has read: that one is sent again over another, as
 * web servers do. busy: the time of CLIENTS in requests, in percent. The first
 * failures are told on standard error.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <fcntl.h>
#include <poll.h>

#include "client.h"

enum fate { GOOD, NOBODY, NOT_LET_IN, RESET, ENDED, SHORT, OTHER, NEVER,
    STALE, NFATES };

#define CLIENTS_MAX	256
#define BODY_MAX	(2 << 20)
#define RECORD_MAX	65535
#define SMALL		65536	/* bytes: which may be sent slowly */
#define OUT_MAX		(BODY_MAX + BODY_MAX / 256 * 8 + 8192)
#define IN_MAX		(2 * BODY_MAX)
#define PATIENCE	60000000UL /* usec */
#define TOLD		8	/* failures */

struct client {
	int		 number, fd;
	bool		 keeps;
	uint64_t	 random;
	unsigned char	out[OUT_MAX], in[IN_MAX];
	size_t		 nout, nin, nsent;
	size_t		 piece[64];	/* of a slow body: where it pauses */
	int		 npieces;
	size_t		 body;		/* bytes; in out, by records */
	size_t		 seen;		/* of in, by at_end() */
};

static const char *const names[NFATES] = { "answered", "refused", "connect",
    "reset", "eof", "short", "wrong", "late", "stale" };
static volatile sig_atomic_t over;
static atomic_ulong fates[NFATES], asked, closed_idle, busy, lives, last, gap,
    told;
static unsigned long enough;
static unsigned int pause_ms = 300;
static size_t body_most = BODY_MAX;
static bool ends_refused;
static int nclients;

static uint64_t
draw(struct client *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random;
}

/* Mostly little; every size up to 2 MB comes, and that itself. */
static size_t
draw_size(struct client *c)
{
	uint64_t r = draw(c) % 100;

	if (r < 2)
		return BODY_MAX;
	if (r < 10)
		return 1;
	if (r < 14)
		return 1 + draw(c) % BODY_MAX;
	return 1 + draw(c) % ((size_t)1 << (1 + draw(c) % 16));
}

static void
put_record(struct client *c, int type, size_t n)
{
	unsigned char *h = c->out + c->nout;

	memcpy(h, (const unsigned char[]){ 1, (unsigned char)type, 0, 1,
	    (unsigned char)(n >> 8), (unsigned char)n, 0, 0 }, 8);
	c->nout += 8;
}

/* The byte at that place of a body: of no other body of this client. */
static unsigned char
byte_at(uint64_t seed, size_t at)
{
	uint64_t x = seed + at / 8 * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	return (unsigned char)(x >> at % 8 * 8);
}

static void
put_body(struct client *c, uint64_t seed, bool slowly)
{
	size_t n, at, i;

	c->npieces = 0;
	for (at = 0; at < c->body; at += n) {
		n = slowly ? 1 + c->body / 16 : 1 + draw(c) % RECORD_MAX;
		if (n < 256 && !slowly)
			n = 256;
		if (n > c->body - at)
			n = c->body - at;
		put_record(c, 5, n);
		for (i = 0; i < n; i++)
			c->out[c->nout++] = byte_at(seed, at + i);
		if (slowly && c->npieces < 64)
			c->piece[c->npieces++] = c->nout;
	}
	put_record(c, 5, 0);
}

static void
put_request(struct client *c, const char *token, uint64_t seed)
{
	char query[160], uri[200], length[24];
	unsigned char *params;
	size_t n = 0;

	c->body = draw_size(c);
	if (c->body > body_most)
		c->body = body_most;
	c->nout = c->nsent = c->nin = c->seen = 0;
	put_record(c, 1, 8);
	memcpy(c->out + c->nout, (const unsigned char[]){ 0, 1, c->keeps, 0,
	    0, 0, 0, 0 }, 8);
	c->nout += 8;
	snprintf(query, sizeof(query), "%s %u 0", token, ms);
	snprintf(uri, sizeof(uri), "/load?%s", query);
	snprintf(length, sizeof(length), "%zu", c->body);
	params = c->out + c->nout + 8;
	n += put_pair(params + n, "QUERY_STRING", query);
	n += put_pair(params + n, "REQUEST_METHOD", "POST");
	n += put_pair(params + n, "REQUEST_URI", uri);
	n += put_pair(params + n, "SCRIPT_NAME", "/load");
	n += put_pair(params + n, "PATH_INFO", "");
	n += put_pair(params + n, "SCRIPT_FILENAME", script);
	n += put_pair(params + n, "SERVER_NAME", "test");
	n += put_pair(params + n, "SERVER_PORT", "80");
	n += put_pair(params + n, "SERVER_PROTOCOL", "HTTP/1.1");
	n += put_pair(params + n, "REDIRECT_STATUS", "200");
	n += put_pair(params + n, "CONTENT_TYPE", "application/octet-stream");
	n += put_pair(params + n, "CONTENT_LENGTH", length);
	put_record(c, 4, n);
	c->nout += n;
	put_record(c, 4, 0);
	put_body(c, seed, c->body <= SMALL && draw(c) % 5 == 0);
}

/* Is the last record of an answer there? */
static bool
at_end(struct client *c)
{
	const unsigned char *h;
	size_t n;

	while (c->nin - c->seen >= 8) {
		h = c->in + c->seen;
		n = 8 + ((size_t)h[4] << 8 | h[5]) + h[6];
		if (c->nin - c->seen < n)
			return false;
		c->seen += n;
		if (h[1] == 3)
			return true;
	}
	return false;
}

/* Takes the records' contents together; returns how much that is. */
static size_t
unwrap(struct client *c)
{
	size_t at, n, pad, have = 0;
	int type;

	for (at = 0; at < c->seen; at += 8 + n + pad) {
		type = c->in[at + 1];
		n = (size_t)c->in[at + 4] << 8 | c->in[at + 5];
		pad = c->in[at + 6];
		if (type != 6)
			continue;
		memmove(c->in + have, c->in + at + 8, n);
		have += n;
	}
	return have;
}

/* Is the answer the token's, with what was posted and nothing else? */
static enum fate
check_answer(struct client *c, const char *token, uint64_t seed)
{
	size_t have = unwrap(c), i;
	unsigned char *b, *end = c->in + have;
	char want[160];

	snprintf(want, sizeof(want), "\r\n\r\n%s ", token);
	b = memmem(c->in, have, want, strlen(want));
	if (b == NULL || (b = memchr(b + strlen(want), '\n',
	    (size_t)(end - b) - strlen(want))) == NULL)
		return OTHER;
	b++;
	if ((size_t)(end - b) != c->body)
		return OTHER;
	for (i = 0; i < c->body; i++) {
		if (b[i] != byte_at(seed, i))
			return OTHER;
	}
	return GOOD;
}

static enum fate
let_in(struct client *c)
{
	struct timeval patience = { .tv_sec = PATIENCE / 1000000 };

	c->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
	    sizeof(patience));
	if (connect(c->fd, (struct sockaddr *)&address, address_len) == -1) {
		enum fate f = errno == ECONNREFUSED || errno == ENOENT ?
		    NOBODY : NOT_LET_IN;

		close(c->fd);
		c->fd = -1;
		return f;
	}
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	return GOOD;
}

/* How much may be sent now: a slow body pauses after each record. */
static size_t
sendable(struct client *c, int *piece)
{
	if (*piece < c->npieces && c->nsent == c->piece[*piece]) {
		usleep(2000);
		++*piece;
	}
	return (*piece < c->npieces ? c->piece[*piece] : c->nout) - c->nsent;
}

/*
 * The connection has ended (r: of recv) before any of the answer. Did the
 * worker read the request? The word that it did not comes a moment after the
 * end: over TCP, and where it was shut down before.
 */
static enum fate
ended(struct client *c, ssize_t r)
{
	struct pollfd p = { .fd = c->fd };
	socklen_t len = sizeof(int);
	int error = 0;

	if (r == -1)
		return RESET;
	if (poll(&p, 1, 200) == 1)
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return error != 0 ? RESET : ENDED;
}

/* One request and its answer, over the connection that there is. */
static enum fate
talk(struct client *c)
{
	struct pollfd p = { .fd = c->fd };
	uint64_t began = now();
	bool deaf = false;
	int piece = 0;
	ssize_t r;

	while (now() - began < PATIENCE) {
		p.events = POLLIN;
		if (c->nsent < c->nout && !deaf)
			p.events |= POLLOUT;
		if (poll(&p, 1, 1000) <= 0)
			continue;
		if ((p.revents & POLLOUT) && c->nsent < c->nout && !deaf) {
			r = send(c->fd, c->out + c->nsent,
			    sendable(c, &piece), MSG_NOSIGNAL);
			/* The answer may be there all the same. */
			deaf = r == -1 && errno != EAGAIN;
			c->nsent += r > 0 ? (size_t)r : 0;
		}
		if (!(p.revents & ~POLLOUT))
			continue;
		r = recv(c->fd, c->in + c->nin, IN_MAX - c->nin, 0);
		if (r == -1 && errno == EAGAIN)
			continue;
		if (r <= 0)
			return c->nin > 0 ? SHORT :
			    deaf ? RESET : ended(c, r);
		c->nin += (size_t)r;
		if (at_end(c))
			return GOOD;
	}
	return NEVER;
}

/* A kept connection that was closed meanwhile is no failure. */
static void
look_at_kept(struct client *c)
{
	char b;

	if (c->fd == -1 || (recv(c->fd, &b, 1, MSG_PEEK) == -1 &&
	    errno == EAGAIN))
		return;
	atomic_fetch_add(&closed_idle, 1);
	close(c->fd);
	c->fd = -1;
}

static enum fate
ask_once(struct client *c, const char *token, uint64_t seed)
{
	enum fate f = GOOD;
	bool kept;

	look_at_kept(c);
	kept = c->fd != -1;
	if (!kept && (f = let_in(c)) != GOOD)
		return f;
	f = talk(c);
	if (f == GOOD)
		f = check_answer(c, token, seed);
	else if (kept && f == RESET)
		f = STALE;
	if (f != GOOD || !c->keeps) {
		close(c->fd);
		c->fd = -1;
	}
	return f;
}

static void
tell(const struct client *c, enum fate f, const char *token, uint64_t took)
{
	if (f == GOOD || f == NOBODY || f == STALE ||
	    atomic_fetch_add(&told, 1) >= TOLD)
		return;
	fprintf(stderr, "%s: %s: posted %zu in %zu, %zu sent, %zu came back, "
	    "after %lu us\n", names[f], token, c->body, c->nout, c->nsent,
	    c->nin, (unsigned long)took);
	if (c->nin >= 8 && f != NEVER)
		fprintf(stderr, "  %.300s\n", (const char *)c->in + 8);
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

/* Returns false when this client is to end. */
static bool
request_once(struct client *c, unsigned long i)
{
	uint64_t seed = draw(c), began = now();
	char token[64];
	enum fate f;

	snprintf(token, sizeof(token), "t%d-%lu-%d", (int)getpid(), i,
	    c->number);
	put_request(c, token, seed);
	while ((f = ask_once(c, token, seed)) == STALE) {
		atomic_fetch_add(&fates[STALE], 1);
		c->nsent = c->nin = c->seen = 0;
	}
	atomic_fetch_add(&fates[f], 1);
	tell(c, f, token, now() - began);
	if (f == GOOD)
		note_answer(now());
	if (!c->keeps)
		atomic_fetch_add(&busy, now() - began);
	if (atomic_fetch_add(&asked, 1) + 1 == enough) {
		printf("enough\n");
		fflush(stdout);
	}
	if (f == NOBODY || f == NOT_LET_IN)
		usleep(1000);	/* do not drown what is refused */
	return f != NOBODY || !ends_refused;
}

static void *
client(void *arg)
{
	struct client *c = arg;
	uint64_t began = now();
	unsigned long i;
	unsigned int left;

	for (i = 0; !over && request_once(c, i); i++) {
		for (left = c->keeps ? pause_ms : 0; left > 0 && !over;
		    left -= left < 10 ? left : 10)
			usleep(10000);
	}
	if (c->fd != -1)
		close(c->fd);
	if (!c->keeps)
		atomic_fetch_add(&lives, now() - began);
	return NULL;
}

static void
end(int signo)
{
	over = signo;
}

static void
print_all(void)
{
	unsigned long sent = 0;
	int f;

	for (f = 0; f < STALE; f++)
		sent += fates[f];
	printf("sent %lu", sent);
	for (f = 0; f < NFATES; f++)
		printf(" %s %lu", names[f], fates[f]);
	printf(" closed %lu busy %lu gap_us %lu\n", closed_idle,
	    lives > 0 ? busy * 100 / lives : 0, gap);
}

static int
usage(void)
{
	fprintf(stderr, "usage: post [-k KEPT] [-m MOST] [-n REQUESTS] "
	    "[-p PAUSE] [-s SCRIPT] [-x] SOCKET|ADDR:PORT CLIENTS "
	    "MS\n");
	return 64;
}

static int
options(int argc, char *argv[], int *kept)
{
	int o;

	while ((o = getopt(argc, argv, "k:m:n:p:s:x")) != -1) {
		if (o == 'k')
			*kept = atoi(optarg);
		else if (o == 'm')
			body_most = strtoul(optarg, NULL, 10);
		else if (o == 'n')
			enough = strtoul(optarg, NULL, 10);
		else if (o == 'p')
			pause_ms = (unsigned int)atoi(optarg);
		else if (o == 's')
			script = optarg;
		else if (o == 'x')
			ends_refused = true;
		else
			return -1;
	}
	if (optind + 3 != argc || strlen(script) > 127 ||
	    parse(argv[optind]) == -1)
		return -1;
	nclients = atoi(argv[optind + 1]);
	ms = (unsigned int)atoi(argv[optind + 2]);
	return body_most > BODY_MAX || nclients < 0 || *kept < 0 ||
	    nclients + *kept < 1 || nclients + *kept > CLIENTS_MAX ? -1 : 0;
}

int
main(int argc, char *argv[])
{
	static pthread_t threads[CLIENTS_MAX];
	uint64_t began = now();
	struct client *clients;
	int kept = 0, i, n;
	sigset_t interrupt;

	if (options(argc, argv, &kept) == -1)
		return usage();
	n = nclients + kept;
	if ((clients = calloc((size_t)n, sizeof(*clients))) == NULL)
		return 71;
	atomic_store(&last, began);
	signal(SIGINT, end);
	/* Not for the clients: a call with a timeout would fail of it. */
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	pthread_sigmask(SIG_BLOCK, &interrupt, NULL);
	for (i = 0; i < n; i++) {
		clients[i].number = i;
		clients[i].keeps = i >= nclients;
		clients[i].fd = -1;
		clients[i].random = began * (unsigned)(2 * i + 1) | 1;
		if (pthread_create(&threads[i], NULL, client,
		    &clients[i]) != 0)
			return 71;
	}
	pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	print_all();
	free(clients);
	return 0;
}
