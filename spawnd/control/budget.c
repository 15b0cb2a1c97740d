/* SPDX-License-Identifier: ISC */
/*
 * The cpu time that clients which only read may use: some at once, and after
 * that a share of the time. One piece of work may overdraw it.
 */
#include "control/server.h"

static int64_t left = (int64_t)STATUS_BURST;	/* usec */
static uint64_t filled_at;

uint64_t
budget_time(uint64_t now)
{
	return left > 0 ? now : now + (uint64_t)(1 - left) * STATUS_SHARE;
}

bool
budget_fill(uint64_t now)
{
	if (now - filled_at > STATUS_BURST * STATUS_SHARE)
		left = (int64_t)STATUS_BURST;
	else
		left += (int64_t)((now - filled_at) / STATUS_SHARE);
	if (left > (int64_t)STATUS_BURST)
		left = (int64_t)STATUS_BURST;
	filled_at = now;
	return left > 0;
}

void
budget_spend(uint64_t usec)
{
	left -= (int64_t)usec;
}
