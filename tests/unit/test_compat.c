/* SPDX-License-Identifier: ISC */
/* Command lines of the other names, and what they come to. */
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "words.h"

static char *made;	/* a path that was put together */

static int
named_words(const char *name, const char *const *list)
{
	words[0] = (char *)name;
	memset(&e, 0, sizeof(e));
	return compat_parse(&c, words_add(1, list), words, &e);
}

#define named(name, ...) \
	named_words((name), (const char *const[]){ __VA_ARGS__, NULL })

#define accepted(...) do {						\
	if (named(__VA_ARGS__) == -1)					\
		fail_msg("%s", e.text);					\
} while (0)

#define refused(want, ...) do {						\
	assert_int_equal(named(__VA_ARGS__), -1);			\
	assert_int_equal(e.status, EX_USAGE);				\
	assert_has(e.text, (want));					\
} while (0)

static int
forget(void **arg)
{
	free(made);
	made = NULL;
	return words_forget(arg);
}

/* An option with its value, and the member it is found in. */
struct translation {
	const char	*name, *opt, *value;
	size_t		 member;
	int		 number;	/* what an int becomes */
	bool		 text;		/* or is it a string, as it is */
};

#define TEXT(name, opt, value, m) \
	{ (name), (opt), (value), offsetof(struct conf, m), 0, true }
#define NUMBER(name, opt, value, m, n) \
	{ (name), (opt), (value), offsetof(struct conf, m), (n), false }

static const struct translation translations[] = {
	TEXT("spawn-fcgi", "-d", "/srv", chdir),
	TEXT("spawn-fcgi", "-P", "/run/x.pid", pidfile),
	TEXT("spawn-fcgi", "-c", "/jail", chroot),
	TEXT("spawn-fcgi", "-u", "app", user),
	TEXT("spawn-fcgi", "-U", "www", socket_user),
	TEXT("spawn-fcgi", "-G", "www", socket_group),
	NUMBER("spawn-fcgi", "-M", "0600", socket_mode, 0600),
	NUMBER("spawn-fcgi", "-C", "3", php_children, 3),
	NUMBER("spawn-fcgi", "-F", "7", workers, 7),
	NUMBER("spawn-fcgi", "-b", "5", backlog, 5),
	TEXT("kfcgi", "-p", "/jail", chroot),
	TEXT("kfcgi", "-s", "/jail/a.sock", socket),
	TEXT("kfcgi", "-u", "www", socket_user),
	TEXT("kfcgi", "-U", "app", user),
	NUMBER("kfcgi", "-n", "7", workers, 7),
	NUMBER("kfcgi", "-l", "5", backlog, 5),
	NUMBER("multiwatch", "-f", "7", workers, 7),
	NUMBER("multiwatch", "--forks", "7", workers, 7),
	NUMBER("multiwatch", "-s", "TERM", stop_signal, SIGTERM),
	NUMBER("multiwatch", "--signal", "HUP", stop_signal, SIGHUP),
};

static void
options_have_their_member(void **arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(translations); i++) {
		const struct translation *t = &translations[i];
		const char *at = (const char *)&c + t->member;

		if (strcmp(t->name, "spawn-fcgi") == 0)
			accepted(t->name, "-s/x", t->opt, t->value, "/app");
		else
			accepted(t->name, t->opt, t->value, "/app");
		if (t->text)
			assert_string_equal(*(const char *const *)at,
			    t->value);
		else
			assert_int_equal(*(const int *)at, t->number);
		assert_int_equal(c.argc, 1);
		assert_string_equal(c.argv[0], "/app");
	}
}

static void
only_the_base_name_counts(void **arg)
{
	(void)arg;
	accepted("/usr/local/bin/multiwatch", "/app");
	assert_true(c.inherited_only);
	assert_string_equal(getprogname(), "multiwatch");
	accepted("/opt/multiwatch/spawnd", "-n", "/app");
	assert_false(c.inherited_only);
	assert_string_equal(getprogname(), "spawnd");
	accepted("spawn-fcgi.old", "-n", "/app");
	assert_int_equal(c.env_base, ENV_ALLOWED);
	assert_int_equal(c.error_status, 0);
}

