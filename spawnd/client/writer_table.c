/* SPDX-License-Identifier: ISC */
/* A status for people: the pool in a few lines, then a line per worker. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"

/* A count, or "?" if it is not known. */
static const char *
table_count(const struct reply *a, const char *kind, const char *key,
    char buf[32])
{
	double n;

	if (reply_number(a, kind, key, &n))
		snprintf(buf, 32, "%.0f", n);
	else
		snprintf(buf, 32, "?");
	return buf;
}

static void
table_pool(FILE *f, const struct reply *a)
{
	const struct proto_record *p = reply_find(a, "pool");
	char text[SHOW_SIZE], span[32];

	fprintf(f, "%s: ", reply_show(p, "name", text));
	reply_show(p, "state", text);
	fprintf(f, "%s for ", strcmp(text, "draining") == 0 ? "draining, up" :
	    text);
	fprintf(f, "%s", reply_span(reply_value(a, "pool", "uptime", 0),
	    span));
	fprintf(f, ", pid %s", reply_show(p, "pid", text));
	fprintf(f, ", spawnd %s\n", reply_show(p, "version", text));
	fprintf(f, "  listens      %s", reply_show(p, "listen", text));
	if (reply_show(p, "owner", text)[0] != '\0')
		fprintf(f, " (%s)", text);
	if (reply_show(p, "clients", text)[0] != '\0')
		fprintf(f, " (only for %s)", text);
	fprintf(f, "\n  application  %s", reply_show(p, "application",
	    text));
	fprintf(f, " as %s", reply_show(p, "user", text));
	if (reply_show(p, "jail", text)[0] != '\0')
		fprintf(f, " in %s", text);
	fputc('\n', f);
}

/* Whatever keeps clients away. */
static void
table_listener(FILE *f, const struct reply *a)
{
	const struct proto_record *r = reply_find(a, "listener");
	char text[SHOW_SIZE];

	if (proto_get(r, "why") != NULL)
		fprintf(f, "  unreachable  %s\n", reply_show(r, "why", text));
	if (proto_get(r, "unseen") != NULL)
		fprintf(f, "  not seen     of the listen socket: %s\n",
		    reply_show(r, "unseen", text));
}

/* An announced stop. */
static void
table_drain(FILE *f, const struct reply *a)
{
	char span[32];
	double n;

	if (!reply_drains(a, &n))
		return;
	if (n >= 0)
		fprintf(f, "  draining     stops in %s", reply_span(n, span));
	else
		fputs("  draining     until resume or stop", f);
	fputs(" (spawnctl resume takes that back)\n", f);
}

static void
table_workers(FILE *f, const struct reply *a)
{
	static const char *const states[] = { "starting", "retiring",
	    "stopping", "backoff" };
	double min = reply_value(a, "pool", "min", 0);
	double max = reply_value(a, "pool", "max", 0), n;
	char x[32], y[32];
	size_t i;

	fprintf(f, "  workers      %s of %s",
	    table_count(a, "workers", "ready", x),
	    table_count(a, "pool", "target", y));
	if (min < max)
		fprintf(f, " (%.0f to %.0f)", min, max);
	fprintf(f, " ready: %s busy, %s idle", table_count(a, "sum", "busy",
	    x), table_count(a, "sum", "idle", y));
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		n = reply_value(a, "workers", states[i], 0);
		if (n > 0)
			fprintf(f, ", %.0f %s", n, states[i]);
	}
	fputc('\n', f);
}

static void
table_load(FILE *f, const struct reply *a)
{
	double left = reply_value(a, "connections", "left", 0), n;
	char x[32], y[32], z[32];

	fprintf(f, "  queue        %s of %s (peak %s)",
	    table_count(a, "queue", "now", x),
	    table_count(a, "queue", "limit", y),
	    table_count(a, "queue", "peak", z));
	if (reply_number(a, "queue", "oldest", &n))
		fprintf(f, ", the oldest for %s", reply_span(n, x));
	if (reply_number(a, "queue", "saturated_for", &n))
		fprintf(f, ", saturated for %s", reply_span(n, x));
	fputc('\n', f);
	fprintf(f, "  connections  %s (peak %s)",
	    table_count(a, "connections", "now", x),
	    table_count(a, "connections", "peak", y));
	if (left > 0)
		fprintf(f, ", %.0f left by timed-out requests", left);
	fputc('\n', f);
}

