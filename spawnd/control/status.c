/* SPDX-License-Identifier: ISC */
/*
 * The pool as records. A large pool is walked in steps, between which the loop
 * does what is more urgent.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "control/control.h"
#include "control/server.h"
#include "observe/observe.h"
#include "observe/usage.h"
#include "pool/pool.h"
#include "pool/scale.h"
#include "proto/proto.h"
#include "run/history.h"
#include "run/run.h"

/* What is remembered of a worker from one status to the next. */
struct memory {
	pid_t		 pid;
	uint64_t	 pss;
	uint64_t	 pss_at;	/* 0: never */
};

struct status {
	enum status_depth depth;
	bool		 private;	/* with what workers wrote */
	unsigned int	 slot;		/* the next one */
	uint64_t	*inodes;	/* the accepted connections */
	int		 n;		/* of them; -1: unknown */
	unsigned int	 left;		/* those of timed-out requests */
	uint64_t	 asked;		/* usec of waiting for what pss is */
	unsigned int	 busy, idle;	/* workers, as far as counted */
	bool		 counted;
	struct usage	 sum;
};

static const struct plan *plan;
static struct memory *memory;	/* of the first slots, once it is asked for */
static unsigned int remembered;	/* how many those are */
static unsigned int unfinished;	/* statuses that are being written */
static uint64_t began;		/* by loop_now() */
static time_t began_at;		/* by the wall clock */

void
status_init(const struct plan *p, const struct guarantees *g)
{
	plan = p;
	facts_init(p, g);
	began = loop_now();
	began_at = time(NULL);
}

const char *
status_state(void)
{
	const struct pool *pool = actor_pool();

	if (actor_stops())
		return "stopping";
	if (pool_phase(pool) == PHASE_START)
		return "starting";
	if (draining_is_on())
		return "draining";
	return pool_reloading(pool) ? "reloading" : "up";
}

bool
status_serves(void)
{
	const struct pool *pool = actor_pool();

	return pool_phase(pool) == PHASE_UP &&
	    (pool_target(pool) == 0 || pool_count(pool, SLOT_READY) > 0 ||
	    pool_count(pool, SLOT_RETIRING) > 0 ||
	    pool_count(pool, SLOT_FREEZING) > 0 ||
	    pool_count(pool, SLOT_DOOR) > 0);
}

static void
record_pool(struct proto_output *o)
{
	const struct pool *pool = actor_pool();
	unsigned int min, max;

	autoscale_range(&min, &max);
	proto_begin(o, "pool");
	proto_text(o, "name", plan->name);
	proto_number(o, "pid", (uint64_t)getpid());
	proto_text(o, "version", SPAWND_VERSION);
	proto_text(o, "state", status_state());
	proto_number(o, "started", (uint64_t)began_at);
	proto_time(o, "uptime", loop_now() - began);
	proto_text(o, "listen", plan->socket_name);
	if (plan->socket_owner != NULL)
		proto_text(o, "owner", plan->socket_owner);
	if (plan->clients != NULL)
		proto_text(o, "clients", plan->clients);
	if (plan->jail != NULL)
		proto_text(o, "jail", plan->jail);
	proto_text(o, "user", plan->ident.user);
	proto_text(o, "application", plan->argv[0]);
	proto_number(o, "target", pool_target(pool));
	proto_number(o, "min", min);
	proto_number(o, "max", max);
	if (autoscale_idle() > 0)
		proto_time(o, "idle_timeout", autoscale_idle());
	proto_number(o, "children", (uint64_t)plan->children);
	proto_end(o);
}

static unsigned int
count_two(const struct pool *p, enum slot_state a, enum slot_state b)
{
	return pool_count(p, a) + pool_count(p, b);
}

static void
record_counts(struct proto_output *o)
{
	const struct pool *p = actor_pool();
	const struct pool_counts *c = pool_counts(p);
	const struct scale *scale = autoscale_state();

	proto_begin(o, "workers");
	proto_number(o, "total", pool_slots(p) - pool_count(p, SLOT_EMPTY) -
	    pool_count(p, SLOT_BACKOFF));
	proto_number(o, "starting", count_two(p, SLOT_SPAWNING, SLOT_STARTING));
	proto_number(o, "ready", pool_count(p, SLOT_READY));
	proto_number(o, "retiring", count_two(p, SLOT_RETIRING, SLOT_FREEZING) +
	    pool_count(p, SLOT_DOOR));
	proto_number(o, "stopping", count_two(p, SLOT_STOPPING, SLOT_KILLED));
	proto_number(o, "backoff", pool_count(p, SLOT_BACKOFF));
	proto_end(o);
	proto_begin(o, "count");
	proto_number(o, "started", c->started);
	proto_number(o, "recycled", c->recycled);
	proto_number(o, "crashed", c->crashed);
	proto_number(o, "failed", c->failed);
	proto_number(o, "retired", c->retired);
	proto_number(o, "killed", c->killed);
	proto_number(o, "lost", c->lost);
	proto_number(o, "timed_out", c->timed_out);
	proto_number(o, "aged", c->aged);
	proto_number(o, "grown", c->grown);
	proto_number(o, "reloads", c->reloads);
	proto_number(o, "reloads_failed", c->reloads_failed);
	if (scale != NULL) {
		proto_number(o, "saturations", scale->full_times);
		proto_time(o, "saturated", scale_full_time(scale));
	}
	proto_end(o);
}

