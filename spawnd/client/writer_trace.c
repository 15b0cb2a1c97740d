/* SPDX-License-Identifier: ISC */
/*
 * A trace, in the one form that people read and the simulation replays: the
 * records as they came, behind how long ago each was and when that was.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"

#define YEAR_10000	253402300800.0	/* s; later is not to be believed */

/* Microseconds of the clock on the wall; "-" if they make no sense. */
static void
write_clock(FILE *f, double usec)
{
	char text[32] = "-";
	struct tm tm;
	time_t t;

	if (!(usec >= 0 && usec / 1e6 < YEAR_10000)) {
		fprintf(f, " %26s ", text);
		return;
	}
	t = (time_t)(usec / 1e6);
	if (localtime_r(&t, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(f, " %s.%06.0f ", text, usec - (double)t * 1e6);
}

static void
write_record(FILE *f, const struct proto_record *r)
{
	const struct proto_field *v;

	text_print(f, r->kind, strlen(r->kind));
	for (v = r->fields; v < r->fields + r->n; v++) {
		fputc(' ', f);
		text_print(f, v->key, strlen(v->key));
		fputc('=', f);
		text_print(f, v->value, strlen(v->value));
	}
	fputc('\n', f);
}

int
writer_trace(FILE *f, const struct reply *a, struct err *e)
{
	double now = reply_value(a, "trace", "now", 0);
	double clock = reply_value(a, "trace", "clock", 0), time;
	size_t i;

	for (i = 0; i < a->n; i++) {
		if (proto_get_number(&a->list[i], "time", &time)) {
			fprintf(f, "%13.6f", (time - now) / 1e6);
			write_clock(f, clock - (now - time));
		}
		write_record(f, &a->list[i]);
	}
	/* Without it a file that was cut off would look whole. */
	fputs("end\n", f);
	return fflush(f) == EOF || ferror(f) ?
	    err_set(e, EX_IOERR, "cannot write") : 0;
}
