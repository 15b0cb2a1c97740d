/* SPDX-License-Identifier: ISC */
/* The language of the control sockets, at both ends. */
#include <stdlib.h>

#include "proto/proto.h"
#include "unit.h"

static char buf[PROTO_COMMAND], line[PROTO_COMMAND];
static struct proto_input in;

static void
feed(const char *bytes, size_t len)
{
	assert_true(in.len + len <= in.size);
	memcpy(in.buf + in.len, bytes, len);
	in.len += len;
}

static int
begin(void **arg)
{
	(void)arg;
	in = (struct proto_input){ .buf = buf, .size = sizeof(buf) };
	return 0;
}

static void
bytes_become_lines(void **arg)
{
	(void)arg;
	feed("sta", 3);
	assert_int_equal(proto_next(&in, line), PROTO_NONE);
	feed("tus\nping\r\nhe", 12);
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
	assert_string_equal(line, "status");
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
	assert_string_equal(line, "ping");
	assert_int_equal(proto_next(&in, line), PROTO_NONE);
	feed("\n\r\nx\r\n", 6);
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
	assert_string_equal(line, "he");
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
	assert_string_equal(line, "");
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
	assert_string_equal(line, "x");
	feed("\n", 1);
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
	assert_string_equal(line, "");
}

static void
the_last_line_needs_no_end(void **arg)
{
	(void)arg;
	feed("status", 6);
	in.eof = true;
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
	assert_string_equal(line, "status");
	assert_int_equal(proto_next(&in, line), PROTO_NONE);
}

static void
a_line_has_a_greatest_length(void **arg)
{
	char full[PROTO_COMMAND];

	(void)arg;
	memset(full, 'a', sizeof(full));
	full[sizeof(full) - 1] = '\n';
	feed(full, sizeof(full));
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
	assert_int_equal(strlen(line), PROTO_COMMAND - 1);
	full[sizeof(full) - 1] = 'a';
	feed(full, sizeof(full));
	assert_int_equal(proto_next(&in, line), PROTO_LONG);
}

static void
control_bytes_are_junk(void **arg)
{
	static const char *const bad[] = { "a\033[0m\n", "a\x7f\n", "\001\n" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(bad); i++) {
		feed(bad[i], strlen(bad[i]));
		assert_int_equal(proto_next(&in, line), PROTO_JUNK);
	}
	feed("a\0b\n", 4);
	assert_int_equal(proto_next(&in, line), PROTO_JUNK);
	feed("scale\t4\n", 8);
	assert_int_equal(proto_next(&in, line), PROTO_GOT);
}

static void
a_command_is_words(void **arg)
{
	char text[] = "  scale \t 4-8 ", many[] = "a b c d e", none[] = " ";
	char *words[PROTO_WORDS];

	(void)arg;
	assert_int_equal(proto_words(text, words, PROTO_WORDS), 2);
	assert_string_equal(words[0], "scale");
	assert_string_equal(words[1], "4-8");
	assert_int_equal(proto_words(many, words, PROTO_WORDS), -1);
	assert_int_equal(proto_words(none, words, PROTO_WORDS), 0);
}

static void
a_range_is_one_number_or_two(void **arg)
{
	static const char *const bad[] = { "", "-", "4-", "-4", "a", "4x",
	    "4-3", "101", "1-101", "99999999999999999999", "+4", " 4",
	    "4-5-6" };
	unsigned int from, to;
	size_t i;

	(void)arg;
	assert_int_equal(proto_range("0", 100, &from, &to), 0);
	assert_int_equal(from + to, 0);
	assert_int_equal(proto_range("9-98", 100, &from, &to), 0);
	assert_int_equal(from * 100 + to, 998);
	assert_int_equal(proto_range("4-100", 100, &from, &to), 0);
	assert_int_equal(from, 4);
	assert_int_equal(to, 100);
	for (i = 0; i < NITEMS(bad); i++)
		assert_int_equal(proto_range(bad[i], 100, &from, &to), -1);
}

static void
what_is_written_is_read_back(void **arg)
{
	static const char hard[] = "a b\\c\n\x1b=\xc3\xa9 ";
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record r = { .fields = fields };
	struct proto_output o = { 0 };
	double n;

	(void)arg;
	proto_begin(&o, "worker");
	proto_text(&o, "name", hard);
	proto_text(&o, "none", "");
	proto_number(&o, "rss", UINT64_MAX);
	proto_time(&o, "age", 12345678);
	proto_truth(&o, "orphan", true);
	proto_end(&o);
	assert_int_equal(o.buf[o.len - 1], '\n');
	o.buf[o.len - 1] = '\0';
	assert_string_equal(o.buf, "worker name=a\\x20b\\x5cc\\x0a\\x1b="
	    "\xc3\xa9\\x20 none= rss=18446744073709551615 age=12.345 "
	    "orphan=yes");
	assert_int_equal(proto_parse(o.buf, &r), 0);
	assert_string_equal(r.kind, "worker");
	assert_string_equal(proto_get(&r, "name"), hard);
	assert_string_equal(proto_get(&r, "none"), "");
	assert_string_equal(proto_get(&r, "rss"), "18446744073709551615");
	assert_string_equal(proto_get(&r, "age"), "12.345");
	assert_true(proto_get_number(&r, "age", &n));
	assert_true(n > 12.344 && n < 12.346);
	assert_string_equal(proto_get(&r, "orphan"), "yes");
	assert_null(proto_get(&r, "other"));
	proto_free(&o);
}

