/* SPDX-License-Identifier: ISC */
/*
 * A stop that is announced. Until it is due the pool goes on as ever; all that
 * is new is that it says so. When it is due the caller begins the stop.
 */
#include <stddef.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"

void
announce_begin(struct pool *p, uint64_t delay, uint64_t now)
{
	if (p->phase != PHASE_UP)
		return;
	p->announced = true;
	p->stop_at = slot_later(now, delay);
}

void
announce_end(struct pool *p)
{
	p->announced = false;
	p->stop_at = NEVER;
}

void
announce_tick(struct pool *p, uint64_t now)
{
	if (now < p->stop_at)
		return;
	p->stop_at = NEVER;
	slot_notice(p, NOTICE_DUE, NULL);
}
