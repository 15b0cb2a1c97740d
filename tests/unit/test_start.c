/* SPDX-License-Identifier: ISC */
/* The start of a pool: looks, the start-timeout, when it is over, how. */
#include "bed.h"

static void
asks_for_every_worker_at_once(void **arg)
{
	struct pool_conf c = bed_conf(4);
	struct bed *b = bed_raw(&c);

	(void)arg;
	bed_take(b);
	assert_did(b, "spawn0 spawn1 spawn2 spawn3");
	assert_int_equal(pool_slots(b->p), 5 + POOL_ORPHANS);
	assert_state(b, 4, SLOT_EMPTY);
	bed_free(b);
}

static void
looks_after_1_2_4_up_to_50_ms(void **arg)
{
	static const unsigned int ladder[] = { 1, 2, 4, 8, 16, 32, 50, 50 };
	struct bed *b = bed_starting(1);
	uint64_t age = 0;
	size_t i;

	(void)arg;
	b->show_looks = true;
	for (i = 0; i < NITEMS(ladder); i++) {
		age += ladder[i] * MSEC;
		assert_int_equal(bed_next(b), ladder[i] * MSEC);
		bed_pass(b, ladder[i] * MSEC - 1);
		assert_did(b, "");
		bed_pass(b, 1);
		assert_did(b, "look0");
	}
	assert_int_equal(b->now, 1000 * USEC + age);
	bed_free(b);
}

static void
a_look_carries_the_workers_age(void **arg)
{
	struct bed *b = bed_starting(1);
	struct pool_action a;

	(void)arg;
	b->now += 1700;
	pool_tick(b->p, b->now);
	assert_true(pool_next(b->p, &a));
	assert_int_equal(a.what, POOL_CHECK_READY);
	assert_int_equal(a.age, 1700);
	bed_free(b);
}

static void
nobody_looks_at_a_ready_worker(void **arg)
{
	struct bed *b = bed_ready(3);

	(void)arg;
	assert_int_equal(pool_deadline(b->p), NEVER);
	b->looks = 0;
	bed_pass(b, 1000 * USEC);
	assert_int_equal(b->looks, 0);
	bed_free(b);
}

/* Every look costs, so they get rarer the more workers start at once. */
static void
many_starts_are_looked_at_less_often(void **arg)
{
	struct bed *b = bed_starting(100);

	(void)arg;
	bed_look(b, 0, READY_YES);
	bed_pass(b, 2 * USEC);
	b->looks = 0;
	bed_pass(b, 10 * USEC);
	/* 99 workers, each every 50 ms: 19,800. */
	assert_between(b->looks, 4000, 6000);
	bed_free(b);
}

static void
is_over_when_every_first_start_has_an_outcome(void **arg)
{
	struct bed *b = bed_starting(4);

	(void)arg;
	bed_look(b, 0, READY_YES);
	bed_look(b, 1, READY_YES);
	bed_exit(b, 2, 1);
	assert_did(b, "[exit 2]");
	bed_look(b, 3, READY_YES);
	assert_did(b, "[ready 3]");
	bed_free(b);
}

static void
is_over_a_second_after_the_first_ready_one(void **arg)
{
	struct bed *b = bed_starting(2);

	(void)arg;
	bed_pass(b, 5 * USEC);
	bed_look(b, 0, READY_YES);
	bed_pass(b, POOL_START_GRACE - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "[ready 1]");
	bed_free(b);
}

static void
is_over_only_once(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_exit(b, 0, 0);
	bed_look(b, 0, READY_YES);
	bed_exit(b, 1, 0);
	bed_pass(b, 120 * USEC);
	assert_has_not(bed_did(b), "[ready");
	bed_free(b);
}

static void
is_over_when_a_worker_served_and_left_unseen(void **arg)
{
	struct bed *b = bed_starting(1);

	(void)arg;
	bed_exit_moved(b, 0, MOVED_YES);
	assert_has(bed_did(b), "[ready");
	bed_free(b);
}

static void
an_exec_failure_ends_it_at_once(void **arg)
{
	struct bed *b = bed_starting(2);

	(void)arg;
	bed_exec_failed(b, 0);
	assert_did(b, "[exit 0] [failed exec] TERM>1");
	bed_exec_failed(b, 1);
	assert_did(b, "[done]");
	bed_free(b);
}