static void
spawn_fcgi_is_as_it_was(void **arg)
{
	(void)arg;
	accepted("spawn-fcgi", "-s", "/run/a.sock", "/app");
	assert_string_equal(c.socket, "/run/a.sock");
	assert_null(c.address);
	assert_int_equal(c.workers, 1);
	assert_int_equal(c.env_base, ENV_WHOLE);
	assert_int_equal(c.worker_log, WORKER_LOG_NONE);
	assert_int_equal(c.umask, UMASK_KEEP);
	assert_int_equal(c.socket_mode, -1);
	assert_true(c.mode_by_umask);
	assert_true(c.root_stays);
	assert_true(c.cwd_stays);
	assert_true(c.titled);
	assert_true(c.pidfile_public);
	assert_true(c.worker_status);
	assert_false(c.no_new_privs);
	assert_false(c.confine);
	assert_false(c.foreground);
	assert_false(c.becomes_app);
	assert_int_equal(c.error_status, 255);
	assert_string_equal(c.outcome, "child spawned successfully: PID: ");
}

static void
spawn_fcgi_listens_everywhere(void **arg)
{
	(void)arg;
	accepted("spawn-fcgi", "-p", "9000", "/app");
	assert_string_equal(c.address, "0.0.0.0");
	assert_int_equal(c.port, 9000);
	accepted("spawn-fcgi", "-p9000", "-a", "::", "/app");
	assert_string_equal(c.address, "::");
	assert_true(c.system_families);
}

static void
spawn_fcgi_ignores_what_is_about_other_sockets(void **arg)
{
	(void)arg;
	accepted("spawn-fcgi", "-p1", "-M0666", "-Uwww", "-Gwww", "-S",
	    "/app");
	assert_int_equal(c.socket_mode, -1);
	assert_null(c.socket_user);
	assert_null(c.socket_group);
	assert_false(c.socket_outside);
	accepted("spawn-fcgi", "-s/x", "-a", "1.2.3.4", "/app");
	assert_null(c.address);
}

static void
spawn_fcgi_can_be_without_a_supervisor(void **arg)
{
	(void)arg;
	accepted("spawn-fcgi", "-n", "-s/x", "-P/run/pid", "-F4", "/app");
	assert_true(c.becomes_app);
	assert_true(c.foreground);
	assert_null(c.pidfile);
	assert_int_equal(c.env_base, ENV_EXACT);
}

static void
operands_win_over_a_command(void **arg)
{
	(void)arg;
	accepted("spawn-fcgi", "-s/x", "-f", "run me", "/app");
	assert_null(c.command);
	assert_string_equal(c.argv[0], "/app");
	accepted("spawn-fcgi", "-s/x", "-f", "run me");
	assert_string_equal(c.command, "run me");
	assert_int_equal(c.argc, 0);
}

static void
an_application_is_where_it_starts(void **arg)
{
	(void)arg;
	accepted("spawn-fcgi", "-s/x", "-d", "/srv", "--", "./app", "-x");
	made = c.argv[0];
	assert_string_equal(made, "/srv/./app");
	assert_false(c.cwd_stays);
	free(made);
	made = NULL;
	accepted("spawn-fcgi", "-s/x", "app");
	assert_string_equal(c.argv[0], "app");
	accepted("spawn-fcgi", "-s/x", "-d/srv", "/app");
	assert_string_equal(c.argv[0], "/app");
}

static void
options_may_follow_operands(void **arg)
{
	(void)arg;
	accepted("spawn-fcgi", "/app", "-s", "/x", "one", "-F2", "two", "--",
	    "-F3", "--");
	assert_string_equal(c.socket, "/x");
	assert_int_equal(c.workers, 2);
	assert_int_equal(c.argc, 5);
	assert_string_equal(c.argv[0], "/app");
	assert_string_equal(c.argv[1], "one");
	assert_string_equal(c.argv[2], "two");
	assert_string_equal(c.argv[3], "-F3");
	assert_string_equal(c.argv[4], "--");
	assert_null(c.argv[5]);
}

