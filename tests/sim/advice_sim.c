/* SPDX-License-Identifier: ISC */
/*
 * Does following "spawnctl advise" make a pool large enough, and not much
 * larger? Connections come by different laws to a pool that is looked at as a
 * real one is; its ledger becomes the answer of a daemon, and the advice that
 * follows from it the next size, until there is no other. Then new connections
 * come by the same law to a pool of that size: fewer than one in a hundred may
 * wait. And they come to fixed pools, for longer: -F may be at most 1.2 times
 * the smallest of these for which this holds, and so the average size of all
 * pools together.
 *
 * Workers are whole, so of fewer than five 1.2 times is no more than as many.
 * A pool that is to have fewer than one in a hundred wait tomorrow, too, has
 * one more then: the smallest for one half of an hour often is too small for
 * the next one.
 */
#include "base/base.h"
#include "base/units.h"
#include "client/advice.h"
#include "client/client.h"
#include "control/server.h"
#include "pool/ledger.h"
#include "pool/scale.h"
#include "proto/proto.h"
#include "sim.h"

#define MS		UINT64_C(1000)
#define CONNECTIONS	100000
#define FEW		5000
#define WORKERS		512
#define SPAN		(1800 * USEC)
#define SPANS		4	/* in which is seen what a law needs */
#define ROUNDS		8
#define WAITS		0.01	/* the share that may */
#define LARGER		1.2	/* than the smallest that is enough */
#define ADAPTS		1.35	/* on average: the workers of each rush stay
				   for some time */

struct connection {
	uint64_t	 at;
	uint64_t	 service;
};

struct law {
	void		(*make)(struct sim *, const struct law *);
	double		 load;
	uint64_t	 service;
	uint64_t	 pause;
	unsigned int	 size;
};

static struct connection list[CONNECTIONS * SPANS];
static size_t nlist, most;		/* of the list, and so many may be */

static int
earlier(const void *a, const void *b)
{
	uint64_t x = ((const struct connection *)a)->at;
	uint64_t y = ((const struct connection *)b)->at;

	return (x > y) - (x < y);
}

static void
add(uint64_t at, uint64_t service)
{
	if (nlist < most)
		list[nlist++] = (struct connection){ at, service };
}

/* The ends of what is served, as a heap. */
struct end {
	uint64_t	 at;
	size_t		 number;	/* of the connection */
};

struct ends {
	struct end	 list[CONNECTIONS];
	size_t		 n;
};

static void
ends_put(struct ends *h, uint64_t at, size_t number)
{
	size_t i = h->n++;

	for (; i > 0 && h->list[(i - 1) / 2].at > at; i = (i - 1) / 2)
		h->list[i] = h->list[(i - 1) / 2];
	h->list[i] = (struct end){ at, number };
}

static uint64_t
ends_take(struct ends *h)
{
	struct end first = h->list[0], last = h->list[--h->n];
	size_t i = 0, c;

	while ((c = 2 * i + 1) < h->n) {
		if (c + 1 < h->n && h->list[c + 1].at < h->list[c].at)
			c++;
		if (last.at <= h->list[c].at)
			break;
		h->list[i] = h->list[c];
		i = c;
	}
	h->list[i] = last;
	return first.at;
}

/* The share of the list that waits for one of so many workers. */
static double
share_of(unsigned int workers)
{
	static struct ends ends;
	size_t i, waits = 0;
	uint64_t begin;

	ends.n = 0;
	for (i = 0; i < nlist; i++) {
		begin = list[i].at;
		if (ends.n == workers) {
			uint64_t free = ends_take(&ends);

			if (free > begin) {
				waits++;
				begin = free;
			}
		}
		ends_put(&ends, begin + list[i].service, i);
	}
	return (double)waits / (double)nlist;
}

static unsigned int
smallest(void)
{
	unsigned int low = 1, high = WORKERS, n;

	while (low < high) {
		n = (low + high) / 2;
		if (share_of(n) >= WAITS)
			low = n + 1;
		else
			high = n;
	}
	return low;
}