static void
an_exec_failure_after_a_ready_one_does_not(void **arg)
{
	struct bed *b = bed_starting(3);

	(void)arg;
	bed_look(b, 0, READY_YES);
	bed_exec_failed(b, 1);
	assert_did(b, "[exit 1]");
	assert_true(b->notice.exec_failed);
	assert_state(b, 1, SLOT_BACKOFF);
	bed_free(b);
}

static void
three_failures_of_every_slot_end_it(void **arg)
{
	struct bed *b = bed_starting(2);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		bed_exit(b, 0, 1);
		bed_exit(b, 1, 1);
		bed_pass(b, USEC);
		assert_has_not(bed_did(b), "[failed");
	}
	bed_exit(b, 0, 1);
	assert_did(b, "[exit 0]");
	bed_exit(b, 1, 1);
	assert_did(b, "[exit 1] [failed tries] [done]");
	bed_free(b);
}

static void
forks_that_fail_end_it_too(void **arg)
{
	struct pool_conf c = bed_conf(2);
	struct bed *b = bed_raw(&c);

	(void)arg;
	b->no_fork = true;
	bed_act(b);
	assert_did(b, "spawn0 spawn1 [nofork 0] [nofork 1]");
	assert_int_equal(b->notice.error, 11);
	bed_pass(b, USEC);
	assert_has(bed_did(b), "[failed tries] [done]");
	bed_free(b);
}

static void
three_unseen_exits_without_work_end_it(void **arg)
{
	struct bed *b = bed_starting(1);

	(void)arg;
	bed_exit_moved(b, 0, MOVED_NO);
	bed_pass(b, USEC);
	bed_exit_moved(b, 0, MOVED_NO);
	bed_pass(b, USEC);
	assert_has_not(bed_did(b), "[failed");
	bed_exit_moved(b, 0, MOVED_NO);
	assert_has(bed_did(b), "[failed tries]");
	bed_free(b);
}

/*
 * Whoever looks sees why there are new ones. The first of them may have served
 * one request, and nobody looked.
 */
static void
each_unseen_exit_is_counted(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int i;

	(void)arg;
	bed_crash(b, 0);
	bed_did(b);
	bed_exit_moved(b, 0, MOVED_YES);
	bed_exit_moved(b, 0, MOVED_UNKNOWN);
	assert_int_equal(pool_counts(b->p)->recycled, 2);
	for (i = 2; i < POOL_UNSEEN; i++) {
		bed_pass(b, 2 * USEC);
		bed_exit_moved(b, 0, MOVED_NO);
	}
	assert_has_not(bed_did(b), "[exit");
	assert_int_equal(pool_counts(b->p)->recycled, POOL_UNSEEN);
	assert_int_equal(pool_counts(b->p)->failed, 0);
	for (; i < POOL_UNSEEN + 2; i++) {
		bed_pass(b, 2 * USEC);
		bed_did(b);
		bed_exit_moved(b, 0, MOVED_NO);
		assert_did(b, "[exit 0] spawn0");
		assert_int_equal(b->notice.status, 0);
		assert_int_equal(b->notice.failures, i);
	}
	assert_int_equal(pool_counts(b->p)->recycled, POOL_UNSEEN);
	assert_int_equal(pool_counts(b->p)->failed, 2);
	bed_free(b);
}

static void
an_unseen_exit_whose_cause_is_seen_is_a_failure(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_crash(b, 0);
	bed_did(b);
	bed_exit_cause(b, 0, CAUSE_CGI);
	assert_has(bed_did(b), "[exit 0]");
	assert_int_equal(b->notice.cause, CAUSE_CGI);
	assert_true(b->notice.delay > 0);
	assert_int_equal(pool_counts(b->p)->failed, 1);
	bed_free(b);
}

/* Others serve, too, so that the queue moves proves nothing. */
static void
three_exits_of_which_the_cause_is_seen_end_it(void **arg)
{
	struct bed *b = bed_starting(1);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		bed_exit_cause(b, 0, CAUSE_CGI);
		if (i == 2)
			break;
		assert_int_equal(b->notice.what, NOTICE_EXIT);
		assert_int_equal(b->notice.cause, CAUSE_CGI);
		assert_has_not(bed_did(b), "[failed");
		bed_pass(b, USEC);
	}
	assert_has(bed_did(b), "[failed tries]");
	bed_free(b);
}

