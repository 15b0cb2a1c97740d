/* SPDX-License-Identifier: ISC */
/*
 * The load generator: clients that send FastCGI requests one after another,
 * each over a connection of its own, never twice, and check each answer.
 *
 *   load SOCKET|ADDR:PORT CLIENTS SECONDS MS
 *       [SIZE [SCRIPT [latency | half | QUERY]]]
 *
 * Each client sends one request at least. It ends before that on SIGINT.
 *
 * Each request carries a token that the answer must bring back, sleeps MS in
 * the worker and asks for SIZE bytes; SCRIPT is for applications that want a
 * SCRIPT_FILENAME, QUERY, to which the token is appended, for those that do
 * not take "TOKEN MS SIZE". "half": each client shuts its connection down for
 * writing when its request is sent. At the end, on one line:
 *
 *   sent N answered N failed N connect N cut N wrong N late N gap_us N busy N
 *   refused N
 *
 * sent = answered + failed; failed is the sum of the kinds. refused: there was
 * nobody to connect to; connect: it was reset or failed otherwise; cut: the
 * answer ended too soon; wrong: it was another's; late: none within 60 s.
 * gap_us is the longest time without any answer, busy the clients' time in
 * requests, in percent. With "latency" a second line says how long the answers
 * took, and what a request cost here:
 *
 *   p50_us N p99_us N cpu_ns N
 */
#include <sys/resource.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "ask.h"
#include "latency.h"

#define CLIENTS_MAX	1024

static volatile sig_atomic_t over;
static const char *own_query;
static uint64_t until;
static atomic_ulong counts[NKINDS], busy;
static atomic_ulong last, gap;

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

static void *
client(void *arg)
{
	char token[64], query[144];
	unsigned long i;
	uint64_t t, spent;
	enum kind kind;

	for (i = 0; ((t = now()) < until || i == 0) && !over; i++) {
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
		spent = now() - t;
		atomic_fetch_add(&busy, spent);
		if (kind == ANSWERED) {
			note_answer(t + spent);
			latency_note(spent);
		} else if (kind == CONNECT || kind == REFUSED)
			usleep(1000);	/* do not drown what is refused */
	}
	return NULL;
}

static void
print_latency(unsigned long all)
{
	struct rusage u;
	uint64_t usec;

	getrusage(RUSAGE_SELF, &u);
	usec = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	    (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	printf("p50_us %u p99_us %u cpu_ns %lu\n",
	    latency_percentile(50, counts[ANSWERED]),
	    latency_percentile(99, counts[ANSWERED]),
	    (unsigned long)usec * 1000 / (all > 0 ? all : 1));
}

static void
end(int signo)
{
	over = signo;
}

int
main(int argc, char *argv[])
{
	static pthread_t threads[CLIENTS_MAX];
	unsigned long failed, all;
	int clients, i;
	sigset_t interrupt;
	uint64_t began = now();
	double seconds;
	bool latency;

	if (argc < 5 || (argc > 6 && strlen(argv[6]) > 127) ||
	    (argc > 7 && strlen(argv[7]) > 63) ||
	    parse(argv[1]) == -1 || (clients = atoi(argv[2])) < 1 ||
	    clients > CLIENTS_MAX) {
		fprintf(stderr, "usage: load SOCKET|ADDR:PORT CLIENTS SECONDS "
		    "MS [SIZE [SCRIPT [latency | half | QUERY]]]\n");
		return 64;
	}
	seconds = atof(argv[3]);
	ms = (unsigned int)atoi(argv[4]);
	size = argc > 5 ? (unsigned int)atoi(argv[5]) : 0;
	script = argc > 6 ? argv[6] : "";
	half_close = argc > 7 && strcmp(argv[7], "half") == 0;
	latency = argc > 7 && strcmp(argv[7], "latency") == 0;
	if (argc > 7 && !half_close && !latency)
		own_query = argv[7];
	until = began + (uint64_t)(seconds * 1e6);
	atomic_store(&last, began);
	signal(SIGINT, end);
	/* Not for the clients: a call with a timeout would fail of it. */
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	pthread_sigmask(SIG_BLOCK, &interrupt, NULL);
	for (i = 0; i < clients; i++) {
		if (pthread_create(&threads[i], NULL, client,
		    (void *)(intptr_t)i) != 0)
			return 71;
	}
	pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
	for (i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	failed = counts[CONNECT] + counts[CUT] + counts[WRONG] +
	    counts[LATE] + counts[REFUSED];
	all = counts[ANSWERED] + failed;
	printf("sent %lu answered %lu failed %lu connect %lu cut %lu wrong "
	    "%lu late %lu gap_us %lu busy %lu refused %lu\n", all,
	    counts[ANSWERED], failed, counts[CONNECT], counts[CUT],
	    counts[WRONG], counts[LATE], gap,
	    busy / (unsigned long)clients * 100 /
	    (unsigned long)(now() - began), counts[REFUSED]);
	if (latency)
		print_latency(all);
	return 0;
}
