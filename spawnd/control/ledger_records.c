/* SPDX-License-Identifier: ISC */
/* What the pool remembers of its load, as records. */
#include <stdio.h>

#include "control/server.h"
#include "pool/ledger.h"
#include "proto/proto.h"

static const char *const waits[] = { "wait_10ms", "wait_100ms", "wait_1s",
    "wait_10s", "wait_more" };

_Static_assert(sizeof(waits) / sizeof(waits[0]) == LEDGER_WAITS,
    "each class has a name");

void
ledger_records_write(const struct ledger *l, struct proto_output *o)
{
	unsigned int i;

	proto_begin(o, "load");
	proto_time(o, "span", l->span);
	proto_time(o, "busy_time", l->busy_time);
	proto_time(o, "queue_time", l->queue_time);
	proto_number(o, "came", l->came);
	proto_number(o, "full", l->full);
	proto_number(o, "over", l->over);
	proto_number(o, "most", l->most);
	for (i = 0; i < LEDGER_WAITS; i++)
		proto_number(o, waits[i], l->waits[i]);
	proto_end(o);
	for (i = 0; i < LEDGER_BINS; i++) {
		if (l->time[i] == 0 && l->met[i] == 0)
			continue;
		proto_begin(o, "demand");
		proto_number(o, "n", ledger_count(i));
		proto_time(o, "time", l->time[i]);
		proto_number(o, "met", l->met[i]);
		proto_end(o);
	}
}
