/* SPDX-License-Identifier: ISC */
/*
 * Between the pool and the world: passes in what has happened and carries
 * out the actions it asks for. The pool decides which and when.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "privilege/privilege.h"
#include "run/supervise.h"

#define START_TURN	UINT64_C(500)	/* usec of starts, then others' turn */

static const struct plan *plan;
static struct actor_hooks hooks;
static struct pool *pool;
static bool stays_open;			/* new connections cannot be refused */
static uint64_t refused_at;
static bool has_door;
static bool acting;			/* actions are left, or one is done */

/* Do all workers but that one wait in accept(2)? */
static bool
all_accept(unsigned int but)
{
	unsigned int i, n = pool_slots(pool);

	for (i = 0; i < n; i++) {
		if (i != but && worker_pid(i) != 0 &&
		    (spawner_shares(i) || !observe_accepts(worker_pid(i))))
			return false;
	}
	return true;
}

/* Was the socket non-blocking when a worker was last seen ready? */
static bool polls;

bool
actor_polls(unsigned int slot)
{
	return (polls || !listen_is_blocking()) && all_accept(slot);
}

/*
 * Who has made the socket non-blocking accepts until that fails, and may wait
 * there now, with clients that it has let in before. Interrupted, as by a door
 * that is closed for a moment, it finds the socket as it was.
 */
static void
free_who_waits(unsigned int but)
{
	unsigned int i, n = pool_slots(pool);
	pid_t pid;

	for (i = 0; has_door && i < n; i++) {
		pid = i == but ? 0 : worker_pid(i);
		if (pid == 0 || spawner_shares(i) || door_is_closed(pid) ||
		    !observe_accepts(pid))
			continue;
		(void)door_close(pid, false, true, false);
		door_open(pid);
	}
}

void
actor_ended(unsigned int slot)
{
	spawner_look();		/* so that its output ends */
	if (polls && listen_is_blocking()) {
		listen_make_blocking(false);
		free_who_waits(slot);
	}
}

void
actor_alone(void)
{
	if (polls) {
		listen_make_blocking(false);
		free_who_waits(pool_slots(pool));
	}
}

/* Returns the new process of a slot, or -1 with errno and *failed set. */
static pid_t
make_worker(unsigned int slot, const char **failed)
{
	int error, output = output_pipe(slot, failed);
	unsigned int place;
	pid_t pid;

	if (output == -1)
		return -1;
	*failed = "fork";
	place = spawner_place();
	pid = worker_spawn(slot, place, output, pool_wants_door(pool, slot));
	error = errno;
	output = output_start(slot, output, pid);
	if (pid != -1)
		spawner_made(slot, place, output);
	errno = error;
	return pid;
}

static void
act_spawn(unsigned int slot)
{
	struct pool_event ev = { .slot = slot };
	uint64_t mark = observe_mark();

	if (!neighbour_is_there() && !listen_is_blocking() &&
	    all_accept(slot)) {
		listen_make_blocking(true);
		polls = false;
	}
	loop_block_signals();
	ev.pid = make_worker(slot, &ev.failed);
	ev.error = errno;
	loop_unblock_signals();
	worker_probe_state(slot)->mark = mark;
	ev.what = ev.pid == -1 ? EV_NOFORK : EV_SPAWNED;
	pool_event(pool, &ev, loop_now());
}

/*
 * A process that has not become its program yet, or was killed on the way, is
 * not ready and holds nothing. It may be in our memory, so it is not looked
 * at, and nothing is written to its files in /proc. What it does is unknown:
 * it may be its program in the next moment, and accept. One that is to go, as
 * one whose activity is asked for is, ends here. Whatever else there is to ask
 * is asked of those that were ready.
 */
static bool
answer_unbegun(const struct pool_action *a, struct pool_event *ev)
{
	if (!spawner_shares(a->slot) && worker_failure(a->slot) == NULL &&
	    !worker_is_cancelled(a->slot))
		return false;
	switch (a->what) {
	case POOL_CHECK_READY:
		ev->what = EV_READINESS;
		ev->readiness = READY_NO;
		return true;
	case POOL_CHECK_ACTIVITY:
		spawner_end(a->slot);
		ev->what = EV_ACTIVITY;
		ev->activity.holds = HOLDS_UNKNOWN;
		return true;
	case POOL_CHECK_HELD:
		ev->what = EV_HELD;
		ev->held.known = true;
		return true;
	case POOL_CHECK_REQUEST:
		ev->what = EV_SLOW_REQUEST;
		return true;
	default:
		return false;
	}
}

