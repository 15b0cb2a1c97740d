/* SPDX-License-Identifier: ISC */
/* How long answers took, to the microsecond. */
#ifndef LATENCY_H
#define LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define LATENCY_MAX	2000000	/* usec; what took longer counts as this */

static atomic_uint latencies[LATENCY_MAX + 1];	/* answers, by usec */

static void
latency_note(uint64_t usec)
{
	atomic_fetch_add(&latencies[usec < LATENCY_MAX ? usec : LATENCY_MAX],
	    1);
}

/* How long the fastest that many percent of so many answers took at most. */
static unsigned int
latency_percentile(unsigned long percent, unsigned long answers)
{
	unsigned long left = (answers * percent + 99) / 100;
	unsigned int i;

	for (i = 0; i < LATENCY_MAX; i++) {
		if (latencies[i] >= left)
			break;
		left -= latencies[i];
	}
	return i;
}

#endif
