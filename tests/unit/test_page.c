/* SPDX-License-Identifier: ISC */
/* What spawnd-status answers, from pools that have answered or not. */
#include <jansson.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "replies.h"
#include "base/base.h"
#include "client/client.h"
#include "page/page.h"

/* What a pool of another user might say. */
#define HOSTILE								\
	"pool name=\"<b>&'\\x1b state=<script> uptime=\\x1b listen=\\xff<" \
	"\\x9b owner=\"> application=\\xe2\\x80\\xae&amp; user=' "	\
	"jail=</table> pid=-1 version=< started=9999999999999999 "	\
	"max=99999999999999999999 children=99999999999999999999\n"	\
	"workers ready=99999999999999999999\n"				\
	"count crashed=99999999999999999999 a-b=3 started=x\n"	\
	"guarantees door=<i> x-y=no queue=no\n"				\
	"listener why=<a\\x20href=\"javascript:x\"> unseen=]]>\n"	\
	"queue now=99999999999999999999 peak=\\x09\n"			\
	"worker slot=<b> pid=\"&' state=<b>&\"'\\x1b age=1e9 rss=\\xff\n" \
	"worker slot=1 state=ready connections=1 start_in=<\n"		\
	"point ago=<b> queue=3\n"					\
	"point ago=5 queue=99999999999999999999 busy=1 workers=0.5\n"

#define TRACE								\
	"trace now=100000000 clock=1700000000000000\n"			\
	"notice time=1000000 what=ready ready=4\n"			\
	"event time=2000000 what=readiness slot=0 pid=11\n"		\
	"notice time=3000000 what=exit slot=0 pid=11 exited=3 "		\
	"was_ready=yes delay=100000\n"					\
	"notice time=4000000 what=exit slot=0 pid=12 killed=11\n"	\
	"notice time=4100000 what=exit slot=0 pid=13 exited=1 "		\
	"exec_failed=yes\n"						\
	"event time=5000000 what=reload\n"				\
	"notice time=6000000 what=reloaded\n"				\
	"notice time=7000000 what=killed_busy slot=1 pid=14 count=2\n"	\
	"event time=8000000 what=saturated\n"				\
	"event time=97000000 what=target workers=6\n"			\
	"notice time=98000000 what=<script>\n"

static struct view v[2];
static struct request r;
static struct answer answer;

static int
begin(void **arg)
{
	size_t i;

	(void)arg;
	memset(v, 0, sizeof(v));
	for (i = 0; i < NITEMS(v); i++)
		v[i].conn.fd = -1;
	v[0].name = strdup("php");
	v[1].name = strdup("app");
	v[0].up = v[1].up = true;
	r = (struct request){ .form = "text", .sort = -1 };
	answer = (struct answer){ 0 };
	return 0;
}

static int
end(void **arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(v); i++) {
		reply_free(&v[i].status);
		reply_free(&v[i].trace);
		free(v[i].name);
	}
	answer_free(&answer);
	free(shown);
	shown = NULL;
	return 0;
}

/* Makes the answer, for the first n pools, and what was shown. */
static void
ask(size_t n)
{
	answer_free(&answer);
	answer_pools(&r, v, n, 0, &answer);
	assert_non_null(answer.body);
	assert_int_equal(strlen(answer.body), answer.len);
	free(shown);
	shown = strdup(answer.body);
}

static void
go_away(struct view *w)
{
	w->up = false;
	w->seen = 1700000000;
	err_set(&w->err, EX_UNAVAILABLE, "/run/spawnd/<x>: no pool is running "
	    "there");
	reply_free(&w->status);
	reply_free(&w->trace);
	answers_add(&w->status, "pool name=gone state=gone seen=1700000000");
}

static bool
is_there(const char *program)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	/* NOLINTNEXTLINE(cert-env33-c): a command of ours */
	return system(command) == 0;
}

