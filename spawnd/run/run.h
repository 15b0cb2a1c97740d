/* SPDX-License-Identifier: ISC */
/*
 * The supervisor at work: it tells the pool what happens, and does what the
 * pool wants done.
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
#define CHILDREN_MAX		4096	/* looked at for orphans */
#define HANDSHAKE		UINT64_C(1000000) /* usec, of TCP, at a stop */
#define ORPHANS_PAUSE		UINT64_C(10000)	/* usec, before that */

/*
 * Why a child never reached its program. It lives in memory that child and
 * supervisor share until the exec, so it needs no descriptor and no event.
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

/* supervise.c: between the pool and the world */
/* Whom the supervisor tells, without knowing them. */
struct supervise_hooks {
	void		(*notice)(const struct pool_notice *n);
	void		(*changed)(void);	/* the pool has */
};
/*
 * Makes the pool of the plan and watches for what it has to know. The jail is
 * entered and the loop is there. Returns 0, or -1 with *e set (71).
 */
int	 supervise_init(const struct plan *p, const struct supervise_hooks *h,
	    struct err *e);
/* Runs until the pool is done. Returns the exit status. */
int	 supervise_run(void);
struct pool *supervise_pool(void);
/* Tells the pool, and does what it wants done. */
void	 supervise_event(const struct pool_event *ev);
void	 supervise_reload(void);
/* Has the stop begun? */
bool	 supervise_stops(void);
/* Only a new start can mend what has happened: stops fast, with 71. */
void	 supervise_end(const char *why);
/* Graceful, or with `fast` without regard to requests. */
void	 supervise_stop(bool fast);

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
 * Becomes the application: no fork, no supervisor; with our descriptors 1 and
 * 2. Returns, with *f set, only if that cannot be.
 */
void	 worker_replace(const struct plan *p, struct exec_failure *f);
/* Gives a slot a process that was not started for it, but is our child. */
void	 worker_adopt(unsigned int slot, pid_t pid);
/* The slot whose process that child is, or -1. */
int	 worker_slot(pid_t pid);
/*
 * Begins to watch for the ends of some that have lived for a while, so that
 * those that come and go cost nothing. Returns when the next is due, or NEVER.
 */
uint64_t worker_watch(uint64_t now);
/* Are ends watched for, so that one that is traced shows at once? */
bool	 worker_watches(void);
/* Has the slot's process ended so that worker_reap() will take it? */
bool	 worker_can_be_reaped(unsigned int slot);
/* The slot's process is its no more; if it is a child, it may be reaped. */
void	 worker_forget(unsigned int slot);
/*
 * Takes one child that has ended (its status in *status) or *stopped (by the
 * signal in *status). *slot is its slot, -1 if it has none. Returns its pid,
 * 0 if there is no more.
 */
pid_t	 worker_reap(int *slot, int *status, bool *stopped);
/* Has a slot's process been continued since it stopped? True once for each. */
bool	 worker_continued(unsigned int slot);
/* Why the last process of a slot did not reach its program; NULL: it did. */
const struct exec_failure *worker_failure(unsigned int slot);
/* What a look at the slot's process remembers. */
struct sight *worker_sight(unsigned int slot);
/* The process of a slot, 0: none. */
pid_t	 worker_pid(unsigned int slot);

/* reap.c: children that have stopped or ended */
/* Takes all of them, for some milliseconds at most: then it is called again. */
void	 reap_children(void);
/*
 * A slot's process has ended with that status of wait(2), or STATUS_UNKNOWN,
 * and worker_forget() was called.
 */
void	 reap_ended(unsigned int slot, int status);

/* traced.c: workers that have ended while another process traces them */
/* Begins to watch for them. Returns 0, or -1 with *e set (71). */
int	 traced_init(struct err *e);
/*
 * A slot's process may have ended; certain: it has, or was sent KILL. If it
 * is not reaped soon it is looked at.
 */
void	 traced_suspect(unsigned int slot, bool certain);
/* A slot has a new process, whose end is to be watched for in a while. */
void	 traced_expect(void);
/* It is gone, or lives. */
void	 traced_clear(unsigned int slot);

/* output.c: the workers' output */
/*
 * Prepares for n slots, and so many workers of which somebody may serve on
 * when they have ended. Returns 0, or -1 with *e set (71).
 */
int	 output_init(unsigned int n, unsigned int trees,
	    enum worker_log mode, struct err *e);
/*
 * Makes the pipe for a slot's next worker. Returns the end that the worker
 * is to write to, or -1 with errno set and *failed the step that it is of.
 */
int	 output_pipe(unsigned int slot, const char **failed);
/*
 * The worker was started with that output, or, with pid -1, was not. Either
 * way the output is not the caller's any more.
 */
