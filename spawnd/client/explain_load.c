/* SPDX-License-Identifier: ISC */
/* Does a pool get the connections, and is it large enough for them? */
#include "base/base.h"
#include "client/client.h"
#include "client/explain.h"
#include "proto/proto.h"

#define GROWS		1.2	/* in ten seconds, as a factor */
#define NEARLY		0.9	/* of the queue is in use */

/* How busy the workers are. */
struct crowd {
	double		 busy, ready;
	bool		 all;		/* no ready one is idle, for certain */
	double		 kept;		/* so many wait for their clients */
	const struct proto_record *longest;	/* busy, of all; or NULL */
	double		 span;		/* so long */
};

static void
add_to_crowd(struct crowd *c, const struct proto_record *r)
{
	double n, awaited = 0, span = 0;

	if (!proto_get_number(r, "connections", &n) || n == 0)
		return;
	proto_get_number(r, "awaited", &awaited);
	proto_get_number(r, "busy", &span);
	if (proto_is(r, "state", "ready") && awaited >= n &&
	    span >= EXPLAIN_KEPT)
		c->kept++;
	if (c->longest == NULL || span > c->span) {
		c->longest = r;
		c->span = span;
	}
}

static void
count_crowd(const struct reply *a, struct crowd *c)
{
	const struct proto_record *r;
	size_t i = 0;
	double idle;

	*c = (struct crowd){ .ready = reply_value(a, "workers", "ready", 0) };
	while ((r = reply_next(a, "worker", &i)) != NULL)
		add_to_crowd(c, r);
	c->all = reply_number(a, "sum", "busy", &c->busy) &&
	    reply_number(a, "sum", "idle", &idle) && idle == 0 && c->ready > 0;
}

static void
explain_entry(struct explain *x)
{
	const struct proto_record *r = reply_find(x->a, "listener");
	char why[SHOW_SIZE];

	if (proto_get(r, "why") != NULL)
		explain_fault(x, "Clients cannot connect: %s.",
		    reply_show(r, "why", why));
}

static void
explain_state(struct explain *x)
{
	const struct proto_record *p = reply_find(x->a, "pool");
	double total = reply_value(x->a, "workers", "total", 0);

	if (proto_is(p, "state", "starting"))
		explain_fault(x, "The pool is starting: no worker has been "
		    "ready yet, and connections wait until one is.");
	else if (proto_is(p, "state", "stopping"))
		explain_fault(x, "The pool is stopping: %.0f of its workers "
		    "%s left. Each ends with its request; \"spawnctl stop "
		    "--now\" does not wait for that.", total,
		    total == 1 ? "is" : "are");
	else if (reply_value(x->a, "pool", "max", 1) == 0)
		explain_fault(x, "The pool may have no worker (it was scaled "
		    "to 0), so connections wait for ever: \"spawnctl scale N\" "
		    "gives it some.");
}

/* "; the longest request has taken 41.0 s, in worker 812" */
static const char *
tell_longest(const struct crowd *c, char *buf, size_t size)
{
	char span[32], pid[SHOW_SIZE];

	buf[0] = '\0';
	if (c->longest == NULL || c->span < 1)
		return buf;
	snprintf(buf, size, " The longest request has taken %s, in worker %s.",
	    reply_span(c->span, span), reply_show(c->longest, "pid", pid));
	return buf;
}

/* Returns true if that is what keeps the workers busy. */
static bool
explain_kept(struct explain *x, const struct crowd *c)
{
	double waits = reply_value(x->a, "queue", "now", 0);

	/* Threads and children of a worker may still be free. */
	if (!c->all || c->kept < c->ready || waits == 0)
		return false;
	explain_fault(x, "Every worker holds a connection on which nothing "
	    "comes: its client, the web server, keeps it open without a "
	    "request (or has not sent the rest of an upload). %.0f "
	    "connection%s wait%s meanwhile. Have the web server keep no "
	    "connection open (nginx: no \"fastcgi_keep_conn on\"), or fewer "
	    "than there are workers, or give the pool more workers than "
	    "that: \"spawnctl scale %.0f\".", waits, waits == 1 ? "" : "s",
	    waits == 1 ? "s" : "", 2 * c->ready);
	return true;
}

