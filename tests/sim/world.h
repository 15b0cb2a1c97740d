/* SPDX-License-Identifier: ISC */
/*
 * Processes made of numbers, for pool_sim.c: what they are, what they take
 * from a queue, how they meet a signal and how they end. A worker is one
 * process, with threads or as an event loop or neither; or it leads others,
 * which stay when it has ended.
 */
#ifndef WORLD_H
#define WORLD_H

#include <sys/types.h>

#include <inttypes.h>
#include <signal.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"
#include "sim.h"

#define MS		UINT64_C(1000)
#define SLOTS		80
#define PROCS		(SLOTS + 48)	/* the others are in no slot */
#define CONNS		4
#define KEEP_IDLE	(100 * MS)
#define EXEC_TIME	(10 * USEC)

struct conn {
	uint64_t	 id;		/* 0: none */
	uint64_t	 began;		/* its request */
	uint64_t	 quiet;		/* since then; 0: it is served */
	uint64_t	 until;		/* the end of either */
};

struct proc {
	pid_t		 pid;		/* 0: none */
	unsigned int	 room;		/* for connections */
	bool		 catches;	/* the stop signal */
	bool		 deaf;		/* but goes on serving */
	bool		 hidden, was_hidden;
	bool		 brittle;	/* ends if accept fails */
	bool		 recycles;	/* ends by itself now and then */
	bool		 keeps;		/* connections, for the next request */
	bool		 is_master, threads, is_event_loop, job;
	bool		 term_sent, stopped;
	bool		 untraceable;	/* its door cannot be closed */
	bool		 filtered;	/* it dies when it is continued */
	bool		 passes;	/* its stop signal on to its children */
	uint64_t	 shut_at;	/* its door is closed from then on */
	bool		 drains;	/* but lets in what waits */
	bool		 told;		/* there: it reads no request */
	bool		 excused;	/* ended for being slow or late */
	bool		 guessed;	/* what it waits for cannot be seen */
	bool		 seen;		/* to wait for work, or with some */
	bool		 elsewhere;	/* it waits for other connections */
	bool		 limited;	/* and for the clock */
	enum start_cause cause;		/* of its end, if that shows it */
	uint64_t	 pause;		/* from STOP until it has stopped */
	uint64_t	 stopped_at, halts_at;
	uint64_t	 halt_at;	/* when that is told; NEVER */
	uint64_t	 ready_at, die_at;
	int		 status;
	struct conn	 c[CONNS];
	pid_t		 leader;
	uint64_t	 report_at;	/* it has lost that; NEVER */
};

/* What is known of a slot. */
struct track {
	enum slot_state	 state;
	pid_t		 pid;
	uint64_t	 since;		/* it is that in it */
	uint64_t	 going;		/* on its way out; 0: it is not */
	uint64_t	 looked;
	uint64_t	 counted;	/* its requests, the last time */
	unsigned int	 owed;		/* so many, when it was told */
};

struct world {
	struct sim	*sim;
	struct pool	*p;
	struct pool_conf conf;
	bool		 shared;	/* another pool has the socket, too */
	struct proc	 procs[PROCS];
	struct track	 tracks[SLOTS];
	unsigned int	 used, end;	/* slots, and procs, so far */
	unsigned int	 queue[SLOTS];	/* slots whose start waits, a ring */
	unsigned int	 first, nqueue;
	pid_t		 sharing;	/* who is not its program yet */
	uint64_t	 free_at;	/* or has left by then */
	pid_t		 pid;
	uint64_t	 now, arrival, mean, connection, hash, events;
	uint64_t	 stopped_at;
	uint64_t	 due_at;	/* the announced stop */
	uint64_t	 fits_at;	/* no more are ready than wanted */
	uint64_t	 lost;		/* requests whose process was ended */
	uint64_t	 counted;	/* those that the pool was told of */
	unsigned int	 depth, left;
	unsigned int	 waits;		/* as the pool was told */
	unsigned int	 waited;	/* before what it asks for now */
	bool		 blind;		/* the queue cannot be seen */
	bool		 blinks;	/* now and then */
	bool		 open;		/* nor be kept from growing */
	bool		 announced, due;
	bool		 calm, stopping, fast, closed, shut, failed, done;
	uint64_t	 shut_at;
	bool		 unsure;	/* it could not be, once in a stop */
};

static struct world w;

static inline bool
chance(unsigned int n)
{
	return !w.calm && sim_random(w.sim) % n == 0;
}

/* The next that was ever in use. */
static inline unsigned int
after(unsigned int i)
{
	return i + 1 == w.used ? SLOTS : i + 1;
}

static inline unsigned int
connections(const struct proc *p)
{
	unsigned int i, n = 0;

	for (i = 0; i < CONNS; i++)
		n += p->c[i].id != 0;
	return n;
}

/* Is a request still on its way in? A part of them takes long for that. */
static inline bool
reads(const struct proc *p)
{
	unsigned int i;

	for (i = 0; i < CONNS; i++) {
		if (p->c[i].id % 3 == 1 && p->c[i].quiet == 0)
			return true;
	}
	return false;
}

