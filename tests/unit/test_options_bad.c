/* SPDX-License-Identifier: ISC */
/* The command line: every way to get it wrong. */
#include <sysexits.h>

#include "words.h"

static void
long_names_are_not_abbreviated(void **arg)
{
	static const char *const shorter[] = { "--socke", "--worker",
	    "--socket-", "--stop", "--fore", "--c", "--", "--envfile",
	    "--Socket" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(shorter); i++) {
		if (strcmp(shorter[i], "--") == 0)
			continue;
		assert_int_equal(parse(shorter[i], "1", "/app", NULL), -1);
		assert_int_equal(e.status, EX_USAGE);
		assert_has(e.text, shorter[i]);
		assert_has(e.text, "no such option");
	}
}

/* What later versions may have is unknown for now, not ignored. */
static void
unknown_letters_are_refused(void **arg)
{
	const char *s;
	char opt[3] = "-";

	(void)arg;
	for (s = "ABDEHIJKLOQRTVWXYZijklmoqrxyz0123456789=:"; *s; s++) {
		opt[1] = *s;
		assert_int_equal(parse(opt, "1", "/app", NULL), -1);
		assert_int_equal(e.status, EX_USAGE);
		assert_has(e.text, opt);
		assert_has(e.text, "no such option");
	}
}

static void
an_unknown_letter_in_a_cluster_is_named_alone(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-nZ", "/app", NULL), -1);
	assert_has(e.text, "-Z: ");
}

static void
a_missing_value_is_an_error(void **arg)
{
	static const char *const options[] = { "-s", "-M", "-U", "-G", "-p",
	    "-a", "-b", "-c", "-u", "-g", "-d", "-F", "-C", "-e", "-f",
	    "--allow", "--socket", "--env-file", "--name", "--umask", "--nice",
	    "--rlimit", "--no-new-privs", "--confine", "--start-timeout",
	    "--stop-signal", "--stop-timeout", "--drain" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(options); i++) {
		assert_int_equal(parse(options[i], NULL), -1);
		assert_int_equal(e.status, EX_USAGE);
		assert_has(e.text, options[i]);
		assert_has(e.text, "needs a value");
	}
}

static void
a_flag_takes_no_value(void **arg)
{
	static const char *const options[] = { "--foreground=1", "--help=",
	    "--version=2", "--socket-before-chroot=yes" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(options); i++) {
		assert_int_equal(parse(options[i], "/app", NULL), -1);
		assert_int_equal(e.status, EX_USAGE);
		assert_has(e.text, "takes no value");
	}
}

