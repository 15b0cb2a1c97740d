/* SPDX-License-Identifier: ISC */
/*
 * How a ready worker is replaced: by a reload, for its age or size, or for a
 * request that takes too long. tests/unit/test_reload.c has the reload's own.
 */
#include "bed.h"

/* A pool that is ready, with what a test asks for. */
static struct bed *
ready_with(const struct pool_conf *c)
{
	struct bed *b = bed_raw(c);
	unsigned int i;

	bed_act(b);
	for (i = 0; i < c->workers; i++)
		bed_look(b, i, READY_YES);
	bed_did(b);
	b->sees = READY_YES;
	return b;
}

/* A pool whose workers may have 1000 bytes. */
static struct bed *
limited(unsigned int workers)
{
	struct pool_conf c = bed_conf(workers);

	c.max_rss = 1000;
	return ready_with(&c);
}

static void
canary(struct bed *b, unsigned int slot, uint64_t connection)
{
	bed_event(b, (struct pool_event){ .what = EV_CANARY, .slot = slot,
	    .activity.connection = connection });
}

static void
measured(struct bed *b, unsigned int slot, uint64_t size)
{
	bed_event(b, (struct pool_event){ .what = EV_MEASURED, .slot = slot,
	    .size = size });
}

static void
slow_request(struct bed *b, unsigned int slot, pid_t pid)
{
	bed_event(b, (struct pool_event){ .what = EV_SLOW_REQUEST, .slot = slot,
	    .request = { .slow = pid != 0, .pid = pid, .age = 4 * USEC } });
}

/* Ends whoever is on its way. */
static void
let_go(struct bed *b)
{
	unsigned int slot;

	for (slot = 0; slot < pool_slots(b->p); slot++) {
		if (pool_state(b->p, slot) >= SLOT_RETIRING &&
		    pool_state(b->p, slot) <= SLOT_KILLED)
			bed_exit(b, slot, 0);
	}
}

static void
the_first_new_one_must_serve_or_be_given_the_time(void **arg)
{
	struct pool_conf c = bed_conf(2);
	struct bed *b;

	(void)arg;
	c.canary = POOL_CANARY;
	b = ready_with(&c);
	bed_tell(b, EV_RELOAD);
	bed_look(b, 2, READY_YES);
	bed_pass(b, POOL_CANARY - MSEC);
	assert_did(b, "spawn2");
	/* Of the two seconds' looks: 1, 2, 4 ... 20 ms. */
	assert_between(b->canary_checks, 90, 110);
	bed_pass(b, MSEC);
	assert_did(b, "TERM>0");
	bed_free(b);
}

static void
a_request_that_was_served_ends_the_canary(void **arg)
{
	struct pool_conf c = bed_conf(2);
	struct bed *b;

	(void)arg;
	c.canary = POOL_CANARY;
	b = ready_with(&c);
	bed_tell(b, EV_RELOAD);
	bed_look(b, 2, READY_YES);
	assert_did(b, "spawn2");
	canary(b, 2, 0);
	canary(b, 2, 77);
	canary(b, 2, 77);
	assert_did(b, "");
	canary(b, 2, 0);
	assert_did(b, "TERM>0");
	let_go(b);
	/* The second new one is no canary. */
	assert_did(b, "spawn0");
	bed_look(b, 0, READY_YES);
	assert_did(b, "TERM>1");
	bed_free(b);
}

static void
a_canary_that_crashes_ends_the_reload(void **arg)
{
	struct pool_conf c = bed_conf(2);
	struct bed *b;

	(void)arg;
	c.canary = POOL_CANARY;
	b = ready_with(&c);
	bed_tell(b, EV_RELOAD);
	bed_look(b, 2, READY_YES);
	bed_did(b);
	bed_crash(b, 2);
	assert_did(b, "[reload-failed 2] [exit 2]");
	assert_int_equal(pool_count(b->p, SLOT_READY), 2);
	assert_int_equal(pool_counts(b->p)->reloads_failed, 1);
	bed_pass(b, 100 * USEC);
	assert_did(b, "");
	bed_free(b);
}

