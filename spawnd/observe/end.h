/* SPDX-License-Identifier: ISC */
/*
 * end_linux.c, end_none.c: the same names on every system. The ends of
 * processes, also of those that wait(2) does not show.
 */
#ifndef OBSERVE_END_H
#define OBSERVE_END_H

#include <sys/types.h>

#include <stdbool.h>

#include "base/units.h"

#define END_EVENTS	64	/* ends that are taken at a time */
#define END_TRACERS	8	/* of one process that are named */
#define END_NAME	32	/* bytes of a name, with the NUL */
/*
 * How a process has ended that waitid(2) does not show: another process, its
 * tracer (ptrace(2)), sees the end first, and may keep it from us for ever.
 */
struct end {
	bool		 over;		/* no task of it runs any more */
	bool		 held;		/* a tracer keeps a task stopped */
	bool		 doomed;	/* and each of those is at its exit: it
					   cannot go on */
	int		 status;	/* of wait(2), or STATUS_UNKNOWN */
	pid_t		 tracers[END_TRACERS];
	int		 ntracers;	/* 0: they cannot be seen */
};
/*
 * Prepares to watch for the ends of processes. Returns 0, or -1 with errno
 * set; then only SIGCHLD reports them.
 */
int	 end_init(void);
/*
 * Returns a descriptor that can be read when end_take() has some, which stays
 * end.h's; or -1.
 */
int	 end_events(void);
/*
 * Watches for the end of a child that has not been reaped yet. Returns a
 * close-on-exec descriptor for end_unwatch(), never 0; or -1 if it cannot.
 * aside() may move it, and returns where it is.
 */
int	 end_watch(pid_t pid, int (*aside)(int));
/* Ends the watch and closes its descriptor. */
void	 end_unwatch(int fd);
/*
 * Fills list with at most max pids, END_EVENTS at the most, of watched
 * processes that have ended, each only once. Returns how many.
 */
int	 end_take(pid_t *list, int max);
/*
 * Has each task of a process ended, or been killed and is held at its exit by
 * a tracer? False if that is unknown.
 */
bool	 end_reached(pid_t pid);
/* Fills *e for a child that seems to have ended, or was sent KILL. */
void	 end_look(pid_t pid, struct end *e);
/*
 * Sends KILL to a tracer of the child pid, if it still traces it and descends
 * from a child of ours that excepted() is false for; else it is foreign.
 * TRACER_STAYS: it could not be sent that.
 */
enum end_tracer { TRACER_FOREIGN, TRACER_KILLED, TRACER_STAYS };
enum end_tracer end_kill_tracer(pid_t tracer, pid_t pid,
	    bool (*excepted)(pid_t));
/* Writes what a process calls itself; "" if it is gone or hidden. */
void	 end_name(pid_t pid, char name[END_NAME]);
/*
 * Waits for the end of a child, at most ms milliseconds (-1: any time), and
 * reaps it. Returns false with *status STATUS_UNKNOWN if it cannot be reaped,
 * because another process traces it.
 */
bool	 end_await(pid_t child, int *status, int ms);
/*
 * Returns a close-on-exec descriptor by which end_await_other() knows a process
 * that need not be our child, whoever has its number later; or -1.
 */
int	 end_open(pid_t pid);
/*
 * Waits for the end of that process, at most ms milliseconds. Without a
 * descriptor (-1) it goes by the pid. Returns false if it has not ended.
 */
bool	 end_await_other(int fd, pid_t pid, int ms);
/*
 * Waits for a child that tries a call for which a filter may kill it, at most
 * TRIAL_MS, since a process of our user can stop it. Returns its status of
 * wait(2); or STATUS_UNKNOWN, with a warning logged about `what`, if it did not
 * end by itself, or if child is -1, with errno that of fork(2). Only on Linux.
 */
int	 end_trial(pid_t child, const char *what);

#endif
