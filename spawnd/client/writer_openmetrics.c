/* SPDX-License-Identifier: ISC */
/*
 * A status as OpenMetrics 1.0 text. All metrics of the pool are in one table;
 * one that is not known is left out, with its description.
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
	    "Workers that served and ended with status 0." },
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

static void
put_metric_head(FILE *f, const char *name, const char *type, const char *unit,
    const char *help)
{
	fprintf(f, "# TYPE spawnd_%s %s\n", name, type);
	if (unit[0] != '\0')
		fprintf(f, "# UNIT spawnd_%s %s\n", name, unit);
	fprintf(f, "# HELP spawnd_%s %s\n", name, help);
}

static void
put_metric_name(FILE *f, const struct metric *m, const char *pool)
{
	fprintf(f, "spawnd_%s%s{", m->name, strcmp(m->type, "counter") == 0 ?
	    "_total" : "");
	put_label(f, "pool", pool);
}

/* The protocol's form of a number is OpenMetrics' too. */
static void
put_metric_value(FILE *f, const struct proto_record *r, const char *key)
{
	fprintf(f, "} %s\n", proto_get(r, key));
}

static void
put_metric(FILE *f, const struct reply *a, const struct metric *m,
    const char *pool)
{
	const struct proto_record *r = reply_find(a, m->kind);
	double n;

	if (!proto_get_number(r, m->key, &n))
		return;
	put_metric_head(f, m->name, m->type, m->unit, m->help);
	put_metric_name(f, m, pool);
	put_metric_value(f, r, m->key);
}

static void
put_each(FILE *f, const struct reply *a, const struct metric *m,
    const char *pool)
{
	const struct proto_record *r;
	const char *slot;
	bool head = false;
	size_t i = 0;
	double n;

	while ((r = reply_next(a, m->kind, &i)) != NULL) {
		if ((slot = proto_get(r, "slot")) == NULL ||
		    !proto_get_number(r, m->key, &n))
			continue;
		if (!head)
			put_metric_head(f, m->name, m->type, m->unit, m->help);
		head = true;
		put_metric_name(f, m, pool);
		fputc(',', f);
		put_label(f, "slot", slot);
		put_metric_value(f, r, m->key);
	}
}

/* What holds or does not. Left out if that is not known. */
static void
put_truths(FILE *f, const struct reply *a, const char *pool)
{
	static const struct metric truths[] = {
		{ "listener", "reachable", "listener_reachable", "gauge", "",
		    "Whether clients can connect to the listen socket, "
		    "1 or 0." },
		{ "drain", "announced", "draining", "gauge", "",
		    "Whether a stop of the pool is announced, 1 or 0." },
	};
	const struct metric *m;
	const char *value;
	size_t i;

	for (i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
		m = &truths[i];
		value = proto_get(reply_find(a, m->kind), m->key);
		if (value == NULL)
			continue;
		put_metric_head(f, m->name, m->type, m->unit, m->help);
		put_metric_name(f, m, pool);
		fprintf(f, "} %d\n", strcmp(value, "yes") == 0);
	}
}

/* How many workers are in each state. */
static void
put_states(FILE *f, const struct reply *a, const char *pool)
{
	static const struct metric m = { "workers", "", "workers", "gauge",
	    "", "Workers by state." };
	static const char *const states[] = { "starting", "ready",
	    "retiring", "stopping", "backoff" };
	const struct proto_record *r = reply_find(a, m.kind);
	size_t i;
	double n;

	put_metric_head(f, m.name, m.type, m.unit, m.help);
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (!proto_get_number(r, states[i], &n))
			continue;
		put_metric_name(f, &m, pool);
		fputc(',', f);
		put_label(f, "state", states[i]);
		put_metric_value(f, r, states[i]);
	}
}

/* The guarantees that hold on this system. */
static void
put_guarantees(FILE *f, const struct reply *a, const char *pool)
{
	static const struct metric m = { "guarantees", "", "guarantee",
	    "gauge", "", "Whether it is in force, 1 or 0." };
	const struct proto_record *r = reply_find(a, m.kind);
	int i;

	if (r->n > 0)
		put_metric_head(f, m.name, m.type, m.unit, m.help);
	for (i = 0; i < r->n; i++) {
		put_metric_name(f, &m, pool);
		fputc(',', f);
		put_label(f, "name", r->fields[i].key);
		fprintf(f, "} %d\n", strcmp(r->fields[i].value, "yes") == 0);
	}
}

static void
put_info(FILE *f, const struct reply *a, const char *pool)
{
	static const char *const keys[] = { "version", "listen", "state" };
	const struct proto_record *r = reply_find(a, "pool");
	const char *value;
	size_t i;

	put_metric_head(f, "pool_info", "gauge", "", "What the pool is.");
	fputs("spawnd_pool_info{", f);
	put_label(f, "pool", pool);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if ((value = proto_get(r, keys[i])) == NULL)
			continue;
		fputc(',', f);
		put_label(f, keys[i], value);
	}
	fputs("} 1\n", f);
}

int
writer_openmetrics(FILE *f, const struct reply *a, bool full, struct err *e)
{
	const char *pool = proto_get(reply_find(a, "pool"), "name");
	size_t i;

	pool = pool != NULL ? pool : "";
	put_info(f, a, pool);
	put_states(f, a, pool);
	put_guarantees(f, a, pool);
	put_truths(f, a, pool);
	for (i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		put_metric(f, a, &metrics[i], pool);
	for (i = 0; full && i < sizeof(each) / sizeof(each[0]); i++)
		put_each(f, a, &each[i], pool);
	fputs("# EOF\n", f);
	return fflush(f) == EOF || ferror(f) ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}
