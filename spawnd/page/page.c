/* SPDX-License-Identifier: ISC */
/* The page for people: all pools, or one with its workers. */
#include <stdio.h>

#include "page/page.h"

static void
page_head(FILE *f, const struct picture *p)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head>"
	    "<meta charset=\"utf-8\"/>\n"
	    "<meta name=\"viewport\" content=\"width=device-width, "
	    "initial-scale=1\"/>\n"
	    "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
	    "<meta name=\"robots\" content=\"noindex\"/>\n<title>", f);
	if (p->n == 1) {
		html_text(f, p->list[0].name);
		fputs(" \342\200\223 ", f);
	}
	/* For a browser without scripts. */
	fprintf(f, "spawnd</title>\n<noscript><meta http-equiv=\"refresh\" "
	    "content=\"5\"/></noscript>\n<style nonce=\"%s\">%s</style>"
	    "</head>\n<body><main id=\"main\">\n", p->nonce, style_sheet);
}

static void
page_title(FILE *f, const struct picture *p)
{
	fputs("<header><h1>", f);
	if (p->request->pool[0] != '\0') {
		fputs("<a id=\"up\" href=\"../\">Pools</a> / ", f);
		html_text(f, p->request->pool);
	} else
		fputs("Pools", f);
	fputs("</h1><p>", f);
	html_time(f, p->now);
	fputs("</p></header>\n", f);
}

static void
page_foot(FILE *f, const struct picture *p)
{
	fprintf(f, "</main>\n<p id=\"lost\" class=\"bad\" hidden=\"hidden\">"
	    "The server does not answer: these figures are old.</p>\n"
	    "<script nonce=\"%s\">%s</script></body></html>\n", p->nonce,
	    style_script);
}

static void
page_one(FILE *f, const struct view *v, const struct request *r)
{
	workers_write(f, v, r->sort, r->down);
	fputs("<div class=\"beside\">\n", f);
	row_facts(f, v);
	row_guarantees(f, v);
	fputs("</div>\n", f);
	events_write(f, &v->trace);
}

void
page_write(FILE *f, const struct picture *p)
{
	size_t i;

	page_head(f, p);
	page_title(f, p);
	if (p->n == 0)
		fputs("<p class=\"bad\">No pool runs here that may be read: "
		    "the user of this responder has to be a member of the "
		    "pool's --status-group.</p>\n", f);
	else {
		fputs("<table class=\"pools\"><thead><tr>", f);
		row_heads(f);
		fputs("</tr></thead>\n<tbody>\n", f);
		for (i = 0; i < p->n; i++)
			row_pool(f, &p->list[i], p->now,
			    p->request->pool[0] == '\0');
		fputs("</tbody></table>\n", f);
	}
	/* One of them is the pool that this responder is a worker of. */
	if (p->denied > 1)
		fprintf(f, "<p>%zu more may not be read, among them that of "
		    "this page.</p>\n", p->denied);
	if (p->n == 1 && p->list[0].up)
		page_one(f, &p->list[0], p->request);
	page_foot(f, p);
}
