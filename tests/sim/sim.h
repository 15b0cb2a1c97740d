/* SPDX-License-Identifier: ISC */
/*
 * What every simulation shares: numbers that follow from a seed, and a main
 * that runs cases over seeds, in TAP, and names the seed that failed.
 *
 *	PROGRAM [-n SEEDS] [-s SEED] [-k CASE] [-v]
 *
 * runs each case (or that one) with SEEDS seeds (or that one); -v makes a
 * case tell what happens.
 */
#ifndef SIM_H
#define SIM_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sim {
	uint64_t	 random;
	bool		 verbose;
	bool		 failed;
	char		 why[256];
	char		 said[256];	/* what a case measured */
};

struct sim_case {
	const char	*name;
	void		(*run)(struct sim *);
};

static inline uint64_t
sim_random(struct sim *s)
{
	uint64_t x = s->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* One of lo ... hi. */
static inline uint64_t
sim_between(struct sim *s, uint64_t lo, uint64_t hi)
{
	return lo + sim_random(s) % (hi - lo + 1);
}

/* Exponentially distributed, with that mean. */
static inline uint64_t
sim_exponential(struct sim *s, uint64_t mean)
{
	double u = ((double)(sim_random(s) >> 11) + 0.5) / 9007199254740992.0;

	return (uint64_t)(-log(u) * (double)mean);
}

static inline void sim_fail(struct sim *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The first reason counts. */
static inline void
sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
}

static inline bool
sim_case(const struct sim_case *c, const char *self, uint64_t seed,
    uint64_t seeds, bool verbose)
{
	struct sim s = { 0 };
	uint64_t i;

	for (i = seed; i < seed + seeds; i++) {
		s = (struct sim){ .random = i, .verbose = verbose };
		c->run(&s);
		if (verbose)
			printf("# %s seed %llu: %s\n", c->name,
			    (unsigned long long)i, s.said);
		if (s.failed) {
			printf("# %s, %s\n# again: %s -v -k %s -s %llu\n",
			    s.why, s.said, self, c->name,
			    (unsigned long long)i);
			return false;
		}
	}
	return true;
}

static inline int
sim_main(int argc, char *argv[], const struct sim_case *cases, size_t n)
{
	unsigned long long seed = 1, seeds = 10;
	const char *only = NULL;
	bool verbose = false, ok;
	size_t i, failed = 0;
	int c;

	while ((c = getopt(argc, argv, "k:n:s:v")) != -1) {
		if (c == 'k')
			only = optarg;
		else if (c == 'n')
			seeds = strtoull(optarg, NULL, 10);
		else if (c == 's') {
			seed = strtoull(optarg, NULL, 10);
			seeds = 1;
		} else if (c == 'v')
			verbose = true;
		else
			return 64;
	}
	printf("1..%zu\n", only != NULL ? (size_t)1 : n);
	for (i = 0; i < n; i++) {
		if (only != NULL && strcmp(only, cases[i].name) != 0)
			continue;
		ok = sim_case(&cases[i], argv[0], seed, seeds, verbose);
		printf("%sok %zu - %s\n", ok ? "" : "not ", i + 1,
		    cases[i].name);
		failed += !ok;
		fflush(stdout);
	}
	return failed > 0;
}

#endif
