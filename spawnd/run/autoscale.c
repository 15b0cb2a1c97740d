/* SPDX-License-Identifier: ISC */
/*
 * Looks at the listen queue when pool/sampler.c says so, by a timer and a watch
 * on the socket. The load that was seen goes into the history and to
 * pool/scale.c, whose decision sets the size of a pool with bounds. A pool of
 * one size is only looked at for its history and its saturation.
 */
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/ledger.h"
#include "pool/pool.h"
#include "pool/scale.h"
#include "run/history.h"
#include "run/supervise.h"

#define SATURATED	USEC	/* what lasts as long is in the trace */

static struct scale scale;
static struct sampler sampler;
static struct loop_watch *watch;	/* NULL: nothing is looked at */
static const char *option;		/* that bounds the size */
static bool adapts;			/* -N, or bounds that came later */
static bool queue_seen;			/* the queue can be */
static bool watching;
static bool came;			/* a connection, since the last look */
static uint64_t seen_at;		/* a connection was, or could not be */
static bool said_full;
static uint64_t start_time;		/* usec, of the newest that is ready */
static struct ledger ledger;
static uint64_t looked;			/* when; 0: never */
static uint64_t oldest;			/* usec that one had waited by then */

static void on_look(void);

static void
on_connection(void *arg)
{
	(void)arg;
	watching = false;
	came = true;
	seen_at = loop_now();
	if (adapts)
		on_look();
	else	/* by then a worker has it, unless it has to wait */
		loop_timer(TIMER_AUTOSCALE, loop_now() + SAMPLER_FIXED_AGAIN,
		    on_look);
}

/* How long the start of a worker takes, by the last one. */
static uint64_t
measure_start(const struct pool *pool)
{
	unsigned int i, left = 0, n = pool_slots(pool);
	uint64_t newest = 0;
	struct pool_worker w;

	for (i = SLOT_EMPTY + 1; i < SLOT_NSTATES; i++)
		left += pool_count(pool, i);
	for (i = 0; i < n && left > 0; i++) {
		if (!pool_worker(pool, i, &w))
			continue;
		left--;
		if (w.ready > newest) {
			newest = w.ready;
			start_time = w.ready - w.spawned;
		}
	}
	return start_time;
}

static void
count_workers(const struct pool *pool, struct scale_view *v)
{
	v->ready = pool_count(pool, SLOT_READY);
	v->starting = pool_count(pool, SLOT_SPAWNING) +
	    pool_count(pool, SLOT_STARTING);
	v->leaving = pool_count(pool, SLOT_RETIRING) +
	    pool_count(pool, SLOT_FREEZING) + pool_count(pool, SLOT_DOOR) +
	    pool_count(pool, SLOT_STOPPING) +
	    pool_count(pool, SLOT_KILLED);
	v->failing = pool_count(pool, SLOT_BACKOFF);
}

_Static_assert(LEDGER_WAITS == WAIT_CLASSES && LOAD_UNKNOWN == SCALE_UNKNOWN,
    "what is seen is what the ledger takes");

/* For the ledger it is enough to be told once a second. */
static bool
wants_busy(uint64_t now)
{
	if (!adapts)
		return true;
	if (!scale_wants_busy(&scale, 1) && now - sampler.busy_at < USEC)
		return false;
	return sampler_affords_busy(&sampler, now, scale.conf.idle);
}

static void
keep_ledger(const struct scale_view *v, const struct load *l)
{
	struct ledger_look look = { .now = v->now, .queue = l->depth,
	    .busy = l->busy, .fresh = l->fresh,
	    .places = (v->ready + v->leaving) * scale.conf.serves,
	    .left = l->left };

	/* A pool of one size was not looked at since the watch was set. */
	if (v->fired)
		look.cause = adapts ? 1 : l->fresh;
	ledger_look(&ledger, &look);
	looked = v->now;
	oldest = l->oldest;
}

