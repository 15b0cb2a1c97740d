/* SPDX-License-Identifier: ISC */
/* The size of an adaptive pool and its looks, one rule at a time. */
#include "unit.h"

#include "base/units.h"
#include "pool/scale.h"

#define START		(100 * USEC)

static struct scale s;
static struct sampler sampler;
static uint64_t now;

/* What follows from a look. */
struct outcome {
	unsigned int	 target;
	int		 notice;
	uint64_t	 look;
	bool		 watch;
};

/* A pool of min to max workers that has been looked at once. */
static void
begin(unsigned int min, unsigned int max)
{
	struct scale_conf c = { .min = min, .max = max, .idle = 10 * USEC,
	    .serves = 1 };

	now = START;
	scale_init(&s, &c);
	sampler = (struct sampler){ 0 };
}

/* A look, `later` microseconds after the last one. */
static struct outcome
look(uint64_t later, struct scale_view v)
{
	struct scale_decision d;
	struct sampler_next n;

	now += later;
	v.now = now;
	if (v.cost == 0)
		v.cost = 100;
	d = scale_decide(&s, &v);
	n = sampler_next(&sampler, &v, &d);
	return (struct outcome){ d.target, d.notice, n.look, n.watch };
}

#define LOOK(later, ...) look((later), (struct scale_view){ __VA_ARGS__ })

static void
rest_is_watched_without_a_timer(void **state)
{
	struct outcome n;

	(void)state;
	begin(2, 8);
	n = LOOK(0, .ready = 2);
	assert_int_equal(n.target, 2);
	assert_true(n.watch);
	assert_true(n.look == NEVER);
}

static void
those_that_wait_get_workers(void **state)
{
	struct outcome n;

	(void)state;
	begin(4, 32);
	LOOK(0, .ready = 4);
	n = LOOK(USEC, .fired = true, .ready = 4, .queue = 3, .busy = 4);
	assert_int_equal(n.target, 4);
	assert_true(n.look == now + SCALE_WAIT);
	n = LOOK(SCALE_WAIT, .ready = 4, .queue = 3, .waited = 3, .busy = 4);
	assert_int_equal(n.target, 7);
	assert_true(n.look == now + SCALE_STEP);
	/* They are on their way: no more for the same. */
	n = LOOK(SCALE_STEP, .ready = 4, .starting = 3, .queue = 3,
	    .waited = 3, .busy = 4);
	assert_int_equal(n.target, 7);
}

static void
a_step_doubles_at_most(void **state)
{
	struct outcome n;

	(void)state;
	begin(2, 32);
	LOOK(0, .fired = true, .ready = 2, .queue = 60, .busy = 2);
	n = LOOK(SCALE_WAIT, .ready = 2, .queue = 60, .waited = 60, .busy = 2);
	assert_int_equal(n.target, 4);
	n = LOOK(SCALE_STEP, .ready = 4, .queue = 58, .waited = 58, .busy = 4);
	assert_int_equal(n.target, 8);
}

static void
what_has_just_come_is_no_reason(void **state)
{
	struct outcome n;

	(void)state;
	begin(2, 32);
	LOOK(0, .fired = true, .ready = 2, .queue = 5, .busy = 2);
	n = LOOK(SCALE_WAIT, .ready = 2, .queue = 5, .waited = 0, .busy = 2);
	assert_int_equal(n.target, 2);
}

/* Each waits for some time, but nobody from one look to the next. */
static void
a_queue_that_moves_and_is_never_empty_is_looked_at_twice(void **state)
{
	struct outcome n;

	(void)state;
	begin(1, 8);
	LOOK(0, .ready = 1, .queue = 7, .busy = 1);
	n = LOOK(SAMPLER_PAUSE, .ready = 1, .queue = 7, .waited = 0, .busy = 1);
	assert_int_equal(n.target, 1);
	assert_true(n.look == now + SCALE_WAIT);
	n = LOOK(SCALE_WAIT, .ready = 1, .queue = 7, .waited = 4, .busy = 1);
	assert_int_equal(n.target, 2);
}

