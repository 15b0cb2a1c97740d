/* SPDX-License-Identifier: ISC */
/*
 * Workers that may have ended without a SIGCHLD. A handler looks at each, with
 * longer and longer pauses, until it is clear whether the worker lives.
 * Ordinary ends raise suspicion too, and are reaped before the first look.
 */
#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/observe.h"
#include "run/supervise.h"

#define LOOK_FIRST	UINT64_C(20000)	/* usec, from suspicion to a look */
#define LOOK_LAST	USEC

static void (*suspect_handler)(unsigned int slot);
static unsigned int nslots;
static unsigned int nsuspects;
static uint64_t look_at = NEVER;
static uint64_t look_pause;
static bool holds;

static void on_suspects(void);

static void
look_later(uint64_t pause)
{
	look_pause = pause;
	look_at = loop_now() + pause;
	loop_timer(TIMER_TRACED, look_at, on_suspects);
}

static void
on_suspects(void)
{
	unsigned int i;

	/* Most of very many are just about to be reaped. */
	if (holds) {
		look_later(look_pause);
		return;
	}
	for (i = 0; i < nslots && nsuspects > 0; i++) {
		if (worker_probe_state(i)->suspect && worker_pid(i) != 0)
			suspect_handler(i);
	}
	if (nsuspects > 0)
		look_later(look_pause * 2 < LOOK_LAST ? look_pause * 2 :
		    LOOK_LAST);
}

void
suspects_init(unsigned int n, void (*handler)(unsigned int slot))
{
	nslots = n;
	suspect_handler = handler;
}

void
suspects_hold(bool held)
{
	holds = held;
}

void
suspects_add(unsigned int slot, bool certain)
{
	struct probe_state *s = worker_probe_state(slot);

	if (worker_pid(slot) == 0)
		return;
	s->must_end |= certain;
	if (s->suspect)
		return;
	s->suspect = true;
	s->looks = 0;
	/* Suspects that come in a row must not put the look off. */
	if (nsuspects++ == 0 || look_at > loop_now() + LOOK_FIRST)
		look_later(LOOK_FIRST);
}

void
suspects_remove(unsigned int slot)
{
	struct probe_state *s = worker_probe_state(slot);

	if (!s->suspect)
		return;
	s->suspect = false;
	if (--nsuspects == 0)
		loop_timer(TIMER_TRACED, NEVER, on_suspects);
}
