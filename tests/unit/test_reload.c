/* SPDX-License-Identifier: ISC */
/* Rolling reloads: new first, one at a time, and the old stay if they fail. */
#include "bed.h"

static void
starts_a_new_worker_before_an_old_one_goes(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	assert_did(b, "spawn2");
	bed_pass(b, 5 * USEC);
	assert_did(b, "");
	bed_look(b, 2, READY_YES);
	assert_did(b, "TERM>0");
	bed_free(b);
}

static void
goes_on_until_all_are_new(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 2, READY_YES);
	assert_did(b, "spawn2 TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0");
	bed_look(b, 0, READY_YES);
	assert_did(b, "TERM>1");
	bed_look(b, 0, READY_YES);
	assert_did(b, "");
	bed_exit(b, 1, 0);
	assert_did(b, "[reloaded]");
	assert_state(b, 0, SLOT_READY);
	assert_state(b, 1, SLOT_EMPTY);
	assert_state(b, 2, SLOT_READY);
	assert_state(b, 3, SLOT_EMPTY);
	bed_pass(b, 100 * USEC);
	assert_did(b, "");
	bed_free(b);
}

static void
waits_until_the_old_one_is_gone(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 2, READY_YES);
	bed_did(b);
	bed_pass(b, 29 * USEC);
	assert_did(b, "");
	bed_pass(b, USEC);
	assert_did(b, "KILL>0 [kill 0]");
	bed_pass(b, 10 * USEC);
	assert_did(b, "");
	bed_event(b, (struct pool_event){ .what = EV_EXIT,
	    .status = SIGKILL });
	assert_did(b, "spawn0");
	bed_free(b);
}

/* The caller's view of a whole reload: counts at every moment of it. */
static void
never_has_fewer_ready_ones_than_workers(void **arg)
{
	struct bed *b = bed_ready(5);
	unsigned int i, slot;

	(void)arg;
	bed_tell(b, EV_RELOAD);
	for (i = 0; i < 5; i++) {
		assert_int_equal(pool_count(b->p, SLOT_STARTING), 1);
		assert_int_equal(pool_count(b->p, SLOT_READY), 5);
		for (slot = 0; pool_state(b->p, slot) != SLOT_STARTING; )
			slot++;
		bed_look(b, slot, READY_YES);
		assert_int_equal(pool_count(b->p, SLOT_STOPPING), 1);
		assert_int_equal(pool_count(b->p, SLOT_READY), 5);
		for (slot = 0; pool_state(b->p, slot) != SLOT_STOPPING; )
			slot++;
		bed_exit(b, slot, 0);
	}
	assert_has(bed_did(b), "[reloaded]");
	assert_int_equal(b->spawns, 10);
	bed_free(b);
}

static void
a_new_worker_that_fails_ends_it(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_did(b);
	bed_exit(b, 2, 3);
	assert_did(b, "[exit 2] [reload-failed 2]");
	assert_int_equal(b->notice.status, BED_STATUS(3));
	assert_int_equal(b->notice.pid, b->w[2].pid);
	assert_state(b, 2, SLOT_EMPTY);
	bed_pass(b, 100 * USEC);
	assert_did(b, "");
	assert_int_equal(pool_count(b->p, SLOT_READY), 2);
	bed_free(b);
}

static void
a_program_that_is_gone_ends_it(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_did(b);
	bed_exec_failed(b, 1);
	assert_did(b, "[exit 1] [reload-failed 1]");
	assert_true(b->notice.exec_failed);
	assert_state(b, 0, SLOT_READY);
	bed_free(b);
}

static void
a_fork_that_fails_ends_it(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	b->no_fork = true;
	bed_tell(b, EV_RELOAD);
	assert_did(b, "spawn1 [nofork 1] [reload-failed 1]");
	assert_int_equal(b->notice.error, 11);
	assert_int_equal(bed_staying(b), 1);
	bed_free(b);
}

static void
a_new_worker_that_is_slow_ends_it(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_did(b);
	bed_pass(b, 60 * USEC);
	assert_did(b, "[slow 1] TERM>1");
	bed_exit(b, 1, 0);
	assert_did(b, "[exit 1] [reload-failed 1]");
	assert_state(b, 0, SLOT_READY);
	assert_state(b, 1, SLOT_EMPTY);
	bed_free(b);
}