static const struct {
	const char	*option, *value;
} malformed[] = {
	{ "-M", "" }, { "-M", "8" }, { "-M", "0668" }, { "-M", "rw" },
	{ "-M", "01777" }, { "-M", "4755" }, { "-M", "00660" },
	{ "-M", "-1" }, { "-M", "+7" }, { "-M", "0x1" }, { "-M", " 660" },
	{ "-M", "660 " }, { "--umask", "9" }, { "--umask", "" },
	{ "--umask", "1000" }, { "--umask", "u=rwx" },
	{ "-p", "" }, { "-p", "0" }, { "-p", "65536" }, { "-p", "-1" },
	{ "-p", "80x" }, { "-p", " 80" }, { "-p", "+80" }, { "-p", "0x50" },
	{ "-p", "http" }, { "-p", "80 " }, { "-p", "99999999999999999999" },
	{ "-b", "0" }, { "-b", "65536" }, { "-b", "1k" }, { "-b", "" },
	{ "-F", "0" }, { "-F", "65536" }, { "-F", "-4" }, { "-F", "4 " },
	{ "-F", "four" }, { "-F", "" }, { "-F", "4.0" },
	{ "-C", "-1" }, { "-C", "65536" }, { "-C", "x" }, { "-C", "" },
	{ "--nice", "-21" }, { "--nice", "20" }, { "--nice", "+1" },
	{ "--nice", "-" }, { "--nice", "--1" }, { "--nice", "" },
	{ "--nice", "1x" },
	{ "--start-timeout", "0" }, { "--start-timeout", "86401" },
	{ "--start-timeout", "1s" }, { "--start-timeout", "" },
	{ "--drain", "-1" }, { "--drain", "86401" }, { "--drain", "1m" },
	{ "--stop-timeout", "-1" }, { "--stop-timeout", "86401" },
	{ "--stop-timeout", "1m" }, { "--stop-timeout", "1.5" },
	{ "--stop-signal", "KILL" }, { "--stop-signal", "SIGSTOP" },
	{ "--stop-signal", "9" }, { "--stop-signal", "CONT" },
	{ "--stop-signal", "CHLD" }, { "--stop-signal", "WINCH" },
	{ "--stop-signal", "NOPE" }, { "--stop-signal", "" },
	{ "--stop-signal", "0" }, { "--stop-signal", "15x" },
	{ "--stop-signal", "-15" }, { "--stop-signal", "TERM " },
	{ "--no-new-privs", "" }, { "--no-new-privs", "maybe" },
	{ "--no-new-privs", "Yes" }, { "--no-new-privs", "1" },
	{ "--confine", "" }, { "--confine", "maybe" }, { "--confine", "1" },
	{ "--name", "" }, { "--name", "a/b" }, { "--name", "." },
	{ "--name", ".." }, { "--name", "a b" }, { "--name", "caf\xc3\xa9" },
	{ "--name", "123456789012345678901234567890123" },
	{ "-e", "" }, { "-e", "=1" }, { "-e", "1A=2" }, { "-e", "A-B=1" },
	{ "-e", "A*=1" }, { "-e", "A B=1" },
	{ "-e", "LISTEN_FDS" }, { "-e", "LISTEN_FDS=1" },
	{ "-e", "NOTIFY_SOCKET" }, { "-e", "WATCHDOG_USEC=1" },
	{ "-e", "MAINPID" }, { "-e", "FCGI_LISTENSOCK_DESCRIPTORS=0" },
	{ "--env-file", "" },
	{ "--rlimit", "" }, { "--rlimit", "nofile" }, { "--rlimit", "=1" },
	{ "--rlimit", "files=1" }, { "--rlimit", "nofile=" },
	{ "--rlimit", "nofile=x" }, { "--rlimit", "nofile=-1" },
	{ "--rlimit", "nofile=1T" }, { "--rlimit", "nofile=1:" },
	{ "--rlimit", "nofile=:1" }, { "--rlimit", "nofile=2:1" },
	{ "--rlimit", "nofile=infinity:1" }, { "--rlimit", "nofile=K" },
	{ "--rlimit", "nofile=1:2:3" }, { "--rlimit", "nofile=1KK" },
	{ "--rlimit", "as=9223372036854775807G" },
	{ "--rlimit", "nofile= 1" }, { "--rlimit", "nofile=+1" },
	{ "--rlimit", "nofile=infinit" },
	{ "--allow", "" }, { "--allow", "," }, { "--allow", "10.0.0.1," },
	{ "--allow", ",10.0.0.1" }, { "--allow", "10.0.0.1,,10.0.0.2" },
	{ "--allow", "web1" }, { "--allow", "10.0.0.1 " },
	{ "--allow", "10.0.0.1/33" }, { "--allow", "10.1.0.0/8" },
	{ "--allow", "10.0.0.1:80" }, { "--allow", "[::1]" },
	{ "--allow", "*" },
	{ "-s", "" }, { "-U", "" }, { "-G", "" }, { "-a", "" }, { "-c", "" },
	{ "-u", "" }, { "-g", "" }, { "-d", "" }, { "-f", "" },
};