static void
table_counts(FILE *f, const struct reply *a)
{
	const struct proto_record *r = reply_find(a, "count");
	const char *key;
	char span[32];
	double n;
	int i;

	fputs("  so far      ", f);
	for (i = 0; i < r->n; i++) {
		key = r->fields[i].key;
		if (!proto_get_number(r, key, &n) || (n == 0 &&
		    strcmp(key, "started") != 0))
			continue;
		if (strcmp(key, "saturated") == 0)
			fprintf(f, " saturated for %s", reply_span(n, span));
		else
			fprintf(f, " %s %.0f", key, n);
	}
	if (r->n > 0 && proto_get(r, "saturated") == NULL)
		fputs(" saturated ?", f);
	fputc('\n', f);
}

/* The guarantees that do not hold. */
static void
table_guarantees(FILE *f, const struct reply *a)
{
	const struct proto_record *r = reply_find(a, "guarantees");
	const char *meaning;
	int i;

	for (i = 0; i < r->n; i++) {
		if (strcmp(r->fields[i].value, "no") != 0)
			continue;
		meaning = reply_meaning(r->fields[i].key);
		fprintf(f, "  not in force %s%s%s\n", r->fields[i].key,
		    meaning != NULL ? ": " : "", meaning != NULL ? meaning :
		    "");
	}
}

static void
table_cell(FILE *f, const struct proto_record *r, const char *key, int width,
    const char *(*format)(double, char[32]))
{
	char text[CELL_SIZE];

	fprintf(f, " %*s", width, reply_cell(r, key, format, text));
}

static void
table_worker(FILE *f, const struct proto_record *r, bool full)
{
	char state[STATE_SIZE + 1], busy[CELL_SIZE];

	table_cell(f, r, "slot", 5, NULL);
	table_cell(f, r, "pid", 7, NULL);
	reply_state(r, state);
	if (proto_get(r, "orphan") != NULL)
		strlcat(state, "*", sizeof(state));
	fprintf(f, " %-9s", state);
	table_cell(f, r, proto_get(r, "start_in") != NULL ? "start_in" : "age",
	    10, reply_span);
	table_cell(f, r, "ready_after", 8, reply_span);
	fprintf(f, " %9s", reply_busy(r, busy));
	table_cell(f, r, "connections", 5, NULL);
	table_cell(f, r, "processes", 5, NULL);
	table_cell(f, r, "cpu", 8, reply_span);
	table_cell(f, r, "rss", 6, reply_size);
	if (full) {
		table_cell(f, r, "pss", 6, reply_size);
		table_cell(f, r, "pss_age", 8, reply_span);
	}
	fputc('\n', f);
}

int
writer_table(FILE *f, const struct reply *a, struct err *e)
{
	const struct proto_record *r;
	bool full = false;
	size_t i = 0;

	table_pool(f, a);
	table_listener(f, a);
	table_drain(f, a);
	table_workers(f, a);
	table_load(f, a);
	table_counts(f, a);
	table_guarantees(f, a);
	while ((r = reply_next(a, "worker", &i)) != NULL)
		full = full || proto_get(r, "pss") != NULL;
	i = 0;
	if ((r = reply_next(a, "worker", &i)) != NULL)
		fprintf(f, "\n %5s %7s %-9s %10s %8s %9s %5s %5s %8s %6s%s\n",
		    "SLOT", "PID", "STATE", "AGE", "READY-IN", "BUSY-FOR",
		    "CONNS", "PROCS", "CPU", "RSS",
		    full ? "    PSS   OF-AGO" : "");
	for (; r != NULL; r = reply_next(a, "worker", &i))
		table_worker(f, r, full);
	return fflush(f) == EOF || ferror(f) ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}
