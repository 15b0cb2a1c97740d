/* SPDX-License-Identifier: ISC */
/* The picture of top, and the history it shows. */
#include "replies.h"
#include "base/units.h"
#include "client/client.h"
#include "control/server.h"
#include "ctl/ctl.h"
#include "observe/observe.h"
#include "proto/proto.h"
#include "run/history.h"
#include "run/run.h"

static struct reply a, history;
static char picture[200000];
static int first;		/* of the workers */

static int
end(void **arg)
{
	(void)arg;
	reply_free(&a);
	reply_free(&history);
	return 0;
}

/* Draws, and holds each line to the size of the terminal. */
static void
draw(int rows, int columns, bool utf8)
{
	struct frame v = { .rows = rows, .columns = columns, .utf8 = utf8,
	    .first = first };
	int lines = 1, cells = 0;
	char *s;

	top_draw_frame(&v, &a, &history, picture, sizeof(picture));
	for (s = picture; *s != '\0'; s++) {
		if (*s == '\n') {
			lines++;
			cells = 0;
		} else if (((unsigned char)*s & 0xc0) != 0x80)
			cells++;
		assert_true(cells <= columns);
		assert_true(*s == '\n' || (unsigned char)*s >= 0x20);
	}
	assert_true(lines <= rows);
}

static void
it_fits_every_terminal(void **arg)
{
	int rows, columns, i;
	char line[128];

	(void)arg;
	answers_add(&a, POOL LOAD WORKERS);
	for (i = 3; i < 200; i++) {
		snprintf(line, sizeof(line), "worker slot=%d state=ready "
		    "pid=%d age=1.0 connections=0", i, i);
		answers_add(&a, line);
	}
	answers_add(&history, "point ago=200 queue=4 queue_peak=9\n"
	    "point ago=100 queue=0 queue_peak=2\n");
	for (rows = 1; rows < 60; rows++) {
		for (columns = 1; columns < 220; columns += 7) {
			draw(rows, columns, true);
			draw(rows, columns, false);
		}
	}
	draw(24, 80, true);
	assert_has(picture, "php  up 1 d 2:03");
	assert_has(picture, "] 1 of 2 (2-4)");
	assert_has(picture, "] 3, peak 17 of 1024");
	assert_has(picture, "q quit, j k scroll: 1 to ");
	assert_has(picture, "\xe2\x96\x88");
	draw(24, 80, false);
	assert_has_not(picture, "\xe2");
}

#define BLOCKS4	"\xe2\x96\x84\xe2\x96\x84\xe2\x96\x84\xe2\x96\x84\xe2\x96\x84"
#define BLOCKS3	"\xe2\x96\x83\xe2\x96\x83\xe2\x96\x83\xe2\x96\x83\xe2\x96\x83"
#define EIGHTS	"\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"

static void
it_is_this_picture(void **arg)
{
	(void)arg;
	answers_add(&a, POOL LOAD WORKERS
	    "worker slot=3 state=ready pid=13 age=7200.000 connections=2 "
	    "busy=61.000\n");
	answers_add(&history, "point ago=290 queue=4 queue_peak=9\n"
	    "point ago=200 queue=0 queue_peak=2\n"
	    "point ago=100\n"			/* it could not be seen */
	    "point ago=50 queue=3 queue_peak=3\n"
	    "point ago=10 queue=1 queue_peak=1\n");
	draw(12, 78, false);
	assert_string_equal(picture,
	    "php  up 1 d 2:03  pid 7  unix:/run/x.sock\n"
	    "busy   [#######################.......................] "
	    "1 of 2 (2-4)\n"
	    "queue  [ @==============_______________       -------.] "
	    "3, peak 17 of 1024\n"
	    "started 12  recycled 3  crashed 1  saturated 2\n"
	    "\n"
	    "  SLOT     PID STATE            AGE  BUSY-FOR CONNS PROCS       "
	    "CPU    RSS\n"
	    "     3      13 busy         2:00:00      1:01     2     -         "
	    "-      -\n"
	    "     0      11 busy          5.25 s    0.75 s     1     2    "
	    "0.12 s    14M\n"
	    "     1      12 idle            1:05         -     0     1    "
	    "1.12 s   1.0M\n"
	    "     2       - backoff            -         -     -     -         "
	    "-      -\n"
	    "\n"
	    "q quit");
	draw(3, 78, true);
	assert_string_equal(picture,
	    "php  up 1 d 2:03  pid 7  unix:/run/x.sock\n"
	    "busy   [" EIGHTS EIGHTS EIGHTS EIGHTS "\xe2\x96\x88\xe2\x96\x88"
	    "\xe2\x96\x88.......................] 1 of 2 (2-4)\n"
	    "queue  [ \xe2\x96\x88" BLOCKS4 BLOCKS4 "\xe2\x96\x84"
	    "\xe2\x96\x84\xe2\x96\x84\xe2\x96\x84_______________       "
	    BLOCKS3 "\xe2\x96\x83\xe2\x96\x83\xe2\x96\x81] 3, peak 17 "
	    "of 1024");
}