/* The first may have served the one request that it was to serve. */
static void
new_workers_that_leave_without_work_end_it(void **arg)
{
	struct bed *b = bed_ready(2);
	unsigned int i;

	(void)arg;
	bed_tell(b, EV_RELOAD);
	for (i = 1; i < POOL_UNSEEN; i++) {
		bed_did(b);
		bed_exit_moved(b, 2, MOVED_NO);
		bed_pass(b, 2 * POOL_EXIT0_LAST);
		assert_did(b, "spawn2");
	}
	bed_exit_moved(b, 2, MOVED_NO);
	assert_did(b, "[exit 2] [reload-failed 2]");
	assert_int_equal(pool_count(b->p, SLOT_READY), 2);
	bed_free(b);
}

static void
one_that_is_seen_ends_the_count_of_those_that_left(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int i, k;

	(void)arg;
	for (k = 0; k < 3; k++) {
		bed_tell(b, EV_RELOAD);
		for (i = 1; i < POOL_UNSEEN; i++) {
			bed_exit_moved(b, k % 2 == 0, MOVED_NO);
			bed_pass(b, 2 * POOL_EXIT0_LAST);
		}
		bed_look(b, k % 2 == 0, READY_YES);
		bed_exit(b, k % 2, 0);
		assert_has(bed_did(b), "[reloaded]");
	}
	bed_free(b);
}

/* The more often, the less can be missed of the next one. */
static void
one_that_leaves_unseen_has_the_next_looked_at_more_often(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int looks;

	(void)arg;
	bed_tell(b, EV_RELOAD);
	looks = b->looks;
	bed_pass(b, POOL_READY_LAST);
	looks = b->looks - looks;
	assert_between(looks, 4, 6);
	bed_exit_moved(b, 1, MOVED_NO);
	assert_state(b, 1, SLOT_STARTING);
	looks = b->looks;
	bed_pass(b, POOL_READY_LAST);
	looks = b->looks - looks;
	assert_between(looks, 45, 50);
	/* Not for ever, of one that takes long. */
	bed_pass(b, 10 * USEC);
	looks = b->looks;
	bed_pass(b, USEC);
	looks = b->looks - looks;
	assert_between(looks, 15, 25);
	bed_free(b);
}

static void
one_that_shows_what_is_wrong_with_it_ends_it(void **arg)
{
	struct bed *b;
	enum start_cause cause;

	(void)arg;
	for (cause = CAUSE_CGI; cause <= CAUSE_LEFT; cause++) {
		b = bed_ready(1);
		bed_tell(b, EV_RELOAD);
		bed_did(b);
		bed_exit_cause(b, 1, cause);
		assert_did(b, "[exit 1] [reload-failed 1]");
		assert_int_equal(b->notice.cause, cause);
		assert_state(b, 0, SLOT_READY);
		assert_state(b, 1, SLOT_EMPTY);
		bed_free(b);
	}
}

static void
one_that_listens_elsewhere_ends_it(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_did(b);
	bed_look(b, 1, READY_ELSEWHERE);
	assert_did(b, "[elsewhere 1] TERM>1");
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = 1,
	    .status = SIGTERM });
	assert_did(b, "[exit 1] [reload-failed 1]");
	assert_int_equal(b->notice.cause, CAUSE_ELSEWHERE);
	assert_state(b, 0, SLOT_READY);
	bed_free(b);
}

/* That it was ready was a guess; whoever was seen has crashed. */
static void
one_that_was_never_seen_and_fails_ends_it(void **arg)
{
	struct bed *b;
	int signal, seen;

	(void)arg;
	for (signal = 0; signal < 2; signal++) {
		for (seen = 0; seen < 2; seen++) {
			b = bed_ready(4);
			bed_tell(b, EV_RELOAD);
			bed_look(b, 4, seen ? READY_YES : READY_ASSUMED);
			assert_has(bed_did(b), "TERM>0");
			if (signal)
				bed_crash(b, 4);
			else
				bed_exit(b, 4, 1);
			assert_int_equal(pool_reloading(b->p), seen);
			assert_int_equal(pool_counts(b->p)->reloads_failed,
			    !seen);
			bed_free(b);
		}
	}
}

/* Bounded by 10 ms for a slot, whatever becomes of the reload. */
static void
new_workers_that_leave_unseen_do_not_spin(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int i;

	(void)arg;
	bed_tell(b, EV_RELOAD);
	for (i = 0; i < 1000; i++) {
		if (pool_state(b->p, 1) == SLOT_STARTING)
			bed_exit_moved(b, 1, MOVED_UNKNOWN);
		bed_pass(b, MSEC);
	}
	assert_between(b->spawns, 2, 102);
	assert_state(b, 0, SLOT_READY);
	bed_free(b);
}

