/* SPDX-License-Identifier: ISC */
/*
 * Every cell of the pool's table: what each event does to a slot in each
 * state, and that it does nothing where it has, or can have, no effect.
 */
#include "bed.h"

/* How slot 0 came into its state, where that matters later. */
enum path {
	PLAIN,
	LEAVING,	/* told to go for good: a reload or stop */
	SLOW		/* ended by the start-timeout */
};

struct cell {
	enum slot_state	 from;
	enum path	 path;
	unsigned int	 event;
	int		 status;
	bool		 exec_failed;
	enum moved	 moved;
	enum readiness	 readiness;
	enum slot_state	 to;
	uint64_t	 least, most;	/* until the next deadline */
	const char	*did;
	const char	*name;
	struct activity	 activity;
};

#define STATUS(n)	BED_STATUS(n)
#define SAME		(NEVER - 1)	/* the deadline is as it was */
#define NOTHING(state, path, ev, name) { (state), (path), (ev), 0, false, \
	MOVED_NO, READY_YES, (state), SAME, SAME, "", (name), { 0 } }
#define EXIT(state, path, status, failed, to, ...) { (state), (path), \
	EV_EXIT, (status), (failed), MOVED_NO, READY_NO, (to), __VA_ARGS__, \
	{ 0 } }
#define EXAM(state, to, usec, did, name, ...) { (state), LEAVING, \
	(state) == SLOT_DOOR ? EV_TREE : EV_ACTIVITY, 0, false, 0, 0, (to), \
	(usec), (usec), (did), (name), \
	{ __VA_ARGS__ } }
#define END(state, path, to, usec, did, name) { (state), (path), \
	EV_END, 0, false, 0, 0, (to), (usec), (usec), (did), (name), { 0 } }
#define FIRST_BACKOFF	POOL_FAIL_FIRST * 3 / 4, POOL_FAIL_FIRST
#define SECOND_BACKOFF	2 * POOL_FAIL_FIRST * 3 / 4, 2 * POOL_FAIL_FIRST

static struct cell cells[] = {
	/* What was asked for has nothing to say. */
	NOTHING(SLOT_READY, PLAIN, EV_CANARY, "ready_canary"),
	NOTHING(SLOT_READY, PLAIN, EV_MEASURED, "ready_measured"),
	NOTHING(SLOT_READY, PLAIN, EV_SLOW_REQUEST, "ready_slow_request"),
	NOTHING(SLOT_RETIRING, LEAVING, EV_SLOW_REQUEST,
	    "retiring_slow_request"),

	{ SLOT_SPAWNING, PLAIN, EV_SPAWNED, 0, false, 0, 0, SLOT_STARTING,
	    POOL_READY_FIRST, POOL_READY_FIRST, "",
	    "spawning_spawned_is_starting", { 0 } },
	{ SLOT_SPAWNING, PLAIN, EV_NOFORK, 0, false, 0, 0, SLOT_BACKOFF,
	    SECOND_BACKOFF, "[nofork 0]", "spawning_nofork_backs_off", { 0 } },

