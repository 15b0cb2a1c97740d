/* SPDX-License-Identifier: ISC */
/* A pool that is up: what becomes of workers that exit, crash or fail. */
#include "bed.h"

static void
a_recycling_worker_is_replaced_at_once_always(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 10000; i++) {
		bed_exit(b, 0, 0);
		assert_did(b, "spawn0");
		bed_look(b, 0, READY_YES);
	}
	bed_free(b);
}

/* All at one moment: first none waits, then each for its turn. */
static void
a_burst_of_20_crashes_per_worker_is_free(void **arg)
{
	struct bed *b = bed_ready(2);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 2 * POOL_TOKENS; i++) {
		bed_crash(b, i % 2);
		assert_int_equal(b->notice.delay, 0);
		assert_state(b, i % 2, SLOT_STARTING);
		bed_look(b, i % 2, READY_YES);
	}
	bed_crash(b, 0);
	assert_state(b, 0, SLOT_BACKOFF);
	assert_between(bed_next(b), 1, USEC / (2 * POOL_REFILL) + 1);
	assert_int_equal(b->notice.delay, bed_next(b));
	bed_free(b);
}

static void
then_10_crashes_per_worker_and_second_are(void **arg)
{
	struct bed *b = bed_ready(2);
	unsigned int i, before;

	(void)arg;
	b->sees = READY_YES;
	for (i = 0; i < 2 * POOL_TOKENS; i++) {
		bed_crash(b, 0);
		bed_look(b, 0, READY_YES);
	}
	before = b->spawns;
	/* It crashes as soon as it is ready, for ten seconds. */
	for (i = 0; i < 10000; i++) {
		if (pool_state(b->p, 0) == SLOT_READY)
			bed_crash(b, 0);
		bed_pass(b, MSEC);
	}
	assert_between(b->spawns - before, 190, 201);
	bed_free(b);
}

static void
the_burst_is_free_again_after_two_seconds(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int round, i;

	(void)arg;
	for (round = 0; round < 2; round++) {
		for (i = 0; i < POOL_TOKENS; i++) {
			bed_crash(b, 0);
			assert_int_equal(b->notice.delay, 0);
			bed_look(b, 0, READY_YES);
		}
		bed_pass(b, 3600 * USEC);
	}
	/* However long it was quiet, there is not more than one burst. */
	for (i = 0; i < POOL_TOKENS; i++) {
		bed_crash(b, 0);
		bed_look(b, 0, READY_YES);
	}
	bed_crash(b, 0);
	assert_true(b->notice.delay > 0);
	bed_free(b);
}

static void
recycling_takes_nothing_from_the_burst(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		bed_exit(b, 0, 0);
		bed_look(b, 0, READY_YES);
	}
	bed_crash(b, 0);
	assert_int_equal(b->notice.delay, 0);
	bed_free(b);
}

static void
a_crash_is_reported(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_pass(b, 7 * USEC);
	bed_crash(b, 1);
	assert_int_equal(b->notice.what, NOTICE_EXIT);
	assert_int_equal(b->notice.slot, 1);
	assert_int_equal(b->notice.status, SIGSEGV);
	assert_int_equal(b->notice.age, 7 * USEC);
	assert_true(b->notice.was_ready);
	assert_false(b->notice.exec_failed);
	bed_free(b);
}

static void
an_end_that_is_not_known_counts_as_a_crash(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = 1,
	    .status = STATUS_UNKNOWN });
	assert_int_equal(b->notice.what, NOTICE_EXIT);
	assert_int_equal(b->notice.status, STATUS_UNKNOWN);
	assert_int_equal(pool_counts(b->p)->crashed, 1);
	assert_int_equal(pool_state(b->p, 1), SLOT_STARTING);
	bed_free(b);
}

/* A pool of two where slot 0 fails to start; slot 1 serves. */
static struct bed *
failing(void)
{
	struct bed *b = bed_ready(2);

	bed_exit(b, 0, 0);
	bed_did(b);
	return b;
}

static void
failed_starts_wait_from_100_ms_to_30_s(void **arg)
{
	struct bed *b = failing();
	uint64_t full = POOL_FAIL_FIRST;
	unsigned int i;

	(void)arg;
	for (i = 1; i <= 40; i++) {
		bed_exit(b, 0, 1);
		assert_did(b, "[exit 0]");
		assert_int_equal(b->notice.failures, i);
		assert_false(b->notice.was_ready);
		assert_int_equal(bed_next(b), b->notice.delay);
		assert_between(bed_next(b), full * 3 / 4, full);
		bed_pass(b, bed_next(b) - 1);
		assert_did(b, "");
		bed_pass(b, 1);
		assert_did(b, "spawn0");
		full = full * 2 > POOL_FAIL_LAST ? POOL_FAIL_LAST : full * 2;
	}
	assert_int_equal(full, POOL_FAIL_LAST);
	bed_free(b);
}

