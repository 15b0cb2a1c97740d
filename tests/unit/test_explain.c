/* SPDX-License-Identifier: ISC */
/* "spawnctl explain": a paragraph for each fault, and none without one. */
#include "one_reply.h"

/* A pool of four workers with which nothing is wrong. */
#define FINE								\
	"pool name=php pid=7 state=up target=4 min=4 max=4 children=0\n" \
	"workers total=4 starting=0 ready=4 retiring=0 stopping=0 "	\
	"backoff=0\n"							\
	"guarantees proc=yes proc_detached=yes queue=yes door=yes "	\
	"traced_ends=yes confine_signals=yes confine_limits=yes\n"	\
	"listener reachable=yes\n"					\
	"queue now=0 limit=128 peak=3\n"				\
	"connections now=1 peak=4 left=0\n"				\
	"worker slot=0 state=ready pid=11 age=50.000 connections=1 "	\
	"awaited=0 busy=0.500 busy_most=0.600 processes=1\n"		\
	"sum busy=1 idle=3 processes=4\n"

static bool wrong;

/* What is said of these records, as one line. */
static const char *
explain(const char *lines)
{
	char *c;

	reply_free(&a);
	answers_add(&a, lines);
	show(explain_write(f, &a, &wrong, &e));
	for (c = shown; *c != '\0'; c++) {
		if (*c == '\n')
			*c = ' ';
	}
	return shown;
}

static void
nothing_is_wrong(void **arg)
{
	(void)arg;
	assert_string_equal(explain(FINE), "php: nothing is wrong. ");
	assert_false(wrong);
	/* Not even if nothing at all is known. */
	assert_string_equal(explain(""), ": nothing is wrong. ");
}

/* Each of these, before what is fine, is a fault. */
static const struct {
	const char	*records;
	const char	*text;
	const char	*advice;
} faults[] = {
	{ "pool name=php state=starting max=4\n",
	    "The pool is starting", "no worker has been ready" },
	{ "pool name=php state=stopping max=4\nworkers total=2\n",
	    "The pool is stopping: 2 of its workers are left",
	    "stop --now" },
	{ "pool name=php state=up min=0 max=0\n",
	    "may have no worker", "spawnctl scale N" },
	{ "listener reachable=no why=/run/x:\\x20is\\x20gone\\x20"
	    "(restart\\x20spawnd)\n",
	    "Clients cannot connect: /run/x: is gone (restart spawnd)",
	    "restart" },
	{ "queue now=9 limit=128 oldest=3.500 saturated_for=12.000\n",
	    "The pool is saturated: for 12.0 s connections have "
	    "waited because all 4 workers were busy", "9 wait now, "
	    "the oldest for at least 3.50 s" },
	{ "queue now=9 limit=128 saturated_for=12.000\n"
	    "worker slot=0 pid=812 state=ready connections=1 busy=41\n",
	    "The longest request has taken 41.0 s, in worker 812",
	    "spawnctl scale 4-8" },
	{ "pool name=php state=up min=1 max=1\n"
	    "queue now=1 limit=128 saturated_for=12.000\n",
	    "because its only worker was busy", "spawnctl scale 1-2" },
	{ "queue now=1 limit=128\nsum busy=1 idle=0\n"
	    "workers ready=1\nworker slot=0 state=ready connections=1 "
	    "awaited=1 busy=9.000\n",
	    "Every worker holds a connection on which nothing comes",
	    "fastcgi_keep_conn on" },
	{ "queue now=2 limit=128 oldest=9.000\n",
	    "2 connections wait, the oldest for at least 9.00 s, "
	    "although 3 workers hold none", "spawnctl reload" },
	{ "queue now=127 limit=128\n",
	    "The queue is full, or nearly: 127 of 128", "-b" },
	{ "queue now=40 limit=1024\npoint ago=60.000 queue=1\n"
	    "point ago=12.000 queue=20\npoint ago=1.000 queue=40\n",
	    "The queue grows: 1 connection waited 30 s ago, 20 10 s "
	    "ago, and 40 do now", "More come" },
	{ "workers ready=0 backoff=4\nworker slot=0 state=backoff "
	    "start_in=4.000\nworker slot=1 state=backoff "
	    "start_in=2.500\nfailure of=worker pid=812 ago=3.000 "
	    "recent=7 what=exited\\x20with\\x20status\\x201 "
	    "said=no\\x20such\\x20table\n",
	    "Workers do not stay: 4 wait to be started again, 0 are "
	    "ready. 7 failed within the last minute. The last one, "
	    "3.00 s ago: worker 812 exited with status 1. Its last "
	    "words: no such table. The next",
	    "start is in 2.50 s. Repair the program" },
	{ "workers ready=3 backoff=1\n",
	    "1 worker ended too soon and waits", "The log" },
	{ "failure of=worker pid=8 ago=30.000 recent=2 what=gone\n",
	    "2 workers failed within the last minute", "worker 8 gone." },
	{ "failure of=reload pid=9 ago=700.000 recent=0 what=gone\n",
	    "The last reload failed, 11:40 ago, and the old workers "
	    "stay: worker 9 gone.", "reload again" },
	{ "failure of=lost pid=9 ago=200.000 recent=0 what=lost\\x201"
	    "\\x20request\n",
	    "A request was lost 3:20 ago: worker 9 lost 1 request",
	    "--stop-timeout" },
	{ "failure of=timeout pid=9 ago=2.000 recent=1 what=served\n",
	    "ended by --request-timeout 2.00 s ago", "allow more" },
	{ "failure of=size ago=2.000 recent=1 what=x\n",
	    "Workers exceed --max-rss", "raise it" },
	{ "connections now=1 left=2\n",
	    "2 connections of requests that --request-timeout has "
	    "ended are still open", "hold them" },
	{ "worker slot=7 state=starting pid=70 age=15.000\n",
	    "Worker 70 has been starting for 15.0 s",
	    "descriptor 0" },
	{ "worker slot=7 state=retiring pid=70 age=99.000 "
	    "connections=1 busy=75.000\n",
	    "Worker 70 is to go, but has held a connection for 1:15",
	    "waits for it" },
	{ "worker slot=7 state=ready pid=70 age=99.000 orphan=yes "
	    "connections=0\n",
	    "Process 70 was left behind", "end its children" },
};

