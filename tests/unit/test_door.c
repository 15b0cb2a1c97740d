/* SPDX-License-Identifier: ISC */
/* A busy worker that goes is kept from new connections, see pool/door.c. */
#include "bed.h"

/* A pool of one with doors, whose worker is busy and told to go by a reload. */
static struct bed *
bed_at_door(void)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	c.door = c.drains = true;
	b = bed_raw(&c);
	bed_act(b);
	bed_look(b, 0, READY_YES);
	bed_pass(b, POOL_START_GRACE);
	pool_event(b->p, &(struct pool_event){ .what = EV_TARGET,
	    .workers = 0 }, b->now);
	pool_event(b->p, &(struct pool_event){ .what = EV_ACTIVITY,
	    .activity = { .holds = HOLDS_BUSY, .catches = true,
	    .connection = 1 } }, b->now);
	bed_take(b);
	b->show_all = true;
	assert_has(bed_did(b), "close0");
	assert_state(b, 0, SLOT_DOOR);
	return b;
}

static void
answer(struct bed *b, enum door_state door)
{
	pool_event(b->p, &(struct pool_event){ .what = EV_DOOR,
	    .door = door }, b->now);
	bed_take(b);
}

static void
find(struct bed *b, struct activity x)
{
	pool_event(b->p, &(struct pool_event){ .what =
	    pool_state(b->p, 0) == SLOT_DOOR ? EV_TREE : EV_ACTIVITY,
	    .activity = x }, b->now);
	bed_take(b);
}

static void
a_closed_door_is_followed_by_a_look(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	answer(b, DOOR_CLOSING);
	assert_did(b, "");
	answer(b, DOOR_CLOSED);
	assert_did(b, "tree0");
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 1 });
	assert_did(b, "");
	find(b, (struct activity){ .holds = HOLDS_NOTHING });
	assert_did(b, "tell0");
	assert_state(b, 0, SLOT_DOOR);
	bed_exit(b, 0, 0);
	assert_int_equal(pool_counts(b->p)->retired, 1);
	assert_int_equal(pool_counts(b->p)->lost, 0);
	bed_free(b);
}

/* It could go on for ever with closing a door that cannot be closed. */
static void
a_refusal_is_remembered(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	answer(b, DOOR_REFUSED);
	assert_did(b, "open0");
	assert_state(b, 0, SLOT_RETIRING);
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 2 });
	assert_did(b, "");
	assert_state(b, 0, SLOT_RETIRING);
	bed_free(b);
}

/* It was slower for a while: then it has three times as long for itself. */
static void
a_tired_worker_has_a_rest(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	b->now += 30 * MSEC;
	answer(b, DOOR_TIRED);
	assert_did(b, "open0");
	assert_true(bed_next(b) >= POOL_DOOR_REST * 30 * MSEC);
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 2 });
	assert_did(b, "close0");
	assert_state(b, 0, SLOT_DOOR);
	bed_free(b);
}

/* It was not slowed down all the time that it was at its door. */
static void
a_rest_is_as_long_as_what_it_is_for(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	b->now += 5 * USEC;
	answer(b, DOOR_TIRED);
	assert_did(b, "open0");
	assert_true(bed_next(b) >= POOL_DOOR_REST * POOL_ACTIVITY_LAST);
	assert_true(bed_next(b) < USEC / 2);
	bed_free(b);
}

/* As long as it is at one request the same few are enough. */
static void
whoever_makes_many_calls_may_stop_more_often(void **arg)
{
	/* Two of them see the first request, the third one another. */
	static const uint64_t ages[] = { USEC, 2 * USEC, 0 };
	struct bed *b = bed_at_door();
	size_t i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		b->now += MSEC;
		find(b, (struct activity){ .holds = HOLDS_BUSY,
		    .connection = 1, .age = ages[i] });
		bed_did(b);
		bed_pass(b, bed_next(b));
		assert_did(b, "check0");
		answer(b, DOOR_TIRED);
		find(b, (struct activity){ .holds = HOLDS_BUSY,
		    .connection = 1, .age = ages[i] });
	}
	bed_did(b);
	bed_pass(b, bed_next(b));
	assert_did(b, "check0*");
	bed_free(b);
}

