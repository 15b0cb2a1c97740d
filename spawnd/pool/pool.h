/* SPDX-License-Identifier: ISC */
/*
 * The pool: which worker is to be started, looked at, signalled, and when.
 * It is pure. Time comes in as an argument (microseconds of one monotonic
 * clock), events come in through pool_event(), and what has to be done goes
 * out through pool_next(). The caller carries each action out, in their order,
 * and passes its answer in at once; other events only once no action is left.
 * Only POOL_SPAWN may take its time, and its answer come as any other event.
 *
 * All times, ages, pauses and delays are in microseconds. A slot is a number
 * below pool_slots().
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/units.h"
#include "pool/seen.h"

#define POOL_FAST_STOP		(2 * USEC)	/* INT: signal to KILL */
#define POOL_ORPHANS		64		/* slots for them */
#define POOL_CANARY		(2 * USEC)	/* a reload waits so long */

enum slot_state {
	SLOT_EMPTY,		/* no process, none wanted */
	SLOT_SPAWNING,		/* handed out as POOL_SPAWN, no answer yet */
	SLOT_STARTING,		/* a process that was not seen ready yet */
	SLOT_READY,
	SLOT_RETIRING,		/* to go once it holds no connection */
	SLOT_FREEZING,		/* was sent STOP, to be sure of that */
	SLOT_DOOR,		/* gets no new connection, serves what it has */
	SLOT_STOPPING,		/* was sent the stop signal */
	SLOT_KILLED,		/* was sent KILL */
	SLOT_BACKOFF,		/* no process, a start is due at its deadline */
	SLOT_NSTATES
};

enum pool_event_kind {
	EV_SPAWNED,	/* slot, pid: a POOL_SPAWN was carried out */
	EV_NOFORK,	/* slot, failed, error: it could not be */
	EV_UNSPAWNED,	/* slot: it was not, see pool_wants_spawn() */
	EV_READINESS,	/* slot, readiness: of a POOL_CHECK_READY */
	EV_ACTIVITY,	/* slot, activity: of a POOL_CHECK_ACTIVITY */
	EV_FROZEN,	/* slot: its process has stopped, not only by us */
	EV_EXIT,	/* slot, status, exec_failed, moved, cause: it has
			   ended, and may yet have to be reaped */
	EV_CANARY,	/* slot, activity.connection: of its whole tree,
			   no_traffic */
	EV_MEASURED,	/* slot, size: of a POOL_MEASURE_SIZE */
	EV_SLOW_REQUEST, /* slot, request: of a POOL_CHECK_REQUEST */
	EV_HELD,	/* slot, held: of a POOL_CHECK_HELD */
	EV_DOOR,	/* slot, door: a POOL_DOOR_CLOSE or CHECK was, or a
			   task has come to it */
	EV_TREE,	/* slot, activity: of a POOL_CHECK_TREE */
	EV_TIMER,	/* slot: its deadline (pool_tick() only) */
	EV_END,		/* slot: must go (within the pool only) */
	EV_NSLOT,	/* above: of one slot; below: of the pool */
	EV_ORPHAN,	/* pid: a process a dead worker left behind */
	EV_TARGET,	/* workers: so many are wanted from now on */
	EV_QUEUE,	/* queue: a POOL_QUEUE was carried out */
	EV_SHARED,	/* shared: see pool_conf; from now on, if the pool
			   does not stop */
	EV_RELOAD,
	EV_ANNOUNCE,	/* delay: then a stop is due; till then all goes on.
			   No effect but on a pool that is up */
	EV_RESUME,	/* none is */
	EV_SATURATED,	/* connections wait, and all workers are busy: for
			   the trace alone */
	EV_RELIEVED,	/* that is over */
	EV_STOP,	/* a second one is EV_STOP_FAST */
	EV_STOP_FAST
};

struct pool_event {
	enum pool_event_kind what;
	unsigned int	 slot;
	pid_t		 pid;
	const char	*failed;	/* the step; it stays where it is */
	int		 error;		/* why; errno */
	enum readiness	 readiness;
	struct activity	 activity;
	bool		 no_traffic;	/* no request will come to it soon */
	int		 status;	/* of wait(2), or STATUS_UNKNOWN */
	bool		 exec_failed;	/* it never became its program */
	bool		 cancelled;	/* nor was it to: it had to go */
	enum moved	 moved;		/* asked for by pool_wants_queue() */
	enum start_cause cause;		/* asked for by pool_wants_cause() */
	uint64_t	 size;		/* bytes; 0: unknown */
	struct slow_request request;
	struct held_requests held;
	struct queue	 queue;
	bool		 shared;
	enum door_state	 door;
	unsigned int	 workers;	/* at most pool_max() */
	uint64_t	 delay;		/* NEVER: no time is set */
};

