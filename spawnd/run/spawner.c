/* SPDX-License-Identifier: ISC */
/*
 * Who is started when: one after the other, since only one child at a time may
 * run in our memory. Most leave it for their program while we make them; for
 * one that does not those that come next wait, while other events have their
 * turn.
 *
 * Others can keep a child from its exec: a process of its user that stops it,
 * or holds a lease on the program's file; a file system that does not answer.
 * It is killed then, after a while or once it is to go. One that sleeps in the
 * kernel even so makes no step in our memory any more, and is not waited for.
 */
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "run/supervise.h"

#define LEAVE_KILLED	USEC		/* then it makes no step any more */
#define LOOK_FIRST	UINT64_C(1000)	/* usec, to the next: has it left? */
#define LOOK_LAST	UINT64_C(50000)

static unsigned int *waiting;		/* slots, a ring */
static unsigned int nslots, first, nwaiting;
static void (*on_turn)(void);
static int sharing = -1;		/* whose child is in our memory */
static bool killed;			/* that has been */
static uint64_t late_at;		/* then it is, or is given up */
static uint64_t look_pause;

int
spawner_init(unsigned int n, void (*handler)(void), struct err *e)
{
	if ((waiting = calloc(n, sizeof(*waiting))) == NULL)
		return err_set(e, EX_OSERR, "workers: out of memory");
	nslots = n;
	on_turn = handler;
	return 0;
}

void
spawner_add(unsigned int slot)
{
	waiting[(first + nwaiting++) % nslots] = slot;
}

bool
spawner_first(unsigned int *slot)
{
	if (nwaiting == 0)
		return false;
	*slot = waiting[first];
	return true;
}

void
spawner_remove(void)
{
	first = (first + 1) % nslots;
	nwaiting--;
}

bool
spawner_is_free(void)
{
	if (sharing == -1)
		return true;
	if (!spawn_has_left())
		return false;
	sharing = -1;
	loop_timer(TIMER_SPAWNER, NEVER, NULL);
	return true;
}

bool
spawner_shares(unsigned int slot)
{
	return !spawner_is_free() && sharing == (int)slot;
}

/* late: it took too long; else it is no longer wanted. */
static void
kill_it(bool late, uint64_t now)
{
	killed = true;
	if (late)
		worker_expire((unsigned int)sharing);
	else
		worker_cancel((unsigned int)sharing);
	late_at = now + LEAVE_KILLED;
}

static void
end_late(uint64_t now)
{
	if (killed && spawn_give_up())
		sharing = -1;
	else
		kill_it(true, now);
}

static void
on_time(void)
{
	uint64_t now = loop_now();

	if (!spawner_is_free() && now >= late_at)
		end_late(now);
	if (nwaiting > 0)
		on_turn();	/* it comes again if some still wait */
	if (nwaiting == 0 && sharing != -1)
		loop_timer(TIMER_SPAWNER, late_at, on_time);
}

void
spawner_made(unsigned int slot)
{
	if (spawn_has_left())
		return;
	sharing = (int)slot;
	killed = false;
	look_pause = LOOK_FIRST;
	late_at = loop_now() + EXEC_TIME * USEC;
	loop_timer(TIMER_SPAWNER, late_at, on_time);
}

/*
 * The exec may be done in this very moment. Then the program is stopped before
 * its first instruction, so that it cannot have accepted a connection.
 */
void
spawner_end(unsigned int slot)
{
	if (!spawner_shares(slot) || killed)
		return;
	worker_signal(slot, SIGSTOP, false);
	if (spawn_has_left()) {
		worker_signal(slot, SIGCONT, false);
		return;
	}
	kill_it(false, loop_now());
	look_pause = LOOK_FIRST;
	spawner_again();
}

void
spawner_again(void)
{
	uint64_t when = loop_now();

	if (sharing != -1) {
		when = min64(when + look_pause, late_at);
		look_pause = min64(look_pause * 2, LOOK_LAST);
	}
	loop_timer(TIMER_SPAWNER, when, on_time);
}
