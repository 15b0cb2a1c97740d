/* SPDX-License-Identifier: ISC */
/* The event loop, with whatever it waits by on this system. */
#include <sys/resource.h>
#include <sys/socket.h>

#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "unit.h"

#define FEW		20000		/* usec, for what comes at once */
#define LONG		(20 * USEC)
#define MANY		1000		/* turns */
#define TRIES		20		/* as the machine may be busy */

/* A pipe with something to be read, and its watch. */
struct source {
	int		 fds[2];
	struct loop_watch *watch;
	struct source	*other;		/* what it has an effect on */
	unsigned int	 calls;
};

static unsigned int signals, fired[NTIMERS];
static uint64_t fired_at;
static enum loop_timer order[NTIMERS];
static unsigned int nfired;

static int
set_up(void **arg)
{
	struct err e;

	(void)arg;
	return loop_init(&e);
}

static void
end_late(void)
{
	fail_msg("the loop has not ended");
}

/* Turns until a handler ends it. */
static void
turn(void)
{
	loop_timer(TIMER_LAST, loop_now() + LONG, end_late);
	assert_int_equal(loop_run(), 0);
	loop_timer(TIMER_LAST, NEVER, end_late);
}

/* Turns until what is ready has had its turn. */
static void
turn_a_while(void)
{
	loop_timer(TIMER_TAKEOVER, loop_now() + FEW, loop_end);
	turn();
}

static void
source_open(struct source *s, struct source *other)
{
	*s = (struct source){ .other = other };
	assert_int_equal(pipe(s->fds), 0);
	assert_int_equal(write(s->fds[1], "x", 1), 1);
}

static void
source_close(struct source *s)
{
	if (s->watch != NULL)
		loop_unwatch(s->watch);
	close(s->fds[0]);
	if (s->fds[1] != -1)
		close(s->fds[1]);
}

static void
count(void *arg)
{
	struct source *s = arg;

	s->calls++;
}

static void
count_and_pause(void *arg)
{
	struct source *s = arg;

	s->calls++;
	loop_pause(s->watch);
}

/* Whoever is first ends the other's watch. */
static void
end_the_other(void *arg)
{
	struct source *s = arg;

	count_and_pause(s);
	if (s->other->watch != NULL)
		loop_unwatch(s->other->watch);
	s->other->watch = NULL;
}

static void
pause_the_other(void *arg)
{
	struct source *s = arg;

	count_and_pause(s);
	loop_pause(s->other->watch);
}

static void
two_are_ready(void (*handler)(void *))
{
	struct source a, b;

	source_open(&a, &b);
	source_open(&b, &a);
	a.watch = loop_watch(a.fds[0], handler, &a);
	b.watch = loop_watch(b.fds[0], handler, &b);
	turn_a_while();
	assert_int_equal(a.calls + b.calls, 1);
	source_close(&a);
	source_close(&b);
}

static void
who_was_ended_by_another_is_not_called(void **arg)
{
	(void)arg;
	two_are_ready(end_the_other);
}

static void
who_was_paused_by_another_is_not_called(void **arg)
{
	(void)arg;
	two_are_ready(pause_the_other);
}

/* Its place is another's before those that were ready have had their turn. */
static void
replace_the_other(void *arg)
{
	struct source *s = arg, *new = s->other->other;

	count_and_pause(s);
	loop_unwatch(s->other->watch);
	s->other->watch = NULL;
	close(s->other->fds[0]);
	assert_int_equal(pipe(new->fds), 0);
	new->watch = loop_watch(new->fds[0], count, new);
}

static void
who_has_the_place_of_another_is_not_called_for_it(void **arg)
{
	struct source a, b, new = { .calls = 0 };

	(void)arg;
	source_open(&b, &new);
	source_open(&a, &b);
	a.watch = loop_watch(a.fds[0], replace_the_other, &a);
	b.watch = loop_watch_once(b.fds[0], count, &b);
	loop_resume(b.watch);
	turn_a_while();
	assert_int_equal(a.calls, 1);
	assert_int_equal(new.calls, 0);
	source_close(&a);
	source_close(&new);
	close(b.fds[1]);
}

