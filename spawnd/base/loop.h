/* SPDX-License-Identifier: ISC */
/* The event loop: signals, timers and descriptors call handlers. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/base.h"

enum loop_timer {	/* one for each user, who is in the name */
	TIMER_POOL, TIMER_OUTPUT, TIMER_LOG, TIMER_NOTIFY, TIMER_STATUS,
	TIMER_ORPHANS, TIMER_STOPPED, TIMER_CRIPPLED, TIMER_WATCHDOG,
	TIMER_CONTROL, TIMER_AUTOSCALE, TIMER_RETRY, TIMER_TRACED, TIMER_WATCH,
	TIMER_LOOKER, TIMER_LEFTOVERS, TIMER_LAST, TIMER_SPAWNER, TIMER_ENTRY,
	TIMER_TAKEOVER, TIMER_DRAIN,
	NTIMERS
};
struct loop_watch;
/* Creates the loop. Returns 0, or -1 with *e set (71). */
int	 loop_init(struct err *e);
/* Block all signals (during the start and around a fork), or none. */
void	 loop_block_signals(void);
void	 loop_unblock_signals(void);
/*
 * Has the loop call the handler after signo was received, not in the signal's
 * own context. TTIN and TTOU do not count if the terminal's driver has sent
 * them. Returns 0, or -1 with *e set (71).
 */
int	 loop_signal(int signo, void (*handler)(int), struct err *e);
/*
 * For a signal's handler that has left something to do: has the loop call it
 * again, once others have had their turn.
 */
void	 loop_again(int signo);
/*
 * Calls the handler once at `when`, a time of loop_now(); NEVER (units.h)
 * cancels that. A timer has one time: that set last. It always has the same
 * handler (that set with a time stays until another time is set). Before
 * loop_init() nothing happens.
 */
void	 loop_timer(enum loop_timer t, uint64_t when, void (*handler)(void));
/*
 * Calls the handler with arg whenever fd can be read, unless the watch is
 * paused; whenever it has an error or its other side has closed it, too. The
 * caller keeps fd, and closes it after loop_unwatch(). Of the watches of one
 * descriptor all but one are paused. Returns the watch, for loop_unwatch() to
 * free, or NULL with errno set; so do the next two.
 */
struct loop_watch *loop_watch(int fd, void (*handler)(void *), void *arg);
/* Does the same whenever fd can be written; the watch is paused at first. */
struct loop_watch *loop_watch_write(int fd, void (*handler)(void *),
	    void *arg);
/*
 * As loop_watch(), but paused at first and again after each call, so that a
 * descriptor that is always readable costs nothing.
 */
struct loop_watch *loop_watch_once(int fd, void (*handler)(void *), void *arg);
/* From now until loop_resume() its handler is not called. */
void	 loop_pause(struct loop_watch *w);
/* Ends that. Where the kernel refuses, the loop tries it again each second. */
void	 loop_resume(struct loop_watch *w);
/* Ends the watch and frees it; a handler may do so, its own among them. */
void	 loop_unwatch(struct loop_watch *w);
/* Microseconds of CLOCK_MONOTONIC. */
uint64_t loop_now(void);
/* Microseconds of cpu that this process has used. */
uint64_t loop_cpu(void);
/*
 * Calls handlers until loop_end(), by one of them or before. Returns 0, or -1
 * with errno set.
 */
int	 loop_run(void);
void	 loop_end(void);

#endif