static void
the_page_has_the_figures(void **arg)
{
	(void)arg;
	answers_add(&v[0].status, POOL LOAD WORKERS
	    "point ago=200 queue=0 busy=0 workers=4\n"
	    "point ago=12 queue=3 busy=2 workers=4\n");
	answers_add(&v[0].trace, TRACE);
	ask(1);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.type, "text/html; charset=utf-8");
	assert_int_equal(strlen(answer.nonce), NONCE_SIZE - 1);
	assert_has(shown, answer.nonce);
	assert_has(shown, "<b>1</b> of 2 ready of 4<");
	assert_has(shown, "<b>3</b> of 1024 <small>peak 17</small>");
	assert_has(shown, ">just now <small>at most 12.0 s</small>");
	assert_has(shown, "for 12.0 s <small>1.50 s in all</small>");
	assert_has(shown, "started 12</span>, <span>recycled 3</span>, "
	    "<span class=\"bad\">crashed 1</span>");
	assert_has(shown, "proc_detached: not in force: processes can be "
	    "looked at only while /proc is mounted");
	assert_has(shown, "<td>busy</td><td>5.25 s</td>");
	assert_has(shown, "starts in 3.20 s");
	assert_has(shown, "<dd>_app</dd>");
}

/* Looks at the queue say more than the history, which has whole seconds. */
static void
what_the_looks_have_seen_is_said(void **arg)
{
	(void)arg;
	answers_add(&v[0].status, "queue now=3 oldest=8.250 "
	    "saturated_for=7.500\n" POOL LOAD WORKERS
	    "point ago=200 queue=0 busy=0 workers=4\n"
	    "point ago=12 queue=3 busy=2 workers=4\n");
	ask(1);
	assert_has(shown, ">at least 8.25 s <small>at most 12.0 s</small>");
	assert_has(shown, ">for 7.50 s <small>");
}

static void
events_are_in_words_and_the_latest_is_first(void **arg)
{
	static const char *const words[] = {
		"3.00 s ago</span> the pool is to have 6 workers<",
		"saturated: all workers are busy, and connections wait<",
		"1:33 ago</span> worker 14 was killed with 2 requests<",
		"reload: all workers are new<", "reload: begun<",
		"worker 13 could not be started<",
		"worker 12 was killed by SIGSEGV before it was ready<",
		"worker 11 exited with status 3 (next try in 0.10 s)<",
		"the pool is ready: 4 workers<",
	};
	const char *at;
	size_t i;

	(void)arg;
	answers_add(&v[0].status, POOL LOAD WORKERS);
	answers_add(&v[0].trace, TRACE);
	ask(1);
	for (at = shown, i = 0; i < NITEMS(words); i++) {
		assert_has(at, words[i]);
		at = strstr(at, words[i]);
	}
	assert_has_not(shown, "readiness");
}

/* The rows of the workers in their order, by their pid. */
static void
assert_order(const char *sort, const char *first, const char *second,
    const char *third)
{
	const char *a, *b, *c;

	r.sort = workers_column(sort, strlen(sort));
	ask(1);
	a = strstr(shown, first);
	b = strstr(shown, second);
	c = strstr(shown, third);
	assert_non_null(a);
	assert_true(a < b && b < c);
}

static void
workers_are_in_the_order_asked_for(void **arg)
{
	static const char one[] = "<td>11</td>", two[] = "<td>12</td>",
	    none[] = "<td>backoff</td>";

	(void)arg;
	answers_add(&v[0].status, POOL LOAD WORKERS);
	assert_order("age", one, two, none);
	assert_has(shown, "aria-sort=\"ascending\"><a id=\"by-age\" "
	    "href=\"./?sort=-age\">");
	r.down = true;
	assert_order("age", two, one, none);
	assert_has(shown, "aria-sort=\"descending\"><a id=\"by-age\" "
	    "href=\"./?sort=age\">");
	assert_order("cpu", two, one, none);
	r.down = false;
	assert_order("state", none, one, two);
	assert_order("pid", one, two, none);
}

static void
more_workers_than_a_page_has_are_counted(void **arg)
{
	char line[80];
	int i;

	(void)arg;
	answers_add(&v[0].status, POOL LOAD);
	for (i = 0; i < PAGE_ROWS + 7; i++) {
		snprintf(line, sizeof(line), "worker slot=%d pid=%d "
		    "state=ready", i, i + 1000);
		answers_add(&v[0].status, line);
	}
	ask(1);
	assert_has(shown, "<td>1499</td>");
	assert_has_not(shown, "<td>1500</td>");
	assert_has(shown, "The first 500 of 507.");
}