static void
three_that_listen_elsewhere_end_it(void **arg)
{
	struct bed *b = bed_starting(1);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		bed_look(b, 0, READY_ELSEWHERE);
		assert_has(bed_did(b), "[elsewhere 0] TERM>0");
		bed_crash(b, 0);
		bed_pass(b, USEC);
	}
	assert_has(bed_did(b), "[failed tries]");
	bed_free(b);
}

static void
one_that_polls_elsewhere_is_told_once_and_keeps_its_time(void **arg)
{
	struct bed *b = bed_starting(1);

	(void)arg;
	bed_look(b, 0, READY_ELSEWHERE_YET);
	assert_did(b, "[elsewhere 0]");
	assert_int_not_equal(b->notice.delay, 0);
	bed_look(b, 0, READY_ELSEWHERE_YET);
	assert_did(b, "");
	bed_look(b, 0, READY_YES);
	assert_did(b, "[ready 1]");
	bed_free(b);
}

static void
one_that_polls_elsewhere_is_ended_in_the_end(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	b->sees = READY_ELSEWHERE_YET;
	bed_crash(b, 0);
	bed_pass(b, 59 * USEC);
	assert_has(bed_did(b), "[elsewhere 0]");
	bed_pass(b, 2 * USEC);
	assert_has(bed_did(b), "[elsewhere 0] TERM>0");
	assert_int_equal(b->notice.delay, 0);
	bed_free(b);
}

static void
one_that_sleeps_unseen_is_ready(void **arg)
{
	struct bed *b = bed_starting(1);

	(void)arg;
	bed_look(b, 0, READY_ASSUMED);
	assert_did(b, "[ready 1]");
	bed_free(b);
}

/* Two ways to fail are still the failures of one slot. */
static void
one_slot_is_given_up_only_once(void **arg)
{
	struct bed *b = bed_starting(2);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		bed_exit(b, 0, 1);
		bed_pass(b, USEC);
	}
	for (i = 0; i < 3; i++) {
		bed_exit_moved(b, 0, MOVED_NO);
		bed_pass(b, USEC);
	}
	assert_has_not(bed_did(b), "[failed");
	assert_state(b, 1, SLOT_STARTING);
	bed_free(b);
}