static void
end_at_many(void *arg)
{
	struct source *s = arg;

	if (++s->calls == MANY)
		loop_end();
}

static void
what_is_not_read_is_ready_again(void **arg)
{
	struct source s;

	(void)arg;
	source_open(&s, NULL);
	s.watch = loop_watch(s.fds[0], end_at_many, &s);
	turn();
	assert_int_equal(s.calls, MANY);
	source_close(&s);
}

static void
once_is_once_until_it_is_resumed(void **arg)
{
	struct source s;

	(void)arg;
	source_open(&s, NULL);
	s.watch = loop_watch_once(s.fds[0], count, &s);
	turn_a_while();
	assert_int_equal(s.calls, 0);
	loop_resume(s.watch);
	loop_resume(s.watch);
	turn_a_while();
	assert_int_equal(s.calls, 1);
	loop_resume(s.watch);
	turn_a_while();
	assert_int_equal(s.calls, 2);
	source_close(&s);
}

static void
resume_itself(void *arg)
{
	struct source *s = arg;

	loop_resume(s->watch);
	end_at_many(s);
}

static void
once_may_resume_itself(void **arg)
{
	struct source s;

	(void)arg;
	source_open(&s, NULL);
	s.watch = loop_watch_once(s.fds[0], resume_itself, &s);
	loop_resume(s.watch);
	turn();
	assert_int_equal(s.calls, MANY);
	source_close(&s);
}

static void
end_itself(void *arg)
{
	struct source *s = arg;

	s->calls++;
	loop_unwatch(s->watch);
	s->watch = NULL;
}

static void
who_ends_itself_is_not_called_again(void **arg)
{
	struct source s;

	(void)arg;
	source_open(&s, NULL);
	s.watch = loop_watch(s.fds[0], end_itself, &s);
	turn_a_while();
	assert_int_equal(s.calls, 1);
	source_close(&s);
}

/* Of one descriptor: the other is resumed, in turn. */
static void
change_sides(void *arg)
{
	struct source *s = arg;

	loop_pause(s->watch);
	loop_resume(s->other->watch);
	end_at_many(s);
}

static void
reader_and_writer_of_one_descriptor_take_turns(void **arg)
{
	struct source in, out;

	(void)arg;
	source_open(&in, &out);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out.fds), 0);
	assert_int_equal(write(out.fds[1], "x", 1), 1);
	out.other = &in;
	out.calls = 0;
	in.watch = loop_watch(out.fds[0], change_sides, &in);
	out.watch = loop_watch_write(out.fds[0], change_sides, &out);
	turn();
	assert_int_equal(in.calls, MANY);
	assert_int_equal(out.calls, MANY - 1);
	loop_unwatch(out.watch);
	out.watch = NULL;
	source_close(&in);
	source_close(&out);
}

static void
the_end_of_the_other_side_wakes_a_reader(void **arg)
{
	struct source s;
	char c;

	(void)arg;
	source_open(&s, NULL);
	assert_int_equal(read(s.fds[0], &c, 1), 1);
	s.watch = loop_watch(s.fds[0], count_and_pause, &s);
	turn_a_while();
	assert_int_equal(s.calls, 0);
	close(s.fds[1]);
	s.fds[1] = -1;
	turn_a_while();
	assert_int_equal(s.calls, 1);
	source_close(&s);
}

/* Of a pipe that is full. */
static void
the_end_of_the_other_side_wakes_a_writer(void **arg)
{
	static const char full[65536];
	struct source s;
	int reader;

	(void)arg;
	source_open(&s, NULL);
	assert_int_equal(write(s.fds[1], full, sizeof(full) - 1),
	    sizeof(full) - 1);
	s.watch = loop_watch_write(s.fds[1], count_and_pause, &s);
	loop_resume(s.watch);
	turn_a_while();
	assert_int_equal(s.calls, 0);
	reader = s.fds[0];
	close(reader);
	turn_a_while();
	assert_int_equal(s.calls, 1);
	loop_unwatch(s.watch);
	close(s.fds[1]);
}

