/* SPDX-License-Identifier: ISC */
/* Who may connect to a TCP socket, by --allow and FCGI_WEB_SERVER_ADDRS. */
#include <sys/socket.h>

#include "planned.h"

#define VARIABLE	"FCGI_WEB_SERVER_ADDRS"

/* All of the plan's list, as "ADDR ADDR". */
static const char *
allowed(void)
{
	static char text[512];
	char buf[NETWORK_SIZE];
	size_t i;

	text[0] = '\0';
	for (i = 0; i < p.nallow; i++) {
		if (i > 0)
			strlcat(text, " ", sizeof(text));
		strlcat(text, network_text(&p.allow[i], buf), sizeof(text));
	}
	return text;
}

/* Which findings of a level the plan for these words has; by a part of it. */
static bool
finds(enum finding_level level, const char *part)
{
	struct findings f = { NULL, 0 };
	bool found = false;
	size_t i;

	plan_free();
	plan_make(&p, &c, -1, &f);
	for (i = 0; i < f.n; i++)
		found |= f.list[i].level == level &&
		    strstr(f.list[i].text, part) != NULL;
	findings_free(&f);
	return found;
}

static void
without_a_list_everybody_may_connect(void **arg)
{
	(void)arg;
	planned("-p9000", "/app");
	assert_false(p.only_allowed);
	assert_null(p.clients);
	planned("-s/a", "/app");
	assert_false(p.only_allowed);
}

static void
lists_add_up(void **arg)
{
	(void)arg;
	planned("-p9000", "--allow", "10.0.0.2,192.0.2.0/24",
	    "--allow=10.0.0.1", "--allow", "192.0.2.7,::ffff:10.0.0.3",
	    "/app");
	assert_true(p.only_allowed);
	assert_string_equal(allowed(), "10.0.0.1 10.0.0.2 10.0.0.3 "
	    "192.0.2.0/24");
	assert_string_equal(p.clients, "10.0.0.1, 10.0.0.2, 10.0.0.3 and 1 "
	    "more");
}

/* Entries that cannot reach the socket are left out, and that is said. */
static void
those_of_another_family_have_no_effect(void **arg)
{
	(void)arg;
	planned("-p9000", "--allow", "10.0.0.1,::1,2001:db8::/32", "/app");
	assert_string_equal(allowed(), "10.0.0.1");
	assert_string_equal(p.clients, "10.0.0.1");
	assert_true(finds(FINDING_NOTE, "--allow: 2 of 3 addresses cannot "
	    "reach tcp:127.0.0.1:9000, which is IPv4 alone"));
	planned("-p9000", "-a::", "--allow", "10.0.0.1,::1", "/app");
	assert_string_equal(allowed(), "::1");
	assert_true(finds(FINDING_NOTE, "--allow: 1 of 2 addresses cannot "
	    "reach tcp:[::]:9000, which is IPv6 alone"));
	refused(EX_USAGE, "-p9000", "--allow=::1", "/app");
	assert_has(e.text, "--allow: names no IPv4 address: nobody could "
	    "connect to tcp:127.0.0.1:9000");
	refused(EX_USAGE, "-p9000", "-a::1", "--allow=10.0.0.1", "/app");
	assert_has(e.text, "--allow: names no IPv6 address: nobody could "
	    "connect to tcp:[::1]:9000");
}

static void
a_socket_for_both_takes_both(void **arg)
{
	(void)arg;
	planned("-p9000", "-a", "*", "--allow", "::1,10.0.0.1", "/app");
	if (!p.both_families)
		skip();
	assert_string_equal(allowed(), "10.0.0.1 ::1");
	assert_false(finds(FINDING_NOTE, "--allow"));
}

static void
only_a_tcp_socket_has_such_clients(void **arg)
{
	(void)arg;
	refused(EX_USAGE, "-s/a", "--allow=10.0.0.1", "/app");
	assert_has(e.text, "--allow: unix:/a is not a TCP socket (-U, -G and "
	    "-M say who may connect to it)");
}

static void
the_variable_is_a_list_too(void **arg)
{
	(void)arg;
	planned("-p9000", "-eFCGI_WEB_SERVER_ADDRS=10.0.0.2,,10.0.0.1,::1,",
	    "/app");
	assert_true(p.only_allowed);
	assert_string_equal(allowed(), "10.0.0.1 10.0.0.2");
	assert_string_equal(environ_get(p.envp, VARIABLE),
	    "10.0.0.2,,10.0.0.1,::1,");
	assert_false(finds(FINDING_WARNING, VARIABLE));
	/* None is as if it was not set, as libfcgi has it. */
	planned("-p9000", "-eFCGI_WEB_SERVER_ADDRS=", "/app");
	assert_false(p.only_allowed);
	/* libfcgi would let everybody in there; we do not. */
	planned("-p9000", "-a::1", "-eFCGI_WEB_SERVER_ADDRS=2001:db8::1",
	    "/app");
	assert_string_equal(allowed(), "2001:db8::1");
	assert_false(finds(FINDING_WARNING, VARIABLE));
}