/* The first one stays for an old one that died, and is no witness any more. */
static void
a_second_new_one_must_serve_if_the_first_did_not(void **arg)
{
	struct pool_conf c = bed_conf(2);
	struct bed *b;

	(void)arg;
	c.canary = POOL_CANARY;
	b = ready_with(&c);
	bed_tell(b, EV_RELOAD);
	bed_look(b, 2, READY_YES);
	assert_did(b, "spawn2");
	b->sees = READY_NO;
	bed_crash(b, 0);
	assert_did(b, "[exit 0] spawn0");
	bed_pass(b, POOL_CANARY);
	b->canary_checks = 0;
	bed_look(b, 0, READY_YES);
	assert_did(b, "");
	bed_pass(b, POOL_CANARY / 2);
	assert_between(b->canary_checks, 40, 60);
	assert_did(b, "");
	canary(b, 0, 77);
	canary(b, 0, 0);
	assert_did(b, "TERM>1");
	bed_free(b);
}

static void
ages_are_spread(void **arg)
{
	struct pool_conf c = bed_conf(8);
	uint64_t first = NEVER, last = 0, aged = 0, begun;
	struct bed *b;

	(void)arg;
	c.max_age = 800 * USEC;
	b = ready_with(&c);
	begun = b->now;
	while (b->now < begun + 799 * USEC) {
		bed_pass(b, 100 * MSEC);
		let_go(b);
		assert_true(pool_count(b->p, SLOT_READY) >= 8);
		if (pool_counts(b->p)->aged == aged)
			continue;
		aged = pool_counts(b->p)->aged;
		first = first == NEVER ? b->now - begun : first;
		last = b->now - begun;
	}
	assert_between(aged, 7, 8);
	assert_true(first >= 700 * USEC);
	assert_true(last - first > 30 * USEC);
	bed_free(b);
}

static void
the_new_one_is_ready_before_one_that_is_too_old_goes(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.max_age = 10 * USEC;
	b = ready_with(&c);
	b->sees = READY_NO;
	bed_pass(b, 10 * USEC);
	assert_did(b, "spawn1");
	bed_pass(b, USEC);
	assert_did(b, "");
	bed_look(b, 1, READY_YES);
	assert_did(b, "TERM>0");
	bed_free(b);
}

/* The size that the program needs holds nothing up but sizes. */
static void
one_that_is_too_old_waits_for_no_pause_of_the_size(void **arg)
{
	struct pool_conf c = bed_conf(2);
	unsigned int i, slot, spawns;
	struct bed *b;
	pid_t old;

	(void)arg;
	c.max_rss = 1000;
	c.max_age = 100 * USEC;
	b = ready_with(&c);
	old = b->w[1].pid;
	/* Pauses of 1, 2, 4, 8, 16 and 32 s: a minute's begins at 63. */
	for (i = 0; i < 80; i++) {
		for (slot = 0; slot < pool_slots(b->p); slot++) {
			if (pool_state(b->p, slot) == SLOT_READY &&
			    b->w[slot].pid != old)
				measured(b, slot, 2000);
		}
		bed_pass(b, USEC);
		let_go(b);
	}
	assert_int_equal(pool_counts(b->p)->aged, 0);
	spawns = b->spawns;
	for (i = 0; i < 20 && pool_counts(b->p)->aged == 0; i++) {
		assert_int_equal(b->spawns, spawns);
		bed_pass(b, USEC);
	}
	assert_int_equal(pool_counts(b->p)->aged, 1);
	assert_int_equal(b->spawns, spawns + 1);
	let_go(b);
	for (slot = 0; slot < pool_slots(b->p); slot++)
		assert_int_not_equal(pool_state(b->p, slot) == SLOT_READY ?
		    b->w[slot].pid : 0, old);
	bed_free(b);
}