/* Workers that start slowly want more evidence: it is not forgotten. */
static void
a_long_pause_between_two_looks_is_no_relief(void **state)
{
	struct outcome n;
	int i;

	(void)state;
	begin(1, 8);
	LOOK(0, .ready = 1, .queue = 7, .busy = 1, .start = USEC);
	for (i = 0; i < 2; i++) {
		n = LOOK(SAMPLER_PAUSE, .ready = 1, .queue = 7, .busy = 1,
		    .start = USEC);
		assert_int_equal(n.target, 1);
		LOOK(SCALE_WAIT, .ready = 1, .queue = 7, .waited = 4,
		    .busy = 1, .start = USEC);
	}
	/* Nobody in between has told that the queue was gone. */
	LOOK(SAMPLER_PAUSE, .ready = 1, .queue = 7, .busy = 1, .start = USEC);
	n = LOOK(SCALE_WAIT, .ready = 1, .queue = 7, .waited = 4, .busy = 1,
	    .start = USEC);
	assert_int_equal(n.target, 2);
}

static void
a_queue_that_is_nearly_gone_is_no_reason(void **state)
{
	struct outcome n;

	(void)state;
	begin(2, 32);
	LOOK(0, .fired = true, .ready = 2, .queue = 20, .busy = 2);
	n = LOOK(SCALE_WAIT, .ready = 2, .queue = 10, .waited = 10, .busy = 2);
	assert_int_equal(n.target, 2);
}

static void
unknown_is_neither_a_queue_nor_idle(void **state)
{
	struct outcome n;

	(void)state;
	begin(2, 32);
	LOOK(0, .fired = true, .ready = 2, .queue = 8, .busy = 2);
	n = LOOK(SCALE_WAIT, .ready = 2, .queue = SCALE_UNKNOWN,
	    .waited = SCALE_UNKNOWN, .busy = SCALE_UNKNOWN);
	assert_int_equal(n.target, 2);
	LOOK(SCALE_STEP, .ready = 2, .queue = 8, .busy = 2);
	n = LOOK(SCALE_WAIT, .ready = 2, .queue = 8, .waited = 8, .busy = 2);
	assert_int_equal(n.target, 4);
	n = LOOK(60 * USEC, .ready = 4, .busy = SCALE_UNKNOWN);
	assert_int_equal(n.target, 4);
	n = LOOK(60 * USEC, .ready = 4, .busy = 0);
	assert_int_equal(n.target, 2);
}

static void
a_failing_program_is_not_started_more_often(void **state)
{
	struct outcome n;

	(void)state;
	begin(2, 32);
	LOOK(0, .fired = true, .ready = 1, .failing = 1, .queue = 9, .busy = 1);
	n = LOOK(SCALE_WAIT, .ready = 1, .failing = 1, .queue = 9,
	    .waited = 9, .busy = 1);
	assert_int_equal(n.target, 2);
}

/* It hangs without a connection, say: it is not waited for for ever. */
static void
who_is_free_and_does_not_accept_does_not_count_for_long(void **state)
{
	struct outcome n;
	int i;

	(void)state;
	begin(1, 4);
	LOOK(0, .fired = true, .ready = 1, .queue = 1);
	for (i = 0; i < SCALE_ACCEPT_MISSES - 1; i++) {
		n = LOOK(SAMPLER_PAUSE, .ready = 1, .queue = 1, .waited = 1);
		assert_int_equal(n.target, 1);
	}
	n = LOOK(SAMPLER_PAUSE, .ready = 1, .queue = 1, .waited = 1);
	assert_int_equal(n.target, 2);
}