	{ SLOT_STARTING, PLAIN, EV_READINESS, 0, false, 0, READY_YES,
	    SLOT_READY, NEVER, NEVER, "",
	    "starting_looked_ready_is_ready", { 0 } },
	{ SLOT_STARTING, PLAIN, EV_READINESS, 0, false, 0, READY_NO,
	    SLOT_STARTING, SAME, SAME, "",
	    "starting_looked_no_waits_on", { 0 } },
	{ SLOT_STARTING, PLAIN, EV_READINESS, 0, false, 0, READY_ASSUMED,
	    SLOT_READY, NEVER, NEVER, "",
	    "starting_looked_assumed_is_ready", { 0 } },
	{ SLOT_STARTING, PLAIN, EV_READINESS, 0, false, 0, READY_ELSEWHERE,
	    SLOT_STOPPING, 30 * USEC, 30 * USEC, "[elsewhere 0] TERM>>0",
	    "starting_looked_elsewhere_is_ended", { 0 } },
	{ SLOT_STARTING, PLAIN, EV_READINESS, 0, false, 0, READY_ELSEWHERE_YET,
	    SLOT_STARTING, SAME, SAME, "[elsewhere 0]",
	    "starting_looked_elsewhere_yet_is_told_and_waits_on", { 0 } },
	{ SLOT_STARTING, PLAIN, EV_READINESS, 0, false, 0, READY_UNKNOWN,
	    SLOT_STARTING, SAME, SAME, "",
	    "starting_looked_unknown_waits_on", { 0 } },
	EXIT(SLOT_STARTING, PLAIN, STATUS(1), false, SLOT_BACKOFF,
	    FIRST_BACKOFF, "[exit 0]", "starting_exit_1_backs_off"),
	EXIT(SLOT_STARTING, PLAIN, SIGSEGV, false, SLOT_BACKOFF,
	    FIRST_BACKOFF, "[exit 0]", "starting_crash_backs_off"),
	EXIT(SLOT_STARTING, PLAIN, STATUS(127), true, SLOT_BACKOFF,
	    FIRST_BACKOFF, "[exit 0]", "starting_exec_failed_backs_off"),
	/* It has lived for longer than the least pause. */
	EXIT(SLOT_STARTING, PLAIN, 0, false, SLOT_SPAWNING, NEVER, NEVER,
	    "spawn0", "starting_exit_0_not_moved"),
	{ SLOT_STARTING, PLAIN, EV_EXIT, 0, false, MOVED_YES, 0,
	    SLOT_SPAWNING, NEVER, NEVER, "spawn0",
	    "starting_exit_0_moved_is_recycling", { 0 } },
	{ SLOT_STARTING, PLAIN, EV_EXIT, 0, false, MOVED_UNKNOWN, 0,
	    SLOT_SPAWNING, NEVER, NEVER, "spawn0",
	    "starting_exit_0_queue_unknown", { 0 } },
	{ SLOT_STARTING, PLAIN, EV_TIMER, 0, false, 0, 0, SLOT_STARTING,
	    2 * POOL_READY_FIRST, POOL_READY_LAST, "look0",
	    "starting_timer_looks", { 0 } },
	END(SLOT_STARTING, PLAIN, SLOT_RETIRING, POOL_ACTIVITY_FIRST, "exam0",
	    "starting_end_retires"),

	EXIT(SLOT_READY, PLAIN, 0, false, SLOT_SPAWNING, NEVER, NEVER,
	    "spawn0", "ready_exit_0_is_recycling"),
	EXIT(SLOT_READY, PLAIN, STATUS(3), false, SLOT_SPAWNING, NEVER,
	    NEVER, "[exit 0] spawn0", "ready_exit_3_is_replaced_at_once"),
	EXIT(SLOT_READY, PLAIN, SIGSEGV, false, SLOT_SPAWNING, NEVER, NEVER,
	    "[exit 0] spawn0", "ready_crash_is_replaced_at_once"),
	NOTHING(SLOT_READY, PLAIN, EV_TIMER, "ready_timer"),
	END(SLOT_READY, PLAIN, SLOT_RETIRING, POOL_ACTIVITY_FIRST, "exam0",
	    "ready_end_retires"),

	NOTHING(SLOT_RETIRING, LEAVING, EV_END, "retiring_end"),
	EXAM(SLOT_RETIRING, SLOT_FREEZING, POOL_ACTIVITY_FIRST, "STOP>0",
	    "retiring_examined_idle_is_stopped", .holds = HOLDS_NOTHING),
	EXAM(SLOT_RETIRING, SLOT_FREEZING, POOL_ACTIVITY_FIRST, "STOP>0",
	    "retiring_examined_quiet_is_stopped", .holds = HOLDS_QUIET),
	EXAM(SLOT_RETIRING, SLOT_RETIRING, SAME, "",
	    "retiring_examined_busy_is_left", .holds = HOLDS_BUSY,
	    .catches = true),
	EXAM(SLOT_RETIRING, SLOT_RETIRING, SAME, "",
	    "retiring_examined_unknown_is_left", .holds = HOLDS_UNKNOWN),
	EXAM(SLOT_RETIRING, SLOT_RETIRING, SAME, "",
	    "retiring_examined_unknown_that_catches_is_left",
	    .holds = HOLDS_UNKNOWN, .catches = true),
	EXAM(SLOT_RETIRING, SLOT_STOPPING, POOL_HEED, "TERM>0",
	    "retiring_examined_unseen_that_catches_is_told",
	    .holds = HOLDS_UNKNOWN, .catches = true, .unseen = true),
	EXAM(SLOT_RETIRING, SLOT_FREEZING, POOL_ACTIVITY_FIRST, "STOP>0",
	    "retiring_examined_leader_is_stopped", .holds = HOLDS_NOTHING,
	    .is_master = true),
	EXAM(SLOT_RETIRING, SLOT_FREEZING, POOL_ACTIVITY_FIRST, "STOP>0",
	    "retiring_examined_tree_without_door_is_stopped",
	    .holds = HOLDS_NOTHING, .needs_door = true),
	EXIT(SLOT_RETIRING, LEAVING, 0, false, SLOT_EMPTY, NEVER, NEVER, "",
	    "retiring_exit_is_not_replaced"),
	EXIT(SLOT_RETIRING, LEAVING, SIGSEGV, false, SLOT_EMPTY, NEVER,
	    NEVER, "", "retiring_crash_is_not_replaced"),
	{ SLOT_RETIRING, LEAVING, EV_TIMER, 0, false, 0, 0, SLOT_RETIRING,
	    2 * POOL_ACTIVITY_FIRST, 2 * POOL_ACTIVITY_FIRST, "exam0",
	    "retiring_timer_looks_again", { 0 } },

