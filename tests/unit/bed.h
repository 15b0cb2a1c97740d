/* SPDX-License-Identifier: ISC */
/*
 * A test bed for the pool: a clock of its own, and a caller that carries
 * actions out as the daemon does, but without any process. What was done is
 * kept as a line of words, so that a test can say what it expects:
 *
 *	spawn0 look0 TERM>0 KILL>0 [ready 4] [exit 0] [failed tries] ...
 *
 * Every worker is idle unless a test says otherwise: one that retires stops
 * at once when it is sent STOP, and once it was told to go it does something
 * else than wait for connections.
 */
#ifndef BED_H
#define BED_H

#include <sys/types.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"
#include "unit.h"

#define MSEC		UINT64_C(1000)
#define BED_SLOTS	256
#define BED_STATUS(code) ((code) << 8)	/* of wait(2), for exit(code) */

/* A worker, as the pool may see it. */
struct bed_worker {
	pid_t		 pid;
	struct activity	 activity;	/* the answer to each look */
	unsigned int	 requests;	/* if it is busy; 0: one */
	bool		 changes;	/* another connection each time */
	bool		 surprise;	/* busy when looked at stopped */
	bool		 slow_stop;	/* takes STOP, does not stop */
	bool		 deaf;		/* waits on after its signal */
	bool		 halting;	/* EV_FROZEN is due */
	bool		 stopped;
	bool		 term_sent;
	struct activity	 last;		/* what was answered last */
	uint64_t	 since;		/* found retiring; 0: not yet */
};

struct bed {
	struct pool	*p;
	struct pool_conf conf;
	uint64_t	 now;
	pid_t		 pid;		/* the last one given out */
	enum readiness	 sees;		/* the answer to every look */
	bool		 show_looks;	/* in the line, too */
	bool		 show_all;	/* and all about retiring */
	bool		 show_go;	/* and who goes on at a door */
	bool		 no_fork;	/* the answer to every spawn */
	struct queue	 queue;		/* the answer to each POOL_QUEUE */
	unsigned int	 spawns, looks, exams;
	unsigned int	 measures, canary_checks;	/* asked for */
	unsigned int	 request_checks;
	struct bed_worker w[BED_SLOTS];
	unsigned int	 nstopped;
	uint64_t	 stopped_at;	/* EV_STOP; 0: not yet */
	bool		 fast;
	struct pool_notice notice;	/* the last one */
	size_t		 len;
	char		 line[16384];
};

