/* SPDX-License-Identifier: ISC */
/* What those who only read may cost: a burst, then a share of the time. */
#include "control.h"

static int64_t credit = (int64_t)STATUS_BURST;	/* usec */
static uint64_t credited;

bool
credit_left(uint64_t now)
{
	if (now - credited > STATUS_BURST * STATUS_SHARE)
		credit = (int64_t)STATUS_BURST;
	else
		credit += (int64_t)((now - credited) / STATUS_SHARE);
	if (credit > (int64_t)STATUS_BURST)
		credit = (int64_t)STATUS_BURST;
	credited = now - (now - credited) % STATUS_SHARE;
	return credit > 0;
}

uint64_t
credit_at(uint64_t now)
{
	return credit > 0 ? now : now + (uint64_t)(1 - credit) * STATUS_SHARE;
}

void
credit_spend(uint64_t cost)
{
	credit -= (int64_t)cost;
}