	NOTHING(SLOT_FREEZING, LEAVING, EV_END, "freezing_end"),
	{ SLOT_FREEZING, LEAVING, EV_FROZEN, 0, false, 0, 0, SLOT_FREEZING,
	    SAME, SAME, "exam0", "freezing_halted_is_looked_at", { 0 } },
	EXAM(SLOT_FREEZING, SLOT_FREEZING, SAME, "",
	    "freezing_examined_running_waits_on", .holds = HOLDS_NOTHING),
	EXAM(SLOT_FREEZING, SLOT_FREEZING, SAME, "",
	    "freezing_examined_running_and_busy_waits_on",
	    .holds = HOLDS_BUSY),
	EXAM(SLOT_FREEZING, SLOT_STOPPING, POOL_HEED, "TERM>0 CONT>0",
	    "freezing_examined_idle_is_told", .frozen = true,
	    .holds = HOLDS_NOTHING),
	EXAM(SLOT_FREEZING, SLOT_STOPPING, POOL_HEED, "TERM>0 CONT>0",
	    "freezing_examined_quiet_is_told", .frozen = true,
	    .holds = HOLDS_QUIET),
	EXAM(SLOT_FREEZING, SLOT_RETIRING, 2 * POOL_ACTIVITY_FIRST, "CONT>0",
	    "freezing_examined_busy_is_continued", .frozen = true,
	    .holds = HOLDS_BUSY, .catches = true),
	EXAM(SLOT_FREEZING, SLOT_RETIRING, 2 * POOL_ACTIVITY_FIRST, "CONT>0",
	    "freezing_examined_unknown_is_continued", .frozen = true,
	    .holds = HOLDS_UNKNOWN, .catches = true),
	EXIT(SLOT_FREEZING, LEAVING, 0, false, SLOT_EMPTY, NEVER, NEVER, "",
	    "freezing_exit_is_not_replaced"),
	{ SLOT_FREEZING, LEAVING, EV_TIMER, 0, false, 0, 0, SLOT_FREEZING,
	    POOL_ACTIVITY_FIRST, POOL_ACTIVITY_FIRST, "exam0",
	    "freezing_timer_looks_again", { 0 } },

	NOTHING(SLOT_DOOR, LEAVING, EV_END, "door_end"),
	NOTHING(SLOT_DOOR, LEAVING, EV_SLOW_REQUEST, "door_slow_request"),
	NOTHING(SLOT_DOOR, LEAVING, EV_DOOR, "door_closing_waits_on"),
	EXAM(SLOT_DOOR, SLOT_DOOR, SAME, "", "door_busy_waits_on",
	    .holds = HOLDS_BUSY, .catches = true),
	EXAM(SLOT_DOOR, SLOT_DOOR, SAME, "tell0", "door_idle_is_told",
	    .holds = HOLDS_NOTHING),
	EXAM(SLOT_DOOR, SLOT_DOOR, POOL_FREEZE, "pause0",
	    "door_quiet_is_paused",
	    .holds = HOLDS_QUIET),
	EXAM(SLOT_DOOR, SLOT_DOOR, SAME, "", "door_unknown_waits_on",
	    .holds = HOLDS_UNKNOWN, .catches = true),
	EXIT(SLOT_DOOR, LEAVING, 0, false, SLOT_EMPTY, NEVER, NEVER, "",
	    "door_exit_is_not_replaced"),
	{ SLOT_DOOR, LEAVING, EV_TIMER, 0, false, 0, 0, SLOT_DOOR,
	    POOL_DOOR_FIRST, POOL_DOOR_LAST, "check0",
	    "door_timer_looks_again", { 0 } },

