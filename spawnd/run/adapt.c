/* SPDX-License-Identifier: ISC */
/*
 * scale.c at work: the watch on the listen socket and a timer make a look,
 * what is seen goes to scale.c, and what that wants to the pool. There is no
 * timer while nothing happens.
 */
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "pool/scale.h"
#include "run/run.h"

static struct scale scale;
static struct loop_watch *watch;
static struct scale_conf conf;		/* as the plan has it */
static const char *most;		/* the option that bounds it */
static bool on;				/* the pool adapts */
static bool seen;			/* the queue can be */
static bool watching;
static uint64_t busy_cost, busy_at;	/* of counting what was accepted */
static uint64_t start_time;		/* usec, of the newest that is ready */

static void look(bool fired);

static void
on_connection(void *arg)
{
	(void)arg;
	watching = false;
	look(true);
}

static void
on_time(void)
{
	look(false);
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
	v->going = pool_count(pool, SLOT_RETIRING) +
	    pool_count(pool, SLOT_FREEZING) + pool_count(pool, SLOT_STOPPING) +
	    pool_count(pool, SLOT_KILLED);
	v->failing = pool_count(pool, SLOT_BACKOFF);
}

/* Where counting is dear it is done now and then, as long as that will do. */
static bool
affords_busy(uint64_t now)
{
	uint64_t pause = SCALE_COST * busy_cost;

	if (pause > SCALE_PAUSE && pause < conf.idle / SCALE_BUCKETS)
		pause = conf.idle / SCALE_BUCKETS;
	return now - busy_at >= pause || pause <= SCALE_PAUSE;
}

static void
observe(struct scale_view *v)
{
	uint64_t before = loop_cpu();
	struct load l;
	bool busy;

	busy = scale_wants_busy(&scale, 1) && affords_busy(v->now);
	observe_load(busy, &l);
	v->queue = l.depth;
	v->waited = l.waited;
	v->busy = l.busy;
	history_note(v->now, &l, pool_count(actor_pool(), SLOT_READY));
	v->cost = loop_cpu() - before;
	if (l.busy != LOAD_UNKNOWN) {
		busy_cost = v->cost;
		busy_at = v->now;
	}
}

static void
say(const struct scale_next *n)
{
	unsigned long long hundredths = scale.full_length / (USEC / 100);
	char length[32];

	if (n->notice == SCALE_FULL)
		log_warn("all %u workers are busy and connections wait: no "
		    "more may be started (%s)", scale.conf.max, most);
	else if (n->notice == SCALE_RELIEVED) {
		snprintf(length, sizeof(length), "%llu.%02llu s",
		    hundredths / 100, hundredths % 100);
		log_info("connections waited for %s while all %u workers were "
		    "busy, at most %u at once", length, scale.conf.max,
		    scale.full_peak);
	}
}

static void
look(bool fired)
{
	struct pool_event ev = { .what = EV_TARGET };
	struct pool *pool = actor_pool();
	struct scale_view v = { .now = loop_now(), .fired = fired };
	struct scale_next n;

	if (!on || pool_phase(pool) != PHASE_UP)
		return;
	count_workers(pool, &v);
	observe(&v);
	if (v.queue > 0)
		v.start = measure_start(pool);
	n = scale_look(&scale, &v);
	say(&n);
	/* Where nothing can be seen, the first connection is all there is. */
	if (!seen && n.target > 0)
		n = (struct scale_next){ .target = n.target, .look = NEVER };
	loop_timer(TIMER_ADAPT, n.look, on_time);
	if (n.watch != watching) {
		if (n.watch)
			loop_resume(watch);
		else
			loop_pause(watch);
		watching = n.watch;
	}
	if (n.target != pool_target(pool)) {
		ev.workers = n.target;
		actor_event(&ev);
	}
}

