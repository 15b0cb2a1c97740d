/* SPDX-License-Identifier: ISC */
/* A listen socket that was shut down while another pool had it, too. */
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "config/config.h"
#include "observe/observe.h"
#include "privilege/privilege.h"
#include "run/run.h"
#include "run/supervise.h"
#include "unit.h"

/* NOLINTBEGIN(*reserved-identifier,cert-dcl*): the linker's names */
bool __wrap_actor_stops(void);
int __wrap_observe_shutdown(void);
pid_t __wrap_neighbour_before(void);
bool __wrap_daemonize_starting(void);
void __wrap_lifecycle_restart(const char *);

static int shut[2];		/* what is watched can be read: it was shut */
static bool takes_over;
static unsigned int restarts;

bool
__wrap_actor_stops(void)
{
	return false;
}

int
__wrap_observe_shutdown(void)
{
	return shut[0];
}

pid_t
__wrap_neighbour_before(void)
{
	return takes_over ? 1 : 0;
}

bool
__wrap_daemonize_starting(void)
{
	return takes_over;
}

void
__wrap_lifecycle_restart(const char *why)
{
	(void)why;
	restarts++;
}
/* NOLINTEND(*reserved-identifier,cert-dcl*) */

/* Lets the loop turn for a while. */
static void
turn(void)
{
	loop_timer(TIMER_TAKEOVER, loop_now() + 20000, loop_end);
	assert_int_equal(loop_run(), 0);
}

static void
it_is_met_when_the_take_over_is_done(void **arg)
{
	static const struct conf c;
	struct err e;

	(void)arg;
	assert_int_equal(pipe(shut), 0);
	assert_int_equal(loop_init(&e), 0);
	assert_int_equal(signals_init(&c, &e), 0);
	takes_over = true;
	assert_int_equal(write(shut[1], "x", 1), 1);
	turn();
	assert_int_equal(restarts, 0);
	takes_over = false;
	signals_watch_again();
	turn();
	assert_int_equal(restarts, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_met_when_the_take_over_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
