/* SPDX-License-Identifier: ISC */
/* The command line: how it is read. */
#include <signal.h>
#include <syslog.h>

#include "words.h"

/* An option with its value, tried in each of its spellings. */
struct spelling {
	const char	*letter, *name, *value;
	size_t		 member;
	const char	*text;		/* what a string member becomes */
	int		 number;	/* what an int member becomes */
};

#define TEXT(letter, name, value, m) { (letter), (name), (value), \
	offsetof(struct conf, m), (value), 0 }
#define NUMBER(letter, name, value, m, n) { (letter), (name), (value), \
	offsetof(struct conf, m), NULL, (n) }

static struct spelling spellings[] = {
	TEXT("-s", "--socket", "/run/a.sock", socket),
	NUMBER("-M", "--socket-mode", "0600", socket_mode, 0600),
	TEXT("-U", "--socket-user", "www", socket_user),
	TEXT("-G", "--socket-group", "www", socket_group),
	NUMBER("-p", "--port", "9000", port, 9000),
	TEXT("-a", "--address", "::1", address),
	NUMBER("-b", "--backlog", "17", backlog, 17),
	TEXT("-c", "--chroot", "/var/jail", chroot),
	TEXT("-u", "--user", "app", user),
	TEXT("-g", "--group", "app", group),
	TEXT("-d", "--chdir", "/htdocs", chdir),
	NUMBER("-F", "--workers", "8", workers, 8),
	NUMBER("-C", "--php-children", "3", php_children, 3),
	TEXT(NULL, "--name", "blog.example-1_x", name),
	NUMBER(NULL, "--umask", "077", umask, 077),
	NUMBER(NULL, "--nice", "-5", nice, -5),
	NUMBER(NULL, "--start-timeout", "7", start_timeout, 7),
	NUMBER(NULL, "--stop-timeout", "0", stop_timeout, 0),
	NUMBER(NULL, "--drain", "20", drain, 20),
	NUMBER(NULL, "--stop-signal", "USR1", stop_signal, SIGUSR1),
};

static void
check_value(const struct spelling *s)
{
	const char *at = (const char *)&c + s->member;

	if (s->text != NULL)
		assert_string_equal(*(const char *const *)at, s->text);
	else
		assert_int_equal(*(const int *)at, s->number);
	assert_int_equal(c.argc, 1);
	assert_string_equal(c.argv[0], "/app");
	options_free(&c);
}

/* What -a and -p need beside them. */
static const char *
beside(const struct spelling *s)
{
	return strcmp(s->name, "--address") == 0 ? "-p1" : "-n";
}

static void
check_spellings(void **arg)
{
	const struct spelling *s = *arg;
	char joined[64];

	snprintf(joined, sizeof(joined), "%s=%s", s->name, s->value);
	assert_int_equal(parse(beside(s), s->name, s->value, "/app", NULL), 0);
	check_value(s);
	assert_int_equal(parse(beside(s), joined, "/app", NULL), 0);
	check_value(s);
	if (s->letter == NULL)
		return;
	snprintf(joined, sizeof(joined), "%s%s", s->letter, s->value);
	assert_int_equal(parse(beside(s), s->letter, s->value, "/app",
	    NULL), 0);
	check_value(s);
	assert_int_equal(parse(beside(s), joined, "/app", NULL), 0);
	check_value(s);
}

static void
command_in_every_spelling(void **arg)
{
	static const char *const ways[][2] = { { "-f", "run me" },
	    { "-frun me", NULL }, { "--command", "run me" },
	    { "--command=run me", NULL } };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(ways); i++) {
		assert_int_equal(parse(ways[i][0], ways[i][1], NULL), 0);
		assert_string_equal(c.command, "run me");
		assert_int_equal(c.argc, 0);
	}
}

static void
flags_in_both_spellings(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-n", "/app", NULL), 0);
	assert_true(c.foreground);
	assert_int_equal(parse("--foreground", "/app", NULL), 0);
	assert_true(c.foreground);
	assert_int_equal(parse("-s/x", "-S", "/app", NULL), 0);
	assert_true(c.socket_outside);
	assert_int_equal(parse("-s/x", "--socket-before-chroot", "/app",
	    NULL), 0);
	assert_true(c.socket_outside);
}