	EXIT(SLOT_STOPPING, LEAVING, 0, false, SLOT_EMPTY, NEVER, NEVER, "",
	    "stopping_exit_of_a_leaving_one_is_not_replaced"),
	EXIT(SLOT_STOPPING, LEAVING, SIGTERM, false, SLOT_EMPTY, NEVER,
	    NEVER, "", "stopping_by_signal_of_a_leaving_one"),
	EXIT(SLOT_STOPPING, SLOW, SIGTERM, false, SLOT_BACKOFF,
	    FIRST_BACKOFF, "[exit 0]",
	    "stopping_exit_of_a_slow_one_backs_off"),
	{ SLOT_STOPPING, SLOW, EV_TIMER, 0, false, 0, 0, SLOT_KILLED,
	    NEVER, NEVER, "held0 KILL>>0", "stopping_timer_kills_a_slow_one",
	    { 0 } },
	{ SLOT_STOPPING, LEAVING, EV_TIMER, 0, false, 0, 0, SLOT_RETIRING,
	    POOL_ACTIVITY_FIRST, POOL_ACTIVITY_FIRST, "exam0",
	    "stopping_timer_looks_what_it_does", { 0 } },
	NOTHING(SLOT_STOPPING, LEAVING, EV_HELD, "stopping_holds_nothing"),
	NOTHING(SLOT_STOPPING, LEAVING, EV_END, "stopping_end"),
	NOTHING(SLOT_STOPPING, SLOW, EV_END, "stopping_end_of_a_slow_one"),

	EXIT(SLOT_KILLED, LEAVING, SIGKILL, false, SLOT_EMPTY, NEVER, NEVER,
	    "", "killed_exit_of_a_leaving_one_is_not_replaced"),
	EXIT(SLOT_KILLED, SLOW, SIGKILL, false, SLOT_BACKOFF, FIRST_BACKOFF,
	    "[exit 0]", "killed_exit_of_a_slow_one_backs_off"),
	{ SLOT_KILLED, LEAVING, EV_HELD, 0, false, 0, 0, SLOT_KILLED, NEVER,
	    NEVER, "[kill 0]", "killed_holds_nothing", { 0 } },
	NOTHING(SLOT_KILLED, LEAVING, EV_END, "killed_end"),
	NOTHING(SLOT_KILLED, SLOW, EV_END, "killed_end_of_a_slow_one"),

	{ SLOT_BACKOFF, PLAIN, EV_TIMER, 0, false, 0, 0, SLOT_SPAWNING,
	    NEVER, NEVER, "spawn0", "backoff_timer_starts_it", { 0 } },
	{ SLOT_BACKOFF, PLAIN, EV_END, 0, false, 0, 0, SLOT_EMPTY, NEVER,
	    NEVER, "", "backoff_end_is_never_started", { 0 } },
};

static void
send(struct bed *b, unsigned int what, unsigned int slot)
{
	struct pool_event ev = { .slot = slot };

	ev.what = what;
	pool_event(b->p, &ev, b->now);
}

static void
examined(struct bed *b, unsigned int slot, struct activity x)
{
	pool_event(b->p, &(struct pool_event){ .what = EV_ACTIVITY,
	    .slot = slot, .activity = x }, b->now);
}

/* Moves the clock to the next deadline. */
static void
due(struct bed *b)
{
	if (b->now < pool_deadline(b->p))
		b->now = pool_deadline(b->p);
	pool_tick(b->p, b->now);
}

/*
 * A pool of two: slot 1 is ready, so that the start is over, slot 2 waits
 * for reloads, and slot 0 is in the state wanted.
 */
