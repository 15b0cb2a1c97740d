/* SPDX-License-Identifier: ISC */
/* A status in every form, and what a hostile daemon can do to it. */
#include <jansson.h>
#include <sys/wait.h>

#include "one_reply.h"

#define HOSTILE								\
	"pool name=\\x1b]0;x\\x07\"\\x5c<&>\\x0a listen=\\xff\\x9b2J "	\
	"version=0.1 state=up pid=\\x1b[2J uptime=1 started=1\n" \
	"worker slot=\\x1b pid=\\x1b state=\\x1b age=99999999999999999999 " \
	"cpu=\\x1b rss=99999999999999999999\n"				\
	"what is=\\x1b\n"

#define FOUR "\303\251\303\251\303\251\303\251"
#define LONG FOUR FOUR FOUR FOUR FOUR FOUR FOUR

static void
assert_harmless(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text == 0x7f || (unsigned char)*text ==
		    0x9b || ((unsigned char)*text < 0x20 && *text != '\n'))
			fail_msg("byte %02x is shown", (unsigned char)*text);
	}
}

static void
the_table_has_the_pool_and_its_workers(void **arg)
{
	(void)arg;
	answers_add(&a, POOL LOAD WORKERS);
	show(writer_table(f, &a, &e));
	assert_has(shown, "php: up for 1 d 2:03, pid 7, spawnd 0.1\n");
	assert_has(shown, "unix:/run/x.sock (www:www 0660)\n");
	assert_has(shown, "2 of 2 (2 to 4) ready: 1 busy, 1 idle, "
	    "1 backoff\n");
	assert_has(shown, "queue        3 of 1024 (peak 17)\n");
	assert_has(shown, "started 12 recycled 3 crashed 1 reloads 2 "
	    "saturated for 1.50 s\n");
	assert_has(shown, "not in force proc_detached: processes "
	    "can be looked at only while /proc is mounted\n");
	assert_has(shown, " 0      11 busy          5.25 s   0.01 s    0.75 s"
	    "     1     2   0.12 s    14M      -        -\n");
	assert_has(shown, "    1:05 ");
	assert_has(shown, "backoff       3.20 s");
}

static void
what_is_not_known_is_not_zero(void **arg)
{
	(void)arg;
	answers_add(&a, POOL "queue\nconnections\n"
	    "worker slot=0 state=ready pid=3 age=1.000\n");
	show(writer_table(f, &a, &e));
	assert_has(shown, "queue        ? of ?");
	assert_has(shown, "2 of 2 (2 to 4) ready: ? busy, ? idle, 1 backoff");
	show(writer_openmetrics(f, &a, true, &e));
	assert_has_not(shown, "spawnd_queue");
	assert_has_not(shown, "busy");
	show(writer_fpm(f, &a, "json", true, &e));
	assert_has_not(shown, "listen queue");
	assert_has_not(shown, "active");
	assert_has_not(shown, "state");
}

/* How long a worker has been busy is between two bounds. */
static void
the_table_shows_what_is_known_of_a_request(void **arg)
{
	static const char *const all[][2] = {
		{ "connections=0", " -     0 " },
		{ "connections=1", " ?     1 " },
		{ "connections=1 busy=12.000", " 12.0 s     1 " },
		{ "connections=1 busy=5.200 busy_most=6.000",
		    " 5.20 s     1 " },
		{ "connections=1 busy=5.200 busy_most=12.000",
		    " >5.20 s     1 " },
		{ "connections=1 busy=60.000 busy_most=70.000",
		    " 1:00     1 " },
		{ "connections=1 busy=0.000 busy_most=12.000", " ?     1 " },
		{ "connections=1 busy=0.001 busy_most=0.800",
		    " <0.80 s     1 " },
		{ "connections=1 busy=0.000 busy_most=0.010",
		    " 0.00 s     1 " },
		{ "", " ?     - " },
	};
	char line[128];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(all); i++) {
		reply_free(&a);
		snprintf(line, sizeof(line), "worker slot=0 state=ready "
		    "pid=3 %s", all[i][0]);
		answers_add(&a, line);
		show(writer_table(f, &a, &e));
		assert_has(shown, all[i][1]);
	}
}

/* No count of it is 0 because nobody looks. */
static void
a_pool_whose_load_is_unknown_says_so(void **arg)
{
	(void)arg;
	answers_add(&a, "pool name=x\ncount started=2 lost=0\n");
	show(writer_table(f, &a, &e));
	assert_has(shown, "so far       started 2 saturated ?\n");
	reply_free(&a);
	answers_add(&a, "queue now=4 limit=8 oldest=2.000 saturated_for=70\n");
	show(writer_table(f, &a, &e));
	assert_has(shown, "queue        4 of 8 (peak ?), the oldest for "
	    "2.00 s, saturated for 1:10\n");
}

