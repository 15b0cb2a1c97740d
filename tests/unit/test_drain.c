/* SPDX-License-Identifier: ISC */
/* A stop that serves what waits: what is asked, kept, told and started. */
#include "bed.h"

static struct bed *
one_with(unsigned int workers, unsigned int waiting)
{
	struct pool_conf c = bed_conf(workers);
	struct bed *b;
	unsigned int i;

	c.drains = true;
	b = bed_raw(&c);
	b->queue = (struct queue){ .known = true, .depth = waiting };
	bed_act(b);
	for (i = 0; i < workers; i++)
		bed_look(b, i, READY_YES);
	bed_did(b);
	return b;
}

static void
keeps_new_ones_out_and_asks_what_waits(void **arg)
{
	struct bed *b = one_with(1, 0);

	(void)arg;
	b->show_all = true;
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 refuse queue");
	bed_pass(b, POOL_DRAIN_FIRST);
	assert_has(bed_did(b), "queue");
	bed_free(b);
}

/* Asked again, in pauses that grow to 10 ms. */
static void
asks_at_most_every_ten_milliseconds(void **arg)
{
	struct bed *b = one_with(1, 3);
	const char *did, *s;
	unsigned int n = 0;

	(void)arg;
	b->show_all = true;
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_tell(b, EV_STOP);
	bed_pass(b, 100 * MSEC);
	bed_did(b);
	bed_pass(b, USEC);
	did = bed_did(b);
	for (s = did; (s = strstr(s, "queue")) != NULL; s++)
		n++;
	assert_between(n, 99, 101);
	bed_free(b);
}

static void
tells_nobody_while_something_waits(void **arg)
{
	struct bed *b = one_with(2, 5);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_pass(b, 20 * USEC);
	assert_has_not(bed_did(b), "TERM");
	b->queue.depth = 0;
	bed_pass(b, 20 * MSEC);
	assert_did(b, "TERM>0 TERM>1");
	bed_free(b);
}

static void
shuts_the_socket_when_something_waits(void **arg)
{
	struct bed *b = one_with(1, 1);

	(void)arg;
	bed_tell(b, EV_STOP);
	assert_did(b, "refuse shut");
	bed_pass(b, USEC);
	assert_did(b, "");
	bed_free(b);
}

/* It was told while it could not be seen, and waits in accept now. */
static void
a_told_one_with_threads_may_serve_what_waits(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.drains = c.door = true;
	b = bed_raw(&c);
	b->queue.known = true;
	bed_act(b);
	bed_look(b, 0, READY_YES);
	b->w[0].activity.holds = HOLDS_UNKNOWN;
	b->w[0].activity.unseen = true;
	bed_did(b);
	bed_tell(b, EV_STOP);
	bed_pass(b, 20 * MSEC);
	assert_did(b, "refuse TERM>0 shut");
	b->w[0].activity.holds = HOLDS_NOTHING;
	b->w[0].activity.threaded = b->w[0].deaf = true;
	b->queue.depth = 2;
	bed_pass(b, 2 * POOL_HEED);
	assert_has_not(bed_did(b), "close0");
	assert_int_equal(pool_count(b->p, SLOT_DOOR), 0);
	b->queue.depth = 0;
	bed_pass(b, 100 * MSEC);
	assert_has(bed_did(b), "KILL>0");
	bed_free(b);
}

/* accept(2) would fail in threads while others of the process serve. */
static void
with_threads_shuts_it_only_after_half_the_time(void **arg)
{
	struct bed *b = one_with(1, 1);

	(void)arg;
	b->w[0].activity.threaded = true;
	b->w[0].activity.sleeping = false;
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_tell(b, EV_STOP);
	bed_pass(b, b->conf.stop_timeout / 2 - MSEC);
	assert_did(b, "refuse");
	bed_pass(b, 20 * MSEC);
	assert_did(b, "shut");
	bed_free(b);
}

static void
with_an_event_loop_shuts_it_at_once(void **arg)
{
	struct bed *b = one_with(1, 1);

	(void)arg;
	b->w[0].activity.threaded = b->w[0].activity.is_event_loop = true;
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_tell(b, EV_STOP);
	assert_did(b, "refuse shut");
	bed_free(b);
}

