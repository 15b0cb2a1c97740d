/* SPDX-License-Identifier: ISC */
/*
 * Pools under random events, from fixed seeds: what must hold at every
 * moment, and that every pool can be ended. A failure names its seed.
 */
#include "bed.h"

#define SEEDS		300
#define EVENTS		400

struct world {
	struct bed	*b;
	uint64_t	 random;
	bool		 up, slow[BED_SLOTS];
	unsigned int	 nslots;
};

static unsigned int
roll(struct world *w, unsigned int n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (unsigned int)(w->random >> 33) % n;
}

static bool
has_process(const struct world *w, unsigned int slot)
{
	switch (pool_state(w->b->p, slot)) {
	case SLOT_STARTING:
	case SLOT_READY:
	case SLOT_RETIRING:
	case SLOT_FREEZING:
	case SLOT_STOPPING:
	case SLOT_KILLED:
		return true;
	default:
		return false;
	}
}

/* A worker that is ended for being slow is still to be replaced. */
static unsigned int
wanted(struct world *w)
{
	unsigned int i, n = bed_staying(w->b);

	for (i = 0; i < w->nslots; i++) {
		enum slot_state s = pool_state(w->b->p, i);

		if (s == SLOT_STOPPING || s == SLOT_KILLED)
			n += w->slow[i];
		else
			w->slow[i] = false;
	}
	return n;
}

static void
note(struct world *w, const char *did, uint64_t seed)
{
	const char *s;

	for (s = did; (s = strstr(s, "[slow ")) != NULL; s++)
		w->slow[atoi(s + strlen("[slow "))] = true;
	if (strstr(did, "[ready") != NULL) {
		if (w->up)
			fail_msg("seed %u: ready twice", (unsigned int)seed);
		w->up = true;
	}
	if (w->up && strstr(did, "[failed") != NULL)
		fail_msg("seed %u: gave up", (unsigned int)seed);
}

static void
check_always(struct world *w, bool stopped, uint64_t seed)
{
	struct pool *p = w->b->p;
	unsigned int i, sum = 0;

	for (i = 0; i < SLOT_NSTATES; i++)
		sum += pool_count(p, (enum slot_state)i);
	if (sum != w->nslots)
		fail_msg("seed %u: slots are lost", (unsigned int)seed);
	if (pool_count(p, SLOT_SPAWNING) > 0)
		fail_msg("seed %u: a spawn is lost", (unsigned int)seed);
	if (pool_deadline(p) == NEVER && (pool_count(p, SLOT_STARTING) > 0 ||
	    bed_going(w->b) > 0 ||
	    pool_count(p, SLOT_BACKOFF) > 0))
		fail_msg("seed %u: a deadline is lost", (unsigned int)seed);
	if (pool_count(p, SLOT_FREEZING) > 1)
		fail_msg("seed %u: two are stopped", (unsigned int)seed);
	if (w->b->nstopped > pool_count(p, SLOT_FREEZING))
		fail_msg("seed %u: one is left stopped", (unsigned int)seed);
	if (!stopped && w->up && wanted(w) < w->b->conf.workers)
		fail_msg("seed %u: %u of %u workers", (unsigned int)seed,
		    wanted(w), w->b->conf.workers);
}

static void
random_exit(struct world *w, unsigned int slot)
{
	struct pool_event ev = { .what = EV_EXIT, .slot = slot };

	if (!has_process(w, slot))
		return;
	switch (roll(w, 4)) {
	case 0:
		ev.status = SIGSEGV;
		break;
	case 1:
		ev.status = BED_STATUS(1);
		ev.exec_failed = w->up && roll(w, 4) == 0 &&
		    pool_state(w->b->p, slot) == SLOT_STARTING;
		break;
	default:
		ev.moved = (enum moved)roll(w, 3);
		break;
	}
	bed_event(w->b, ev);
}

/* A worker begins to do something else. */
static void
random_change(struct world *w, unsigned int slot)
{
	struct bed_worker *x = &w->b->w[slot];

	x->exam.holds = roll(w, HOLDS_UNKNOWN + 1);
	x->exam.catches = roll(w, 2);
	x->exam.leads = roll(w, 8) == 0;
	x->exam.connection = roll(w, 4);
	x->changes = roll(w, 2);
	x->surprise = roll(w, 3) == 0;
	x->deaf = roll(w, 2);
	if (!x->stopped)
		x->slow_stop = roll(w, 3) == 0;
}

/* A slot in use, if there is one. */
static unsigned int
random_slot(struct world *w)
{
	unsigned int i, slot = roll(w, w->nslots);

	for (i = 0; i < w->nslots && !has_process(w, slot); i++)
		slot = (slot + 1) % w->nslots;
	return slot;
}

static void
random_event(struct world *w)
{
	struct bed *b = w->b;
	unsigned int slot = random_slot(w);

	b->no_fork = roll(w, 20) == 0;
	b->sees = (enum look)roll(w, 3);
	switch (roll(w, 14)) {
	case 0:
	case 1:
	case 2:
		random_exit(w, slot);
		break;
	case 3:
		bed_tell(b, EV_RELOAD);
		break;
	case 4:
		/* The loop comes late: all that is due falls due at once. */
		b->now += roll(w, 40) * USEC;
		pool_tick(b->p, b->now);
		bed_act(b);
		break;
	case 5:
		bed_pass(b, roll(w, 100) * MSEC);
		break;
	case 6:
		bed_event(b, (struct pool_event){ .what = EV_ORPHAN,
		    .pid = 4711 });
		break;
	case 7:
		/* Told late, or of somebody who was not asked to stop. */
		bed_event(b, (struct pool_event){ .what = EV_HALTED,
		    .slot = slot });
		break;
	case 8:
	case 9:
		random_change(w, slot);
		break;
	default:
		if (pool_state(b->p, slot) == SLOT_STARTING)
			bed_look(b, slot, LOOK_READY);
		break;
	}
}