static void
the_jitter_uses_its_range(void **arg)
{
	struct bed *b = failing();
	uint64_t delay, least = NEVER, most = 0;
	unsigned int i;

	(void)arg;
	for (i = 0; i < 200; i++) {
		bed_exit(b, 0, 1);
		delay = bed_next(b);
		if (i >= 20) {
			least = delay < least ? delay : least;
			most = delay > most ? delay : most;
		}
		bed_pass(b, delay);
	}
	assert_true(least < POOL_FAIL_LAST * 80 / 100);
	assert_true(most > POOL_FAIL_LAST * 95 / 100);
	bed_free(b);
}

static void
slots_that_fail_together_part(void **arg)
{
	struct bed *b = bed_ready(3);
	uint64_t delay;

	(void)arg;
	bed_exit(b, 0, 0);
	bed_exit(b, 1, 0);
	bed_exit(b, 0, 1);
	delay = b->notice.delay;
	bed_exit(b, 1, 1);
	assert_int_not_equal(delay, b->notice.delay);
	bed_free(b);
}

static void
one_ready_worker_ends_the_count_of_failures(void **arg)
{
	struct bed *b = failing();
	unsigned int i;

	(void)arg;
	for (i = 0; i < 6; i++) {
		bed_exit(b, 0, 1);
		bed_pass(b, 31 * USEC);
	}
	bed_look(b, 0, READY_YES);
	bed_exit(b, 0, 0);
	bed_exit(b, 0, 1);
	assert_int_equal(b->notice.failures, 1);
	assert_between(bed_next(b), POOL_FAIL_FIRST * 3 / 4,
	    POOL_FAIL_FIRST);
	bed_free(b);
}

static void
a_failing_slot_does_not_slow_the_others_down(void **arg)
{
	struct bed *b = failing();
	unsigned int i;

	(void)arg;
	for (i = 0; i < 20; i++) {
		bed_exit(b, 0, 1);
		bed_pass(b, 31 * USEC);
	}
	bed_did(b);
	bed_crash(b, 1);
	assert_did(b, "[exit 1] spawn1");
	bed_free(b);
}

/* The least time between two starts of slot 0 after unseen exits 0. */
static void
unseen_exits_without_work_wait_from_10_ms_to_1_s(void **arg)
{
	static const unsigned int ladder[] = { 10, 20, 40, 80, 160, 320, 640,
	    1000, 1000 };
	struct bed *b = failing();
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(ladder); i++) {
		bed_exit_moved(b, 0, MOVED_NO);
		assert_state(b, 0, SLOT_BACKOFF);
		assert_int_equal(bed_next(b), ladder[i] * MSEC);
		bed_did(b);
		bed_pass(b, ladder[i] * MSEC);
		assert_did(b, "spawn0");
	}
	bed_free(b);
}

static void
unseen_exits_wait_from_the_start_not_from_the_exit(void **arg)
{
	struct bed *b = failing();

	(void)arg;
	bed_pass(b, 7 * MSEC);
	bed_exit_moved(b, 0, MOVED_NO);
	assert_int_equal(bed_next(b), 3 * MSEC);
	bed_pass(b, 3 * MSEC);
	bed_pass(b, 25 * MSEC);
	bed_did(b);
	bed_exit_moved(b, 0, MOVED_NO);
	assert_did(b, "spawn0");
	bed_free(b);
}

static void
unseen_exits_are_free_while_the_queue_moves(void **arg)
{
	struct bed *b = failing();
	unsigned int i;

	(void)arg;
	for (i = 0; i < 1000; i++) {
		bed_exit_moved(b, 0, MOVED_YES);
		assert_did(b, "spawn0");
	}
	bed_free(b);
}

static void
a_moving_queue_ends_the_count_of_unseen_exits(void **arg)
{
	struct bed *b = failing();
	unsigned int i;

	(void)arg;
	for (i = 0; i < 5; i++) {
		bed_exit_moved(b, 0, MOVED_NO);
		bed_pass(b, 2 * USEC);
	}
	bed_exit_moved(b, 0, MOVED_YES);
	bed_exit_moved(b, 0, MOVED_NO);
	assert_int_equal(bed_next(b), POOL_EXIT0_FIRST);
	bed_free(b);
}

static void
a_ready_worker_ends_the_count_of_unseen_exits(void **arg)
{
	struct bed *b = failing();
	unsigned int i;

	(void)arg;
	for (i = 0; i < 5; i++) {
		bed_exit_moved(b, 0, MOVED_NO);
		bed_pass(b, 2 * USEC);
	}
	bed_look(b, 0, READY_YES);
	bed_exit(b, 0, 0);
	bed_exit_moved(b, 0, MOVED_NO);
	assert_int_equal(bed_next(b), POOL_EXIT0_FIRST);
	bed_free(b);
}

/* Where the queue cannot be seen it may move: bounded, but no longer wait. */
static void
unseen_exits_of_an_unseen_queue_wait_10_ms(void **arg)
{
	struct bed *b = failing();
	unsigned int i;

	(void)arg;
	for (i = 0; i < 20; i++) {
		bed_exit_moved(b, 0, MOVED_UNKNOWN);
		assert_int_equal(bed_next(b), POOL_EXIT0_FIRST);
		bed_pass(b, POOL_EXIT0_FIRST);
	}
	bed_free(b);
}

