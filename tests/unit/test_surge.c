/* SPDX-License-Identifier: ISC */
/* Reloads that replace several workers at once: how many there ever are. */
#include "bed.h"

#define WORKERS	8
#define SURGE	3

/* A pool of WORKERS that is ready; surge: as in pool_conf. */
static struct bed *
surging(unsigned int surge, uint64_t canary)
{
	struct pool_conf c = bed_conf(WORKERS);
	struct bed *b;
	unsigned int i;

	c.surge = surge;
	c.canary = canary;
	c.max = 2 * WORKERS;
	b = bed_raw(&c);
	bed_act(b);
	for (i = 0; i < WORKERS; i++)
		bed_look(b, i, READY_YES);
	bed_did(b);
	return b;
}

/* The first slot in that state; fails if there is none. */
static unsigned int
find(const struct bed *b, enum slot_state state)
{
	unsigned int slot;

	for (slot = 0; slot < pool_slots(b->p); slot++) {
		if (pool_state(b->p, slot) == state)
			return slot;
	}
	fail_msg("no slot is %s", pool_state_name(state));
	return 0;
}

static unsigned int
starting(const struct bed *b)
{
	return pool_count(b->p, SLOT_STARTING);
}

static unsigned int
going(const struct bed *b)
{
	return bed_going(b) + pool_count(b->p, SLOT_KILLED);
}

static unsigned int
processes(const struct bed *b)
{
	return pool_count(b->p, SLOT_READY) + starting(b) + going(b);
}

/* Ends whoever was told to go. */
static void
let_go(struct bed *b)
{
	while (pool_count(b->p, SLOT_STOPPING) > 0)
		bed_exit(b, find(b, SLOT_STOPPING), 0);
}

/* A reload whose first new worker is ready: the others follow. */
static struct bed *
rolling(void)
{
	struct bed *b = surging(SURGE, 0);

	bed_tell(b, EV_RELOAD);
	bed_look(b, find(b, SLOT_STARTING), READY_YES);
	bed_did(b);
	return b;
}

static void
the_first_new_one_is_alone(void **arg)
{
	struct bed *b = surging(SURGE, POOL_CANARY);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	assert_did(b, "spawn8");
	bed_look(b, 8, READY_YES);
	assert_did(b, "");
	bed_pass(b, POOL_CANARY - MSEC);
	assert_did(b, "");
	bed_pass(b, 2 * MSEC);
	/* One of the old goes for it, and two more start. */
	assert_did(b, "spawn9 spawn10 TERM>0");
	bed_free(b);
}

static void
nobody_waits_for_a_request_without_traffic(void **arg)
{
	struct bed *b = surging(SURGE, POOL_CANARY);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 8, READY_YES);
	bed_did(b);
	bed_event(b, (struct pool_event){ .what = EV_CANARY, .slot = 8 });
	assert_did(b, "");
	bed_event(b, (struct pool_event){ .what = EV_CANARY, .slot = 8,
	    .no_traffic = true });
	assert_has(bed_did(b), "spawn9 spawn10");
	bed_free(b);
}

/* Then it is no matter who else has none. */
static void
one_that_serves_is_waited_for(void **arg)
{
	struct bed *b = surging(SURGE, POOL_CANARY);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 8, READY_YES);
	bed_did(b);
	bed_event(b, (struct pool_event){ .what = EV_CANARY, .slot = 8,
	    .activity.connection = 7, .no_traffic = true });
	assert_did(b, "");
	bed_free(b);
}

static void
for_each_that_is_ready_an_old_one_goes(void **arg)
{
	struct bed *b = rolling();

	(void)arg;
	assert_int_equal(starting(b), SURGE - 1);
	assert_int_equal(going(b), 1);
	bed_exit(b, find(b, SLOT_STOPPING), 0);
	assert_int_equal(starting(b), SURGE);
	bed_look(b, find(b, SLOT_STARTING), READY_YES);
	bed_look(b, find(b, SLOT_STARTING), READY_YES);
	bed_pass(b, 10 * MSEC);
	assert_int_equal(starting(b), 1);
	assert_int_equal(going(b), 2);
	assert_int_equal(pool_count(b->p, SLOT_READY), WORKERS);
	bed_free(b);
}

/* Those that leave hold memory as those that start do. */
static void
never_are_there_more_than_the_workers_and_the_surge(void **arg)
{
	struct bed *b = surging(SURGE, 0);
	unsigned int i, most = 0;

	(void)arg;
	bed_tell(b, EV_RELOAD);
	for (i = 0; pool_reloading(b->p) && i < 100; i++) {
		assert_true(pool_count(b->p, SLOT_READY) >= WORKERS);
		assert_true(processes(b) <= WORKERS + SURGE);
		if (processes(b) > most)
			most = processes(b);
		if (starting(b) > 0 && i % 3 != 0)
			bed_look(b, find(b, SLOT_STARTING), READY_YES);
		else if (pool_count(b->p, SLOT_STOPPING) > 0)
			bed_exit(b, find(b, SLOT_STOPPING), 0);
		bed_pass(b, 2 * MSEC);
	}
	assert_has(bed_did(b), "[reloaded]");
	assert_int_equal(most, WORKERS + SURGE);
	assert_int_equal(processes(b), WORKERS);
	assert_int_equal(b->spawns, 2 * WORKERS);
	bed_free(b);
}

