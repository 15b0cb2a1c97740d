/* SPDX-License-Identifier: ISC */
#include "bed.h"

/* Those that still leave count: the extra one waits until there is room. */
static void
a_renewal_waits_for_room(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	b->w[0].exam.holds = b->w[1].exam.holds = HOLDS_BUSY;
	bed_event(b, (struct pool_event){ .what = EV_TARGET, .workers = 1 });
	bed_pass(b, MSEC);
	assert_int_equal(bed_going(b), 1);
	bed_tell(b, EV_RELOAD);
	assert_did(b, "spawn2");
	bed_event(b, (struct pool_event){ .what = EV_TARGET, .workers = 2 });
	bed_did(b);
	bed_event(b, (struct pool_event){ .what = EV_RELOAD });
	bed_pass(b, MSEC);
	assert_true(pool_slots(b->p) - pool_count(b->p, SLOT_EMPTY) <= 3);
	bed_free(b);
}

/* The one it was to replace may have gone meanwhile, and it was one less. */
static void
an_extra_worker_that_replaces_nobody_goes(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	assert_did(b, "spawn1");
	bed_event(b, (struct pool_event){ .what = EV_TARGET, .workers = 0 });
	bed_look(b, 1, LOOK_READY);
	bed_pass(b, 100 * MSEC);
	assert_int_equal(pool_count(b->p, SLOT_READY), 0);
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_renewal_waits_for_room),
		cmocka_unit_test(an_extra_worker_that_replaces_nobody_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
