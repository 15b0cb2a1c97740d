/* SPDX-License-Identifier: ISC */
/* What slot.c and pool.c share of the pool, and nobody else sees. */
#ifndef POOL_SLOT_H
#define POOL_SLOT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "pool/pool.h"
#include "pool/trace.h"

struct slot {
	enum slot_state	 state;
	pid_t		 pid;
	unsigned int	 generation;	/* the reload it was started in */
	unsigned int	 proven;	/* the last one it was ready in */
	unsigned int	 failures;	/* failed starts in a row */
	unsigned int	 quick;		/* unseen exits 0 in a row */
	unsigned int	 tries;		/* starts in vain, in the start */
	uint64_t	 spawned;
	uint64_t	 deadline;
	uint64_t	 ready_by;	/* SLOT_STARTING: the start-timeout */
	uint64_t	 pause;		/* SLOT_STARTING: to the next look */
	uint64_t	 ready;		/* since when it is; 0: it is not */
	uint64_t	 expires;	/* SLOT_READY: by age; NEVER */
	uint64_t	 measure_at;	/* the next POOL_MEASURE_SIZE */
	uint64_t	 overdue_at;	/* the next POOL_OVERDUE_LOOK */
	uint64_t	 prove_at;	/* the next look of a reload's proof */
	pid_t		 late;		/* who was told for its old request */
	bool		 timed_out;
	bool		 expired;	/* to be replaced: too old or large */
	bool		 oversize;	/* only for that, which may wait */
	bool		 orphan;
	bool		 rest;		/* started in a stop, for who waits */
	bool		 served;	/* of a proof: seen with a connection */
	uint64_t	 proof;		/* that connection */
	bool		 settled;	/* its first start has had an outcome */
	bool		 leaving;	/* not replaced when it is gone */
	bool		 slow;		/* ended for being slow to start */
	bool		 told;		/* was sent the stop signal */
	bool		 kill;		/* frozen: a signal is no good */
	bool		 busy;		/* when last examined */
	bool		 turn;		/* idle, and waits to be stopped */
	bool		 threads;	/* then: several wait in accept */
	unsigned int	 idles;		/* looks at a orphan that did nothing */
	bool		 constant;	/* other requests at each look */
	uint64_t	 connection;	/* at the last one */
	uint64_t	 age;		/* of that */
	uint64_t	 unknown;	/* since then; 0: it was seen last */
	uint64_t	 retiring;	/* since when */
	uint64_t	 end_by;	/* when it is killed anyway */
	uint64_t	 thaw_by;	/* SLOT_FREEZING */
	RB_ENTRY(slot)	 by_time;
	TAILQ_ENTRY(slot) by_state;
};

TAILQ_HEAD(slot_list, slot);
RB_HEAD(slot_times, slot);

struct pool {
	struct pool_conf conf;
	enum pool_phase	 phase;
	unsigned int	 target;	/* workers wanted */
	bool		 unfit;		/* that has changed */
	struct pool_counts counts;
	struct slot	*slots;
	unsigned int	 nslots;
	unsigned int	 nused;		/* those behind were never used */
	unsigned int	 count[SLOT_NSTATES];
	struct slot_list lists[SLOT_NSTATES];
	struct slot_times times;
	uint64_t	 deadline;	/* of the start */
	uint64_t	 first_ready;	/* NEVER: none yet */
	unsigned int	 unsettled;	/* slots whose first start runs */
	unsigned int	 given_up;	/* slots that failed too often */
	unsigned int	 nleaving;
	unsigned int	 norphans;
	bool		 fast;
	int64_t		 tokens;	/* millionths; below 0: owed */
	uint64_t	 refilled;
	uint64_t	 random;
	bool		 reloading;
	bool		 proven;	/* the reload's program has served */
	uint64_t	 prove_by;	/* or is taken to; NEVER: not asked */
	unsigned int	 nexpired;
	unsigned int	 noversize;	/* of them */
	unsigned int	 renewals;	/* of them that failed in a row */
	unsigned int	 soon;		/* in a row too large at once */
	uint64_t	 soon_at;	/* the last of them */
	uint64_t	 renew_after;	/* for the next try */
	uint64_t	 resize_after;	/* and for one of those too large */
	unsigned int	 generation;
	struct slot	*extra;		/* the new worker of a renewal */
	struct slot	*going;		/* the one it replaces */
	struct slot	*frozen;	/* the one in SLOT_FREEZING */
	struct slot	*called;	/* the next, on its way there */
	uint64_t	 stop_by;	/* the stop's own deadline */
	bool		 draining;	/* the stop serves what waits */
	bool		 shut;		/* nothing new comes */
	uint64_t	 shut_by;	/* or will not from then on */
	bool		 asked;		/* since somebody could last serve */
	struct queue	 waiting;	/* when last asked */
	struct slot	*last;		/* frozen, until the queue is known */
	uint64_t	 drain_at;	/* when it is asked again; NEVER */
	uint64_t	 drain_pause;
	unsigned int	 drain_failures; /* in a row; or served nobody */
	struct trace	 trace;
	struct pool_action *actions;	/* a ring */
	unsigned int	 nactions;
	unsigned int	 head;
	unsigned int	 queued;
};

typedef void slot_handler(struct pool *, struct slot *,
    const struct pool_event *, uint64_t);

/* start.c: a worker until it is ready */
slot_handler start_spawned, start_nofork, start_looked, start_timer;
slot_handler start_exit;
/* Its start was in vain, whatever the event; sets the next one. */
slot_handler start_failed;

