/* SPDX-License-Identifier: ISC */
/*
 * A status as OpenMetrics 1.0 text, of one pool or of several. All metrics of a
 * pool are in one table; one that is not known is left out, with its
 * description. A metric stands there once, with the samples of all pools.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"

struct metric {
	const char	*kind;		/* of the record */
	const char	*key;
	const char	*name;		/* behind spawnd_ */
	const char	*type;
	const char	*unit;		/* "", or what the name ends in */
	const char	*help;
};

static const struct metric metrics[] = {
	{ "pool", "uptime", "uptime_seconds", "gauge", "seconds",
	    "Time since the pool was started." },
	{ "pool", "started", "start_time_seconds", "gauge", "seconds",
	    "When the pool was started, since the epoch." },
	{ "drain", "stops_in", "drain_seconds", "gauge", "seconds",
	    "Time until the announced stop." },
	{ "pool", "target", "workers_wanted", "gauge", "",
	    "Workers that there are to be now." },
	{ "pool", "min", "workers_min", "gauge", "",
	    "The fewest workers that there may be." },
	{ "pool", "max", "workers_max", "gauge", "",
	    "The most workers that there may be." },
	{ "sum", "busy", "workers_busy", "gauge", "",
	    "Workers that hold a connection." },
	{ "sum", "idle", "workers_idle", "gauge", "",
	    "Workers that are ready and hold none." },
	{ "queue", "now", "queue_connections", "gauge", "",
	    "Connections that wait to be accepted." },
	{ "queue", "peak", "queue_connections_peak", "gauge", "",
	    "The most that were seen to wait since the start." },
	{ "queue", "limit", "queue_connections_limit", "gauge", "",
	    "Connections that may wait." },
	{ "connections", "now", "connections", "gauge", "",
	    "Connections that were accepted and are open." },
	{ "connections", "peak", "connections_peak", "gauge", "",
	    "The most that were seen open since the start." },
	{ "connections", "left", "connections_left", "gauge", "",
	    "Connections of timed-out requests that are still open." },
	{ "sum", "processes", "processes", "gauge", "",
	    "Processes of all workers." },
	{ "sum", "rss", "resident_memory_bytes", "gauge", "bytes",
	    "Resident memory of all workers; what they share counts again." },
	{ "count", "started", "started", "counter", "",
	    "Workers that were started." },
	{ "count", "recycled", "recycled", "counter", "",
	    "Workers that ended with status 0, and served or may have." },
	{ "count", "crashed", "crashed", "counter", "",
	    "Workers that served and ended otherwise." },
	{ "count", "failed", "failed_starts", "counter", "",
	    "Workers that ended before they were ready." },
	{ "count", "retired", "retired", "counter", "",
	    "Workers that were asked to go, and went." },
	{ "count", "killed", "killed", "counter", "",
	    "Workers that did not go in time, and were killed." },
	{ "count", "lost", "lost", "counter", "",
	    "Requests that ended with workers that had to go." },
	{ "count", "timed_out", "timed_out", "counter", "",
	    "Workers that were ended for --request-timeout." },
	{ "count", "aged", "aged", "counter", "",
	    "Workers that were replaced for --max-age." },
	{ "count", "grown", "grown", "counter", "",
	    "Workers that were replaced for --max-rss." },
	{ "count", "reloads", "reloads", "counter", "",
	    "Reloads that were carried out." },
	{ "count", "reloads_failed", "failed_reloads", "counter", "",
	    "Reloads whose new workers failed." },
	{ "count", "saturations", "saturations", "counter", "",
	    "Times that connections began to wait at the pool's full size." },
	{ "count", "saturated", "saturated_seconds", "counter", "seconds",
	    "Time with connections waiting at the full size of the pool." },
};

/* Metrics of each worker, with --full. */
static const struct metric each[] = {
	{ "worker", "age", "worker_age_seconds", "gauge", "seconds",
	    "Time since the worker was started." },
	{ "worker", "ready_after", "worker_start_seconds", "gauge", "seconds",
	    "How long it took until the worker was ready." },
	{ "worker", "connections", "worker_connections", "gauge", "",
	    "Connections that the worker holds." },
	{ "worker", "busy", "worker_busy_seconds", "gauge", "seconds",
	    "How long it has been seen with its connection." },
	{ "worker", "processes", "worker_processes", "gauge", "",
	    "Processes of the worker." },
	{ "worker", "cpu", "worker_cpu_seconds", "gauge", "seconds",
	    "Processor time of its live processes." },
	{ "worker", "rss", "worker_resident_memory_bytes", "gauge", "bytes",
	    "Resident memory of the worker." },
	{ "worker", "pss", "worker_proportional_memory_bytes", "gauge",
	    "bytes", "The same, what is shared counted in parts." },
};

/* A text that is being written. */
struct metrics {
	FILE		*f;
	const struct reply *const *list;
	size_t		 n;
	bool		 begun;		/* this metric has its description */
};