/* Once nothing goes wrong any more, the pool has its size again. */
static void
check_health(struct world *w, uint64_t seed)
{
	struct bed *b = w->b;
	unsigned int i, slot;

	b->no_fork = false;
	b->sees = LOOK_READY;
	for (slot = 0; slot < w->nslots; slot++)
		w->b->w[slot].slow_stop = w->b->w[slot].surprise = false;
	for (i = 0; i < 4 * (b->conf.workers + 1); i++) {
		bed_pass(b, POOL_FAIL_LAST);
		for (slot = 0; slot < w->nslots; slot++) {
			enum slot_state s = pool_state(b->p, slot);

			if (s >= SLOT_RETIRING && s <= SLOT_KILLED)
				bed_exit(b, slot, 0);
		}
	}
	if (pool_count(b->p, SLOT_READY) != b->conf.workers ||
	    pool_deadline(b->p) != NEVER)
		fail_msg("seed %u: %u of %u are ready", (unsigned int)seed,
		    pool_count(b->p, SLOT_READY), b->conf.workers);
	bed_did(b);
}

/* Nobody heeds a signal, but KILL ends every process. */
static void
check_end(struct world *w, uint64_t seed)
{
	struct bed *b = w->b;
	char all[sizeof(b->line)] = "";
	unsigned int i, slot;

	b->no_fork = false;
	bed_tell(b, roll(w, 2) ? EV_STOP : EV_STOP_FAST);
	strlcat(all, bed_did(b), sizeof(all));
	for (i = 0; i < 2; i++) {
		for (slot = 0; slot < w->nslots; slot++) {
			if (pool_state(b->p, slot) == SLOT_KILLED)
				bed_exit(b, slot, 0);
		}
		strlcat(all, bed_did(b), sizeof(all));
		if (i == 0)
			bed_pass(b, b->conf.stop_timeout + POOL_FREEZE);
	}
	if (pool_count(b->p, SLOT_EMPTY) != w->nslots ||
	    strstr(all, "[done]") == NULL)
		fail_msg("seed %u: is not done after: %s",
		    (unsigned int)seed, all);
}

static void
holds_its_promises_under_random_events(void **arg)
{
	uint64_t seed;
	unsigned int i;

	(void)arg;
	for (seed = 1; seed <= SEEDS; seed++) {
		struct world w = { .random = seed * 0x9e3779b97f4a7c15 };
		struct pool_conf c = bed_conf(1 + roll(&w, 6));

		c.start_timeout = (1 + roll(&w, 60)) * USEC;
		w.b = bed_raw(&c);
		w.nslots = pool_slots(w.b->p);
		bed_act(w.b);
		for (i = 0; i < EVENTS; i++) {
			const char *did;

			random_event(&w);
			did = bed_did(w.b);
			note(&w, did, seed);
			if (strstr(did, "[failed") != NULL)
				break;
			check_always(&w, false, seed);
		}
		if (i == EVENTS && seed % 2 == 0)
			check_health(&w, seed);
		if (i == EVENTS)
			check_end(&w, seed);
		bed_free(w.b);
	}
}

/* The same, but everything before the pool is up: it may fail, then ends. */
static void
a_failed_start_always_ends(void **arg)
{
	uint64_t seed;
	unsigned int i, slot, failed = 0;

	(void)arg;
	for (seed = 1; seed <= SEEDS; seed++) {
		struct world w = { .random = seed * 0x9e3779b97f4a7c15 };
		struct pool_conf c = bed_conf(1 + roll(&w, 6));
		const char *did = "";

		c.start_timeout = USEC;
		c.stop_timeout = USEC;
		w.b = bed_raw(&c);
		w.nslots = pool_slots(w.b->p);
		bed_act(w.b);
		for (i = 0; i < 50 && strstr(did, "[failed") == NULL; i++) {
			slot = roll(&w, w.nslots);
			if (pool_state(w.b->p, slot) == SLOT_STARTING)
				bed_exit(w.b, slot, (int)roll(&w, 2));
			w.b->now += roll(&w, 200) * MSEC;
			pool_tick(w.b->p, w.b->now);
			bed_act(w.b);
			did = bed_did(w.b);
		}
		failed += strstr(did, "[failed") != NULL;
		bed_pass(w.b, 2 * USEC);
		for (slot = 0; slot < w.nslots; slot++) {
			if (has_process(&w, slot))
				bed_exit(w.b, slot, 0);
		}
		if (pool_count(w.b->p, SLOT_EMPTY) != w.nslots)
			fail_msg("seed %u: goes on", (unsigned int)seed);
		bed_free(w.b);
	}
	assert_int_equal(failed, SEEDS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_its_promises_under_random_events),
		cmocka_unit_test(a_failed_start_always_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