static void
on_user_signal(int signo)
{
	assert_int_equal(signo, SIGUSR1);
	signals++;
}

static void
a_signal_is_handled_by_the_loop(void **arg)
{
	struct err e;

	(void)arg;
	signals = 0;
	assert_int_equal(loop_signal(SIGUSR1, on_user_signal, &e), 0);
	raise(SIGUSR1);
	assert_int_equal(signals, 0);
	turn_a_while();
	assert_int_equal(signals, 1);
}

static struct source late;	/* ready when the signal is handled first */
static unsigned int signals_before;

static void
on_signal_again(int signo)
{
	if (++signals == 1)
		assert_int_equal(write(late.fds[1], "x", 1), 1);
	if (signals < MANY)
		loop_again(signo);
	else
		loop_end();
}

static void
note_signals(void *arg)
{
	count_and_pause(arg);
	signals_before = signals;
}

static void
a_signal_that_is_not_done_lets_others_have_their_turn(void **arg)
{
	struct err e;
	char c;

	(void)arg;
	signals = 0;
	source_open(&late, NULL);
	assert_int_equal(read(late.fds[0], &c, 1), 1);
	late.watch = loop_watch(late.fds[0], note_signals, &late);
	assert_int_equal(loop_signal(SIGUSR2, on_signal_again, &e), 0);
	raise(SIGUSR2);
	turn();
	assert_int_equal(signals, MANY);
	assert_int_equal(late.calls, 1);
	assert_true(signals_before < MANY);
	source_close(&late);
}

static void
flood(void *arg)
{
	struct source *s = arg;

	if (s->other->calls > 0 && signals > 0 && fired[TIMER_POOL] > 0)
		loop_end();
	if (++s->calls > MANY)
		fail_msg("the others have not had their turn");
}

static void
note_timer(enum loop_timer t)
{
	fired[t]++;
	fired_at = loop_now();
	order[nfired++ % NTIMERS] = t;
}

static void
on_pool(void)
{
	note_timer(TIMER_POOL);
}

static void
on_log(void)
{
	note_timer(TIMER_LOG);
}

static void
a_flood_keeps_nobody_waiting(void **arg)
{
	struct source s, other;
	struct err e;

	(void)arg;
	signals = fired[TIMER_POOL] = 0;
	source_open(&s, &other);
	source_open(&other, &s);
	s.watch = loop_watch(s.fds[0], flood, &s);
	other.watch = loop_watch(other.fds[0], count_and_pause, &other);
	assert_int_equal(loop_signal(SIGUSR1, on_user_signal, &e), 0);
	raise(SIGUSR1);
	loop_timer(TIMER_POOL, loop_now(), on_pool);
	turn();
	source_close(&s);
	source_close(&other);
}

/* Late by how much at best, in usec: nothing is ever early. */
static uint64_t
lateness(uint64_t pause)
{
	uint64_t best = NEVER, when;
	int i;

	for (i = 0; i < TRIES; i++) {
		when = loop_now() + pause;
		loop_timer(TIMER_POOL, when, on_pool);
		loop_timer(TIMER_TAKEOVER, when, loop_end);
		turn();
		assert_true(fired_at >= when);
		best = min64(best, fired_at - when);
	}
	return best;
}

/* A time in milliseconds, rounded, would be late by that. */
static void
a_timer_is_exact(void **arg)
{
	(void)arg;
	assert_between(lateness(1100), 0, 800);
	assert_between(lateness(100), 0, 800);
	assert_between(lateness(0), 0, 800);
}

