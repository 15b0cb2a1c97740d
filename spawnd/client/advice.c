/* SPDX-License-Identifier: ISC */
/*
 * The numbers of "spawnctl advise".
 *
 * A pool of c workers makes those wait that are among more than c. How many
 * were among how many the pool has counted; that holds as well for rushes and
 * changes from hour to hour as for the arrivals at random of the textbooks. A
 * pool that was too small has counted those that had to wait for its own
 * smallness, too: then the advice is a step, after which to ask again.
 */
#include <string.h>

#include "base/base.h"
#include "client/advice.h"
#include "client/client.h"
#include "proto/proto.h"

#define AIM		0.005	/* to be below a hundredth for certain */
#define GOOD		0.008	/* the share that needs no other number */
#define CROWDED		0.1	/* and that is of a pool too small to tell */
#define WAITS		0.01	/* the share that may wait */
#define SPARE		1.15	/* a pool may be so much larger than that asks
				   for */
#define ROOM		1.25	/* above the most that was seen */
#define ROOM_MOST	4	/* times -F; a rush beyond that can wait */
#define STARTS		20	/* a worker stays so many of its starts */
#define STAY_LEAST	10	/* s */
#define STAY_MOST	600
#define BACKLOG_LEAST	64
#define BACKLOG_MOST	65536U
#define BACKLOG_ROOM	4	/* above the peak of the queue */
#define SHARED		0.01	/* of what came, beyond the workers */

/* The share of connections that were among more than n. */
static double
share_above(const struct reply *a, double n, double came)
{
	const struct proto_record *r;
	double count, met, above = 0;
	size_t i = 0;

	while ((r = reply_next(a, "demand", &i)) != NULL) {
		if (proto_get_number(r, "n", &count) && count > n &&
		    proto_get_number(r, "met", &met))
			above += met;
	}
	return came > 0 ? above / came : 0;
}

/* The fewest connections at once that leave that share, at most, to wait. */
static double
find_enough(const struct reply *a, double came, double share)
{
	const struct proto_record *r;
	double count, found = -1;
	size_t i = 0;

	/* They come in the order of their counts. */
	while ((r = reply_next(a, "demand", &i)) != NULL) {
		if (!proto_get_number(r, "n", &count))
			continue;
		if (share_above(a, count, came) <= share &&
		    (found < 0 || count < found))
			found = count;
	}
	return found > 1 ? found : 1;
}

/* How many workers serve so many connections. */
static unsigned int
workers_for(const struct advice *v, double connections)
{
	double n = connections / v->serves;
	unsigned int whole;

	if (n > WORKERS_MAX)
		return WORKERS_MAX;
	whole = (unsigned int)n;
	return whole < n ? whole + 1 : whole;
}

