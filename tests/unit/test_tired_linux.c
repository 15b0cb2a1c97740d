/* SPDX-License-Identifier: ISC */
/* When a door slows its worker down too much, also beside other load. */
#include <stdio.h>
#include <string.h>

#include "base/loop.h"
#include "base/units.h"
#include "observe/door.h"
#include "observe/linux.h"
#include "unit.h"

ssize_t	 __wrap_proc_read(const char *, char *, size_t);

/* What /proc/self/schedstat says; NULL: there is none. */
static const char *schedstat;

ssize_t
__wrap_proc_read(const char *path, char *buf, size_t size)
{
	assert_string_equal(path, "self/schedstat");
	return schedstat == NULL ? -1 :
	    (ssize_t)snprintf(buf, size, "%s\n", schedstat);
}

/*
 * A door that was closed that many milliseconds ago, with so many stops since
 * then; the supervisor had 1,000 turns before.
 */
static bool
is_tired(const char *now, uint64_t stops, uint64_t ms)
{
	struct door d = { .stops = 1 };

	schedstat = now == NULL ? NULL : "77 5000000 1000";
	tired_begin(&d);
	assert_true(d.stops == 0);
	d.stops = stops;
	d.closed -= ms * 1000;
	schedstat = now;
	return tired_is(&d);
}

static void
some_stops_are_always_allowed(void **arg)
{
	(void)arg;
	assert_false(is_tired("77 5000000 1000", 0, 0));
	assert_false(is_tired("77 5000000 1000", 400, 0));
}

static void
more_may_take_a_third_of_its_time(void **arg)
{
	(void)arg;
	assert_true(is_tired("77 5000000 1000", 4000, 200));
	assert_false(is_tired("77 5000000 1000", 4000, 400));
	/* Where the kernel does not say what it waits, nothing is added. */
	assert_true(is_tired(NULL, 4000, 200));
	assert_false(is_tired(NULL, 4000, 400));
	assert_false(is_tired("no figures", 4000, 400));
}

/* 100 turns, for each of which it has waited 5 ms. */
static void
what_a_stop_waits_for_the_supervisor_counts(void **arg)
{
	(void)arg;
	assert_true(is_tired("99 505000000 1100", 50, 500));
	assert_false(is_tired("99 505000000 1100", 50, 1000));
	/* It may still be late now and then. */
	assert_false(is_tired("99 505000000 1100", 15, 20));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_stops_are_always_allowed),
		cmocka_unit_test(more_may_take_a_third_of_its_time),
		cmocka_unit_test(what_a_stop_waits_for_the_supervisor_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
