/* SPDX-License-Identifier: ISC */
/* Text that others have written: escaped, quoted, and read as a size. */
#include <stdlib.h>

#include "base/base.h"
#include "unit.h"

static char shown[64];

static const char *
escape(const char *text, bool strict)
{
	text_escape(shown, sizeof(shown), text, strlen(text), strict);
	return shown;
}

static void
no_terminal_obeys_it(void **arg)
{
	static const char *const pairs[][2] = {
		{ "plain caf\xc3\xa9 \xe2\x96\x88", NULL },
		{ "\x1b[2J", "\\x1b[2J" },
		{ "a\rb\x7f", "a\\x0db\\x7f" },
		{ "\x9b" "2J", "\\x9b2J" },		/* C1, one byte */
		{ "\xc2\x9b" "2J", "\\xc2\\x9b2J" },	/* and as UTF-8 */
		{ "\xe2\x80\xae", "\\xe2\\x80\\xae" },	/* right to left */
		{ "\xc0\x9b", "\\xc0\\x9b" },		/* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },	/* a surrogate */
		{ "\xf0\x9f\x98", "\\xf0\\x9f\\x98" },	/* cut off */
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(pairs); i++)
		assert_string_equal(escape(pairs[i][0], true),
		    pairs[i][1] != NULL ? pairs[i][1] : pairs[i][0]);
}

static void
a_log_keeps_what_is_no_control(void **arg)
{
	(void)arg;
	assert_string_equal(escape("a\tb\x1b\x7f\xc2\x9b", false),
	    "a\\x09b\\x1b\\x7f\\xc2\\x9b");
	assert_string_equal(escape("\xe9\xe2\x80\xae\xff", false),
	    "\xe9\xe2\x80\xae\xff");
	assert_string_equal(escape("\xe9\xc2\x9b", false),
	    "\xe9\\xc2\\x9b");
}

static void
characters_are_left_out_whole(void **arg)
{
	char buf[8];

	(void)arg;
	assert_int_equal(text_escape(buf, 4, "\xc3\xa9\xc3\xa9", 4, true), 2);
	assert_string_equal(buf, "\xc3\xa9");
	assert_int_equal(text_escape(buf, 5, "a\x1b", 2, true), 1);
	assert_int_equal(text_escape(buf, 6, "a\x1b", 2, true), 5);
	assert_int_equal(text_escape(buf, 8, "ab", 1, true), 1);
}

static void
what_is_printed_is_escaped(void **arg)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)arg;
	assert_non_null(f);
	text_print(f, "a\x1b\xc3\xa9\xe2\x80\xae\xff!x", 9);
	fclose(f);
	assert_string_equal(text, "a\\x1b\xc3\xa9\\xe2\\x80\\xae\\xff!");
	free(text);
}

static void
words_are_quoted_for_a_shell(void **arg)
{
	static const char *const pairs[][2] = {
		{ "/bin/app", "/bin/app" }, { "", "''" }, { "a b", "'a b'" },
		{ "it's", "'it'\\''s'" }, { "'", "''\\'''" },
		{ "$x", "'$x'" }, { "a[1]", "'a[1]'" },
	};
	char *word;
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(pairs); i++) {
		word = text_quote(pairs[i][0]);
		assert_string_equal(word, pairs[i][1]);
		free(word);
	}
}

static void
sizes_have_units(void **arg)
{
	static const struct {
		const char	*text;
		uint64_t	 value;
	} good[] = {
		{ "0", 0 }, { "17", 17 }, { "1K", 1024 }, { "2M", 2 << 20 },
		{ "3G", UINT64_C(3) << 30 }, { "9223372036854775807",
		    INT64_MAX },
	};
	static const char *const bad[] = { "", "K", "1k", "1T", "-1", "+1",
	    " 1", "1 ", "1KK", "0x10", "1.5G",
	    "9223372036854775808", "9223372036854775807K",
	    "00000000000000000000000000001" };
	uint64_t n;
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(good); i++) {
		assert_int_equal(text_size(good[i].text,
		    strlen(good[i].text), &n), 0);
		assert_int_equal(n, good[i].value);
	}
	for (i = 0; i < NITEMS(bad); i++)
		assert_int_equal(text_size(bad[i], strlen(bad[i]), &n), -1);
	assert_int_equal(text_size("12:34", 2, &n), 0);
	assert_int_equal(n, 12);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_terminal_obeys_it),
		cmocka_unit_test(a_log_keeps_what_is_no_control),
		cmocka_unit_test(characters_are_left_out_whole),
		cmocka_unit_test(what_is_printed_is_escaped),
		cmocka_unit_test(words_are_quoted_for_a_shell),
		cmocka_unit_test(sizes_have_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
