/* SPDX-License-Identifier: ISC */
/* What a pool remembers of its load, one rule at a time. */
#include "unit.h"

#include "base/units.h"
#include "pool/ledger.h"

static struct ledger l;
static uint64_t now;

static int
begin(void **state)
{
	(void)state;
	l = (struct ledger){ .seen = 0 };
	now = USEC;
	return 0;
}

/* A look, `later` microseconds after the last one, at ten places. */
static void
look(uint64_t later, uint32_t queue, uint32_t busy, uint32_t fresh,
    uint32_t cause)
{
	struct ledger_look v = { .queue = queue, .busy = busy,
	    .fresh = fresh, .cause = cause, .places = 10 };

	v.now = now += later;
	ledger_look(&l, &v);
}

static void
each_count_has_one_bin(void **state)
{
	uint32_t n;
	unsigned int bin, last = 0;

	(void)state;
	for (n = 0; n < 70000; n++) {
		bin = ledger_bin(n);
		assert_true(bin < LEDGER_BINS);
		assert_true(bin == last || bin == last + 1);
		last = bin;
		if (n < LEDGER_EXACT)
			assert_int_equal(ledger_count(bin), n);
		if (n < 65536) {
			assert_true(ledger_count(bin) >= n);
			assert_true(ledger_count(bin) <= n + n / 32);
		}
	}
	assert_int_equal(ledger_bin(UINT32_MAX - 1), LEDGER_BINS - 1);
}

static void
time_goes_to_what_was_busy(void **state)
{
	(void)state;
	look(0, 0, 3, 3, 0);
	look(2 * USEC, 0, 5, 2, 0);
	look(1 * USEC, 0, 0, 0, 0);
	assert_true(l.span == 3 * USEC);
	assert_true(l.busy_time == 10 * USEC);
	assert_true(l.time[5] == 2 * USEC && l.time[0] == USEC);
}

/* A look that a connection caused sees one that was not there before. */
static void
who_caused_the_look_was_not_there_before(void **state)
{
	(void)state;
	look(0, 0, 0, 0, 0);
	look(60 * USEC, 0, 1, 1, 1);
	assert_true(l.busy_time == 0 && l.time[0] == 60 * USEC);
	assert_true(l.came == 1 && l.met[1] == 1);
}

static void
a_connection_counts_once(void **state)
{
	(void)state;
	look(0, 0, 0, 0, 0);
	look(USEC, 3, 10, 10, 0);
	assert_true(l.came == 13 && l.met[13] == 13);
	/* Two of those that waited were accepted, nobody came. */
	look(USEC, 1, 10, 2, 0);
	assert_true(l.came == 13);
	/* All of them, and one that came. */
	look(USEC, 0, 5, 2, 0);
	assert_true(l.came == 14 && l.met[5] == 1);
}

static void
who_is_among_more_than_the_places_may_wait(void **state)
{
	(void)state;
	look(0, 0, 0, 0, 0);
	/* They will be accepted in a moment. */
	look(USEC, 4, 2, 2, 0);
	assert_true(l.full == 0);
	look(USEC, 6, 10, 10, 0);
	assert_true(l.full == 12);
	assert_true(l.over == 0);
	/* Nobody waits, so there are more places than are known. */
	look(USEC, 0, 25, 20, 0);
	assert_true(l.over == 14 && l.full == 12);
}

static void
what_is_not_seen_is_not_counted(void **state)
{
	(void)state;
	look(0, 0, 4, 4, 0);
	look(USEC, SCALE_UNKNOWN, SCALE_UNKNOWN, SCALE_UNKNOWN, 0);
	look(USEC, 2, SCALE_UNKNOWN, SCALE_UNKNOWN, 0);
	assert_true(l.span == 0 && l.came == 0);
	look(USEC, 0, 4, 0, 0);
	assert_true(l.span == 3 * USEC && l.busy_time == 12 * USEC);
	assert_true(l.queue_time == 2 * USEC);
}

static void
old_times_count_less(void **state)
{
	(void)state;
	look(0, 0, 8, 0, 0);
	look(LEDGER_SPAN - USEC, 0, 8, 100, 0);
	assert_true(l.span == LEDGER_SPAN - USEC && l.came == 100);
	look(USEC, 0, 8, 100, 0);
	assert_true(l.span == LEDGER_SPAN / 2 && l.came == 100);
	assert_true(l.time[8] == LEDGER_SPAN / 2 && l.met[8] == 100);
}

/* A pool that was too small does not tell what a larger one will see. */
static void
a_new_size_forgets_what_it_was_too_small_for(void **state)
{
	unsigned int left[LEDGER_WAITS] = { 0, 7 };
	struct ledger_look v = { .queue = 0, .busy = 5, .places = 10,
	    .left = left };

	(void)state;
	look(0, 0, 5, 5, 0);
	look(USEC, 0, 5, 900, 0);
	ledger_resized(&l);
	assert_true(l.came == 900);
	look(USEC, 40, 10, 10, 0);
	v.now = now += USEC;
	ledger_look(&l, &v);
	assert_true(l.waits[1] == 7 && l.full > 0);
	ledger_resized(&l);
	assert_true(l.came == 0 && l.full == 0 && l.waits[1] == 0);
	/* And goes on from here. */
	look(USEC, 0, 5, 0, 0);
	assert_true(l.span == USEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_count_has_one_bin, begin),
		cmocka_unit_test_setup(time_goes_to_what_was_busy, begin),
		cmocka_unit_test_setup(who_caused_the_look_was_not_there_before,
		    begin),
		cmocka_unit_test_setup(a_connection_counts_once, begin),
		cmocka_unit_test_setup(
		    who_is_among_more_than_the_places_may_wait, begin),
		cmocka_unit_test_setup(what_is_not_seen_is_not_counted, begin),
		cmocka_unit_test_setup(old_times_count_less, begin),
		cmocka_unit_test_setup(
		    a_new_size_forgets_what_it_was_too_small_for, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