/* A pool that is looked at. */
struct world {
	struct scale	 scale;
	struct sampler	 sampler;
	struct ledger	 ledger;
	bool		 adapts;
	unsigned int	 ready, target;
	uint64_t	 start;
	uint64_t	 coming[WORKERS];	/* workers, ready then */
	unsigned int	 ncoming;
	struct ends	 ends;
	size_t		 come, taken;	/* of the connections */
	size_t		 told;		/* were taken at the last count */
	size_t		 queued;	/* had come at the last look */
	size_t		 waited;
	uint64_t	 now, look;
	uint64_t	 worked;	/* usec, of all workers */
	bool		 watch;
	uint32_t	 peak;
};

static struct world w;
static double all_means, all_best;	/* of all that were advised */

static void
take(void)
{
	const struct connection *c;

	while (w.taken < w.come && w.ends.n < w.ready) {
		c = &list[w.taken];
		w.waited += c->at < w.now;
		ends_put(&w.ends, w.now + c->service, w.taken++);
	}
}

/* Those that are served and were not at the last count. */
static uint32_t
count_fresh(void)
{
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < w.ends.n; i++)
		n += w.ends.list[i].number >= w.told;
	w.told = w.taken;
	return n;
}

/* Workers beyond the target go, the idle ones at once. */
static void
settle(unsigned int target)
{
	unsigned int keep;

	w.target = target;
	while (w.ready + w.ncoming < target && w.ncoming < WORKERS)
		w.coming[w.ncoming++] = w.now + w.start;
	while (w.ncoming > 0 && w.ready + w.ncoming > target)
		w.ncoming--;
	keep = w.ends.n > target ? (unsigned int)w.ends.n : target;
	if (w.ready > keep)
		w.ready = keep;
}

static void
tell_ledger(const struct scale_view *v, bool counted)
{
	struct ledger_look look = { .now = w.now, .queue = v->queue,
	    .busy = SCALE_UNKNOWN, .fresh = SCALE_UNKNOWN,
	    .places = w.ready };

	if (counted) {
		look.busy = (uint32_t)w.ends.n;
		look.fresh = count_fresh();
	}
	if (v->fired)
		look.cause = w.adapts ? 1 : look.fresh;
	ledger_look(&w.ledger, &look);
}

static void
look(bool fired)
{
	struct scale_view v = { .now = w.now, .fired = fired, .cost = 70,
	    .start = w.start, .ready = w.ready, .starting = w.ncoming };
	struct scale_decision d;
	struct sampler_next n;
	bool counted;

	v.queue = (uint32_t)(w.come - w.taken);
	v.waited = (uint32_t)(w.queued > w.taken ? w.queued - w.taken : 0);
	w.queued = w.come;
	counted = !w.adapts || scale_wants_busy(&w.scale, 1) ||
	    w.now - w.sampler.busy_at >= USEC;
	v.busy = counted ? (uint32_t)w.ends.n : SCALE_UNKNOWN;
	tell_ledger(&v, counted);
	if (v.queue > w.peak)
		w.peak = v.queue;
	d = scale_decide(&w.scale, &v);
	if (w.adapts) {
		n = sampler_next(&w.sampler, &v, &d);
		settle(d.target);
	} else
		n = sampler_next_fixed(&w.sampler, &v);
	w.look = n.look;
	w.watch = n.watch;
	take();
}

static uint64_t
next_event(void)
{
	uint64_t t = w.look;
	unsigned int i;

	if (w.come < nlist && list[w.come].at < t)
		t = list[w.come].at;
	if (w.ends.n > 0 && w.ends.list[0].at < t)
		t = w.ends.list[0].at;
	for (i = 0; i < w.ncoming; i++) {
		if (w.coming[i] < t)
			t = w.coming[i];
	}
	return t;
}

static void
happen(void)
{
	unsigned int i;

	while (w.ends.n > 0 && w.ends.list[0].at <= w.now) {
		ends_take(&w.ends);
		if (w.ready > w.target && w.ready > w.ends.n)
			w.ready--;
	}
	for (i = 0; i < w.ncoming; i++) {
		if (w.coming[i] > w.now)
			continue;
		w.coming[i--] = w.coming[--w.ncoming];
		w.ready++;
	}
}

