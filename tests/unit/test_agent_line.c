/* SPDX-License-Identifier: ISC */
/* What a balancer is told of a pool. */
#include <string.h>
#include <sysexits.h>

#include "ctl/agent.h"
#include "proto/proto.h"
#include "replies.h"
#include "unit.h"

#define UP	"pool state=up target=4 max=4 children=0"
#define READY	"workers ready=4 backoff=0"

/* The line for an answer with these records, a line each. */
static const char *
told(int each, const char *records)
{
	static char line[AGENT_LINE];
	struct reply a = { NULL, 0 };

	answers_add(&a, records);
	agent_line_serving(&a, each, line);
	reply_free(&a);
	return line;
}

static const char *
failed(int status, const char *text)
{
	static char line[AGENT_LINE];
	struct err why = { .status = status };

	strlcpy(why.text, text, sizeof(why.text));
	agent_line_failed(&why, line);
	return line;
}

static void
the_weight_falls_with_the_load(void **arg)
{
	(void)arg;
	assert_string_equal(told(-1, UP "\n" READY "\nconnections now=0"),
	    "ready up 100% maxconn:4\n");
	assert_string_equal(told(-1, UP "\n" READY "\nconnections now=1"),
	    "ready up 93% maxconn:4\n");
	assert_string_equal(told(-1, UP "\n" READY "\nconnections now=1\n"
	    "queue now=1"), "ready up 87% maxconn:4\n");
}

/* 0 would be a drain, and hardly anything for a busy host a herd elsewhere. */
static void
a_busy_pool_keeps_some_weight(void **arg)
{
	(void)arg;
	assert_string_equal(told(-1, UP "\n" READY "\nconnections now=4"),
	    "ready up 75% maxconn:4\n");
	assert_string_equal(told(-1, UP "\n" READY "\nconnections now=4\n"
	    "queue now=900"), "ready up 75% maxconn:4\n");
}

static void
children_and_growth_count(void **arg)
{
	(void)arg;
	assert_string_equal(told(-1, "pool state=up target=1 max=1 children=8\n"
	    "workers ready=1\nconnections now=2"),
	    "ready up 93% maxconn:8\n");
	assert_string_equal(told(-1, "pool state=up target=2 max=8 children=0\n"
	    "workers ready=2\nconnections now=2"),
	    "ready up 93% maxconn:8\n");
	/* It starts the first with the first connection. */
	assert_string_equal(told(-1, "pool state=up target=0 max=8 children=0\n"
	    "workers ready=0\nconnections now=0"),
	    "ready up 100% maxconn:8\n");
}

static void
workers_that_fail_do_not_count(void **arg)
{
	(void)arg;
	assert_string_equal(told(-1, UP "\nworkers ready=2 backoff=2\n"
	    "connections now=1"), "ready up 81% maxconn:4\n");
	assert_string_equal(told(-1, UP "\nworkers ready=0 backoff=4\n"
	    "connections now=0"), "fail #no worker is ready\n");
}

static void
a_worker_may_serve_many_or_any_number(void **arg)
{
	(void)arg;
	assert_string_equal(told(25, UP "\n" READY "\nconnections now=50"),
	    "ready up 87% maxconn:100\n");
	assert_string_equal(told(0, UP "\n" READY "\nconnections now=50"),
	    "ready up\n");
}

static void
what_is_unknown_is_not_told(void **arg)
{
	(void)arg;
	assert_string_equal(told(-1, UP "\n" READY),
	    "ready up 100% maxconn:4\n");
	assert_string_equal(told(-1, "pool state=reloading target=4 max=4\n"
	    READY "\nconnections now=2"), "ready up 87% maxconn:4\n");
}

static void
a_stop_is_a_drain_from_its_announcement_on(void **arg)
{
	(void)arg;
	assert_string_equal(told(-1, "pool state=draining target=4 max=4\n"
	    READY "\nlistener reachable=no why=gone"), "drain\n");
	assert_string_equal(told(-1, "pool state=stopping target=0 max=4"),
	    "drain\n");
}

static void
never_up_without_a_way_in(void **arg)
{
	(void)arg;
	assert_string_equal(told(-1, UP "\n" READY "\n"
	    "listener reachable=no why=/run/x\\x20is\\x20gone"),
	    "fail #/run/x is gone\n");
	assert_string_equal(told(-1, UP "\n" READY "\nlistener reachable=no"),
	    "fail #clients cannot connect\n");
	assert_string_equal(told(-1, "pool state=starting target=4 max=4"),
	    "down #the pool is starting\n");
	assert_string_equal(told(-1, "nothing"),
	    "fail #the answer of the pool lacks its state\n");
}

static void
no_pool_is_down_and_no_answer_nothing(void **arg)
{
	(void)arg;
	assert_string_equal(failed(EX_UNAVAILABLE, "no pool runs here"),
	    "down #no pool runs here\n");
	assert_string_equal(failed(EX_USAGE, "-p: required"),
	    "fail #-p: required\n");
	assert_string_equal(failed(EX_NOPERM, "denied"), "fail #denied\n");
	assert_string_equal(failed(EX_TEMPFAIL, "no answer in time"), "\n");
}

/* What the pool says is one line, of characters, that fits. */
static void
a_reason_is_cut_and_escaped(void **arg)
{
	char why[AGENT_LINE * 2];
	const char *line;

	(void)arg;
	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	line = failed(EX_UNAVAILABLE, why);
	assert_true(strlen(line) < AGENT_LINE);
	assert_int_equal(line[strlen(line) - 1], '\n');
	line = failed(EX_UNAVAILABLE, "a\nready up\033");
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_null(strchr(line, '\033'));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_weight_falls_with_the_load),
		cmocka_unit_test(a_busy_pool_keeps_some_weight),
		cmocka_unit_test(children_and_growth_count),
		cmocka_unit_test(workers_that_fail_do_not_count),
		cmocka_unit_test(a_worker_may_serve_many_or_any_number),
		cmocka_unit_test(what_is_unknown_is_not_told),
		cmocka_unit_test(a_stop_is_a_drain_from_its_announcement_on),
		cmocka_unit_test(never_up_without_a_way_in),
		cmocka_unit_test(no_pool_is_down_and_no_answer_nothing),
		cmocka_unit_test(a_reason_is_cut_and_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
