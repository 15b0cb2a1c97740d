/* SPDX-License-Identifier: ISC */
/* Times and what they are counted in, for the pure core, too. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdint.h>

#define NEVER			UINT64_MAX	/* no deadline */
#define USEC			UINT64_C(1000000)	/* one second */

/* The status of an end that is not known: neither an exit nor a signal. */
#define STATUS_UNKNOWN		(-1)

static inline uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
