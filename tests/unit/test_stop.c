/* SPDX-License-Identifier: ISC */
/* The end of a pool: what is signalled when, and that it always comes. */
#include "bed.h"

static void
asks_every_worker_to_stop(void **arg)
{
	struct bed *b = bed_ready(3);

	(void)arg;
	bed_stop(b);
	assert_did(b, "TERM>0 TERM>1 TERM>2");
	bed_free(b);
}

static void
uses_the_stop_signal_asked_for(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.stop_signal = SIGUSR1;
	b = bed_raw(&c);
	bed_act(b);
	bed_did(b);
	b->show_all = true;
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 STOP>0 exam0 USR1>0 CONT>0");
	bed_tell(b, EV_STOP);
	assert_did(b, "USR1>>0 CONT>>0");
	bed_free(b);
}

static void
is_done_when_the_last_worker_is_gone(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_stop(b);
	bed_did(b);
	bed_exit(b, 1, 0);
	assert_did(b, "");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_pass(b, 100 * USEC);
	assert_did(b, "");
	bed_free(b);
}

static void
a_pool_without_processes_is_done_at_once(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_exit(b, 0, 0);
	bed_exit(b, 0, 1);
	bed_did(b);
	bed_stop(b);
	assert_did(b, "[done]");
	assert_int_equal(pool_deadline(b->p), NEVER);
	bed_free(b);
}

static void
kills_at_the_stop_timeout(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_exit(b, 0, 0);
	bed_pass(b, b->conf.stop_timeout - 1);
	assert_did(b, "TERM>0 TERM>1");
	bed_pass(b, 1);
	assert_did(b, "KILL>1 [kill 1]");
	assert_int_equal(b->notice.what, NOTICE_KILLED_IDLE);
	assert_int_equal(b->notice.pid, b->w[1].pid);
	bed_pass(b, 100 * USEC);
	assert_did(b, "");
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = 1,
	    .status = SIGKILL });
	assert_did(b, "[done]");
	bed_free(b);
}

static void
kills_at_once_without_a_stop_timeout(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.stop_timeout = 0;
	b = bed_raw(&c);
	bed_act(b);
	bed_did(b);
	bed_stop(b);
	bed_pass(b, 0);
	assert_did(b, "TERM>0 KILL>0 [kill 0]");
	bed_free(b);
}

static void
fast_kills_after_two_seconds(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_STOP_FAST);
	assert_did(b, "TERM>0");
	assert_int_equal(bed_next(b), 2 * USEC);
	bed_pass(b, 2 * USEC);
	assert_did(b, "KILL>0 [kill 0]");
	bed_free(b);
}

static void
fast_is_never_slower_than_the_stop_timeout(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.stop_timeout = USEC;
	b = bed_raw(&c);
	bed_act(b);
	bed_tell(b, EV_STOP_FAST);
	assert_int_equal(bed_next(b), USEC);
	bed_free(b);
}

static void
a_second_stop_is_a_fast_one(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_pass(b, 5 * USEC);
	bed_did(b);
	bed_tell(b, EV_STOP);
	assert_did(b, "TERM>0");
	assert_int_equal(bed_next(b), 2 * USEC);
	bed_free(b);
}

static void
a_fast_stop_never_puts_the_kill_off(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_pass(b, 29 * USEC);
	bed_tell(b, EV_STOP_FAST);
	assert_int_equal(bed_next(b), USEC);
	bed_free(b);
}

static void
further_stops_change_nothing(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_STOP_FAST);
	bed_pass(b, USEC);
	bed_did(b);
	bed_tell(b, EV_STOP);
	bed_tell(b, EV_STOP_FAST);
	assert_did(b, "");
	assert_int_equal(bed_next(b), USEC);
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_tell(b, EV_STOP);
	bed_tell(b, EV_RELOAD);
	assert_did(b, "");
	bed_free(b);
}

static void
works_in_the_start(void **arg)
{
	struct bed *b = bed_starting(2);

	(void)arg;
	bed_stop(b);
	assert_did(b, "TERM>0 TERM>1");
	/* They may have been told too early to heed it. */
	bed_pass(b, USEC - MSEC);
	assert_did(b, "TERM>0 TERM>1");
	bed_pass(b, USEC);
	assert_did(b, "TERM>0 TERM>1");
	bed_pass(b, 8 * USEC);
	assert_did(b, "TERM>0 TERM>1 TERM>0 TERM>1");
	bed_exit(b, 0, 0);
	bed_exit(b, 1, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

/* It was the stop that ended the reload. */
static void
a_slow_new_worker_fails_no_reload_any_more(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_pass(b, 60 * USEC);
	assert_has(bed_did(b), "[slow 1]");
	bed_stop(b);
	bed_exit(b, 1, 0);
	bed_exit(b, 0, 0);
	assert_has_not(bed_did(b), "[reload-failed");
	bed_free(b);
}

static void
a_reload_is_ignored_meanwhile(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_stop(b);
	bed_did(b);
	bed_tell(b, EV_RELOAD);
	assert_did(b, "");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_every_worker_to_stop),
		cmocka_unit_test(uses_the_stop_signal_asked_for),
		cmocka_unit_test(is_done_when_the_last_worker_is_gone),
		cmocka_unit_test(a_pool_without_processes_is_done_at_once),
		cmocka_unit_test(kills_at_the_stop_timeout),
		cmocka_unit_test(kills_at_once_without_a_stop_timeout),
		cmocka_unit_test(fast_kills_after_two_seconds),
		cmocka_unit_test(fast_is_never_slower_than_the_stop_timeout),
		cmocka_unit_test(a_second_stop_is_a_fast_one),
		cmocka_unit_test(a_fast_stop_never_puts_the_kill_off),
		cmocka_unit_test(further_stops_change_nothing),
		cmocka_unit_test(works_in_the_start),
		cmocka_unit_test(a_slow_new_worker_fails_no_reload_any_more),
		cmocka_unit_test(a_reload_is_ignored_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
