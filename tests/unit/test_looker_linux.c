/* SPDX-License-Identifier: ISC */
/* When a new looker may be made, and what one that does not answer costs. */
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/looker.h"
#include "observe/observe.h"
#include "unit.h"

#define DEADLINE	(60 * USEC)

static void
first_one_is_made_at_once(void **arg)
{
	(void)arg;
	assert_true(looker_wait(0, 0, 1) == 0);
	assert_true(looker_wait(0, 0, 1000 * USEC) == 0);
}

static void
next_one_is_made_a_minute_after_the_last(void **arg)
{
	uint64_t made = 100 * USEC;

	(void)arg;
	assert_true(looker_wait(1, made, made) == LOOKER_PAUSE);
	assert_true(looker_wait(1, made, made + LOOKER_PAUSE - 1) == 1);
	assert_true(looker_wait(1, made, made + LOOKER_PAUSE) == 0);
	/* Also if the last one was not lost, but ended for want of use. */
	assert_true(looker_wait(0, made, made + 1) == LOOKER_PAUSE - 1);
	assert_true(LOOKER_IDLE >= LOOKER_PAUSE);
}

/* As one is lost after the other, each as soon as it is made. */
static void
three_are_made_and_then_no_more(void **arg)
{
	uint64_t now, made = 0, first = 0;
	unsigned int lost = 0;

	(void)arg;
	for (now = USEC; now < 100000 * USEC; now += USEC) {
		if (looker_wait(lost, made, now) != 0)
			continue;
		if (lost++ == 0)
			first = now;
		made = now;
	}
	assert_int_equal(lost, 3);
	assert_true(made == first + 2 * LOOKER_PAUSE);
	assert_true(looker_wait(lost, made, now) == NEVER);
}

/* On a loaded machine one answer after another may come too late. */
static void
ask_until_answered(const struct looker_question *q, uint64_t *value)
{
	uint64_t began = loop_now();

	while (!looker_ask(q, value)) {
		assert_true(loop_now() - began < DEADLINE);
		usleep(1000);
	}
}

/* The shortest of several: a wait would be in each. */
static uint64_t
shortest_vain_question(const struct looker_question *q)
{
	uint64_t value, before, shortest = NEVER;
	int i;

	for (i = 0; i < 20; i++) {
		before = looker_spent();
		assert_false(looker_ask(q, &value));
		if (looker_spent() - before < shortest)
			shortest = looker_spent() - before;
	}
	return shortest;
}

/* A process that is stopped owes its answer for ever. */
static void
one_that_does_not_answer_is_not_waited_for(void **arg)
{
	struct looker_question q = { .what = LOOKER_PSS, .pid = getpid() };
	uint64_t value = 0, began;
	pid_t list[1] = { 0 };
	siginfo_t info;

	(void)arg;
	ask_until_answered(&q, &value);
	assert_true(value > 0);
	/* It is our only child, and nobody's business. */
	assert_int_equal(observe_children(list, 1), 0);
	assert_int_equal(proc_children(getpid(), list, 1), 1);
	assert_true(looker_is(list[0]));
	kill(list[0], SIGSTOP);
	assert_int_equal(waitid(P_PID, (id_t)list[0], &info, WSTOPPED), 0);
	began = loop_now();
	value = 1;
	assert_false(looker_ask(&q, &value));
	assert_true(loop_now() - began >= LOOKER_TIME);
	assert_true(looker_spent() >= LOOKER_TIME);
	assert_true(value == 1);
	/* It may answer later, and until then nobody waits for it again. */
	assert_true(shortest_vain_question(&q) < LOOKER_TIME);
	kill(list[0], SIGCONT);
	ask_until_answered(&q, &value);
	assert_true(value > 1);
}

/* The number of one that has ended may be another's next. */
static void
one_that_has_ended_is_forgotten(void **arg)
{
	struct looker_question q = { .what = LOOKER_PSS, .pid = getpid() };
	uint64_t value = 1;
	pid_t pid = 0;

	(void)arg;
	assert_int_equal(proc_children(getpid(), &pid, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(looker_is(pid));
	observe_reaped(pid);
	assert_false(looker_is(pid));
	/* No other is made now. */
	assert_false(looker_ask(&q, &value));
	assert_true(value == 1);
	assert_int_equal(proc_children(getpid(), &pid, 1), 0);
}

static int
set_up(void **arg)
{
	bool detached;

	(void)arg;
	return proc_open(&detached);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_one_is_made_at_once),
		cmocka_unit_test(next_one_is_made_a_minute_after_the_last),
		cmocka_unit_test(three_are_made_and_then_no_more),
		cmocka_unit_test(one_that_does_not_answer_is_not_waited_for),
		cmocka_unit_test(one_that_has_ended_is_forgotten),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
