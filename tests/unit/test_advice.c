/* SPDX-License-Identifier: ISC */
/* "spawnctl advise": what follows from which history, in words and as JSON. */
#include <jansson.h>

#include "client/advice.h"
#include "ctl/ctl.h"
#include "one_reply.h"

#define FIXED "pool name=php state=up min=4 max=4 target=4 children=0\n"
#define ADAPTS "pool name=php state=up min=2 max=16 target=4 children=0 " \
	"idle_timeout=10.000\n"
#define QUEUE "queue now=0 limit=1024 peak=3\n"
#define WORKER								\
	"worker slot=0 state=ready pid=11 ready_after=0.040 "		\
	"connections=0 processes=1 pss=10485760\n"			\
	"worker slot=1 state=ready pid=12 ready_after=0.060 "		\
	"connections=1 processes=1 pss=31457280\n"
/* A week, 10000 connections: of 1000 one was among more than 9 or 10. */
#define WEEK "load span=604800.000 busy_time=1209600.000 "		\
	"queue_time=12.000 came=10000 full=%s over=0 most=%s "		\
	"wait_10ms=5 wait_100ms=0 wait_1s=2 wait_10s=0 wait_more=0\n"	\
	"demand n=0 time=300000.000 met=0\n"				\
	"demand n=2 time=300000.000 met=9000\n"				\
	"demand n=8 time=4800.000 met=910\n"				\
	"demand n=9 time=0.000 met=50\n"				\
	"demand n=10 time=0.000 met=30\n"				\
	"demand n=12 time=0.000 met=10\n"

static struct advice v;

static void
add_load(const char *full, const char *most)
{
	char text[2048];

	snprintf(text, sizeof(text), WEEK, full, most);
	answers_add(&a, text);
}

/* A pool like that, of which so many found no worker, at most so many came. */
static void
advise(const char *pool, const char *full, const char *most)
{
	reply_free(&a);
	answers_add(&a, pool);
	answers_add(&a, QUEUE WORKER);
	add_load(full, most);
	advice_make(&a, &v);
}

static void
as_many_as_leave_fewer_than_one_in_a_hundred(void **arg)
{
	(void)arg;
	advise(FIXED, "900", "12");
	assert_true(v.known);
	assert_false(v.keep);
	assert_int_equal(v.fewest, 9);
	/* The largest rush, and a quarter. */
	assert_int_equal(v.largest, 15);
	assert_true(v.stay == 10);
	assert_true(v.erlangs == 2);
	assert_true(v.pss == 20971520 && v.pss_most == 31457280);
	assert_int_equal(v.sizes[0].workers, 8);
	assert_true(v.sizes[0].waits > 0.0089 && v.sizes[0].waits < 0.0091);
	assert_true(v.sizes[1].waits > 0.0039 && v.sizes[1].waits < 0.0041);
	assert_true(v.sizes[2].waits > 0.0009 && v.sizes[2].waits < 0.0011);
}

static void
a_good_size_stays(void **arg)
{
	(void)arg;
	advise("pool name=php min=9 max=15\n", "20", "12");
	assert_true(v.known && v.keep);
	assert_int_equal(v.fewest, 9);
	assert_int_equal(v.largest, 15);
	/* One that adapts has shown that few wait. */
	advise(ADAPTS, "50", "12");
	assert_true(v.keep);
	assert_int_equal(v.fewest, 2);
	assert_int_equal(v.largest, 16);
	advise(ADAPTS, "500", "12");
	assert_false(v.keep);
	assert_int_equal(v.fewest, 9);
	/* Ten are a quarter more than the eight that would do. */
	advise("pool name=php min=10 max=15\n", "0", "12");
	assert_false(v.keep);
	assert_int_equal(v.fewest, 9);
	advise("pool name=php min=40 max=40\n", "0", "12");
	assert_false(v.keep);
	assert_int_equal(v.fewest, 9);
}

static void
a_pool_too_small_to_tell_gets_a_step(void **arg)
{
	(void)arg;
	advise("pool name=php min=3 max=3\n", "2000", "12");
	assert_true(v.known && v.doubts[DOUBT_CROWDED]);
	assert_int_equal(v.fewest, 6);
	assert_int_equal(v.largest, 6);
	show(advise_write(f, &a, false, &e));
	assert_has(shown, "this is a step");
}

static void
children_of_php_count(void **arg)
{
	(void)arg;
	advise("pool name=php min=5 max=5 children=4\n", "0", "12");
	assert_true(v.known);
	assert_int_equal(v.serves, 4);
	assert_int_equal(v.fewest, 3);
	assert_int_equal(v.largest, 3);
	show(advise_write(f, &a, false, &e));
	assert_has(shown, "  now      -F 5 -C 4 -b 1024\n"
	    "  advice   -F 3 -C 4 -b 1024\n");
}

static void
slow_workers_stay_longer(void **arg)
{
	(void)arg;
	reply_free(&a);
	answers_add(&a, FIXED "worker slot=0 state=ready pid=1 connections=0 "
	    "ready_after=3.000\n");
	add_load("900", "12");
	advice_make(&a, &v);
	assert_true(v.stay == 60);
}

static void
the_backlog_holds_a_rush(void **arg)
{
	(void)arg;
	answers_add(&a, FIXED "queue now=0 limit=128 peak=100\n");
	add_load("900", "12");
	advice_make(&a, &v);
	assert_int_equal(v.backlog, 512);
	advise(FIXED, "900", "12");
	assert_int_equal(v.backlog, 1024);
}

