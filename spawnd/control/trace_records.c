/* SPDX-License-Identifier: ISC */
/* The trace of the pool as records. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "control/server.h"
#include "pool/pool.h"
#include "pool/trace.h"
#include "proto/proto.h"
#include "run/run.h"

/* What shows the reader whose it is, and when on the wall each time was. */
static void
write_origin(uint64_t now, struct proto_output *o)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	proto_text(o, "version", SPAWND_VERSION);
	proto_number(o, "pid", (uint64_t)getpid());
	proto_number(o, "now", now);
	proto_number(o, "clock", (uint64_t)ts.tv_sec * USEC +
	    (uint64_t)ts.tv_nsec / 1000);
}

void
trace_records_write(uint64_t now, struct proto_output *o)
{
	const struct pool *pool = actor_pool();
	struct trace_cursor c = { 0 };
	struct trace_item item;
	unsigned int i;

	while (trace_next(pool, &c, &item)) {
		proto_begin(o, item.kind);
		for (i = 0; i < item.n; i++) {
			const struct trace_value *v = &item.values[i];

			if (v->word != NULL)
				proto_text(o, v->key, v->word);
			else
				proto_number(o, v->key, v->number);
		}
		if (strcmp(item.kind, "trace") == 0)
			write_origin(now, o);
		proto_end(o);
	}
}