static void
json_is_valid_and_typed(void **arg)
{
	json_error_t error;
	json_t *j, *w;

	(void)arg;
	answers_add(&a, POOL LOAD WORKERS "point ago=3 queue=1\n");
	show(writer_json(f, &a, &e));
	assert_non_null(j = json_loads(shown, JSON_REJECT_DUPLICATES,
	    &error));
	assert_int_equal(json_integer_value(json_object_get(j, "protocol")),
	    1);
	w = json_object_get(j, "pool");
	assert_string_equal(json_string_value(json_object_get(w, "version")),
	    "0.1");
	assert_true(json_is_real(json_object_get(w, "uptime")));
	assert_true(json_is_integer(json_object_get(w, "target")));
	assert_true(json_is_integer(json_object_get(w, "future")));
	w = json_object_get(json_object_get(j, "guarantees"), "proc");
	assert_true(json_is_true(w));
	w = json_object_get(j, "worker");
	assert_int_equal(json_array_size(w), 3);
	assert_null(json_object_get(json_array_get(w, 2), "pid"));
	assert_int_equal(json_array_size(json_object_get(j, "history")), 1);
	json_decref(j);
}

static void
openmetrics_has_each_metric_once(void **arg)
{
	(void)arg;
	answers_add(&a, POOL LOAD WORKERS);
	show(writer_openmetrics(f, &a, true, &e));
	assert_has(shown, "# TYPE spawnd_started counter\n");
	assert_has(shown, "spawnd_started_total{pool=\"php\"} 12\n");
	assert_has(shown, "# UNIT spawnd_saturated_seconds seconds\n");
	assert_has(shown, "spawnd_guarantee{pool=\"php\",name=\"proc\"} 1\n"
	    "spawnd_guarantee{pool=\"php\",name=\"proc_detached\"} 0\n");
	assert_has(shown, "spawnd_worker_connections{pool=\"php\",slot=\"0\"}"
	    " 1\n");
	assert_string_equal(shown + strlen(shown) - 6, "# EOF\n");
	show(writer_openmetrics(f, &a, false, &e));
	assert_has_not(shown, "spawnd_worker_");
}

static void
fpm_has_its_keys_in_its_order(void **arg)
{
	(void)arg;
	answers_add(&a, POOL LOAD WORKERS);
	show(writer_fpm(f, &a, "json", false, &e));
	assert_string_equal(shown, "{\"pool\":\"php\",\"process manager\":"
	    "\"dynamic\",\"start time\":1700000000,\"start since\":93784,"
	    "\"listen queue\":3,\"max listen queue\":17,\"listen queue len\":"
	    "1024,\"idle processes\":1,\"active processes\":1,"
	    "\"total processes\":2,\"max active processes\":2}\n");
	show(writer_fpm(f, &a, "text", true, &e));
	assert_has(shown, "pool:                 php\n");
	assert_has(shown, "max active processes: 2\n");
	assert_has(shown, "request duration:     750000\n");
	assert_int_equal(writer_fpm(stdout, &a, "html", false, &e), -1);
	/* Seen for the first time, long after the look before. */
	reply_free(&a);
	answers_add(&a, "pool name=x\n"
	    "worker pid=1 connections=1 busy=0.000 busy_most=7.000\n");
	show(writer_fpm(f, &a, "text", true, &e));
	assert_has_not(shown, "request duration");
}

/* Monitors that look for "listen queue:" would find it there. */
static void
a_peak_alone_is_not_read_as_the_figure(void **arg)
{
	(void)arg;
	answers_add(&a, "pool name=x\nworkers total=2\n"
	    "queue limit=64 peak=5\nconnections peak=2\n");
	show(writer_fpm(f, &a, "text", false, &e));
	assert_has(shown, "listen queue len:     64\n");
	assert_has_not(shown, "listen queue:");
	assert_has_not(shown, "active processes:");
}

static void
children_of_php_count_as_its_processes(void **arg)
{
	(void)arg;
	answers_add(&a, "pool name=x children=8 min=2 max=2\n"
	    "workers total=2\nconnections now=99 peak=20\n");
	show(writer_fpm(f, &a, "json", false, &e));
	assert_has(shown, "\"process manager\":\"static\"");
	assert_has(shown, "\"idle processes\":0,\"active processes\":16,"
	    "\"total processes\":16");
}

