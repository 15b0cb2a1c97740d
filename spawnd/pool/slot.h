/* SPDX-License-Identifier: ISC */
/*
 * What the files of the pool share of it, and nobody else sees. All times and
 * ages are in microseconds, and `now` is that of pool_event() or pool_tick().
 */
#ifndef POOL_SLOT_H
#define POOL_SLOT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "pool/pool.h"
#include "pool/times.h"
#include "pool/trace.h"

/* Is a worker to be replaced? */
enum expired {
	EXPIRED_NOT,
	EXPIRED_SIZE,		/* too large, which may wait */
	EXPIRED_AGE		/* too old, whatever its size is */
};

/* What a worker has to do with the replacement of old ones; see replace.c. */
enum replace_state {
	REPLACE_NOT,
	REPLACE_SURGE,		/* one more, which is to become ready */
	REPLACE_CANARY,		/* it is, and is to serve a request */
	REPLACE_OUTGOING,	/* an old one goes */
	REPLACE_NSTATES
};

struct slot {
	enum slot_state	 state;
	enum replace_state replace;
	pid_t		 pid;
	unsigned int	 generation;	/* the reload it was started in */
	unsigned int	 ready_generation; /* the last it was ready in */
	unsigned int	 failures;	/* failed starts in a row */
	unsigned int	 exit0_streak;	/* unseen exits 0 in a row */
	unsigned int	 tries;		/* failed starts, in the start */
	uint64_t	 spawned;
	uint64_t	 deadline;
	uint64_t	 ready_by;	/* SLOT_STARTING: the start-timeout */
	uint64_t	 pause;		/* SLOT_STARTING: to the next look */
	uint64_t	 ready;		/* since when it is; 0: it is not */
	uint64_t	 expires;	/* SLOT_READY: by age; NEVER */
	uint64_t	 measure_at;	/* the next POOL_MEASURE_SIZE */
	uint64_t	 request_at;	/* the next POOL_CHECK_REQUEST */
	uint64_t	 canary_at;	/* the next look at a canary */
	pid_t		 slow_pid;	/* is killed for its request */
	bool		 request_timed_out; /* it serves that itself */
	enum expired	 expired;
	bool		 orphan;
	bool		 drain_helper;	/* started in a stop, for what waits */
	uint64_t	 canary;	/* a connection it was seen with */
	bool		 start_decided;	/* its first start had an outcome */
	bool		 retiring_for_good; /* not replaced when it is gone */
	bool		 start_timed_out; /* ended for being slow to start */
	bool		 elsewhere;	/* or since it listens elsewhere */
	bool		 elsewhere_yet;	/* which was said while it may change */
	bool		 seen;		/* to accept, or with a connection */
	bool		 term_sent;	/* was sent the stop signal */
	uint64_t	 term_sent_at;	/* then */
	bool		 kill;		/* frozen: a signal is no good */
	bool		 busy;		/* when last looked at */
	bool		 no_door;	/* it cannot be kept at its door */
	bool		 freeze_queued;	/* idle: it is frozen in its turn */
	bool		 threads;	/* then: several wait in accept */
	unsigned int	 idle_looks;	/* at an orphan that did nothing */
	uint64_t	 connection;	/* at the last one */
	uint64_t	 age;		/* of that */
	uint64_t	 begun;		/* when that was, about */
	bool		 several;	/* it may serve more than that one */
	uint64_t	 stops;		/* that it may have at its door */
	uint64_t	 rested;	/* when its last rest began, or 0 */
	unsigned int	 owed;		/* requests, when it was signalled */
	uint64_t	 owed_since;	/* then, less the age of the oldest */
	uint64_t	 unknown;	/* since then; 0: it was seen last */
	uint64_t	 retiring;	/* since when */
	uint64_t	 end_by;	/* when it is killed anyway */
	uint64_t	 thaw_by;	/* SLOT_FREEZING */
	uint64_t	 closed;	/* SLOT_DOOR: since when */
	bool		 is_closed;	/* and nothing new comes in */
	bool		 paused;	/* and nobody waits for a request */
	uint64_t	 closing;	/* so long its door may take to close */
	uint64_t	 pausing;	/* since then it is to be so; or 0 */
	uint64_t	 quiet;		/* a connection that it waited on */
	uint64_t	 quiet_since;	/* when it was first seen so; or 0 */
	RB_ENTRY(slot)	 by_time;
	TAILQ_ENTRY(slot) by_state;
};

TAILQ_HEAD(slot_list, slot);
RB_HEAD(slot_times, slot);

enum reload_state {
	RELOAD_OFF,
	RELOAD_CANARY,		/* the program has not served yet */
	RELOAD_ROLLING		/* it has, or did not fail for long enough */
};