static void
a_list_too_long_is_scrolled(void **arg)
{
	(void)arg;
	answers_add(&a, POOL LOAD WORKERS);
	draw(9, 40, false);
	assert_has(picture, "\nq quit, j k scroll: 1 to 2 of 3");
	assert_has_not(picture, "backoff");
	first = 1;
	draw(9, 40, false);
	assert_has(picture, "\nq quit, j k scroll: 2 to 3 of 3");
	assert_has_not(picture, "     0      11");
	/* No further than there are any. */
	first = 9;
	draw(10, 40, false);
	assert_has_not(picture, "scroll");
	draw(9, 40, false);
	assert_has(picture, "\nq quit, j k scroll: 2 to 3 of 3");
	first = 0;
	draw(8, 40, false);
	assert_has(picture, "\nq quit, j k scroll: 1 to 1 of 3");
	/* Too low for a list at all. */
	draw(7, 40, false);
	assert_has_not(picture, "quit");
}

static void
the_bar_is_full_only_when_all_are_busy(void **arg)
{
	(void)arg;
	answers_add(&a, "workers ready=1000\nsum busy=999\n"
	    "pool name=x min=1000 max=1000\n");
	draw(9, 40, false);
	assert_has(picture, "[#######.] 999 of 1000\n");
	reply_free(&a);
	answers_add(&a, "workers ready=1000\nsum busy=1000\n");
	draw(9, 40, false);
	assert_has(picture, "[########] 1000 of 1000\n");
	reply_free(&a);
	answers_add(&a, "workers ready=1000\nsum busy=1\n");
	draw(9, 40, false);
	assert_has(picture, "[#.......] 1 of 1000\n");
	reply_free(&a);
	answers_add(&a, "workers ready=0\nsum busy=0\n");
	draw(9, 40, false);
	assert_has(picture, "[........] 0 of 0\n");
	reply_free(&a);
	/* With children of php-cgi's own it is they that serve. */
	answers_add(&a, "pool children=4\nworkers ready=2\nsum busy=2\n"
	    "connections now=4\n");
	draw(9, 40, false);
	assert_has(picture, "[####....] 4 of 8\n");
	reply_free(&a);
	answers_add(&a, "workers ready=2\n");
	draw(9, 40, false);
	assert_has(picture, "busy   ? of 2\nqueue  [        ] ?, peak 0");
}

static void
what_has_happened_is_counted(void **arg)
{
	(void)arg;
	answers_add(&a, "count started=0 recycled=1 crashed=2 failed=3 "
	    "retired=4 killed=5 lost=6 saturated=7.9 reloads=8");
	draw(9, 99, false);
	assert_has(picture, "\nstarted 0  recycled 1  crashed 2  failed 3  "
	    "retired 4  killed 5  lost 6  saturated 8\n");
}

static void
wide_characters_take_two_cells(void **arg)
{
	(void)arg;
	/* Of the last one there is no half. */
	answers_add(&a, "pool name=\xe6\x97\xa5\xe6\x97\xa5\xf0\x9f\x98\x80"
	    "\xc3\xa9\xe6\x97\xa5");
	draw(1, 8, true);
	assert_string_equal(picture,
	    "\xe6\x97\xa5\xe6\x97\xa5\xf0\x9f\x98\x80\xc3\xa9 ");
}

static void
busy_workers_are_at_the_top(void **arg)
{
	(void)arg;
	answers_add(&a, POOL
	    "worker slot=0 state=ready pid=901 age=1.0 connections=0\n"
	    "worker slot=1 state=ready pid=902 age=1.0 connections=1 "
	    "busy=2.0\n"
	    "worker slot=2 state=ready pid=903 age=1.0 connections=1 "
	    "busy=9.0\n");
	draw(24, 80, true);
	assert_true(strstr(picture, "903") < strstr(picture, "902"));
	assert_true(strstr(picture, "902") < strstr(picture, "901"));
}

