/* SPDX-License-Identifier: ISC */
/*
 * The supervisor at work: workers as processes, their output and their ends,
 * the pool's size, the service manager. actor.c is between the pool and all of
 * them.
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "base/base.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "pool/scale.h"

#define STATUS_LINES		32	/* workers that USR2 logs */
#define TRACE_LINES		32	/* and entries of the trace */
#define HANDSHAKE		UINT64_C(1000000) /* usec, of TCP, at a stop */
#define ORPHANS_PAUSE		UINT64_C(10000)	/* usec, before that */

/*
 * Why a child never reached its program. Child and supervisor share this
 * memory until the exec, so it needs no descriptor and no event.
 */
struct exec_failure {
	int		 step;			/* enum exec_step */
	int		 error;			/* errno; 0: exec succeeded */
};

enum exec_step {
	STEP_PARENT, STEP_TERMINAL, STEP_LIMIT, STEP_NICE, STEP_CHDIR,
	STEP_EXEC
};

#define HISTORY_SPAN	300	/* seconds that are kept */

/* actor.c: between the pool and the world */
struct actor_hooks {
	void		(*on_notice)(const struct pool_notice *n);
	void		(*on_change)(void);	/* the pool may have changed */
};
/*
 * Makes the pool of the plan. door: busy workers can be kept from new
 * connections. The loop is there. Returns 0, or -1 with *e set
 * (71).
 */
int	 actor_init(const struct plan *p, bool door,
	    const struct actor_hooks *h, struct err *e);
/* Carries out what the pool wants done, and sets its next deadline. */
void	 actor_act(void);
/* Tells the pool, and carries out what follows. */
void	 actor_event(const struct pool_event *ev);
struct pool *actor_pool(void);
/* Has the stop begun? */
bool	 actor_stops(void);

/* lifecycle.c: start, reload and stop as the outside sees them */
/* Runs until the pool is done. Returns the exit status. */
int	 lifecycle_run(const struct plan *p);
/* Logs what the pool did, and tells whom it concerns. */
void	 lifecycle_notice(const struct pool_notice *n);
/* Keeps the service manager's status true, once a second at most. */
void	 lifecycle_changed(void);
void	 lifecycle_reload(void);
/* Graceful, or with `fast` without regard to requests. */
void	 lifecycle_stop(bool fast);
/* Only a new start can repair what has happened: stops fast, with 71. */
void	 lifecycle_restart(const char *why);

/* signals.c: what comes from outside, other than commands */
/* Begins to heed it. Returns 0, or -1 with *e set (71). */
int	 signals_init(const struct conf *c, struct err *e);

/* worker.c */
/* Makes room for n slots. Returns 0, or -1 with *e set (71). */
int	 worker_init(const struct plan *p, unsigned int n, struct err *e);
/*
 * Forks and execs the application in a slot, with `output` as descriptors 1
 * and 2. Returns its pid, or -1 with errno set. All signals must be blocked;
 * it never returns in the child.
 */
pid_t	 worker_spawn(unsigned int slot, int output);
/*
 * Sends a signal to a slot's first process, or to its whole process group
 * (and the first process, should that have left it). Nothing happens if the
 * slot has no process.
 */
void	 worker_signal(unsigned int slot, int signo, bool whole);
/*
 * Becomes the application, with our descriptors 1 and 2: no fork, no
 * supervisor. Returns only if it fails, with *f set.
 */
void	 worker_replace(const struct plan *p, struct exec_failure *f);
/* Gives a slot a process that was not started for it, but is our child. */
void	 worker_adopt(unsigned int slot, pid_t pid);
/* The slot whose process that child is, or -1. */
int	 worker_slot(pid_t pid);
/* Are ends watched for, so that one that is traced shows at once? */
bool	 worker_watches(void);
/* Has the slot's process ended so that worker_reap() will take it? */
bool	 worker_can_be_reaped(unsigned int slot);
/* The slot has no process any more. If that was a child, it may be reaped. */
void	 worker_forget(unsigned int slot);
/*
 * Takes one child that has ended, with its wait status in *status, or has
 * *stopped, by the signal in *status. *slot is its slot, or -1. Returns its
 * pid, or 0 if there are no more.
 */
pid_t	 worker_reap(int *slot, int *status, bool *stopped);
/* Has a slot's process been continued since it stopped? True once for each. */
bool	 worker_continued(unsigned int slot);
/* Why a slot's last process did not reach its program, or NULL. */
const struct exec_failure *worker_failure(unsigned int slot);
/* What looks at the slot's process remember. */
struct probe_state *worker_probe_state(unsigned int slot);
/* The process of a slot, or 0. */
pid_t	 worker_pid(unsigned int slot);

/* reap.c: children that have stopped or ended */
/* Takes them, for some milliseconds at most: then it is called again. */
void	 reap_children(void);
/*
 * A slot's process has ended with that status of wait(2), or STATUS_UNKNOWN,
 * and worker_forget() was called.
 */
void	 reap_ended(unsigned int slot, int status);

/* suspects.c: workers that may have ended without a SIGCHLD */
/* Prepares for n slots; handler looks at the suspect in one. */
void	 suspects_init(unsigned int n, void (*handler)(unsigned int slot));
/* certain: it has ended, or was sent KILL. */
void	 suspects_add(unsigned int slot, bool certain);
/* It is gone, or lives. */
void	 suspects_remove(unsigned int slot);

/* traced.c: workers that have ended while another process traces them */
/* Begins to watch for them. Returns 0, or -1 with *e set (71). */
int	 traced_init(struct err *e);

/* output.c: the workers' output */
/*
 * Prepares for n slots, and for that many workers which may leave a process
 * behind that serves on. Returns 0, or -1 with *e set (71).
 */
