/* SPDX-License-Identifier: ISC */
/* The plan as lines that are compared with those of another. */
#include "config/describe.h"
#include "planned.h"

static struct facts facts;

static int
facts_forget(void **arg)
{
	facts_free(&facts);
	return plan_forget(arg);
}

static const struct fact *
find(const char *key)
{
	size_t i;

	for (i = 0; i < facts.n; i++) {
		if (strcmp(facts.list[i].key, key) == 0)
			return &facts.list[i];
	}
	return NULL;
}

/* What the plan says of that; "" if it says nothing. */
static const char *
value(const char *key)
{
	bool *shown = env_shown(&p);
	const struct fact *f;

	facts_free(&facts);
	assert_int_equal(plan_describe(&p, shown, &facts), 0);
	free(shown);
	f = find(key);
	return f != NULL ? f->value : "";
}

static void
what_is_asked_for_is_there(void **arg)
{
	(void)arg;
	planned("-s/run/s", "-F3", "-N7", "-w5", "-eA=b c", "-M0600",
	    "--max-age=9", "--rlimit=nofile=100", "--", "/app", "x y");
	assert_string_equal(value("workers"), "3");
	assert_string_equal(value("most workers"), "7");
	assert_string_equal(value("idle timeout"), "5");
	assert_string_equal(value("max age"), "9");
	assert_string_equal(value("environment A"), "b c");
	assert_string_equal(value("application"), "/app 'x y'");
	assert_string_equal(value("rlimit nofile"), "100");
	assert_string_equal(value("socket"), "unix:/run/s");
	assert_non_null(strstr(value("owner"), "0600"));
}

/* A daemon that logs to stderr is the successor of one in the foreground. */
static void
the_log_is_where_it_goes(void **arg)
{
	(void)arg;
	planned("-s/run/s", "-n", "/app");
	assert_string_equal(value("log"), "stderr");
	planned("-s/run/s", "--log=stderr", "/app");
	assert_string_equal(value("log"), "stderr");
	planned("-s/run/s", "/app");
	assert_string_equal(value("log"), "syslog");
}

/* Of two that begin alike a record would show no difference. */
static void
a_long_name_is_another_than_one_that_begins_alike(void **arg)
{
	char option[500], first[400];
	size_t i;

	(void)arg;
	snprintf(option, sizeof(option), "-e%0400d=x", 1);
	for (i = 2; i < 402; i++)
		option[i] = 'N';
	planned("-s/run/s", option, "/app");
	(void)value("socket");
	for (i = 0; i < facts.n; i++) {
		assert_true(strlen(facts.list[i].key) <= 300);
		if (strncmp(facts.list[i].key, "environment #", 13) == 0)
			snprintf(first, sizeof(first), "%s",
			    facts.list[i].key);
	}
	option[401] = 'M';
	planned("-s/run/s", option, "/app");
	assert_string_equal(value(first), "");
}

static void
a_secret_is_a_digest(void **arg)
{
	static const char name[] = "environment SECRET";
	char first[64];

	(void)arg;
	setenv("SECRET", "hunter2", 1);
	planned("-s/run/s", "-eSECRET", "/app");
	strlcpy(first, value(name), sizeof(first));
	assert_true(find(name)->hidden);
	assert_int_equal(first[0], '#');
	assert_null(strstr(first, "hunter2"));
	setenv("SECRET", "hunter3", 1);
	planned("-s/run/s", "-eSECRET", "/app");
	assert_string_not_equal(value(name), first);
	setenv("SECRET", "hunter2", 1);
	planned("-s/run/s", "-eSECRET", "/app");
	assert_string_equal(value(name), first);
	unsetenv("SECRET");
}

/* A record of the protocol has an end. */
static void
what_is_too_long_is_a_digest(void **arg)
{
	char word[310];

	(void)arg;
	memset(word, 'x', sizeof(word));
	memcpy(word, "-eA=", 4);
	word[304] = '\0';
	planned("-s/run/s", word, "/app");
	assert_int_equal(strlen(value("environment A")), 300);
	memset(word + 4, ' ', 80);
	planned("-s/run/s", word, "/app");
	assert_int_equal(strlen(value("environment A")), 17);
}

#define DESCRIBE(f)	cmocka_unit_test_teardown(f, facts_forget)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DESCRIBE(what_is_asked_for_is_there),
		DESCRIBE(the_log_is_where_it_goes),
		DESCRIBE(a_long_name_is_another_than_one_that_begins_alike),
		DESCRIBE(a_secret_is_a_digest),
		DESCRIBE(what_is_too_long_is_a_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