static unsigned int
least_of(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* A number that is to be one of workers; of any other daemon, too. */
static unsigned int
read_count(const struct reply *a, const char *key)
{
	double n = reply_value(a, "pool", key, 0);

	return n < WORKERS_MAX ? (unsigned int)n : WORKERS_MAX;
}

static void
read_load(const struct reply *a, struct advice *v)
{
	v->span = reply_value(a, "load", "span", 0);
	v->came = reply_value(a, "load", "came", 0);
	v->most = reply_value(a, "load", "most", 0);
	v->queue_time = reply_value(a, "load", "queue_time", 0);
	v->peak = reply_value(a, "queue", "peak", -1);
	v->limit = reply_value(a, "queue", "limit", -1);
	if (v->span > 0)
		v->erlangs = reply_value(a, "load", "busy_time", 0) / v->span;
	if (v->came > 0)
		v->waited = reply_value(a, "load", "full", 0) / v->came;
	if (v->came > 0)
		v->enough = find_enough(a, v->came, AIM);
}

/* What the workers are like, by those that are there. */
static void
read_workers(const struct reply *a, struct advice *v)
{
	const struct proto_record *r;
	double n, sum = 0, starts = 0, measured = 0, started = 0;
	size_t i = 0;

	v->start = -1;
	while ((r = reply_next(a, "worker", &i)) != NULL) {
		if (proto_get_number(r, "pss", &n) && n > 0) {
			sum += n;
			measured++;
			v->pss_most = n > v->pss_most ? n : v->pss_most;
		}
		if (proto_get_number(r, "ready_after", &n)) {
			starts += n;
			started++;
		}
		n = -1;
		if (proto_get_number(r, "connections", &n) && n > v->serves)
			v->doubts[DOUBT_SHARED] = true;
		/* A busy one may have started a program. */
		else if (n == 0 && proto_get_number(r, "processes", &n) &&
		    n > 1 && v->serves == 1)
			v->doubts[DOUBT_TREE] = true;
	}
	if (measured > 0)
		v->pss = sum / measured;
	if (started > 0)
		v->start = starts / started;
}

static void
find_doubts(const struct reply *a, struct advice *v)
{
	double over = reply_value(a, "load", "over", 0);

	v->doubts[DOUBT_UNSEEN] = reply_find(a, "load")->n == 0;
	v->doubts[DOUBT_FEW] = v->came < ADVICE_LEAST ||
	    v->span < ADVICE_MINUTES * 60;
	if (over > SHARED * v->came)
		v->doubts[DOUBT_SHARED] = true;
	v->known = !v->doubts[DOUBT_UNSEEN] && !v->doubts[DOUBT_FEW] &&
	    !v->doubts[DOUBT_SHARED] && !v->doubts[DOUBT_TREE];
	v->doubts[DOUBT_CROWDED] = v->known && v->waited > CROWDED &&
	    v->most > (double)v->max * v->serves;
	v->doubts[DOUBT_SHORT] = v->known && v->span < ADVICE_SPAN;
}

/* Is what the pool has good enough? */
static bool
is_good(const struct reply *a, const struct advice *v, unsigned int n)
{
	unsigned int just;

	if (v->doubts[DOUBT_CROWDED])
		return false;
	/* One that adapts has shown what it does. */
	if (v->min < v->max && v->min <= n)
		return v->waited <= GOOD;
	just = workers_for(v, find_enough(a, v->came, WAITS));
	return share_above(a, (double)v->min * v->serves, v->came) <= GOOD &&
	    (v->min <= n || v->min <= just * SPARE);
}

static void
choose_workers(const struct reply *a, struct advice *v)
{
	unsigned int i, n = workers_for(v, v->enough), most;

	if (v->doubts[DOUBT_CROWDED] && n > 2 * v->max)
		n = v->max > 0 ? 2 * v->max : 1;
	if (v->doubts[DOUBT_CROWDED] && n <= v->max)
		n = v->max + 1;
	v->keep = is_good(a, v, n);
	v->fewest = v->keep ? v->min : n;
	v->largest = v->keep ? v->max : v->fewest;
	most = least_of(workers_for(v, v->most), ROOM_MOST * n);
	if (!v->doubts[DOUBT_CROWDED] && most > v->largest) {
		v->largest = least_of(workers_for(v, v->most * ROOM),
		    ROOM_MOST * n);
		v->keep = false;
	}
	/* A size that stays is the one in the middle. */
	if (v->keep && v->min == v->max)
		n = v->min;
	for (i = 0; i < 3; i++) {
		v->sizes[i].workers = n + i > 0 ? n + i - 1 : 0;
		v->sizes[i].waits = share_above(a,
		    (double)v->sizes[i].workers * v->serves, v->came);
	}
}

/* How long surplus workers are to stay. */
static void
choose_stay(struct advice *v)
{
	if (v->largest == v->fewest)
		return;
	v->stay = STARTS * v->start;
	if (!(v->stay >= STAY_LEAST))
		v->stay = STAY_LEAST;
	if (v->stay > STAY_MOST)
		v->stay = STAY_MOST;
	v->stay = (double)(unsigned int)v->stay;
	if (v->idle >= v->stay)
		v->stay = v->idle;
}

static void
choose_backlog(struct advice *v)
{
	unsigned int need = BACKLOG_LEAST;

	if (v->limit < 0 || v->peak < 0)
		return;
	v->backlog = v->limit < BACKLOG_MOST ? (unsigned int)v->limit :
	    BACKLOG_MOST;
	while (need < v->peak * BACKLOG_ROOM && need < BACKLOG_MOST)
		need *= 2;
	if (v->peak * 2 > v->limit)
		v->backlog = need;
}

void
advice_make(const struct reply *a, struct advice *v)
{
	unsigned int children = read_count(a, "children");

	*v = (struct advice){ .serves = children > 0 ? children : 1 };
	v->min = read_count(a, "min");
	v->max = read_count(a, "max");
	v->idle = reply_value(a, "pool", "idle_timeout", 0);
	read_load(a, v);
	read_workers(a, v);
	find_doubts(a, v);
	choose_backlog(v);
	if (!v->known)
		return;
	choose_workers(a, v);
	choose_stay(v);
}
