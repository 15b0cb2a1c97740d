/* SPDX-License-Identifier: ISC */
/* Since when a connection is there, by the lists that had it. */
#include "unit.h"

#include "base/units.h"
#include "observe/linux.h"

#define NOTE(usec, ...) do {						\
	static const uint64_t list_[] = { __VA_ARGS__ };		\
									\
	sightings_note(list_, (int)NITEMS(list_), (usec));	\
} while (0)

static void
assert_seen(uint64_t inode, uint64_t first, uint64_t before)
{
	const struct sighting *s = sightings_find(inode);

	assert_non_null(s);
	assert_true(s->first == first * USEC && s->before == before * USEC);
}

static void
a_connection_is_as_old_as_its_first_list(void **state)
{
	(void)state;
	assert_null(sightings_find(3));
	NOTE(10 * USEC, 3, 5, 9);
	assert_seen(3, 10, 0);
	NOTE(12 * USEC, 1, 3, 7, 9, 11);
	assert_seen(3, 10, 0);
	assert_seen(9, 10, 0);
	assert_seen(1, 12, 10);
	assert_seen(7, 12, 10);
	assert_seen(11, 12, 10);
	assert_null(sightings_find(5));
	assert_true(sightings_total() == 6);
}

static void
one_that_comes_again_is_another(void **state)
{
	(void)state;
	sightings_note(NULL, 0, 20 * USEC);
	assert_null(sightings_find(3));
	NOTE(21 * USEC, 3);
	assert_seen(3, 21, 20);
	assert_true(sightings_total() == 7);
}

/* What came while they could not be remembered is of any age. */
static void
what_is_not_remembered_is_of_unknown_age(void **state)
{
	static uint64_t many[65537];
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(many); i++)
		many[i] = i + 1;
	sightings_note(many, (int)NITEMS(many), 30 * USEC);
	assert_null(sightings_find(3));
	NOTE(31 * USEC, 3);
	assert_seen(3, 31, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_as_old_as_its_first_list),
		cmocka_unit_test(one_that_comes_again_is_another),
		cmocka_unit_test(what_is_not_remembered_is_of_unknown_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