static struct bed *
reach(enum slot_state state, enum path path)
{
	struct pool_conf c = bed_conf(2);
	struct bed *b;

	c.door = state == SLOT_DOOR;
	b = bed_raw(&c);
	bed_act(b);
	bed_look(b, 1, READY_YES);
	bed_pass(b, POOL_START_GRACE + 500 * MSEC);
	if (path == SLOW) {
		bed_pass(b, b->conf.start_timeout);
	} else if (path == LEAVING) {
		bed_look(b, 0, READY_YES);
		send(b, EV_END, 0);
	}
	if (path == LEAVING && state != SLOT_RETIRING)
		examined(b, 0, (struct activity){ .holds = state ==
		    SLOT_DOOR ? HOLDS_BUSY : HOLDS_NOTHING });
	if (path == LEAVING && state > SLOT_DOOR)
		examined(b, 0, (struct activity){ .frozen = true,
		    .holds = HOLDS_NOTHING });
	if (state == SLOT_READY)
		bed_look(b, 0, READY_YES);
	else if (state == SLOT_BACKOFF || state == SLOT_SPAWNING)
		bed_exit(b, 0, 1);
	if (path == LEAVING && state == SLOT_KILLED)
		b->now += b->conf.stop_timeout;
	if (state == SLOT_SPAWNING || state == SLOT_KILLED)
		due(b);
	bed_take(b);
	b->show_looks = b->show_all = true;
	bed_did(b);
	return b;
}

static void
check_cell(void **arg)
{
	const struct cell *c = *arg;
	unsigned int slot = c->from == SLOT_EMPTY ? 2 : 0;
	struct bed *b = reach(c->from, c->path);
	struct pool_event ev = { .slot = slot, .status = c->status,
	    .exec_failed = c->exec_failed, .moved = c->moved,
	    .readiness = c->readiness, .activity = c->activity, .pid = 999,
	    .error = 11 };
	uint64_t before;

	assert_state(b, slot, c->from);
	before = pool_deadline(b->p);
	if (c->event == EV_TIMER && before != NEVER && slot == 0) {
		due(b);
	} else {
		ev.what = c->event;
		pool_event(b->p, &ev, b->now);
	}
	bed_take(b);
	assert_did(b, c->did);
	assert_state(b, slot, c->to);
	assert_state(b, 1, SLOT_READY);
	if (c->least == SAME) {
		assert_int_equal(pool_deadline(b->p), before);
	} else {
		assert_true(bed_next(b) >= c->least);
		assert_true(bed_next(b) <= c->most);
	}
	bed_free(b);
}

/* Between spawn and answer nobody can be told to go; it goes when it came. */
static void
spawning_end_goes_when_it_came(void **arg)
{
	struct bed *b = reach(SLOT_SPAWNING, PLAIN);

	(void)arg;
	send(b, EV_END, 0);
	send(b, EV_SPAWNED, 0);
	bed_take(b);
	assert_did(b, "TERM>>0");
	assert_state(b, 0, SLOT_STOPPING);
	bed_exit(b, 0, 0);
	assert_state(b, 0, SLOT_EMPTY);
	bed_free(b);
}

/* Its turn had not come: there is nothing to end. */
static void
spawning_end_is_empty_if_it_was_not_started(void **arg)
{
	struct bed *b = reach(SLOT_SPAWNING, PLAIN);

	(void)arg;
	assert_true(pool_wants_spawn(b->p, 0));
	send(b, EV_END, 0);
	assert_false(pool_wants_spawn(b->p, 0));
	assert_state(b, 0, SLOT_SPAWNING);
	send(b, EV_UNSPAWNED, 0);
	bed_take(b);
	assert_did(b, "");
	assert_state(b, 0, SLOT_EMPTY);
	bed_free(b);
}

/* Who is wanted is started, or tried. */
static void
spawning_unspawned_is_never_of_one_that_is_wanted(void **arg)
{
	struct bed *b = reach(SLOT_SPAWNING, PLAIN);

	(void)arg;
	send(b, EV_UNSPAWNED, 0);
	bed_take(b);
	assert_has(bed_did(b), "[never");
	assert_state(b, 0, SLOT_SPAWNING);
	bed_free_with_bugs(b);
}

/* Slot 0 or, if it is to be empty, slot 2 is in that state. */
static struct bed *
reach_any(enum slot_state state, unsigned int *slot)
{
	bool leaves = state >= SLOT_RETIRING && state <= SLOT_KILLED;

	*slot = state == SLOT_EMPTY ? 2 : 0;
	return reach(state, leaves ? LEAVING : PLAIN);
}