/* It would not come to the end of its request otherwise. */
static void
who_is_at_the_same_request_has_a_late_rest(void **arg)
{
	struct bed *b = bed_at_door();
	uint64_t part = bed_conf(1).stop_timeout / POOL_DOOR_LASTS;

	(void)arg;
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 2 });
	answer(b, DOOR_TIRED);
	b->now += 3 * part;
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 2,
	    .age = 3 * part });
	bed_did(b);
	bed_pass(b, bed_next(b));
	assert_did(b, "check0");
	answer(b, DOOR_TIRED);
	assert_did(b, "open0");
	assert_true(bed_next(b) <= POOL_ACTIVITY_LAST);
	b->now += part / 2;
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 2,
	    .age = MSEC });
	bed_did(b);
	bed_pass(b, bed_next(b));
	assert_did(b, "check0+");
	answer(b, DOOR_TIRED);
	assert_did(b, "");
	bed_free(b);
}

/* Whoever came in meanwhile would be killed with it. */
static void
nobody_has_a_rest_shortly_before_the_end(void **arg)
{
	struct bed *b = bed_at_door();
	uint64_t part = bed_conf(1).stop_timeout / POOL_DOOR_LASTS;

	(void)arg;
	/* So late that its rest would go on until then. */
	b->now += 3 * part - 10 * MSEC;
	answer(b, DOOR_TIRED);
	assert_did(b, "open0");
	assert_true(bed_next(b) == 10 * MSEC);
	b->now += 10 * MSEC;
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 2 });
	assert_did(b, "close0");
	answer(b, DOOR_TIRED);
	assert_did(b, "");
	assert_state(b, 0, SLOT_DOOR);
	bed_pass(b, bed_next(b));
	assert_has(bed_did(b), "check0+");
	bed_free(b);
}

/* The door stays closed until it has gone, or does not heed its signal. */
static void
whoever_comes_back_to_its_door_is_killed(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	find(b, (struct activity){ .holds = HOLDS_QUIET });
	assert_did(b, "pause0");
	/* That look was under way before. */
	find(b, (struct activity){ .holds = HOLDS_QUIET });
	assert_did(b, "pause0");
	answer(b, DOOR_PAUSED);
	assert_did(b, "tree0");
	find(b, (struct activity){ .holds = HOLDS_QUIET });
	assert_did(b, "tell0");
	answer(b, DOOR_CLOSED);
	assert_did(b, "");
	b->now += POOL_HEED;
	answer(b, DOOR_CLOSED);
	assert_did(b, "tree0");
	find(b, (struct activity){ .holds = HOLDS_NOTHING });
	assert_did(b, "");
	/* A connection is on its way to somebody of the pool. */
	find(b, (struct activity){ .holds = HOLDS_BUSY });
	assert_did(b, "");
	find(b, (struct activity){ .holds = HOLDS_NOTHING, .sleeping = true });
	assert_did(b, "KILL>>0");
	assert_state(b, 0, SLOT_KILLED);
	bed_exit(b, 0, SIGKILL);
	assert_int_equal(pool_counts(b->p)->retired, 1);
	assert_int_equal(pool_counts(b->p)->killed, 0);
	bed_free(b);
}

/* Stopped, told and continued, it could read one request more. */
static void
who_keeps_a_connection_goes_behind_its_door(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	answer(b, DOOR_TIRED);
	assert_did(b, "open0");
	assert_state(b, 0, SLOT_RETIRING);
	b->now += bed_next(b);
	find(b, (struct activity){ .holds = HOLDS_QUIET, .sleeping = true,
	    .connection = 1 });
	assert_did(b, "close0");
	assert_state(b, 0, SLOT_DOOR);
	bed_free(b);
}

/* Its clients do not wait for a task that cannot be paused. */
static void
a_pause_that_takes_long_ends(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	answer(b, DOOR_CLOSED);
	find(b, (struct activity){ .holds = HOLDS_QUIET });
	assert_has(bed_did(b), "pause0");
	answer(b, DOOR_CLOSING);
	b->show_go = true;
	b->now += POOL_FREEZE;
	pool_tick(b->p, b->now);
	bed_take(b);
	assert_did(b, "go0 check0");
	bed_free(b);
}