/* For how long connections wait, and the pool has been too small. */
static void
record_wait(unsigned int depth, struct proto_output *o)
{
	const struct scale *scale = autoscale_state();
	uint64_t now = loop_now(), oldest = autoscale_oldest(now);

	if (depth > 0 && oldest > 0)
		proto_time(o, "oldest", oldest);
	if (scale != NULL && scale->full_since != 0)
		proto_time(o, "saturated_for", now - scale->full_since);
}

/* Is a stop announced, and when is it due? */
static void
record_drain(struct proto_output *o)
{
	uint64_t left = draining_left();

	proto_begin(o, "drain");
	proto_truth(o, "announced", draining_is_on());
	if (left != NEVER)
		proto_time(o, "stops_in", left);
	proto_end(o);
}

/* The load at this moment, as far as it is known. */
static void
record_load(struct status *s, struct proto_output *o)
{
	unsigned int limit;
	struct load l = LOAD_UNSEEN;
	bool known = observe_queue(&l.depth, &limit) == 0;

	if (!known)
		l.depth = LOAD_UNKNOWN;
	if (s->n != -1)
		l.busy = (unsigned int)s->n;
	history_note(loop_now(), &l, pool_count(actor_pool(),
	    SLOT_READY));
	proto_begin(o, "queue");
	if (known) {
		proto_number(o, "now", l.depth);
		if (limit != LOAD_UNKNOWN)
			proto_number(o, "limit", limit);
	}
	if (history_peak_queue() != -1)
		proto_number(o, "peak", (uint64_t)history_peak_queue());
	if (known)
		record_wait(l.depth, o);
	proto_end(o);
	proto_begin(o, "connections");
	if (s->n != -1)
		proto_number(o, "now", (uint64_t)s->n);
	if (history_peak_busy() != -1)
		proto_number(o, "peak", (uint64_t)history_peak_busy());
	if (s->n != -1)
		proto_number(o, "left", s->left);
	proto_end(o);
}

struct status *
status_begin(enum status_depth depth, bool private)
{
	struct status *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	unfinished++;
	s->depth = depth;
	s->private = private;
	s->counted = true;
	s->n = usage_connections(&s->inodes, &s->left);
	return s;
}

void
status_free(struct status *s)
{
	if (s == NULL)
		return;
	unfinished--;
	free(s->inodes);
	free(s);
}

static const char *
state_name(enum slot_state state)
{
	switch (state) {
	case SLOT_READY:
		return "ready";
	case SLOT_RETIRING:
	case SLOT_FREEZING:
	case SLOT_DOOR:
		return "retiring";
	case SLOT_STOPPING:
	case SLOT_KILLED:
		return "stopping";
	case SLOT_BACKOFF:
		return "backoff";
	default:
		return "starting";
	}
}

/* What is remembered of a worker; NULL without memory. */
static struct memory *
recall(const struct pool_worker *w)
{
	unsigned int n = w->slot / 64 * 64 + 64;
	struct memory *m;

	if (w->slot >= remembered) {
		if ((m = reallocarray(memory, n, sizeof(*m))) == NULL)
			return NULL;
		memset(m + remembered, 0, (n - remembered) * sizeof(*m));
		memory = m;
		remembered = n;
	}
	m = &memory[w->slot];
	if (m->pid != w->pid)
		*m = (struct memory){ .pid = w->pid };
	return m;
}

static void
remember(struct memory *m, const struct usage *u, uint64_t now)
{
	if (u->pss > 0) {
		m->pss = u->pss;
		m->pss_at = now;
	}
}

/*
 * Returns NULL if the worker cannot be seen or, *over set, has ended. What one
 * in our memory uses is ours.
 */
static struct memory *
measure_worker(struct status *s, const struct pool_worker *w, uint64_t now,
    struct usage *u, bool *over)
{
	struct memory *m = w->pid > 0 && !spawner_shares(w->slot) ?
	    recall(w) : NULL;
	bool pss = s->depth == STATUS_FULL && m != NULL && (m->pss_at == 0 ||
	    now - m->pss_at > PSS_AGE) && s->asked < PSS_WHOLE;
	bool seen;