/* Nor is one that has become too old since. */
static void
one_that_is_too_large_and_then_too_old_waits_no_longer(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;
	unsigned int i, slot, spawns;

	(void)arg;
	c.max_rss = 1000;
	c.max_age = 40 * USEC;
	b = ready_with(&c);
	for (i = 0; i < 70; i++) {
		for (slot = 0; slot < pool_slots(b->p); slot++) {
			if (pool_state(b->p, slot) == SLOT_READY)
				measured(b, slot, 2000);
		}
		bed_pass(b, USEC);
		let_go(b);
	}
	/* That is for a minute, as far as its size goes. */
	spawns = b->spawns;
	bed_pass(b, 41 * USEC);
	assert_int_equal(b->spawns, spawns + 1);
	bed_free(b);
}

static void
sizes_are_measured_once_a_second(void **arg)
{
	struct pool_conf c = bed_conf(4);
	struct bed *b;

	(void)arg;
	c.max_rss = 1000;
	b = ready_with(&c);
	bed_pass(b, 20 * USEC);
	assert_between(b->measures, 72, 80);
	measured(b, 1, 1000);
	measured(b, 1, 0);
	assert_did(b, "");
	measured(b, 1, 1001);
	assert_did(b, "[grown 1] spawn4");
	bed_pass(b, 100 * MSEC);
	assert_did(b, "TERM>1");
	assert_int_equal(pool_counts(b->p)->grown, 1);
	bed_free(b);
}

/* How many replacements in a minute, if each is too large when measured. */
static unsigned int
replaced_in_a_minute(struct bed *b)
{
	unsigned int i, slot, spawns = b->spawns;

	for (i = 0; i < 60; i++) {
		for (slot = 0; slot < pool_slots(b->p); slot++) {
			if (pool_state(b->p, slot) == SLOT_READY)
				measured(b, slot, 2000);
		}
		bed_pass(b, USEC);
		let_go(b);
	}
	return b->spawns - spawns;
}

static void
a_limit_below_the_need_is_said_once_and_makes_no_storm(void **arg)
{
	struct bed *b = limited(4);
	const char *did;

	(void)arg;
	/* After pauses of 1, 2, 4, 8, 16, 32 seconds: up to four in each. */
	assert_between(replaced_in_a_minute(b), 4, 20);
	did = strstr(bed_did(b), "[too small]");
	assert_non_null(did);
	assert_null(strstr(did + 1, "[too small]"));
	replaced_in_a_minute(b);
	bed_did(b);
	assert_between(replaced_in_a_minute(b), 1, 4);
	assert_has_not(bed_did(b), "[too small]");
	assert_int_equal(pool_count(b->p, SLOT_READY), 4);
	bed_free(b);
}

/* Each has served for eleven seconds when it is too large: so it has grown. */
static void
one_that_leaks_is_replaced_at_once_always(void **arg)
{
	struct bed *b = limited(1);
	unsigned int i, slot;

	(void)arg;
	for (i = 0; i < 20; i++) {
		bed_pass(b, POOL_OVERSIZE_YOUNG + USEC);
		for (slot = 0; pool_state(b->p, slot) != SLOT_READY; )
			slot++;
		bed_did(b);
		measured(b, slot, 2000);
		assert_has(bed_did(b), "spawn");
		bed_pass(b, 100 * MSEC);
		let_go(b);
	}
	bed_free(b);
}

/* It may need less. */
static void
a_reload_forgets_what_the_old_program_needed(void **arg)
{
	struct bed *b = limited(1);
	unsigned int slot;

	(void)arg;
	replaced_in_a_minute(b);
	bed_tell(b, EV_RELOAD);
	bed_pass(b, 100 * MSEC);
	let_go(b);
	bed_pass(b, 60 * USEC);
	assert_has(bed_did(b), "[reloaded]");
	for (slot = 0; pool_state(b->p, slot) != SLOT_READY; )
		slot++;
	measured(b, slot, 2000);
	bed_pass(b, POOL_OVERSIZE_FIRST);
	assert_has(bed_did(b), "spawn");
	bed_free(b);
}

