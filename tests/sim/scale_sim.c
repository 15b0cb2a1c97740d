/* SPDX-License-Identifier: ISC */
/*
 * scale.c and sampler.c in charge of a pool made of numbers: connections come
 * by different laws, wait in one queue, and are served by workers that take
 * time to start. Each run is compared with an ideal pool, which has the most
 * workers from the beginning and needs no start at all.
 */
#include <inttypes.h>

#include "base/units.h"
#include "pool/scale.h"
#include "sim.h"

#define MS		UINT64_C(1000)
#define MINUTE		(60 * USEC)
#define CONNECTIONS	200000
#define WORKERS		256

/* A connection: when it comes, and how long it is served. */
struct connection {
	uint64_t	 at;
	uint64_t	 service;
};

struct worker {
	enum { NONE, STARTING, READY, GOING } state;
	uint64_t	 ready_at;
	uint64_t	 started;
	unsigned int	 busy;
	bool		 stuck;		/* it takes nothing, and stays so */
};

/* Those being served, as a heap by the time they end. */
struct ending {
	uint64_t	 at;
	unsigned int	 worker;
};

struct world {
	struct sim	*sim;
	struct scale	 scale;
	struct sampler	 sampler;
	struct scale_conf conf;
	unsigned int	 really;	/* connections a worker serves */
	uint64_t	 start;		/* usec a worker takes to start */
	uint64_t	 end;
	uint64_t	 now;
	struct worker	 workers[WORKERS];
	unsigned int	 staying;
	size_t		 come, taken;	/* of the connections */
	size_t		 looked;	/* had come at the last look */
	struct ending	 heap[CONNECTIONS];
	size_t		 nheap;
	uint64_t	 look;
	bool		 watch;
	/* What is measured. */
	uint64_t	 starts, starts_settled, looks, looks_second;
	uint64_t	 second, settled, waited, longest;
	uint64_t	 grown, last_change;
	unsigned int	 steps, most;
	uint64_t	 from;		/* those that come earlier, not */
	uint64_t	 lag;		/* what each may wait for nothing */
	uint64_t	 again;		/* usec of service; 0: none is added */
	uint64_t	 until;		/* not later than that */
	bool		 unseen;	/* what was accepted is not known */
};

static struct connection list[CONNECTIONS];
static size_t nlist;
static struct world world;

static void
add(uint64_t at, uint64_t service)
{
	if (nlist < CONNECTIONS)
		list[nlist++] = (struct connection){ at, service };
}