static void
quiet_connections_are_occupation(void **state)
{
	struct outcome n;
	int i;

	(void)state;
	begin(1, 4);
	LOOK(0, .fired = true, .ready = 1, .queue = 1, .busy = 1);
	LOOK(SCALE_WAIT, .ready = 1, .queue = 1, .waited = 1, .busy = 1);
	for (i = 0; i < 100; i++) {
		n = LOOK(USEC, .ready = 2, .busy = 2);
		assert_int_equal(n.target, 2);
	}
}

static void
on_demand_the_first_connection_starts_the_first_worker(void **state)
{
	struct outcome n;

	(void)state;
	begin(0, 4);
	n = LOOK(0, .ready = 0);
	assert_int_equal(n.target, 0);
	assert_true(n.watch);
	n = LOOK(USEC, .fired = true, .queue = SCALE_UNKNOWN,
	    .waited = SCALE_UNKNOWN, .busy = SCALE_UNKNOWN);
	assert_int_equal(n.target, 1);
}

static void
a_saturation_is_told_once_and_measured(void **state)
{
	struct outcome n;
	int i;

	(void)state;
	begin(2, 2);
	LOOK(0, .fired = true, .ready = 2, .queue = 4, .busy = 2);
	n = LOOK(SCALE_WAIT, .ready = 2, .queue = 4, .waited = 4, .busy = 2);
	assert_int_equal(n.notice, SCALE_FULL);
	assert_true(n.look >= now + SAMPLER_FULL_PAUSE);
	for (i = 0; i < 10; i++) {
		n = LOOK(SAMPLER_FULL_PAUSE, .ready = 2, .queue = 7,
		    .waited = 4, .busy = 2);
		assert_int_equal(n.notice, SCALE_NOTHING);
	}
	n = LOOK(SCALE_CALM, .ready = 2);
	assert_int_equal(n.notice, SCALE_RELIEVED);
	assert_int_equal(s.full_peak, 7);
	assert_int_equal(s.full_length, 10 * SAMPLER_FULL_PAUSE);
	assert_int_equal(scale_full_time(&s), s.full_length);
}

/* Else the most workers would be there late on a host with many sockets. */
static void
a_pool_that_grows_is_looked_at_on_credit(void **state)
{
	struct outcome n;

	(void)state;
	begin(2, 32);
	LOOK(0, .fired = true, .ready = 2, .queue = 8, .busy = 2);
	n = LOOK(SCALE_WAIT, .cost = 2000, .ready = 2, .queue = 8,
	    .waited = 8, .busy = 2);
	assert_int_equal(n.target, 4);
	assert_true(n.look == now + SAMPLER_GROWTH_COST * 2000);
	/* It is paid for afterwards. */
	assert_true(sampler.due >= now + SAMPLER_COST * 2000);
}

static void
new_bounds_hold_at_once_and_surplus_after_the_timeout(void **state)
{
	struct outcome n;

	(void)state;
	begin(8, 16);
	LOOK(0, .ready = 8);
	scale_bounds(&s, 2, 6, now);
	assert_int_equal(s.target, 6);
	n = LOOK(USEC, .ready = 6);
	assert_int_equal(n.target, 6);
	n = LOOK(12 * USEC, .ready = 6);
	assert_int_equal(n.target, 2);
}

/* The sampler by itself: what the policy would say is made up. */
static void
an_expensive_look_is_rare(void **state)
{
	struct scale_view v = { .now = START, .cost = 4000, .queue = 1,
	    .busy = 2 };
	const struct scale_decision d = { .target = 2, .until = NEVER };
	struct sampler_next n;

	(void)state;
	sampler = (struct sampler){ 0 };
	n = sampler_next(&sampler, &v, &d);
	assert_false(n.watch);
	assert_true(n.look == START + SAMPLER_COST * 4000);
	assert_false(sampler_affords_busy(&sampler, n.look - 1, 0));
	assert_true(sampler_affords_busy(&sampler, n.look, 0));
}

