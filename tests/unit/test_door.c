/* SPDX-License-Identifier: ISC */
/* A busy worker that goes is kept from new connections, see pool/door.c. */
#include "bed.h"

/* A pool of one with doors, whose worker is busy and told to go by a reload. */
static struct bed *
bed_at_door(void)
{
	struct pool_conf c = bed_conf(1);
	struct bed *b;

	c.door = true;
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
	pool_event(b->p, &(struct pool_event){ .what = EV_ACTIVITY,
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
	assert_did(b, "exam0");
	find(b, (struct activity){ .holds = HOLDS_BUSY, .connection = 1 });
	assert_did(b, "");
	find(b, (struct activity){ .holds = HOLDS_NOTHING });
	assert_did(b, "open0:TERM");
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

/* What waits in the queue has to be served. */
static void
a_stop_opens_the_doors(void **arg)
{
	struct bed *b = bed_at_door();

	(void)arg;
	pool_event(b->p, &(struct pool_event){ .what = EV_STOP }, b->now);
	bed_take(b);
	bed_did(b);
	b->now = pool_deadline(b->p);
	pool_tick(b->p, b->now);
	bed_take(b);
	assert_has(bed_did(b), "open0");
	assert_state(b, 0, SLOT_RETIRING);
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
		cmocka_unit_test(a_stop_opens_the_doors),
		cmocka_unit_test(at_the_deadline_it_is_killed_and_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
