/* SPDX-License-Identifier: ISC */
/* What slot.c and pool.c share of the pool, and nobody else sees. */
#ifndef SLOT_H
#define SLOT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "pool.h"

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
	enum look	 seen;
	bool		 settled;	/* its first start has had an outcome */
	bool		 leaving;	/* not replaced when it is gone */
	bool		 slow;		/* ended for being slow to start */
	bool		 told;		/* was sent the stop signal */
	bool		 busy;		/* when last examined */
	bool		 loops;		/* then, too */
	bool		 constant;	/* other connections at each look */
	uint64_t	 connection;	/* at the last one */
	uint64_t	 age;		/* of that */
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
	enum { PHASE_START, PHASE_UP, PHASE_STOP, PHASE_DONE } phase;
	struct slot	*slots;
	unsigned int	 nslots;
	unsigned int	 count[SLOT_NSTATES];
	struct slot_list lists[SLOT_NSTATES];
	struct slot_times times;
	uint64_t	 deadline;	/* of the start */
	uint64_t	 first_ready;	/* NEVER: none yet */
	unsigned int	 unsettled;	/* slots whose first start runs */
	unsigned int	 given_up;	/* slots that failed too often */
	unsigned int	 nleaving;
	bool		 fast;
	int64_t		 tokens;	/* millionths; below 0: owed */
	uint64_t	 refilled;
	uint64_t	 random;
	bool		 reloading;
	unsigned int	 generation;
	struct slot	*extra;		/* the reload's new worker */
	struct slot	*going;		/* the one it replaces */
	struct slot	*frozen;	/* the one in SLOT_FREEZING */
	uint64_t	 stop_by;	/* the stop's own deadline */
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

/* retire.c: how a worker goes without a request being lost */
slot_handler retire_begin, retire_timer, retire_examined;
slot_handler retire_halted, retire_freeze_timer, retire_freeze_examined;
slot_handler retire_stop_timer;
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
void	 slot_stray(struct pool *p, struct slot *s, pid_t pid, uint64_t now);
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
/* now + pause, at most NEVER. */
uint64_t slot_later(uint64_t now, uint64_t pause);

/* pool.c */
/* How many slots have, or are to have, a process. */
unsigned int pool_active(const struct pool *p);
/* How many of them will be left when those that leave are gone. */
unsigned int pool_staying(const struct pool *p);
/*
 * Takes the right to replace a crashed worker from the pool's bucket.
 * Returns how long that has to wait, 0: not at all.
 */
uint64_t pool_take_token(struct pool *p, uint64_t now);

#endif