static void
a_failed_one_can_be_tried_again(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_exit(b, 1, 1);
	bed_did(b);
	bed_tell(b, EV_RELOAD);
	assert_did(b, "spawn1");
	bed_look(b, 1, READY_YES);
	bed_exit(b, 0, 0);
	assert_did(b, "TERM>0 [reloaded]");
	bed_free(b);
}

static void
the_surge_worker_takes_the_place_of_one_that_crashes(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_did(b);
	bed_crash(b, 0);
	assert_did(b, "[exit 0] spawn0");
	assert_int_equal(bed_staying(b), 3);
	bed_look(b, 2, READY_YES);
	bed_look(b, 0, READY_YES);
	assert_int_equal(pool_count(b->p, SLOT_STOPPING), 1);
	assert_state(b, 1, SLOT_STOPPING);
	bed_exit(b, 1, 0);
	assert_did(b, "TERM>1 [reloaded]");
	bed_free(b);
}

static void
workers_that_recycle_become_new_that_way(void **arg)
{
	struct bed *b = bed_ready(4);
	unsigned int i, slot;

	(void)arg;
	bed_tell(b, EV_RELOAD);
	/* Every worker exits as soon as it has served; each was ready. */
	for (i = 0; i < 40; i++) {
		for (slot = 0; slot < pool_slots(b->p); slot++) {
			if (pool_state(b->p, slot) == SLOT_STARTING)
				bed_look(b, slot, READY_YES);
			if (pool_state(b->p, slot) == SLOT_READY ||
			    pool_state(b->p, slot) == SLOT_STOPPING)
				bed_exit(b, slot, 0);
			assert_true(bed_staying(b) >= 4);
		}
	}
	assert_has(bed_did(b), "[reloaded]");
	bed_free(b);
}

/*
 * All workers but slot 2 recycle, one whenever another starts. The one that
 * never does must be replaced nevertheless.
 */
static void
recycling_workers_do_not_keep_an_old_one(void **arg)
{
	struct bed *b = bed_ready(3);
	unsigned int round, slot, next = 0, n = pool_slots(b->p);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	for (round = 0; round < 100; round++) {
		enum slot_state before[BED_SLOTS] = { SLOT_EMPTY };

		for (slot = 0; slot < n; slot++)
			before[slot] = pool_state(b->p, slot);
		if (before[2] == SLOT_STOPPING)
			break;
		do
			next = next + 1 < n ? next + 1 : 0;
		while (next == 2 || before[next] != SLOT_READY);
		bed_exit(b, next, 0);
		for (slot = 0; slot < n; slot++) {
			if (before[slot] == SLOT_STARTING)
				bed_look(b, slot, READY_YES);
			else if (slot != 2 && before[slot] == SLOT_STOPPING)
				bed_exit(b, slot, 0);
		}
	}
	assert_true(round < 100);
	bed_free(b);
}

static void
a_second_one_starts_over(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 2, READY_YES);
	bed_exit(b, 0, 0);
	assert_did(b, "spawn2 TERM>0 spawn0");
	/* 0 is starting, 1 is old, 2 is of the first reload. */
	bed_tell(b, EV_RELOAD);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0");
	bed_look(b, 0, READY_YES);
	assert_did(b, "TERM>1");
	bed_exit(b, 1, 0);
	bed_look(b, 1, READY_YES);
	assert_did(b, "spawn1 TERM>2");
	bed_exit(b, 2, 0);
	assert_did(b, "[reloaded]");
	assert_int_equal(pool_count(b->p, SLOT_READY), 2);
	bed_free(b);
}

static void
in_the_start_waits_until_that_is_over(void **arg)
{
	struct bed *b = bed_starting(2);

	(void)arg;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 0, READY_YES);
	assert_did(b, "");
	bed_look(b, 1, READY_YES);
	assert_did(b, "[ready 2] spawn2");
	bed_free(b);
}