static void
view_load(struct scale_view *v)
{
	uint64_t before = loop_cpu();
	struct load l;

	observe_load(wants_busy(v->now), &l);
	if (l.depth > 0 || (l.busy > 0 && l.busy != LOAD_UNKNOWN))
		seen_at = v->now;
	v->queue = l.depth;
	v->waited = l.waited;
	v->busy = l.busy;
	history_note(v->now, &l, v->ready);
	keep_ledger(v, &l);
	v->cost = loop_cpu() - before;
}

static void
log_saturation(enum scale_notice notice)
{
	unsigned long long hundredths = scale.full_length / (USEC / 100);
	char length[32];

	snprintf(length, sizeof(length), "%llu.%02llu s", hundredths / 100,
	    hundredths % 100);
	if (notice == SCALE_FULL)
		log_warn("all %u workers are busy and connections wait: no "
		    "more may be started (%s)", scale.conf.max, option);
	else if (notice == SCALE_RELIEVED && said_full)
		log_info("connections waited for %s while all %u workers were "
		    "busy, at most %u at once", length, scale.conf.max,
		    scale.full_peak);
	if (notice != SCALE_NOTHING)
		said_full = notice == SCALE_FULL;
}

/* What lasts is told to the trace, and its end. */
static void
trace_saturation(void)
{
	static bool traced;
	bool lasts = scale.full_since != 0 &&
	    scale.full_last - scale.full_since >= SATURATED;
	struct pool_event ev = { .what = lasts ? EV_SATURATED : EV_RELIEVED };

	if (lasts == traced || (traced && scale.full_since != 0))
		return;
	traced = lasts;
	actor_event(&ev);
}

static void
set_next(struct sampler_next n)
{
	loop_timer(TIMER_AUTOSCALE, n.look, on_look);
	if (n.watch == watching)
		return;
	if (n.watch)
		loop_resume(watch);
	else
		loop_pause(watch);
	watching = n.watch;
}

static void
adapt(const struct scale_view *v, const struct scale_decision *d)
{
	struct pool_event ev = { .what = EV_TARGET, .workers = d->target };
	struct sampler_next n = sampler_next(&sampler, v, d);

	log_saturation(d->notice);
	/* Where nothing can be seen, the first connection is all there is. */
	if (!queue_seen && d->target > 0)
		n = (struct sampler_next){ .look = NEVER };
	set_next(n);
	if (d->target != pool_target(actor_pool()))
		actor_event(&ev);
}

/*
 * Connections wait for a second although workers are free: some of these may
 * have ended while a tracer holds them, which nothing else shows.
 */
static void
suspect_free(const struct scale_view *v)
{
	static uint64_t since;
	unsigned int i, n = pool_slots(actor_pool());

	if (v->waited == 0 || v->waited == SCALE_UNKNOWN ||
	    v->busy == SCALE_UNKNOWN || v->busy >= v->ready) {
		since = 0;
		return;
	}
	if (since == 0)
		since = v->now;
	if (v->now - since < USEC)
		return;
	since = v->now;
	for (i = 0; i < n; i++) {
		if (pool_state(actor_pool(), i) == SLOT_READY)
			suspects_add(i, false);
	}
}

static void
on_look(void)
{
	const struct pool *pool = actor_pool();
	struct scale_view v = { .now = loop_now(), .fired = came };
	struct scale_decision d;
	struct sampler_next n;

	came = false;
	entry_changed();
	if (pool_phase(pool) != PHASE_UP)
		return;
	count_workers(pool, &v);
	view_load(&v);
	suspect_free(&v);
	if (adapts && v.queue > 0)
		v.start = measure_start(pool);
	d = scale_decide(&scale, &v);
	trace_saturation();
	if (adapts) {
		adapt(&v, &d);
		return;
	}
	n = sampler_next_fixed(&sampler, &v);
	if (d.until < n.look)
		n.look = d.until;	/* a saturation may be over */
	set_next(n);
}

static void
warn_unseen(unsigned int min)
{
	if (min > 0)
		log_warn("the listen queue cannot be seen here: the pool "
		    "stays at %u worker%s (%s has no effect)", min,
		    min == 1 ? "" : "s", option);
	else
		log_warn("the listen queue cannot be seen here: the first "
		    "connection starts one worker, which stays (%s has no "
		    "effect)", option);
}