static void
nothing_ready_in_time_ends_it(void **arg)
{
	struct bed *b = bed_starting(2);

	(void)arg;
	bed_pass(b, b->conf.start_timeout - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_has(bed_did(b), "[failed time]");
	assert_int_equal(pool_count(b->p, SLOT_STOPPING), 2);
	bed_exit(b, 0, 0);
	assert_has_not(bed_did(b), "[done]");
	bed_exit(b, 1, 0);
	assert_has(bed_did(b), "[done]");
	bed_free(b);
}

/* What cannot be seen is no reason to wait for ever. */
static void
nothing_visible_in_time_ends_it(void **arg)
{
	struct bed *b = bed_starting(1);

	(void)arg;
	b->sees = READY_UNKNOWN;
	bed_pass(b, b->conf.start_timeout);
	assert_has(bed_did(b), "[failed time]");
	bed_free(b);
}

static void
a_failed_one_stops_fast(void **arg)
{
	struct bed *b = bed_starting(1);

	(void)arg;
	bed_pass(b, b->conf.start_timeout);
	bed_did(b);
	bed_pass(b, POOL_FAST_STOP - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "KILL>0 [kill 0]");
	bed_free(b);
}

/*
 * A start that fails while a fork is still to be carried out (the loop was
 * late, and a pause after a failure is over as well): it must end all the
 * same, with nothing left running.
 */
static void
a_failed_one_ends_workers_on_their_way(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.start_timeout = USEC;
	b = bed_raw(&c);
	bed_act(b);
	bed_exit(b, 0, 1);
	b->now += 2 * USEC;
	pool_tick(b->p, b->now);
	bed_act(b);
	assert_has(bed_did(b), "[failed time]");
	bed_pass(b, 3 * USEC);
	/* KILL is the last word: whatever was started is gone after it. */
	if (pool_state(b->p, 0) == SLOT_KILLED)
		bed_exit(b, 0, 0);
	assert_has(bed_did(b), "[done]");
	bed_free(b);
}

/* Forking so many takes longer than they are given. */
static void
a_slow_first_fork_of_many_ends_them_all(void **arg)
{
	struct pool_conf c = bed_conf(3);
	struct bed *b;
	unsigned int i;

	(void)arg;
	c.start_timeout = USEC;
	b = bed_raw(&c);
	for (i = 0; i < 3; i++) {
		b->now += USEC;
		bed_act_once(b);
	}
	bed_act(b);
	assert_has(bed_did(b), "[failed time]");
	bed_pass(b, 3 * USEC);
	for (i = 0; i < 3; i++) {
		if (pool_state(b->p, i) != SLOT_EMPTY)
			bed_exit(b, i, 0);
	}
	assert_has(bed_did(b), "[done]");
	bed_free(b);
}

static void
a_pool_that_was_ready_never_gives_up(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int i;

	(void)arg;
	bed_crash(b, 0);
	for (i = 0; i < 50; i++) {
		bed_exec_failed(b, 0);
		bed_pass(b, 31 * USEC);
	}
	assert_has_not(bed_did(b), "[failed");
	assert_int_equal(b->spawns, 1 + 1 + 50);
	bed_free(b);
}

/* The pool is up already; one more worker is seen not ready in time. */
static struct bed *
one_late(enum readiness sees)
{
	struct bed *b = bed_starting(2);

	b->sees = sees;
	bed_look(b, 1, READY_YES);
	bed_pass(b, 2 * USEC);
	bed_did(b);
	return b;
}

static void
a_worker_seen_not_ready_in_time_is_ended(void **arg)
{
	struct bed *b = one_late(READY_NO);

	(void)arg;
	bed_pass(b, 58 * USEC - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "[slow 0] TERM>0");
	assert_int_equal(b->notice.pid, b->w[0].pid);
	bed_free(b);
}

/* The last look before that was up to 50 ms ago. */
static void
one_that_is_ready_at_the_last_moment_is_not_ended(void **arg)
{
	struct bed *b = one_late(READY_NO);

	(void)arg;
	bed_pass(b, 58 * USEC - 1);
	b->sees = READY_YES;
	bed_pass(b, 1);
	assert_did(b, "");
	assert_state(b, 0, SLOT_READY);
	bed_free(b);
}

/* The loop was late: what it saw before is of no account. */
static void
one_that_was_ready_in_time_is_not_ended_by_a_late_loop(void **arg)
{
	struct bed *b = one_late(READY_NO);

	(void)arg;
	b->now += 100 * USEC;
	b->sees = READY_YES;
	pool_tick(b->p, b->now);
	bed_act(b);
	assert_did(b, "");
	assert_state(b, 0, SLOT_READY);
	bed_free(b);
}

static void
an_ended_slow_worker_counts_as_failed(void **arg)
{
	struct bed *b = one_late(READY_NO);

	(void)arg;
	bed_pass(b, 58 * USEC);
	bed_exit(b, 0, 0);
	assert_did(b, "[slow 0] TERM>0 [exit 0]");
	assert_state(b, 0, SLOT_BACKOFF);
	assert_int_equal(b->notice.failures, 1);
	bed_free(b);
}

static void
having_been_slow_once_is_forgotten(void **arg)
{
	struct bed *b = one_late(READY_NO);

	(void)arg;
	bed_pass(b, 58 * USEC);
	bed_exit(b, 0, 0);
	bed_pass(b, USEC);
	bed_look(b, 0, READY_YES);
	bed_did(b);
	bed_stop(b);
	bed_exit(b, 0, 0);
	assert_did(b, "TERM>0 TERM>1");
	bed_free(b);
}

/* The most one moment can cause: the loop is late and all were slow. */
static void
a_late_loop_ends_a_hundred_slow_workers(void **arg)
{
	struct bed *b = bed_starting(100);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 100; i++)
		bed_look(b, i, READY_NO);
	b->now += 3600 * USEC;
	while (pool_deadline(b->p) <= b->now) {
		pool_tick(b->p, b->now);
		bed_act(b);
	}
	assert_has(bed_did(b), "[failed time]");
	assert_int_equal(pool_count(b->p, SLOT_STOPPING), 100);
	bed_free(b);
}

static void
a_worker_that_cannot_be_seen_is_never_ended(void **arg)
{
	struct bed *b = one_late(READY_UNKNOWN);

	(void)arg;
	bed_pass(b, 600 * USEC);
	assert_did(b, "");
	assert_state(b, 0, SLOT_STARTING);
	bed_free(b);
}

