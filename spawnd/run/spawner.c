/* SPDX-License-Identifier: ISC */
/*
 * Who is started when. A child runs in our memory until its exec, at a place
 * that is its own; there are few, and only one in a small pool. Most leave for
 * their program while we wait for them, or make the next. Where all places are
 * taken those that come next wait, while other events have their turn.
 *
 * Others can keep a child from its exec: a process of its user that stops it,
 * or holds a lease on the program's file; a file system that does not answer.
 * It is killed then, after a while or once it is to go. One that sleeps in the
 * kernel even so makes no step in our memory any more, and is not waited for.
 */
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "run/supervise.h"

#define LEAVE_KILLED	USEC		/* then it makes no step any more */
#define LOOK_FIRST	UINT64_C(1000)	/* usec, to the next: has it left? */
#define LOOK_LAST	UINT64_C(50000)
#define NOBODYS		(-1)		/* a place that is free */
#define FORMER		(-2)		/* or that of one given up by others */

/* Where a child may be in our memory. */
struct place {
	int		 slot;		/* whose child is; or as above */
	int		 output;	/* its end of a pipe, which is ours
					   as long as it is there; or -1 */
	bool		 killed;	/* that has been */
	bool		 slow;		/* was waited for in vain */
	uint64_t	 late_at;	/* then it is, or is given up */
};

static unsigned int *waiting;		/* slots, a ring */
static unsigned int nslots, first, nwaiting;
static void (*on_turn)(void);
static struct place *places;
static unsigned int nplaces, ntaken;
static uint64_t look_pause;

int
spawner_init(unsigned int n, void (*handler)(void), struct err *e)
{
	unsigned int i;

	nplaces = spawn_places();
	waiting = calloc(n, sizeof(*waiting));
	places = calloc(nplaces, sizeof(*places));
	if (waiting == NULL || places == NULL)
		return err_set(e, EX_OSERR, "workers: out of memory");
	for (i = 0; i < nplaces; i++)
		places[i].slot = NOBODYS;
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

static void
empty_place(struct place *p)
{
	p->slot = NOBODYS;
	if (p->output != -1)
		close(p->output);
	look_pause = LOOK_FIRST;
	if (--ntaken == 0 && nwaiting == 0)
		loop_timer(TIMER_SPAWNER, NEVER, NULL);
}

void
spawner_look(void)
{
	unsigned int i;

	for (i = 0; i < nplaces && ntaken > 0; i++) {
		if (places[i].slot != NOBODYS && spawn_has_left(i))
			empty_place(&places[i]);
	}
}

/* The place of a slot's child, or NULL: it is in none. */
static struct place *
place_of(unsigned int slot)
{
	unsigned int i;

	for (i = 0; i < nplaces && ntaken > 0; i++) {
		if (places[i].slot != (int)slot)
			continue;
		if (!spawn_has_left(i))
			return &places[i];
		empty_place(&places[i]);
		break;
	}
	return NULL;
}

/* The place whose time is over first; one is taken. */
static struct place *
find_oldest(void)
{
	struct place *oldest = NULL;
	unsigned int i;

	for (i = 0; i < nplaces; i++) {
		if (places[i].slot != NOBODYS && (oldest == NULL ||
		    places[i].late_at < oldest->late_at))
			oldest = &places[i];
	}
	return oldest;
}

bool
spawner_is_free(void)
{
	spawner_look();
	return ntaken < nplaces;
}

unsigned int
spawner_place(void)
{
	unsigned int i = 0;

	while (i + 1 < nplaces && places[i].slot != NOBODYS)
		i++;
	return i;
}

bool
spawner_shares(unsigned int slot)
{
	return place_of(slot) != NULL;
}

/* late: it took too long; else it is no longer wanted. */
static void
kill_it(struct place *p, bool late, uint64_t now)
{
	p->killed = true;
	if (late && p->slot != FORMER)
		worker_expire((unsigned int)p->slot);
	else if (!late)
		worker_cancel((unsigned int)p->slot);
	p->late_at = now + LEAVE_KILLED;
}

static void
end_late(struct place *p, uint64_t now)
{
	if (p->killed && spawn_give_up((unsigned int)(p - places)))
		empty_place(p);
	else
		kill_it(p, true, now);
}

static void
on_time(void)
{
	uint64_t now = loop_now();
	unsigned int i;

	spawner_look();
	for (i = 0; i < nplaces && ntaken > 0; i++) {
		if (places[i].slot != NOBODYS && now >= places[i].late_at)
			end_late(&places[i], now);
	}
	if (nwaiting > 0)
		on_turn();	/* it comes again if some still wait */
	if (nwaiting == 0 && ntaken > 0)
		loop_timer(TIMER_SPAWNER, find_oldest()->late_at, on_time);
}

/* A tracer can keep the slot's last child where it is, which counts as gone. */
static void
disown(unsigned int slot)
{
	unsigned int i;

	for (i = 0; i < nplaces && ntaken > 0; i++) {
		if (places[i].slot == (int)slot) {
			places[i].slot = FORMER;
			places[i].killed = true;
		}
	}
}

/* Waits for whoever is likely to leave first. */
static void
await_one(void)
{
	struct place *p = NULL;
	unsigned int i;

	for (i = 0; i < nplaces; i++) {
		if (places[i].slot != NOBODYS && !places[i].slow &&
		    (p == NULL || places[i].late_at < p->late_at))
			p = &places[i];
	}
	if (p == NULL)
		return;
	i = (unsigned int)(p - places);
	spawn_await(i);
	p->slow = !spawn_has_left(i);
}

/*
 * With nothing else to start a short wait costs less than none. With more it
 * is the way to the next place.
 */
void
spawner_made(unsigned int slot, unsigned int place, int output)
{
	struct place *p = &places[place];

	disown(slot);
	*p = (struct place){ .slot = (int)slot, .output = output,
	    .late_at = loop_now() + EXEC_TIME * USEC };
	if (ntaken++ == 0)
		look_pause = LOOK_FIRST;
	if (nwaiting == 0)
		spawn_await(place);
	else if (ntaken == nplaces)
		await_one();
	spawner_look();
	if (p->slot != NOBODYS)
		loop_timer(TIMER_SPAWNER, find_oldest()->late_at, on_time);
}

/*
 * The exec may be done in this very moment. Then the program is stopped before
 * its first instruction, so that it cannot have accepted a connection.
 */
void
spawner_end(unsigned int slot)
{
	struct place *p = place_of(slot);

	if (p == NULL || p->killed)
		return;
	worker_signal(slot, SIGSTOP, false);
	if (spawn_has_left((unsigned int)(p - places))) {
		worker_signal(slot, SIGCONT, false);
		return;
	}
	kill_it(p, false, loop_now());
	look_pause = LOOK_FIRST;
	spawner_again();
}

void
spawner_again(void)
{
	uint64_t when = loop_now();

	if (ntaken == nplaces) {
		when = min64(when + look_pause, find_oldest()->late_at);
		look_pause = min64(look_pause * 2, LOOK_LAST);
	}
	loop_timer(TIMER_SPAWNER, when, on_time);
}