/* How far a stop is that serves what waits; see drain.c. */
enum drain_state {
	DRAIN_OFF,		/* no stop, or one that serves nobody */
	DRAIN_REFUSED,		/* new ones are kept out, where that can be */
	DRAIN_SHUT,		/* nothing new comes */
	DRAIN_LAST,		/* the last who serves is frozen: what waits? */
	DRAIN_ALONE,		/* nobody serves: what waits? */
	DRAIN_ASKED,		/* that is known */
	DRAIN_NSTATES
};

struct pool {
	struct pool_conf conf;
	enum pool_phase	 phase;
	unsigned int	 target;	/* workers wanted */
	bool		 resize_pending; /* that has changed */
	struct pool_counts counts;
	struct slot	*slots;
	unsigned int	 nslots;
	unsigned int	 nused;		/* those behind were never used */
	unsigned int	 count[SLOT_NSTATES];
	struct slot_list lists[SLOT_NSTATES];
	struct slot_times times;
	uint64_t	 deadline;	/* of the start */
	uint64_t	 first_ready;	/* NEVER: none yet */
	unsigned int	 undecided;	/* slots whose first start runs */
	unsigned int	 given_up;	/* slots that failed too often */
	unsigned int	 nretiring;	/* for good */
	unsigned int	 norphans;
	bool		 fast;
	int64_t		 tokens;	/* millionths; below 0: owed */
	uint64_t	 refilled;
	uint64_t	 random;
	enum reload_state reload;
	unsigned int	 unseen;	/* its exits 0 of those not seen */
	unsigned int	 nsurge;	/* in REPLACE_SURGE and CANARY */
	unsigned int	 noutgoing;	/* in REPLACE_OUTGOING */
	struct slot	*canary;	/* the one in REPLACE_CANARY, or NULL */
	uint64_t	 canary_by;	/* then: or it is over */
	unsigned int	 nexpired;
	unsigned int	 noversize;	/* of them */
	unsigned int	 replace_failures; /* in a row, of surge workers */
	unsigned int	 oversize_streak; /* in a row too large at once */
	uint64_t	 oversize_at;	/* the last of them */
	uint64_t	 replace_after;	/* for the next try */
	uint64_t	 resize_after;	/* and for one of those too large */
	unsigned int	 generation;
	struct slot	*frozen;	/* the one in SLOT_FREEZING */
	struct slot	*freeze_next;	/* the next one there */
	bool		 announced;	/* a stop is; the pool is up */
	uint64_t	 stop_at;	/* when it is due; NEVER */
	uint64_t	 stop_by;	/* the stop's own deadline */
	enum drain_state drain;
	uint64_t	 shut_by;	/* nothing new comes from then on */
	struct queue	 waiting;	/* when last asked */
	uint64_t	 drain_at;	/* when it is asked again; NEVER */
	uint64_t	 drain_pause;
	unsigned int	 drain_width;	/* workers it had before */
	unsigned int	 drain_failures; /* in a row; or served nobody */
	bool		 drain_noted;	/* one since some were started last */
	struct trace	 trace;
	struct pool_action *actions;	/* a ring */
	unsigned int	 nactions;
	unsigned int	 head;
	unsigned int	 queued;
	struct pool_action spilt;	/* one that found no place in it */
};

typedef void slot_handler(struct pool *, struct slot *,
    const struct pool_event *, uint64_t);

/* table.c: what each event does in each state */
void	 table_event(struct pool *p, struct slot *s,
	    const struct pool_event *ev, uint64_t now);
/* Counts an event that cannot be; a slot of NULL: it names none that is. */
slot_handler table_never;
/* Has the event an effect in that state? May it come there, without one? */
bool	 table_acts(enum slot_state state, enum pool_event_kind event);
bool	 table_ignores(enum slot_state state, enum pool_event_kind event);

/* start.c: a worker until it is ready */
slot_handler start_spawned, start_nofork, start_unspawned;
slot_handler start_readiness, start_timer;
slot_handler start_exit, start_backoff_timer, start_backoff_end;
/* Its start has failed, whatever the event; sets the next one. */
slot_handler start_failed;
/* Notes in *n how the slot's worker has ended, as the event says. */
void	 start_note(struct pool_notice *n, const struct slot *s,
	    const struct pool_event *ev, uint64_t now);