static void
what_cannot_be_known_is_said(void **arg)
{
	static const struct {
		const char	*records;
		enum advice_doubt doubt;
		const char	*text;
	} all[] = {
		{ FIXED QUEUE, DOUBT_UNSEEN, "cannot be seen on its system" },
		{ FIXED "load span=86400.000 busy_time=1.000 came=999\n",
		    DOUBT_FEW, "fewer than 1000" },
		{ FIXED "load span=500.000 busy_time=1.000 came=9999\n",
		    DOUBT_FEW, "less than ten minutes" },
		{ FIXED "load span=86400.000 came=5000 over=100\n",
		    DOUBT_SHARED, "load test of one worker" },
		{ FIXED "load span=86400.000 came=5000 over=0\nworker slot=0 "
		    "state=ready connections=7 processes=1\n",
		    DOUBT_SHARED, "several connections at a time" },
		{ FIXED "load span=86400.000 came=5000 over=0\nworker slot=0 "
		    "state=ready connections=0 processes=5\n",
		    DOUBT_TREE, "processes of their own" },
	};
	json_t *j;
	char *c;
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(all); i++) {
		reply_free(&a);
		answers_add(&a, all[i].records);
		advice_make(&a, &v);
		assert_false(v.known);
		assert_true(v.doubts[all[i].doubt]);
		show(advise_write(f, &a, true, &e));
		assert_non_null(j = json_loads(shown, 0, NULL));
		assert_true(json_is_null(json_object_get(j, "advice")));
		json_decref(j);
		show(advise_write(f, &a, false, &e));
		assert_has_not(shown, "advice   -F");
		for (c = shown; *c != '\0'; c++) {
			if (*c == '\n')
				*c = ' ';
		}
		assert_has(shown, all[i].text);
	}
}

/* A program that a request has started is no tree. */
static void
a_busy_worker_may_have_a_child(void **arg)
{
	(void)arg;
	answers_add(&a, FIXED "worker slot=0 state=ready pid=1 connections=1 "
	    "processes=2\n");
	add_load("0", "12");
	advice_make(&a, &v);
	assert_true(v.known);
}

static void
the_words_have_the_numbers(void **arg)
{
	(void)arg;
	advise(FIXED, "900", "12");
	show(advise_write(f, &a, false, &e));
	assert_has(shown, "php: the load of the last 7 d 0:00, 10000 "
	    "connections\n  load     2.00 Erlang");
	assert_has(shown, "           at most 12 at once");
	assert_has(shown, "  waited   9.0 %, for 12.0 s in all: 5 up to 10 "
	    "ms, 2 up to 1 s\n");
	assert_has(shown, "  memory   20M for a worker (PSS), 30M for");
	assert_has(shown, "  now      -F 4 -b 1024\n"
	    "  advice   -F 9 -N 15 -w 10 -b 1024\n");
	assert_has(shown, "With 8 workers 0.90 % of these connections would");
	assert_has(shown, "15 workers need 300M of memory");
	advise(ADAPTS, "50", "12");
	show(advise_write(f, &a, false, &e));
	assert_has(shown, "  now      -F 2 -N 16 -w 10 -b 1024\n"
	    "  advice   -F 2 -N 16 -w 10 -b 1024\n");
	assert_has(shown, "The pool has the size that it needs.");
}

static void
json_has_the_numbers(void **arg)
{
	json_t *j, *w;

	(void)arg;
	advise(FIXED, "900", "12");
	show(advise_write(f, &a, true, &e));
	assert_non_null(j = json_loads(shown, JSON_REJECT_DUPLICATES, NULL));
	assert_string_equal(json_string_value(json_object_get(j, "pool")),
	    "php");
	w = json_object_get(j, "advice");
	assert_int_equal(json_integer_value(json_object_get(w, "F")), 9);
	assert_int_equal(json_integer_value(json_object_get(w, "N")), 15);
	assert_int_equal(json_array_size(json_object_get(j, "sizes")), 3);
	assert_int_equal(json_array_size(json_object_get(j, "doubts")), 0);
	json_decref(j);
}

static void
a_hostile_daemon_gets_numbers_that_are_some(void **arg)
{
	(void)arg;
	answers_add(&a, "pool name=\\x1b[2J min=99999999999999999999 "
	    "max=99999999999999999999 children=99999999999999999999\n"
	    "queue limit=99999999999999999999 peak=9999999999999999999999\n"
	    "load span=99999999999999999999 came=99999999999999999999 "
	    "most=99999999999999999999 full=99999999999999999999\n"
	    "demand n=99999999999999999999 met=99999999999999999999\n"
	    "worker slot=0 connections=0 ready_after=99999999999999999999 "
	    "pss=99999999999999999999\n");
	show(advise_write(f, &a, false, &e));
	assert_has_not(shown, "\x1b");
	show(advise_write(f, &a, true, &e));
	assert_has_not(shown, "\x1b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(as_many_as_leave_fewer_than_one_in_a_hundred),
		TEST(a_good_size_stays),
		TEST(a_pool_too_small_to_tell_gets_a_step),
		TEST(children_of_php_count),
		TEST(slow_workers_stay_longer),
		TEST(the_backlog_holds_a_rush),
		TEST(what_cannot_be_known_is_said),
		TEST(a_busy_worker_may_have_a_child),
		TEST(the_words_have_the_numbers),
		TEST(json_has_the_numbers),
		TEST(a_hostile_daemon_gets_numbers_that_are_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
