/* SPDX-License-Identifier: ISC */
/*
 * What the kernel shows of the workers and the listen socket (descriptor
 * 0): one contract for all systems. What cannot be known is unknown, never
 * idle. "A look" is one such question; "the looker" is a process of its own
 * that reads what could block the supervisor; a worker's "tree" is its first
 * process with all descendants. A connection is named by the inode of its
 * socket. `now` is loop_now(), and all times are in microseconds but where
 * another unit stands.
 */
#ifndef OBSERVE_OBSERVE_H
#define OBSERVE_OBSERVE_H

#include <sys/types.h>
#include <sys/stat.h>

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/seen.h"

/* Which of the manual's promises hold on this system. */
struct guarantees {
	bool		 proc;			/* /proc can be read */
	bool		 proc_foreign;		/* another PID namespace's */
	bool		 proc_detached;		/* it outlives an umount */
	bool		 ends;			/* the ends of traced workers
						   are seen */
	const char	*no_ends;		/* why not */
	bool		 door;			/* busy workers can be kept from
						   new connections */
	const char	*no_door;		/* why not */
	bool		 queue;			/* the queue can be read */
	const char	*no_queue;		/* why not */
	bool		 bounding_empty;	/* of capabilities(7) */
	bool		 no_new_privs;
	bool		 confine_signals;	/* no worker can signal or trace
						   another, or us */
	const char	*no_confine_signals;	/* why not */
	bool		 confine_limits;	/* nor lower its limits or its
						   priority */
	const char	*no_confine_limits;	/* why not */
	bool		 only_allowed;		/* no other clients get in */
};

/* guarantees.c: what is reported of them */
#define GUARANTEES	9
struct guarantee {
	size_t		 at;		/* the offset of a bool in them */
	const char	*key;		/* in an answer to "status" */
	const char	*text;		/* of -t; NULL: said with that before */
	size_t		 why;		/* the offset of why it does not hold;
					   0: that is not said */
};
/* Returns the entry i, below GUARANTEES, of a constant table. */
const struct guarantee *guarantee_at(size_t i);
/* Read and set whether the guarantee of that entry holds. */
bool	 guarantee_holds(const struct guarantees *g, size_t i);
void	 guarantee_set(struct guarantees *g, size_t i, bool holds);
/* The same of why it does not hold, a text that stays; NULL: not known. */
const char *guarantee_why(const struct guarantees *g, size_t i);
void	 guarantee_set_why(struct guarantees *g, size_t i, const char *why);

#define LOAD_UNKNOWN		UINT_MAX
#define LOAD_UNSEEN		{ .depth = LOAD_UNKNOWN, \
    .waited = LOAD_UNKNOWN, .busy = LOAD_UNKNOWN, .fresh = LOAD_UNKNOWN }

/*
 * Classes of the time in the queue: up to 10 ms, 100 ms, 1 s, 10 s, longer.
 * Those that come and go between two looks are in none.
 */
#define WAIT_CLASSES		5

/*
 * How long a start may wait for anything but its workers, in milliseconds:
 * START_SPARE of privilege.h is more than the sum. LEFT_MS is the limit of
 * observe_end_left(). Each of TRIALS children tries a call for which a filter
 * may kill it: it has TRIAL_MS for that, and after SIGKILL TRIAL_END_MS to end.
 */
#define LEFT_MS			4000
#define TRIAL_MS		3000
#define TRIAL_END_MS		500
#define TRIALS			3

/* The load of the listen socket; each count may be LOAD_UNKNOWN. */
struct load {
	unsigned int	 depth;			/* of the queue */
	unsigned int	 waited;		/* those that were there at the
						   last look already */
	unsigned int	 busy;			/* accepted connections */
	unsigned int	 fresh;			/* of these, and of those that
						   have gone again: not seen by
						   the look that told of them
						   before this one */
	uint64_t	 oldest;		/* usec; one that waits has done
						   so for that long, at least */
	unsigned int	 left[WAIT_CLASSES];	/* the queue since the last
						   look, by time in it */
};

/*
 * What is remembered of a worker from one look to the next. The supervisor
 * keeps it with the slot, and zeroes it at the worker's start.
 */
struct probe_state {
	uint64_t	 cpu;			/* ns, of its whole tree */
	uint64_t	 still_since;		/* usec; 0: never looked */
	uint64_t	 unasked_since;		/* usec; 0: what was asked about
						   it was answered */
	uint64_t	 mark;			/* the queue's, at its spawn */
	uint64_t	 quiet_cpu;		/* ns, of the process alone */
	uint64_t	 quiet_since;		/* usec; 0: it is busy */
	uint64_t	 connection;		/* one that it held */
	uint64_t	 held_since;		/* usec */
	uint64_t	 held;			/* the sum of all of them */
	uint64_t	 underway;		/* usec; since then one is; 0 */
	uint64_t	 stalled;		/* usec; since then; 0: not */
	struct activity	 activity;		/* the last one */
	bool		 examined;		/* it may still be valid */
	bool		 expensive;		/* the last look took long */
	bool		 oom_done;		/* oom_score_adj was set */
	bool		 over;			/* none of its tasks was left */
	/* The rest is run/'s. */
	int		 stopped_by;		/* a signal that was not ours */
	bool		 stays_stopped;		/* for now */
	bool		 suspect;		/* see run/suspects.c */
	bool		 must_end;		/* it has, or was sent KILL */
	unsigned int	 looks;			/* since it became suspect */
};