static inline void
bed_put(struct bed *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (b->len > 0 && b->len < sizeof(b->line) - 1)
		b->line[b->len++] = ' ';
	va_start(ap, fmt);
	n = vsnprintf(b->line + b->len, sizeof(b->line) - b->len, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	if (b->len >= sizeof(b->line))
		b->len = sizeof(b->line) - 1;
}

static inline void
bed_put_notice(struct bed *b, const struct pool_notice *n)
{
	static const char *const why[] = { [FAILED_EXEC] = "exec",
	    [FAILED_TRIES] = "tries", [FAILED_TIME] = "time" };
	static const char *const words[] = { [NOTICE_EXIT] = "exit",
	    [NOTICE_NOFORK] = "nofork", [NOTICE_START_TIMEOUT] = "slow",
	    [NOTICE_ELSEWHERE] = "elsewhere",
	    [NOTICE_KILLED_IDLE] = "kill", [NOTICE_KILLED_BUSY] = "lost",
	    [NOTICE_TOLD_BUSY] = "told", [NOTICE_GROWN] = "grown",
	    [NOTICE_REQUEST_TIMEOUT] = "late",
	    [NOTICE_RELOAD_FAILED] = "reload-failed",
	    [NOTICE_NEVER] = "never" };

	b->notice = *n;
	if (n->what == NOTICE_READY)
		bed_put(b, "[ready %u]", n->ready);
	else if (n->what == NOTICE_FAILED)
		bed_put(b, "[failed %s]", why[n->why]);
	else if (n->what == NOTICE_DUE)
		bed_put(b, "[due]");
	else if (n->what == NOTICE_DONE)
		bed_put(b, "[done]");
	else if (n->what == NOTICE_RELOADED)
		bed_put(b, "[reloaded]");
	else if (n->what == NOTICE_QUEUE_ABANDONED)
		bed_put(b, "[left %u]", n->count);
	else if (n->what == NOTICE_TOO_SMALL)
		bed_put(b, "[too small]");
	else if (n->what == NOTICE_OVERFLOW)
		bed_put(b, "[overflow]");
	else
		bed_put(b, "[%s %u]", words[n->what], n->slot);
}

static inline void
bed_put_signal(struct bed *b, const struct pool_action *a)
{
	static const char *const words[NSIG] = { [SIGTERM] = "TERM",
	    [SIGKILL] = "KILL", [SIGSTOP] = "STOP", [SIGCONT] = "CONT",
	    [SIGUSR1] = "USR1" };

	if (!b->show_all && (a->signo == SIGSTOP || a->signo == SIGCONT))
		return;
	bed_put(b, "%s%s%u", words[a->signo],
	    b->show_all && a->whole ? ">>" : ">", a->slot);
}

static inline void
bed_put_action(struct bed *b, const struct pool_action *a)
{
	if (a->what == POOL_SPAWN)
		bed_put(b, "spawn%u", a->slot);
	else if (a->what == POOL_CHECK_READY && b->show_looks)
		bed_put(b, "look%u", a->slot);
	else if (a->what == POOL_CHECK_ACTIVITY && b->show_all)
		bed_put(b, "exam%u", a->slot);
	else if (a->what == POOL_ADOPT)
		bed_put(b, "adopt%u", a->slot);
	else if (a->what == POOL_SIGNAL)
		bed_put_signal(b, a);
	else if (a->what == POOL_KILL_HOLDER)
		bed_put(b, "KILL:%d", (int)a->pid);
	else if (a->what == POOL_CHECK_HELD && b->show_all)
		bed_put(b, "held%u", a->slot);
	else if (a->what == POOL_REFUSE)
		bed_put(b, "refuse");
	else if (a->what == POOL_SHUT)
		bed_put(b, "shut");
	else if (a->what == POOL_QUEUE && b->show_all)
		bed_put(b, "queue");
	else if (a->what == POOL_DOOR_CLOSE)
		bed_put(b, "close%u%s", a->slot, a->drains ? "+" : "");
	else if (a->what == POOL_DOOR_CHECK && b->show_all)
		bed_put(b, "check%u%s", a->slot, a->stops == NEVER ? "+" :
		    a->stops > POOL_DOOR_STOPS ? "*" : "");
	else if (a->what == POOL_CHECK_TREE && b->show_all)
		bed_put(b, "tree%u", a->slot);
	else if (a->what == POOL_DOOR_PAUSE)
		bed_put(b, "pause%u", a->slot);
	else if (a->what == POOL_DOOR_GO_ON && b->show_go)
		bed_put(b, "go%u", a->slot);
	else if (a->what == POOL_DOOR_SIGNAL)
		bed_put(b, "tell%u", a->slot);
	else if (a->what == POOL_DOOR_OPEN)
		bed_put(b, "open%u", a->slot);
	else if (a->what == POOL_NOTICE)
		bed_put_notice(b, &a->notice);
}

/* Starts a new line and returns the old one. */
static inline const char *
bed_did(struct bed *b)
{
	static char line[sizeof(b->line)];

	memcpy(line, b->line, b->len);
	line[b->len] = '\0';
	b->len = 0;
	return line;
}

/* Takes what the pool wants without answering. */
static inline void
bed_take(struct bed *b)
{
	struct pool_action a;

	while (pool_next(b->p, &a))
		bed_put_action(b, &a);
}

/* It runs again, or is gone. */
static inline void
bed_runs(struct bed *b, unsigned int slot)
{
	b->nstopped -= b->w[slot].stopped;
	b->w[slot].stopped = b->w[slot].halting = false;
}

static inline void
bed_worker(struct bed *b, unsigned int slot, pid_t pid)
{
	bed_runs(b, slot);
	b->w[slot] = (struct bed_worker){ .pid = pid,
	    .activity = { .holds = HOLDS_NOTHING, .catches = true,
	    .sleeping = true },
	    .last.holds = HOLDS_NOTHING };
}

/* What no worker may ever be sent, whatever the test. */
static inline void
bed_check_signal(const struct bed *b, const struct pool_action *a)
{
	const struct bed_worker *w = &b->w[a->slot];
	bool busy = w->last.holds == HOLDS_BUSY ||
	    w->last.holds == HOLDS_UNKNOWN;
	uint64_t limit = b->conf.stop_timeout;
	uint64_t chance = limit / 2 < POOL_LAST_CHANCE ? limit / 2 :
	    POOL_LAST_CHANCE;

	if (b->fast || a->signo == SIGCONT || !busy)
		return;
	if (a->signo == SIGSTOP)
		fail_msg("a busy worker is stopped");
	else if (a->signo != SIGKILL) {
		if (!w->last.catches)
			fail_msg("a busy worker is told that cannot know");
		if (w->last.holds == HOLDS_UNKNOWN ||
		    w->last.active_since_last)
			return;
		if (w->last.reads)
			fail_msg("a worker is told while it reads");
		if (b->now + chance < w->since + limit &&
		    (b->stopped_at == 0 ||
		    b->now + chance < b->stopped_at + limit))
			fail_msg("a busy worker is told before it must be");
	} else if (b->now < w->since + limit && (b->stopped_at == 0 ||
	    b->now < b->stopped_at + limit))
		fail_msg("a busy worker is killed before its deadline");
}

static inline void
bed_signal(struct bed *b, const struct pool_action *a)
{
	struct bed_worker *w = &b->w[a->slot];

	bed_check_signal(b, a);
	if (a->signo == SIGSTOP) {
		/* One that is slow to stop may do so at any moment. */
		if (!w->stopped && ++b->nstopped > 1)
			fail_msg("more than one process is stopped");
		w->stopped = true;
		w->halting = !w->slow_stop;
	} else if (a->signo == SIGCONT || a->signo == SIGKILL)
		bed_runs(b, a->slot);
	else
		w->term_sent = true;
}

/* What the worker in a slot looks like now. */
static inline struct activity
bed_exam(struct bed *b, unsigned int slot)
{
	struct bed_worker *w = &b->w[slot];
	struct activity x;

	w->activity.connection += w->changes;
	x = w->activity;
	x.frozen = w->stopped && !w->slow_stop;
	if (w->term_sent && !w->deaf)
		x.sleeping = false;
	if (w->surprise && x.frozen)
		x.holds = HOLDS_BUSY;
	w->last = x;
	if (w->since == 0 && pool_state(b->p, slot) != SLOT_READY)
		w->since = b->now;
	return x;
}

/* What it serves, when it is to be told or killed. */
static inline struct held_requests
bed_held(const struct bed *b, unsigned int slot)
{
	const struct activity *x = &b->w[slot].activity;
	bool known = x->holds != HOLDS_UNKNOWN;

	if ((x->holds != HOLDS_BUSY && known) || x->active_since_last)
		return (struct held_requests){ .known = true };
	return (struct held_requests){ .known = known,
	    .count = b->w[slot].requests > 0 ? b->w[slot].requests : 1,
	    .holder = known ? b->w[slot].pid : 0, .age = x->age };
}

static inline struct pool_event
bed_spawned(struct bed *b, unsigned int slot)
{
	b->spawns++;
	bed_worker(b, slot, b->no_fork ? -1 : ++b->pid);
	return (struct pool_event){ .what = b->no_fork ? EV_NOFORK :
	    EV_SPAWNED, .pid = b->w[slot].pid, .error = b->no_fork ? 11 : 0 };
}

/* What is counted; a test that cares answers by itself. */
static inline void
bed_count(struct bed *b, const struct pool_action *a)
{
	b->measures += a->what == POOL_MEASURE_SIZE;
	b->canary_checks += a->what == POOL_CHECK_CANARY;
	b->request_checks += a->what == POOL_CHECK_REQUEST;
}

/* Carries out one action as the daemon would. Returns false: none left. */
static inline bool
bed_act_once(struct bed *b)
{
	struct pool_event ev = { 0 };
	struct pool_action a;

	if (!pool_next(b->p, &a))
		return false;
	bed_put_action(b, &a);
	if (a.what == POOL_SPAWN) {
		ev = bed_spawned(b, a.slot);
	} else if (a.what == POOL_CHECK_READY) {
		b->looks++;
		ev.what = EV_READINESS;
		ev.readiness = b->sees;
	} else if (a.what == POOL_CHECK_ACTIVITY) {
		b->exams++;
		ev.what = EV_ACTIVITY;
		ev.activity = bed_exam(b, a.slot);
	} else if (a.what == POOL_QUEUE) {
		ev.what = EV_QUEUE;
		ev.queue = b->queue;
	} else if (a.what == POOL_CHECK_HELD) {
		ev.what = EV_HELD;
		ev.held = bed_held(b, a.slot);
	} else if (a.what == POOL_SIGNAL)
		bed_signal(b, &a);
	else if (a.what == POOL_ADOPT)
		bed_worker(b, a.slot, a.pid);
	else if (a.what == POOL_NOTICE && a.notice.what == NOTICE_FAILED)
		b->fast = true;
	bed_count(b, &a);
	if (a.what > POOL_CHECK_ACTIVITY && a.what != POOL_QUEUE &&
	    a.what != POOL_CHECK_HELD)
		return true;
	ev.slot = a.slot;
	pool_event(b->p, &ev, b->now);
	return true;
}

/* Tells of one process that has stopped, as SIGCHLD does. */
static inline bool
bed_halt_once(struct bed *b)
{
	struct pool_event ev = { .what = EV_FROZEN };

	if (b->nstopped == 0)
		return false;
	for (ev.slot = 0; ev.slot < pool_slots(b->p); ev.slot++) {
		if (b->w[ev.slot].halting) {
			b->w[ev.slot].halting = false;
			pool_event(b->p, &ev, b->now);
			return true;
		}
	}
	return false;
}

static inline void
bed_act(struct bed *b)
{
	while (bed_act_once(b) || bed_halt_once(b))
		continue;
}

static inline void
bed_event(struct bed *b, struct pool_event ev)
{
	if (ev.what == EV_EXIT)
		bed_runs(b, ev.slot);
	pool_event(b->p, &ev, b->now);
	bed_act(b);
}

/* A pool that has asked for its first workers; nothing is answered yet. */
static inline struct bed *
bed_raw(const struct pool_conf *c)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->conf = *c;
	b->now = 1000 * USEC;
	b->pid = 100;
	b->sees = READY_NO;
	b->p = pool_new(c, b->now);
	assert_non_null(b->p);
	return b;
}