/* replace.c: a worker that is ready, and how it is replaced */
slot_handler replace_timer, replace_canary, replace_measured;
slot_handler replace_slow_request;
/* Asks for a look for old requests, if it is time for one. */
void	 replace_check_request(struct pool *p, struct slot *s, uint64_t now);
/* It is ready from now on. */
void	 replace_ready(struct pool *p, struct slot *s, uint64_t now);
/* It is gone, or goes: it is not too old or too large any more. */
void	 replace_forget(struct pool *p, struct slot *s);
/* Is it one more, that there is to replace an old one? */
bool	 replace_is_surge(const struct slot *s);
/* Is a reload under way, and was it started in that? */
bool	 replace_is_new(const struct pool *p, const struct slot *s);
/* Is it an old one, on its way out? */
bool	 replace_is_outgoing(const struct slot *s);
/* It leaves; or it is gone, and its slot is empty. */
void	 replace_left(struct pool *p, struct slot *s);
void	 replace_vacated(struct pool *p, struct slot *s);
/* A ready worker has ended as it should; or not. */
void	 replace_served(struct pool *p, struct slot *s);
void	 replace_crashed(struct pool *p, const struct slot *s,
	    const struct pool_event *ev, uint64_t now);
/* A reload begins. */
void	 replace_reload(struct pool *p);
/* The reload's new program has failed, and the reload with it. */
void	 replace_failed(struct pool *p, const struct slot *s,
	    const struct pool_event *ev, uint64_t now);
/* Returns a slot to be replaced: now, else one that has to wait; or NULL. */
struct slot *replace_find_old(const struct pool *p, uint64_t now);
/* Goes on with replacing what is old, as far as it is time for that. */
void	 replace_step(struct pool *p, uint64_t now);
/* Returns when the next step is due; NEVER: only an event brings it. */
uint64_t replace_deadline(const struct pool *p);

/* announce.c: a stop that is yet to come */
void	 announce_begin(struct pool *p, uint64_t delay, uint64_t now);
/* It has begun, or is taken back. */
void	 announce_end(struct pool *p);
void	 announce_tick(struct pool *p, uint64_t now);

/* retire.c: how a worker goes without a request being lost */
slot_handler retire_timer, retire_activity, retire_frozen, retire_gone;
slot_handler retire_freeze_timer, retire_freeze_activity, retire_stop_timer;
/* What it serves: when it is signalled, and when it is killed. */
slot_handler retire_stopped_held, retire_killed_held;
/* It is to leave for good, once its process is there or is gone. */
slot_handler retire_leave;
/* It is to leave: it begins to; or it does so already, and may hurry. */
slot_handler retire_end, retire_end_again;
/* It begins to, and the caller takes it from there: it is not looked at. */
slot_handler retire_unseen;
/* Does a process that was left behind neither serve nor wait for work? */
bool	 retire_is_idle_orphan(const struct slot *s, const struct activity *x);
/* The frozen worker holds nothing: it goes. */
void	 retire_stop_frozen(struct pool *p, struct slot *s, uint64_t now);
/* It is continued and looked at again later. */
void	 retire_thaw(struct pool *p, struct slot *s, uint64_t pause,
	    uint64_t now);
/* Takes it back into the pool, unless it was sent its stop signal. */
bool	 retire_undo(struct pool *p, struct slot *s, uint64_t now);

/* freeze.c: whose turn it is to be stopped; one waits for it, or begins it */
bool	 freeze_has_turn(const struct pool *p, const struct slot *s);
void	 freeze_queue(struct pool *p, struct slot *s, uint64_t now);
void	 freeze_begin(struct pool *p, struct slot *s, uint64_t now);
/* If nobody is stopped, whoever waits for that is looked at now. */
void	 freeze_wake(struct pool *p);
/* Forgets that the slot's process is stopped: it is gone, or continued. */
void	 freeze_forget(struct pool *p, const struct slot *s);

/* door.c: how a worker goes that is busy, or leads others */
slot_handler door_answered, door_tree, door_timer, door_end;
/* Closes its door. Returns false, having done nothing, if that cannot be. */
bool	 door_begin(struct pool *p, struct slot *s, uint64_t now);

/* slot.c */
/* Puts a slot into a state; its deadline there is `when`. */
void	 slot_enter(struct pool *p, struct slot *s, enum slot_state state,
	    uint64_t when);
void	 slot_deadline(struct pool *p, struct slot *s, uint64_t when);
/* Queues an action for the slot. */
struct pool_action *slot_push(struct pool *p, const struct slot *s,
	    enum pool_action_kind what);
/* Queues a signal: to the process group (whole), or the process alone. */
void	 slot_signal(struct pool *p, const struct slot *s, int signo,
	    bool whole);
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
 * more than wanted: then the surge worker has taken its place.
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
/* first, doubled n - 1 times, at most last. */
uint64_t slot_doubled(uint64_t first, unsigned int n, uint64_t last);
/* now + pause, at most NEVER. */
uint64_t slot_later(uint64_t now, uint64_t pause);
/* A look at a busy worker has found that connection, among others perhaps. */
void	 slot_serves(struct slot *s, const struct activity *x, uint64_t now);

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