static void
spawn_fcgi_refuses(void **arg)
{
	(void)arg;
	refused("no socket given", "spawn-fcgi", "/app");
	refused("no application given", "spawn-fcgi", "-s/x");
	refused("application: must not be empty", "spawn-fcgi", "-s/x", "");
	refused("-p: 1: a pool has one", "spawn-fcgi", "-s/x", "-p1", "/app");
	if (geteuid() == 0)
		refused("-g: www: needs a user", "spawn-fcgi", "-s/x", "-gwww",
		    "/app");
	refused("-Z: no such option", "spawn-fcgi", "-Z", "-s/x", "/app");
	refused("--workers: no such option", "spawn-fcgi", "--workers=2",
	    "-s/x", "/app");
	refused("-F: 0: too small", "spawn-fcgi", "-F0", "-s/x", "/app");
	refused("-s: needs a value", "spawn-fcgi", "-n", "-s");
}

static void
kfcgi_is_as_it_was(void **arg)
{
	(void)arg;
	accepted("kfcgi", "-u", "www", "-U", "app", "--", "/fcgi-bin/app");
	assert_string_equal(c.chroot, "/var/www");
	assert_string_equal(c.socket, "/var/www/run/httpd.sock");
	assert_true(c.socket_outside);
	assert_string_equal(c.socket_user, "www");
	assert_string_equal(c.user, "app");
	assert_int_equal(c.workers, 5);
	assert_int_equal(c.backlog, 10);
	assert_int_equal(c.socket_mode, -1);
	assert_int_equal(c.env_base, ENV_WHOLE);
	assert_int_equal(c.error_status, 1);
	assert_false(c.mode_by_umask);
	assert_false(c.root_stays);
	assert_false(c.foreground);
	accepted("kfcgi", "-dv", "-n", "3", "-l0", "/app");
	assert_true(c.foreground);
	assert_int_equal(c.backlog, 6);
	assert_string_equal(c.socket_user, "0");
}

static void
kfcgi_can_be_variable(void **arg)
{
	(void)arg;
	accepted("kfcgi", "-n3", "-r", "/app");
	assert_int_equal(c.workers, 3);
	assert_int_equal(c.max_workers, 6);
	assert_int_equal(c.idle_timeout, 300);
	assert_int_equal(c.backlog, 12);
	accepted("kfcgi", "-w7", "-N8", "-r", "/app");
	assert_int_equal(c.max_workers, 8);
	assert_int_equal(c.idle_timeout, 7);
	assert_int_equal(c.backlog, 16);
	accepted("kfcgi", "-w7", "-N8", "/app");
	assert_int_equal(c.max_workers, -1);
	assert_int_equal(c.idle_timeout, -1);
	assert_int_equal(c.backlog, 10);
}

static void
kfcgi_refuses(void **arg)
{
	(void)arg;
	refused("no application given", "kfcgi", "-u", "www");
	refused("-n: 0: too small", "kfcgi", "-n0", "/app");
	refused("-N: x: invalid", "kfcgi", "-Nx", "/app");
}

static void
multiwatch_is_as_it_was(void **arg)
{
	(void)arg;
	accepted("multiwatch", "--", "/app", "-f", "3");
	assert_int_equal(c.workers, 1);
	assert_int_equal(c.argc, 3);
	assert_true(c.foreground);
	assert_true(c.inherited_only);
	assert_true(c.stop_by_any);
	assert_true(c.root_stays);
	assert_int_equal(c.stop_signal, SIGUSR1);
	assert_int_equal(c.env_base, ENV_WHOLE);
	assert_int_equal(c.worker_log, WORKER_LOG_INHERIT);
	assert_int_equal(c.error_status, 255);
	accepted("multiwatch", "/app", "-f", "3", "--retry=1", "-t", "500");
	assert_int_equal(c.workers, 3);
	assert_int_equal(c.argc, 1);
}

