/* SPDX-License-Identifier: ISC */
/*
 * What the files of run/ share, and no other folder sees. Times are as in
 * run.h, and a slot is a number below that of worker_init().
 */
#ifndef RUN_SUPERVISE_H
#define RUN_SUPERVISE_H

#include "run/run.h"

#define STATUS_LINES		32	/* workers that USR2 logs */
#define TRACE_LINES		32	/* and entries of the trace */
#define HANDSHAKE		UINT64_C(1000000) /* usec, of TCP, at a stop */
#define EXEC_TIME		10	/* seconds, of a child to its program */
#define ORPHANS_PAUSE		UINT64_C(10000)	/* usec from an end to the look
						   for what it left, at least */

/* actor.c */
/* Carries out what the pool wants done, and sets its next deadline. */
void	 actor_act(void);
/* Passes an event to the pool, and carries out what follows. */
void	 actor_event(const struct pool_event *ev);
/*
 * Do the workers poll the listen socket (it is or was non-blocking), although
 * all but perhaps the slot's wait in accept(2)? When that one ends, what it
 * leaves behind may still accept until EAGAIN: it has to have a slot before
 * another worker is started.
 */
bool	 actor_polls(unsigned int slot);
/*
 * The slot's worker has ended, and may have made the listen socket blocking:
 * makes it non-blocking again if the workers poll it.
 */
void	 actor_ended(unsigned int slot);
/* So may the last worker of the pool before us, which has ended. */
void	 actor_alone(void);

/* lifecycle.c */
/*
 * Logs why, stops fast and exits with 71, so that the service manager restarts
 * us: nothing else can repair what has happened.
 */
void	 lifecycle_restart(const char *why);
/* Sends the manager in words how many workers are ready, and if we drain. */
void	 lifecycle_send_state(void);
/* Asks the manager for time: until `delay` is over, and for a stop after it. */
void	 lifecycle_ask_time(uint64_t delay);

/* draining.c */
/*
 * A signal asks for a stop: announces it for --drain seconds. Returns false if
 * the stop is to be at once: without --drain, if one is announced already, or
 * if none can be.
 */
bool	 draining_signalled(void);

/* entry.c */
/* Is there an entry_fault() that only a restart of spawnd cures? */
bool	 entry_needs_restart(void);

/* worker.c */
/*
 * Makes a process for a slot, which becomes the application, with `output` as
 * descriptors 1 and 2; with `door` it calls door_ask() first. Returns its pid,
 * or -1 with errno set; the caller keeps output. All signals must be blocked;
 * place: spawner_place().
 */
pid_t	 worker_spawn(unsigned int slot, unsigned int place, int output,
	    bool door);
/*
 * In a large pool moves a descriptor out of the way of those that children
 * need, which are copied together with all below them. Returns where it is.
 */
int	 worker_aside(int fd);
/* Was the slot's worker made so that it calls door_ask()? */
bool	 worker_asks_for_door(unsigned int slot);
/* The same, but true only once for each worker: for its first door_close(). */
bool	 worker_takes_door(unsigned int slot);
/*
 * Kills a slot's process that has not become its program in time; its
 * worker_failure() is STEP_LATE then, unless a step has failed before.
 */
void	 worker_expire(unsigned int slot);
/* Kills a slot's process that is no longer wanted, before its program. */
void	 worker_cancel(unsigned int slot);
/* Was that done to the slot's last process? */
bool	 worker_is_cancelled(unsigned int slot);
/*
 * Sends a signal to a slot's first process, or with `whole` to its process
 * group (and to the first process, should that have left the group). Does
 * nothing if the slot has no process.
 */
void	 worker_signal(unsigned int slot, int signo, bool whole);
/* Gives an empty slot a child of ours that was not started for it. */
void	 worker_adopt(unsigned int slot, pid_t pid);
/* Returns the slot whose process that child is, or -1. */
int	 worker_slot(pid_t pid);
/* Returns the process of a slot, or 0. */
pid_t	 worker_pid(unsigned int slot);
/* Returns when a slot's process, or its last, was started or adopted. */
uint64_t worker_since(unsigned int slot);
/* Has the slot's process ended, so that worker_reap() will take it? */
bool	 worker_can_be_reaped(unsigned int slot);
/* Empties the slot: its process may be reaped from now on, if not before. */
void	 worker_forget(unsigned int slot);
/*
 * Takes what one child or traced task has to report. Either it has ended: it is
 * reaped, its slot is empty, and *status is that of wait(2). Or *stopped is
 * set: it has stopped, and *status is si_status of waitid(2). *slot is its
 * slot, or -1. Returns its pid, or 0 if there are no more.
 */
