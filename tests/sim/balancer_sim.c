/* SPDX-License-Identifier: ISC */
/*
 * A thousand pools behind balancers that know them only by what agents told 0.2
 * to 5 seconds ago: how many requests wait for a worker, in a balancer or in a
 * pool? An ideal balancer, with which it is compared, has one queue before all
 * workers of all pools.
 *
 * What an agent tells is agent_line.c's. A balancer does as HAProxy's
 * "leastconn" does: the next request goes to the pool with the fewest of its
 * own requests for its weight, unless that has maxconn of them; if all have, it
 * waits in the balancer. The weight is the configured one, in proportion to the
 * workers, times what the agent says.
 *
 * One balancer knows all that is on its way, and is as good as the ideal one at
 * any load. Several know nothing of each other, and if they follow the idle
 * share itself, all turn to whoever was idle, who is busy before they know it.
 * Of four, up to a mean load of 0.85, one in a hundred may wait where none has
 * to.
 * Wrong rules have to be noticed.
 */
#include "ctl/agent.h"
#include "base/units.h"
#include "proto/proto.h"
#include "sim.h"

#define MS		UINT64_C(1000)
#define POOLS		1000
#define FEWEST		8	/* workers of a pool */
#define WORKERS		16	/* and the most */
#define BALANCERS	4
#define INTERVAL	(500 * MS)	/* between looks: agent-inter */
#define BEGIN		(5 * USEC)	/* of what is counted */
#define SPAN		(10 * USEC)
#define SERVICE		USEC
#define REQUESTS	300000
#define EVENTS		(POOLS * (WORKERS + 12 * BALANCERS))
#define NOWHERE		UINT64_MAX
#define NONE		UINT32_MAX
#define SCALE		UINT64_C(10000000)

/* The bounds: of the share that waits, to that of the ideal. */
#define LARGER		1.2
#define MORE		0.01	/* of several, where none waits there */
#define UNIT		8	/* configured weight of a worker */

struct request {
	uint64_t	 at;
	uint64_t	 service;
	unsigned int	 balancer;
};

/* What a balancer knows of a pool. */
struct told {
	unsigned int	 weight;	/* percent */
	unsigned int	 maxconn;
};

struct site {
	unsigned int	 workers, busy;
	unsigned int	 first, last;	/* that wait here, by next[] */
	unsigned int	 waiting;
};

/* A tree of pools, the next one on top. */
struct balancer {
	struct told	 told[POOLS];
	unsigned int	 sent[POOLS];	/* that have no answer yet */
	uint64_t	 key[POOLS], turn[POOLS];
	unsigned int	 tree[POOLS], place[POOLS];
	uint64_t	 turns;
	unsigned int	 first, last;	/* that wait here, by next[] */
};

enum kind { END, LOOK, TOLD };

struct event {
	uint64_t	 at;
	enum kind	 what;
	unsigned int	 pool, balancer, request;
	struct told	 told;
};

typedef void rule(const struct site *, struct told *);

static struct request requests[REQUESTS];
static unsigned int nrequests, next[REQUESTS];
static struct site pools[POOLS];
static struct balancer balancers[BALANCERS];
static unsigned int nbalancers;
static struct event events[EVENTS];
static size_t nevents;
static uint64_t delay[POOLS];	/* until a balancer knows what was told */
static bool waited[REQUESTS];
static uint64_t now;

static void
event_put(struct event e)
{
	size_t i = nevents++;

	if (nevents > EVENTS)
		abort();
	for (; i > 0 && events[(i - 1) / 2].at > e.at; i = (i - 1) / 2)
		events[i] = events[(i - 1) / 2];
	events[i] = e;
}

static struct event
event_take(void)
{
	struct event first = events[0], last = events[--nevents];
	size_t i = 0, c;

	while ((c = 2 * i + 1) < nevents) {
		if (c + 1 < nevents && events[c + 1].at < events[c].at)
			c++;
		if (last.at <= events[c].at)
			break;
		events[i] = events[c];
		i = c;
	}
	events[i] = last;
	return first;
}

static void
queue_put(unsigned int *first, unsigned int *last, unsigned int r)
{
	next[r] = NONE;
	if (*first == NONE)
		*first = r;
	else
		next[*last] = r;
	*last = r;
}

static unsigned int
queue_take(unsigned int *first)
{
	unsigned int r = *first;

	*first = next[r];
	return r;
}

/* The line of an agent, as HAProxy reads it. */
static void
parse_line(const char *line, struct told *t)
{
	if (sscanf(line, "ready up %u%% maxconn:%u", &t->weight,
	    &t->maxconn) != 2)
		abort();
}