static void
note(uint64_t now, unsigned int busy, unsigned int queue, unsigned int workers)
{
	struct load l = { .busy = busy, .depth = queue };

	history_note(now, &l, workers);
}

static void
a_point_holds_until_the_next(void **arg)
{
	struct proto_output o = { 0 };
	uint64_t t = 1000 * USEC;

	(void)arg;
	/* Where nothing was seen, workers alone are no point. */
	history_workers(t, 4);
	assert_int_equal(history_peak_busy(), -1);
	note(t, 1, 0, 4);
	note(t + 2 * USEC, 1, 0, 4);	/* no change */
	note(t + 3 * USEC, 4, 7, 4);
	note(t + 3 * USEC + 1, 4, 2, 4);	/* the same second */
	history_workers(t + 4 * USEC, 4);	/* no change */
	history_workers(t + 4 * USEC, 3);
	note(t + 5 * USEC, LOAD_UNKNOWN, LOAD_UNKNOWN, 4);
	history_workers(t + 6 * USEC, 3);
	/* What is not known is no less than what is. */
	note(t + 7 * USEC, 9, 1, 3);
	note(t + 7 * USEC, LOAD_UNKNOWN, 4, 3);
	note(t + 7 * USEC, 2, LOAD_UNKNOWN, 3);
	note(t + 8 * USEC, 70000, 65535, 3);
	status_write_history(t + 8 * USEC, &o);
	proto_done(&o);
	o.buf[o.len] = '\0';
	assert_string_equal(o.buf,
	    "point ago=8 workers=4 busy=1 busy_peak=1 queue=0 queue_peak=0\n"
	    "point ago=5 workers=4 busy=4 busy_peak=4 queue=2 queue_peak=7\n"
	    "point ago=4 workers=3 busy=4 busy_peak=4 queue=2 queue_peak=2\n"
	    "point ago=3 workers=4\npoint ago=2 workers=3\n"
	    "point ago=1 workers=3 busy=2 busy_peak=9 queue_peak=4\n"
	    "point ago=0 workers=3 busy=65534 busy_peak=65534 queue=65534 "
	    "queue_peak=65534\nend\n");
	assert_int_equal(history_peak_queue(), 65535);
	assert_int_equal(history_peak_busy(), 70000);
	proto_free(&o);
}

static void
five_minutes_are_kept(void **arg)
{
	struct proto_output o = { 0 };
	uint64_t t = 100000 * USEC;
	char *rest, *line, want[128];
	unsigned int n, ago;

	(void)arg;
	for (n = 0; n < 100; n++)
		note(t + n * USEC, n % 3, 0, 4);
	/* What was long before, and the first of them. */
	status_write_history(t + n * USEC, &o);
	assert_has(o.buf, "point ago=99092 ");
	assert_has(o.buf, "\npoint ago=100 workers=4 busy=0 busy_peak=0 ");
	assert_has(o.buf, "\npoint ago=99 workers=4 busy=1 busy_peak=1 ");
	o.len = 0;
	for (; n < 5000; n++)
		note(t + n * USEC, n % 3, 0, 4);
	status_write_history(t + n * USEC, &o);
	proto_done(&o);
	o.buf[o.len] = '\0';
	rest = o.buf;
	/* Each of its seconds, and none that was seen before. */
	for (ago = HISTORY_SPAN + 1; ago > 0; ago--) {
		line = strsep(&rest, "\n");
		snprintf(want, sizeof(want), "point ago=%u workers=4 busy=%u "
		    "busy_peak=%u queue=0 queue_peak=0", ago, (n - ago) % 3,
		    (n - ago) % 3);
		assert_string_equal(line, want);
	}
	assert_string_equal(rest, "end\n");
	proto_free(&o);
}

#define TEST(name)	cmocka_unit_test_teardown(name, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_fits_every_terminal),
		TEST(it_is_this_picture),
		TEST(a_list_too_long_is_scrolled),
		TEST(the_bar_is_full_only_when_all_are_busy),
		TEST(what_has_happened_is_counted),
		TEST(wide_characters_take_two_cells),
		TEST(busy_workers_are_at_the_top),
		TEST(a_point_holds_until_the_next),
		TEST(five_minutes_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