/* Asks the kernel what the pool wants to know, and answers at once. */
static void
act_look(const struct pool_action *a)
{
	struct pool_event ev = { .slot = a->slot };
	struct probe_state *s = worker_probe_state(a->slot);
	const struct conf *c = plan->conf;
	pid_t pid = worker_pid(a->slot);
	uint64_t now = loop_now();

	if (answer_unbegun(a, &ev)) {
		pool_event(pool, &ev, now);
		return;
	}
	switch (a->what) {
	case POOL_CHECK_READY:
		ev.what = EV_READINESS;
		ev.readiness = observe_readiness(pid, a->age, now, s);
		if (ev.readiness == READY_YES)
			polls = !listen_is_blocking();
		break;
	case POOL_CHECK_ACTIVITY:
		ev.what = EV_ACTIVITY;
		observe_activity(pid, c->stop_signal, (uint64_t)c->keep_idle *
		    USEC, now, s, &ev.activity);
		break;
	case POOL_CHECK_TREE:
		ev.what = EV_TREE;
		observe_tree(pid, (uint64_t)c->keep_idle * USEC, now, s,
		    &ev.activity);
		break;
	case POOL_CHECK_CANARY:
		ev.what = EV_CANARY;
		ev.activity.connection = observe_connection(pid);
		ev.no_traffic = ev.activity.connection == 0 &&
		    hooks.has_no_traffic(a->slot);
		break;
	case POOL_CHECK_HELD:
		ev.what = EV_HELD;
		observe_held(pid, a->whole, (uint64_t)c->keep_idle * USEC, now,
		    &ev.held);
		break;
	case POOL_MEASURE_SIZE:
		ev.what = EV_MEASURED;
		ev.size = observe_size(pid);
		break;
	default:		/* POOL_CHECK_REQUEST */
		ev.what = EV_SLOW_REQUEST;
		observe_slow_request(pid, c->request_timeout == 0 ? NEVER :
		    (uint64_t)c->request_timeout * USEC, now, &ev.request);
		break;
	}
	if (s->over && (ev.what == EV_READINESS || ev.what == EV_ACTIVITY ||
	    ev.what == EV_TREE))
		suspects_add(a->slot, false);
	pool_event(pool, &ev, now);
}

static enum door_state
close_door(const struct pool_action *a)
{
	/* Until its exec only a child itself can ask to be traced. */
	if (spawner_shares(a->slot) && !worker_asks_for_door(a->slot))
		return DOOR_CLOSING;
	return door_close(worker_pid(a->slot), a->drains, polls,
	    worker_takes_door(a->slot));
}

static void
act_door(unsigned int slot, enum door_state door)
{
	const struct pool_event ev = { .what = EV_DOOR, .slot = slot,
	    .door = door };

	pool_event(pool, &ev, loop_now());
}

/* A handshake that takes long may have no client behind it any more. */
static void
act_queue(void)
{
	struct pool_event ev = { .what = EV_QUEUE };
	uint64_t now = loop_now();

	observe_waiting(now - refused_at < HANDSHAKE, &ev.queue);
	ev.queue.open = stays_open;
	pool_event(pool, &ev, now);
}

static void
act_signal(const struct pool_action *a)
{
	worker_signal(a->slot, a->signo, a->whole);
	if (a->signo == SIGKILL)
		suspects_add(a->slot, true);
}

static void
on_leftovers(void)
{
	loop_timer(TIMER_LEFTOVERS, observe_leftovers(loop_now()),
	    on_leftovers);
}

static void
act_kill_holder(const struct pool_action *a)
{
	observe_kill_holder(worker_pid(a->slot), a->pid, loop_now());
	on_leftovers();
}

static void
act_refuse(void)
{
	refused_at = loop_now();
	stays_open = !listen_refuse(plan);
}

