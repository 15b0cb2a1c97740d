/* SPDX-License-Identifier: ISC */
/*
 * What the kernel tells about the workers and the listen socket: one contract
 * for all systems. What cannot be known is unknown, never idle.
 */
#ifndef OBSERVE_OBSERVE_H
#define OBSERVE_OBSERVE_H

#include <sys/types.h>
#include <sys/stat.h>

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/pool.h"

/* Which of the manual's promises hold on this system. */
struct guarantees {
	bool		 proc;			/* /proc can be read */
	bool		 proc_foreign;		/* another PID namespace's */
	bool		 proc_detached;		/* it outlives an umount */
	bool		 ends;			/* of traced workers are seen */
	const char	*no_ends;		/* why not */
	bool		 door;			/* busy workers can be kept from
						   new connections */
	const char	*no_door;		/* why not */
	bool		 queue;			/* the queue can be read */
	const char	*no_queue;		/* why not */
	bool		 bounding_empty;
	bool		 no_new_privs;
};

#define LOAD_UNKNOWN		UINT_MAX

/* The load of the listen socket; each may be LOAD_UNKNOWN. */
struct load {
	unsigned int	 depth;			/* of the queue */
	unsigned int	 waited;		/* since the last look */
	unsigned int	 busy;			/* accepted connections */
};

/* What one look at a worker remembers for the next; zeroed at its start. */
struct probe_state {
	uint64_t	 cpu;			/* ns, of its whole tree */
	uint64_t	 still_since;		/* usec; 0: never looked */
	uint64_t	 mark;			/* the queue's, at its spawn */
	uint64_t	 quiet_cpu;		/* ns, of the process alone */
	uint64_t	 quiet_since;		/* usec; 0: it is not */
	uint64_t	 connection;		/* one that it held */
	uint64_t	 held_since;		/* usec */
	uint64_t	 held;			/* the sum of all of them */
	struct activity	 activity;		/* the last one */
	bool		 examined;		/* it still may stand */
	bool		 expensive;		/* the last look took long */
	bool		 oom_done;
	int		 stopped_by;		/* a signal that was not ours */
	bool		 stays_stopped;		/* for now */
	bool		 over;			/* none of its tasks was left */
	bool		 suspect;		/* see traced.c */
	bool		 must_end;		/* it has, or was sent KILL */
	unsigned int	 looks;			/* since it became suspect */
};

/* What the processes of one worker use. */
struct usage {
	uint64_t	 cpu;		/* usec, as far as they still live */
	uint64_t	 rss;		/* bytes */
	uint64_t	 pss;		/* bytes; 0: not asked for, unknown */
	unsigned int	 processes;
	unsigned int	 connections;	/* of the listen socket */
	uint64_t	 connection;	/* the inode of one of them */
	bool		 counted;	/* connections could be counted */
	bool		 over;		/* its first process has ended */
};

/* observe_linux.c, observe_none.c: the same names on every system */
/*
 * Opens, before the jail, what the looks need; descriptor 0 is the listen
 * socket. Nothing here is fatal: what is not to be had is false in *g.
 */
void	 observe_init(struct guarantees *g);
/*
 * Is the worker ready: does a task of its tree wait in accept on the listen
 * socket, hold a connection of it, or sleep in a poll? pid is its first
 * process, age its life and now the time, both in microseconds. s must be
 * zeroed for a new worker.
 */
enum readiness observe_readiness(pid_t pid, uint64_t age, uint64_t now,
	    struct probe_state *s);
/*
 * What does this one process, without its descendants, hold? keep_idle: after
 * so many microseconds without a request a kept-open connection counts as
 * quiet; 0: never. signo is the stop signal.
 */
void	 observe_activity(pid_t pid, int signo, uint64_t keep_idle,
	    uint64_t now, struct probe_state *s, struct activity *x);
/* A connection that the process or one of its descendants holds; or 0. */
uint64_t observe_connection(pid_t pid);
/* The resident memory of its whole tree in bytes; 0: unknown. */
uint64_t observe_size(pid_t pid);
/*
 * The oldest request that a worker's tree serves, and the process that serves
 * it. A connection counts from the moment it was first seen, or last seen
 * quiet; limit and now are in microseconds.
 */
void	 observe_slow_request(pid_t pid, uint64_t limit, uint64_t now,
	    struct slow_request *o);
/*
 * The requests that the process serves, or with `whole` all that a signal to
 * its group reaches: the connections whose client is there and which are not
 * quiet, as observe_activity() has it. They are not known for certain where
 * something is hidden, where the process waits for its client, but not for so
 * long yet, and in an event loop, whose connections cannot be told apart.
 */
void	 observe_held(pid_t pid, bool whole, uint64_t keep_idle, uint64_t now,
	    struct held_requests *h);
/*
 * Sends a signal to the process holder, of the worker's, if it still serves a
 * request, to whoever shares its connections, and to what these have started;
 * and remembers all of them. What stays when the holder is gone is killed by
 * observe_leftovers(), which returns when it is to be called again, or NEVER.
 */
void	 observe_signal_holder(pid_t worker, pid_t holder, int signo,
	    uint64_t now);
uint64_t observe_leftovers(uint64_t now);
/*
 * How many connections wait to be accepted; half_open: TCP connections whose
 * handshake is not over count, too.
 */
void	 observe_waiting(bool half_open, struct queue *q);
/*
 * The queue, how many of it were there at the last call already and, with
 * busy, the accepted connections; to count these is expensive on a host with
 * many sockets. What is not known is LOAD_UNKNOWN, never 0.
 */