/* The pool serves on, but that is why nothing new comes. */
static void
an_announced_stop_is_on_the_page(void **arg)
{
	(void)arg;
	r.what = PAGE_PEOPLE;
	answers_add(&v[0].status, "drain announced=yes stops_in=12.300\n"
	    POOL LOAD WORKERS);
	ask(1);
	assert_has(shown, "a stop is announced and comes in 12.3 s<");
	reply_free(&v[0].status);
	answers_add(&v[0].status, "drain announced=no\n" POOL LOAD WORKERS);
	ask(1);
	assert_has_not(shown, "announced");
}

static void
a_chart_has_steps_and_gaps(void **arg)
{
	(void)arg;
	answers_add(&v[0].status, "pool name=x\nworkers ready=8\n"
	    "point ago=299 workers=8 queue=0 busy=0\n"
	    "point ago=100 workers=8 queue=12 queue_peak=18 busy=4\n"
	    "point ago=50 workers=8\n"
	    "point ago=9 workers=4 queue=0 busy=4 busy_peak=7\n");
	ask(1);
	/* Each axis has its unit above it. */
	assert_has(shown, "<div class=\"unit\"><span>workers</span>");
	assert_has(shown, "<div class=\"unit\"><span>connections</span>");
	assert_has(shown, "<title>connections: waiting, up to 20, in the last "
	    "five minutes</title>");
	assert_has(shown, "<span>10</span><span>0</span></div><svg");
	assert_has(shown, "<path class=\"ready\" d=\"M0 100V20.0H290V60.0"
	    "H300V100Z\"/>");
	assert_has(shown, "<path class=\"busy\" d=\"M0 100V100.0H199V60.0"
	    "H249V100ZM290 100V30.0H291V60.0H300V100Z\"/>");
	assert_has(shown, "<path class=\"queue\" d=\"M0 100V100.0H199V10.0"
	    "H200V40.0H249V100ZM290 100V100.0H300V100Z\"/>");
}

static void
children_are_what_is_busy(void **arg)
{
	(void)arg;
	answers_add(&v[0].status, "pool name=x children=8 min=1 max=2\n"
	    "workers ready=1\nconnections now=5\nsum busy=1\n"
	    "point ago=3 workers=1 busy=5 queue=0\n");
	ask(1);
	assert_has(shown, "<b>5</b> of 8 ready of 16<");
	assert_has(shown, "<div class=\"unit\"><span>children</span>");
	assert_has(shown, "d=\"M296 100V20.0H300V100Z\"");
}

static void
what_is_not_known_is_no_figure(void **arg)
{
	(void)arg;
	answers_add(&v[0].status, "pool name=x\nworkers total=1\n");
	ask(1);
	assert_has(shown, "<b>?</b> of ? ready<");
	assert_has(shown, "<b>?</b> of ? <small>peak ?</small>");
	assert_has_not(shown, "<b>0</b>");
	assert_has_not(shown, "at most");
	assert_has_not(shown, "just now");
	assert_has(shown, "<path class=\"busy\" d=\"\"/>");
}

static void
a_pool_that_has_gone_is_a_row_and_no_200(void **arg)
{
	(void)arg;
	answers_add(&v[1].status, POOL LOAD WORKERS);
	go_away(&v[0]);
	ask(2);
	assert_int_equal(answer.status, 200);
	assert_has(shown, "<b>gone</b>, last seen 2023-11-1");
	assert_has(shown, "/run/spawnd/&#60;x&#62;: no pool is running");
	v[1].up = false;
	err_set(&v[1].err, EX_TEMPFAIL, "no answer in time");
	reply_free(&v[1].status);
	answers_add(&v[1].status, "pool name=app state=silent\n");
	ask(2);
	assert_int_equal(answer.status, 503);
	assert_has(shown, "<b>does not answer</b><br/>");
	for (r.what = PAGE_PEOPLE; r.what <= PAGE_PING; r.what++) {
		ask(1);
		assert_int_equal(answer.status, 503);
	}
	assert_has(shown, "no pool is running there\n");
	/* A reason with a colon could be a line of php-fpm's page. */
	assert_int_equal(strncmp(shown, "Service Unavailable\n", 20), 0);
}