static void
make_line(const struct site *p, char line[AGENT_LINE])
{
	static char record[PROTO_LINE];
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record r = { .fields = fields };
	struct proto_output o = { 0 };
	struct reply a = { NULL, 0 };
	char *rest, *end;
	struct err e;

	proto_begin(&o, "pool");
	proto_text(&o, "state", "running");
	proto_number(&o, "target", p->workers);
	proto_number(&o, "max", p->workers);
	proto_end(&o);
	proto_begin(&o, "workers");
	proto_number(&o, "ready", p->workers);
	proto_end(&o);
	proto_begin(&o, "connections");
	proto_number(&o, "now", p->busy);
	proto_end(&o);
	proto_begin(&o, "queue");
	proto_number(&o, "now", p->waiting);
	proto_end(&o);
	proto_begin(&o, "end");		/* in its place the text ends */
	o.buf[o.line] = '\0';
	for (rest = o.buf; (end = strchr(rest, '\n')) != NULL; rest = end + 1) {
		*end = '\0';
		strlcpy(record, rest, sizeof(record));
		if (proto_parse(record, &r) == -1 ||
		    reply_add(&a, &r, &e) == -1)
			abort();
	}
	proto_free(&o);
	agent_line_serving(&a, -1, line);
	reply_free(&a);
}

/* What is in main: the same of the same, and made once. */
static void
rule_agent(const struct site *p, struct told *t)
{
	static struct told known[WORKERS + 1][2 * WORKERS + 1];
	unsigned int load = p->busy + p->waiting;
	char line[AGENT_LINE];
	struct told *k;

	if (load > 2 * WORKERS)
		load = 2 * WORKERS;
	k = &known[p->workers][load];
	if (k->maxconn == 0) {
		make_line(p, line);
		parse_line(line, k);
	}
	*t = *k;
}

/* Wrong: the idle share itself. */
static void
rule_share(const struct site *p, struct told *t)
{
	unsigned int load = p->busy + p->waiting;

	t->weight = load < p->workers ?
	    100 * (p->workers - load) / p->workers : 0;
	if (t->weight < 10)
		t->weight = 10;
	t->maxconn = p->workers;
}

/* Wrong, too: and as many as come. */
static void
rule_endless(const struct site *p, struct told *t)
{
	rule_share(p, t);
	t->maxconn = REQUESTS;
}

static bool
is_before(const struct balancer *b, unsigned int x, unsigned int y)
{
	return b->key[x] != b->key[y] ? b->key[x] < b->key[y] :
	    b->turn[x] < b->turn[y];
}

static void
tree_set(struct balancer *b, unsigned int i, unsigned int pool)
{
	b->tree[i] = pool;
	b->place[pool] = i;
}

/* Its key has changed, or will be among equals. */
static void
tree_move(struct balancer *b, unsigned int pool)
{
	const struct told *t = &b->told[pool];
	unsigned int i = b->place[pool], c;

	if (b->sent[pool] >= t->maxconn)
		b->key[pool] = NOWHERE;
	else if (b->sent[pool] == 0)
		b->key[pool] = 0;
	else
		b->key[pool] = (b->sent[pool] + 1) * SCALE /
		    (t->weight * UNIT * pools[pool].workers);
	b->turn[pool] = b->turns++;
	for (; i > 0 && is_before(b, pool, b->tree[(i - 1) / 2]);
	    i = (i - 1) / 2)
		tree_set(b, i, b->tree[(i - 1) / 2]);
	for (; (c = 2 * i + 1) < POOLS; i = c) {
		if (c + 1 < POOLS && is_before(b, b->tree[c + 1], b->tree[c]))
			c++;
		if (!is_before(b, b->tree[c], pool))
			break;
		tree_set(b, i, b->tree[c]);
	}
	tree_set(b, i, pool);
}

static void
serve(unsigned int pool, unsigned int r)
{
	pools[pool].busy++;
	event_put((struct event){ .at = now + requests[r].service, .what = END,
	    .pool = pool, .request = r });
}

static void
arrive(unsigned int pool, unsigned int r)
{
	struct site *p = &pools[pool];

	if (p->busy < p->workers) {
		serve(pool, r);
		return;
	}
	waited[r] = true;
	p->waiting++;
	queue_put(&p->first, &p->last, r);
}

/* Whatever waits in a balancer goes where there is room. */
static void
send_on(struct balancer *b)
{
	unsigned int pool;

	while (b->first != NONE) {
		pool = b->tree[0];
		if (b->key[pool] == NOWHERE)
			return;
		b->sent[pool]++;
		tree_move(b, pool);
		arrive(pool, queue_take(&b->first));
	}
}

static void
come(unsigned int r)
{
	struct balancer *b = &balancers[requests[r].balancer];

	queue_put(&b->first, &b->last, r);
	send_on(b);
	if (b->first != NONE)
		waited[r] = true;
}

static void
end(const struct event *e)
{
	struct balancer *b = &balancers[requests[e->request].balancer];
	struct site *p = &pools[e->pool];

	p->busy--;
	if (p->first != NONE) {
		p->waiting--;
		serve(e->pool, queue_take(&p->first));
	}
	b->sent[e->pool]--;
	tree_move(b, e->pool);
	send_on(b);
}

