/* SPDX-License-Identifier: ISC */
/* The picture of top, and the history it shows. */
#include "answers.h"
#include "control.h"

static struct answer a, history;
static char picture[200000];

static int
end(void **arg)
{
	(void)arg;
	answer_free(&a);
	answer_free(&history);
	return 0;
}

/* Draws, and holds each line to the size of the terminal. */
static void
draw(int rows, int columns, bool utf8)
{
	struct frame v = { .rows = rows, .columns = columns, .utf8 = utf8 };
	int lines = 1, cells = 0;
	char *s;

	frame_draw(&v, &a, &history, picture, sizeof(picture));
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
	note(t, 1, 0, 4);
	note(t + 2 * USEC, 1, 0, 4);	/* no change */
	note(t + 3 * USEC, 4, 7, 4);
	note(t + 3 * USEC + 1, 4, 2, 4);	/* the same second */
	history_workers(t + 4 * USEC, 4);	/* no change */
	history_workers(t + 4 * USEC, 3);
	note(t + 5 * USEC, LOAD_UNKNOWN, LOAD_UNKNOWN, 4);
	history_workers(t + 6 * USEC, 3);
	history_write(t + 6 * USEC, &o);
	proto_done(&o);
	o.buf[o.len] = '\0';
	assert_string_equal(o.buf,
	    "point ago=6 workers=4 busy=1 busy_peak=1 queue=0 queue_peak=0\n"
	    "point ago=3 workers=4 busy=4 busy_peak=4 queue=2 queue_peak=7\n"
	    "point ago=2 workers=3 busy=4 busy_peak=4 queue=2 queue_peak=2\n"
	    "point ago=1 workers=4\npoint ago=0 workers=3\nend\n");
	assert_int_equal(history_peak_queue(), 7);
	assert_int_equal(history_peak_busy(), 4);
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
	for (n = 0; n < 5000; n++)
		note(t + n * USEC, n % 3, 0, 4);
	history_write(t + n * USEC, &o);
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
		TEST(busy_workers_are_at_the_top),
		TEST(a_point_holds_until_the_next),
		TEST(five_minutes_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
