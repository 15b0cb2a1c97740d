/* SPDX-License-Identifier: ISC */
/* What is seen of workers and of the listen queue, as the pool gets it. */
#ifndef POOL_SEEN_H
#define POOL_SEEN_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * In all that decides whether a worker may be ended 0 is "unknown": an answer
 * that somebody forgot to fill in ends nobody. Ages are in microseconds.
 */

/* What a look at a starting worker found. */
enum readiness {
	READY_UNKNOWN,		/* it cannot be seen */
	READY_NO,		/* it can be seen, and is not ready */
	READY_YES,
	READY_ASSUMED,		/* it sleeps, which is all that is known */
	READY_ELSEWHERE,	/* it waits for another socket alone */
	READY_ELSEWHERE_YET	/* so it is now, for a limited time */
};

/* What is wrong with a program, as far as one of its workers has shown it. */
enum start_cause {
	CAUSE_UNKNOWN,
	CAUSE_CGI,		/* it has answered as a CGI program does */
	CAUSE_LEFT,		/* it ends, but has left a process behind */
	CAUSE_ELSEWHERE		/* READY_ELSEWHERE */
};

/* What a process holds of the listen socket's connections. */
enum holds {
	HOLDS_UNKNOWN,		/* it cannot be seen; never taken for idle */
	HOLDS_NOTHING,
	HOLDS_QUIET,		/* one that was kept open and is not used */
	HOLDS_BUSY
};

/* What a process does. */
struct activity {
	enum holds	 holds;
	bool		 frozen;	/* all its tasks are stopped */
	bool		 catches;	/* it handles the stop signal */
	bool		 threaded;	/* it has more than one task */
	bool		 is_master;	/* it only watches over others */
	bool		 is_event_loop;	/* it waits as an event loop does */
	bool		 needs_door;	/* it leads others, may be ended by a
					   filter if continued, or is there */
	bool		 sleeping;	/* all of it, on a quiet connection or
					   in accept; EV_TREE: one in accept */
	bool		 active_since_last; /* since the last look */
	bool		 reads;		/* a request, maybe: a signal cuts it */
	bool		 unseen;	/* this system does not show it */
	uint64_t	 connection;	/* names one it holds; 0: none */
	uint64_t	 age;		/* since that was seen first */
};

/* The oldest request that a worker serves. */
struct slow_request {
	bool		 slow;		/* it is older than it may be */
	pid_t		 pid;		/* of the process that serves it */
	uint64_t	 age;		/* since it was seen first */
};

/* The requests that processes serve which are to be sent a signal. */
struct held_requests {
	unsigned int	 count;		/* connections that are not quiet */
	bool		 known;		/* so many, for certain */
	pid_t		 holder;	/* who holds the oldest; 0: unknown */
	uint64_t	 age;		/* since that was seen first */
};

/* How many connections wait to be accepted. */
struct queue {
	bool		 known;
	bool		 open;		/* new ones cannot be kept out */
	unsigned int	 depth;		/* if it is known */
};

/* Whether the listen queue moved since it was last looked at. */
enum moved { MOVED_UNKNOWN, MOVED_NO, MOVED_YES };

/* How far a busy worker is kept from new connections. */
enum door_state {
	DOOR_CLOSING,	/* a new connection may still come in */
	DOOR_CLOSED,	/* none can */
	DOOR_PAUSED,	/* and no request is read, either */
	DOOR_TIRED,	/* that slows it down too much: open it for a while */
	DOOR_REFUSED,	/* it cannot be */
	DOOR_UNBEGUN	/* it will be when its program begins */
};

#endif