static void
carry_out(const struct pool_action *a)
{
	switch (a->what) {
	case POOL_SPAWN:
		spawner_add(a->slot);
		break;
	case POOL_CHECK_READY:
	case POOL_CHECK_ACTIVITY:
	case POOL_CHECK_TREE:
	case POOL_CHECK_CANARY:
	case POOL_CHECK_HELD:
	case POOL_MEASURE_SIZE:
	case POOL_CHECK_REQUEST:
		act_look(a);
		break;
	case POOL_SIGNAL:
		act_signal(a);
		break;
	case POOL_ADOPT:
		worker_adopt(a->slot, a->pid);
		break;
	case POOL_KILL_HOLDER:
		act_kill_holder(a);
		break;
	case POOL_REFUSE:
		act_refuse();
		break;
	case POOL_SHUT:
		listen_shut(plan);
		break;
	case POOL_QUEUE:
		act_queue();
		break;
	case POOL_DOOR_CLOSE:
		act_door(a->slot, close_door(a));
		break;
	case POOL_DOOR_CHECK:
		door_allow(worker_pid(a->slot), a->stops);
		act_door(a->slot, door_check(worker_pid(a->slot)));
		break;
	case POOL_DOOR_PAUSE:
		act_door(a->slot, door_pause(worker_pid(a->slot)));
		break;
	case POOL_DOOR_GO_ON:
		door_go_on(worker_pid(a->slot));
		break;
	case POOL_DOOR_SIGNAL:
		door_signal(worker_pid(a->slot), a->signo);
		break;
	case POOL_DOOR_OPEN:
		door_open(worker_pid(a->slot));
		break;
	case POOL_NOTICE:
		hooks.on_notice(&a->notice);
		break;
	}
}

static void
on_deadline(void)
{
	pool_tick(pool, loop_now());
	actor_act();
}

/* Starts the slot's worker, or says that it is not wanted any more. */
static void
start_first(unsigned int slot)
{
	const struct pool_event ev = { .what = EV_UNSPAWNED, .slot = slot };

	spawner_remove();
	if (pool_wants_spawn(pool, slot))
		act_spawn(slot);
	else
		pool_event(pool, &ev, loop_now());
}

void
actor_act(void)
{
	uint64_t until = loop_now() + START_TURN;
	struct pool_action a;
	unsigned int slot;

	acting = true;
	for (;;) {
		while (pool_next(pool, &a))
			carry_out(&a);
		if (!spawner_first(&slot))
			break;
		if ((pool_wants_spawn(pool, slot) && !spawner_is_free()) ||
		    loop_now() >= until) {
			spawner_again();
			break;
		}
		start_first(slot);
	}
	acting = false;
	loop_timer(TIMER_POOL, pool_deadline(pool), on_deadline);
	hooks.on_change();
}

void
actor_event(const struct pool_event *ev)
{
	/* See pool.h: only an answer comes while actions are left. */
	if (acting)
		log_warn("pool: event %s came while actions were left (a bug: "
		    "please report it)", pool_event_name(ev->what));
	pool_event(pool, ev, loop_now());
	actor_act();
}

struct pool *
actor_pool(void)
{
	return pool;
}

bool
actor_stops(void)
{
	return pool_phase(pool) >= PHASE_STOP;
}

int
actor_init(const struct plan *p, const struct guarantees *g,
    const struct actor_hooks *h, struct err *e)
{
	struct pool_conf pc = {
		.workers = (unsigned int)p->workers,
		.max = p->room,
		.surge = p->surge,
		.processes = p->processes,
		.stop_signal = p->conf->stop_signal,
		.drains = p->inherited == -1,
		.shared = p->taken != -1,
		.door = g->door,
		.set_id = !g->no_new_privs,
		.canary = POOL_CANARY,
		.max_age = (uint64_t)p->conf->max_age * USEC,
		.max_rss = p->conf->max_rss,
		.request_timeout = (uint64_t)p->conf->request_timeout * USEC,
		.start_timeout = (uint64_t)p->conf->start_timeout * USEC,
		.stop_timeout = (uint64_t)p->conf->stop_timeout * USEC,
		.seed = (uint64_t)arc4random() << 32 | arc4random(),
	};

	plan = p;
	hooks = *h;
	has_door = g->door;
	if ((pool = pool_new(&pc, loop_now())) == NULL)
		return err_set(e, EX_OSERR, "pool: out of memory");
	return spawner_init(pool_slots(pool), actor_act, e);
}
