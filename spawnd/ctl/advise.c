/* SPDX-License-Identifier: ISC */
/* How large a pool should be, and why: in words, or as JSON. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "client/advice.h"
#include "client/client.h"
#include "ctl/ctl.h"

#define PERCENT		100.0

static const char *const waits[][2] = {
	{ "wait_10ms", "up to 10 ms" }, { "wait_100ms", "up to 100 ms" },
	{ "wait_1s", "up to 1 s" }, { "wait_10s", "up to 10 s" },
	{ "wait_more", "longer" },
};

#define WAITS		(sizeof(waits) / sizeof(waits[0]))

/* What may be wrong with the numbers, or keeps us from any. */
static const struct {
	const char	*key;
	const char	*text;
} doubts[DOUBTS] = {
	[DOUBT_UNSEEN] = { "unseen", "The load of this pool cannot be seen on "
	    "its system, so there is no advice. \"spawnctl explain\" says "
	    "what keeps it from that; until then measure at the web server." },
	[DOUBT_FEW] = { "few", "So far the pool has seen fewer than 1000 "
	    "connections, or less than ten minutes: too little to know what "
	    "one in a hundred meets. Ask again later." },
	[DOUBT_SHARED] = { "shared", "Workers take several connections at a "
	    "time (threads or an event loop), and how many one serves well "
	    "the pool cannot see. Find that out with a load test of one "
	    "worker: the number of workers is the connections at a time that "
	    "are enough, divided by it." },
	[DOUBT_TREE] = { "tree", "Workers have processes of their own, and "
	    "how many of these serve the pool cannot see. Start the program "
	    "without them, so that each worker is one process, or divide the "
	    "connections at a time that are enough by their number." },
	[DOUBT_CROWDED] = { "crowded", "More than one connection in ten had "
	    "to wait, and those that wait are among more than would come "
	    "together in a larger pool: this is a step. Ask again when the "
	    "pool has had that size for some time." },
	[DOUBT_SHORT] = { "short", "This tells of less than a day, and another "
	    "time of the day or week may bring more." },
};

static void
write_seen(FILE *f, const struct reply *a, const struct advice *v)
{
	char name[SHOW_SIZE], span[32], size[32], most[32];
	const char *comma = "";
	double n;
	size_t i;

	fprintf(f, "%s: the load of the last %s, %.0f connections\n",
	    reply_show(reply_find(a, "pool"), "name", name),
	    reply_span(v->span, span), v->came);
	fprintf(f, "  load     %.2f Erlang: so many connections were served at "
	    "a time\n", v->erlangs);
	fprintf(f, "           at most %.0f at once, with those that waited\n",
	    v->most);
	if (v->came > 0)
		fprintf(f, "           %.0f would be enough for all but one "
		    "in a hundred\n", v->enough);
	fprintf(f, "  waited   %.1f %%, for %s in all",
	    PERCENT * v->waited, reply_span(v->queue_time, span));
	for (i = 0; i < WAITS; i++) {
		n = reply_value(a, "load", waits[i][0], 0);
		if (n == 0)
			continue;
		fprintf(f, "%s %.0f %s", comma[0] == '\0' ? ":" : comma, n,
		    waits[i][1]);
		comma = ",";
	}
	fputc('\n', f);
	if (v->pss > 0)
		fprintf(f, "  memory   %s for a worker (PSS), %s for the "
		    "largest\n", reply_size(v->pss, size),
		    reply_size(v->pss_most, most));
}

/* "-F 4 -C 8 -N 16 -w 10 -b 1024", of what is known and needed. */
static void
write_options(FILE *f, unsigned int fewest, unsigned int children,
    unsigned int largest, double stay, double backlog)
{
	fprintf(f, "-F %u", fewest);
	if (children > 1)
		fprintf(f, " -C %u", children);
	if (largest > fewest) {
		fprintf(f, " -N %u", largest);
		if (stay > 0)
			fprintf(f, " -w %.0f", stay);
	}
	if (backlog > 0)
		fprintf(f, " -b %.0f", backlog);
	fputc('\n', f);
}

static void
write_numbers(FILE *f, const struct advice *v)
{
	fputs("  now      ", f);
	write_options(f, v->min, v->serves, v->max, v->idle, v->limit);
	if (!v->known)
		return;
	fputs("  advice   ", f);
	write_options(f, v->fewest, v->serves, v->largest, v->stay,
	    v->backlog);
}