/* Requests that are lost with it. */
static inline unsigned int
requests(const struct proc *p)
{
	unsigned int i, n = 0;

	for (i = 0; i < CONNS; i++)
		n += p->c[i].id != 0 && p->c[i].quiet == 0;
	return n;
}

/* It runs on for a moment when it is sent STOP. */
static inline bool
runs(const struct proc *p)
{
	return !p->stopped || w.now < p->halts_at;
}

static inline bool
accepts(const struct proc *p)
{
	return p->pid != 0 && runs(p) && (p->shut_at > w.now || p->drains) &&
	    !p->is_master && !p->job &&
	    connections(p) < p->room && p->ready_at <= w.now &&
	    p->die_at == NEVER && (!p->term_sent || p->deaf);
}

static inline void
begin(struct conn *c)
{
	c->began = w.now;
	c->quiet = 0;
	c->until = chance(200) ? NEVER :
	    w.now + sim_exponential(w.sim, 20 * MS) + 1;
}

static inline void
serve(void)
{
	unsigned int i, k;

	for (i = 0; i < w.end && w.depth > 0; i = after(i)) {
		while (w.depth > 0 && accepts(&w.procs[i])) {
			for (k = 0; w.procs[i].c[k].id != 0; )
				k++;
			w.depth--;
			w.procs[i].c[k].id = ++w.connection;
			begin(&w.procs[i].c[k]);
		}
	}
}

static inline void
lose(const struct proc *p)
{
	w.lost += requests(p);
	if (requests(p) > 0 && w.sim->verbose)
		printf("# %" PRIu64 " process %d: lost %u\n", w.now,
		    (int)p->pid, requests(p));
}

static inline void
die(struct proc *p, int status)
{
	if (p->die_at == NEVER || status == SIGKILL) {
		p->status = status;
		p->die_at = w.now + sim_between(w.sim, 1, MS);
	}
}

/* It has met its stop signal, or meets it when it is continued. */
static inline void
heed(struct proc *p)
{
	if (p->stopped || p->die_at != NEVER)
		return;
	if (!p->catches) {
		lose(p);
		die(p, w.conf.stop_signal);
	} else if (!p->deaf && requests(p) == 0)
		die(p, 0);
}

/* A request is answered, or its connection closed or used again. */
static inline void
conn_due(struct proc *p, struct conn *c)
{
	bool again = !(w.calm && w.stopping);

	if (c->quiet == 0 && p->keeps && !p->term_sent && again) {
		c->quiet = w.now;
		c->until = w.now + sim_exponential(w.sim, 150 * MS) + 1;
	} else if (c->quiet != 0 && sim_random(w.sim) % 2 && !p->told)
		begin(c);
	else
		*c = (struct conn){ 0 };
	if (p->term_sent)
		heed(p);
	else if (p->recycles && requests(p) == 0 && chance(20))
		die(p, 0);
}

static inline void
proc_kind(struct proc *p)
{
	*p = (struct proc){ .pid = ++w.pid, .room = 1, .die_at = NEVER,
	    .halt_at = NEVER, .report_at = NEVER, .ready_at = w.now,
	    .shut_at = NEVER, .untraceable = w.pid % 9 == 0,
	    .filtered = w.conf.door && w.pid % 9 == 1,
	    .catches = sim_random(w.sim) % 2, .deaf = chance(10),
	    .hidden = chance(10), .brittle = chance(4),
	    .recycles = chance(4), .keeps = chance(4),
	    .is_event_loop = chance(6), .threads = chance(4) };
	p->was_hidden = p->hidden;
	p->pause = !chance(3) ? 10 : chance(3) ? USEC :
	    sim_between(w.sim, 1, 60 * MS);
	if (p->is_event_loop || p->threads)
		p->room = (unsigned int)sim_between(w.sim, 2, CONNS);
}

/* One that a leader has, or had (leader: 0). Returns NULL if there is none. */
static inline struct proc *
proc_child(pid_t leader, uint64_t ready_at)
{
	unsigned int i;

	for (i = SLOTS; i < PROCS && w.procs[i].pid != 0; )
		i++;
	if (i == PROCS)
		return NULL;
	if (i >= w.end)
		w.end = i + 1;
	proc_kind(&w.procs[i]);
	w.procs[i].leader = leader;
	w.procs[i].ready_at = ready_at;
	return &w.procs[i];
}