static const char *
tell_all(double workers, char *buf, size_t size)
{
	if (workers == 1)
		return "its only worker was";
	snprintf(buf, size, "all %.0f workers were", workers);
	return buf;
}

static void
explain_saturated(struct explain *x, const struct crowd *c)
{
	const struct proto_record *q = reply_find(x->a, "queue");
	double waits, full, oldest = 0;
	double max = reply_value(x->a, "pool", "max", 0);
	char span[32], age[32], old[64] = "", longest[SHOW_SIZE + 96];
	char all[64];

	if (!proto_get_number(q, "saturated_for", &full) ||
	    !proto_get_number(q, "now", &waits) || waits == 0)
		return;
	if (proto_get_number(q, "oldest", &oldest))
		snprintf(old, sizeof(old), ", the oldest for at least %s",
		    reply_span(oldest, age));
	explain_fault(x, "The pool is saturated: for %s connections have "
	    "waited because %s busy and no more may be started. %.0f wait%s "
	    "now%s.%s If the requests take as long as they should, the pool "
	    "is too small: \"spawnctl advise\" says how large it should be, "
	    "and \"spawnctl scale %.0f-%.0f\" makes it larger at once.",
	    reply_span(full, span), tell_all(max, all, sizeof(all)), waits,
	    waits == 1 ? "s" : "", old, tell_longest(c, longest,
	    sizeof(longest)), reply_value(x->a, "pool", "min", max), 2 * max);
}

/* Who could serve does not, for some time. */
static void
explain_unserved(struct explain *x)
{
	double waits = reply_value(x->a, "queue", "now", 0);
	double idle = reply_value(x->a, "sum", "idle", 0);
	double oldest = reply_value(x->a, "queue", "oldest", 0);
	char span[32];

	if (waits == 0 || idle == 0 || oldest < EXPLAIN_KEPT)
		return;
	explain_fault(x, "%.0f connection%s wait%s, the oldest for at least "
	    "%s, although %.0f worker%s hold%s none: they do not accept. The "
	    "table of \"spawnctl status\" names them; \"spawnctl reload\" "
	    "replaces them.", waits, waits == 1 ? "" : "s",
	    waits == 1 ? "s" : "", reply_span(oldest, span), idle,
	    idle == 1 ? "" : "s", idle == 1 ? "s" : "");
}

/* The queue `ago` seconds before now; -1: that is not known. */
static double
queue_before(const struct reply *a, double ago)
{
	const struct proto_record *r;
	double then, n, found = -1;
	size_t i = 0;

	while ((r = reply_next(a, "point", &i)) != NULL) {
		if (!proto_get_number(r, "ago", &then) || then < ago)
			break;
		found = proto_get_number(r, "queue", &n) ? n : -1;
	}
	return found;
}

static void
explain_queue(struct explain *x)
{
	double now = reply_value(x->a, "queue", "now", 0);
	double some = queue_before(x->a, 10), more = queue_before(x->a, 30);
	double limit;

	if (reply_number(x->a, "queue", "limit", &limit) && limit > 0 &&
	    now >= NEARLY * limit)
		explain_fault(x, "The queue is full, or nearly: %.0f of %.0f "
		    "connections wait. A web server gets an error at once "
		    "when it connects to a full one. A longer queue (-b) only "
		    "helps for a short rush, else more workers do.", now,
		    limit);
	else if (some >= 1 && more >= 0 && now > GROWS * some && some >= more)
		explain_fault(x, "The queue grows: %.0f connection%s waited "
		    "30 s ago, %.0f 10 s ago, and %.0f do now. More come than "
		    "are served.", more, more == 1 ? "" : "s", some, now);
}

void
explain_load(struct explain *x)
{
	struct crowd c;

	explain_state(x);
	explain_entry(x);
	count_crowd(x->a, &c);
	if (!explain_kept(x, &c))
		explain_saturated(x, &c);
	explain_unserved(x);
	explain_queue(x);
}