static void
unseen_exits_are_no_failures(void **arg)
{
	struct bed *b = failing();

	(void)arg;
	bed_exit_moved(b, 0, MOVED_NO);
	assert_did(b, "");
	bed_pass(b, USEC);
	bed_exit(b, 0, 1);
	assert_int_equal(b->notice.failures, 1);
	bed_free(b);
}

static void
only_an_early_exit_asks_about_the_queue(void **arg)
{
	struct bed *b = bed_starting(2);

	(void)arg;
	bed_look(b, 1, READY_YES);
	assert_true(pool_wants_queue(b->p, 0));
	assert_false(pool_wants_queue(b->p, 1));
	assert_false(pool_wants_queue(b->p, 2));
	bed_free(b);
}

/* It took a request that waited, and died of it before it was looked at. */
static void
a_crash_over_a_request_that_waited_is_no_failed_start(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_exit(b, 0, 0);
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = 0,
	    .status = SIGSEGV, .moved = MOVED_YES });
	assert_int_equal(pool_state(b->p, 0), SLOT_STARTING);
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = 0,
	    .status = SIGSEGV, .moved = MOVED_NO });
	assert_int_equal(pool_state(b->p, 0), SLOT_BACKOFF);
	bed_free(b);
}

static void
a_failed_fork_is_tried_again(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	b->no_fork = true;
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0 [nofork 0]");
	assert_int_equal(b->notice.error, 11);
	assert_between(bed_next(b), POOL_FAIL_FIRST * 3 / 4,
	    POOL_FAIL_FIRST);
	b->no_fork = false;
	bed_pass(b, USEC);
	assert_did(b, "spawn0");
	bed_free(b);
}

/* Everything at once, again and again: nothing is lost in the ring. */
static void
all_workers_crash_again_and_again(void **arg)
{
	struct bed *b = bed_ready(100);
	unsigned int round, i;

	(void)arg;
	b->sees = READY_YES;
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 100; i++)
			pool_event(b->p, &(struct pool_event){
			    .what = EV_EXIT, .slot = i, .status = SIGSEGV },
			    b->now);
		bed_act(b);
		bed_pass(b, 11 * USEC);
		assert_int_equal(pool_count(b->p, SLOT_READY), 100);
	}
	assert_int_equal(b->spawns, 100 + 50 * 100);
	bed_free(b);
}

/* The loop was held up: every deadline that has passed is still served. */
static void
late_ticks_lose_no_deadline(void **arg)
{
	struct bed *b = bed_ready(100);
	unsigned int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		bed_exit(b, i, 0);
		bed_exit(b, i, 1);
	}
	bed_did(b);
	assert_int_equal(pool_count(b->p, SLOT_BACKOFF), 100);
	b->now += 3600 * USEC;
	while (pool_deadline(b->p) <= b->now) {
		pool_tick(b->p, b->now);
		bed_take(b);
	}
	assert_int_equal(pool_count(b->p, SLOT_SPAWNING), 100);
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recycling_worker_is_replaced_at_once_always),
		cmocka_unit_test(a_burst_of_20_crashes_per_worker_is_free),
		cmocka_unit_test(then_10_crashes_per_worker_and_second_are),
		cmocka_unit_test(the_burst_is_free_again_after_two_seconds),
		cmocka_unit_test(recycling_takes_nothing_from_the_burst),
		cmocka_unit_test(a_crash_is_reported),
		cmocka_unit_test(an_end_that_is_not_known_counts_as_a_crash),
		cmocka_unit_test(failed_starts_wait_from_100_ms_to_30_s),
		cmocka_unit_test(the_jitter_uses_its_range),
		cmocka_unit_test(slots_that_fail_together_part),
		cmocka_unit_test(one_ready_worker_ends_the_count_of_failures),
		cmocka_unit_test(a_failing_slot_does_not_slow_the_others_down),
		cmocka_unit_test(
		    unseen_exits_without_work_wait_from_10_ms_to_1_s),
		cmocka_unit_test(
		    unseen_exits_wait_from_the_start_not_from_the_exit),
		cmocka_unit_test(unseen_exits_are_free_while_the_queue_moves),
		cmocka_unit_test(a_moving_queue_ends_the_count_of_unseen_exits),
		cmocka_unit_test(a_ready_worker_ends_the_count_of_unseen_exits),
		cmocka_unit_test(unseen_exits_of_an_unseen_queue_wait_10_ms),
		cmocka_unit_test(unseen_exits_are_no_failures),
		cmocka_unit_test(only_an_early_exit_asks_about_the_queue),
		cmocka_unit_test(
		    a_crash_over_a_request_that_waited_is_no_failed_start),
		cmocka_unit_test(a_failed_fork_is_tried_again),
		cmocka_unit_test(all_workers_crash_again_and_again),
		cmocka_unit_test(late_ticks_lose_no_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