static void
what_the_variable_gets_wrong_is_warned_of(void **arg)
{
	(void)arg;
	planned("-p9000", "-eFCGI_WEB_SERVER_ADDRS=10.0.0.1,web1, 10.0.0.2 ,"
	    "10.1.0.0/16,[::1],10.0.0.3 ", "/app");
	assert_string_equal(allowed(), "10.0.0.1 10.0.0.2 10.0.0.3 "
	    "10.1.0.0/16");
	assert_true(finds(FINDING_WARNING, VARIABLE ": web1: not an IPv4"));
	assert_true(finds(FINDING_WARNING, VARIABLE ": [::1]: not an address "
	    "alone (write ::1); it is left out"));
	assert_true(finds(FINDING_WARNING, VARIABLE ": 10.0.0.2: workers "
	    "with libfcgi do not let it in"));
	assert_true(finds(FINDING_WARNING, VARIABLE ": 10.1.0.0/16: workers "
	    "with libfcgi do not let it in"));
	assert_false(finds(FINDING_WARNING, "10.0.0.1"));
	assert_false(finds(FINDING_WARNING, "10.0.0.3"));
}

static void
a_variable_without_an_address_lets_nobody_in(void **arg)
{
	static const char *const none[] = { "localhost", "::1", ",", " ",
	    " , " };
	char set[64];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(none); i++) {
		snprintf(set, sizeof(set), "-e%s=%s", VARIABLE, none[i]);
		planned("-p9000", set, "/app");
		assert_true(p.only_allowed);
		assert_int_equal(p.nallow, 0);
		assert_string_equal(p.clients, "nobody");
		assert_true(finds(FINDING_WARNING, VARIABLE ": has no "
		    "address that can reach tcp:127.0.0.1:9000: it lets "
		    "nobody in"));
	}
}

static void
the_option_wins_over_the_variable(void **arg)
{
	(void)arg;
	planned("-p9000", "--allow=10.0.0.1",
	    "-eFCGI_WEB_SERVER_ADDRS=10.0.0.2,x", "/app");
	assert_string_equal(allowed(), "10.0.0.1");
	assert_true(finds(FINDING_NOTE, VARIABLE ": only --allow says who "
	    "can connect"));
	assert_false(finds(FINDING_WARNING, VARIABLE));
}

static void
a_variable_for_a_unix_socket_is_warned_of(void **arg)
{
	(void)arg;
	planned("-s/a", "-eFCGI_WEB_SERVER_ADDRS=10.0.0.2", "/app");
	assert_false(p.only_allowed);
	assert_true(finds(FINDING_WARNING, VARIABLE ": 10.0.0.2: has no "
	    "effect on unix:/a"));
}

/* As spawn-fcgi, which has no such option. */
static void
plan_as_spawn_fcgi(const char *address)
{
	static const char *const ids[] = { "-u" ID, "-g" ID, NULL };
	const char *const list[] = { "-p9000", "-a", address, "/app", NULL };
	int n = 1;

	words[0] = (char *)"spawn-fcgi";
	if (geteuid() == 0)
		n = words_add(n, ids);
	if (compat_parse(&c, words_add(n, list), words, &e) == -1)
		fail_msg("%s", e.text);
	plan_free();
}

/* They leave it to the workers, as they always did. */
static void
other_programs_do_not_take_the_variable(void **arg)
{
	(void)arg;
	setenv(VARIABLE, "10.0.0.2", 1);
	plan_as_spawn_fcgi("::1");
	assert_true(finds(FINDING_WARNING, VARIABLE ": 10.0.0.2: has no effect "
	    "on tcp:[::1]:9000: libfcgi checks clients of IPv4 sockets only"));
	assert_false(p.only_allowed);
	plan_as_spawn_fcgi("127.0.0.1");
	assert_false(finds(FINDING_WARNING, VARIABLE));
	assert_false(p.only_allowed);
	unsetenv(VARIABLE);
}

static const struct CMUnitTest tests[] = {
	TEST(without_a_list_everybody_may_connect),
	TEST(lists_add_up),
	TEST(those_of_another_family_have_no_effect),
	TEST(a_socket_for_both_takes_both),
	TEST(only_a_tcp_socket_has_such_clients),
	TEST(the_variable_is_a_list_too),
	TEST(what_the_variable_gets_wrong_is_warned_of),
	TEST(a_variable_without_an_address_lets_nobody_in),
	TEST(the_option_wins_over_the_variable),
	TEST(a_variable_for_a_unix_socket_is_warned_of),
	TEST(other_programs_do_not_take_the_variable),
};

int
main(void)
{
	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