static void
an_old_one_that_takes_long_does_not_hold_the_others_up(void **arg)
{
	struct bed *b = rolling();
	unsigned int i, slow = find(b, SLOT_STOPPING);

	(void)arg;
	for (i = 0; i < 100 && starting(b) + going(b) > 1; i++) {
		unsigned int slot;

		if (starting(b) > 0)
			bed_look(b, find(b, SLOT_STARTING), READY_YES);
		for (slot = 0; slot < pool_slots(b->p); slot++) {
			if (slot != slow &&
			    pool_state(b->p, slot) == SLOT_STOPPING)
				bed_exit(b, slot, 0);
		}
		bed_pass(b, 2 * MSEC);
	}
	assert_int_equal(b->spawns, 2 * WORKERS);
	assert_state(b, slow, SLOT_STOPPING);
	assert_has_not(bed_did(b), "[reloaded]");
	bed_exit(b, slow, 0);
	assert_did(b, "[reloaded]");
	bed_free(b);
}

static void
no_more_start_than_there_are_old_ones(void **arg)
{
	struct bed *b = surging(4 * WORKERS, 0);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_look(b, find(b, SLOT_STARTING), READY_YES);
	assert_int_equal(starting(b), WORKERS - 1);
	assert_int_equal(going(b), 1);
	bed_free(b);
}

/* Where there are no descriptors for more. */
static void
there_are_never_more_than_may_be_in_all(void **arg)
{
	struct pool_conf c = bed_conf(WORKERS);
	struct bed *b;
	unsigned int i;

	(void)arg;
	c.surge = SURGE;
	c.processes = WORKERS + 1;
	b = bed_raw(&c);
	bed_act(b);
	for (i = 0; i < WORKERS; i++)
		bed_look(b, i, READY_YES);
	bed_tell(b, EV_RELOAD);
	for (i = 0; pool_reloading(b->p) && i < 100; i++) {
		assert_true(processes(b) <= WORKERS + 1);
		if (starting(b) > 0)
			bed_look(b, find(b, SLOT_STARTING), READY_YES);
		let_go(b);
		bed_pass(b, 2 * MSEC);
	}
	assert_has(bed_did(b), "[reloaded]");
	bed_free(b);
}

static void
without_a_number_it_is_a_quarter(void **arg)
{
	struct bed *b = surging(0, 0);

	(void)arg;
	assert_int_equal(pool_surge(0, 64), 16);
	assert_int_equal(pool_surge(0, 3), 1);
	assert_int_equal(pool_surge(5, 3), 5);
	bed_tell(b, EV_RELOAD);
	bed_look(b, find(b, SLOT_STARTING), READY_YES);
	assert_int_equal(starting(b) + going(b), WORKERS / 4);
	bed_free(b);
}

/* The others of the share are ended: the program may be no good. */
static void
one_that_fails_midway_ends_all_that_start(void **arg)
{
	struct bed *b = rolling();
	unsigned int bad;

	(void)arg;
	bed_exit(b, find(b, SLOT_STOPPING), 0);
	assert_int_equal(starting(b), SURGE);
	bed_did(b);
	bad = find(b, SLOT_STARTING);
	bed_exit(b, bad, 1);
	assert_has(bed_did(b), "[reload-failed");
	assert_state(b, bad, SLOT_EMPTY);
	assert_int_equal(starting(b), 0);
	assert_int_equal(going(b), SURGE - 1);
	assert_int_equal(pool_count(b->p, SLOT_READY), WORKERS);
	bed_pass(b, 100 * MSEC);
	let_go(b);
	bed_did(b);
	bed_pass(b, 100 * USEC);
	assert_did(b, "");
	assert_int_equal(pool_count(b->p, SLOT_READY), WORKERS);
	bed_free(b);
}

/* None of the others is there yet, and none that serves is ended for it. */
static void
a_fork_that_fails_midway_ends_no_old_one(void **arg)
{
	struct bed *b = surging(SURGE, 0);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	b->no_fork = true;
	bed_look(b, find(b, SLOT_STARTING), READY_YES);
	assert_has(bed_did(b), "[reload-failed");
	bed_exit(b, find(b, SLOT_STOPPING), 0);
	bed_pass(b, USEC);
	assert_int_equal(pool_count(b->p, SLOT_READY), WORKERS);
	assert_int_equal(processes(b), WORKERS);
	bed_free(b);
}