static void
happen(struct event e, rule *tell)
{
	struct balancer *b = &balancers[e.balancer];

	switch (e.what) {
	case END:
		end(&e);
		break;
	case LOOK:
		e.at = now + INTERVAL;
		event_put(e);
		e.what = TOLD;
		e.at = now + delay[e.pool];
		tell(&pools[e.pool], &e.told);
		event_put(e);
		break;
	case TOLD:
		b->told[e.pool] = e.told;
		tree_move(b, e.pool);
		send_on(b);
		break;
	}
}

static void
begin(struct sim *s, unsigned int many)
{
	unsigned int i, j;

	memset(balancers, 0, sizeof(balancers));
	memset(waited, 0, sizeof(waited));
	nbalancers = many;
	nevents = 0;
	now = 0;
	for (i = 0; i < POOLS; i++) {
		pools[i] = (struct site){ .first = NONE, .workers =
		    (unsigned int)sim_between(s, FEWEST, WORKERS) };
		delay[i] = sim_between(s, 200 * MS, 5 * USEC);
	}
	for (j = 0; j < many; j++) {
		balancers[j].first = NONE;
		for (i = 0; i < POOLS; i++) {
			tree_set(&balancers[j], i, i);
			rule_agent(&pools[i], &balancers[j].told[i]);
			event_put((struct event){ .at = sim_between(s, 0,
			    INTERVAL), .what = LOOK, .pool = i,
			    .balancer = j });
		}
		for (i = 0; i < POOLS; i++)
			tree_move(&balancers[j], i);
	}
}

static unsigned int
count_workers(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < POOLS; i++)
		n += pools[i].workers;
	return n;
}

/* As much as the workers can do, times `load`, which rises and falls. */
static void
make_requests(struct sim *s, double load, double swing)
{
	double workers = count_workers(), l;
	uint64_t t = 0;

	nrequests = 0;
	for (;;) {
		l = load + swing * sin((double)t / 8e6 * 6.2831853);
		t += sim_exponential(s, (uint64_t)((double)SERVICE * 1000 / l /
		    workers)) / 1000;
		if (t >= SPAN || nrequests == REQUESTS)
			return;
		requests[nrequests++] = (struct request){ .at = t, .service =
		    sim_exponential(s, SERVICE) + 1, .balancer =
		    (unsigned int)sim_between(s, 0, nbalancers - 1) };
	}
}

static double
share_waiting(void)
{
	unsigned int i, n = 0, of = 0;

	for (i = 0; i < nrequests; i++) {
		if (requests[i].at < BEGIN)
			continue;
		of++;
		n += waited[i];
	}
	return (double)n / of;
}

static void
run(rule *tell)
{
	unsigned int r = 0;

	while (r < nrequests) {
		if (nevents > 0 && events[0].at <= requests[r].at) {
			struct event e = event_take();

			now = e.at;
			happen(e, tell);
		} else {
			now = requests[r].at;
			come(r++);
		}
	}
}

/* By one queue before all workers. */
static double
share_ideal(void)
{
	unsigned int workers = count_workers(), r;
	struct event e = { .at = 0 };

	memset(waited, 0, sizeof(waited));
	nevents = 0;
	for (r = 0; r < nrequests; r++) {
		e.at = requests[r].at;
		while (nevents > 0 && events[0].at <= requests[r].at)
			event_take();
		if (nevents == workers) {
			e = event_take();
			waited[r] = true;
		}
		e.at += requests[r].service;
		event_put(e);
	}
	return share_waiting();
}

/* At a load of so many hundredths, and what it swings by at most. */
static bool
compare(struct sim *s, unsigned int many, rule *tell, unsigned int least,
    unsigned int most, unsigned int swings)
{
	double load = (double)sim_between(s, least, most) / 100;
	double swing = (double)sim_between(s, 0, swings) / 100, share, ideal;

	begin(s, many);
	make_requests(s, load, swing);
	run(tell);
	share = share_waiting();
	ideal = share_ideal();
	snprintf(s->said, sizeof(s->said), "%u requests, load %.2f to %.2f: "
	    "%.4f wait, %.4f with an ideal balancer", nrequests, load - swing,
	    load + swing, share, ideal);
	return share <= ideal * LARGER + (many > 1 ? MORE : 0);
}

static void
one(struct sim *s)
{
	if (!compare(s, 1, rule_agent, 50, 100, 20))
		sim_fail(s, "more wait than need to");
}

static void
several(struct sim *s)
{
	if (!compare(s, BALANCERS, rule_agent, 50, 85, 10))
		sim_fail(s, "more wait than need to");
}

static void
one_told_wrong(struct sim *s)
{
	if (compare(s, 1, rule_endless, 70, 80, 10))
		sim_fail(s, "a wrong rule was not noticed");
}

static void
several_told_wrong(struct sim *s)
{
	if (compare(s, BALANCERS, rule_share, 70, 80, 10))
		sim_fail(s, "a wrong rule was not noticed");
}

static const struct sim_case cases[] = {
	{ "one", one },
	{ "several", several },
	{ "one_told_wrong", one_told_wrong },
	{ "several_told_wrong", several_told_wrong },
};

int
main(int argc, char *argv[])
{
	return sim_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
