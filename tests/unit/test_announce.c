/* SPDX-License-Identifier: ISC */
/* A stop that is announced: all goes on until it is due. */
#include "bed.h"

#define DELAY	(10 * USEC)

static void
announce(struct bed *b, uint64_t delay)
{
	bed_event(b, (struct pool_event){ .what = EV_ANNOUNCE,
	    .delay = delay });
}

static void
tells_nobody_to_go(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	announce(b, DELAY);
	assert_true(pool_is_announced(b->p));
	assert_int_equal(pool_stop_at(b->p), b->now + DELAY);
	bed_pass(b, DELAY - 1);
	assert_did(b, "");
	assert_int_equal(pool_count(b->p, SLOT_READY), 2);
	bed_free(b);
}

/* Whoever is told of it begins the stop. */
static void
is_due_once_at_its_time(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	announce(b, DELAY);
	bed_pass(b, DELAY);
	assert_did(b, "[due]");
	assert_true(pool_is_announced(b->p));
	bed_pass(b, 100 * USEC);
	assert_did(b, "");
	bed_stop(b);
	assert_false(pool_is_announced(b->p));
	assert_did(b, "TERM>0");
	bed_free(b);
}

static void
wakes_nobody_before_that(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	assert_int_equal(bed_next(b), NEVER);
	announce(b, DELAY);
	assert_int_equal(bed_next(b), DELAY);
	bed_free(b);
}

static void
without_a_time_it_is_never_due(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	announce(b, NEVER);
	assert_true(pool_is_announced(b->p));
	assert_int_equal(bed_next(b), NEVER);
	bed_pass(b, 1000 * USEC);
	assert_did(b, "");
	bed_free(b);
}

static void
the_last_one_counts(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	announce(b, DELAY);
	bed_pass(b, DELAY / 2);
	announce(b, DELAY);
	assert_int_equal(bed_next(b), DELAY);
	announce(b, 1);
	bed_pass(b, 1);
	assert_did(b, "[due]");
	bed_free(b);
}

static void
can_be_taken_back(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	announce(b, DELAY);
	bed_tell(b, EV_RESUME);
	assert_false(pool_is_announced(b->p));
	assert_int_equal(bed_next(b), NEVER);
	bed_pass(b, 2 * DELAY);
	assert_did(b, "");
	bed_free(b);
}

/* A worker that ends meanwhile is replaced, and the size changes. */
static void
the_pool_goes_on_meanwhile(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	announce(b, DELAY);
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0");
	bed_look(b, 0, READY_YES);
	bed_tell(b, EV_RELOAD);
	assert_true(pool_reloading(b->p));
	assert_true(pool_is_announced(b->p));
	bed_free(b);
}

static void
a_stop_does_not_wait_for_it(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	announce(b, DELAY);
	bed_stop(b);
	assert_did(b, "TERM>0");
	assert_false(pool_is_announced(b->p));
	assert_int_equal(pool_stop_at(b->p), NEVER);
	bed_free(b);
}

static void
a_pool_that_starts_or_stops_announces_nothing(void **arg)
{
	struct bed *b = bed_starting(1);

	(void)arg;
	announce(b, DELAY);
	assert_false(pool_is_announced(b->p));
	assert_int_equal(pool_stop_at(b->p), NEVER);
	bed_look(b, 0, READY_YES);
	bed_stop(b);
	announce(b, DELAY);
	assert_false(pool_is_announced(b->p));
	bed_free(b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_nobody_to_go),
		cmocka_unit_test(is_due_once_at_its_time),
		cmocka_unit_test(wakes_nobody_before_that),
		cmocka_unit_test(without_a_time_it_is_never_due),
		cmocka_unit_test(the_last_one_counts),
		cmocka_unit_test(can_be_taken_back),
		cmocka_unit_test(the_pool_goes_on_meanwhile),
		cmocka_unit_test(a_stop_does_not_wait_for_it),
		cmocka_unit_test(a_pool_that_starts_or_stops_announces_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