static void
xml_is_well_formed(void **arg)
{
	(void)arg;
	/* NOLINTNEXTLINE(cert-env33-c): a command of ours */
	if (system("command -v xmllint >/dev/null") != 0)
		skip();
	answers_add(&a, POOL LOAD WORKERS);
	show(writer_fpm(f, &a, "xml", true, &e));
	assert_int_equal(answers_pipe("xmllint --noout -"), 0);
	reply_free(&a);
	answers_add(&a, HOSTILE);
	show(writer_fpm(f, &a, "xml", true, &e));
	assert_int_equal(answers_pipe("xmllint --noout -"), 0);
}

static void
no_form_passes_a_hostile_byte_on(void **arg)
{
	static const char *const forms[] = { "text", "json", "xml",
	    "openmetrics" };
	json_t *j;
	size_t i;

	(void)arg;
	answers_add(&a, HOSTILE);
	show(writer_table(f, &a, &e));
	assert_harmless(shown);
	show(writer_openmetrics(f, &a, true, &e));
	assert_harmless(shown);
	show(writer_json(f, &a, &e));
	assert_harmless(shown);
	assert_non_null(j = json_loads(shown, 0, NULL));
	json_decref(j);
	for (i = 0; i < NITEMS(forms); i++) {
		show(writer_fpm(f, &a, forms[i], true, &e));
		assert_harmless(shown);
	}
}

static void
an_announced_stop_is_shown(void **arg)
{
	(void)arg;
	answers_add(&a, "pool name=php pid=7 version=0.1 state=draining "
	    "uptime=93784.500\ndrain announced=yes stops_in=12.300\n");
	show(writer_table(f, &a, &e));
	assert_has(shown, "php: draining, up for 1 d 2:03, pid 7");
	assert_has(shown, "  draining     stops in 12.3 s (spawnctl resume "
	    "takes that back)\n");
	show(writer_openmetrics(f, &a, true, &e));
	assert_has(shown, "spawnd_draining{pool=\"php\"} 1\n");
	assert_has(shown, "spawnd_drain_seconds{pool=\"php\"} 12.300\n");
	show(writer_json(f, &a, &e));
	assert_has(shown, "\"announced\": true");
}

static void
without_a_time_it_lasts_and_without_it_nothing_is_shown(void **arg)
{
	(void)arg;
	answers_add(&a, "pool name=php state=draining uptime=1\n"
	    "drain announced=yes\n");
	show(writer_table(f, &a, &e));
	assert_has(shown, "  draining     until resume or stop (spawnctl");
	reply_free(&a);
	answers_add(&a, "pool name=php state=up uptime=1\n"
	    "drain announced=no\n");
	show(writer_table(f, &a, &e));
	assert_has_not(shown, "drain");
	show(writer_openmetrics(f, &a, true, &e));
	assert_has(shown, "spawnd_draining{pool=\"php\"} 0\n");
	assert_has_not(shown, "drain_seconds");
}

static void
the_table_cuts_between_characters(void **arg)
{
	const char *c;

	(void)arg;
	/* Of two bytes each: any cut is in the middle of one or other. */
	answers_add(&a, "worker slot=1 state=" LONG "\n"
	    "worker slot=2 state=x" LONG "\n"
	    "worker slot=" LONG "\nworker slot=x" LONG "\n");
	show(writer_table(f, &a, &e));
	assert_has(shown, FOUR);
	for (c = shown; *c != '\0'; c += text_utf8(c, strlen(c)))
		assert_int_not_equal(text_utf8(c, strlen(c)), 0);
}

static void
an_empty_answer_is_shown_too(void **arg)
{
	(void)arg;
	show(writer_table(f, &a, &e));
	show(writer_json(f, &a, &e));
	show(writer_openmetrics(f, &a, true, &e));
	show(writer_fpm(f, &a, "text", true, &e));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_table_has_the_pool_and_its_workers),
		TEST(the_table_cuts_between_characters),
		TEST(an_announced_stop_is_shown),
		TEST(without_a_time_it_lasts_and_without_it_nothing_is_shown),
		TEST(what_is_not_known_is_not_zero),
		TEST(the_table_shows_what_is_known_of_a_request),
		TEST(a_pool_whose_load_is_unknown_says_so),
		TEST(json_is_valid_and_typed),
		TEST(openmetrics_has_each_metric_once),
		TEST(fpm_has_its_keys_in_its_order),
		TEST(a_peak_alone_is_not_read_as_the_figure),
		TEST(children_of_php_count_as_its_processes),
		TEST(xml_is_well_formed),
		TEST(no_form_passes_a_hostile_byte_on),
		TEST(an_empty_answer_is_shown_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