/* Where new ones cannot be kept out it would never be empty. */
static void
an_open_queue_counts_for_half_the_time(void **arg)
{
	struct bed *b = one_with(1, 9);

	(void)arg;
	b->queue.open = true;
	bed_tell(b, EV_STOP);
	bed_pass(b, b->conf.stop_timeout / 2 - 20 * MSEC);
	assert_has_not(bed_did(b), "TERM");
	bed_pass(b, 40 * MSEC);
	assert_did(b, "TERM>0");
	bed_free(b);
}

static void
an_unknown_queue_keeps_nobody(void **arg)
{
	struct bed *b = one_with(1, 0);

	(void)arg;
	b->queue = (struct queue){ .known = false, .depth = 7 };
	bed_tell(b, EV_STOP);
	bed_pass(b, 10 * MSEC);
	assert_did(b, "refuse shut TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

/* With nobody else left it is stopped, and the queue looked at once more. */
static void
the_last_one_goes_when_the_queue_is_seen_empty(void **arg)
{
	struct bed *b = one_with(2, 0);

	(void)arg;
	b->show_all = true;
	bed_tell(b, EV_STOP);
	assert_did(b, "exam0 exam1 refuse queue");
	bed_pass(b, MSEC - 1);
	assert_did(b, "");
	bed_pass(b, 1);
	assert_has(bed_did(b), "exam0 TERM>0 CONT>0 exam1 STOP>1 exam1 shut "
	    "queue TERM>1 CONT>1");
	bed_free(b);
}

static void
the_last_one_is_continued_when_something_came(void **arg)
{
	struct bed *b = one_with(1, 0);
	struct pool_event ev = { .what = EV_QUEUE, .queue.known = true };
	struct pool_action a;

	(void)arg;
	b->show_all = true;
	b->w[0].slow_stop = true;	/* held there, for us to look on */
	bed_tell(b, EV_STOP);
	bed_pass(b, MSEC);
	assert_has(bed_did(b), "STOP>0");
	b->w[0].slow_stop = false;
	b->queue.depth = 2;
	bed_event(b, (struct pool_event){ .what = EV_FROZEN });
	assert_did(b, "exam0 shut queue CONT>0");
	assert_state(b, 0, SLOT_RETIRING);
	b->queue.depth = 0;
	bed_pass(b, 20 * MSEC);
	assert_has(bed_did(b), "TERM>0 CONT>0");
	/* An answer that nobody asked for any more changes nothing. */
	pool_event(b->p, &ev, b->now);
	assert_false(pool_next(b->p, &a));
	bed_free(b);
}

/* A worker that recycles is replaced, but only then. */
static void
as_many_when_nobody_is_left_to_serve(void **arg)
{
	struct bed *b = one_with(2, 5);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	bed_pass(b, 20 * MSEC);
	assert_did(b, "");
	bed_exit(b, 1, 0);
	assert_did(b, "spawn0 spawn1");
	b->queue.depth = 1;
	bed_look(b, 0, READY_YES);
	bed_look(b, 1, READY_YES);
	bed_pass(b, 20 * MSEC);
	assert_did(b, "");
	bed_exit(b, 0, 0);
	bed_pass(b, 20 * MSEC);
	assert_did(b, "");
	bed_exit(b, 1, 0);
	assert_did(b, "spawn0");
	b->queue.depth = 0;
	bed_exit_moved(b, 0, MOVED_YES);
	assert_did(b, "[done]");
	bed_free(b);
}

/* --stop-timeout is the pool's: nobody has it once more for its start. */
static void
one_that_starts_in_the_stop_goes_at_its_end(void **arg)
{
	struct bed *b = one_with(1, 5);
	uint64_t left;

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_pass(b, 10 * MSEC);
	bed_exit(b, 0, 0);
	assert_has(bed_did(b), "spawn0");
	left = b->conf.stop_timeout - 10 * MSEC;
	bed_pass(b, left - 20 * MSEC);
	assert_did(b, "");
	assert_state(b, 0, SLOT_STARTING);
	bed_pass(b, 20 * MSEC + POOL_DRAIN_LAST);
	assert_did(b, "KILL>0 [kill 0]");
	bed_free(b);
}

/* Once nothing waits accept(2) fails, of which its threads are not to hear. */
static void
one_that_starts_in_the_stop_goes_by_its_door(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct pool_event ev = { .what = EV_DOOR, .slot = 0,
	    .door = DOOR_CLOSED };
	struct bed *b;

	(void)arg;
	c.drains = c.door = true;
	b = bed_raw(&c);
	b->queue = (struct queue){ .known = true, .depth = 5 };
	bed_act(b);
	bed_look(b, 0, READY_YES);
	bed_tell(b, EV_STOP);
	bed_pass(b, 10 * MSEC);
	bed_did(b);
	b->show_all = true;
	bed_exit(b, 0, 0);
	assert_has_not(b->line, "exam0");
	b->show_all = false;
	assert_has(bed_did(b), "spawn0 close0+");
	assert_state(b, 0, SLOT_DOOR);
	/* It had no program yet: its door is closed again. */
	bed_pass(b, 2 * MSEC);
	assert_did(b, "close0+");
	bed_event(b, ev);
	bed_pass(b, 10 * MSEC);
	assert_did(b, "");
	b->queue.depth = 0;
	bed_pass(b, 20 * MSEC);
	bed_event(b, (struct pool_event){ .what = EV_TREE, .slot = 0,
	    .activity.holds = HOLDS_NOTHING });
	assert_has(bed_did(b), "pause0");
	bed_free(b);
}

static void
a_pool_without_workers_serves_what_waits(void **arg)
{
	struct bed *b = one_with(1, 1);

	(void)arg;
	bed_event(b, (struct pool_event){ .what = EV_TARGET, .workers = 0 });
	bed_pass(b, 10 * MSEC);
	bed_exit(b, 0, 0);
	assert_did(b, "TERM>0");
	bed_tell(b, EV_STOP);
	assert_did(b, "refuse shut spawn0");
	b->queue.depth = 0;
	bed_look(b, 0, READY_YES);
	bed_pass(b, 20 * MSEC);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

/* Who was told but has not ended takes a place: --max-workers holds. */
static void
there_must_be_room_for_one_more(void **arg)
{
	struct bed *b = one_with(1, 0);

	(void)arg;
	b->queue.open = true;
	bed_tell(b, EV_RELOAD);
	bed_look(b, 1, READY_YES);
	bed_tell(b, EV_STOP);
	bed_pass(b, 10 * MSEC);
	assert_has(bed_did(b), "TERM>1");
	assert_int_equal(pool_count(b->p, SLOT_STOPPING), 2);
	b->queue.depth = 1;
	bed_pass(b, 50 * MSEC);
	assert_did(b, "");
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0");
	bed_free(b);
}

static void
gives_up_after_three_failures_and_says_what_is_left(void **arg)
{
	struct bed *b = one_with(1, 5);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0");
	bed_exit(b, 0, 1);
	assert_did(b, "[exit 0] spawn0");
	bed_exit(b, 0, 1);
	assert_did(b, "[exit 0] spawn0");
	bed_exit(b, 0, 1);
	assert_did(b, "[exit 0] [left 5] [done]");
	bed_free(b);
}

/* Those of one moment have one reason. */
static void
several_that_fail_together_are_one_failure(void **arg)
{
	struct bed *b = one_with(3, 9);
	unsigned int i, round;

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	for (i = 0; i < 3; i++)
		bed_exit(b, i, 0);
	for (round = 0; round < 3; round++) {
		assert_has(bed_did(b), "spawn");
		for (i = 0; i < 3; i++)
			bed_exit(b, i, 1);
	}
	assert_has(bed_did(b), "[left 9] [done]");
	bed_free(b);
}

/* They come up, and end before they have taken a connection. */
static void
gives_up_after_three_that_served_nobody(void **arg)
{
	struct bed *b = one_with(1, 5);
	unsigned int i;

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	for (i = 0; i < 3; i++) {
		assert_has(bed_did(b), "spawn0");
		bed_look(b, 0, READY_YES);
		assert_true(pool_wants_queue(b->p, 0));
		if (i == 1)
			bed_exit_moved(b, 0, MOVED_NO);
		else
			bed_crash(b, 0);
	}
	assert_has(bed_did(b), "[left 5] [done]");
	bed_free(b);
}

/* Nor for ever where nobody can tell whether they took anything. */
static void
gives_up_after_three_that_crashed_in_a_long_queue(void **arg)
{
	struct bed *b = one_with(1, 99);
	unsigned int i;

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0");
	for (i = 0; i < 3; i++) {
		bed_look(b, 0, READY_YES);
		bed_did(b);
		bed_event(b, (struct pool_event){ .what = EV_EXIT,
		    .status = i == 1 ? BED_STATUS(1) : SIGSEGV,
		    .moved = MOVED_UNKNOWN });
		assert_did(b, i < 2 ? "[exit 0] spawn0" :
		    "[exit 0] [left 99] [done]");
	}
	bed_free(b);
}

/* Its client has gone, accept(2) fails, and the program does not expect it. */
static void
one_that_found_nothing_is_no_news(void **arg)
{
	struct bed *b = one_with(1, 1);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	assert_did(b, "spawn0");
	bed_look(b, 0, READY_YES);
	bed_did(b);
	b->queue.depth = 0;
	bed_exit(b, 0, 255);
	assert_has_not(b->line, "[exit");
	assert_has(bed_did(b), "[done]");
	bed_free(b);
}

/* Three of them are three, whether or not something was seen to move. */
static void
one_that_cannot_be_executed_is_one_failure(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;
	unsigned int i;

	(void)arg;
	c.drains = c.door = true;
	b = bed_raw(&c);
	b->queue = (struct queue){ .known = true, .depth = 5 };
	bed_act(b);
	bed_look(b, 0, READY_YES);
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	for (i = 0; i < 3; i++) {
		assert_has(bed_did(b), "spawn0");
		assert_state(b, 0, SLOT_DOOR);
		bed_event(b, (struct pool_event){ .what = EV_EXIT,
		    .status = BED_STATUS(127), .exec_failed = true,
		    .error = 2, .moved = MOVED_NO });
	}
	assert_has(bed_did(b), "[left 5] [done]");
	bed_free(b);
}

/* Traced by its exec a set-user-ID program would not become its user's. */
static void
one_that_may_gain_rights_begins_as_any_other(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.drains = c.door = c.set_id = true;
	b = bed_raw(&c);
	b->queue = (struct queue){ .known = true, .depth = 5 };
	bed_act(b);
	bed_look(b, 0, READY_YES);
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	assert_false(pool_wants_door(b->p, 0));
	assert_has(bed_did(b), "spawn0");
	assert_state(b, 0, SLOT_STARTING);
	bed_free(b);
}

/* A stop whose last worker has gone: another is started, behind its door. */
static struct bed *
one_for_what_waits(void)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	c.drains = c.door = true;
	b = bed_raw(&c);
	b->queue = (struct queue){ .known = true, .depth = 5 };
	bed_act(b);
	bed_look(b, 0, READY_YES);
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	assert_has(bed_did(b), "spawn0");
	return b;
}

/* However long that takes: it is to serve, and not looked at as one to go. */
static void
one_that_has_not_begun_is_waited_for(void **arg)
{
	struct bed *b = one_for_what_waits();
	unsigned int i;

	(void)arg;
	for (i = 0; i < 400; i++) {
		bed_event(b, (struct pool_event){ .what = EV_DOOR,
		    .door = DOOR_UNBEGUN });
		bed_pass(b, USEC / 100);
		assert_state(b, 0, SLOT_DOOR);
	}
	assert_has_not(bed_did(b), "activity");
	bed_free(b);
}

/* The stop may be over before one that was started in it is its program. */
static void
one_that_was_cancelled_is_no_failure(void **arg)
{
	struct bed *b = one_for_what_waits();

	(void)arg;
	bed_event(b, (struct pool_event){ .what = EV_EXIT,
	    .status = SIGKILL, .cancelled = true, .moved = MOVED_UNKNOWN });
	assert_has_not(bed_did(b), "[exit");
	bed_free(b);
}

/* Nor is one of which nobody knows how it ended, as its tracer has it. */
static void
one_whose_end_is_unknown_is_no_failure(void **arg)
{
	struct bed *b = one_for_what_waits();

	(void)arg;
	bed_event(b, (struct pool_event){ .what = EV_EXIT,
	    .status = STATUS_UNKNOWN, .moved = MOVED_NO });
	assert_has_not(bed_did(b), "[exit");
	assert_int_equal(pool_counts(b->p)->failed, 0);
	bed_free(b);
}

/* One came for each that was served: as many wait, and nobody is given up. */
static void
goes_on_while_each_serves_one(void **arg)
{
	struct bed *b = one_with(1, 5);
	unsigned int i;

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_exit(b, 0, 0);
	for (i = 0; i < 20; i++) {
		assert_has(bed_did(b), "spawn0");
		bed_look(b, 0, READY_YES);
		bed_exit_moved(b, 0, i % 3 == 2 ? MOVED_YES : MOVED_NO);
	}
	assert_has(bed_did(b), "spawn0");
	bed_free(b);
}

/* What those served that were there before says nothing of the next. */
static void
those_of_before_the_stop_do_not_count(void **arg)
{
	struct bed *b = one_with(4, 5);
	unsigned int i;

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	for (i = 0; i < 4; i++) {
		assert_false(pool_wants_queue(b->p, i));
		bed_exit_moved(b, i, MOVED_NO);
	}
	assert_has(bed_did(b), "spawn");
	bed_free(b);
}

static void
starts_nobody_after_the_deadline(void **arg)
{
	struct bed *b = one_with(1, 5);

	(void)arg;
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_pass(b, b->conf.stop_timeout);
	assert_did(b, "KILL>0 [lost 0]");
	bed_event(b, (struct pool_event){ .what = EV_EXIT,
	    .status = SIGKILL });
	assert_did(b, "[left 5] [done]");
	bed_free(b);
}

static void
a_fast_stop_serves_nobody(void **arg)
{
	struct bed *b = one_with(1, 5);

	(void)arg;
	bed_tell(b, EV_STOP_FAST);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

static void
a_second_stop_ends_it(void **arg)
{
	struct bed *b = one_with(1, 5);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_did(b);
	bed_tell(b, EV_STOP);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

/* Who else has the socket goes on with it. */
static void
an_inherited_socket_is_left_alone(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	b->queue = (struct queue){ .known = true, .depth = 5 };
	bed_stop(b);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

/* Another pool serves what waits, by the same socket. */
static void
a_socket_of_another_pool_is_left_alone(void **arg)
{
	struct bed *b = one_with(1, 5);

	(void)arg;
	bed_event(b, (struct pool_event){ .what = EV_SHARED, .shared = true });
	bed_stop(b);
	assert_did(b, "TERM>0");
	bed_exit(b, 0, 0);
	assert_did(b, "[done]");
	bed_free(b);
}

static void
a_busy_one_lets_nobody_in_who_waits_for_another_pool(void **arg)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	(void)arg;
	c.drains = c.door = c.shared = true;
	b = bed_raw(&c);
	bed_act(b);
	bed_look(b, 0, READY_YES);
	b->w[0].activity.holds = HOLDS_BUSY;
	bed_did(b);
	bed_tell(b, EV_STOP);
	assert_did(b, "close0");
	bed_free(b);
}

/* The other has gone: a stop serves what waits again. */
static void
a_socket_that_was_another_pools_is_drained(void **arg)
{
	struct bed *b = one_with(1, 5);

	(void)arg;
	bed_event(b, (struct pool_event){ .what = EV_SHARED, .shared = true });
	bed_event(b, (struct pool_event){ .what = EV_SHARED });
	bed_tell(b, EV_STOP);
	assert_did(b, "refuse shut");
	/* In a stop it is decided. */
	bed_event(b, (struct pool_event){ .what = EV_SHARED, .shared = true });
	b->queue.depth = 0;
	bed_pass(b, 100 * MSEC);
	assert_did(b, "TERM>0");
	bed_free(b);
}

/* A job in the background is waited for, but nobody waits for it to serve. */
static void
a_job_that_is_left_serves_nobody(void **arg)
{
	struct bed *b = one_with(1, 1);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_event(b, (struct pool_event){ .what = EV_ORPHAN, .pid = 4711 });
	b->w[1].activity.sleeping = false;
	bed_did(b);
	bed_exit(b, 0, 0);
	bed_pass(b, 20 * MSEC);
	assert_did(b, "spawn0");
	bed_free(b);
}

static void
a_child_that_is_left_serves(void **arg)
{
	struct bed *b = one_with(1, 1);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_event(b, (struct pool_event){ .what = EV_ORPHAN, .pid = 4711 });
	bed_did(b);
	bed_exit(b, 0, 0);
	bed_pass(b, 5 * USEC);
	assert_did(b, "");
	b->queue.depth = 0;
	bed_pass(b, 200 * MSEC);
	assert_did(b, "TERM>1");
	bed_free(b);
}

/* accept(2) fails then, which not every program expects. */
static void
an_exit_after_the_shut_is_no_crash(void **arg)
{
	struct bed *b = one_with(2, 1);

	(void)arg;
	bed_tell(b, EV_STOP);
	bed_exit(b, 0, 1);
	assert_int_equal(pool_counts(b->p)->crashed, 0);
	bed_crash(b, 1);
	assert_did(b, "refuse shut spawn0");
	bed_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_new_ones_out_and_asks_what_waits),
		cmocka_unit_test(asks_at_most_every_ten_milliseconds),
		cmocka_unit_test(tells_nobody_while_something_waits),
		cmocka_unit_test(shuts_the_socket_when_something_waits),
		cmocka_unit_test(a_told_one_with_threads_may_serve_what_waits),
		cmocka_unit_test(
		    with_threads_shuts_it_only_after_half_the_time),
		cmocka_unit_test(with_an_event_loop_shuts_it_at_once),
		cmocka_unit_test(an_open_queue_counts_for_half_the_time),
		cmocka_unit_test(an_unknown_queue_keeps_nobody),
		cmocka_unit_test(
		    the_last_one_goes_when_the_queue_is_seen_empty),
		cmocka_unit_test(
		    the_last_one_is_continued_when_something_came),
		cmocka_unit_test(as_many_when_nobody_is_left_to_serve),
		cmocka_unit_test(one_that_starts_in_the_stop_goes_at_its_end),
		cmocka_unit_test(one_that_starts_in_the_stop_goes_by_its_door),
		cmocka_unit_test(a_pool_without_workers_serves_what_waits),
		cmocka_unit_test(there_must_be_room_for_one_more),
		cmocka_unit_test(
		    gives_up_after_three_failures_and_says_what_is_left),
		cmocka_unit_test(several_that_fail_together_are_one_failure),
		cmocka_unit_test(gives_up_after_three_that_served_nobody),
		cmocka_unit_test(
		    gives_up_after_three_that_crashed_in_a_long_queue),
		cmocka_unit_test(one_that_found_nothing_is_no_news),
		cmocka_unit_test(one_that_cannot_be_executed_is_one_failure),
		cmocka_unit_test(one_that_was_cancelled_is_no_failure),
		cmocka_unit_test(one_whose_end_is_unknown_is_no_failure),
		cmocka_unit_test(one_that_may_gain_rights_begins_as_any_other),
		cmocka_unit_test(one_that_has_not_begun_is_waited_for),
		cmocka_unit_test(goes_on_while_each_serves_one),
		cmocka_unit_test(those_of_before_the_stop_do_not_count),
		cmocka_unit_test(starts_nobody_after_the_deadline),
		cmocka_unit_test(a_fast_stop_serves_nobody),
		cmocka_unit_test(a_second_stop_ends_it),
		cmocka_unit_test(an_inherited_socket_is_left_alone),
		cmocka_unit_test(a_socket_of_another_pool_is_left_alone),
		cmocka_unit_test(
		    a_busy_one_lets_nobody_in_who_waits_for_another_pool),
		cmocka_unit_test(a_socket_that_was_another_pools_is_drained),
		cmocka_unit_test(a_job_that_is_left_serves_nobody),
		cmocka_unit_test(a_child_that_is_left_serves),
		cmocka_unit_test(an_exit_after_the_shut_is_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