/* A label: its value is UTF-8, with quotes and backslashes escaped. */
static void
put_label(FILE *f, const char *name, const char *value)
{
	char buf[SHOW_SIZE];
	const char *s;

	text_escape(buf, sizeof(buf), value, strlen(value), true);
	fprintf(f, "%s=\"", name);
	for (s = buf; *s != '\0'; s++) {
		if (*s == '\\' || *s == '"')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

/* Begins a sample; the first one of a metric has the description before it. */
static void
put_sample(struct metrics *o, const struct metric *m, const struct reply *a)
{
	const char *pool = proto_get(reply_find(a, "pool"), "name");

	if (!o->begun) {
		fprintf(o->f, "# TYPE spawnd_%s %s\n", m->name, m->type);
		if (m->unit[0] != '\0')
			fprintf(o->f, "# UNIT spawnd_%s %s\n", m->name,
			    m->unit);
		fprintf(o->f, "# HELP spawnd_%s %s\n", m->name, m->help);
	}
	o->begun = true;
	fprintf(o->f, "spawnd_%s%s{", m->name, strcmp(m->type, "counter") ==
	    0 ? "_total" : "");
	put_label(o->f, "pool", pool != NULL ? pool : "");
}

/* The protocol's form of a number is OpenMetrics' too. */
static void
put_metric_value(struct metrics *o, const struct proto_record *r,
    const char *key)
{
	fprintf(o->f, "} %s\n", proto_get(r, key));
}

static void
put_metric(struct metrics *o, const struct metric *m, const struct reply *a)
{
	const struct proto_record *r = reply_find(a, m->kind);
	double n;

	if (!proto_get_number(r, m->key, &n))
		return;
	put_sample(o, m, a);
	put_metric_value(o, r, m->key);
}

static void
put_each(struct metrics *o, const struct metric *m, const struct reply *a)
{
	const struct proto_record *r;
	const char *slot;
	size_t i = 0;
	double n;

	while ((r = reply_next(a, m->kind, &i)) != NULL) {
		if ((slot = proto_get(r, "slot")) == NULL ||
		    !proto_get_number(r, m->key, &n))
			continue;
		put_sample(o, m, a);
		fputc(',', o->f);
		put_label(o->f, "slot", slot);
		put_metric_value(o, r, m->key);
	}
}

/* Is there an answer at all? */
static void
put_up(struct metrics *o, const struct metric *m, const struct reply *a)
{
	put_sample(o, m, a);
	fprintf(o->f, "} %d\n", reply_find(a, "workers")->n > 0);
}

/* What holds or does not. Left out if that is not known. */
static void
put_truth(struct metrics *o, const struct metric *m,
    const struct reply *a)
{
	const char *value = proto_get(reply_find(a, m->kind), m->key);

	if (value == NULL)
		return;
	put_sample(o, m, a);
	fprintf(o->f, "} %d\n", strcmp(value, "yes") == 0);
}

/* How many workers are in each state. */
static void
put_states(struct metrics *o, const struct metric *m, const struct reply *a)
{
	static const char *const states[] = { "starting", "ready",
	    "retiring", "stopping", "backoff" };
	const struct proto_record *r = reply_find(a, m->kind);
	size_t i;
	double n;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (!proto_get_number(r, states[i], &n))
			continue;
		put_sample(o, m, a);
		fputc(',', o->f);
		put_label(o->f, "state", states[i]);
		put_metric_value(o, r, states[i]);
	}
}

/* The guarantees that hold on this system. */
static void
put_guarantees(struct metrics *o, const struct metric *m,
    const struct reply *a)
{
	const struct proto_record *r = reply_find(a, m->kind);
	int i;

	for (i = 0; i < r->n; i++) {
		put_sample(o, m, a);
		fputc(',', o->f);
		put_label(o->f, "name", r->fields[i].key);
		fprintf(o->f, "} %d\n", strcmp(r->fields[i].value, "yes") ==
		    0);
	}
}

static void
put_info(struct metrics *o, const struct metric *m, const struct reply *a)
{
	static const char *const keys[] = { "version", "listen", "state" };
	const struct proto_record *r = reply_find(a, m->kind);
	const char *value;
	size_t i;

	put_sample(o, m, a);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if ((value = proto_get(r, keys[i])) == NULL)
			continue;
		fputc(',', o->f);
		put_label(o->f, keys[i], value);
	}
	fputs("} 1\n", o->f);
}

/* Metrics that are more than a number of a record. */
static const struct {
	struct metric	 metric;
	void		 (*put)(struct metrics *, const struct metric *,
			    const struct reply *);
} special[] = {
	{ { "pool", "", "up", "gauge", "",
	    "Whether the pool answered, 1 or 0." }, put_up },
	{ { "pool", "", "pool_info", "gauge", "", "What the pool is." },
	    put_info },
	{ { "workers", "", "workers", "gauge", "", "Workers by state." },
	    put_states },
	{ { "guarantees", "", "guarantee", "gauge", "",
	    "Whether it is in force, 1 or 0." }, put_guarantees },
	{ { "listener", "reachable", "listener_reachable", "gauge", "",
	    "Whether clients can connect to the listen socket, 1 or 0." },
	    put_truth },
	{ { "drain", "announced", "draining", "gauge", "",
	    "Whether a stop of the pool is announced, 1 or 0." }, put_truth },
};

/* One metric of all pools. */
static void
put_all(struct metrics *o, const struct metric *m, void (*put)(struct metrics *,
    const struct metric *, const struct reply *))
{
	size_t i;

	o->begun = false;
	for (i = 0; i < o->n; i++)
		put(o, m, o->list[i]);
}

int
writer_openmetrics_all(FILE *f, const struct reply *const list[], size_t n,
    bool full, struct err *e)
{
	struct metrics o = { .f = f, .list = list, .n = n };
	size_t i;

	for (i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		put_all(&o, &special[i].metric, special[i].put);
	for (i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		put_all(&o, &metrics[i], put_metric);
	for (i = 0; full && i < sizeof(each) / sizeof(each[0]); i++)
		put_all(&o, &each[i], put_each);
	fputs("# EOF\n", f);
	return fflush(f) == EOF || ferror(f) ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}

int
writer_openmetrics(FILE *f, const struct reply *a, bool full, struct err *e)
{
	const struct reply *const list[] = { a };

	return writer_openmetrics_all(f, list, 1, full, e);
}