static inline struct pool_conf
bed_conf(unsigned int workers)
{
	return (struct pool_conf){ .workers = workers,
	    .stop_signal = SIGTERM, .start_timeout = 60 * USEC,
	    .surge = 1, .stop_timeout = 30 * USEC, .seed = 4711 };
}

/* A pool whose first workers are starting. */
static inline struct bed *
bed_starting(unsigned int workers)
{
	struct pool_conf c = bed_conf(workers);
	struct bed *b = bed_raw(&c);

	bed_act(b);
	bed_did(b);
	return b;
}

static inline void
bed_look(struct bed *b, unsigned int slot, enum readiness look)
{
	bed_event(b, (struct pool_event){ .what = EV_READINESS, .slot = slot,
	    .readiness = look });
}

/* A pool whose workers are all ready. */
static inline struct bed *
bed_ready(unsigned int workers)
{
	struct bed *b = bed_starting(workers);
	unsigned int i;

	for (i = 0; i < workers; i++)
		bed_look(b, i, READY_YES);
	bed_did(b);
	return b;
}

static inline void
bed_free_with_bugs(struct bed *b)
{
	pool_free(b->p);
	free(b);
}

/* Whatever a test has done, it must not have been more than can be. */
static inline void
bed_free(struct bed *b)
{
	assert_int_equal(pool_counts(b->p)->nevers, 0);
	assert_int_equal(pool_counts(b->p)->overflows, 0);
	bed_free_with_bugs(b);
}