static void
multiwatch_refuses(void **arg)
{
	(void)arg;
	refused("no application given", "multiwatch", "-f", "2");
	refused("-f: 0: too small", "multiwatch", "-f0", "/app");
	refused("--retry: 0: too small", "multiwatch", "--retry", "0",
	    "/app");
	refused("-t: 1s: invalid", "multiwatch", "-t1s", "/app");
	refused("-s: KILL: this signal cannot", "multiwatch", "-sKILL", "/app");
}

static void
help_and_version_need_no_application(void **arg)
{
	static const char *const all[] = { "spawn-fcgi", "multiwatch" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(all); i++) {
		accepted(all[i], "-h");
		assert_true(c.help);
		accepted(all[i], "-v");
		assert_true(c.version);
	}
	accepted("kfcgi", "-h");
	assert_true(c.help);
}

/* Typed or not. */
static void
messages_call_an_option_as_the_name_does(void **arg)
{
	(void)arg;
	accepted("kfcgi", "-U", "app", "-u", "www", "-p", "/jail", "/app");
	assert_string_equal(OPT(&c, user), "-U");
	assert_string_equal(OPT(&c, socket_user), "-u");
	assert_string_equal(OPT(&c, chroot), "-p");
	assert_string_equal(OPT(&c, workers), "-n");
	assert_string_equal(OPT(&c, backlog), "-l");
	assert_string_equal(OPT(&c, socket), "-s");
	assert_string_equal(OPT(&c, socket_outside), "-s");
	accepted("spawn-fcgi", "-s/x", "/app");
	assert_string_equal(OPT(&c, user), "-u");
	assert_string_equal(OPT(&c, workers), "-F");
	accepted("multiwatch", "/app");
	assert_string_equal(OPT(&c, workers), "-f");
}

static void
messages_call_an_option_as_it_was_typed_last(void **arg)
{
	(void)arg;
	accepted("multiwatch", "--forks=2", "/app");
	assert_string_equal(OPT(&c, workers), "--forks");
	accepted("spawnd", "--user", "a", "-vuroot", "/app");
	assert_string_equal(OPT(&c, user), "-u");
	assert_string_equal(OPT(&c, group), "-g");
	accepted("spawnd", "-ua", "--user=b", "--socket", "/run/s",
	    "--socket-before-chroot", "/app");
	assert_string_equal(OPT(&c, user), "--user");
	assert_string_equal(OPT(&c, socket), "--socket");
	assert_string_equal(OPT(&c, socket_outside),
	    "--socket-before-chroot");
	refused("--port: 80: a pool has one listen socket, and -s /run/s "
	    "names another", "spawnd", "-s", "/run/s", "--port", "80",
	    "/app");
	refused("--workers: 0: needs an upper bound (-N", "spawnd",
	    "--workers=0", "/app");
	if (geteuid() == 0)
		refused("-g: 5: needs a user (-u)", "spawn-fcgi", "-s/x",
		    "-g5", "/app");
}

#define TEST(f)	cmocka_unit_test_teardown(f, forget)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_have_their_member),
		TEST(only_the_base_name_counts),
		TEST(spawn_fcgi_is_as_it_was),
		TEST(spawn_fcgi_listens_everywhere),
		TEST(spawn_fcgi_ignores_what_is_about_other_sockets),
		TEST(spawn_fcgi_can_be_without_a_supervisor),
		TEST(operands_win_over_a_command),
		TEST(an_application_is_where_it_starts),
		TEST(options_may_follow_operands),
		TEST(spawn_fcgi_refuses),
		TEST(kfcgi_is_as_it_was),
		TEST(kfcgi_can_be_variable),
		TEST(kfcgi_refuses),
		TEST(multiwatch_is_as_it_was),
		TEST(multiwatch_refuses),
		TEST(help_and_version_need_no_application),
		TEST(messages_call_an_option_as_the_name_does),
		TEST(messages_call_an_option_as_it_was_typed_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