static void
heap_put(struct ending *heap, size_t *n, struct ending e)
{
	size_t i = (*n)++;

	for (; i > 0 && heap[(i - 1) / 2].at > e.at; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = e;
}

static struct ending
heap_take(struct ending *heap, size_t *n)
{
	struct ending first = heap[0], last = heap[--*n];
	size_t i = 0, c;

	while ((c = 2 * i + 1) < *n) {
		if (c + 1 < *n && heap[c + 1].at < heap[c].at)
			c++;
		if (last.at <= heap[c].at)
			break;
		heap[i] = heap[c];
		i = c;
	}
	heap[i] = last;
	return first;
}

/* All the time from connecting to the answer, with all workers there. */
static uint64_t
ideal(const struct world *w)
{
	static struct ending heap[CONNECTIONS];
	unsigned int servers = w->conf.max * w->really;
	uint64_t sum = 0, begin;
	size_t n = 0, i;

	for (i = 0; i < nlist; i++) {
		begin = list[i].at;
		if (n == servers) {
			struct ending e = heap_take(heap, &n);

			if (e.at > begin)
				begin = e.at;
		}
		heap_put(heap, &n, (struct ending){ begin + list[i].service,
		    0 });
		if (list[i].at >= w->from)
			sum += begin + list[i].service - list[i].at;
	}
	return sum;
}

/* Waiting connections go to workers that are free. */
static void
serve(struct world *w)
{
	unsigned int i;
	uint64_t waited;

	for (i = 0; i < WORKERS && w->taken < w->come; i++) {
		struct worker *k = &w->workers[i];

		while (k->state == READY && !k->stuck &&
		    k->busy < w->really && w->taken < w->come) {
			struct connection *c = &list[w->taken++];

			k->busy++;
			waited = w->now - c->at;
			if (c->at >= w->from)
				w->waited += waited + c->service;
			if (waited > w->longest)
				w->longest = waited;
			heap_put(w->heap, &w->nheap, (struct ending){
			    w->now + c->service, i });
		}
	}
}

static void
start_one(struct world *w)
{
	unsigned int i = 0;

	while (i < WORKERS && w->workers[i].state != NONE)
		i++;
	if (i == WORKERS) {
		sim_fail(w->sim, "no place for a worker");
		return;
	}
	w->workers[i] = (struct worker){ .state = STARTING,
	    .ready_at = w->now + w->start, .started = w->now };
	w->staying++;
	w->starts++;
	if (w->now >= w->settled)
		w->starts_settled++;
}

/* The most recently started goes first. */
static void
retire_one(struct world *w)
{
	struct worker *last = NULL;
	unsigned int i;

	for (i = 0; i < WORKERS; i++) {
		struct worker *k = &w->workers[i];

		if ((k->state == STARTING || k->state == READY) &&
		    (last == NULL || k->started >= last->started))
			last = k;
	}
	if (last == NULL) {
		sim_fail(w->sim, "nobody is left to retire");
		return;
	}
	last->state = last->busy > 0 || last->stuck ? GOING : NONE;
	w->staying--;
}

static void
count(struct world *w, struct scale_view *v)
{
	unsigned int i;

	for (i = 0; i < WORKERS; i++) {
		const struct worker *k = &w->workers[i];

		v->starting += k->state == STARTING;
		v->ready += k->state == READY;
		v->leaving += k->state == GOING;
		v->busy += k->busy;
	}
}

/* What must hold after each look. */
static void
check_look(struct world *w, unsigned int target,
    const struct sampler_next *n)
{
	if (target < w->conf.min || target > w->conf.max)
		sim_fail(w->sim, "at %" PRIu64 ": target %u is out of %u-%u",
		    w->now, target, w->conf.min, w->conf.max);
	if (target > 2 * w->staying && target > 1 &&
	    target > w->conf.min)
		sim_fail(w->sim, "at %" PRIu64 ": from %u to %u in one step",
		    w->now, w->staying, target);
	if (n->look <= w->now)
		sim_fail(w->sim, "at %" PRIu64 ": the next look is now",
		    w->now);
	if (n->look == NEVER && !n->watch)
		sim_fail(w->sim, "at %" PRIu64 ": blind for ever", w->now);
	if (w->now / USEC / 10 != w->second) {
		w->second = w->now / USEC / 10;
		w->looks_second = 0;
	}
	/* Those of a pool that grows come earlier. */
	if (++w->looks_second > 315 + 2 * w->steps)
		sim_fail(w->sim, "at %" PRIu64 ": %" PRIu64 " looks in less "
		    "than 10 s", w->now, w->looks_second);
}

static void
look(struct world *w, bool fired)
{
	struct scale_view v = { .now = w->now, .fired = fired, .cost = 70,
	    .start = w->start };
	struct scale_decision d;
	struct sampler_next n;

	count(w, &v);
	v.queue = (uint32_t)(w->come - w->taken);
	v.waited = (uint32_t)(w->looked > w->taken ? w->looked - w->taken :
	    0);
	if (w->unseen || !scale_wants_busy(&w->scale, v.queue))
		v.busy = SCALE_UNKNOWN;
	d = scale_decide(&w->scale, &v);
	n = sampler_next(&w->sampler, &v, &d);
	w->looks++;
	check_look(w, d.target, &n);
	if (w->sim->verbose && d.target != w->staying)
		printf("# %9.3f ready %u+%u-%u queue %u (%u) busy %d: %u -> "
		    "%u, hold %u\n", (double)w->now / 1e6, v.ready,
		    v.starting, v.leaving, v.queue, v.waited, (int)v.busy,
		    w->staying, d.target, w->scale.hold);
	if (d.target > w->staying) {
		w->steps++;
		w->grown = w->now;
	}
	if (d.target != w->staying)
		w->last_change = w->now;
	w->looked = w->come;
	while (w->staying < d.target && !w->sim->failed)
		start_one(w);
	while (w->staying > d.target)
		retire_one(w);
	if (w->staying > w->most)
		w->most = w->staying;
	w->look = n.look;
	w->watch = n.watch;
	serve(w);
}

static uint64_t
next_event(const struct world *w)
{
	uint64_t t = w->look;
	unsigned int i;

	if (w->come < nlist && list[w->come].at < t)
		t = list[w->come].at;
	if (w->nheap > 0 && w->heap[0].at < t)
		t = w->heap[0].at;
	for (i = 0; i < WORKERS; i++) {
		if (w->workers[i].state == STARTING &&
		    w->workers[i].ready_at < t)
			t = w->workers[i].ready_at;
	}
	return t;
}

/* All that happens at w->now. Returns true if a connection came. */
static bool
happen(struct world *w)
{
	bool came = false;
	unsigned int i;

	while (w->nheap > 0 && w->heap[0].at <= w->now) {
		struct ending e = heap_take(w->heap, &w->nheap);
		struct worker *k = &w->workers[e.worker];

		if (--k->busy == 0 && k->state == GOING)
			k->state = NONE;
		/* The client has waited for its answer, and asks again. */
		if (w->again > 0 && w->now < w->until)
			add(w->now + MS / 10, w->again);
	}
	for (i = 0; i < WORKERS; i++) {
		if (w->workers[i].state == STARTING &&
		    w->workers[i].ready_at <= w->now)
			w->workers[i].state = READY;
	}
	while (w->come < nlist && list[w->come].at <= w->now) {
		w->come++;
		came = true;
	}
	return came;
}

/* Somebody waits, there is room, and nothing is done for long. */
static void
check_progress(struct world *w)
{
	uint64_t since = w->taken < w->come ? list[w->taken].at : w->now;

	if (since < w->last_change)
		since = w->last_change;
	if (w->now - since > 2 * USEC + 2 * w->start &&
	    w->staying < w->conf.max)
		sim_fail(w->sim, "at %" PRIu64 ": %zu wait, %u workers, and "
		    "no more are started", w->now, w->come - w->taken,
		    w->staying);
}

static void
setup(struct sim *s, unsigned int min, unsigned int max, uint64_t idle,
    uint64_t start)
{
	unsigned int i;

	memset(&world, 0, sizeof(world));
	nlist = 0;
	world.sim = s;
	world.conf = (struct scale_conf){ .min = min, .max = max,
	    .idle = idle };
	world.really = 1;
	world.start = start;
	scale_init(&world.scale, &world.conf);
	for (i = 0; i < min; i++)
		world.workers[i] = (struct worker){ .state = READY };
	world.staying = world.most = min;
	world.look = 1;
	world.settled = NEVER;
	world.lag = SCALE_WAIT;
}

/* Who comes first waits for a start, whatever is done. */
static void
forgive_first(void)
{
	world.from = 10 * USEC + 5 * world.start;
}

/* At most two starts a minute when it is settled, and two for chance. */
static void
check_calm(uint64_t end)
{
	double minutes = ((double)end - (double)world.settled) / MINUTE;

	if ((double)world.starts_settled > 2 * minutes + 2)
		sim_fail(world.sim, "%" PRIu64 " starts in %.1f minutes, all "
		    "being settled", world.starts_settled, minutes);
}

/* What became of the run, in one line. */
static double
measure(struct world *w)
{
	double best = (double)ideal(w), allowed = 0, r, counted;
	size_t i;

	for (i = 0; i < nlist; i++)
		allowed += list[i].at >= w->from ? (double)w->lag : 0;
	r = best > 0 ? (double)w->waited / best : 1;
	counted = ((double)w->waited - allowed) / (best > 0 ? best : 1);
	snprintf(w->sim->said, sizeof(w->sim->said), "%zu connections, %u-%u "
	    "workers of %.0f ms: %.3f of ideal (%.3f counts), longest wait "
	    "%.1f ms, most %u, "
	    "%" PRIu64 " starts (%" PRIu64 " settled), %u steps, %" PRIu64
	    " looks in %.0f s", nlist, w->conf.min, w->conf.max,
	    (double)w->start / 1e3, r, counted, (double)w->longest / 1e3,
	    w->most,
	    w->starts, w->starts_settled, w->steps, w->looks,
	    (double)w->end / 1e6);
	return counted;
}

/*
 * Runs until `end` and the last answer; time in queue and service may be
 * at most `ratio` times that of the ideal pool (0: is not compared), and the
 * few milliseconds that nothing is done about.
 */
static void
run(uint64_t end, double ratio)
{
	struct world *w = &world;
	double r;
	bool came;

	w->end = end;
	for (;;) {
		w->now = next_event(w);
		if (w->now > end || w->sim->failed)
			break;
		came = happen(w);
		/* A worker in accept(2) may be faster than the loop. */
		if (sim_random(w->sim) % 2 == 0)
			serve(w);
		if (came && w->watch)
			look(w, true);
		else if (w->now >= w->look)
			look(w, false);
		serve(w);
		/* The queue can be read already when the watch is set. */
		if (w->watch && w->taken < w->come)
			look(w, true);
		check_progress(w);
	}
	r = measure(w);
	if (ratio > 0 && r > ratio)
		sim_fail(w->sim, "%.3f times the ideal, not %.3f", r, ratio);
	if (!w->sim->failed && w->taken < nlist)
		sim_fail(w->sim, "%zu were never served", nlist - w->taken);
}

/* After a long rest: the fewest workers, the watch, and no timer. */
static void
check_rest(void)
{
	if (world.staying != world.conf.min)
		sim_fail(world.sim, "%u workers are left, not %u",
		    world.staying, world.conf.min);
	if (!world.watch || world.look != NEVER)
		sim_fail(world.sim, "an idle pool is looked at");
}

static const uint64_t services[] = { 1 * MS, 5 * MS, 20 * MS, 50 * MS,
    200 * MS, 1000 * MS };
static const uint64_t slowness[] = { 1 * MS, 20 * MS, 100 * MS, 1000 * MS };

#define ONE_OF(s, a) ((a)[sim_random(s) % (sizeof(a) / sizeof((a)[0]))])

static int
earlier(const void *a, const void *b)
{
	uint64_t x = ((const struct connection *)a)->at;
	uint64_t y = ((const struct connection *)b)->at;

	return (x > y) - (x < y);
}

/* Arrivals at random, `load` of them being served at a time on average. */
static void
poisson(struct sim *s, uint64_t from, uint64_t to, double load,
    uint64_t service)
{
	uint64_t t = from;
	uint64_t pause = (uint64_t)((double)service / load);

	for (;;) {
		t += sim_exponential(s, pause);
		if (t >= to || nlist == CONNECTIONS)
			return;
		add(t, sim_random(s) % 2 == 0 ? service :
		    sim_exponential(s, service));
	}
}

static void
constant(struct sim *s)
{
	uint64_t service = ONE_OF(s, services);
	double load = (double)sim_between(s, 5, 200) / 10;
	uint64_t end = 12 * MINUTE;

	setup(s, (unsigned int)sim_between(s, 0, 4), 64, 10 * USEC,
	    ONE_OF(s, slowness));
	if ((double)end / (double)service * load > CONNECTIONS - 10)
		end = (uint64_t)((double)service / load * (CONNECTIONS - 10));
	world.settled = end / 6;
	poisson(s, USEC, end, load, service);
	run(end + MINUTE + world.start, 0);
	check_calm(end);
	check_rest();
}

/* The same at any size: how good it is for those who wait. */
static void
poisson_wait(struct sim *s)
{
	uint64_t service = ONE_OF(s, services);

	setup(s, (unsigned int)sim_between(s, 0, 4), 64, 10 * USEC,
	    ONE_OF(s, slowness));
	poisson(s, USEC, USEC + 200 * service + 4 * MINUTE,
	    (double)sim_between(s, 5, 300) / 10, service);
	forgive_first();
	run(list[nlist - 1].at + MINUTE, 1.25);
	check_rest();
}

/* Many at once, now and then, with quiet between, or not. */
static void
bursts(struct sim *s)
{
	uint64_t service = ONE_OF(s, services), t = USEC;
	uint64_t pause = sim_between(s, 1, 8) * USEC;
	unsigned int size = (unsigned int)sim_between(s, 5, 60);
	unsigned int i;

	setup(s, (unsigned int)sim_between(s, 0, 4), 64, 10 * USEC,
	    ONE_OF(s, slowness));
	world.settled = 2 * MINUTE;
	while (t < 10 * MINUTE) {
		for (i = 0; i < size; i++)
			add(t + sim_between(s, 0, 5 * MS), service);
		t += pause + service;
	}
	qsort(list, nlist, sizeof(list[0]), earlier);
	/* A queue that is gone by then is no reason for workers so slow. */
	world.from = world.settled;
	if (world.lag < world.start)
		world.lag = world.start;
	run(t + MINUTE, 1.25);
	if (world.starts_settled > 64)
		sim_fail(s, "%" PRIu64 " starts for bursts of %u",
		    world.starts_settled, size);
	check_rest();
}

/* What the workers there are get done in no time is no reason for more. */
static void
small_bursts(struct sim *s)
{
	uint64_t t;
	unsigned int i, n;

	setup(s, 4, 64, 10 * USEC, ONE_OF(s, slowness));
	for (t = USEC; t < MINUTE; t += sim_between(s, 50, 500) * MS) {
		n = (unsigned int)sim_between(s, 4, 40);
		for (i = 0; i < n; i++)
			add(t + sim_between(s, 0, 500), sim_between(s, 200,
			    1 * MS));
	}
	qsort(list, nlist, sizeof(list[0]), earlier);
	run(2 * MINUTE, 0);
	if (world.starts > 0)
		sim_fail(s, "%" PRIu64 " starts for bursts that are gone in "
		    "10 ms", world.starts);
	check_rest();
}

/* Ten minutes are a day here: the pool goes along. */
static void
diurnal(struct sim *s)
{
	uint64_t service = ONE_OF(s, services), t = USEC, pause;
	double load;

	setup(s, (unsigned int)sim_between(s, 0, 2), 64, 10 * USEC,
	    ONE_OF(s, slowness));
	while (t < 20 * MINUTE && nlist < CONNECTIONS) {
		load = 8 - 7.9 * cos((double)t / (10 * MINUTE) * 6.2831853);
		pause = (uint64_t)((double)service / load);
		t += sim_exponential(s, pause);
		add(t, service);
	}
	forgive_first();
	run(t + MINUTE, 1.1);
	check_rest();
}

/* After a step the load is constant: so is the pool, after a few steps. */
static void
load_step(struct sim *s)
{
	uint64_t service = ONE_OF(s, services);
	unsigned int load = (unsigned int)sim_between(s, 3, 50), i;

	setup(s, (unsigned int)sim_between(s, 1, 4), 64, 10 * USEC,
	    ONE_OF(s, slowness));
	for (i = 0; i < load; i++)
		add(USEC, service);
	world.again = service;
	world.until = MINUTE;
	forgive_first();
	run(2 * MINUTE, 1.1);
	if (world.steps > 12 + world.start / (50 * MS))
		sim_fail(s, "%u steps to settle", world.steps);
	/* A few that wait a little may be met late, by chance. */
	if (world.grown > USEC + 2 * world.start + 2 * service + 10 * USEC)
		sim_fail(s, "it still grew %.3f s after the load began",
		    (double)(world.grown - USEC) / 1e6);
	check_rest();
}

/* One worker takes no connection, or never ends one: the others go on. */
static void
stuck(struct sim *s)
{
	bool holds = sim_random(s) % 2 == 0;

	setup(s, (unsigned int)sim_between(s, 1, 3), 16, 10 * USEC,
	    ONE_OF(s, slowness));
	if (holds)
		add(USEC / 2, 10 * MINUTE);
	else
		world.workers[0].stuck = true;
	poisson(s, USEC, 2 * MINUTE, (double)sim_between(s, 2, 80) / 10,
	    ONE_OF(s, services));
	forgive_first();
	run(20 * MINUTE, holds ? 0 : 1.3);
	if (world.longest > 400 * MS + 2 * world.start + 2 * USEC)
		sim_fail(s, "one waited for %.3f s",
		    (double)world.longest / 1e6);
	check_rest();
}

static void
herd(struct sim *s)
{
	unsigned int i;
	uint64_t service = ONE_OF(s, services);

	setup(s, (unsigned int)sim_between(s, 0, 4), 64, 10 * USEC,
	    ONE_OF(s, slowness));
	for (i = 0; i < 1000; i++)
		add(USEC + sim_between(s, 0, 2 * MS), service);
	qsort(list, nlist, sizeof(list[0]), earlier);
	/* One start, and the time for all of them to be begun. */
	world.lag = world.start + SCALE_EVIDENCE_MAX + 7 * SCALE_STEP;
	run(USEC + 1000 * service + 2 * MINUTE, 1.05);
	/* All are there as soon as doubling allows, if they are needed. */
	if (service >= 5 * MS && world.most != 64)
		sim_fail(s, "%u workers at most", world.most);
	if (world.steps > 10)
		sim_fail(s, "%u steps", world.steps);
	check_rest();
}

/* Few connections, long apart: each finds a pool of none. */
static void
on_demand(struct sim *s)
{
	uint64_t t, service = ONE_OF(s, services);

	setup(s, 0, 8, USEC, ONE_OF(s, slowness));
	for (t = USEC; t < 10 * MINUTE; t += 5 * USEC)
		add(t, service);
	run(11 * MINUTE, 0);
	if (world.starts != nlist)
		sim_fail(s, "%" PRIu64 " starts for %zu", world.starts, nlist);
	if (world.longest > world.start + MS)
		sim_fail(s, "one waited longer than a start");
	if (world.looks > 60 * nlist)
		sim_fail(s, "%" PRIu64 " looks for %zu", world.looks, nlist);
	check_rest();
}

/* Workers that serve several at once: threads, children, an event loop. */
static void
several(struct sim *s)
{
	static const unsigned int at_once[] = { 2, 4, 8, 64 };
	uint64_t service = ONE_OF(s, services), end = 6 * MINUTE;
	double load;

	setup(s, (unsigned int)sim_between(s, 0, 2), 16, 10 * USEC,
	    ONE_OF(s, slowness));
	world.really = ONE_OF(s, at_once);
	load = (double)sim_between(s, 5, 100) / 10 * world.really;
	if ((double)end / (double)service * load > CONNECTIONS - 10)
		end = (uint64_t)((double)service / load * (CONNECTIONS - 10));
	world.settled = end / 3 + 10 * USEC;
	poisson(s, USEC, end, load, service);
	run(end + MINUTE, 0);
	check_calm(end);
	check_rest();
}

/* Where accepted connections cannot be counted nobody is taken for idle. */
static void
unseen(struct sim *s)
{
	setup(s, 1, 16, 10 * USEC, ONE_OF(s, slowness));
	world.unseen = true;
	poisson(s, USEC, MINUTE, (double)sim_between(s, 20, 80) / 10,
	    50 * MS);
	run(3 * MINUTE, 0);
	if (world.staying < world.most)
		sim_fail(s, "%u of %u are left", world.staying, world.most);
}

static const struct sim_case cases[] = {
	{ "constant", constant },
	{ "poisson", poisson_wait },
	{ "bursts", bursts },
	{ "small-bursts", small_bursts },
	{ "diurnal", diurnal },
	{ "step", load_step },
	{ "stuck", stuck },
	{ "herd", herd },
	{ "on-demand", on_demand },
	{ "several", several },
	{ "unseen", unseen },
};

int
main(int argc, char *argv[])
{
	return sim_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