static void
help_and_version_need_no_application(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-v", NULL), 0);
	assert_true(c.version);
	assert_int_equal(parse("--version", NULL), 0);
	assert_true(c.version);
	assert_int_equal(parse("-h", NULL), 0);
	assert_true(c.help);
	assert_int_equal(parse("--help", NULL), 0);
	assert_true(c.help);
	assert_int_equal(parse("-?", NULL), 0);
	assert_true(c.help);
}

static void
yes_and_no(void **arg)
{
	(void)arg;
	assert_int_equal(parse("--no-new-privs", "no", "/app", NULL), 0);
	assert_false(c.no_new_privs);
	assert_int_equal(parse("--no-new-privs=yes", "/app", NULL), 0);
	assert_true(c.no_new_privs);
	assert_int_equal(parse("--confine", "no", "/app", NULL), 0);
	assert_false(c.confine);
	assert_true(c.confine_given);
	assert_int_equal(parse("--confine=yes", "/app", NULL), 0);
	assert_true(c.confine && c.confine_given);
}

static void
defaults(void **arg)
{
	(void)arg;
	assert_int_equal(parse("/app", NULL), 0);
	assert_null(c.socket);
	assert_false(c.socket_outside);
	assert_int_equal(c.socket_mode, -1);
	assert_int_equal(c.port, 0);
	assert_null(c.address);
	assert_int_equal(c.backlog, 0);
	assert_null(c.chroot);
	assert_null(c.user);
	assert_int_equal(c.workers, -1);
	assert_int_equal(c.php_children, -1);
	assert_int_equal(c.nenv, 0);
	assert_false(c.foreground);
	assert_int_equal(c.umask, 022);
	assert_false(c.nice_given);
	assert_int_equal(c.nlimits, 0);
	assert_true(c.no_new_privs);
	assert_true(c.confine);
	assert_false(c.confine_given);
	assert_int_equal(c.start_timeout, 60);
	assert_int_equal(c.stop_timeout, 30);
	assert_int_equal(c.stop_signal, SIGTERM);
	assert_null(c.pidfile);
	assert_null(c.log);
	assert_string_equal(c.facility, "daemon");
	assert_int_equal(c.worker_log, WORKER_LOG_PREFIX);
	assert_int_equal(c.test, TEST_NO);
}

static void
pidfile(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-P", "/run/x.pid", "/app", NULL), 0);
	assert_string_equal(c.pidfile, "/run/x.pid");
	assert_int_equal(parse("--pidfile=y", "/app", NULL), 0);
	assert_string_equal(c.pidfile, "y");
}

static void
where_to_log(void **arg)
{
	(void)arg;
	assert_int_equal(parse("--log", "syslog", "/app", NULL), 0);
	assert_string_equal(c.log, "syslog");
	assert_int_equal(parse("--log=./file", "/app", NULL), 0);
	assert_string_equal(c.log, "./file");
	assert_int_equal(parse("--log=file", "/app", NULL), -1);
	assert_has(e.text, "--log: file: must be syslog, stderr or a file");
	assert_int_equal(parse("--syslog-facility", "LOCAL3", "/app", NULL),
	    0);
	assert_int_equal(syslog_facility(c.facility), LOG_LOCAL3);
	assert_int_equal(parse("--syslog-facility=local8", "/app", NULL), -1);
	assert_has(e.text, "--syslog-facility: local8: no such facility");
}

static void
forms_of_the_workers_log(void **arg)
{
	(void)arg;
	assert_int_equal(parse("--worker-log", "raw", "/app", NULL), 0);
	assert_int_equal(c.worker_log, WORKER_LOG_RAW);
	assert_int_equal(parse("--worker-log=none", "/app", NULL), 0);
	assert_int_equal(c.worker_log, WORKER_LOG_NONE);
	assert_int_equal(parse("--worker-log=Raw", "/app", NULL), -1);
	assert_has(e.text, "--worker-log: Raw: must be prefix, raw or none");
}