void	 observe_load(bool busy, struct load *l);
#define CHILDREN_MAX		4096	/* enough for observe_children() */
/*
 * The pids of our own children, at most n, without the looker. Returns how
 * many, or -1.
 */
int	 observe_children(pid_t *list, int n);
/* A child that was in no slot has been reaped: it may be the looker. */
void	 observe_reaped(pid_t pid);
/* Ends the looker, as far as it can be ended. */
void	 observe_close(void);
/* Does the process hold the listen socket? */
bool	 observe_serves(pid_t pid);
/* Does a process of another user trace it, as root's debugger does? */
bool	 observe_inspected(pid_t pid);
/*
 * A mark of the listen queue as it is now, for observe_moved(); 0: it is
 * empty; or MARK_UNKNOWN.
 */
#define MARK_UNKNOWN	UINT64_MAX
uint64_t observe_mark(void);
/* Has a connection left the queue since that mark, or come to an empty one? */
enum moved observe_moved(uint64_t mark);
/*
 * How many connections wait in the listen queue, and how many may. Returns 0,
 * or -1: unknown.
 */
int	 observe_queue(unsigned int *depth, unsigned int *limit);
/* The process at the other end of a connected unix socket, or -1. */
pid_t	 observe_peer(int fd);
/*
 * A process that holds the unix socket listening at that file: its maker, if
 * that still does, else any other; or -1. *left: it looks like a worker whose
 * supervisor is gone.
 */
pid_t	 observe_holder(const struct stat *file, pid_t maker, bool *left);
/*
 * A descriptor that can be read once the listen socket has been shut down;
 * connections that come do not wake it. -1 where there is no such thing.
 */
int	 observe_shutdown(void);
/* What the kernel cuts a backlog to, or -1 where it cannot be known. */
int	 observe_somaxconn(void);

/* end_linux.c, end_none.c: the same names on every system */
#define END_EVENTS	64	/* end_take() takes at a time */
#define END_TRACERS	8
#define END_NAME	32
/* How a process has ended that waitid(2) does not show. */
struct end {
	bool		 over;		/* none of its tasks goes on */
	bool		 held;		/* a tracer keeps one stopped */
	bool		 doomed;	/* but none that could go on */
	int		 status;	/* of wait(2), or STATUS_UNKNOWN */
	pid_t		 tracers[END_TRACERS];
	int		 ntracers;	/* 0: they cannot be seen */
};
/*
 * Prepares to watch for the ends of processes. Returns 0, or -1 with errno
 * set: they can only be waited for.
 */
int	 end_init(void);
/* A descriptor that can be read when end_take() has something; or -1. */
int	 end_events(void);
/*
 * Watches for the end of a child that is not reaped. Returns a close-on-exec
 * descriptor for end_unwatch(), never 0, or -1: it is not watched.
 */
int	 end_watch(pid_t pid);
void	 end_unwatch(int fd);
/*
 * Takes at most max of the watched processes that have ended, each only once.
 * Returns how many.
 */
int	 end_take(pid_t *list, int max);
/*
 * Have all tasks of a process ended, or been killed and are held at their exit
 * by a tracer? False if it is unknown.
 */
bool	 end_reached(pid_t pid);
/* Looks at a child that was seen to have ended, or was sent KILL. */
void	 end_look(pid_t pid, struct end *e);
/*
 * Sends KILL to a tracer of a child, if it still is that and descends from us,
 * by a child of ours that is not excepted.
 */
enum end_tracer { TRACER_FOREIGN, TRACER_KILLED, TRACER_STAYS };
enum end_tracer end_kill_tracer(pid_t tracer, pid_t pid,
	    bool (*excepted)(pid_t));
/* What a process calls itself; "" if it is gone. */
void	 end_name(pid_t pid, char name[END_NAME]);
/*
 * Waits for the end of a child, at most so many milliseconds (-1: any time)
 * where that can be known, and reaps it. Returns false with *status unknown
 * if it cannot be reaped: another process traces it.
 */
bool	 end_await(pid_t child, int *status, int ms);

/* door_linux.c, door_none.c: the same names on every system */
/* Why no process can be kept from connections here; NULL: it can. */
const char *door_refused(void);
/*
 * Keeps a child from new connections of the listen socket, and leaves it those
 * that it has, until door_open(). door_check() goes on with that: call it every
 * few milliseconds until the door is closed.
 */
enum door_state door_close(pid_t pid);
enum door_state door_check(pid_t pid);
/*
 * Leaves the process alone again. signo: sends it that signal first, so that it
 * meets the signal before it can accept a connection; 0: none.
 */
void	 door_open(pid_t pid, int signo);
/*
 * waitid(2) has told of a child or a traced task: it has stopped, with that
 * si_status, or has ended and was reaped. Returns true if only the door is
 * concerned; else *status is what it would be without a tracer.
 */
bool	 door_take(pid_t tid, bool stopped, int *status);
/* The process of a task that is held since the last call of this; or 0. */
pid_t	 door_came(void);

/* usage_linux.c, usage_none.c: the same names on every system */
/*
 * The accepted connections of the listen socket, sorted, in malloc'd memory,
 * but for the *left ones of requests that --request-timeout has ended. Returns
 * how many, or -1: unknown.
 */
int	 usage_connections(uint64_t **inodes, unsigned int *left);
/*
 * Adds up a worker's processes. inodes are the n accepted connections, -1:
 * unknown. Returns 0, or -1 if the process cannot be seen.
 */
int	 usage_worker(pid_t pid, const uint64_t *inodes, int n, bool pss,
	    struct usage *u);

#endif
