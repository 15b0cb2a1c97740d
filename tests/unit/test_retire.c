/* SPDX-License-Identifier: ISC */
/* How a worker goes: looked at, stopped, looked at, told, continued. */
#include "bed.h"

/* One idle worker, everything about it in the line. */
static struct bed *
one(void)
{
	struct bed *b = bed_ready(1);

	b->show_all = true;
	return b;
}

/* One that holds something as it is told to go. */
static struct bed *
one_with(unsigned int holds, bool catches)
{
	struct bed *b = one();

	b->w[0].activity.holds = holds;
	b->w[0].activity.catches = catches;
	b->w[0].activity.connection = 7;
	b->show_all = false;
	bed_tell(b, EV_STOP);
	return b;
}

static void
an_idle_one_is_stopped_looked_at_told_and_continued(void **arg)
{
	struct bed *b = one();

	(void)arg;
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 STOP>0 exam0 TERM>0 CONT>0");
	assert_state(b, 0, SLOT_STOPPING);
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

/* So that the end of a short request is not missed. */
static void
a_busy_one_is_looked_at_by_the_age_of_its_request(void **arg)
{
	static const unsigned int ages[][2] = { { 0, 1000 }, { 64, 1000 },
	    { 96, 1500 }, { 640, 10000 }, { 6400, 100000 },
	    { 20000, 100000 }, { 1, 1000 } };
	struct bed *b = one_with(HOLDS_BUSY, true);
	size_t i;

	(void)arg;
	b->show_all = true;
	for (i = 0; i < NITEMS(ages); i++) {
		b->w[0].activity.age = ages[i][0] * MSEC;
		bed_pass(b, bed_next(b));
		assert_did(b, "exam0");
		assert_int_equal(bed_next(b), ages[i][1]);
	}
	b->w[0].activity.holds = HOLDS_NOTHING;
	bed_pass(b, 100 * MSEC);
	assert_did(b, "exam0 STOP>0 exam0 TERM>0 CONT>0");
	bed_free(b);
}

static void
a_request_is_waited_for_until_the_deadline(void **arg)
{
	struct bed *b = one_with(HOLDS_BUSY, false);

	(void)arg;
	b->w[0].activity.age = 31 * USEC;
	b->w[0].requests = 3;
	bed_pass(b, 30 * USEC - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "KILL>0 [lost 0]");
	assert_int_equal(b->notice.age, 31 * USEC);
	assert_int_equal(b->notice.pid, b->w[0].pid);
	assert_int_equal(b->notice.count, 3);
	assert_int_equal(pool_counts(b->p)->lost, 3);
	assert_int_equal(pool_counts(b->p)->killed, 1);
	bed_free(b);
}

/* What was quiet at the last look may be in use now, and the reverse. */
static void
what_counts_is_the_moment_of_the_kill(void **arg)
{
	struct bed *b = one_with(HOLDS_BUSY, false);
	struct pool_action a;

	(void)arg;
	bed_pass(b, 30 * USEC - 1);
	bed_did(b);
	b->now += 1;
	pool_tick(b->p, b->now);
	assert_true(pool_next(b->p, &a));
	assert_int_equal(a.what, POOL_CHECK_HELD);
	assert_true(a.whole);
	pool_event(b->p, &(struct pool_event){ .what = EV_HELD,
	    .held.known = true }, b->now);
	bed_take(b);
	assert_did(b, "KILL>0 [kill 0]");
	assert_int_equal(pool_counts(b->p)->lost, 0);
	assert_int_equal(pool_counts(b->p)->killed, 1);
	bed_free(b);
}

/* Then it is killed soon anyway, and most finish what they have. */
static void
a_busy_one_is_told_in_the_last_second_if_it_catches(void **arg)
{
	struct bed *b = one_with(HOLDS_BUSY, true);

	(void)arg;
	b->w[0].changes = true;
	b->exams = 0;
	bed_pass(b, 2 * USEC);
	assert_between(b->exams, 1990, 2000);
	bed_pass(b, 27 * USEC - 1);
	assert_did(b, "");
	b->w[0].changes = false;
	bed_pass(b, MSEC);
	assert_did(b, "TERM>0");
	/* Nobody has seen that it had answered. */
	b->now += MSEC / 2;
	bed_exit(b, 0, 0);
	assert_did(b, "[told 0] [done]");
	assert_int_equal(pool_counts(b->p)->lost, 1);
	assert_int_equal(pool_counts(b->p)->killed, 0);
	bed_free(b);
}

static void
an_answer_that_was_seen_whole_is_not_lost(void **arg)
{
	struct bed *b = one_with(HOLDS_BUSY, true);

	(void)arg;
	bed_pass(b, 29 * USEC + 2 * MSEC);
	assert_did(b, "TERM>0");
	b->w[0].activity.holds = HOLDS_NOTHING;
	bed_pass(b, 2 * MSEC);
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	assert_int_equal(pool_counts(b->p)->lost, 0);
	bed_free(b);
}

static void
one_that_was_told_and_takes_another_request_has_answered(void **arg)
{
	struct bed *b = one_with(HOLDS_BUSY, true);

	(void)arg;
	bed_pass(b, 29 * USEC + 2 * MSEC);
	assert_did(b, "TERM>0");
	b->w[0].activity.connection = 8;
	bed_pass(b, 2 * MSEC);
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	assert_int_equal(pool_counts(b->p)->lost, 0);
	bed_free(b);
}

/* It would take the signal for the end of the request. */
static void
one_that_reads_a_request_is_never_told(void **arg)
{
	struct bed *b = one_with(HOLDS_BUSY, true);

	(void)arg;
	b->w[0].activity.reads = true;
	bed_pass(b, 30 * USEC - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "KILL>0 [lost 0]");
	bed_free(b);
}

/* As behind a web server that keeps its connections open. */
static void
constant_use_of_one_connection_is_told_after_a_second(void **arg)
{
	struct bed *b = one_with(HOLDS_BUSY, true);

	(void)arg;
	b->w[0].activity.active_since_last = true;
	b->w[0].activity.age = POOL_BUSY_LONG;
	bed_pass(b, POOL_BUSY_LONG - 1);
	assert_did(b, "");
	bed_pass(b, MSEC);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

static void
constant_load_is_never_told_if_it_does_not_catch(void **arg)
{
	struct bed *b = one_with(HOLDS_BUSY, false);

	(void)arg;
	b->w[0].changes = true;
	bed_pass(b, 30 * USEC - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "KILL>0 [lost 0]");
	bed_free(b);
}

static void
an_unknown_one_that_catches_is_told_in_the_last_second(void **arg)
{
	struct bed *b = one_with(HOLDS_UNKNOWN, true);

	(void)arg;
	b->w[0].requests = 1;
	bed_pass(b, 29 * USEC - 1);
	assert_did(b, "");
	bed_pass(b, 200 * MSEC);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "[told 0] [done]");
	assert_int_equal(pool_counts(b->p)->lost, 1);
	bed_free(b);
}

/* Nor are the threads of a busy one. */
static void
an_unknown_one_that_may_read_or_has_threads_is_not_told(void **arg)
{
	struct bed *b;
	int i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		b = one();
		b->show_all = false;
		b->w[0].activity.holds = HOLDS_UNKNOWN;
		b->w[0].activity.catches = true;
		b->w[0].activity.reads = i == 0;
		b->w[0].activity.threaded = i == 1;
		bed_tell(b, EV_STOP);
		bed_pass(b, 30 * USEC - 1);
		assert_did(b, "");
		bed_pass(b, 1);
		assert_did(b, "KILL>0 [lost 0]");
		bed_free(b);
	}
}