/*
 * observe_linux.c and others; elsewhere unseen_posix.c, with observe_bsd.c or
 * observe_none.c: the same names on every system
 */
/*
 * Opens what the looks need; to be called before the jail. It never fails: what
 * cannot be had is false in *g, and stays unknown.
 */
void	 observe_init(struct guarantees *g);
/* Returns in words what was never tried on this system, or NULL. */
const char *observe_untried(void);
/*
 * Is the worker ready: does a task of its tree wait for connections of the
 * listen socket, in accept or a poll, or hold one? pid is its first process,
 * age its age and now the time, both in microseconds.
 */
enum readiness observe_readiness(pid_t pid, uint64_t age, uint64_t now,
	    struct probe_state *s);
/*
 * Fills *x with what this one process, without its descendants, does and holds.
 * A kept-open connection counts as quiet after keep_idle microseconds without a
 * request; 0: never. signo is the stop signal.
 */
void	 observe_activity(pid_t pid, int signo, uint64_t keep_idle,
	    uint64_t now, struct probe_state *s, struct activity *x);
/*
 * The same of a worker whose door is closed, which is the process and its
 * descendants together. A connection that the worker has answered counts as
 * quiet at once. Busy with none: one is on its way between two processes.
 */
void	 observe_tree(pid_t pid, uint64_t keep_idle, uint64_t now,
	    struct probe_state *s, struct activity *x);
/* Returns a connection that the process's tree holds, or 0. */
uint64_t observe_connection(pid_t pid);
/* Returns the resident memory of the process's tree in bytes; 0: unknown. */
uint64_t observe_size(pid_t pid);
/*
 * Fills *o with the oldest request that a worker's tree serves, and the process
 * that serves it; o->slow if it is older than limit. A request counts from the
 * moment its connection was first seen, or last seen quiet.
 */
void	 observe_slow_request(pid_t pid, uint64_t limit, uint64_t now,
	    struct slow_request *o);
/*
 * Fills *h with the requests that the process serves, or with `whole` those of
 * all processes that a signal to its group reaches: connections whose client is
 * still there, and which are not quiet in the sense of observe_activity(). The
 * number is not certain if something is hidden, if the process has waited for
 * its client for less than keep_idle, or in an event loop, whose connections
 * cannot be told apart.
 */
void	 observe_held(pid_t pid, bool whole, uint64_t keep_idle, uint64_t now,
	    struct held_requests *h);
/*
 * Kills `holder`, a process of the worker, if it still serves a request, the
 * processes that share its connections, and those that any of these have
 * started; and remembers them all. observe_leftovers() kills those that are
 * left when the holder is gone. It returns when it is to be called again, or
 * NEVER.
 */
void	 observe_kill_holder(pid_t worker, pid_t holder, uint64_t now);
uint64_t observe_leftovers(uint64_t now);
/*
 * Fills *q with how many connections wait to be accepted. With half_open, TCP
 * connections count too whose handshake is not over.
 */
void	 observe_waiting(bool half_open, struct queue *q);
/*
 * Fills *l; what is not known is LOAD_UNKNOWN. Accepted connections are only
 * counted with `busy`, as that is expensive on a host with many sockets.
 */
void	 observe_load(bool busy, struct load *l);
#define CHILDREN_MAX	16384	/* no more of our own are looked at */
/*
 * Fills list with the pids of our own children, at most n, without the looker.
 * Returns how many, or -1 if they cannot be seen.
 */
int	 observe_children(pid_t *list, int n);
/* A child that was in no slot has been reaped: it may be the looker. */
void	 observe_reaped(pid_t pid);
/* Ends the looker, as far as it can be ended. */
void	 observe_close(void);
/* Does the process hold the listen socket? */
bool	 observe_serves(pid_t pid);
/* Does a task of the worker sleep, not stopped, in accept(2) of the socket? */
bool	 observe_accepts(pid_t pid);
/* Does a worker listen on a socket of its own? */
bool	 observe_listens(pid_t pid);
/* Returns how old a process is, to a clock tick; NEVER: unknown. */
uint64_t observe_age(pid_t pid);
/* Does a process of another user trace it, as root's debugger does? */
bool	 observe_inspected(pid_t pid);
/*
 * Returns a mark of the listen queue as it is now, for observe_moved(); 0 if
 * the queue is empty; or MARK_UNKNOWN.
 */
