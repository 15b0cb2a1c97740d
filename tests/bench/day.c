/* SPDX-License-Identifier: ISC */
/*
 * The visitors of a web server's day: they come when they come, however long
 * the others wait, and ask once each, over a connection of their own.
 *
 *   day SOCKET SECONDS PEAK MS [SCRIPT]
 *
 * The day takes SECONDS. In its busiest hour PEAK requests a second come: few
 * at night, most at noon and again in the evening (`hours`, in between along a
 * line), and three times for a third of an hour twice as many as that, as
 * after a newsletter (`bursts`). Arrivals are a Poisson process; each day is
 * the same. A request sleeps MS in the worker, one of ten five times as long;
 * SCRIPT is for applications that want a SCRIPT_FILENAME. At the end:
 *
 *   answered N failed N waited N p50_us N p99_us N
 *
 * Times are from the moment at which a visitor comes. waited: how many had
 * their answer more than 50 ms later than their request sleeps.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../apps/ask.h"
#include "../apps/latency.h"

#define HOURS		24
#define VISITORS	512	/* at once, at the most */
#define WAITED		50000	/* usec */
#define SLOW		5	/* times as long */

struct arrival {
	uint64_t	 due;		/* usec of the day */
	unsigned int	 ms;
};

/* In percent of the busiest. */
static const int hours[HOURS + 1] = { 30, 18, 10, 7, 6, 8, 18, 40, 65, 85, 95,
    100, 88, 90, 95, 95, 90, 80, 75, 80, 90, 85, 65, 45, 30 };
/* When these begin, in hours. */
static const double bursts[] = { 9.2, 12.5, 20.1 };
#define BURST	(1.0 / 3)

static struct arrival *arrivals;
static size_t narrivals;
static uint64_t began;
static atomic_size_t next;
static atomic_ulong answered, failed, waited;

/* The same numbers each time, in (0, 1]. */
static double
chance(void)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return ((double)(x >> 11) + 1) / 9007199254740992.0;
}

/* How many come, beside the busiest hour's. */
static double
share(double hour)
{
	size_t i, h = (size_t)hour;
	double s;

	s = (hours[h] + (hour - (double)h) * (hours[h + 1] - hours[h])) / 100;
	for (i = 0; i < sizeof(bursts) / sizeof(bursts[0]); i++) {
		if (hour >= bursts[i] && hour < bursts[i] + BURST)
			s *= 2;
	}
	return s;
}

/* Candidates come as often as in the worst moment; some are no visitors. */
static int
plan(double seconds, double peak)
{
	const double most = 2 * peak;
	size_t max = (size_t)(seconds * most * 2) + 100;
	double t = 0;

	arrivals = calloc(max, sizeof(*arrivals));
	if (arrivals == NULL)
		return -1;
	while ((t -= log(chance()) / most) < seconds && narrivals < max) {
		if (chance() * 2 >= share(t / seconds * HOURS))
			continue;
		arrivals[narrivals].due = (uint64_t)(t * 1e6);
		arrivals[narrivals++].ms = chance() <= 0.1 ? ms * SLOW : ms;
	}
	return 0;
}

static void
sleep_until(uint64_t t)
{
	struct timespec ts = { .tv_sec = (time_t)(t / 1000000),
	    .tv_nsec = (long)(t % 1000000) * 1000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	    EINTR)
		continue;
}

static void *
visitor(void *arg)
{
	char token[64], query[144];
	uint64_t due, took;
	size_t i;

	(void)arg;
	while ((i = atomic_fetch_add(&next, 1)) < narrivals) {
		due = began + arrivals[i].due;
		sleep_until(due);
		snprintf(token, sizeof(token), "t%d-%zu", (int)getpid(), i);
		snprintf(query, sizeof(query), "%s %u 0", token,
		    arrivals[i].ms);
		if (ask(token, query) != ANSWERED) {
			atomic_fetch_add(&failed, 1);
			continue;
		}
		took = now() - due;
		atomic_fetch_add(&answered, 1);
		latency_note(took);
		if (took > arrivals[i].ms * 1000 + WAITED)
			atomic_fetch_add(&waited, 1);
	}
	return NULL;
}

int
main(int argc, char *argv[])
{
	static pthread_t threads[VISITORS];
	int i;

	if (argc < 5 || argc > 6 || parse(argv[1]) == -1 ||
	    atof(argv[2]) <= 0 || atof(argv[3]) <= 0) {
		fprintf(stderr,
		    "usage: day SOCKET SECONDS PEAK MS [SCRIPT]\n");
		return 64;
	}
	ms = (unsigned int)atoi(argv[4]);
	script = argc > 5 ? argv[5] : "";
	if (plan(atof(argv[2]), atof(argv[3])) == -1)
		return 71;
	began = now();
	for (i = 0; i < VISITORS; i++) {
		if (pthread_create(&threads[i], NULL, visitor, NULL) != 0)
			return 71;
	}
	for (i = 0; i < VISITORS; i++)
		pthread_join(threads[i], NULL);
	printf("answered %lu failed %lu waited %lu p50_us %u p99_us %u\n",
	    answered, failed, waited, latency_percentile(50, answered),
	    latency_percentile(99, answered));
	return 0;
}