pid_t	 worker_reap(int *slot, int *status, bool *stopped);
/* Has a slot's process been continued since it stopped? True once for each. */
bool	 worker_continued(unsigned int slot);
/*
 * Returns why a slot's last process did not reach its program, valid until the
 * slot has the next; or NULL.
 */
const struct exec_failure *worker_failure(unsigned int slot);
/* Returns what the looks at the slot's process remember, to be changed. */
struct probe_state *worker_probe_state(unsigned int slot);

/* child.c: a worker until it is its program */
/*
 * Raises our limits as far as the workers need it, that of open files to
 * `files` if it can be; *got is what it is then. Returns 0, or -1 with *e set
 * (71, 77).
 */
int	 child_init(const struct plan *p, rlim_t files, rlim_t *got,
	    struct err *e);
/* What a child is told. */
struct child {
	pid_t		 parent;
	int		 output;	/* its descriptors 1 and 2 */
	bool		 door;		/* it calls door_ask() */
	bool		 shares;	/* its descriptors are ours, still */
	struct exec_failure *failure;	/* where it says why it failed */
};
/* Becomes the application, in the child; or ends it. */
void	 child_run(const struct child *c) __attribute__((noreturn));

/* spawn_linux.c, spawn_posix.c: the same names on every system */
/* Prepares for so many workers. Returns 0, or -1 with *e set (71). */
int	 spawn_init(unsigned int workers, struct err *e);
/* How many children may be in our memory at a time. */
unsigned int spawn_places(void);
/*
 * Makes a child that calls child_run() in our memory, at a place that no other
 * has, or that had been given up. Returns its pid, or -1 with errno set.
 */
pid_t	 spawn_make(unsigned int place, const struct child *what);
/*
 * Waits for it to leave our memory for its program: some milliseconds at the
 * most. A signal ends that.
 */
void	 spawn_await(unsigned int place);
/* Has the child there left our memory, by its exec or its end? */
bool	 spawn_has_left(unsigned int place);
/*
 * Prepares the place for another one although it has not left; it was killed,
 * and makes no step any more. Returns false if there is no memory.
 */
bool	 spawn_give_up(unsigned int place);

/* spawner.c: whose turn it is to be started */
/*
 * Prepares for n slots; handler is called when the first in the queue may have
 * its turn. Returns 0, or -1 with *e set (71).
 */
int	 spawner_init(unsigned int n, void (*handler)(void), struct err *e);
/* Puts a slot that is not in the queue at its end. */
void	 spawner_add(unsigned int slot);
/* Sets *slot to the first in the queue. Returns false if that is empty. */
bool	 spawner_first(unsigned int *slot);
/* Removes that one. */
void	 spawner_remove(void);
/* May a child be made, as there is a place for it? */
bool	 spawner_is_free(void);
/* Then: which. */
unsigned int spawner_place(void);
/*
 * A child was made for that slot, there. Waits for it where that is best, and
 * closes `output` (-1: nothing) when it has left our memory.
 */
void	 spawner_made(unsigned int slot, unsigned int place, int output);
/* Empties the places of those that have left, and closes their output. */
void	 spawner_look(void);
/* Kills that slot's child if it shares our memory: it has no program yet. */
void	 spawner_end(unsigned int slot);
/* Has the handler called again, once others have had their turn. */
void	 spawner_again(void);

/* reap.c: children that have stopped or ended */
/* Takes them, for some milliseconds at most; then the loop calls it again. */
void	 reap_children(void);
/*
 * Reports that a slot's process has ended, with that status of wait(2)
 * or STATUS_UNKNOWN. worker_forget() must have been called.
 */
void	 reap_ended(unsigned int slot, int status);

/* suspects.c */
/* Prepares for n slots; handler is called to look at the suspect in one. */
void	 suspects_init(unsigned int n, void (*handler)(unsigned int slot));
/* Are ends known of that are yet to be reaped? Then none is looked at. */
void	 suspects_hold(bool held);
/* The slot's worker is suspect no more: it is gone, or lives. */
void	 suspects_remove(unsigned int slot);

/* output.c */
/*
 * Makes the pipe for a slot's next worker, or has its output go where
 * --worker-log says. Returns the descriptor that the worker writes to, for
 * output_start(), or -1 with errno set and the failed step, a constant, in
 * *failed.
 */
