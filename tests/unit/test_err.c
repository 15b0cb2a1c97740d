/* SPDX-License-Identifier: ISC */
/* Errors: one harmless line and a status. */
#include <errno.h>
#include <sysexits.h>

#include "base/base.h"
#include "unit.h"

static struct err e;

static void
a_status_and_a_line(void **arg)
{
	(void)arg;
	assert_int_equal(err_set(&e, EX_NOUSER, "%s: %d", "-u", 7), -1);
	assert_int_equal(e.status, EX_NOUSER);
	assert_string_equal(e.text, "-u: 7");
}

static void
a_later_error_replaces_an_earlier_one(void **arg)
{
	(void)arg;
	err_set(&e, EX_OSERR, "a longer text than the next");
	err_set(&e, EX_USAGE, "short");
	assert_int_equal(e.status, EX_USAGE);
	assert_string_equal(e.text, "short");
}

static void
control_bytes_are_shown_as_hex(void **arg)
{
	(void)arg;
	err_set(&e, EX_USAGE, "a\nb\r\t\033[0m\001\037\177z");
	assert_string_equal(e.text,
	    "a\\x0ab\\x0d\\x09\\x1b[0m\\x01\\x1f\\x7fz");
}

static void
other_bytes_stay(void **arg)
{
	(void)arg;
	err_set(&e, EX_USAGE, "%s", "caf\xc3\xa9 100% \\x0a ~");
	assert_string_equal(e.text, "caf\xc3\xa9 100% \\x0a ~");
}

static void
a_long_line_is_cut(void **arg)
{
	static char all[4 * ERR_SIZE];
	struct {
		struct err	 e;
		char		 guard[16];
	} box;

	(void)arg;
	memset(box.guard, 'g', sizeof(box.guard));
	memset(all, 'x', sizeof(all) - 1);
	err_set(&box.e, EX_USAGE, "%s", all);
	assert_between(strlen(box.e.text), ERR_SIZE - 16, ERR_SIZE - 1);
	memset(all, '\n', sizeof(all) - 1);
	err_set(&box.e, EX_USAGE, "%s", all);
	assert_between(strlen(box.e.text), ERR_SIZE - 16, ERR_SIZE - 1);
	assert_null(strchr(box.e.text, '\n'));
	assert_memory_equal(box.guard, "gggggggggggggggg", 16);
}

static void
missing_rights_have_a_status_of_their_own(void **arg)
{
	(void)arg;
	assert_int_equal(err_status(EACCES, EX_OSERR), EX_NOPERM);
	assert_int_equal(err_status(EPERM, EX_CANTCREAT), EX_NOPERM);
	assert_int_equal(err_status(ENOENT, EX_CANTCREAT), EX_CANTCREAT);
	assert_int_equal(err_status(0, EX_OSERR), EX_OSERR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_status_and_a_line),
		cmocka_unit_test(a_later_error_replaces_an_earlier_one),
		cmocka_unit_test(control_bytes_are_shown_as_hex),
		cmocka_unit_test(other_bytes_stay),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(missing_rights_have_a_status_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