/* The list comes to a pool of min to max workers. */
static void
serve(unsigned int min, unsigned int max, uint64_t start)
{
	struct scale_conf c = { .min = min, .max = max, .idle = 10 * USEC,
	    .serves = 1 };
	bool came, fired = false;
	uint64_t next;

	memset(&w, 0, sizeof(w));
	w.adapts = min < max;
	w.start = start;
	w.ready = w.target = min;
	w.look = 1;
	scale_init(&w.scale, &c);
	for (;;) {
		next = next_event();
		if (next == NEVER || (w.taken == nlist && w.ends.n == 0))
			break;
		w.worked += (next - w.now) * (w.ready + w.ncoming);
		w.now = next;
		happen();
		came = false;
		while (w.come < nlist && list[w.come].at <= w.now) {
			w.come++;
			came = true;
		}
		take();
		if (came && w.watch) {
			w.watch = false;
			if (w.adapts)
				look(true);
			else {
				fired = true;
				w.look = w.now + SAMPLER_FIXED_AGAIN;
			}
		} else if (w.now >= w.look) {
			look(fired);
			fired = false;
		}
		take();
	}
}

/* The answers of a daemon to "status" and "load". */
static void
answer(unsigned int min, unsigned int max, struct reply *a)
{
	static char line[PROTO_LINE];
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record r = { .fields = fields };
	struct proto_output o = { 0 };
	char *rest, *next;
	struct err e;

	proto_begin(&o, "pool");
	proto_number(&o, "min", min);
	proto_number(&o, "max", max);
	proto_number(&o, "children", 0);
	proto_end(&o);
	proto_begin(&o, "queue");
	proto_number(&o, "limit", 1024);
	proto_number(&o, "peak", w.peak);
	proto_end(&o);
	ledger_records_write(&w.ledger, &o);
	proto_begin(&o, "end");		/* in its place the text ends */
	o.buf[o.line] = '\0';
	for (rest = o.buf; (next = strchr(rest, '\n')) != NULL;
	    rest = next + 1) {
		*next = '\0';
		strlcpy(line, rest, sizeof(line));
		if (proto_parse(line, &r) == -1 || reply_add(a, &r, &e) == -1)
			abort();
	}
	proto_free(&o);
}

/* The next size for that of the pool; returns true if that is good. */
static bool
ask(struct sim *s, unsigned int *min, unsigned int *max)
{
	struct reply a = { NULL, 0 };
	struct advice v;

	answer(*min, *max, &a);
	advice_make(&a, &v);
	reply_free(&a);
	if (s->verbose)
		printf("# %u-%u: %.2f Erlang, %.0f came, %.4f waited, %.0f at "
		    "most, %.0f are enough: %s%u-%u\n", *min, *max, v.erlangs,
		    v.came, v.waited, v.most, v.enough, v.keep ? "keep " : "",
		    v.fewest, v.largest);
	if (!v.known)
		sim_fail(s, "no advice after %.0f connections", v.came);
	else if (v.keep)
		return true;
	*min = v.fewest;
	*max = v.largest;
	return false;
}

/* Makes a list of what comes in so many spans. */
static void
come(struct sim *s, const struct law *law, unsigned int spans)
{
	unsigned int i;
	size_t from;

	nlist = 0;
	for (i = 0; i < spans; i++) {
		from = nlist;
		most = from + CONNECTIONS;
		law->make(s, law);
		for (; from < nlist; from++)
			list[from].at += i * SPAN;
	}
	qsort(list, nlist, sizeof(list[0]), earlier);
}

static void
follow(struct sim *s, const struct law *law, unsigned int min,
    unsigned int max)
{
	unsigned int best, asked;
	uint64_t start = 50 * MS;
	double share, mean;

	for (asked = 0; asked < ROUNDS && !s->failed; asked++) {
		come(s, law, 1);
		serve(min, max, start);
		if (ask(s, &min, &max))
			break;
	}
	come(s, law, 1);
	serve(min, max, start);
	share = (double)w.waited / (double)nlist;
	mean = (double)w.worked / (double)w.now;
	come(s, law, SPANS);
	best = smallest();
	snprintf(s->said, sizeof(s->said), "%zu connections in %.0f s, %u-%u "
	    "workers, %.1f on average, after %u questions: %.4f wait, %u are "
	    "enough", nlist, (double)w.now / 1e6, min, max, mean, asked + 1,
	    share, best);
	if (asked == ROUNDS)
		sim_fail(s, "no end of advice");
	if (share >= WAITS)
		sim_fail(s, "%.4f wait for one of %u", share, min);
	if (min > best * LARGER && min > best + 1)
		sim_fail(s, "%u workers, %u are enough", min, best);
	if (min < max && mean > best * ADAPTS + 1)
		sim_fail(s, "%.2f workers on average, %u are enough", mean,
		    best);
	all_means += min < max ? mean : min;
	all_best += best;
}

