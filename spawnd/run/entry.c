/* SPDX-License-Identifier: ISC */
/*
 * Can clients get to the listen socket? Its file may be gone, and whoever
 * holds the socket can keep connections from it, for all its holders. The file
 * is watched; for the rest there is no event, so it is looked at when somebody
 * asks, when the watchdog is due, and a second after the pool had something to
 * do: whom nobody can reach any more has nothing to do from then on. A pool at
 * rest is not woken.
 */
#include <stdio.h>
#include <sysexits.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/listener.h"
#include "observe/observe.h"
#include "privilege/privilege.h"
#include "run/supervise.h"

static const struct plan *plan;
static struct loop_watch *watch;
static enum socketfile_state file;	/* what the last look has found */
static enum deaf deaf;
static const char *fault;	/* what is wrong; NULL: nothing known */
static char text[ERR_SIZE];	/* the same in a line */
static bool due;		/* TIMER_ENTRY is set */
static bool again;		/* and something has happened since then */

static const char *const file_faults[] = {
	[SOCKETFILE_REMOVED] = "its file was removed: no client can connect",
	[SOCKETFILE_REPLACED] = "another file has taken its place: no client "
	    "comes here",
	[SOCKETFILE_MOVED] = "its file or a directory above was renamed, or "
	    "something is mounted over it: no client can connect",
	[SOCKETFILE_CLOSED] = "its owner, group or mode was changed: clients "
	    "may be refused",
};

static const char *const deaf_faults[] = {
	[DEAF_FILTER] = "a worker or another process that holds it has set a "
	    "packet filter: clients may get no answer",
	[DEAF_DEVICE] = "a worker or another process that holds it has bound "
	    "it to a network device: clients may be refused",
	[DEAF_TTL] = "a worker or another process that holds it has set a "
	    "minimum TTL: clients may get no answer",
	[DEAF_BACKLOG] = "a worker or another process that holds it has cut "
	    "its queue: clients may be refused",
};

/* A new socket would do, where a restart makes one. */
static bool
is_curable(void)
{
	return plan->inherited == -1;
}

static const char *
find_fault(void)
{
	file = socketfile_look(plan);
	deaf = listener_deaf();
	return file_faults[file] != NULL ? file_faults[file] :
	    deaf_faults[deaf];
}

static void
tell(void)
{
	const char *cure = !is_curable() ? "restart the program that passed "
	    "it in, such as the .socket unit" : sdnotify_watchdog() != 0 ?
	    "the service manager restarts spawnd, since its watchdog hears "
	    "nothing" : "restart spawnd";

	if (fault == NULL) {
		log_info("listen socket: %s: clients can connect again",
		    plan->socket_name);
		sdnotify_send("STATUS=clients can connect again");
		return;
	}
	snprintf(text, sizeof(text), "listen socket: %s: %s (%s)",
	    plan->socket_name, fault, cure);
	log_warn("listen socket: %s: %s (%s)", plan->socket_name, fault, cure);
	sdnotify_send("STATUS=%s", text);
}

const char *
entry_fault(void)
{
	const char *found;

	/* A stop keeps clients away itself. */
	if (actor_stops())
		return NULL;
	found = find_fault();
	if (found != fault) {
		fault = found;
		tell();
	}
	return fault == NULL ? NULL : text;
}

bool
entry_is_known(void)
{
	/* Without a file there is nothing else to tell by. */
	return file == SOCKETFILE_NONE ? deaf != DEAF_UNKNOWN :
	    file != SOCKETFILE_UNKNOWN;
}

const char *
entry_unseen(void)
{
	const char *unseen;

	if (actor_stops())
		return NULL;
	unseen = socketfile_unseen(plan);
	if (unseen == NULL && deaf == DEAF_UNKNOWN)
		return "what its holders do to it";
	return unseen;
}

bool
entry_needs_restart(void)
{
	return entry_fault() != NULL && is_curable();
}

static void on_rest(void);

static void
look_in_a_second(void)
{
	due = true;
	loop_timer(TIMER_ENTRY, loop_now() + USEC, on_rest);
}

static void
on_rest(void)
{
	due = false;
	if (watch != NULL)
		loop_resume(watch);
	entry_fault();
	if (again)
		look_in_a_second();
	again = false;
}

void
entry_changed(void)
{
	if (due)
		again = true;
	else if (!actor_stops())
		look_in_a_second();
}

/* Whoever changes the file all the time gets few looks for it. */
static void
on_file_changed(void *arg)
{
	(void)arg;
	listener_take_events(socketfile_changes());
	entry_fault();
	if (!due)
		look_in_a_second();
}

int
entry_init(const struct plan *p, struct err *e)
{
	plan = p;
	socketfile_begin();
	if (socketfile_changes() == -1)
		return 0;
	watch = loop_watch_once(socketfile_changes(), on_file_changed, NULL);
	if (watch == NULL)
		return err_set(e, EX_OSERR, "loop: out of memory");
	loop_resume(watch);
	return 0;
}
