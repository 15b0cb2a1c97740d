/* SPDX-License-Identifier: ISC */
/*
 * The load of a pool of one size, for its history: where nothing adapts nobody
 * else looks. The first connection after a rest makes a look, then time does,
 * as long as one waits or is served. A pool at rest is not woken.
 */
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "pool/scale.h"
#include "run/run.h"

#define PAUSE		USEC		/* from one look to the next */
#define PAUSE_MAX	(16 * USEC)	/* where nothing changes */
#define AGAIN		UINT64_C(10000)	/* to those that came just now */
#define COST		200		/* looks take 1/200 at most */

static struct loop_watch *watch;	/* NULL: nothing is sampled */
static struct scale full;		/* for its saturation only */
static struct load last;
static uint64_t length;			/* of the present pause */
static bool fresh;			/* a connection made this look */
static bool again;			/* the second of two looks */

static void on_time(void);

/* What the saturation of a pool with bounds is counted by, for both. */
static void
note_saturation(uint64_t now, const struct load *l)
{
	const struct pool *pool = actor_pool();
	unsigned int n = pool_target(pool);
	struct scale_view v = {
		.now = now,
		.ready = pool_count(pool, SLOT_READY),
		.starting = pool_count(pool, SLOT_SPAWNING) +
		    pool_count(pool, SLOT_STARTING),
		.queue = l->depth,
		.waited = l->waited,
		.busy = l->busy,
	};

	if (n != full.conf.max)
		scale_bounds(&full, n, n, now);
	scale_look(&full, &v);
}

/* Returns the cpu that it took. */
static uint64_t
look(uint64_t now, struct load *l)
{
	uint64_t before = loop_cpu();

	observe_load(true, l);
	history_note(now, l, pool_count(actor_pool(), SLOT_READY));
	note_saturation(now, l);
	return loop_cpu() - before;
}

static void
on_connection(void *arg)
{
	(void)arg;
	/* By then a worker has it, unless it has to wait. */
	fresh = true;
	loop_timer(TIMER_SAMPLE, loop_now() + AGAIN, on_time);
}

/* When is the next look, and is the first connection to make one? */
static void
go_on(uint64_t now, const struct load *l, uint64_t cost)
{
	bool same = l->depth == last.depth && l->busy == last.busy;
	bool rest = l->depth == 0 && l->busy == 0;
	bool waits = l->depth > 0 && l->depth != LOAD_UNKNOWN;

	length = !same || fresh || waits ? PAUSE :
	    length < PAUSE_MAX ? 2 * length : PAUSE_MAX;
	if (rest && !fresh)
		loop_timer(TIMER_SAMPLE, NEVER, NULL);
	else
		loop_timer(TIMER_SAMPLE, now + (COST * cost > length ?
		    COST * cost : length), on_time);
	/* A busy pool always has a connection: not more than one a pause. */
	if (l->depth == 0 && !fresh && (same || rest))
		loop_resume(watch);
	last = *l;
	fresh = false;
}

static void
on_time(void)
{
	uint64_t now = loop_now(), cost;
	struct load l;

	loop_pause(watch);
	if (pool_phase(actor_pool()) != PHASE_UP)
		return;
	cost = look(now, &l);
	again = !again && l.depth > 0 && l.depth != LOAD_UNKNOWN;
	if (again)
		loop_timer(TIMER_SAMPLE, now + AGAIN, on_time);
	else
		go_on(now, &l, cost);
}

void
sample_start(void)
{
	struct scale_conf c = {
		.min = pool_target(actor_pool()),
		.max = pool_target(actor_pool()),
		.idle = USEC,
	};

	watch = loop_watch_once(STDIN_FILENO, on_connection, NULL);
	if (watch == NULL) {
		log_warn("loop: out of memory");
		return;
	}
	scale_init(&full, &c);
	on_time();
}

void
sample_stop(void)
{
	if (watch == NULL)
		return;
	loop_timer(TIMER_SAMPLE, NEVER, NULL);
	loop_unwatch(watch);
	watch = NULL;
}

const struct scale *
sample_state(void)
{
	return full.conf.idle > 0 ? &full : NULL;
}