static void
a_test_may_be_strict(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-t", "/app", NULL), 0);
	assert_int_equal(c.test, TEST_YES);
	assert_int_equal(parse("-tn", "/app", NULL), 0);
	assert_int_equal(c.test, TEST_YES);
	assert_true(c.foreground);
	assert_int_equal(parse("-t=strict", "/app", NULL), 0);
	assert_int_equal(c.test, TEST_STRICT);
	assert_int_equal(parse("--test=strict", "/app", NULL), 0);
	assert_int_equal(c.test, TEST_STRICT);
	assert_int_equal(parse("--test", "strict", NULL), -1);
	assert_int_equal(parse("--test=lax", "/app", NULL), -1);
	assert_has(e.text, "--test: lax: only =strict is known");
}

static void
letters_can_be_clustered(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-nSF2", "-s/x", "/app", NULL), 0);
	assert_true(c.foreground);
	assert_true(c.socket_outside);
	assert_int_equal(c.workers, 2);
	assert_int_equal(parse("-nF", "3", "/app", NULL), 0);
	assert_int_equal(c.workers, 3);
}

/* The rest of the word is the value, letters of options though they are. */
static void
a_value_ends_the_cluster(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-snvh", "/app", NULL), 0);
	assert_string_equal(c.socket, "nvh");
	assert_false(c.foreground);
	assert_false(c.version);
}

static void
a_value_may_look_like_an_option(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-s", "-n", "--chdir", "--", "/app", NULL), 0);
	assert_string_equal(c.socket, "-n");
	assert_string_equal(c.chdir, "--");
	assert_false(c.foreground);
}

static void
a_value_may_have_equal_signs(void **arg)
{
	(void)arg;
	assert_int_equal(parse("--socket=a=b", "/app", NULL), 0);
	assert_string_equal(c.socket, "a=b");
	assert_int_equal(parse("-s=x", "/app", NULL), 0);
	assert_string_equal(c.socket, "=x");
}

static void
two_dashes_end_the_options(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-n", "--", "-F/app", "-h", NULL), 0);
	assert_int_equal(c.argc, 2);
	assert_string_equal(c.argv[0], "-F/app");
	assert_string_equal(c.argv[1], "-h");
	assert_null(c.argv[2]);
	assert_false(c.help);
	assert_int_equal(parse("--", "--", NULL), -1);
	assert_int_equal(parse("--", "/app", "--", NULL), 0);
	assert_int_equal(c.argc, 2);
}

static void
the_first_operand_ends_the_options(void **arg)
{
	(void)arg;
	assert_int_equal(parse("/app", "-n", "--bogus", NULL), 0);
	assert_int_equal(c.argc, 3);
	assert_string_equal(c.argv[1], "-n");
	assert_false(c.foreground);
}

static void
a_dash_alone_is_an_operand(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-", "/app", NULL), -1);
	assert_has(e.text, "-: ");
	assert_int_equal(parse("-n", "./-", "-", NULL), 0);
	assert_int_equal(c.argc, 2);
}

static void
the_last_one_wins(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-F1", "-s/a", "--workers", "2", "-s", "/b",
	    "--stop-signal=INT", "--stop-signal=HUP", "/app", NULL), 0);
	assert_int_equal(c.workers, 2);
	assert_string_equal(c.socket, "/b");
	assert_int_equal(c.stop_signal, SIGHUP);
}

static void
environment_options_add_up_in_order(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-e", "A=1", "--env-file", "/f", "-eLC_*",
	    "--env=A=2", "/app", NULL), 0);
	assert_int_equal(c.nenv, 4);
	assert_int_equal(c.env[0].kind, ENV_SET);
	assert_string_equal(c.env[0].text, "A=1");
	assert_int_equal(c.env[1].kind, ENV_FILE);
	assert_string_equal(c.env[1].text, "/f");
	assert_int_equal(c.env[2].kind, ENV_PASS);
	assert_string_equal(c.env[2].text, "LC_*");
	assert_int_equal(c.env[3].kind, ENV_SET);
	assert_string_equal(c.env[3].text, "A=2");
}

static void
an_empty_value_can_be_set(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-e", "A=", "/app", NULL), 0);
	assert_int_equal(c.env[0].kind, ENV_SET);
}