/* Where no system tells, to wait would help nobody. */
static void
one_that_is_never_seen_is_told_at_once(void **arg)
{
	struct bed *b = one();

	(void)arg;
	b->show_all = false;
	b->w[0].activity.holds = HOLDS_UNKNOWN;
	b->w[0].activity.catches = b->w[0].activity.unseen = true;
	bed_tell(b, EV_STOP);
	assert_did(b, "TERM>0");
	bed_pass(b, 30 * USEC - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "KILL>0 [lost 0]");
	bed_free(b);
}

/* Which of them serves is not known: not after one look that failed. */
static void
one_with_threads_is_told_after_a_second_of_that(void **arg)
{
	struct bed *b = one();

	(void)arg;
	b->w[0].activity.unseen = true;
	b->w[0].activity.holds = HOLDS_UNKNOWN;
	b->w[0].activity.threaded = true;
	bed_tell(b, EV_STOP);
	bed_pass(b, 900 * MSEC);
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_pass(b, 200 * MSEC);
	b->w[0].activity.holds = HOLDS_UNKNOWN;
	bed_pass(b, 900 * MSEC);
	assert_has_not(bed_did(b), "TERM");
	bed_pass(b, 300 * MSEC);
	assert_has(bed_did(b), "TERM>0");
	bed_free(b);
}