/* A task sleeps where it must not be interrupted: perhaps it is idle then. */
static void
one_that_does_not_close_is_looked_at(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	answer(b, DOOR_CLOSING);
	b->now += POOL_DOOR_CLOSING;
	pool_tick(b->p, b->now);
	bed_take(b);
	assert_has(bed_did(b), "open0");
	assert_state(b, 0, SLOT_RETIRING);
	/* Not again at once, and then it has longer. */
	assert_true(bed_next(b) >= POOL_DOOR_CLOSING);
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 2 });
	assert_did(b, "close0");
	answer(b, DOOR_CLOSING);
	b->now += POOL_DOOR_CLOSING;
	pool_tick(b->p, b->now);
	bed_take(b);
	assert_state(b, 0, SLOT_DOOR);
	b->now += POOL_DOOR_CLOSING;
	pool_tick(b->p, b->now);
	bed_take(b);
	assert_state(b, 0, SLOT_RETIRING);
	bed_free(b);
}

/* What cannot be seen for long goes as if there were no door. */
static void
an_unknown_one_goes_back_after_a_second(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	find(b, (struct activity){ .holds = HOLDS_UNKNOWN });
	assert_did(b, "");
	b->now += POOL_BUSY_LONG;
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 1 });
	find(b, (struct activity){ .holds = HOLDS_UNKNOWN });
	assert_did(b, "");
	b->now += POOL_BUSY_LONG;
	find(b, (struct activity){ .holds = HOLDS_UNKNOWN });
	assert_did(b, "open0");
	assert_state(b, 0, SLOT_RETIRING);
	bed_free(b);
}

/* Who leads others, or must not be stopped, goes by the door if it is idle. */
static void
idle_ones_that_need_it_go_by_the_door(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	answer(b, DOOR_TIRED);
	assert_did(b, "open0");
	find(b, (struct activity){ .holds = HOLDS_NOTHING,
	    .needs_door = true });
	assert_did(b, "close0");
	assert_state(b, 0, SLOT_DOOR);
	bed_free(b);
}

/* While one thread meets the signal others could accept. */
static void
idle_threads_and_event_loops_go_by_the_door(void **arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		struct bed *b = bed_at_door();

		answer(b, DOOR_TIRED);
		assert_state(b, 0, SLOT_RETIRING);
		bed_did(b);
		find(b, (struct activity){ .holds = HOLDS_NOTHING,
		    .threaded = i == 0, .is_event_loop = i == 1 });
		assert_did(b, "close0");
		bed_free(b);
	}
}

static void
queue_is(struct bed *b, unsigned int depth)
{
	b->queue = (struct queue){ .known = true, .depth = depth };
	pool_event(b->p, &(struct pool_event){ .what = EV_QUEUE,
	    .queue = b->queue }, b->now);
	bed_take(b);
}

/* A pool that stops serves what waits in its queue before. */
static void
in_a_stop_what_waits_is_let_in(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	b->queue = (struct queue){ .known = true, .depth = 1 };
	pool_event(b->p, &(struct pool_event){ .what = EV_STOP }, b->now);
	bed_take(b);
	assert_has(bed_did(b), "close0+");
	assert_state(b, 0, SLOT_DOOR);
	answer(b, DOOR_CLOSED);
	find(b, (struct activity){ .holds = HOLDS_NOTHING });
	assert_has(bed_did(b), "tree0");
	assert_state(b, 0, SLOT_DOOR);
	queue_is(b, 0);
	bed_did(b);
	/* It is the last: nothing more may come before it is told. */
	find(b, (struct activity){ .holds = HOLDS_NOTHING });
	assert_did(b, "shut queue");
	find(b, (struct activity){ .holds = HOLDS_NOTHING });
	assert_did(b, "pause0");
	answer(b, DOOR_PAUSED);
	assert_did(b, "tree0");
	find(b, (struct activity){ .holds = HOLDS_NOTHING });
	assert_did(b, "tell0");
	bed_free(b);
}

