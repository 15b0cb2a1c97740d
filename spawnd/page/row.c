/* SPDX-License-Identifier: ISC */
/* A pool in one row, and what there is to say of one alone. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "client/client.h"
#include "page/page.h"
#include "proto/proto.h"

static const char *const heads[] = { "Pool", "Busy", "Queue", "Waiting",
    "Saturated", "Since the start" };

void
row_heads(FILE *f)
{
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		fprintf(f, "<th scope=\"col\">%s</th>", heads[i]);
}

/* Begins a cell; where there is no room for columns it has its own title. */
static void
row_cell(FILE *f, int column, const char *class)
{
	fprintf(f, "<td data-title=\"%s\"%s%s%s>", heads[column],
	    class != NULL ? " class=\"" : "", class != NULL ? class : "",
	    class != NULL ? "\"" : "");
}

static void
row_name(FILE *f, const struct view *v, bool link)
{
	const struct proto_record *r = reply_find(&v->status, "pool");
	char span[32];

	fputs("<th scope=\"row\">", f);
	/* A name has no letter that a path would need escaped. */
	if (link)
		fprintf(f, "<a id=\"pool-%s\" href=\"%s/\">%s</a>", v->name,
		    v->name, v->name);
	else
		html_text(f, v->name);
	if (v->up) {
		fputs(" <small>", f);
		html_value(f, r, "state");
		fprintf(f, " %s</small>", reply_span(reply_value(&v->status,
		    "pool", "uptime", 0), span));
	}
	fputs("</th>\n", f);
}

/* Of php-cgi with children those count, as they do the work. */
static void
row_busy(FILE *f, const struct view *v)
{
	const struct reply *a = &v->status;
	double children = reply_value(a, "pool", "children", 0);
	double of = children > 0 ? children : 1, ready, max;

	row_cell(f, 1, NULL);
	fputs("<b>", f);
	if (children > 0)
		html_count(f, a, "connections", "now");
	else
		html_count(f, a, "sum", "busy");
	fputs("</b> of ", f);
	if (reply_number(a, "workers", "ready", &ready))
		fprintf(f, "%.0f", ready * of);
	else
		fputc('?', f);
	fputs(" ready", f);
	if (reply_number(a, "pool", "max", &max))
		fprintf(f, " of %.0f", max * of);
	fputs("</td>\n", f);
}

static void
row_queue(FILE *f, const struct view *v)
{
	double n = reply_value(&v->status, "queue", "now", 0);

	row_cell(f, 2, n > 0 ? "warn" : NULL);
	fputs("<b>", f);
	html_count(f, &v->status, "queue", "now");
	fputs("</b> of ", f);
	html_count(f, &v->status, "queue", "limit");
	fputs(" <small>peak ", f);
	html_count(f, &v->status, "queue", "peak");
	fputs("</small></td>\n", f);
}

/*
 * The kernel does not show how long a connection has waited. The pool's looks
 * have seen the oldest for so long at least; and none has waited for longer
 * than the queue was not empty.
 */
static void
row_waiting(FILE *f, const struct view *v)
{
	double n, since, oldest;
	char span[32];
	bool whole, looked;

	if (!reply_number(&v->status, "queue", "now", &n)) {
		row_cell(f, 3, NULL);
		fputs("?</td>\n", f);
		return;
	}
	since = timeline_lasts(&v->status, "queue", 1, &whole);
	if (n == 0) {
		row_cell(f, 3, NULL);
		fputs("none</td>\n", f);
		return;
	}
	row_cell(f, 3, "warn");
	looked = reply_number(&v->status, "queue", "oldest", &oldest);
	if (looked)
		fprintf(f, "at least %s", reply_span(oldest, span));
	else
		fputs("just now", f);
	if (since >= 0 && !(whole && looked) && !(looked && since < oldest))
		fprintf(f, " <small>%s %s</small>", whole ? "maybe over" :
		    "at most", reply_span(since, span));
	fputs("</td>\n", f);
}

/*
 * Since when connections wait although there are as many as may be. *over: for
 * longer than that. A pool that does not look says it by its history alone.
 */
static double
saturated_for(const struct reply *a, bool *over)
{
	double max = reply_value(a, "pool", "max", 0), n, since, full;
	bool full_over;

	*over = false;
	if (reply_number(a, "queue", "saturated_for", &n))
		return n;
	since = timeline_lasts(a, "queue", 1, over);
	full = timeline_lasts(a, "workers", max > 0 ? max : 1, &full_over);
	if (full < since) {
		since = full;
		*over = full_over;
	}
	return since;
}

static void
row_saturated(FILE *f, const struct view *v)
{
	const struct reply *a = &v->status;
	double n, since;
	char span[32];
	bool over;

	since = saturated_for(a, &over);
	if (!reply_number(a, "queue", "now", &n)) {
		row_cell(f, 4, NULL);
		fputc('?', f);
	} else if (n == 0 || since < 0) {
		row_cell(f, 4, NULL);
		fputs("no", f);
	} else {
		row_cell(f, 4, "bad");
		fprintf(f, "for %s%s", over ? "over " : "", reply_span(since,
		    span));
	}
	if (reply_number(a, "count", "saturated", &n) && n > 0)
		fprintf(f, " <small>%s in all</small>", reply_span(n, span));
	fputs("</td>\n", f);
}