static void
no_pool_is_503(void **arg)
{
	(void)arg;
	for (r.what = PAGE_PEOPLE; r.what <= PAGE_PING; r.what++) {
		ask(0);
		assert_int_equal(answer.status, 503);
	}
}

static void
of_several_pools_one_has_to_be_named(void **arg)
{
	(void)arg;
	answers_add(&v[0].status, POOL LOAD WORKERS);
	answers_add(&v[1].status, POOL LOAD WORKERS);
	r.what = PAGE_FPM;
	ask(2);
	assert_int_equal(answer.status, 404);
	r.what = PAGE_PING;
	ask(2);
	assert_int_equal(answer.status, 404);
	ask(1);
	assert_int_equal(answer.status, 200);
	assert_string_equal(shown, "pong");
}

static void
php_fpms_forms_have_their_types(void **arg)
{
	static const char *const forms[][2] = {
		{ "text", "text/plain; charset=utf-8" },
		{ "json", "application/json" },
		{ "xml", "text/xml; charset=utf-8" },
		{ "openmetrics", "application/openmetrics-text; "
		    "version=1.0.0; charset=utf-8" },
	};
	size_t i;

	(void)arg;
	answers_add(&v[0].status, POOL LOAD WORKERS);
	r.what = PAGE_FPM;
	for (i = 0; i < NITEMS(forms); i++) {
		r.form = forms[i][0];
		ask(1);
		assert_int_equal(answer.status, 200);
		assert_string_equal(answer.type, forms[i][1]);
		assert_string_equal(answer.nonce, "");
	}
}

static void
json_is_a_list_of_pools(void **arg)
{
	json_t *j, *list;

	(void)arg;
	answers_add(&v[0].status, POOL LOAD WORKERS "point ago=1 queue=1\n");
	go_away(&v[1]);
	r.what = PAGE_JSON;
	ask(2);
	assert_non_null(j = json_loads(shown, JSON_REJECT_DUPLICATES, NULL));
	list = json_object_get(j, "pools");
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_array_size(json_object_get(json_array_get(list,
	    0), "worker")), 3);
	assert_string_equal(json_string_value(json_object_get(json_object_get(
	    json_array_get(list, 1), "pool"), "state")), "gone");
	json_decref(j);
	strlcpy(r.pool, "php", sizeof(r.pool));
	ask(1);
	assert_non_null(j = json_loads(shown, JSON_REJECT_DUPLICATES, NULL));
	assert_non_null(json_object_get(j, "queue"));
	json_decref(j);
}

static void
openmetrics_has_each_metric_once_for_all_pools(void **arg)
{
	const char *at;

	(void)arg;
	answers_add(&v[0].status, POOL LOAD WORKERS);
	go_away(&v[1]);
	r.what = PAGE_OPENMETRICS;
	r.full = true;
	ask(2);
	assert_has(shown, "spawnd_up{pool=\"php\"} 1\n"
	    "spawnd_up{pool=\"gone\"} 0\n");
	assert_has(shown, "# TYPE spawnd_queue_connections gauge\n");
	at = strstr(shown, "# TYPE spawnd_queue_connections gauge\n");
	assert_has_not(at + 1, "# TYPE spawnd_queue_connections gauge\n");
	assert_has_not(shown, "spawnd_queue_connections{pool=\"gone\"");
	assert_has(shown, "spawnd_worker_age_seconds{pool=\"php\","
	    "slot=\"0\"} 5.250\n");
	assert_string_equal(shown + strlen(shown) - 6, "# EOF\n");
	go_away(&v[0]);
	ask(2);
	assert_int_equal(answer.status, 503);
	assert_has_not(shown, "spawnd_workers");
}