static void
starts_whoever_waits_after_a_failure_at_once(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_exit(b, 0, 0);
	bed_exit(b, 0, 1);
	bed_did(b);
	bed_tell(b, EV_RELOAD);
	assert_did(b, "spawn0 spawn2");
	bed_look(b, 0, READY_YES);
	bed_look(b, 2, READY_YES);
	assert_did(b, "TERM>1");
	bed_exit(b, 1, 0);
	assert_did(b, "[reloaded]");
	bed_free(b);
}

/* A worker that is still starting has nothing to lose, so it goes first. */
static void
ends_a_starting_old_one_before_a_ready_one(void **arg)
{
	struct bed *b = bed_ready(2);

	(void)arg;
	bed_exit(b, 1, 0);
	bed_did(b);
	bed_tell(b, EV_RELOAD);
	bed_look(b, 2, READY_YES);
	assert_did(b, "spawn2 TERM>1");
	bed_free(b);
}

/*
 * The queue moves because the old workers serve. A new program that leaves
 * at once, again and again, must not take the place of one that serves.
 */
static void
a_new_one_that_always_leaves_replaces_nobody(void **arg)
{
	struct bed *b = bed_ready(2);
	unsigned int i, slot;

	(void)arg;
	bed_tell(b, EV_RELOAD);
	for (i = 0; i < 100; i++) {
		bed_pass(b, 5 * MSEC);
		for (slot = 0; slot < pool_slots(b->p); slot++) {
			if (pool_state(b->p, slot) == SLOT_STARTING)
				bed_exit_moved(b, slot, MOVED_YES);
			else if (pool_state(b->p, slot) == SLOT_STOPPING)
				bed_exit(b, slot, 0);
		}
	}
	assert_int_equal(pool_count(b->p, SLOT_READY), 2);
	bed_free(b);
}

/* Its turn to be started came only then: it is of the new program. */
static void
one_that_waited_for_its_start_is_new(void **arg)
{
	struct bed *b = bed_ready(2);
	struct pool_worker old, new;

	(void)arg;
	assert_true(pool_worker(b->p, 1, &old));
	pool_event(b->p, &(struct pool_event){ .what = EV_EXIT, .slot = 0,
	    .status = SIGKILL }, b->now);
	bed_take(b);
	assert_state(b, 0, SLOT_SPAWNING);
	pool_event(b->p, &(struct pool_event){ .what = EV_RELOAD }, b->now);
	bed_take(b);
	pool_event(b->p, &(struct pool_event){ .what = EV_SPAWNED, .slot = 0,
	    .pid = 999 }, b->now);
	assert_true(pool_worker(b->p, 0, &new));
	assert_int_equal(new.generation, old.generation + 1);
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_a_new_worker_before_an_old_one_goes),
		cmocka_unit_test(goes_on_until_all_are_new),
		cmocka_unit_test(waits_until_the_old_one_is_gone),
		cmocka_unit_test(never_has_fewer_ready_ones_than_workers),
		cmocka_unit_test(a_new_worker_that_fails_ends_it),
		cmocka_unit_test(a_program_that_is_gone_ends_it),
		cmocka_unit_test(a_fork_that_fails_ends_it),
		cmocka_unit_test(a_new_worker_that_is_slow_ends_it),
		cmocka_unit_test(new_workers_that_leave_without_work_end_it),
		cmocka_unit_test(
		    one_that_is_seen_ends_the_count_of_those_that_left),
		cmocka_unit_test(
		    one_that_leaves_unseen_has_the_next_looked_at_more_often),
		cmocka_unit_test(one_that_shows_what_is_wrong_with_it_ends_it),
		cmocka_unit_test(one_that_listens_elsewhere_ends_it),
		cmocka_unit_test(one_that_was_never_seen_and_fails_ends_it),
		cmocka_unit_test(new_workers_that_leave_unseen_do_not_spin),
		cmocka_unit_test(a_failed_one_can_be_tried_again),
		cmocka_unit_test(
		    the_surge_worker_takes_the_place_of_one_that_crashes),
		cmocka_unit_test(workers_that_recycle_become_new_that_way),
		cmocka_unit_test(recycling_workers_do_not_keep_an_old_one),
		cmocka_unit_test(a_second_one_starts_over),
		cmocka_unit_test(in_the_start_waits_until_that_is_over),
		cmocka_unit_test(starts_whoever_waits_after_a_failure_at_once),
		cmocka_unit_test(ends_a_starting_old_one_before_a_ready_one),
		cmocka_unit_test(a_new_one_that_always_leaves_replaces_nobody),
		cmocka_unit_test(one_that_waited_for_its_start_is_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