static inline void
bed_exit(struct bed *b, unsigned int slot, int code)
{
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = slot,
	    .status = BED_STATUS(code), .moved = MOVED_NO });
}

static inline void
bed_exit_moved(struct bed *b, unsigned int slot, enum moved moved)
{
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = slot,
	    .moved = moved });
}

/* With 0, in a queue that moved, but something else was seen. */
static inline void
bed_exit_cause(struct bed *b, unsigned int slot, enum start_cause cause)
{
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = slot,
	    .moved = MOVED_YES, .cause = cause });
}

static inline void
bed_crash(struct bed *b, unsigned int slot)
{
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = slot,
	    .status = SIGSEGV, .moved = MOVED_NO });
}

static inline void
bed_exec_failed(struct bed *b, unsigned int slot)
{
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = slot,
	    .status = BED_STATUS(127), .exec_failed = true, .error = 2 });
}

static inline void
bed_tell(struct bed *b, unsigned int what)
{
	struct pool_event ev = { 0 };

	if (what == EV_STOP_FAST || (what == EV_STOP && b->stopped_at > 0))
		b->fast = true;
	if (what == EV_STOP && b->stopped_at == 0)
		b->stopped_at = b->now;
	ev.what = what;
	bed_event(b, ev);
}

/* Lets time pass, every deadline served the moment it falls due. */
static inline void
bed_pass(struct bed *b, uint64_t usec)
{
	uint64_t end = b->now + usec, next;
	unsigned int ticks = 0;

	while ((next = pool_deadline(b->p)) <= end) {
		if (ticks++ > 1000000)
			fail_msg("the pool's deadline does not move on");
		if (next > b->now)
			b->now = next;
		pool_tick(b->p, b->now);
		bed_act(b);
	}
	b->now = end;
}