/* It has just answered, and its client is about to close: it serves more. */
static void
in_a_stop_one_that_has_answered_serves_on(void **arg)
{
	struct bed *b = bed_at_door();
	uint64_t i;

	(void)arg;
	b->queue = (struct queue){ .known = true, .depth = 9 };
	pool_event(b->p, &(struct pool_event){ .what = EV_STOP }, b->now);
	bed_take(b);
	bed_did(b);
	for (i = 1; i < 9; i++) {
		find(b, (struct activity){ .holds = HOLDS_BUSY,
		    .connection = i });
		b->now += POOL_DRAIN_KEPT - MSEC;
		find(b, (struct activity){ .holds = HOLDS_QUIET,
		    .connection = i });
		b->now += POOL_DRAIN_KEPT - MSEC;
		find(b, (struct activity){ .holds = HOLDS_QUIET,
		    .connection = i });
		assert_has_not(bed_did(b), "pause0");
		assert_state(b, 0, SLOT_DOOR);
	}
	bed_free(b);
}

/*
 * Whoever keeps its one connection open serves nobody else. That it is in use
 * now and then makes no difference.
 */
static void
in_a_stop_kept_connections_are_not_waited_for(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	b->queue = (struct queue){ .known = true, .depth = 1 };
	pool_event(b->p, &(struct pool_event){ .what = EV_STOP }, b->now);
	bed_take(b);
	find(b, (struct activity){ .holds = HOLDS_QUIET, .sleeping = true });
	bed_did(b);
	assert_state(b, 0, SLOT_DOOR);
	find(b, (struct activity){ .holds = HOLDS_QUIET, .connection = 1 });
	assert_has_not(bed_did(b), "pause0");
	b->now += POOL_DRAIN_KEPT;
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 1 });
	find(b, (struct activity){ .holds = HOLDS_QUIET, .connection = 1 });
	assert_has(bed_did(b), "pause0");
	answer(b, DOOR_PAUSED);
	find(b, (struct activity){ .holds = HOLDS_QUIET, .connection = 1 });
	assert_has(bed_did(b), "tell0");
	bed_free(b);
}

static void
at_the_deadline_it_is_killed_and_lost(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	answer(b, DOOR_CLOSED);
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 1 });
	bed_did(b);
	b->now += b->conf.stop_timeout;
	pool_tick(b->p, b->now);
	bed_take(b);
	assert_did(b, "held0 KILL>>0");
	pool_event(b->p, &(struct pool_event){ .what = EV_HELD,
	    .held = { .count = 5, .known = true, .holder = 4711 } }, b->now);
	bed_take(b);
	assert_did(b, "[lost 0]");
	assert_int_equal(b->notice.count, 5);
	assert_int_equal(b->notice.holder, 4711);
	assert_int_equal(pool_counts(b->p)->lost, 5);
	assert_int_equal(pool_counts(b->p)->killed, 1);
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_closed_door_is_followed_by_a_look),
		cmocka_unit_test(a_refusal_is_remembered),
		cmocka_unit_test(a_tired_worker_has_a_rest),
		cmocka_unit_test(who_keeps_a_connection_goes_behind_its_door),
		cmocka_unit_test(a_rest_is_as_long_as_what_it_is_for),
		cmocka_unit_test(whoever_makes_many_calls_may_stop_more_often),
		cmocka_unit_test(who_is_at_the_same_request_has_a_late_rest),
		cmocka_unit_test(nobody_has_a_rest_shortly_before_the_end),
		cmocka_unit_test(whoever_comes_back_to_its_door_is_killed),
		cmocka_unit_test(a_pause_that_takes_long_ends),
		cmocka_unit_test(one_that_does_not_close_is_looked_at),
		cmocka_unit_test(an_unknown_one_goes_back_after_a_second),
		cmocka_unit_test(idle_ones_that_need_it_go_by_the_door),
		cmocka_unit_test(idle_threads_and_event_loops_go_by_the_door),
		cmocka_unit_test(in_a_stop_what_waits_is_let_in),
		cmocka_unit_test(in_a_stop_one_that_has_answered_serves_on),
		cmocka_unit_test(in_a_stop_kept_connections_are_not_waited_for),
		cmocka_unit_test(at_the_deadline_it_is_killed_and_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