static inline void
proc_start(struct proc *p)
{
	unsigned int n;

	proc_kind(p);
	p->ready_at = w.now + sim_between(w.sim, 1, chance(6) ? 4 * USEC :
	    100 * MS);
	/* One that is started in a stop may hang: it has the stop's time. */
	if (w.stopping && !w.calm && p->pid % 8 == 0)
		p->ready_at = NEVER;
	if (chance(12)) {
		p->status = chance(3) ? 0 : 1 << 8;
		p->die_at = w.now + sim_between(w.sim, 1, 50 * MS);
		p->ready_at = NEVER;
		p->guessed = chance(2);
		if (p->status == 0 && chance(2))
			p->cause = chance(2) ? CAUSE_CGI : CAUSE_LEFT;
		return;
	}
	p->elsewhere = chance(30);
	p->limited = p->elsewhere && chance(2);
	if (p->elsewhere && (!p->limited || chance(2))) {
		p->ready_at = NEVER;
		return;
	}
	p->guessed = chance(8);
	if ((p->is_master = chance(8)) == false)
		return;
	p->is_event_loop = p->threads = p->recycles = false;
	p->passes = w.conf.door && !p->untraceable && w.pid % 2;
	for (n = (unsigned int)sim_between(w.sim, 1, 3); n > 0; n--)
		proc_child(p->pid, p->ready_at);
	/* What it has started aside serves nobody. */
	if (chance(3)) {
		struct proc *job = proc_child(p->pid, p->ready_at);

		if (job != NULL) {
			job->job = true;
			job->threads = job->is_event_loop = false;
		}
	}
}

static inline bool
is_child_of(const struct proc *p, pid_t leader)
{
	return p->pid != 0 && leader != 0 && p->leader == leader;
}

/* Whoever of its children serves. */
static inline bool
leads_now(const struct proc *p)
{
	unsigned int i;

	for (i = SLOTS; i < w.end; i++) {
		if (is_child_of(&w.procs[i], p->pid) && !w.procs[i].job)
			return p->is_master;
	}
	return false;
}

static inline struct activity
examine(const struct proc *p)
{
	struct activity x = { .holds = HOLDS_NOTHING, .catches = p->catches,
	    .frozen = !runs(p) };
	unsigned int i;

	if (p->hidden) {
		x.holds = HOLDS_UNKNOWN;
		x.threaded = p->threads;
		x.reads = reads(p);
		return x;
	}
	x.threaded = p->threads;
	x.is_event_loop = p->is_event_loop;
	x.reads = reads(p);
	for (i = 0; i < CONNS; i++) {
		const struct conn *c = &p->c[i];

		if (c->id == 0)
			continue;
		if (x.holds != HOLDS_BUSY)
			x.holds = c->quiet != 0 &&
			    w.now - c->quiet >= KEEP_IDLE ? HOLDS_QUIET :
			    HOLDS_BUSY;
		if (x.connection == 0) {
			x.connection = c->id;
			x.age = w.now - c->began;
		}
	}
	x.needs_door = p->filtered || p->shut_at != NEVER || leads_now(p);
	x.is_master = x.holds == HOLDS_NOTHING && leads_now(p);
	x.sleeping = x.holds == HOLDS_QUIET || (!p->threads && accepts(p));
	return x;
}

/* What a worker does whose door is closed: what was answered is quiet. */
static inline struct activity
examine_tree(unsigned int slot)
{
	struct activity x = { .holds = HOLDS_NOTHING };
	pid_t leader = w.procs[slot].pid;
	unsigned int i, k;

	for (i = 0; i < w.end; i = after(i)) {
		const struct proc *p = &w.procs[i];

		if (i != slot && !is_child_of(p, leader))
			continue;
		if (p->hidden)
			return (struct activity){ .holds = HOLDS_UNKNOWN };
		x.threaded |= i != slot || p->threads;
		x.is_event_loop |= p->is_event_loop;
		x.sleeping |= !p->job && !p->is_master &&
		    connections(p) < p->room;
		for (k = 0; k < CONNS; k++) {
			if (p->c[k].id == 0)
				continue;
			if (x.holds != HOLDS_BUSY)
				x.holds = p->c[k].quiet != 0 ? HOLDS_QUIET :
				    HOLDS_BUSY;
			x.connection = p->c[k].id;
			x.age = w.now - p->c[k].began;
		}
	}
	return x;
}

/* The oldest request of a worker, and who serves it. */
static inline const struct conn *
oldest(unsigned int slot, pid_t *pid)
{
	pid_t leader = w.procs[slot].pid;
	const struct conn *c, *old = NULL;
	unsigned int i, k;

	for (i = 0; i < w.end; i = after(i)) {
		const struct proc *p = &w.procs[i];

		if (i != slot && !is_child_of(p, leader))
			continue;
		for (k = 0; k < CONNS; k++) {
			c = &p->c[k];
			if (c->id != 0 && c->quiet == 0 &&
			    (old == NULL || c->began < old->began)) {
				old = c;
				*pid = p->pid;
			}
		}
	}
	return old;
}

/* When something happens to a process by itself. */
static inline uint64_t
proc_next(const struct proc *p)
{
	uint64_t t = p->die_at < p->halt_at ? p->die_at : p->halt_at;
	unsigned int i;

	if (p->report_at < t)
		t = p->report_at;
	if (w.depth > 0 && p->ready_at > w.now && p->ready_at < t)
		t = p->ready_at;
	for (i = 0; runs(p) && i < CONNS; i++) {
		if (p->c[i].id != 0 && p->c[i].until < t)
			t = p->c[i].until;
	}
	return t;
}

#endif