static void
an_unknown_one_that_does_not_is_left_until_the_deadline(void **arg)
{
	struct bed *b = one_with(HOLDS_UNKNOWN, false);

	(void)arg;
	bed_pass(b, 30 * USEC - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "KILL>0 [lost 0]");
	bed_free(b);
}

/* An answer that somebody forgot to fill in must not end a busy worker. */
static void
a_zeroed_answer_is_unknown(void **arg)
{
	struct bed *b = bed_ready(1);
	struct pool_event ev = { .what = EV_ACTIVITY };
	struct pool_event frozen = { .what = EV_ACTIVITY,
	    .activity.frozen = true };

	(void)arg;
	pool_event(b->p, &(struct pool_event){ .what = EV_STOP }, b->now);
	bed_take(b);
	pool_event(b->p, &ev, b->now);
	bed_take(b);
	assert_state(b, 0, SLOT_RETIRING);
	bed_act(b);
	b->w[0].slow_stop = true;
	bed_pass(b, MSEC);
	assert_state(b, 0, SLOT_FREEZING);
	bed_did(b);
	pool_event(b->p, &frozen, b->now);
	bed_take(b);
	assert_did(b, "");
	assert_state(b, 0, SLOT_RETIRING);
	bed_free(b);
}

static void
a_quiet_connection_does_not_count(void **arg)
{
	struct bed *b = one_with(HOLDS_QUIET, false);

	(void)arg;
	assert_did(b, "TERM>0");
	bed_free(b);
}

/* Of many looks at all the others none would ever come to its end in time. */
static void
many_that_are_idle_take_turns_and_are_looked_at_only_then(void **arg)
{
	struct bed *b = bed_ready(4);

	(void)arg;
	b->show_all = true;
	b->w[0].slow_stop = true;
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 exam1 exam2 exam3 STOP>0");
	bed_pass(b, POOL_FREEZE - 1);
	assert_has_not(bed_did(b), "exam1");
	/* It did not stop in time: the next is called at once, and so on. */
	bed_pass(b, 1);
	bed_pass(b, 1);
	assert_has(bed_did(b), "exam0 CONT>0 exam1 STOP>1 exam1 TERM>1 CONT>1 "
	    "exam2 STOP>2 exam2 TERM>2 CONT>2 "
	    "exam3 STOP>3 exam3 TERM>3 CONT>3");
	bed_free(b);
}

static void
late_timer_does_not_give_up_on_one_that_has_stopped(void **arg)
{
	struct bed *b = one();

	(void)arg;
	b->show_all = true;
	b->w[0].slow_stop = true;
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 STOP>0");
	b->w[0].slow_stop = false;
	b->now += 2 * POOL_FREEZE;
	pool_tick(b->p, b->now);
	bed_act(b);
	assert_did(b, "exam0 TERM>0 CONT>0");
	bed_free(b);
}

static void
one_that_does_not_stop_is_continued_and_tried_again(void **arg)
{
	struct bed *b = one();

	(void)arg;
	b->w[0].slow_stop = true;
	bed_tell(b, EV_STOP);
	bed_pass(b, POOL_FREEZE - 1);
	assert_has_not(bed_did(b), "CONT");
	bed_pass(b, 1);
	assert_did(b, "exam0 CONT>0");
	assert_state(b, 0, SLOT_RETIRING);
	b->w[0].slow_stop = false;
	bed_pass(b, POOL_FREEZE_AGAIN - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "exam0 STOP>0 exam0 TERM>0 CONT>0");
	bed_free(b);
}