int	 output_pipe(unsigned int slot, const char **failed);
/*
 * The worker was started with that output, or was not (pid -1). Returns what
 * the caller is to close once the worker has its own descriptors, or -1.
 */
int	 output_start(unsigned int slot, int output, pid_t pid);
/*
 * The slot's process has ended: logs the rest of its output. The pipe is still
 * read for as long as processes that it left behind hold it open.
 */
void	 output_end(unsigned int slot);
/*
 * Returns the last line that a slot's worker wrote, one that may have ended
 * just now; "": nothing. It is valid until more is read.
 */
const char *output_words(unsigned int slot, pid_t pid);
/* Did the output of the slot's last worker begin with the header of CGI? */
bool	 output_is_cgi(unsigned int slot);
/* Returns the last lines that were read in the start; "": there are none. */
const char *output_tail(void);

/* autoscale.c */
/*
 * Makes the pool, or its lower bound, larger by one (more > 0) or smaller, but
 * not smaller than 1.
 */
void	 autoscale_step(int more);

/* orphans.c */
/* Adds orphans that serve to the pool; after orphans_find_all() all orphans. */
void	 orphans_find(void);
/* Begins to add every orphan, for a stop. */
void	 orphans_find_all(void);
/*
 * Calls orphans_find() soon: one look is enough when many workers die at once.
 */
void	 orphans_expect(void);
/* A child without a slot has been reaped: its pid may be used again. */
void	 orphans_reaped(pid_t pid);
/*
 * The end of a stop: kills what is left of all that descends from workers, as
 * fast as it can for two seconds at most. Returns how many it found last, at
 * least 1, or 0 if none is left. Nothing is reaped by reap_children() after it.
 */
unsigned int orphans_kill(void);
/* Leaves a child alone from now on: its tracer keeps it from ending. */
void	 orphans_give_up(pid_t pid);
/*
 * Is there an orphan, in no slot yet and in no live worker's process group,
 * that was started since then?
 */
bool	 orphans_are_new(uint64_t since);

/* selfcheck.c */
/*
 * A slot's process has stopped, by that signal. If we did not send it, the
 * process will be continued, at once or after a while.
 */
void	 selfcheck_stopped(unsigned int slot, int signo);

/* sdnotify.c */
/* Is there a manager to send to? */
bool	 sdnotify_wanted(void);

/* failures.c */
/* Notes one, in copies; said: what the worker wrote last, or "". */
void	 failures_note(enum failure_kind kind, pid_t pid, const char *what,
	    const char *said);
/* The last of a kind is repaired: failures_last() knows it no more. */
void	 failures_over(enum failure_kind kind);

/* report.c */
/* Writes how a worker ended, without its age: "exited with status 0: why". */
void	 report_end(const struct pool_notice *n, char *buf, size_t size);
#define SLOW_SIZE	128
/*
 * Returns in buf what stands behind "not ready in time": " (--start-timeout)",
 * if there is such an option, and why the process was not ready, as far as that
 * is known; pid 0: it cannot be looked at.
 */
const char *report_slow(const struct conf *c, pid_t pid, char buf[SLOW_SIZE]);
/* Writes why the system has refused a step of a start. Returns buf. */
#define REASON_SIZE	512
const char *report_reason(const struct pool_notice *n, char buf[REASON_SIZE]);
/* Logs a notice in one line. *f: why an exec failed, or NULL. */
void	 report_notice(const struct plan *p, const struct pool_notice *n,
	    const struct exec_failure *f);
/* Logs the pool and its workers in a few lines. */
void	 report_pool(const struct pool *pool, uint64_t now);
/* Writes "4 workers ready on unix:/run/app.sock (www:www 0660), ..." to buf. */
void	 report_ready(const struct plan *p, unsigned int ready, char *buf,
	    size_t size);

/* report_trace.c */
/* Logs the end of the pool's trace, an entry a line. */
void	 report_trace(const struct pool *pool, uint64_t now);

/* exec_error.c */
/*
 * Says in plain words why exec of path failed with `error`, as far as the
 * file's first bytes tell: a missing loader or interpreter, a wrong
 * architecture, no execute permission. Must run with the rights and root
 * directory of the worker. Writes a line, "" if there is nothing to add.
 */
void	 exec_error_explain(const char *path, int error, char *buf,
	    size_t size);

/* autoscale.c */
/* Was a connection seen since then? Also true where none can be seen. */
bool	 autoscale_saw_since(uint64_t since);

#endif
