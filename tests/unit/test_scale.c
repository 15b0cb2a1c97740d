/* SPDX-License-Identifier: ISC */
/* The size of an adaptive pool, one rule at a time. */
#include "unit.h"

#include "base/units.h"
#include "pool/scale.h"

#define START		(100 * USEC)

static struct scale s;
static uint64_t now;

/* A pool of min to max workers that has been looked at once. */
static void
begin(unsigned int min, unsigned int max)
{
	struct scale_conf c = { .min = min, .max = max, .idle = 10 * USEC,
	    .serves = 1 };

	now = START;
	scale_init(&s, &c);
}

/* A look, `later` microseconds after the last one. */
static struct scale_next
look(uint64_t later, struct scale_view v)
{
	now += later;
	v.now = now;
	v.cost = 100;
	return scale_look(&s, &v);
}

#define LOOK(later, ...) look((later), (struct scale_view){ __VA_ARGS__ })

static void
rest_is_watched_without_a_timer(void **state)
{
	struct scale_next n;

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
	struct scale_next n;

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
	struct scale_next n;

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
	struct scale_next n;

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
	struct scale_next n;

	(void)state;
	begin(1, 8);
	LOOK(0, .ready = 1, .queue = 7, .busy = 1);
	n = LOOK(SCALE_PAUSE, .ready = 1, .queue = 7, .waited = 0, .busy = 1);
	assert_int_equal(n.target, 1);
	assert_true(n.look == now + SCALE_WAIT);
	n = LOOK(SCALE_WAIT, .ready = 1, .queue = 7, .waited = 4, .busy = 1);
	assert_int_equal(n.target, 2);
}

/* Workers that start slowly want more evidence: it is not forgotten. */
static void
a_long_pause_between_two_looks_is_no_relief(void **state)
{
	struct scale_next n;
	int i;

	(void)state;
	begin(1, 8);
	LOOK(0, .ready = 1, .queue = 7, .busy = 1, .start = USEC);
	for (i = 0; i < 2; i++) {
		n = LOOK(SCALE_PAUSE, .ready = 1, .queue = 7, .busy = 1,
		    .start = USEC);
		assert_int_equal(n.target, 1);
		LOOK(SCALE_WAIT, .ready = 1, .queue = 7, .waited = 4,
		    .busy = 1, .start = USEC);
	}
	/* Nobody in between has told that the queue was gone. */
	LOOK(SCALE_PAUSE, .ready = 1, .queue = 7, .busy = 1, .start = USEC);
	n = LOOK(SCALE_WAIT, .ready = 1, .queue = 7, .waited = 4, .busy = 1,
	    .start = USEC);
	assert_int_equal(n.target, 2);
}

static void
a_queue_that_is_nearly_gone_is_no_reason(void **state)
{
	struct scale_next n;

	(void)state;
	begin(2, 32);
	LOOK(0, .fired = true, .ready = 2, .queue = 20, .busy = 2);
	n = LOOK(SCALE_WAIT, .ready = 2, .queue = 10, .waited = 10, .busy = 2);
	assert_int_equal(n.target, 2);
}

static void
unknown_is_neither_a_queue_nor_idle(void **state)
{
	struct scale_next n;

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
	struct scale_next n;

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
	struct scale_next n;
	int i;

	(void)state;
	begin(1, 4);
	LOOK(0, .fired = true, .ready = 1, .queue = 1);
	for (i = 0; i < SCALE_PATIENCE - 1; i++) {
		n = LOOK(SCALE_PAUSE, .ready = 1, .queue = 1, .waited = 1);
		assert_int_equal(n.target, 1);
	}
	n = LOOK(SCALE_PAUSE, .ready = 1, .queue = 1, .waited = 1);
	assert_int_equal(n.target, 2);
}

static void
quiet_connections_are_occupation(void **state)
{
	struct scale_next n;
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
	struct scale_next n;

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
	struct scale_next n;
	int i;

	(void)state;
	begin(2, 2);
	LOOK(0, .fired = true, .ready = 2, .queue = 4, .busy = 2);
	n = LOOK(SCALE_WAIT, .ready = 2, .queue = 4, .waited = 4, .busy = 2);
	assert_int_equal(n.notice, SCALE_FULL);
	assert_true(n.look >= now + SCALE_FULL_PAUSE);
	for (i = 0; i < 10; i++) {
		n = LOOK(SCALE_FULL_PAUSE, .ready = 2, .queue = 7,
		    .waited = 4, .busy = 2);
		assert_int_equal(n.notice, SCALE_NOTHING);
	}
	n = LOOK(SCALE_CALM, .ready = 2);
	assert_int_equal(n.notice, SCALE_RELIEVED);
	assert_int_equal(s.full_peak, 7);
	assert_int_equal(s.full_length, 10 * SCALE_FULL_PAUSE);
	assert_int_equal(scale_full_time(&s), s.full_length);
}

static void
a_dear_look_is_rare(void **state)
{
	struct scale_view v = { .cost = 4000, .ready = 2, .queue = 1,
	    .busy = 2 };

	(void)state;
	begin(2, 4);
	v.now = START;
	assert_true(scale_look(&s, &v).look >= START + SCALE_WAIT);
	assert_true(s.due == START + SCALE_COST * 4000);
}

/* Else the most workers would be there late on a host with many sockets. */
static void
a_pool_that_grows_is_looked_at_on_credit(void **state)
{
	struct scale_view v = { .cost = 2000, .ready = 2, .queue = 8,
	    .waited = 8, .busy = 2 };
	struct scale_next n;

	(void)state;
	begin(2, 32);
	LOOK(0, .fired = true, .ready = 2, .queue = 8, .busy = 2);
	v.now = now += SCALE_WAIT;
	n = scale_look(&s, &v);
	assert_int_equal(n.target, 4);
	assert_true(n.look == now + SCALE_GROWTH_COST * 2000);
	/* It is paid for afterwards. */
	assert_true(s.due >= now + SCALE_COST * 2000);
}

static void
new_bounds_hold_at_once_and_surplus_after_the_timeout(void **state)
{
	struct scale_next n;

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
		cmocka_unit_test(a_dear_look_is_rare),
		cmocka_unit_test(a_pool_that_grows_is_looked_at_on_credit),
		cmocka_unit_test(
		    new_bounds_hold_at_once_and_surplus_after_the_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