/* From a pool that adapts, one that is too small, or one too large. */
static void
follow_from(struct sim *s, const struct law *law)
{
	unsigned int load = (unsigned int)law->load;

	switch (sim_between(s, 0, 2)) {
	case 0:
		follow(s, law, (unsigned int)sim_between(s, 0, 3), 200);
		break;
	case 1:
		follow(s, law, 1 + load / 2, 1 + load / 2);
		break;
	default:
		follow(s, law, 3 * load + 20, 3 * load + 20);
	}
}

/* Any service, but so many as fit into the list, and enough for advice. */
static struct law
choose(struct sim *s, void (*make)(struct sim *, const struct law *))
{
	static const uint64_t services[] = { 20 * MS, 50 * MS, 200 * MS,
	    1000 * MS };
	struct law law = { .make = make,
	    .load = (double)sim_between(s, 2, 300) / 10,
	    .service = services[sim_between(s, 0, 3)] };

	while (law.load / (double)law.service * (double)SPAN >
	    CONNECTIONS * 0.9)
		law.service *= 2;
	while (law.load / (double)law.service * (double)SPAN < FEW)
		law.service /= 2;
	return law;
}

/* Arrivals at random. */
static void
make_poisson(struct sim *s, const struct law *law)
{
	uint64_t pause = (uint64_t)((double)law->service / law->load), t = 0;

	while ((t += sim_exponential(s, pause)) < SPAN)
		add(t, sim_random(s) % 2 == 0 ? law->service :
		    sim_exponential(s, law->service));
}

static void
poisson(struct sim *s)
{
	struct law law = choose(s, make_poisson);

	follow_from(s, &law);
}

/* A few of them take twenty times as long. */
static void
make_mixed(struct sim *s, const struct law *law)
{
	uint64_t pause = (uint64_t)((double)law->service / law->load * 1.95);
	uint64_t t = 0;

	while ((t += sim_exponential(s, pause)) < SPAN)
		add(t, sim_exponential(s, sim_random(s) % 20 == 0 ?
		    20 * law->service : law->service));
}

static void
mixed(struct sim *s)
{
	struct law law = choose(s, make_mixed);

	follow_from(s, &law);
}

/* A day and a night in five minutes. */
static void
make_diurnal(struct sim *s, const struct law *law)
{
	double load, day = 300e6;
	uint64_t t = 0;

	for (;;) {
		load = law->load * (1 - 0.9 * cos((double)t / day *
		    6.2831853)) / 1.9;
		t += sim_exponential(s, (uint64_t)((double)law->service /
		    load));
		if (t >= SPAN)
			return;
		add(t, sim_exponential(s, law->service));
	}
}

static void
diurnal(struct sim *s)
{
	struct law law = choose(s, make_diurnal);

	follow_from(s, &law);
}

/* Many at once, and some in between. */
static void
make_bursts(struct sim *s, const struct law *law)
{
	uint64_t pause = law->pause, t = 0, at;
	unsigned int i;

	make_poisson(s, law);
	while ((t += pause / 2 + sim_exponential(s, pause / 2)) < SPAN) {
		for (i = 0; i < law->size; i++) {
			at = t + sim_between(s, 0, 5 * MS);
			add(at, law->service);
		}
	}
}

static void
bursts(struct sim *s)
{
	struct law law = { .make = make_bursts,
	    .load = (double)sim_between(s, 2, 20) / 10,
	    .service = sim_between(s, 50, 500) * MS,
	    .pause = sim_between(s, 2, 8) * USEC,
	    .size = (unsigned int)sim_between(s, 5, 40) };

	follow_from(s, &law);
}

/* After the others: all those pools together. */
static void
together(struct sim *s)
{
	snprintf(s->said, sizeof(s->said), "%.0f workers, %.0f are enough",
	    all_means, all_best);
	if (all_means > all_best * LARGER)
		sim_fail(s, "too many");
}

static const struct sim_case cases[] = {
	{ "poisson", poisson },
	{ "mixed", mixed },
	{ "diurnal", diurnal },
	{ "bursts", bursts },
	{ "together", together },
};

int
main(int argc, char *argv[])
{
	return sim_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
