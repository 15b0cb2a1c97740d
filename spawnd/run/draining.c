/* SPDX-License-Identifier: ISC */
/*
 * A stop that is announced, as the outside sees it: until it is due the pool
 * serves whoever comes, and balancers can leave it out. The pool keeps the time
 * (pool/announce.c); then the stop begins as any other does.
 */
#include <stdio.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "pool/pool.h"
#include "privilege/privilege.h"
#include "run/supervise.h"

bool
draining_is_on(void)
{
	return pool_is_announced(actor_pool());
}

uint64_t
draining_left(void)
{
	uint64_t at = pool_stop_at(actor_pool()), now = loop_now();

	return at == NEVER ? NEVER : at > now ? at - now : 0;
}

const char *
draining_text(void)
{
	static char text[128];
	uint64_t left = draining_left();

	if (left == NEVER)
		return "the pool is draining (spawnctl resume takes that "
		    "back)";
	snprintf(text, sizeof(text), "the pool is draining: it stops in %llu s "
	    "(spawnctl resume takes that back)",
	    (unsigned long long)((left + USEC - 1) / USEC));
	return text;
}

const char *
draining_hindrance(void)
{
	if (actor_stops())
		return "the pool is stopping";
	if (pool_phase(actor_pool()) != PHASE_UP || daemonize_starting())
		return "the pool is starting";
	return neighbour_is_next() ? "another spawnd is about to take over" :
	    NULL;
}

static const struct conf *conf;

void
draining_init(const struct conf *c)
{
	conf = c;
}

static void
on_due(void)
{
	log_info("drain: its time is over: the pool stops");
	lifecycle_stop(false);
}

void
draining_notice(const struct pool_notice *n)
{
	/* The pool is to hear of nothing else while it has actions left. */
	if (n->what == NOTICE_DUE)
		loop_timer(TIMER_DRAIN, loop_now(), on_due);
}

void
draining_begin(uint64_t delay)
{
	const struct pool_event ev = { .what = EV_ANNOUNCE, .delay = delay };

	loop_timer(TIMER_DRAIN, NEVER, on_due);
	if (delay == NEVER)
		log_info("drain: begun (until resume or stop)");
	else
		log_info("drain: begun (the pool stops in %llu s)",
		    (unsigned long long)(delay / USEC));
	actor_event(&ev);
	lifecycle_send_state();
}

void
draining_resume(void)
{
	const struct pool_event ev = { .what = EV_RESUME };

	if (!draining_is_on())
		return;
	loop_timer(TIMER_DRAIN, NEVER, on_due);
	log_info("drain: taken back");
	actor_event(&ev);
	lifecycle_send_state();
}

bool
draining_signalled(void)
{
	uint64_t delay = (uint64_t)conf->drain * USEC;

	if (delay == 0 || draining_is_on() || draining_hindrance() != NULL)
		return false;
	draining_begin(delay);
	lifecycle_ask_time(delay);
	return true;
}