static void
write_reasons(FILE *f, const struct advice *v)
{
	const struct advice_size *s = v->sizes;
	char text[1024], size[32], all[32];

	snprintf(text, sizeof(text), "With %u worker%s %.2f %% of these "
	    "connections would have waited for one, with %u %.2f %%, with %u "
	    "%.2f %%.%s", s[0].workers, s[0].workers == 1 ? "" : "s",
	    PERCENT * s[0].waits, s[1].workers, PERCENT * s[1].waits,
	    s[2].workers, PERCENT * s[2].waits, v->keep ? " The pool has the "
	    "size that it needs." : "");
	fputc('\n', f);
	reply_wrap(f, text);
	if (v->largest > v->fewest) {
		snprintf(text, sizeof(text), "-F %u is for what comes every "
		    "day, -N %u for a rush like the largest that was seen, "
		    "and -w %.0f keeps workers, which take %s to start, from "
		    "coming and going.", v->fewest, v->largest, v->stay,
		    v->start < 0 ? "some time" : reply_span(v->start, size));
		reply_wrap(f, text);
	}
	if (v->pss > 0) {
		snprintf(text, sizeof(text), "%u workers need %s of memory, "
		    "one more or fewer %s.", v->largest,
		    reply_size(v->pss * v->largest, all),
		    reply_size(v->pss, size));
		reply_wrap(f, text);
	}
	if (v->peak * 2 > v->limit && v->backlog > 0)
		reply_wrap(f, "The queue was more than half full: a longer "
		    "one (-b) holds a rush, as long as its last connection "
		    "is served before the web server gives up.");
}

static void
write_words(FILE *f, const struct reply *a, const struct advice *v)
{
	size_t i;

	if (!v->doubts[DOUBT_UNSEEN]) {
		write_seen(f, a, v);
		write_numbers(f, v);
	}
	if (v->known)
		write_reasons(f, v);
	for (i = 0; i < DOUBTS; i++) {
		if (!v->doubts[i])
			continue;
		if (!v->doubts[DOUBT_UNSEEN])
			fputc('\n', f);
		reply_wrap(f, doubts[i].text);
		if (v->doubts[DOUBT_UNSEEN])
			break;
	}
}

static json_t *
pack_sizes(const struct advice *v)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; v->known && i < 3; i++)
		json_array_append_new(list, json_pack("{s:i, s:f}", "workers",
		    (int)v->sizes[i].workers, "waits", v->sizes[i].waits));
	return list;
}

static json_t *
pack_doubts(const struct advice *v)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < DOUBTS; i++) {
		if (v->doubts[i])
			json_array_append_new(list,
			    json_string(doubts[i].key));
	}
	return list;
}

/* A number, or null for one that is not known. */
static json_t *
pack_number(double n, bool known)
{
	return known ? json_real(n) : json_null();
}

static json_t *
pack_advice(const struct advice *v)
{
	if (!v->known)
		return json_null();
	return json_pack("{s:b, s:i, s:i, s:o, s:o}", "keep", (int)v->keep,
	    "F", (int)v->fewest, "N", (int)v->largest, "w",
	    pack_number(v->stay, v->stay > 0), "b", v->backlog > 0 ?
	    json_integer(v->backlog) : json_null());
}

static int
write_json(FILE *f, const struct reply *a, const struct advice *v,
    struct err *e)
{
	char name[SHOW_SIZE];
	bool seen = !v->doubts[DOUBT_UNSEEN];
	json_t *j;
	int r;

	j = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, "
	    "s:i, s:o, s:o, s:o}", "pool", reply_show(reply_find(a, "pool"),
	    "name", name),
	    "seconds", pack_number(v->span, seen),
	    "connections", pack_number(v->came, seen),
	    "erlangs", pack_number(v->erlangs, seen),
	    "most", pack_number(v->most, seen),
	    "waited", pack_number(v->waited, v->came > 0),
	    "enough", pack_number(v->enough, v->came > 0),
	    "pss", pack_number(v->pss, v->pss > 0),
	    "start", pack_number(v->start, v->start >= 0),
	    "min", (int)v->min, "max", (int)v->max,
	    "advice", pack_advice(v), "sizes", pack_sizes(v),
	    "doubts", pack_doubts(v));
	if (j == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	r = json_dumpf(j, f, JSON_INDENT(2) | JSON_ENSURE_ASCII |
	    JSON_REAL_PRECISION(6));
	json_decref(j);
	return r == -1 || fputc('\n', f) == EOF ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}

int
advise_write(FILE *f, const struct reply *a, bool json, struct err *e)
{
	struct advice v;

	advice_make(a, &v);
	if (!json)
		write_words(f, a, &v);
	else if (write_json(f, a, &v, e) == -1)
		return -1;
	return fflush(f) == EOF || ferror(f) ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}