static void
an_answer_has_a_beginning_and_an_end(void **arg)
{
	static const uint64_t times[] = { 999, 1000, 999999, 1000999,
	    3599999000 };
	struct proto_output o = { 0 };
	size_t i;

	(void)arg;
	proto_hello(&o);
	proto_begin(&o, "t");
	for (i = 0; i < NITEMS(times); i++)
		proto_time(&o, "t", times[i]);
	proto_end(&o);
	proto_begin(&o, "n");
	proto_truth(&o, "a", false);
	proto_end(&o);
	proto_done(&o);
	proto_error(&o, 64, "not so (1)");
	o.buf[o.len] = '\0';
	assert_string_equal(o.buf, "spawnd 1\nt t=0.000 t=0.001 t=0.999 "
	    "t=1.000 t=3599.999\nn a=no\nend\nerror 64 not so (1)\n");
	proto_free(&o);
	assert_null(o.buf);
}

static void
no_line_is_too_long_for_who_reads_it(void **arg)
{
	struct proto_output o = { 0 };
	char text[5000], key[] = "k0";
	int i;

	(void)arg;
	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	proto_begin(&o, "pool");
	proto_text(&o, "jail", text);
	proto_end(&o);
	assert_between(o.len, PROTO_VALUE, PROTO_LINE - 1);
	assert_int_equal(o.buf[o.len - 1], '\n');
	/* What fits is not cut. */
	o.len = 0;
	memset(text, 'a', PROTO_VALUE + 1);
	text[PROTO_VALUE + 1] = '\0';
	proto_text(&o, "k", text);
	assert_int_equal(o.len, strlen(" k=") + PROTO_VALUE);
	o.len = 0;
	text[PROTO_VALUE - 1] = '\n';
	proto_text(&o, "k", text);
	assert_int_equal(o.len, strlen(" k=") + PROTO_VALUE - 1);
	memset(text, '\n', sizeof(text) - 1);
	o.len = 0;
	proto_error(&o, 64, text);
	assert_between(o.len, 1000, PROTO_LINE - 1);
	/* The longest line that is taken. */
	o.len = 0;
	memset(text, 'a', sizeof(text) - 1);
	proto_begin(&o, "pool");
	for (i = 0; i < 6; i++)
		proto_text(&o, "k", text);
	text[PROTO_LINE - 1 - strlen("pool") - 6 * (PROTO_VALUE + 3) - 3] =
	    '\0';
	proto_text(&o, "k", text);
	proto_end(&o);
	assert_int_equal(o.len, PROTO_LINE);
	assert_int_equal(o.buf[o.len - 1], '\n');
	o.len -= 2;
	proto_text(&o, "", "");
	proto_end(&o);
	assert_int_equal(o.len, 0);
	memset(text, '\n', sizeof(text) - 1);
	/* A record of many such values is left out whole. */
	o.len = 0;
	proto_begin(&o, "pool");
	for (i = 0; i < 9; i++, key[1]++)
		proto_text(&o, key, text);
	proto_end(&o);
	assert_int_equal(o.len, 0);
	proto_free(&o);
}

static void
what_is_no_record_is_refused(void **arg)
{
	static const char *const bad[] = { "", " a=b", "A", "a=b", "a b",
	    "a =b", "a B=c", "a b=\\x0", "a b=\\x00", "a b=\\y41", "a b=\\",
	    "error", "error x y", "error 64", "a b=c d",
	    "aaaaaaaaaabbbbbbbbbbccccccccccdd" };
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record r = { .fields = fields };
	char text[256], many[8 * PROTO_FIELDS] = "a";
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(bad); i++) {
		strlcpy(text, bad[i], sizeof(text));
		if (proto_parse(text, &r) != -1)
			fail_msg("\"%s\" is taken", bad[i]);
	}
	for (i = 0; i < PROTO_FIELDS + 1; i++)
		strlcat(many, " b=c", sizeof(many));
	assert_int_equal(proto_parse(many, &r), -1);
}

static void
an_error_has_a_status_and_a_text(void **arg)
{
	char text[] = "error 77 not for\\x0ayou";
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record r = { .fields = fields };

	(void)arg;
	assert_int_equal(proto_parse(text, &r), 0);
	assert_string_equal(r.kind, "error");
	assert_string_equal(proto_get(&r, "status"), "77");
	assert_string_equal(proto_get(&r, "text"), "not for\nyou");
}

static void
only_plain_numbers_are_numbers(void **arg)
{
	static const char *const bad[] = { "", ".", "1.", ".5", "-1", "1e9",
	    "0x1", "nan", "inf", "1 ", "1.2.3", "111111111111111111111" };
	struct proto_field field = { "n", NULL };
	struct proto_record r = { "a", 1, &field };
	double n;
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(bad); i++) {
		field.value = bad[i];
		assert_false(proto_get_number(&r, "n", &n));
	}
	field.value = "007.50";
	assert_true(proto_get_number(&r, "n", &n));
	assert_true(n > 7.49 && n < 7.51);
}

#define TEST(name)	cmocka_unit_test_setup(name, begin)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_become_lines),
		TEST(the_last_line_needs_no_end),
		TEST(a_line_has_a_greatest_length),
		TEST(control_bytes_are_junk),
		TEST(a_command_is_words),
		TEST(a_range_is_one_number_or_two),
		TEST(what_is_written_is_read_back),
		TEST(an_answer_has_a_beginning_and_an_end),
		TEST(no_line_is_too_long_for_who_reads_it),
		TEST(what_is_no_record_is_refused),
		TEST(an_error_has_a_status_and_a_text),
		TEST(only_plain_numbers_are_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