static void
who_serves_an_old_request_is_killed_at_once(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.request_timeout = 3 * USEC;
	b = ready_with(&c);
	bed_pass(b, 3 * USEC);
	assert_between(b->request_checks, 7, 9);
	slow_request(b, 0, 0);
	assert_did(b, "");
	slow_request(b, 0, b->w[0].pid);
	assert_did(b, "[late 0] KILL:101");
	assert_int_equal(b->notice.age, 4 * USEC);
	/* Should it still be there it is said once. */
	b->request_checks = 0;
	bed_pass(b, 3 * USEC / 8);
	assert_int_equal(b->request_checks, 1);
	slow_request(b, 0, b->w[0].pid);
	assert_did(b, "KILL:101");
	bed_event(b, (struct pool_event){ .what = EV_EXIT,
	    .status = SIGKILL });
	/* That is no crash, and is replaced at once. */
	assert_did(b, "spawn0");
	assert_int_equal(pool_counts(b->p)->timed_out, 1);
	assert_int_equal(pool_counts(b->p)->crashed, 0);
	bed_free(b);
}

/* Of a tree only that process is ended which serves the request. */
static void
of_a_tree_the_one_that_serves_is_ended(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.request_timeout = 3 * USEC;
	b = ready_with(&c);
	slow_request(b, 0, 4711);
	assert_did(b, "[late 0] KILL:4711");
	assert_int_equal(b->notice.holder, 4711);
	assert_int_equal(b->notice.pid, b->w[0].pid);
	/* Another one, and one that had ended its request meanwhile. */
	slow_request(b, 0, 4712);
	assert_did(b, "[late 0] KILL:4712");
	slow_request(b, 0, 0);
	slow_request(b, 0, 4712);
	assert_did(b, "[late 0] KILL:4712");
	bed_free(b);
}

static void
one_that_is_to_go_is_ended_for_an_old_request_too(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.request_timeout = 3 * USEC;
	b = ready_with(&c);
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_tell(b, EV_STOP);
	b->request_checks = 0;
	bed_pass(b, 4 * USEC);
	assert_between(b->request_checks, 8, 11);
	slow_request(b, 0, b->w[0].pid);
	assert_did(b, "[late 0] KILL:101");
	bed_event(b, (struct pool_event){ .what = EV_EXIT,
	    .status = SIGKILL });
	assert_did(b, "[done]");
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_first_new_one_must_serve_or_be_given_the_time),
		cmocka_unit_test(a_request_that_was_served_ends_the_canary),
		cmocka_unit_test(
		    a_canary_that_crashes_ends_the_reload),
		cmocka_unit_test(
		    a_second_new_one_must_serve_if_the_first_did_not),
		cmocka_unit_test(ages_are_spread),
		cmocka_unit_test(
		    the_new_one_is_ready_before_one_that_is_too_old_goes),
		cmocka_unit_test(
		    one_that_is_too_old_waits_for_no_pause_of_the_size),
		cmocka_unit_test(
		    one_that_is_too_large_and_then_too_old_waits_no_longer),
		cmocka_unit_test(sizes_are_measured_once_a_second),
		cmocka_unit_test(
		    a_limit_below_the_need_is_said_once_and_makes_no_storm),
		cmocka_unit_test(one_that_leaks_is_replaced_at_once_always),
		cmocka_unit_test(a_reload_forgets_what_the_old_program_needed),
		cmocka_unit_test(
		    who_serves_an_old_request_is_killed_at_once),
		cmocka_unit_test(of_a_tree_the_one_that_serves_is_ended),
		cmocka_unit_test(
		    one_that_is_to_go_is_ended_for_an_old_request_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