int
autoscale_init(const struct plan *p, bool seen, struct err *e)
{
	struct scale_conf c = {
		.min = (unsigned int)p->workers,
		.max = p->max_workers,
		.idle = (p->conf->idle_timeout == -1 ? IDLE_TIMEOUT :
		    (uint64_t)p->conf->idle_timeout) * USEC,
		.serves = p->children > 0 ? (unsigned int)p->children : 1,
	};

	option = OPT(p->conf, max_workers);
	queue_seen = seen;
	adapts = c.max > 0;
	if (!adapts)
		c.max = c.min;
	scale_init(&scale, &c);
	if (!adapts && !seen)
		return 0;
	watch = loop_watch_once(STDIN_FILENO, on_connection, NULL);
	if (watch == NULL)
		return err_set(e, EX_OSERR, "loop: out of memory");
	if (!seen)
		warn_unseen(c.min);
	return 0;
}

void
autoscale_start(void)
{
	/* Where nothing can be seen only the first connection counts. */
	if (queue_seen || (adapts && scale.target == 0))
		loop_timer(TIMER_AUTOSCALE, loop_now(), on_look);
}

/* Where the queue cannot be seen a pool has one size, whatever -N said. */
static bool
has_bounds(void)
{
	return adapts && queue_seen;
}

void
autoscale_range(unsigned int *min, unsigned int *max)
{
	unsigned int n = pool_target(actor_pool());

	*min = has_bounds() ? scale.conf.min : n;
	*max = has_bounds() ? scale.conf.max : n;
}

static void
set_one_size(unsigned int workers)
{
	struct pool_event ev = { .what = EV_TARGET, .workers = workers };

	log_info("%u worker%s wanted, was %u", workers,
	    workers == 1 ? "" : "s", pool_target(actor_pool()));
	ledger_resized(&ledger);
	/* A connection that comes later must not undo it. */
	scale_bounds(&scale, workers, workers, loop_now());
	actor_event(&ev);
}

static void
set_bounds(unsigned int min, unsigned int max)
{
	unsigned int low, high;

	autoscale_range(&low, &high);
	log_info("%u to %u workers wanted, was %u to %u", min, max, low,
	    high);
	if (!adapts)
		sampler = (struct sampler){ 0 };
	adapts = true;
	ledger_resized(&ledger);
	scale_bounds(&scale, min, max, loop_now());
	on_look();
}

int
autoscale_bounds(unsigned int min, unsigned int max, struct err *e)
{
	if (actor_stops())
		return 0;
	if (!queue_seen && min != max)
		return err_set(e, EX_UNAVAILABLE, "scale: %u-%u: the listen "
		    "queue cannot be seen here, the pool has one size (a "
		    "single number sets it)", min, max);
	if (has_bounds() || min != max)
		set_bounds(min, max);
	else
		set_one_size(min);
	return 0;
}

void
autoscale_step(int more)
{
	unsigned int min, max;
	struct err e;

	autoscale_range(&min, &max);
	if (more > 0 && min < pool_max(actor_pool()))
		min++;
	else if (more < 0 && min > 1)
		min--;
	else
		return;
	if (!has_bounds() || min > max)
		max = min;
	if (autoscale_bounds(min, max, &e) == -1)
		log_warn("%s", e.text);
}

bool
autoscale_saw_since(uint64_t since)
{
	return watch == NULL || !queue_seen || seen_at >= since;
}

const struct scale *
autoscale_state(void)
{
	return watch != NULL && queue_seen ? &scale : NULL;
}

uint64_t
autoscale_idle(void)
{
	return adapts ? scale.conf.idle : 0;
}

const struct ledger *
autoscale_ledger(void)
{
	return watch != NULL && queue_seen ? &ledger : NULL;
}

uint64_t
autoscale_oldest(uint64_t now)
{
	return oldest > 0 ? oldest + now - looked : 0;
}