static void
a_timer_has_the_time_that_was_set_last(void **arg)
{
	uint64_t now = loop_now();

	(void)arg;
	fired[TIMER_POOL] = fired[TIMER_LOG] = nfired = 0;
	loop_timer(TIMER_LOG, now + FEW / 4, on_log);
	loop_timer(TIMER_POOL, now + FEW / 2, on_pool);
	loop_timer(TIMER_LOG, now + 3 * FEW / 4, on_log);
	turn_a_while();
	assert_int_equal(fired[TIMER_POOL], 1);
	assert_int_equal(fired[TIMER_LOG], 1);
	assert_int_equal(order[0], TIMER_POOL);
	loop_timer(TIMER_POOL, loop_now() + FEW / 2, on_pool);
	loop_timer(TIMER_POOL, NEVER, on_pool);
	turn_a_while();
	assert_int_equal(fired[TIMER_POOL], 1);
}

static void
on_pool_again(void)
{
	note_timer(TIMER_POOL);
	if (fired[TIMER_POOL] < MANY)
		loop_timer(TIMER_POOL, 0, on_pool_again);
	else
		loop_end();
}

static void
a_timer_may_be_set_to_what_is_past(void **arg)
{
	(void)arg;
	fired[TIMER_POOL] = fired[TIMER_LOG] = 0;
	loop_timer(TIMER_POOL, 0, on_pool_again);
	loop_timer(TIMER_LOG, loop_now(), on_log);
	turn();
	assert_int_equal(fired[TIMER_POOL], MANY);
	assert_int_equal(fired[TIMER_LOG], 1);
}

static long
count_waits(void)
{
	struct rusage r;

	assert_int_equal(getrusage(RUSAGE_SELF, &r), 0);
	return r.ru_nvcsw;
}

static void
nothing_else_wakes_it(void **arg)
{
	long before, best = LONG_MAX;
	int i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		before = count_waits();
		turn_a_while();
		if (count_waits() - before < best)
			best = count_waits() - before;
	}
	assert_int_equal(best, 1);
}

static void
an_end_before_it_runs_ends_it(void **arg)
{
	struct source s;

	(void)arg;
	source_open(&s, NULL);
	s.watch = loop_watch(s.fds[0], count, &s);
	loop_end();
	turn();
	assert_int_equal(s.calls, 0);
	source_close(&s);
}

static void
end_and_count(void *arg)
{
	count(arg);
	loop_timer(TIMER_POOL, 0, on_pool);
	loop_end();
}

static void
no_handler_is_called_after_the_end(void **arg)
{
	struct source a, b;

	(void)arg;
	fired[TIMER_POOL] = 0;
	source_open(&a, &b);
	source_open(&b, &a);
	a.watch = loop_watch(a.fds[0], end_and_count, &a);
	b.watch = loop_watch(b.fds[0], end_and_count, &b);
	turn();
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(fired[TIMER_POOL], 0);
	loop_timer(TIMER_POOL, NEVER, on_pool);
	source_close(&a);
	source_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_ended_by_another_is_not_called),
		cmocka_unit_test(who_was_paused_by_another_is_not_called),
		cmocka_unit_test(
		    who_has_the_place_of_another_is_not_called_for_it),
		cmocka_unit_test(what_is_not_read_is_ready_again),
		cmocka_unit_test(once_is_once_until_it_is_resumed),
		cmocka_unit_test(once_may_resume_itself),
		cmocka_unit_test(who_ends_itself_is_not_called_again),
		cmocka_unit_test(
		    reader_and_writer_of_one_descriptor_take_turns),
		cmocka_unit_test(the_end_of_the_other_side_wakes_a_reader),
		cmocka_unit_test(the_end_of_the_other_side_wakes_a_writer),
		cmocka_unit_test(a_signal_is_handled_by_the_loop),
		cmocka_unit_test(
		    a_signal_that_is_not_done_lets_others_have_their_turn),
		cmocka_unit_test(a_flood_keeps_nobody_waiting),
		cmocka_unit_test(a_timer_is_exact),
		cmocka_unit_test(a_timer_has_the_time_that_was_set_last),
		cmocka_unit_test(a_timer_may_be_set_to_what_is_past),
		cmocka_unit_test(nothing_else_wakes_it),
		cmocka_unit_test(an_end_before_it_runs_ends_it),
		cmocka_unit_test(no_handler_is_called_after_the_end),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
