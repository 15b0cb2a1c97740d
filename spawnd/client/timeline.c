/* SPDX-License-Identifier: ISC */
/* The history of a pool: points of change, each until the next. */
#include "client/client.h"
#include "proto/proto.h"

void
timeline_seconds(const struct reply *a, const char *key, const char *peak,
    double seconds[HISTORY_SECONDS])
{
	const struct proto_record *r;
	double ago, now, most, last = -1;
	int s = HISTORY_SECONDS - 1, at;
	size_t i = 0;

	while ((r = reply_next(a, "point", &i)) != NULL) {
		if (!proto_get_number(r, "ago", &ago))
			continue;
		at = ago < HISTORY_SECONDS ? (int)ago : HISTORY_SECONDS;
		for (; s > at; s--)
			seconds[s] = last;
		last = most = -1;
		if (proto_get_number(r, key, &now))
			last = most = now;
		if (peak != NULL && proto_get_number(r, peak, &now) &&
		    now > most)
			most = now;
		if (at < HISTORY_SECONDS && s == at)
			seconds[s--] = most;
	}
	for (; s >= 0; s--)
		seconds[s] = last;
}

double
timeline_lasts(const struct reply *a, const char *key, double least,
    bool *whole)
{
	const struct proto_record *r;
	double ago, now, since = -1;
	size_t i = 0, n = 0;

	*whole = false;
	while ((r = reply_next(a, "point", &i)) != NULL) {
		if (!proto_get_number(r, "ago", &ago))
			continue;
		if (!proto_get_number(r, key, &now) || now < least)
			since = -1;
		else if (since < 0) {
			since = ago;
			*whole = n == 0;
		}
		n++;
	}
	*whole = *whole && since >= 0;
	return since;
}