#define MARK_UNKNOWN	UINT64_MAX
uint64_t observe_mark(void);
/* Has a connection left the queue since that mark, or come to an empty one? */
enum moved observe_moved(uint64_t mark);
/*
 * Sets *depth to how many connections wait in the listen queue, and *limit to
 * how many may, or LOAD_UNKNOWN. Returns 0, or -1: unknown.
 */
int	 observe_queue(unsigned int *depth, unsigned int *limit);
/* Returns the process at the other end of a connected unix socket, or -1. */
pid_t	 observe_peer(int fd);
/*
 * Does that process descend from a child of `root`, a spawnd, that excepted()
 * is false for, or belong to the session that root leads? Unknown where /proc
 * does not show it, and where it has ended.
 */
enum kin { KIN_UNKNOWN, KIN_OURS, KIN_EXCEPTED, KIN_NONE };
enum kin observe_peer_kin(int fd, pid_t root, bool (*excepted)(pid_t));
/*
 * Returns a process that holds the unix socket that listens at that file: its
 * maker, if that still does, else any other; or -1. Sets *left if it is certain
 * that a spawnd which has ended made the process; not if its maker is -1.
 */
pid_t	 observe_holder(const struct stat *file, pid_t maker, bool *left);
/*
 * Ends the processes that hold such a socket, by SIGTERM and after two seconds
 * SIGKILL, if it is certain of each that a spawnd has left it whose supervisor
 * maker was, and whose workers had that user. Takes LEFT_MS at most. Returns
 * how many, or -1: it has found none to end, or some are still there.
 */
int	 observe_end_left(const struct stat *file, pid_t maker, uid_t uid);
/*
 * Returns a descriptor that can be read once the listen socket has been shut
 * down, whereas new connections do not make it readable; or -1 on a system
 * without such a thing.
 */
int	 observe_shutdown(void);
/* Returns what the kernel cuts a backlog to, or -1: unknown. */
int	 observe_somaxconn(void);

/*
 * door_linux.c, door_none.c: the same names on every system. Behind its closed
 * "door" a busy worker serves on, but gets no new connection: we trace it, and
 * skip its calls of accept(2).
 */
/* Returns why no process can be kept from connections here; NULL: it can. */
const char *door_refused(void);
/*
 * What we pass to ptrace(2) as its fifth argument, which it ignores, whenever
 * we attach to a process. It is random: by it a system call filter can tell us
 * from our workers. (Linux only.)
 */
#define DOOR_KEY_ARGUMENT	4	/* counted from 0 */
uint64_t door_key(void);
/*
 * Keeps a worker, which is that child and its descendants, from new connections
 * of the listen socket, and leaves it those that it has, until door_open().
 * drains: new ones may come in as long as any wait, and when the socket is shut
 * down accept(2) does not fail but waits. polls: the worker has made the socket
 * non-blocking, whatever it is now. door_check() goes on with it: call it every
 * few milliseconds. asks: see door_ask(); to be called right after that child
 * was made.
 */
enum door_state door_close(pid_t pid, bool drains, bool polls, bool asks);
/*
 * In a new child of ours, which is to become a worker's first process: its
 * program begins once its door is closed. A raw call, see base/raw.h. Returns
 * 0, or a negative errno.
 */
int	 door_ask(void);
enum door_state door_check(pid_t pid);
/*
 * Until its door is opened it is tired if a task was stopped more often, which
 * took a third of its time; not with NEVER, nor once signalled.
 */
void	 door_allow(pid_t pid, uint64_t stops);
/*
 * Sends a signal to the first process of a worker whose door is closed. It
 * meets the signal before it can accept a connection or read a request. The
 * door stays closed, so a signal that the first process sends on to the others
 * meets them in the same way.
 */
void	 door_signal(pid_t pid, int signo);
/*
 * A task that has answered a request, and begins to wait for the next one, is
 * held there until the worker was looked at. door_pause() holds every task that
 * begins to wait: then it is certain that none reads a request. door_go_on()
 * lets them go on.
 */
enum door_state door_pause(pid_t pid);
void	 door_go_on(pid_t pid);
/* Leaves the worker alone again. */
void	 door_open(pid_t pid);
/* Does so for all whose worker is gone, except those closed again since. */
void	 door_open_orphans(void);
/*
 * To learn what waitid(2) says of a child or a traced task: it has stopped,
 * with *status as si_status, or it has ended and was reaped. Returns true if
 * that concerns only the door; else *status becomes what it would be without a
 * tracer.
 */
bool	 door_take(pid_t tid, bool stopped, int *status);
/* Returns a worker with a task that was held since the last call; or 0. */
pid_t	 door_came(void);
/* Is the door of that process closed? */
bool	 door_is_closed(pid_t pid);
/*
 * Was the end of an answer the last thing that the process did on each of
 * these n connections?
 */
bool	 door_is_over(pid_t pid, const uint64_t *inodes, int n);
/*
 * Returns whether the worker has read from a socket on which it was not seen to
 * write, since the last call.
 */
bool	 door_take_read(pid_t pid);
/* Does a task of the worker wait at the door, and does no other run? */
bool	 door_is_held(pid_t pid);

#endif
