/* SPDX-License-Identifier: ISC */
/* Signals by name and number. */
#include <signal.h>

#include "base/base.h"
#include "unit.h"

static void
names_with_and_without_sig_in_any_case(void **arg)
{
	(void)arg;
	assert_int_equal(signame_number("TERM"), SIGTERM);
	assert_int_equal(signame_number("SIGTERM"), SIGTERM);
	assert_int_equal(signame_number("sigterm"), SIGTERM);
	assert_int_equal(signame_number("Usr1"), SIGUSR1);
	assert_int_equal(signame_number("SIGWINCH"), SIGWINCH);
}

static void
numbers(void **arg)
{
	char digits[16];

	(void)arg;
	assert_int_equal(signame_number("15"), 15);
	assert_int_equal(signame_number("1"), 1);
	snprintf(digits, sizeof(digits), "%d", NSIG - 1);
	assert_int_equal(signame_number(digits), NSIG - 1);
}

static void
what_is_none_is_refused(void **arg)
{
	static const char *const bad[] = { "", "0", "-1", "SIG", "15x",
	    "TERMINATE", "TER", "SIGSIGTERM", "TERM ", " TERM", "+15",
	    "SIG15", "999", "99999999999999999999" };
	char digits[16];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(bad); i++) {
		if (signame_number(bad[i]) != -1)
			fail_msg("'%s' was taken", bad[i]);
	}
	snprintf(digits, sizeof(digits), "%d", NSIG);
	assert_int_equal(signame_number(digits), -1);
}

static void
every_name_leads_back_to_its_number(void **arg)
{
	int signo, known = 0;

	(void)arg;
	for (signo = 1; signo < NSIG; signo++) {
		const char *name = signame_name(signo);

		if (name == NULL)
			continue;
		known++;
		assert_int_equal(signame_number(name), signo);
	}
	assert_true(known >= 25);
}

static void
numbers_without_a_name(void **arg)
{
	(void)arg;
	assert_string_equal(signame_name(SIGSEGV), "SEGV");
	assert_null(signame_name(0));
	assert_null(signame_name(-1));
	assert_null(signame_name(NSIG));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_with_and_without_sig_in_any_case),
		cmocka_unit_test(numbers),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(every_name_leads_back_to_its_number),
		cmocka_unit_test(numbers_without_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