enum notice {
	NOTICE_READY,		/* the start is over; ready: how many */
	NOTICE_FAILED,		/* the start has failed; why */
	NOTICE_DUE,		/* the stop that was announced */
	NOTICE_DONE,		/* stopped, no process is left */
	NOTICE_EXIT,		/* pid, status, cause, age, was_ready, delay */
	NOTICE_NOFORK,		/* failed, error, delay */
	NOTICE_START_TIMEOUT,		/* pid: not ready in time, is ended */
	NOTICE_ELSEWHERE,	/* pid: READY_ELSEWHERE, is ended; or delay:
				   will be then, unless it is ready */
	NOTICE_KILLED_IDLE,	/* pid: did not heed its stop signal */
	NOTICE_KILLED_BUSY,	/* pid, count, known, holder, age: killed, with
				   so many requests; delay: of a fast stop */
	NOTICE_TOLD_BUSY,	/* pid, count, holder, age: was sent its stop
				   signal with so many requests, and has ended,
				   perhaps before it had answered */
	NOTICE_GROWN,		/* pid, size: too large, is replaced */
	NOTICE_TOO_SMALL,	/* the limit is, for any worker; delay */
	NOTICE_REQUEST_TIMEOUT,	/* pid, holder, age: its request is ended */
	NOTICE_QUEUE_ABANDONED,	/* count: still waited when the stop ended */
	NOTICE_RELOADED,
	NOTICE_RELOAD_FAILED,	/* pid, cause, or failed, error: the new one */
	NOTICE_NEVER,		/* slot, state, event: cannot be; once a pool */
	NOTICE_OVERFLOW		/* an action was lost; once a pool */
};

/* Why a start has failed. */
enum start_failure {
	FAILED_EXEC,	/* the program could not be executed */
	FAILED_TRIES,	/* every slot has failed too often */
	FAILED_TIME	/* nothing was ready in time */
};

struct pool_notice {
	enum notice	 what;
	enum start_failure why;
	unsigned int	 slot;
	pid_t		 pid;
	const char	*failed;
	int		 error;
	int		 status;
	enum start_cause cause;
	bool		 exec_failed;
	bool		 was_ready;
	uint64_t	 age;		/* since its spawn; of a request: since
					   that was seen first */
	uint64_t	 delay;		/* until the next start; or 0 */
	unsigned int	 failures;	/* in a row, of this slot */
	unsigned int	 ready;		/* workers */
	unsigned int	 count;		/* requests, or connections */
	bool		 known;		/* that is their number for certain */
	uint64_t	 size;		/* bytes */
	pid_t		 holder;	/* of the pid's processes, the one */
	enum slot_state	 state;
	enum pool_event_kind event;
};

enum pool_action_kind {
	POOL_SPAWN,	/* answer, in its turn: EV_SPAWNED or EV_NOFORK */
	POOL_CHECK_READY, /* EV_READINESS */
	POOL_CHECK_ACTIVITY, /* EV_ACTIVITY, of the first process alone */
	POOL_CHECK_TREE, /* EV_TREE: of all its processes together */
	POOL_SIGNAL,	/* slot, signo, whole */
	POOL_ADOPT,	/* slot, pid: of an EV_ORPHAN */
	POOL_MEASURE_SIZE, /* EV_MEASURED */
	POOL_CHECK_CANARY, /* EV_CANARY */
	POOL_CHECK_REQUEST, /* EV_SLOW_REQUEST */
	POOL_CHECK_HELD, /* EV_HELD; whole: of whom a POOL_SIGNAL reaches */
	POOL_KILL_HOLDER, /* slot, pid: of EV_SLOW_REQUEST */
	POOL_REFUSE,	/* no new connections, where no harm is done */
	POOL_SHUT,	/* none at all; those that wait stay */
	POOL_QUEUE,	/* EV_QUEUE */
	POOL_DOOR_CLOSE, /* EV_DOOR: nobody comes in; drains: who waits does */
	POOL_DOOR_CHECK, /* EV_DOOR; stops: when it is tired */
	POOL_DOOR_PAUSE, /* EV_DOOR: nobody is to read a request */
	POOL_DOOR_GO_ON, /* who waits for the look at the tree may */
	POOL_DOOR_SIGNAL,	/* signo; the door stays closed */
	POOL_DOOR_OPEN,
	POOL_NOTICE
};

struct pool_action {
	enum pool_action_kind what;
	unsigned int	 slot;
	int		 signo;		/* of POOL_SIGNAL */
	bool		 whole;		/* its process group, not it alone */
	bool		 drains;	/* POOL_DOOR_CLOSE: as it says */
	uint64_t	 stops;		/* POOL_DOOR_CHECK: so many are
					   allowed; NEVER: any */
	pid_t		 pid;		/* POOL_ADOPT, POOL_KILL_HOLDER */
	uint64_t	 age;		/* POOL_CHECK_READY: since the spawn */
	struct pool_notice notice;
};