static void
check_no_effect(enum slot_state state, enum pool_event_kind event)
{
	unsigned int slot;
	struct bed *b = reach_any(state, &slot);
	struct pool_event ev = { .what = event, .slot = slot, .pid = 999,
	    .readiness = READY_YES, .activity.frozen = true,
	    .activity.holds = HOLDS_NOTHING };
	bool ignored = table_ignores(state, event);
	uint64_t before = pool_deadline(b->p);

	pool_event(b->p, &ev, b->now);
	bed_take(b);
	assert_int_equal(pool_counts(b->p)->nevers, !ignored);
	if (!ignored) {
		assert_has(bed_did(b), "[never");
		assert_int_equal(b->notice.slot, slot);
		assert_int_equal(b->notice.state, state);
		assert_int_equal(b->notice.event, event);
		pool_event(b->p, &ev, b->now);	/* it is said only once */
		bed_take(b);
		assert_int_equal(pool_counts(b->p)->nevers, 2);
	}
	assert_did(b, "");
	assert_state(b, slot, state);
	assert_int_equal(pool_deadline(b->p), before);
	bed_free_with_bugs(b);
}

static void
what_is_ignored_or_cannot_be_has_no_effect(void **arg)
{
	unsigned int s, e;

	(void)arg;
	for (s = 0; s < SLOT_NSTATES; s++) {
		for (e = 0; e < EV_NSLOT; e++) {
			if (!table_acts((enum slot_state)s,
			    (enum pool_event_kind)e))
				check_no_effect((enum slot_state)s,
				    (enum pool_event_kind)e);
		}
	}
}

static void
an_event_of_no_slot_cannot_be(void **arg)
{
	struct bed *b = bed_ready(1);

	(void)arg;
	bed_event(b, (struct pool_event){ .what = EV_EXIT,
	    .slot = pool_slots(b->p) });
	assert_int_equal(b->notice.what, NOTICE_NEVER);
	assert_int_equal(b->notice.slot, pool_slots(b->p));
	bed_event(b, (struct pool_event){ .what = EV_NSLOT });
	assert_int_equal(pool_counts(b->p)->nevers, 2);
	assert_state(b, 0, SLOT_READY);
	bed_free_with_bugs(b);
}

/* Nobody takes the actions: the pool lives on, and says so once. */
static void
an_action_that_finds_no_room_is_counted(void **arg)
{
	struct bed *b = reach(SLOT_FREEZING, LEAVING);
	const char *did;
	unsigned int i;

	(void)arg;
	for (i = 0; i < 1000; i++)
		send(b, EV_FROZEN, 0);
	assert_true(pool_counts(b->p)->overflows > 0);
	bed_take(b);
	did = bed_did(b);
	assert_has(did, "[overflow]");
	assert_has_not(strstr(did, "[overflow]") + 1, "[overflow]");
	bed_free_with_bugs(b);
}

/* A cell without a handler is none that is ignored: it is not listed. */
static void
every_cell_is_tested(void **arg)
{
	bool seen[SLOT_NSTATES][EV_NSLOT] = { { false } };
	size_t i, s, e;

	(void)arg;
	seen[SLOT_SPAWNING][EV_END] = true;
	seen[SLOT_SPAWNING][EV_UNSPAWNED] = true;
	for (i = 0; i < NITEMS(cells); i++)
		seen[cells[i].from][cells[i].event] = true;
	for (s = 0; s < SLOT_NSTATES; s++) {
		for (e = 0; e < EV_NSLOT; e++) {
			if (seen[s][e] != table_acts((enum slot_state)s,
			    (enum pool_event_kind)e))
				fail_msg("state %zu, event %zu: no test, or "
				    "no handler", s, e);
		}
	}
}

int
main(void)
{
	struct CMUnitTest tests[NITEMS(cells) + 7] = {
		cmocka_unit_test(every_cell_is_tested),
		cmocka_unit_test(what_is_ignored_or_cannot_be_has_no_effect),
		cmocka_unit_test(an_event_of_no_slot_cannot_be),
		cmocka_unit_test(an_action_that_finds_no_room_is_counted),
		cmocka_unit_test(spawning_end_goes_when_it_came),
		cmocka_unit_test(spawning_end_is_empty_if_it_was_not_started),
		cmocka_unit_test(
		    spawning_unspawned_is_never_of_one_that_is_wanted),
	};
	size_t i;

	for (i = 0; i < NITEMS(cells); i++)
		tests[i + 7] = (struct CMUnitTest){ .name = cells[i].name,
		    .test_func = check_cell, .initial_state = &cells[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