static void
malformed_values_are_named_with_their_option(void **arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(malformed); i++) {
		const char *o = malformed[i].option, *v = malformed[i].value;

		if (parse(o, v, "/app", NULL) != -1)
			fail_msg("%s '%s' was taken", o, v);
		if (e.status != EX_USAGE)
			fail_msg("%s '%s': status %d", o, v, e.status);
		assert_true(strncmp(e.text, o, strlen(o)) == 0);
		assert_has(e.text, ": ");
		/* Of a forbidden NAME=VALUE only the name. */
		if (strcmp(o, "-e") != 0)
			assert_has(e.text, v);
		options_free(&c);
	}
}

static void
errors_name_the_option_as_it_was_spelled(void **arg)
{
	(void)arg;
	assert_int_equal(parse("--workers", "x", "/app", NULL), -1);
	assert_true(strncmp(e.text, "--workers: x: ", 14) == 0);
	assert_int_equal(parse("--workers=x", "/app", NULL), -1);
	assert_true(strncmp(e.text, "--workers: x: ", 14) == 0);
	assert_int_equal(parse("-nFx", "/app", NULL), -1);
	assert_true(strncmp(e.text, "-F: x: ", 7) == 0);
}

static void
what_does_not_go_together(void **arg)
{
	static const char *const lines[][6] = {
		{ "-s/x", "-p9000", "/app" }, { "-a127.0.0.1", "/app" },
		{ "-p1", "-M600", "/app" }, { "-p1", "-Uwww", "/app" },
		{ "-p1", "-Gwww", "/app" }, { "-p1", "-S", "/app" },
		{ "-S", "/app" }, { "-frun", "/app" }, { "-n" }, { "--" },
		{ "app" }, { "--", "app", "arg" },
	};
	static const char *const named[] = { "-p", "-a", "-M", "-U", "-G",
	    "-S", "-S", "-f", "no application", "no application",
	    "app: needs a path", "app: needs a path" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(lines); i++) {
		assert_int_equal(parse(lines[i][0], lines[i][1], lines[i][2],
		    NULL), -1);
		assert_int_equal(e.status, EX_USAGE);
		assert_has(e.text, named[i]);
	}
	assert_int_equal(parse(NULL, NULL), -1);
	assert_has(e.text, "no application");
}

static void
help_does_not_hide_a_mistake_before_it(void **arg)
{
	(void)arg;
	assert_int_equal(parse("--bogus", "-h", NULL), -1);
	assert_int_equal(parse("-s/x", "-p1", "-h", NULL), 0);
	assert_true(c.help);
}

static void
control_bytes_in_a_value_are_shown_harmless(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-F", "1\n\033[2J", "/app", NULL), -1);
	assert_has(e.text, "1\\x0a\\x1b[2J");
	assert_null(strpbrk(e.text, "\n\033"));
}

static void
very_long_values_are_cut_not_overrun(void **arg)
{
	static char name[5000], opt[5002] = "--";

	(void)arg;
	memset(name, 'x', sizeof(name) - 1);
	memset(opt + 2, 'y', sizeof(opt) - 3);
	assert_int_equal(parse("--name", name, "/app", NULL), -1);
	assert_true(strlen(e.text) < sizeof(e.text));
	assert_int_equal(parse(opt, "/app", NULL), -1);
	assert_has(e.text, "--yyyy");
}

#define TEST(f)	cmocka_unit_test_teardown(f, words_forget)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(long_names_are_not_abbreviated),
		TEST(unknown_letters_are_refused),
		TEST(an_unknown_letter_in_a_cluster_is_named_alone),
		TEST(a_missing_value_is_an_error),
		TEST(a_flag_takes_no_value),
		TEST(malformed_values_are_named_with_their_option),
		TEST(errors_name_the_option_as_it_was_spelled),
		TEST(what_does_not_go_together),
		TEST(help_does_not_hide_a_mistake_before_it),
		TEST(control_bytes_in_a_value_are_shown_harmless),
		TEST(very_long_values_are_cut_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