int	 output_init(unsigned int n, unsigned int workers,
	    enum worker_log mode, struct err *e);
/*
 * Makes the pipe for a slot's next worker. Returns the end that the worker
 * writes to, or -1 with errno set and the failed step in *failed.
 */
int	 output_pipe(unsigned int slot, const char **failed);
/*
 * The worker was started with that output, or was not (pid -1). Either way
 * the caller no longer owns the output.
 */
void	 output_start(unsigned int slot, int output, pid_t pid);
/*
 * The slot's process has ended: logs the rest of its output. Processes that it
 * left behind may hold the pipe open, which is still read then.
 */
void	 output_end(unsigned int slot);
/* The last lines that were read during the start; "" if there are none. */
const char *output_tail(void);

/* autoscale.c: looks at the load, and the size that follows from it */
/*
 * Prepares for what the plan says of the pool's size; seen: the listen queue
 * can be. The loop is there. Returns 0, or -1 with *e set (71).
 */
int	 autoscale_init(const struct plan *p, bool seen, struct err *e);
/* The pool is up: looks begin. */
void	 autoscale_start(void);
/*
 * New bounds, min <= max <= pool_max(), or with both the same and no bounds so
 * far a new size. A pool that stops ignores them. Returns 0, or -1 with *e set
 * (69).
 */
int	 autoscale_bounds(unsigned int min, unsigned int max, struct err *e);
/* The bounds that are in force; of a pool of one size, both are that. */
void	 autoscale_range(unsigned int *min, unsigned int *max);
/* One more or fewer of that size, or of the lower bound; at least 1. */
void	 autoscale_step(int more);
/* The bounds and the saturation, or NULL: nothing is looked at. */
const struct scale *autoscale_state(void);

/* history.c: the last minutes, pure but for memory */
#define HISTORY_UNKNOWN	UINT16_MAX
/* The last values seen in a second, and the highest; may be unknown. */
struct history_point {
	uint32_t	 second;
	uint16_t	 busy, queue;
	uint16_t	 peak_busy, peak_queue;
	uint16_t	 workers;
	uint16_t	 unused;
};
/* Notes a load that was seen at `now`, and how many workers are ready. */
void	 history_note(uint64_t now, const struct load *l,
	    unsigned int workers);
/* That many workers are ready now; the load is as it was. */
void	 history_workers(uint64_t now, unsigned int workers);
/* The most that were ever noted, or -1. */
int	 history_peak_busy(void);
int	 history_peak_queue(void);
/* The points, oldest first; NULL after the last. */
const struct history_point *history_at(unsigned int i);

/* orphans.c: processes that dead workers left behind */
/* Notes the children that we have already: they are left alone. */
void	 orphans_init(void);
/* A child without a slot has been reaped: its pid may be used again. */
void	 orphans_reaped(pid_t pid);
/* Adds orphans that serve to the pool, and after the next call all of them. */
void	 orphans_find(void);
void	 orphans_find_all(void);
/* The same soon: one look is enough when many workers die at once. */
void	 orphans_expect(void);
/* Leaves a child alone from now on: its tracer keeps it from ending. */
void	 orphans_give_up(pid_t pid);
/* Was it our child before there were workers? */
bool	 orphans_were_before(pid_t pid);

/* selfcheck.c: what other processes of our user have done to us */
/* Notes our limits as they should be. */
void	 selfcheck_init(void);
/*
 * Restarts spawnd if a worker could not be started because another process
 * has lowered our limits.
 */
void	 selfcheck_notice(const struct pool_notice *n);
/*
 * A slot's process has stopped, by that signal. If we did not send it, the
 * process will be continued, at once or after a while.
 */
void	 selfcheck_stopped(unsigned int slot, int signo);

/* sdnotify.c: the protocols of systemd, sd_listen_fds(3) and sd_notify(3) */
/*
 * How many listen sockets were passed in from descriptor 3 on: LISTEN_FDS, if
 * LISTEN_PID is ours. Returns -1 with *e set when they make no sense.
 */
int	 sdnotify_listen_fds(struct err *e);
/*
 * Chooses the only one of them, or the one that LISTEN_FDNAMES calls `name`.
 * Closes the others. Returns it, or -1 with *e set (78).
 */
int	 sdnotify_choose(int n, const char *name, struct err *e);
/* Closes all n: they are not wanted. */
void	 sdnotify_close(int n);
/* Connects to NOTIFY_SOCKET, if there is one, before the jail. */
void	 sdnotify_open(void);
/*
 * Sends assignments, as "READY=1\nSTATUS=...", later if the manager's queue is
 * full. Any other failure is ignored.
 */
void	 sdnotify_send(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2)));
/* Is there a manager to send to? */
bool	 sdnotify_wanted(void);
/* How often WATCHDOG=1 is due, in microseconds; 0: never. */
uint64_t sdnotify_watchdog(void);

/* report.c */
/*
 * The status of a start that failed as its last worker did: by not getting to
 * its program (*f, else NULL), or by ending with that wait status.
 */
int	 report_exitcode(const struct conf *c, const struct exec_failure *f,
	    int status);
/* Logs what the pool did, in one line. */
void	 report_notice(const struct plan *p, const struct pool_notice *n,
	    const struct exec_failure *f);
/* "exec /app in /jail: why: explanation", for a failure of a child. */
void	 report_exec(const struct plan *p, const struct exec_failure *f,
	    char *buf, size_t size);
/* The pool and its workers, in a few lines of the log. */
void	 report_pool(const struct pool *pool, uint64_t now);
/* "4 workers ready on unix:/run/app.sock (www:www 0660), ..." */
void	 report_ready(const struct plan *p, unsigned int ready, char *buf,
	    size_t size);

/* report_trace.c */
/* The end of the pool's trace, in some lines of the log. */
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

#endif