static void
a_second_one_ends_those_that_start(void **arg)
{
	struct bed *b = rolling();
	unsigned int i, spawns;

	(void)arg;
	bed_exit(b, find(b, SLOT_STOPPING), 0);
	assert_int_equal(starting(b), SURGE);
	bed_tell(b, EV_RELOAD);
	assert_int_equal(starting(b), 0);
	assert_int_equal(going(b), SURGE);
	assert_int_equal(pool_count(b->p, SLOT_READY), WORKERS);
	spawns = b->spawns;
	for (i = 0; pool_reloading(b->p) && i < 200; i++) {
		assert_true(processes(b) <= WORKERS + SURGE);
		bed_pass(b, 2 * MSEC);
		if (pool_count(b->p, SLOT_STOPPING) > 0)
			bed_exit(b, find(b, SLOT_STOPPING), 0);
		else if (starting(b) > 0)
			bed_look(b, find(b, SLOT_STARTING), READY_YES);
	}
	assert_false(pool_reloading(b->p));
	assert_int_equal(b->spawns, spawns + WORKERS);
	bed_free(b);
}

static void
new_ones_stay_when_more_are_wanted(void **arg)
{
	struct bed *b = rolling();

	(void)arg;
	bed_exit(b, find(b, SLOT_STOPPING), 0);
	bed_event(b, (struct pool_event){ .what = EV_TARGET,
	    .workers = WORKERS + SURGE });
	bed_did(b);
	while (pool_count(b->p, SLOT_READY) < WORKERS + SURGE)
		bed_look(b, find(b, SLOT_STARTING), READY_YES);
	assert_has_not(bed_did(b), "TERM");
	assert_int_equal(going(b), 0);
	bed_free(b);
}

static void
old_ones_go_when_fewer_are_wanted(void **arg)
{
	struct bed *b = rolling();
	unsigned int i;

	(void)arg;
	bed_exit(b, find(b, SLOT_STOPPING), 0);
	bed_event(b, (struct pool_event){ .what = EV_TARGET, .workers = 2 });
	for (i = 0; i < 100 && (starting(b) > 0 || going(b) > 0); i++) {
		assert_true(pool_count(b->p, SLOT_READY) >= 2);
		bed_pass(b, 100 * MSEC);
		let_go(b);
		if (starting(b) > 0)
			bed_look(b, find(b, SLOT_STARTING), READY_YES);
	}
	assert_has(bed_did(b), "[reloaded]");
	assert_int_equal(pool_count(b->p, SLOT_READY), 2);
	assert_int_equal(processes(b), 2);
	bed_free(b);
}

static void
a_stop_ends_all_of_them(void **arg)
{
	struct bed *b = rolling();
	unsigned int i;

	(void)arg;
	bed_tell(b, EV_STOP);
	for (i = 0; i < 100 && pool_phase(b->p) != PHASE_DONE; i++) {
		bed_pass(b, 100 * MSEC);
		let_go(b);
	}
	assert_int_equal(pool_phase(b->p), PHASE_DONE);
	assert_int_equal(b->spawns, WORKERS + 1 + SURGE - 1);
	bed_free(b);
}

/* Of each that crashes one that starts takes the place. */
static void
old_ones_that_crash_are_replaced_by_those_that_start(void **arg)
{
	struct bed *b = rolling();
	unsigned int spawns;

	(void)arg;
	bed_exit(b, find(b, SLOT_STOPPING), 0);
	spawns = b->spawns;
	bed_crash(b, 1);
	bed_crash(b, 2);
	/* And for two of the others two more start. */
	assert_int_equal(starting(b), SURGE + 2);
	assert_int_equal(b->spawns, spawns + 2);
	bed_look(b, find(b, SLOT_STARTING), READY_YES);
	assert_int_equal(processes(b), WORKERS + SURGE);
	bed_free(b);
}

static void
by_age_one_is_replaced_after_another(void **arg)
{
	struct pool_conf c = bed_conf(WORKERS);
	struct bed *b;
	unsigned int i;

	(void)arg;
	c.surge = SURGE;
	c.max_age = USEC;
	b = bed_raw(&c);
	bed_act(b);
	for (i = 0; i < WORKERS; i++)
		bed_look(b, i, READY_YES);
	bed_pass(b, 2 * USEC);
	assert_int_equal(b->spawns, WORKERS + 1);
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_new_one_is_alone),
		cmocka_unit_test(nobody_waits_for_a_request_without_traffic),
		cmocka_unit_test(one_that_serves_is_waited_for),
		cmocka_unit_test(for_each_that_is_ready_an_old_one_goes),
		cmocka_unit_test(
		    never_are_there_more_than_the_workers_and_the_surge),
		cmocka_unit_test(
		    an_old_one_that_takes_long_does_not_hold_the_others_up),
		cmocka_unit_test(no_more_start_than_there_are_old_ones),
		cmocka_unit_test(there_are_never_more_than_may_be_in_all),
		cmocka_unit_test(without_a_number_it_is_a_quarter),
		cmocka_unit_test(one_that_fails_midway_ends_all_that_start),
		cmocka_unit_test(a_fork_that_fails_midway_ends_no_old_one),
		cmocka_unit_test(a_second_one_ends_those_that_start),
		cmocka_unit_test(new_ones_stay_when_more_are_wanted),
		cmocka_unit_test(old_ones_go_when_fewer_are_wanted),
		cmocka_unit_test(a_stop_ends_all_of_them),
		cmocka_unit_test(
		    old_ones_that_crash_are_replaced_by_those_that_start),
		cmocka_unit_test(by_age_one_is_replaced_after_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
