/* SPDX-License-Identifier: ISC */
/*
 * A test bed for the pool: a clock of its own, and a caller that carries
 * actions out as the daemon does, but without any process. What was done is
 * kept as a line of words, so that a test can say what it expects:
 *
 *	spawn0 look0 TERM>0 KILL>0 [ready 4] [exit 0] [failed tries] ...
 */
#ifndef BED_H
#define BED_H

#include <sys/types.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pool.h"
#include "unit.h"

#define MSEC		UINT64_C(1000)
#define BED_SLOTS	128
#define BED_STATUS(code) ((code) << 8)	/* of wait(2), for exit(code) */

struct bed {
	struct pool	*p;
	struct pool_conf conf;
	uint64_t	 now;
	pid_t		 pid;		/* the last one given out */
	enum look	 sees;		/* the answer to every look */
	bool		 show_looks;	/* put looks into the line, too */
	bool		 no_fork;	/* the answer to every spawn */
	unsigned int	 spawns, looks;
	pid_t		 pids[BED_SLOTS];
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
	    [NOTICE_NOFORK] = "nofork", [NOTICE_SLOW] = "slow",
	    [NOTICE_KILL] = "kill", [NOTICE_RELOAD_FAILED] = "reload-failed"
	};

	b->notice = *n;
	if (n->what == NOTICE_READY)
		bed_put(b, "[ready %u]", n->ready);
	else if (n->what == NOTICE_FAILED)
		bed_put(b, "[failed %s]", why[n->why]);
	else if (n->what == NOTICE_DONE)
		bed_put(b, "[done]");
	else if (n->what == NOTICE_RELOADED)
		bed_put(b, "[reloaded]");
	else
		bed_put(b, "[%s %u]", words[n->what], n->slot);
}

static inline void
bed_put_action(struct bed *b, const struct pool_action *a)
{
	if (a->what == POOL_SPAWN)
		bed_put(b, "spawn%u", a->slot);
	else if (a->what == POOL_LOOK && b->show_looks)
		bed_put(b, "look%u", a->slot);
	else if (a->what == POOL_SIGNAL)
		bed_put(b, "%s>%u", a->signo == SIGTERM ? "TERM" :
		    a->signo == SIGKILL ? "KILL" : "OTHER", a->slot);
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

/* Carries out one action as the daemon would. Returns false: none left. */
static inline bool
bed_act_once(struct bed *b)
{
	struct pool_event ev = { .what = EV_SPAWNED };
	struct pool_action a;

	if (!pool_next(b->p, &a))
		return false;
	bed_put_action(b, &a);
	ev.slot = a.slot;
	if (a.what == POOL_SPAWN) {
		b->spawns++;
		ev.pid = b->no_fork ? -1 : ++b->pid;
		b->pids[a.slot] = ev.pid;
		if (b->no_fork) {
			ev.what = EV_NOFORK;
			ev.error = 11;
		}
		pool_event(b->p, &ev, b->now);
	} else if (a.what == POOL_LOOK) {
		b->looks++;
		ev.what = EV_LOOKED;
		ev.look = b->sees;
		pool_event(b->p, &ev, b->now);
	}
	return true;
}

static inline void
bed_act(struct bed *b)
{
	while (bed_act_once(b))
		continue;
}

static inline void
bed_event(struct bed *b, struct pool_event ev)
{
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
	b->sees = LOOK_NO;
	b->p = pool_new(c, b->now);
	assert_non_null(b->p);
	return b;
}

static inline struct pool_conf
bed_conf(unsigned int workers)
{
	return (struct pool_conf){ .workers = workers,
	    .stop_signal = SIGTERM, .start_timeout = 60 * USEC,
	    .stop_timeout = 30 * USEC, .seed = 4711 };
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
bed_look(struct bed *b, unsigned int slot, enum look look)
{
	bed_event(b, (struct pool_event){ .what = EV_LOOKED, .slot = slot,
	    .look = look });
}

/* A pool whose workers are all ready. */
static inline struct bed *
bed_ready(unsigned int workers)
{
	struct bed *b = bed_starting(workers);
	unsigned int i;

	for (i = 0; i < workers; i++)
		bed_look(b, i, LOOK_READY);
	bed_did(b);
	return b;
}

static inline void
bed_free(struct bed *b)
{
	pool_free(b->p);
	free(b);
}

static inline void
bed_exit(struct bed *b, unsigned int slot, int code)
{
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = slot,
	    .status = BED_STATUS(code) });
}

static inline void
bed_exit_moved(struct bed *b, unsigned int slot, enum moved moved)
{
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = slot,
	    .moved = moved });
}

static inline void
bed_crash(struct bed *b, unsigned int slot)
{
	bed_event(b, (struct pool_event){ .what = EV_EXIT, .slot = slot,
	    .status = SIGSEGV });
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