static void
one_told_that_waits_again_is_killed_when_it_is_idle(void **arg)
{
	struct bed *b = one();
	unsigned int holds;

	(void)arg;
	bed_free(b);
	for (holds = HOLDS_NOTHING; holds <= HOLDS_QUIET; holds++) {
		b = one();
		b->w[0].deaf = true;
		b->w[0].activity.holds = holds;
		bed_tell(b, EV_STOP);
		bed_did(b);
		bed_pass(b, POOL_HEED);
		assert_did(b, "exam0 STOP>0 exam0 KILL>0");
		assert_state(b, 0, SLOT_KILLED);
		bed_exit(b, 0, 0);
		assert_did(b, "[done]");
		bed_free(b);
	}
}

/* Told, one thread would end the process while another accepts. */
static void
one_with_threads_in_accept_is_killed_instead_of_told(void **arg)
{
	struct bed *b = one();

	(void)arg;
	b->w[0].activity.threaded = true;
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 STOP>0 exam0 KILL>0");
	bed_free(b);
}

/* An event loop handles the signal before it accepts again. */
static void
an_event_loop_with_threads_is_killed_too(void **arg)
{
	struct bed *b = one();

	(void)arg;
	b->w[0].activity.threaded = b->w[0].activity.is_event_loop = true;
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 STOP>0 exam0 KILL>0");
	bed_free(b);
}

static void
one_told_that_does_something_else_is_left(void **arg)
{
	struct bed *b = one();

	(void)arg;
	bed_tell(b, EV_STOP);
	b->show_all = false;
	bed_did(b);
	bed_pass(b, 30 * USEC - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_did(b, "KILL>0 [kill 0]");
	bed_free(b);
}

/* It may accept itself after a look, for all we know; it is never killed. */
static void
a_leader_is_stopped_and_told(void **arg)
{
	struct bed *b = one();

	(void)arg;
	b->w[0].activity = (struct activity){ .holds = HOLDS_NOTHING,
	    .is_master = true, .threaded = true, .catches = true };
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 STOP>0 exam0 TERM>0 CONT>0");
	bed_free(b);
}

static void
orphan(struct bed *b, pid_t pid)
{
	bed_event(b, (struct pool_event){ .what = EV_ORPHAN, .pid = pid });
}

static void
an_orphan_is_adopted_and_retires(void **arg)
{
	struct bed *b = one();

	(void)arg;
	orphan(b, 4711);
	assert_did(b, "adopt1 exam1 STOP>1 exam1 TERM>1 CONT>1");
	assert_int_equal(bed_staying(b), 1);
	bed_exit(b, 1, 0);
	assert_did(b, "");
	assert_state(b, 1, SLOT_EMPTY);
	assert_int_equal(b->spawns, 1);
	bed_free(b);
}

static void
orphans_leave_one_slot_for_a_reload(void **arg)
{
	struct bed *b = bed_ready(1);
	pid_t i;

	(void)arg;
	for (i = 0; i < 2 * POOL_ORPHANS; i++)
		orphan(b, 1000 + i);
	assert_int_equal(pool_count(b->p, SLOT_EMPTY), 1);
	bed_did(b);
	bed_tell(b, EV_RELOAD);
	bed_look(b, 1 + POOL_ORPHANS, READY_YES);
	bed_pass(b, 2 * MSEC);
	bed_exit(b, 0, 0);
	assert_did(b, "spawn65 TERM>0 [reloaded]");
	bed_free(b);
}

/* Whoever was stopped is gone: the next one has its turn. */
static void
an_exit_while_stopped_lets_the_next_one_in(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	b->w[0].slow_stop = true;
	bed_tell(b, EV_STOP);
	assert_state(b, 0, SLOT_FREEZING);
	bed_crash(b, 0);
	bed_pass(b, 2 * MSEC);
	assert_did(b, "TERM>1");
	bed_free(b);
}

/* It was told a moment ago: it has its two seconds all the same. */
static void
a_fast_stop_gives_two_seconds_to_one_told_before(void **arg)
{
	struct bed *b = one();

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_pass(b, 100 * MSEC);
	bed_tell(b, EV_STOP_FAST);
	assert_int_equal(bed_next(b), POOL_FAST_STOP);
	bed_free(b);
}

/* What the worker before it in this slot did says nothing about it. */
static void
a_slot_used_again_remembers_no_connection(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int i, slot = 0;

	(void)arg;
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 1, READY_YES);
	bed_pass(b, 31 * USEC);
	bed_exit(b, 0, 1);
	for (i = 0; i < 2 * POOL_ORPHANS && slot == 0; i++) {
		bed_tell(b, EV_RELOAD);
		if (pool_state(b->p, 0) == SLOT_STARTING)
			break;
		for (slot = 0; pool_state(b->p, slot) != SLOT_STARTING; )
			slot++;
		bed_look(b, slot, READY_YES);
		for (slot = 0; bed_going(b) > 0; slot++) {
			if (pool_state(b->p, slot) == SLOT_STOPPING)
				bed_exit(b, slot, 0);
		}
		slot = 0;
	}
	assert_state(b, 0, SLOT_STARTING);
	bed_tell(b, EV_STOP_FAST);
	bed_did(b);
	bed_pass(b, POOL_FAST_STOP);
	assert_has_not(bed_did(b), "[lost 0]");
	bed_free(b);
}