	*over = false;
	seen = m != NULL && usage_worker(w->pid, s->inodes, s->n, pss,
	    u) == 0;
	if (pss)
		s->asked += loop_now() - now;
	if (!seen)
		return NULL;
	*over = u->over;
	remember(m, u, now);
	return u->over ? NULL : m;
}

/*
 * How long it has held its oldest connection: since that was first seen at
 * least, and no longer than since a look without it, or its own start.
 */
static void
record_busy(const struct pool_worker *w, const struct usage *u, uint64_t now,
    struct proto_output *o)
{
	uint64_t before = u->before > w->spawned ? u->before : w->spawned;

	proto_number(o, "awaited", u->awaited);
	if (u->first == 0)
		return;
	proto_time(o, "busy", now > u->first ? now - u->first : 0);
	proto_time(o, "busy_most", now > before ? now - before : 0);
}

static void
record_usage(struct status *s, const struct pool_worker *w,
    const struct usage *u, const struct memory *m, uint64_t now,
    struct proto_output *o)
{
	if (u->counted) {
		proto_number(o, "connections", u->connections);
		if (u->connections > 0)
			record_busy(w, u, now, o);
		s->busy += u->connections > 0;
		s->idle += u->connections == 0 && w->state == SLOT_READY;
	} else
		s->counted = false;
	proto_number(o, "processes", u->processes);
	proto_time(o, "cpu", u->cpu);
	proto_number(o, "rss", u->rss);
	if (s->depth == STATUS_FULL && m->pss_at != 0) {
		proto_number(o, "pss", m->pss);
		proto_time(o, "pss_age", now - m->pss_at);
	}
	s->sum.processes += u->processes;
	s->sum.rss += u->rss;
	s->sum.cpu += u->cpu;
}

static void
record_worker(struct status *s, const struct pool_worker *w, uint64_t now,
    struct proto_output *o)
{
	struct usage u;
	bool over;
	const struct memory *m = measure_worker(s, w, now, &u, &over);

	/* Not reaped yet, or kept from us by a tracer; but never idle. */
	if (over)
		suspects_add(w->slot, false);
	proto_begin(o, "worker");
	proto_number(o, "slot", w->slot);
	proto_text(o, "state", over ? "ended" : state_name(w->state));
	if (w->pid > 0) {
		proto_number(o, "pid", (uint64_t)w->pid);
		proto_time(o, "age", now - w->spawned);
		if (w->ready != 0 && !w->orphan)
			proto_time(o, "ready_after", w->ready - w->spawned);
		if (w->orphan)
			proto_truth(o, "orphan", true);
		if (m != NULL)
			record_usage(s, w, &u, m, now, o);
		else if (!over)
			s->counted = false;
	} else if (w->state == SLOT_BACKOFF)
		proto_time(o, "start_in", w->due > now ? w->due - now : 0);
	proto_end(o);
}

/* What is known once all workers were seen. */
static void
record_sum(const struct status *s, struct proto_output *o)
{
	proto_begin(o, "sum");
	if (s->counted) {
		proto_number(o, "busy", s->busy);
		proto_number(o, "idle", s->idle);
	}
	proto_number(o, "processes", s->sum.processes);
	proto_time(o, "cpu", s->sum.cpu);
	proto_number(o, "rss", s->sum.rss);
	proto_end(o);
}

bool
status_step(struct status *s, struct proto_output *o)
{
	const struct pool *pool = actor_pool();
	uint64_t now = loop_now(), until = now + STATUS_STEP / unfinished;
	struct pool_worker w;

	if (s->slot == 0) {
		record_pool(o);
		record_counts(o);
		facts_write(s->private, now, o);
		record_drain(o);
		record_load(s, o);
	}
	if (s->depth == STATUS_BRIEF)
		return false;
	for (; s->slot < pool_slots(pool) && now < until; s->slot++) {
		if (!pool_worker(pool, s->slot, &w))
			continue;
		record_worker(s, &w, now, o);
		now = loop_now();
	}
	if (s->slot < pool_slots(pool))
		return true;
	record_sum(s, o);
	return false;
}

static void
record_known(struct proto_output *o, const char *key, uint16_t value)
{
	if (value != HISTORY_UNKNOWN)
		proto_number(o, key, value);
}

void
status_write_history(uint64_t now, struct proto_output *o)
{
	uint32_t second = (uint32_t)(now / USEC);
	const struct history_point *p;
	unsigned int i;

	for (i = 0; (p = history_at(i)) != NULL; i++) {
		proto_begin(o, "point");
		proto_number(o, "ago", second - p->second);
		proto_number(o, "workers", p->workers);
		record_known(o, "busy", p->busy);
		record_known(o, "busy_peak", p->peak_busy);
		record_known(o, "queue", p->queue);
		record_known(o, "queue_peak", p->peak_queue);
		proto_end(o);
	}
}