static void
each_fault_is_said_with_what_to_do(void **arg)
{
	char text[4096];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(faults); i++) {
		/* The first record of a kind counts. */
		snprintf(text, sizeof(text), "%s%s", faults[i].records, FINE);
		assert_has(explain(text), faults[i].text);
		assert_has(shown, faults[i].advice);
		assert_has_not(shown, "nothing is wrong");
		assert_true(wrong);
	}
}

/* What was, or is about to be better, is not wrong now. */
static void
what_is_over_is_not_a_fault(void **arg)
{
	static const char *const all[] = {
		"failure of=worker pid=8 ago=61.000 recent=0 what=gone\n",
		"failure of=lost pid=9 ago=301.000 recent=0 what=lost\n",
		"failure of=timeout pid=9 ago=301.000 recent=0 what=x\n",
		"failure of=size ago=301.000 recent=0 what=x\n",
		"queue now=2 limit=128\n",
		"queue now=0 limit=128 saturated_for=5.000\n",
		"queue now=20 limit=1024\npoint ago=60.000 queue=30\n"
		    "point ago=12.000 queue=20\n",
		/* What was 30 s ago is not known. */
		"queue now=40 limit=1024\npoint ago=12.000 queue=20\n",
		/* A request that is short, not one that has not come. */
		"queue now=1 limit=128\nsum busy=1 idle=0\nworkers ready=1\n"
		    "worker slot=0 state=ready connections=1 awaited=1 "
		    "busy=0.100\n",
		"worker slot=7 state=starting pid=70 age=5.000\n",
		"worker slot=7 state=retiring pid=70 connections=1 busy=5\n",
		"pool name=php state=reloading max=4\n",
	};
	char text[4096];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(all); i++) {
		snprintf(text, sizeof(text), "%s%s", all[i], FINE);
		assert_string_equal(explain(text), "php: nothing is wrong. ");
	}
}

static void
what_does_not_hold_here_is_told_apart(void **arg)
{
	(void)arg;
	assert_has(explain("guarantees door=no queue=no proc=yes\n"
	    "reasons door=Operation\\x20not\\x20permitted\n" FINE),
	    "php: nothing is wrong.  Not in force: door: busy workers get new "
	    "connections until they end (Operation not permitted). A reload");
	assert_has(shown, "Not in force: queue: the listen queue cannot be "
	    "seen. Nobody knows whether connections wait");
	assert_null(strstr(shown, "proc"));
	assert_false(wrong);
	assert_has(explain("listener unseen=its\\x20file\n" FINE),
	    "What cannot be seen of the listen socket: its file.");
	assert_has(explain("guarantees only_allowed=no\n" FINE),
	    "Not in force: only_allowed: hosts that --allow does not");
	assert_has(explain("guarantees no_new_privs=no newer=no\n" FINE),
	    "nothing is wrong. ");
	assert_null(strstr(shown, "Not in force"));
}

static void
an_announced_stop_is_no_fault(void **arg)
{
	(void)arg;
	assert_has(explain("drain announced=yes stops_in=12.300\n" FINE),
	    "php: nothing is wrong.  A stop is announced, and comes in 12.3 "
	    "s: ");
	assert_has(shown, "spawnctl resume");
	assert_false(wrong);
	assert_has(explain("drain announced=yes\n" FINE),
	    "A stop is announced: ");
	assert_has_not(explain("drain announced=no\n" FINE), "announced");
}

static void
lines_break_at_blanks(void **arg)
{
	const char *line;
	size_t len;

	(void)arg;
	answers_add(&a, "queue now=9 saturated_for=12.000\n" FINE);
	show(explain_write(f, &a, &wrong, &e));
	for (line = shown; *line != '\0'; line += len + 1) {
		len = strcspn(line, "\n");
		assert_between(len, 1, 78);
		assert_true(line[0] != ' ' && line[len - 1] != ' ');
	}
}

static void
a_hostile_daemon_is_escaped(void **arg)
{
	const char *c;

	(void)arg;
	answers_add(&a, "listener why=\\x1b]0;x\\x07\n"
	    "guarantees door=no\nreasons door=\\x1b\\x9b2J\n"
	    "failure of=worker ago=1 recent=99999999999999999999 pid=\\x1b "
	    "what=\\x1b[2J said=\\x9b\n"
	    "queue now=99999999999999999999 saturated_for=1e300\n");
	show(explain_write(f, &a, &wrong, &e));
	for (c = shown; *c != '\0'; c++)
		assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 &&
		    (unsigned char)*c < 0x7f));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_wrong),
		TEST(each_fault_is_said_with_what_to_do),
		TEST(what_is_over_is_not_a_fault),
		TEST(what_does_not_hold_here_is_told_apart),
		TEST(an_announced_stop_is_no_fault),
		TEST(lines_break_at_blanks),
		TEST(a_hostile_daemon_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