/* renew.c: a worker that is ready, and how it is replaced */
slot_handler renew_timer, renew_proved, renew_measured, renew_overdue;
/* A look for old requests, if it is time for one. */
void	 renew_look_overdue(struct pool *p, struct slot *s, uint64_t now);
/* It is ready from now on. */
void	 renew_ready(struct pool *p, struct slot *s, uint64_t now);
/* It is gone, or goes: that it was to be replaced is no matter any more. */
void	 renew_forget(struct pool *p, struct slot *s);
/* The new worker of a renewal was in vain. */
void	 renew_in_vain(struct pool *p, const struct slot *s);
/* A reload begins. */
void	 renew_reload(struct pool *p);
/* The reload's new program has failed, and the reload with it. */
void	 renew_failed(struct pool *p, const struct slot *s,
	    const struct pool_event *ev, uint64_t now);
/* One that is to be replaced, now if there is such a one, or NULL. */
struct slot *renew_find_old(const struct pool *p, uint64_t now);
/* One step of replacing what is old, if it is time for one. */
void	 renew_step(struct pool *p, uint64_t now);
/* When the next is due; NEVER: an event brings it. */
uint64_t renew_deadline(const struct pool *p);

/* drain.c: what still waits when the pool is to stop */
void	 drain_begin(struct pool *p, uint64_t now);
void	 drain_queue(struct pool *p, const struct queue *q, uint64_t now);
void	 drain_tick(struct pool *p, uint64_t now);
/* What follows from any event; returns true when nothing is left to do. */
bool	 drain_step(struct pool *p, uint64_t now);
/* May a worker that holds nothing be told to go? */
bool	 drain_allows(const struct pool *p);
/*
 * Is that frozen worker the last who could serve what waits? Then it is
 * asked for, and drain_queue() decides.
 */
bool	 drain_last(struct pool *p, struct slot *s);
/* One that had come up is gone; did it take anything of what waited? */
void	 drain_gone(struct pool *p, const struct slot *s, enum moved moved);

/* retire.c: how a worker goes without a request being lost */
slot_handler retire_begin, retire_timer, retire_examined;
slot_handler retire_halted, retire_freeze_timer, retire_freeze_examined;
slot_handler retire_stop_timer;
/* The frozen worker holds nothing: it goes. */
void	 retire_tell_frozen(struct pool *p, struct slot *s, uint64_t now);
/* It is continued and looked at again later. */
void	 retire_thaw(struct pool *p, struct slot *s, uint64_t pause,
	    uint64_t now);
/* Takes it back into the pool, if it was not told to go yet. */
bool	 retire_undo(struct pool *p, struct slot *s, uint64_t now);
/* Forgets that the slot's process is stopped: it is gone, or continued. */
void	 retire_forget(struct pool *p, const struct slot *s);

/* slot.c */
/* Puts a slot into a state; its deadline there is `when`. */
void	 slot_enter(struct pool *p, struct slot *s, enum slot_state state,
	    uint64_t when);
void	 slot_deadline(struct pool *p, struct slot *s, uint64_t when);
/* Queues an action for the slot. */
struct pool_action *slot_push(struct pool *p, const struct slot *s, int what);
/* Queues a signal: to the process group (whole), or the process alone. */
void	 slot_signal(struct pool *p, const struct slot *s, int signo,
	    bool whole);
/* Tells one slot of an event, by the table. */
void	 slot_event(struct pool *p, struct slot *s,
	    const struct pool_event *ev, uint64_t now);
/* Takes an empty slot for a process that a dead worker left behind. */
void	 slot_orphan(struct pool *p, struct slot *s, pid_t pid, uint64_t now);
/* Makes its worker leave, for good. */
void	 slot_end(struct pool *p, struct slot *s, uint64_t now);
/* The stop signal now, and KILL when it is not heeded in time. */
slot_handler slot_stop;
/* What follows from the exit of a worker that was ready. */
slot_handler slot_ready_exit;
/* A worker has served and exits 0, as it should now and then. */
void	 slot_recycle(struct pool *p, struct slot *s);
/*
 * Empties a slot whose process is gone if it is to leave, or if there are
 * more than wanted: then the reload's extra worker has taken its place.
 * Returns false if a new worker is due instead.
 */
bool	 slot_vacate(struct pool *p, struct slot *s);
void	 slot_spawn_after(struct pool *p, struct slot *s, uint64_t now,
	    uint64_t delay);
/* Hands the slot out to be started. */
void	 slot_spawn(struct pool *p, struct slot *s);
/* The slot with the next deadline, or NULL; and that it fell due. */
struct slot *slot_next_due(const struct pool *p);
void	 slot_fall_due(struct pool *p, struct slot *s, uint64_t now);
/* Queues a notice about a slot (NULL: the pool) to be filled in. */
struct pool_notice *slot_notice(struct pool *p, enum notice what,
	    const struct slot *s);
/* Some number, the same for the same seed. */
uint64_t slot_random(struct pool *p);
/* now + pause, at most NEVER. */
uint64_t slot_later(uint64_t now, uint64_t pause);

/* pool.c */
/* An empty slot, or NULL. */
struct slot *pool_empty(struct pool *p);
/* How many slots have, or are to have, a process. */
unsigned int pool_active(const struct pool *p);
/* How many of them will be left when those that leave are gone. */
unsigned int pool_staying(const struct pool *p);
/* May there be one more, with those that leave counted? */
bool	 pool_has_room(const struct pool *p);
/*
 * Takes the right to replace a crashed worker from the pool's bucket.
 * Returns how long that has to wait, 0: not at all.
 */
uint64_t pool_take_token(struct pool *p, uint64_t now);

#endif