/* An answer that somebody forgot to fill in is neither ready nor slow. */
static void
a_zeroed_look_is_unknown(void **arg)
{
	struct bed *b = one_late(READY_UNKNOWN);

	(void)arg;
	bed_pass(b, 60 * USEC);
	bed_event(b, (struct pool_event){ .what = EV_READINESS });
	assert_did(b, "");
	assert_state(b, 0, SLOT_STARTING);
	bed_free(b);
}

/* Nor does such an exit say that the queue stood still, or that it moved. */
static void
a_zeroed_exit_says_nothing_of_the_queue(void **arg)
{
	struct bed *b = one_late(READY_UNKNOWN);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 5; i++) {
		bed_event(b, (struct pool_event){ .what = EV_EXIT });
		assert_between(bed_next(b), 1, POOL_EXIT0_FIRST);
		bed_pass(b, POOL_EXIT0_FIRST);
	}
	bed_free(b);
}

static void
a_worker_that_comes_into_sight_late_is_ended_then(void **arg)
{
	struct bed *b = one_late(READY_UNKNOWN);

	(void)arg;
	bed_pass(b, 61 * USEC);
	b->sees = READY_NO;
	assert_did(b, "");
	bed_pass(b, 2 * POOL_READY_LAST);
	assert_did(b, "[slow 0] TERM>0");
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_for_every_worker_at_once),
		cmocka_unit_test(looks_after_1_2_4_up_to_50_ms),
		cmocka_unit_test(a_look_carries_the_workers_age),
		cmocka_unit_test(nobody_looks_at_a_ready_worker),
		cmocka_unit_test(many_starts_are_looked_at_less_often),
		cmocka_unit_test(is_over_when_every_first_start_has_an_outcome),
		cmocka_unit_test(is_over_a_second_after_the_first_ready_one),
		cmocka_unit_test(is_over_only_once),
		cmocka_unit_test(is_over_when_a_worker_served_and_left_unseen),
		cmocka_unit_test(an_exec_failure_ends_it_at_once),
		cmocka_unit_test(an_exec_failure_after_a_ready_one_does_not),
		cmocka_unit_test(three_failures_of_every_slot_end_it),
		cmocka_unit_test(forks_that_fail_end_it_too),
		cmocka_unit_test(three_unseen_exits_without_work_end_it),
		cmocka_unit_test(each_unseen_exit_is_counted),
		cmocka_unit_test(
		    an_unseen_exit_whose_cause_is_seen_is_a_failure),
		cmocka_unit_test(three_exits_of_which_the_cause_is_seen_end_it),
		cmocka_unit_test(three_that_listen_elsewhere_end_it),
		cmocka_unit_test(
		    one_that_polls_elsewhere_is_told_once_and_keeps_its_time),
		cmocka_unit_test(one_that_polls_elsewhere_is_ended_in_the_end),
		cmocka_unit_test(one_that_sleeps_unseen_is_ready),
		cmocka_unit_test(one_slot_is_given_up_only_once),
		cmocka_unit_test(nothing_ready_in_time_ends_it),
		cmocka_unit_test(nothing_visible_in_time_ends_it),
		cmocka_unit_test(a_failed_one_stops_fast),
		cmocka_unit_test(a_failed_one_ends_workers_on_their_way),
		cmocka_unit_test(a_slow_first_fork_of_many_ends_them_all),
		cmocka_unit_test(a_pool_that_was_ready_never_gives_up),
		cmocka_unit_test(a_worker_seen_not_ready_in_time_is_ended),
		cmocka_unit_test(
		    one_that_is_ready_at_the_last_moment_is_not_ended),
		cmocka_unit_test(
		    one_that_was_ready_in_time_is_not_ended_by_a_late_loop),
		cmocka_unit_test(an_ended_slow_worker_counts_as_failed),
		cmocka_unit_test(having_been_slow_once_is_forgotten),
		cmocka_unit_test(a_late_loop_ends_a_hundred_slow_workers),
		cmocka_unit_test(a_worker_that_cannot_be_seen_is_never_ended),
		cmocka_unit_test(a_zeroed_look_is_unknown),
		cmocka_unit_test(a_zeroed_exit_says_nothing_of_the_queue),
		cmocka_unit_test(
		    a_worker_that_comes_into_sight_late_is_ended_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
