/* SPDX-License-Identifier: ISC */
/* The last events and actions of the pool, in the log. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/units.h"
#include "pool/pool.h"
#include "pool/trace.h"
#include "run/supervise.h"

/* "event what=exit slot=0 ...", but for the time, which comes first. */
static void
describe(const struct trace_item *item, char *buf, size_t size)
{
	char number[24];
	unsigned int i;

	strlcpy(buf, item->kind, size);
	for (i = 1; i < item->n; i++) {
		const struct trace_value *v = &item->values[i];

		snprintf(number, sizeof(number), "%" PRIu64, v->number);
		strlcat(buf, " ", size);
		strlcat(buf, v->key, size);
		strlcat(buf, "=", size);
		strlcat(buf, v->word != NULL ? v->word : number, size);
	}
}

void
report_trace(const struct pool *pool, uint64_t now)
{
	unsigned int n = trace_count(pool), i = 0;
	struct trace_item item;
	char line[ERR_SIZE], ago[32];
	uint64_t age;

	if (n > TRACE_LINES)
		i = n - TRACE_LINES;
	for (; i < n; i++) {
		trace_entry(pool, i, &item);
		describe(&item, line, sizeof(line));
		age = now - item.values[0].number;
		snprintf(ago, sizeof(ago), "%" PRIu64 ".%06" PRIu64,
		    age / USEC, age % USEC);
		log_info("trace: %s s ago: %s", ago, line);
	}
}