static void
a_decision_that_time_changes_is_looked_at_in_time(void **state)
{
	struct scale_view v = { .now = START };
	const struct scale_decision d = { .until = START + 5 };
	struct sampler_next n;

	(void)state;
	sampler = (struct sampler){ 0 };
	n = sampler_next(&sampler, &v, &d);
	assert_true(n.watch);
	assert_true(n.look == START + 5);
}

/* A look at a pool of one size, `pause` microseconds after the last one. */
static struct sampler_next
look_fixed(uint64_t pause, uint32_t queue, uint32_t busy, bool fired)
{
	struct scale_view v = { .fired = fired, .cost = 100, .queue = queue,
	    .busy = busy };

	v.now = now += pause;
	return sampler_next_fixed(&sampler, &v);
}

static void
an_idle_pool_of_one_size_is_not_woken(void **state)
{
	struct sampler_next n;

	(void)state;
	begin(2, 2);
	n = look_fixed(0, 0, 0, false);
	assert_true(n.watch);
	assert_true(n.look == NEVER);
	/* A connection comes, and one look later it has gone. */
	n = look_fixed(USEC, 0, 1, true);
	assert_false(n.watch);
	assert_true(n.look == now + SAMPLER_FIXED_PAUSE);
	n = look_fixed(SAMPLER_FIXED_PAUSE, 0, 0, false);
	assert_true(n.watch);
	assert_true(n.look == NEVER);
}

static void
a_pool_of_one_size_without_changes_is_looked_at_seldom(void **state)
{
	uint64_t pause = SAMPLER_FIXED_PAUSE;
	struct sampler_next n;
	int i;

	(void)state;
	begin(2, 2);
	n = look_fixed(0, 0, 2, false);
	for (i = 0; i < 6; i++) {
		assert_true(n.look == now + pause);
		n = look_fixed(pause, 0, 2, false);
		assert_true(n.watch);
		if (pause < SAMPLER_FIXED_LAST)
			pause *= 2;
	}
	assert_true(pause == SAMPLER_FIXED_LAST);
}

static void
a_queue_of_a_pool_of_one_size_is_looked_at_twice(void **state)
{
	(void)state;
	begin(2, 2);
	assert_true(look_fixed(0, 3, 2, false).look ==
	    now + SAMPLER_FIXED_AGAIN);
	assert_true(look_fixed(SAMPLER_FIXED_AGAIN, 3, 2, false).look ==
	    now + SAMPLER_FIXED_PAUSE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rest_is_watched_without_a_timer),
		cmocka_unit_test(those_that_wait_get_workers),
		cmocka_unit_test(a_step_doubles_at_most),
		cmocka_unit_test(what_has_just_come_is_no_reason),
		cmocka_unit_test(
		    a_queue_that_moves_and_is_never_empty_is_looked_at_twice),
		cmocka_unit_test(a_long_pause_between_two_looks_is_no_relief),
		cmocka_unit_test(a_queue_that_is_nearly_gone_is_no_reason),
		cmocka_unit_test(unknown_is_neither_a_queue_nor_idle),
		cmocka_unit_test(a_failing_program_is_not_started_more_often),
		cmocka_unit_test(
		    who_is_free_and_does_not_accept_does_not_count_for_long),
		cmocka_unit_test(quiet_connections_are_occupation),
		cmocka_unit_test(
		    on_demand_the_first_connection_starts_the_first_worker),
		cmocka_unit_test(a_saturation_is_told_once_and_measured),
		cmocka_unit_test(a_pool_that_grows_is_looked_at_on_credit),
		cmocka_unit_test(
		    new_bounds_hold_at_once_and_surplus_after_the_timeout),
		cmocka_unit_test(an_expensive_look_is_rare),
		cmocka_unit_test(
		    a_decision_that_time_changes_is_looked_at_in_time),
		cmocka_unit_test(an_idle_pool_of_one_size_is_not_woken),
		cmocka_unit_test(
		    a_pool_of_one_size_without_changes_is_looked_at_seldom),
		cmocka_unit_test(
		    a_queue_of_a_pool_of_one_size_is_looked_at_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