static void
the_page_is_well_formed_and_promtool_reads_the_metrics(void **arg)
{
	(void)arg;
	if (!is_there("xmllint") || !is_there("promtool"))
		skip();
	answers_add(&v[0].status, POOL LOAD WORKERS
	    "point ago=12 queue=3 busy=2 workers=4\n");
	answers_add(&v[0].trace, TRACE);
	ask(1);
	assert_int_equal(answers_pipe("xmllint --noout -"), 0);
	answers_add(&v[1].status, POOL LOAD WORKERS);
	ask(2);
	assert_int_equal(answers_pipe("xmllint --noout -"), 0);
	go_away(&v[0]);
	ask(2);
	assert_int_equal(answers_pipe("xmllint --noout -"), 0);
	ask(1);
	assert_int_equal(answers_pipe("xmllint --noout -"), 0);
	ask(0);
	assert_int_equal(answers_pipe("xmllint --noout -"), 0);
	r.what = PAGE_OPENMETRICS;
	ask(2);
	/* It reads the older form, in which a counter's description has the
	 * name of its sample. */
	assert_int_equal(answers_pipe("awk '$2 == \"TYPE\" { c = $4 == "
	    "\"counter\" } $1 == \"#\" && c { $3 = $3 \"_total\" } "
	    "{ print }' | promtool check metrics"), 0);
}

static void
nothing_hostile_gets_into_the_page(void **arg)
{
	const char *s;

	(void)arg;
	answers_add(&v[0].status, HOSTILE);
	answers_add(&v[0].trace, HOSTILE TRACE);
	for (r.sort = -1; r.sort < workers_column("rss", 3); r.sort++) {
		ask(1);
		assert_has_not(shown, "<b>&");
		assert_has_not(shown, "<i>");
		assert_has_not(shown, "<script>");
		assert_has_not(shown, "<a href=\"java");
		assert_has_not(shown, "]]>");
		for (s = shown; *s != '\0'; s++)
			assert_true(*s == '\n' || (unsigned char)*s >= 0x20);
	}
	if (is_there("xmllint"))
		assert_int_equal(answers_pipe("xmllint --noout -"), 0);
}

static void
a_figure_lasts_as_long_as_the_points_say(void **arg)
{
	bool whole;

	(void)arg;
	answers_add(&v[0].status, "point ago=90 queue=2\npoint ago=80 "
	    "queue=0\npoint ago=30 queue=1\npoint ago=20 queue=5\n");
	assert_true(timeline_lasts(&v[0].status, "queue", 1, &whole) == 30);
	assert_false(whole);
	assert_true(timeline_lasts(&v[0].status, "queue", 5, &whole) == 20);
	assert_true(timeline_lasts(&v[0].status, "queue", 0, &whole) == 90);
	assert_true(whole);
	assert_true(timeline_lasts(&v[0].status, "queue", 6, &whole) == -1);
	assert_true(timeline_lasts(&v[0].status, "none", 0, &whole) == -1);
	assert_false(whole);
	answers_add(&v[0].status, "point ago=3\n");
	assert_true(timeline_lasts(&v[0].status, "queue", 0, &whole) == -1);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_page_has_the_figures),
		TEST(an_announced_stop_is_on_the_page),
		TEST(what_the_looks_have_seen_is_said),
		TEST(events_are_in_words_and_the_latest_is_first),
		TEST(workers_are_in_the_order_asked_for),
		TEST(more_workers_than_a_page_has_are_counted),
		TEST(a_chart_has_steps_and_gaps),
		TEST(children_are_what_is_busy),
		TEST(what_is_not_known_is_no_figure),
		TEST(a_pool_that_has_gone_is_a_row_and_no_200),
		TEST(no_pool_is_503),
		TEST(of_several_pools_one_has_to_be_named),
		TEST(php_fpms_forms_have_their_types),
		TEST(json_is_a_list_of_pools),
		TEST(openmetrics_has_each_metric_once_for_all_pools),
		TEST(the_page_is_well_formed_and_promtool_reads_the_metrics),
		TEST(nothing_hostile_gets_into_the_page),
		TEST(a_figure_lasts_as_long_as_the_points_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