void	 output_start(unsigned int slot, int output, pid_t pid);
/*
 * The slot's process has ended: logs what it still said. What it left
 * behind may hold the pipe open, and is read on.
 */
void	 output_end(unsigned int slot);
/* The last lines that were read during the start; "" if there are none. */
const char *output_tail(void);

/* adapt.c: scale.c at work */
/*
 * Prepares for what the plan says of the pool's size; seen: the listen queue
 * can be. The loop is there. Returns 0, or -1 with *e set (71).
 */
int	 adapt_init(const struct plan *p, bool seen, struct err *e);
/* The pool is up: from now on it has as many workers as it needs. */
void	 adapt_start(void);
/*
 * New bounds, min <= max <= pool_max(), or with both the same and no bounds so
 * far a new size. A pool that stops heeds neither. Returns 0, or -1 with *e
 * set (69, 71).
 */
int	 adapt_bounds(unsigned int min, unsigned int max, struct err *e);
/* The bounds that are in force; of a pool of one size, both are that. */
void	 adapt_range(unsigned int *min, unsigned int *max);
/* One more or fewer of that size, or of the lower bound; at least 1. */
void	 adapt_step(int more);
/* The bounds and the saturation, or NULL: the pool has one size. */
const struct scale *adapt_state(void);

/* sample.c: looks at a pool of one size */
/* The pool is up, the listen queue can be seen, and nobody else looks. */
void	 sample_start(void);
/* Somebody else does from now on. */
void	 sample_stop(void);
/* The saturation it has seen, or NULL: it was never started. */
const struct scale *sample_state(void);

/* history.c: the last minutes, pure but for memory */
#define HISTORY_UNKNOWN	UINT16_MAX
/* What was seen last in a second, and the most of it; may be unknown. */
struct history_point {
	uint32_t	 second;
	uint16_t	 busy, queue;
	uint16_t	 peak_busy, peak_queue;
	uint16_t	 workers;
	uint16_t	 unused;
};
/*
 * Notes what was just seen, at loop_now()'s time, and how many workers are
 * ready. Who looks at the queue notes it here.
 */
void	 history_note(uint64_t now, const struct load *l,
	    unsigned int workers);
/* That many are ready now; of the load nothing new is known. */
void	 history_workers(uint64_t now, unsigned int workers);
/* The most that were ever noted; -1: none. */
int	 history_peak_busy(void);
int	 history_peak_queue(void);
/* The points, oldest first; NULL: there are no more. */
const struct history_point *history_at(unsigned int i);

/* orphans.c: whom dead workers left behind */
/* Notes whom this process has as children already: they are left alone. */
void	 orphans_init(void);
/* One of those, or of nobody's, has ended: its number may be another's next. */
void	 orphans_reaped(pid_t pid);
/* Adds to the pool those that serve, after orphans_all() all that there are. */
void	 orphans_find(void);
/* The same soon: many workers may die at once, and one look is enough. */
void	 orphans_expect(void);
void	 orphans_all(void);
/* Leaves a child alone from now on: its tracer keeps it from ending. */
void	 orphans_give_up(pid_t pid);
/* Is it one of those that we had at our start? */
bool	 orphans_were_before(pid_t pid);

/* selfcheck.c: what others of our user have done */
/* Takes note of the limits as they are to be. */
void	 selfcheck_init(void);
/*
 * No process could be made. Ends spawnd if that is because somebody has
 * lowered its limits.
 */
void	 selfcheck_no_spawn(void);
/*
 * A slot's process has stopped, by that signal. If that was not us, it will be
 * continued, at once or after a while.
 */
void	 selfcheck_stopped(unsigned int slot, int signo);

/* sdnotify.c: the protocols of systemd, sd_listen_fds(3) and sd_notify(3) */
/*
 * How many listen sockets were passed in from descriptor 3 on: LISTEN_FDS, if
 * LISTEN_PID is ours. Returns -1 with *e set when they make no sense.
 */
int	 sdnotify_listen_fds(struct err *e);
/*
 * The one of them that is meant: the only one, or that which LISTEN_FDNAMES
 * calls `name`. Closes the others. Returns it, or -1 with *e set (78).
 */
int	 sdnotify_choose(int n, const char *name, struct err *e);
/* None of those n is wanted: closes them. */
void	 sdnotify_close(int n);
/* Connects to NOTIFY_SOCKET, if there is one, before the jail. */
void	 sdnotify_open(void);
/*
 * Sends assignments, as "READY=1\nSTATUS=...". What a full queue does not
 * take is sent later; any other failure is no matter.
 */
void	 sdnotify_send(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2)));
/* Is there a manager that wants to know? */
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
/* Puts what the pool did into one line of the log. */
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