struct pool_conf {
	unsigned int	 workers;	/* wanted at first; may be 0 */
	unsigned int	 max;		/* the most that may be; 0: workers */
	unsigned int	 surge;		/* so many more in a reload; 0: a
					   POOL_SURGE_SHARE of the workers */
	unsigned int	 processes;	/* and never more; 0: as follows */
	int		 stop_signal;
	bool		 drains;	/* a stop serves what waits */
	bool		 shared;	/* no: another pool does, by the same
					   socket, which is left as it is */
	bool		 door;		/* workers can be kept at it */
	bool		 set_id;	/* not so their exec: it may gain
					   rights, unless it is traced */
	uint64_t	 canary;	/* of a reload: POOL_CANARY, or 0 */
	uint64_t	 max_age;	/* 0: none */
	uint64_t	 max_rss;	/* bytes; 0: none */
	uint64_t	 request_timeout;	/* 0: none */
	uint64_t	 start_timeout;
	uint64_t	 stop_timeout;
	uint64_t	 seed;		/* of the jitter */
};

/* What has happened since the start. */
struct pool_counts {
	uint64_t	 started;	/* processes */
	uint64_t	 recycled;	/* exited 0, and served or may have */
	uint64_t	 crashed;	/* served, and ended otherwise */
	uint64_t	 failed;	/* ended before they were ready */
	uint64_t	 retired;	/* were asked to go, and went */
	uint64_t	 killed;	/* did not go in time */
	uint64_t	 lost;		/* requests, by an end of ours */
	uint64_t	 timed_out;	/* --request-timeout */
	uint64_t	 aged;		/* --max-age */
	uint64_t	 grown;		/* --max-rss */
	uint64_t	 reloads;
	uint64_t	 reloads_failed;
	uint64_t	 nevers;	/* events that cannot be: a bug */
	uint64_t	 overflows;	/* actions that were lost: one, too */
};

/* A slot with something in it, as others may see it. */
struct pool_worker {
	unsigned int	 slot;
	enum slot_state	 state;
	pid_t		 pid;		/* 0: no process */
	uint64_t	 spawned;	/* when */
	uint64_t	 ready;		/* when it was; 0: not yet */
	uint64_t	 due;		/* SLOT_BACKOFF: its next start */
	unsigned int	 generation;	/* the reload it was started in */
	bool		 orphan;	/* left behind by a dead worker */
};

enum pool_phase { PHASE_START, PHASE_UP, PHASE_STOP, PHASE_DONE };

struct pool;

/*
 * A pool that wants its first workers at `now`; it has pool_slots() slots,
 * conf.max, those that a reload adds, and some for orphans. NULL when there is
 * no memory: that is the only allocation it ever makes.
 */
struct pool *pool_new(const struct pool_conf *c, uint64_t now);
/* Frees it; NULL has no effect. */
void	 pool_free(struct pool *p);
unsigned int pool_slots(const struct pool *p);
/*
 * Returns how many workers a reload of so many adds at once, at least 1; surge:
 * pool_conf's.
 */
unsigned int pool_surge(unsigned int surge, unsigned int workers);
/* Passes in what happened, at a time that is never before the last one. */
void	 pool_event(struct pool *p, const struct pool_event *ev, uint64_t now);
/* Lets every deadline up to `now` fall due. */
void	 pool_tick(struct pool *p, uint64_t now);
/* The time of the next deadline, or NEVER. */
uint64_t pool_deadline(const struct pool *p);
/* Moves the next action to carry out to *a. Returns false if there is none. */
bool	 pool_next(struct pool *p, struct pool_action *a);
/* Is the slot's unanswered POOL_SPAWN still wanted? Else: EV_UNSPAWNED. */
bool	 pool_wants_spawn(const struct pool *p, unsigned int slot);
/* Is its program not to begin before its door is closed? */
bool	 pool_wants_door(const struct pool *p, unsigned int slot);
/* Does it matter for an exit of this slot whether the queue moved? */
bool	 pool_wants_queue(const struct pool *p, unsigned int slot);
/* Does it matter for an exit 0 of this slot what is wrong with it? */
bool	 pool_wants_cause(const struct pool *p, unsigned int slot);
/* How many workers are wanted, and the most that may be. */
unsigned int pool_target(const struct pool *p);
unsigned int pool_max(const struct pool *p);
enum pool_phase pool_phase(const struct pool *p);
/* Has a reload begun that is not over? */
bool	 pool_reloading(const struct pool *p);
/* Is it up, and is a stop announced? */
bool	 pool_is_announced(const struct pool *p);
/* When that is due; NEVER: no time is set, or none is announced. */
uint64_t pool_stop_at(const struct pool *p);
/* The pool's own, to be read. */
const struct pool_counts *pool_counts(const struct pool *p);
/* Fills *w in. Returns false if the slot is empty, or none has its number. */
bool	 pool_worker(const struct pool *p, unsigned int slot,
	    struct pool_worker *w);
enum slot_state pool_state(const struct pool *p, unsigned int slot);
/* How many slots are in a state. */
unsigned int pool_count(const struct pool *p, enum slot_state state);
/* names.c: what they are called, a constant word */
const char *pool_state_name(enum slot_state state);
const char *pool_event_name(enum pool_event_kind event);

#endif