static int
turn_on(const struct scale_conf *c)
{
	watch = loop_watch_once(STDIN_FILENO, on_connection, NULL);
	if (watch == NULL)
		return -1;
	scale_init(&scale, c);
	sample_stop();
	on = true;
	return 0;
}

int
adapt_init(const struct plan *p, bool queue_seen, struct err *e)
{
	struct scale_conf c = {
		.min = (unsigned int)p->workers,
		.max = p->max_workers,
		.idle = (p->conf->idle_timeout == -1 ? IDLE_TIMEOUT :
		    (uint64_t)p->conf->idle_timeout) * USEC,
		.serves = p->children > 0 ? (unsigned int)p->children : 1,
	};

	conf = c;
	most = OPT(p->conf, max_workers);
	seen = queue_seen;
	if (c.max > 0 && turn_on(&c) == -1)
		return err_set(e, EX_OSERR, "loop: out of memory");
	if (on && !seen && c.min > 0)
		log_warn("the listen queue cannot be seen here: the pool "
		    "stays at %u worker%s (%s has no effect)", c.min,
		    c.min == 1 ? "" : "s", most);
	else if (on && !seen)
		log_warn("the listen queue cannot be seen here: the first "
		    "connection starts one worker, which stays (%s has no "
		    "effect)", most);
	return 0;
}

void
adapt_start(void)
{
	/* Where nothing can be seen only the first connection counts. */
	if (on && (seen || scale.target == 0))
		loop_timer(TIMER_ADAPT, loop_now(), on_time);
	if (!on && seen)
		sample_start();
}

/* Where the queue cannot be seen a pool has one size, whatever -N said. */
static bool
has_bounds(void)
{
	return on && seen;
}

/* A pool of one size gets two bounds: it is as it is to begin with. */
static int
begin(unsigned int workers)
{
	struct scale_conf c = conf;

	c.min = c.max = workers;
	return turn_on(&c);
}

void
adapt_range(unsigned int *min, unsigned int *max)
{
	unsigned int n = pool_target(actor_pool());

	*min = has_bounds() ? scale.conf.min : n;
	*max = has_bounds() ? scale.conf.max : n;
}

static void
set_size(unsigned int workers)
{
	struct pool_event ev = { .what = EV_TARGET, .workers = workers };

	log_info("%u worker%s wanted, was %u", workers,
	    workers == 1 ? "" : "s", pool_target(actor_pool()));
	/* So that a connection that comes later does not undo it. */
	if (on)
		scale_bounds(&scale, workers, workers, loop_now());
	actor_event(&ev);
}

static int
set_bounds(unsigned int min, unsigned int max, struct err *e)
{
	unsigned int low, high;

	adapt_range(&low, &high);
	if (!on && begin(low) == -1)
		return err_set(e, EX_OSERR, "loop: out of memory");
	log_info("%u to %u workers wanted, was %u to %u", min, max, low,
	    high);
	scale_bounds(&scale, min, max, loop_now());
	look(false);
	return 0;
}

int
adapt_bounds(unsigned int min, unsigned int max, struct err *e)
{
	if (pool_phase(actor_pool()) >= PHASE_STOP)
		return 0;
	if (!seen && min != max)
		return err_set(e, EX_UNAVAILABLE, "scale: %u-%u: the listen "
		    "queue cannot be seen here, the pool has one size (a "
		    "single number sets it)", min, max);
	if (has_bounds() || min != max)
		return set_bounds(min, max, e);
	set_size(min);
	return 0;
}

void
adapt_step(int more)
{
	unsigned int min, max;
	struct err e;

	adapt_range(&min, &max);
	if (more > 0 && min < pool_max(actor_pool()))
		min++;
	else if (more < 0 && min > 1)
		min--;
	else
		return;
	if (!has_bounds() || min > max)
		max = min;
	if (adapt_bounds(min, max, &e) == -1)
		log_warn("%s", e.text);
}

const struct scale *
adapt_state(void)
{
	return on ? &scale : NULL;
}