/* A graceful stop, and the moments it takes to tell all who are idle. */
static inline void
bed_stop(struct bed *b)
{
	bed_tell(b, EV_STOP);
	bed_pass(b, pool_slots(b->p) * POOL_ACTIVITY_FIRST);
}

/* How many are on their way out, but not killed yet. */
static inline unsigned int
bed_going(const struct bed *b)
{
	return pool_count(b->p, SLOT_RETIRING) +
	    pool_count(b->p, SLOT_FREEZING) +
	    pool_count(b->p, SLOT_STOPPING);
}

/* The time until the next deadline. */
static inline uint64_t
bed_next(const struct bed *b)
{
	uint64_t when = pool_deadline(b->p);

	return when == NEVER ? NEVER : when - b->now;
}

/* How many slots are in a state, or hold a worker that is not on its way. */
static inline unsigned int
bed_staying(const struct bed *b)
{
	return pool_count(b->p, SLOT_SPAWNING) +
	    pool_count(b->p, SLOT_STARTING) + pool_count(b->p, SLOT_READY) +
	    pool_count(b->p, SLOT_BACKOFF);
}

#define assert_did(b, words)	assert_string_equal(bed_did(b), (words))
#define assert_state(b, slot, state) \
	assert_int_equal(pool_state((b)->p, (slot)), (state))

#endif
