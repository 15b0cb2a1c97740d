/* SPDX-License-Identifier: ISC */
/*
 * Workers that have ended while another process traces them. The kernel keeps
 * them from us as zombies until the tracer lets go, which it may never do; so
 * they count as gone at once, and are reaped whenever that becomes possible.
 *
 * A worker becomes suspect when its output ends, its pidfd can be read, it was
 * sent KILL, or a look found no task of it alive. Watching its output is free,
 * but a worker can keep that open; so all that live for a second have a pidfd
 * too.
 */
#include <sysexits.h>

#include "base/base.h"
#include "base/loop.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "run/supervise.h"

#define LOOKS		6		/* without an end: it lives */
#define LOOKS_SURE	2		/* with one: it is not just a moment */

/* Kills a tracer of our own, but not an administrator's. */
static void
end_tracer(pid_t worker, pid_t tracer, bool held, const char *next)
{
	static const char *const fates[] = {
		[TRACER_FOREIGN] = "is not a process of this pool and is left "
		    "alone",
		[TRACER_KILLED] = "is a process of this pool and was killed",
		[TRACER_STAYS] = "is a process of this pool, but cannot be "
		    "killed",
	};
	char name[END_NAME];

	end_name(tracer, name);
	log_warn("worker %d: %s: process %d (%s) traces it (%s; the tracer %s)",
	    (int)worker, held ? "was killed, but is held at its exit" :
	    "has ended, but cannot be reaped", (int)tracer, name, next,
	    fates[end_kill_tracer(tracer, worker, orphans_were_before)]);
}

/* For the pool it is gone from now on. */
static void
give_up_traced(unsigned int slot, const struct end *e)
{
	bool stops = actor_stops();
	const char *next = stops ? "the stop does not wait for it" :
	    "the pool goes on without it";
	pid_t pid = worker_pid(slot);
	int i;

	for (i = 0; i < e->ntracers; i++)
		end_tracer(pid, e->tracers[i], e->held, next);
	if (e->ntracers == 0)
		log_warn("worker %d: has ended, but cannot be reaped: a "
		    "process that cannot be seen from here traces it (%s)",
		    (int)pid, next);
	orphans_give_up(pid);
	worker_forget(slot);
	reap_ended(slot, e->status);
	orphans_expect();
}

/*
 * Its tracer may be about to let go, so that it can be reaped in a moment. A
 * stopped worker is dead only if it was sent KILL and still is stopped after a
 * while, or has begun to end.
 */
static bool
is_certain(const struct probe_state *s, const struct end *e)
{
	if (!e->over || (!e->doomed && !s->must_end))
		return false;
	return s->looks >= LOOKS_SURE || (!e->held && e->ntracers > 0);
}

static void
look_at_suspect(unsigned int slot)
{
	struct probe_state *s = worker_probe_state(slot);
	struct end e;

	if (worker_can_be_reaped(slot))
		return;		/* SIGCHLD has come, or comes */
	end_look(worker_pid(slot), &e);
	s->looks++;
	if (is_certain(s, &e))
		give_up_traced(slot, &e);
	else if (!s->must_end && !e.over && s->looks >= LOOKS)
		suspects_remove(slot);	/* it lives */
}

static void
on_ends(void *arg)
{
	pid_t list[END_EVENTS];
	int i, n, slot;

	(void)arg;
	/* An ordinary end shows here, too, and a little earlier. */
	reap_children();
	/* More of them wake the loop again. */
	n = end_take(list, END_EVENTS);
	for (i = 0; i < n; i++) {
		slot = worker_slot(list[i]);
		if (slot == -1 || worker_can_be_reaped((unsigned int)slot))
			continue;
		suspects_add((unsigned int)slot, true);
		look_at_suspect((unsigned int)slot);
	}
}

int
traced_init(struct err *e)
{
	int fd = end_events();

	suspects_init(pool_slots(actor_pool()), look_at_suspect);
	if (fd != -1 && loop_watch(fd, on_ends, NULL) == NULL)
		return err_set(e, EX_OSERR, "loop: out of memory");
	return 0;
}