static void
limits_add_up(void **arg)
{
	(void)arg;
	assert_int_equal(parse("--rlimit", "nofile=64:1K",
	    "--rlimit=core=infinity", "--rlimit", "AS=2G", "--rlimit",
	    "stack=8M:infinity", "/app", NULL), 0);
	assert_int_equal(c.nlimits, 4);
	assert_int_equal(c.limits[0].resource, RLIMIT_NOFILE);
	assert_int_equal(c.limits[0].value.rlim_cur, 64);
	assert_true(c.limits[0].has_hard);
	assert_int_equal(c.limits[0].value.rlim_max, 1024);
	assert_int_equal(c.limits[1].resource, RLIMIT_CORE);
	assert_true(c.limits[1].value.rlim_cur == RLIM_INFINITY);
	assert_false(c.limits[1].has_hard);
	assert_int_equal(c.limits[2].resource, RLIMIT_AS);
	assert_true(c.limits[2].value.rlim_cur == (rlim_t)2 << 30);
	assert_true(c.limits[3].value.rlim_cur == 8 << 20);
	assert_true(c.limits[3].value.rlim_max == RLIM_INFINITY);
}

static void
the_last_limit_of_a_resource_wins(void **arg)
{
	(void)arg;
	assert_int_equal(parse("--rlimit=cpu=1", "--rlimit=core=0",
	    "--rlimit=cpu=2", "/app", NULL), 0);
	assert_int_equal(c.nlimits, 2);
	assert_int_equal(c.limits[0].resource, RLIMIT_CPU);
	assert_int_equal(c.limits[0].value.rlim_cur, 2);
}

static void
every_resource_has_a_name(void **arg)
{
	static const char *const names[] = { "as", "core", "cpu", "data",
	    "fsize", "memlock", "nofile", "nproc", "stack" };
	char word[32];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(names); i++) {
		snprintf(word, sizeof(word), "--rlimit=%s=9", names[i]);
		assert_int_equal(parse(word, "/app", NULL), 0);
		assert_string_equal(c.limits[0].name, names[i]);
		options_free(&c);
	}
}

static void
the_limits_of_numbers_are_taken(void **arg)
{
	(void)arg;
	assert_int_equal(parse("-F65535", "-C0", "-b65535", "--nice=19",
	    "--stop-timeout=86400", "-M0", "-p65535", "/app", NULL), -1);
	assert_int_equal(parse("-F65535", "-C0", "-b65535", "--nice=19",
	    "--stop-timeout=86400", "-p65535", "/app", NULL), 0);
	assert_int_equal(c.workers, 65535);
	assert_int_equal(c.php_children, 0);
	assert_int_equal(c.port, 65535);
	assert_int_equal(c.nice, 19);
	assert_true(c.nice_given);
	assert_int_equal(parse("-M777", "--nice=-20", "--name",
	    "12345678901234567890123456789012", "/app", NULL), 0);
	assert_int_equal(c.socket_mode, 0777);
	assert_int_equal(parse("-M000", "/app", NULL), 0);
	assert_int_equal(c.socket_mode, 0);
}

#define TEST(f)	cmocka_unit_test_teardown(f, words_forget)

int
main(void)
{
	const struct CMUnitTest fixed[] = {
		TEST(command_in_every_spelling),
		TEST(flags_in_both_spellings),
		TEST(help_and_version_need_no_application),
		TEST(yes_and_no),
		TEST(defaults),
		TEST(pidfile),
		TEST(where_to_log),
		TEST(forms_of_the_workers_log),
		TEST(a_test_may_be_strict),
		TEST(letters_can_be_clustered),
		TEST(a_value_ends_the_cluster),
		TEST(a_value_may_look_like_an_option),
		TEST(a_value_may_have_equal_signs),
		TEST(two_dashes_end_the_options),
		TEST(the_first_operand_ends_the_options),
		TEST(a_dash_alone_is_an_operand),
		TEST(the_last_one_wins),
		TEST(environment_options_add_up_in_order),
		TEST(an_empty_value_can_be_set),
		TEST(limits_add_up),
		TEST(the_last_limit_of_a_resource_wins),
		TEST(every_resource_has_a_name),
		TEST(the_limits_of_numbers_are_taken),
	};
	struct CMUnitTest tests[NITEMS(fixed) + NITEMS(spellings)];
	size_t i;

	memcpy(tests, fixed, sizeof(fixed));
	for (i = 0; i < NITEMS(spellings); i++)
		tests[NITEMS(fixed) + i] = (struct CMUnitTest){
		    .name = spellings[i].name,
		    .test_func = check_spellings,
		    .initial_state = &spellings[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