/* Starts and ends by their cause, without those that did not happen. */
static void
row_counts(FILE *f, const struct view *v)
{
	const struct proto_record *r = reply_find(&v->status, "count");
	static const char bad[] = " crashed failed killed lost ";
	const char *key;
	double n;
	int i, shown = 0;

	row_cell(f, 5, NULL);
	for (i = 0; i < r->n; i++) {
		char word[PROTO_KIND + 2];

		key = r->fields[i].key;
		if (!proto_get_number(r, key, &n) || n == 0 ||
		    strncmp(key, "saturat", 7) == 0)
			continue;
		snprintf(word, sizeof(word), " %s ", key);
		fprintf(f, "%s<span%s>", shown++ > 0 ? ", " : "",
		    strstr(bad, word) != NULL ? " class=\"bad\"" : "");
		html_text(f, key);
		fprintf(f, " %.0f</span>", n);
	}
	fputs(shown == 0 ? "nothing</td>\n" : "</td>\n", f);
}

/* A pool that did not answer: since when, and what was said instead. */
static void
row_gone(FILE *f, const struct view *v, time_t now)
{
	const struct proto_record *r = reply_find(&v->status, "pool");
	char span[32];

	fprintf(f, "<td colspan=\"5\" class=\"bad gone\"><b>%s</b>",
	    proto_is(r, "state", "gone") ? "gone" :
	    "does not answer");
	if (v->seen != 0) {
		fputs(", last seen ", f);
		html_time(f, v->seen);
		fprintf(f, " (%s ago)", reply_span(now > v->seen ?
		    (double)(now - v->seen) : 0, span));
	}
	fputs("<br/><small>", f);
	html_text(f, v->err.text);
	fputs("</small></td>\n", f);
}

/* The pool serves on, and that may be why nothing comes. */
static void
row_drain(FILE *f, const struct view *v)
{
	char span[32];
	double n;

	if (!reply_drains(&v->status, &n))
		return;
	fputs("<tr><td colspan=\"6\" class=\"warn\">a stop is announced",
	    f);
	if (n >= 0)
		fprintf(f, " and comes in %s", reply_span(n, span));
	fputs("</td></tr>\n", f);
}

void
row_pool(FILE *f, const struct view *v, time_t now, bool link)
{
	const struct proto_record *r = reply_find(&v->status, "listener");

	fputs("<tr>", f);
	row_name(f, v, link);
	if (!v->up) {
		row_gone(f, v, now);
		fputs("</tr>\n", f);
		return;
	}
	row_busy(f, v);
	row_queue(f, v);
	row_waiting(f, v);
	row_saturated(f, v);
	row_counts(f, v);
	fputs("</tr>\n", f);
	if (proto_get(r, "why") != NULL) {
		fputs("<tr><td colspan=\"6\" class=\"bad\">clients cannot "
		    "connect: ", f);
		html_value(f, r, "why");
		fputs("</td></tr>\n", f);
	}
	row_drain(f, v);
	fputs("<tr class=\"drawn\"><td colspan=\"6\">", f);
	chart_write(f, &v->status, v->name);
	fputs("</td></tr>\n", f);
}

static void
row_fact(FILE *f, const struct proto_record *r, const char *key,
    const char *title)
{
	if (proto_get(r, key) == NULL)
		return;
	fprintf(f, "<dt>%s</dt><dd>", title);
	html_value(f, r, key);
	fputs("</dd>\n", f);
}

void
row_facts(FILE *f, const struct view *v)
{
	static const char *const facts[][2] = {
		{ "listen", "Listens" }, { "owner", "Owner" },
		{ "clients", "Clients" }, { "application", "Application" },
		{ "user", "User" }, { "jail", "Jail" }, { "pid", "Pid" },
		{ "version", "Version" },
	};
	const struct proto_record *r = reply_find(&v->status, "pool");
	double started;
	size_t i;

	fputs("<section><h2>Pool</h2>\n<dl>\n", f);
	for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		row_fact(f, r, facts[i][0], facts[i][1]);
	if (proto_get_number(r, "started", &started) && started < 1e12) {
		fputs("<dt>Started</dt><dd>", f);
		html_time(f, (time_t)started);
		fputs("</dd>\n", f);
	}
	row_fact(f, reply_find(&v->status, "listener"), "unseen",
	    "Not seen of the socket");
	fputs("</dl></section>\n", f);
}

void
row_guarantees(FILE *f, const struct view *v)
{
	const struct proto_record *r = reply_find(&v->status, "guarantees");
	const char *meaning;
	bool holds;
	int i;

	fputs("<section><h2>Guarantees</h2>\n<ul class=\"guarantees\">\n", f);
	for (i = 0; i < r->n; i++) {
		holds = strcmp(r->fields[i].value, "yes") == 0;
		meaning = holds ? NULL : reply_meaning(r->fields[i].key);
		fprintf(f, "<li class=\"%s\">", holds ? "good" : "bad");
		html_text(f, r->fields[i].key);
		fprintf(f, "%s%s%s</li>\n", holds ? "" : ": not in force",
		    meaning != NULL ? ": " : "", meaning != NULL ? meaning :
		    "");
	}
	fputs(r->n == 0 ? "<li>unknown</li>\n</ul></section>\n" :
	    "</ul></section>\n", f);
}
