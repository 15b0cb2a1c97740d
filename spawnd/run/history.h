/* SPDX-License-Identifier: ISC */
/* history.c: the load of the last minutes, pure but for memory. */
#ifndef RUN_HISTORY_H
#define RUN_HISTORY_H

#include <stdint.h>

#include "observe/observe.h"

#define HISTORY_SPAN	300	/* seconds that are kept */
#define HISTORY_UNKNOWN	UINT16_MAX
/*
 * A second in which something changed. Counts of connections, the last of the
 * second and the highest, may be HISTORY_UNKNOWN.
 */
struct history_point {
	uint32_t	 second;	/* of loop_now() */
	uint16_t	 busy, queue;
	uint16_t	 peak_busy, peak_queue;
	uint16_t	 workers;	/* ready ones */
	uint16_t	 unused;
};
/*
 * Notes a load that was seen at `now`, in microseconds of loop_now(), and how
 * many workers are ready. Without memory the point is lost.
 */
void	 history_note(uint64_t now, const struct load *l,
	    unsigned int workers);
/* Notes how many workers are ready at `now`; the load is as it was. */
void	 history_workers(uint64_t now, unsigned int workers);
/* Return the highest count that was ever noted, or -1 if none was. */
int	 history_peak_busy(void);
int	 history_peak_queue(void);
/*
 * Returns point number i, 0 being the oldest, valid until the next is noted;
 * NULL behind the last.
 */
const struct history_point *history_at(unsigned int i);

#endif