static void
a_reload_waits_for_a_busy_one_while_the_rest_serve(void **arg)
{
	struct bed *b = bed_ready(3);

	(void)arg;
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 3, READY_YES);
	bed_pass(b, 20 * USEC);
	assert_did(b, "spawn3");
	assert_state(b, 0, SLOT_RETIRING);
	assert_int_equal(pool_count(b->p, SLOT_READY), 3);
	b->w[0].activity.holds = HOLDS_NOTHING;
	bed_pass(b, 100 * MSEC);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0");
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    an_idle_one_is_stopped_looked_at_told_and_continued),
		cmocka_unit_test(
		    a_busy_one_is_looked_at_by_the_age_of_its_request),
		cmocka_unit_test(
		    a_request_is_waited_for_until_the_deadline),
		cmocka_unit_test(what_counts_is_the_moment_of_the_kill),
		cmocka_unit_test(
		    a_busy_one_is_told_in_the_last_second_if_it_catches),
		cmocka_unit_test(an_answer_that_was_seen_whole_is_not_lost),
		cmocka_unit_test(
		    one_that_was_told_and_takes_another_request_has_answered),
		cmocka_unit_test(one_that_reads_a_request_is_never_told),
		cmocka_unit_test(
		    constant_use_of_one_connection_is_told_after_a_second),
		cmocka_unit_test(
		    constant_load_is_never_told_if_it_does_not_catch),
		cmocka_unit_test(
		    an_unknown_one_that_catches_is_told_in_the_last_second),
		cmocka_unit_test(
		    an_unknown_one_that_may_read_or_has_threads_is_not_told),
		cmocka_unit_test(one_that_is_never_seen_is_told_at_once),
		cmocka_unit_test(
		    one_with_threads_is_told_after_a_second_of_that),
		cmocka_unit_test(
		    an_unknown_one_that_does_not_is_left_until_the_deadline),
		cmocka_unit_test(a_zeroed_answer_is_unknown),
		cmocka_unit_test(a_quiet_connection_does_not_count),
		cmocka_unit_test(
		    many_that_are_idle_take_turns_and_are_looked_at_only_then),
		cmocka_unit_test(
		    late_timer_does_not_give_up_on_one_that_has_stopped),
		cmocka_unit_test(
		    one_that_does_not_stop_is_continued_and_tried_again),
		cmocka_unit_test(
		    one_told_that_waits_again_is_killed_when_it_is_idle),
		cmocka_unit_test(
		    one_with_threads_in_accept_is_killed_instead_of_told),
		cmocka_unit_test(an_event_loop_with_threads_is_killed_too),
		cmocka_unit_test(one_told_that_does_something_else_is_left),
		cmocka_unit_test(a_leader_is_stopped_and_told),
		cmocka_unit_test(an_orphan_is_adopted_and_retires),
		cmocka_unit_test(orphans_leave_one_slot_for_a_reload),
		cmocka_unit_test(an_exit_while_stopped_lets_the_next_one_in),
		cmocka_unit_test(
		    a_fast_stop_gives_two_seconds_to_one_told_before),
		cmocka_unit_test(a_slot_used_again_remembers_no_connection),
		cmocka_unit_test(
		    a_reload_waits_for_a_busy_one_while_the_rest_serve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
