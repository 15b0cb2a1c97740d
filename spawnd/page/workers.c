/* SPDX-License-Identifier: ISC */
/*
 * The workers of a pool as a table. The head of a column is a link to the page
 * in the order of that column: it takes no script.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "client/client.h"
#include "page/page.h"
#include "proto/proto.h"

/* A worker, and what it is sorted by. */
struct worker_row {
	const struct proto_record *record;
	bool		 known;
	double		 number;
	char		 state[STATE_SIZE];
	size_t		 place;		/* in the answer */
	bool		 down;
};

static const struct column {
	const char	*key;		/* of the record and of a query */
	const char	*title;
	const char	*(*format)(double, char[32]);
	bool		 wide;		/* left out where there is no room */
} columns[] = {
	{ "slot", "Slot", NULL, false },
	{ "pid", "Pid", NULL, false },
	{ "state", "State", NULL, false },
	{ "age", "Age", reply_span, false },
	{ "ready_after", "Start took", reply_span, true },
	{ "busy", "Busy for", reply_span, false },
	{ "connections", "Conns", NULL, true },
	{ "processes", "Procs", NULL, true },
	{ "cpu", "CPU", reply_span, true },
	{ "rss", "Memory", reply_size, false },
};

#define NCOLUMNS	(sizeof(columns) / sizeof(columns[0]))

int
workers_column(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < NCOLUMNS; i++) {
		if (strlen(columns[i].key) == len &&
		    memcmp(columns[i].key, name, len) == 0)
			return (int)i;
	}
	return -1;
}

/* What is not known comes last in both directions. */
static int
compare_rows(const void *a, const void *b)
{
	const struct worker_row *x = a, *y = b;
	int order;

	if (x->known != y->known)
		return x->known ? -1 : 1;
	order = (x->number > y->number) - (x->number < y->number);
	if (order == 0)
		order = strcmp(x->state, y->state);
	if (order == 0)
		return x->place < y->place ? -1 : 1;
	return x->down ? -order : order;
}

/* The workers in their order, malloc'd; NULL without memory. */
static struct worker_row *
sort_workers(const struct reply *a, int sort, bool down, size_t *n)
{
	struct worker_row *list = calloc(a->n + 1, sizeof(*list)), *w;
	const struct proto_record *r;
	const char *key = sort == -1 ? "" : columns[sort].key;
	size_t at = 0;

	*n = 0;
	while (list != NULL && (r = reply_next(a, "worker", &at)) != NULL) {
		w = &list[*n];
		w->record = r;
		w->place = (*n)++;
		w->down = down;
		w->known = sort == -1;
		if (strcmp(key, "state") == 0) {
			reply_state(r, w->state);
			w->known = w->state[0] != '\0';
		} else if (sort != -1)
			w->known = proto_get_number(r, key, &w->number);
	}
	if (list != NULL)
		qsort(list, *n, sizeof(*list), compare_rows);
	return list;
}

/* Once more on the same head turns the order round. */
static void
write_heads(FILE *f, int sort, bool down)
{
	size_t i;
	bool now;

	for (i = 0; i < NCOLUMNS; i++) {
		now = (int)i == sort;
		fprintf(f, "<th scope=\"col\"%s%s><a id=\"by-%s\" "
		    "href=\"./?sort=%s%s\">%s%s</a></th>",
		    columns[i].wide ? " class=\"wide\"" : "",
		    !now ? "" : down ? " aria-sort=\"descending\"" :
		    " aria-sort=\"ascending\"", columns[i].key,
		    now && !down ? "-" : "", columns[i].key,
		    columns[i].title, !now ? "" : down ? " \342\226\276" :
		    " \342\226\264");
	}
}

static void
write_cell(FILE *f, const struct proto_record *r, const struct column *c)
{
	char text[CELL_SIZE];
	bool state = strcmp(c->key, "state") == 0;
	bool busy = strcmp(c->key, "busy") == 0;
	const char *key = c->key;

	fprintf(f, "<td%s>", c->wide ? " class=\"wide\"" : "");
	/* In backoff it has no age, but a time to wait. */
	if (strcmp(key, "age") == 0 && proto_get(r, "start_in") != NULL) {
		key = "start_in";
		fputs("starts in ", f);
	}
	html_text(f, state ? reply_state(r, text) : busy ?
	    reply_busy(r, text) : reply_cell(r, key, c->format, text));
	if (state && proto_get(r, "orphan") != NULL)
		fputs(" (left behind)", f);
	fputs("</td>", f);
}

static void
write_worker(FILE *f, const struct proto_record *r)
{
	char state[STATE_SIZE];
	size_t i;

	reply_state(r, state);
	fprintf(f, "<tr%s>", strcmp(state, "busy") == 0 ? " class=\"busy\"" :
	    strcmp(state, "backoff") == 0 ? " class=\"bad\"" : "");
	for (i = 0; i < NCOLUMNS; i++)
		write_cell(f, r, &columns[i]);
	fputs("</tr>\n", f);
}

void
workers_write(FILE *f, const struct view *v, int sort, bool down)
{
	size_t n, i;
	struct worker_row *list = sort_workers(&v->status, sort, down, &n);

	fputs("<section><h2>Workers</h2>\n<table class=\"workers\"><thead>"
	    "<tr>", f);
	write_heads(f, sort, down);
	fputs("</tr></thead>\n<tbody>\n", f);
	for (i = 0; list != NULL && i < n && i < PAGE_ROWS; i++)
		write_worker(f, list[i].record);
	if (n == 0)
		fprintf(f, "<tr><td colspan=\"%zu\">none</td></tr>\n",
		    NCOLUMNS);
	fputs("</tbody></table>\n", f);
	if (n > PAGE_ROWS)
		fprintf(f, "<p>The first %d of %zu.</p>\n", PAGE_ROWS, n);
	fputs("</section>\n", f);
	free(list);
}
