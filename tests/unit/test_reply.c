/* SPDX-License-Identifier: ISC */
/* What a client keeps of an answer, and how it writes figures. */
#include <sysexits.h>

#include "replies.h"

static void
spans_have_the_unit_that_fits(void **arg)
{
	static const struct {
		double		 seconds;
		const char	*text;
	} all[] = {
		{ 0, "0.00 s" }, { 9.99, "9.99 s" }, { 10, "10.0 s" },
		{ 59.94, "59.9 s" }, { 60, "1:00" }, { 61, "1:01" },
		{ 3599, "59:59" }, { 3600, "1:00:00" }, { 7384, "2:03:04" },
		{ 86399, "23:59:59" }, { 86400, "1 d 0:00" },
		{ 266645, "3 d 2:04" }, { 1e12, "-" }, { 1e300, "-" },
	};
	char buf[32];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(all); i++)
		assert_string_equal(reply_span(all[i].seconds, buf),
		    all[i].text);
}

static void
sizes_have_three_digits(void **arg)
{
	static const struct {
		double		 bytes;
		const char	*text;
	} all[] = {
		{ 0, "0.0K" }, { 1536, "1.5K" }, { 9.9 * 1024, "9.9K" },
		{ 10 * 1024, "10K" }, { 999 * 1024, "999K" },
		{ 1000 * 1024, "1.0M" }, { 14155776, "14M" },
		{ 5e9, "4.7G" }, { 1e300, NULL },
	};
	char buf[32];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(all); i++) {
		reply_size(all[i].bytes, buf);
		assert_between(strlen(buf), 1, sizeof(buf) - 1);
		if (all[i].text != NULL)
			assert_string_equal(buf, all[i].text);
	}
	assert_string_equal(reply_size(1e20, buf), "87E");
	assert_string_equal(reply_size(1e17, buf), "89P");
}

static void
a_ready_worker_is_busy_or_idle(void **arg)
{
	static const char *const pairs[][2] = {
		{ "worker state=ready connections=0", "idle" },
		{ "worker state=ready connections=2", "busy" },
		{ "worker state=ready", "ready" },
		{ "worker state=retiring connections=1", "retiring" },
		{ "worker", "" },
		{ "worker state=aaaaaaaaaabbbbbbbbbbccc",
		    "aaaaaaaaaabbbbbbbbb" },
	};
	struct reply a = { NULL, 0 };
	char state[STATE_SIZE];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(pairs); i++) {
		answers_add(&a, pairs[i][0]);
		assert_string_equal(reply_state(&a.list[i], state),
		    pairs[i][1]);
	}
	reply_free(&a);
}

static void
an_answer_without_end_is_given_up(void **arg)
{
	struct proto_field field = { "a", "b" };
	struct proto_record r = { "worker", 1, &field };
	struct reply a = { NULL, 0 };
	size_t i;

	(void)arg;
	for (i = 0; i < REPLY_RECORDS; i++)
		assert_int_equal(reply_add(&a, &r, &e), 0);
	assert_int_equal(reply_add(&a, &r, &e), -1);
	assert_int_equal(e.status, EX_PROTOCOL);
	assert_string_equal(proto_get(&a.list[i - 1], "a"), "b");
	assert_int_equal(a.n, REPLY_RECORDS);
	reply_free(&a);
	assert_null(a.list);
}

static void
the_first_record_of_a_kind_counts(void **arg)
{
	struct reply a = { NULL, 0 };
	const struct proto_record *r;
	size_t i = 0;

	(void)arg;
	answers_add(&a, "x n=1\ny n=2\nx n=3\n");
	assert_true(reply_value(&a, "x", "n", 0) < 1.5);
	assert_true(reply_value(&a, "y", "n", 0) > 1.5);
	assert_true(reply_value(&a, "z", "n", 7) > 6.5);
	assert_int_equal(reply_find(&a, "z")->n, 0);
	assert_non_null(reply_next(&a, "x", &i));
	assert_non_null(r = reply_next(&a, "x", &i));
	assert_string_equal(proto_get(r, "n"), "3");
	assert_null(reply_next(&a, "x", &i));
	reply_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_have_the_unit_that_fits),
		cmocka_unit_test(sizes_have_three_digits),
		cmocka_unit_test(a_ready_worker_is_busy_or_idle),
		cmocka_unit_test(an_answer_without_end_is_given_up),
		cmocka_unit_test(the_first_record_of_a_kind_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
