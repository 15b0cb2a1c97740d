/* SPDX-License-Identifier: ISC */
/*
 * The supervisor at work. main.c initialises it, in the order of this file's
 * sections, and calls lifecycle_run(); control/ asks it for what it shows and
 * passes commands to it. Everything runs in one thread, by the event loop.
 * Times are those of loop_now(), and all are in microseconds but where another
 * unit stands.
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "base/base.h"
#include "config/config.h"
#include "observe/observe.h"
#include "pool/ledger.h"
#include "pool/pool.h"
#include "pool/scale.h"

/* What a child does between its fork and its program. */
enum exec_step {
	STEP_PARENT,		/* writes to its parent's pipe from then on */
	STEP_TERMINAL,		/* gives up the controlling terminal */
	STEP_LIMIT,		/* sets its resource limits */
	STEP_NICE,		/* sets its priority */
	STEP_CONFINE,		/* confines its signals to itself */
	STEP_CHDIR,		/* enters its working directory */
	STEP_DOOR,		/* asks to be kept at its door, in a stop */
	STEP_EXEC,		/* becomes its program */
	STEP_LATE		/* none: it was killed on its way */
};

/*
 * Why a child never reached its program. Child and supervisor share this
 * memory until the exec, so it needs no descriptor and no event.
 */
struct exec_failure {
	int		 step;			/* enum exec_step */
	int		 error;			/* errno; 0: none has failed */
};

/* sdnotify.c: the protocols of systemd, sd_listen_fds(3) and sd_notify(3) */
/*
 * Returns how many listen sockets were passed in from descriptor 3 on:
 * LISTEN_FDS, if LISTEN_PID is our pid, else 0. Returns -1 with *e set (78)
 * when LISTEN_FDS is not a number.
 */
int	 sdnotify_listen_fds(struct err *e);
/*
 * Chooses one of the n sockets: the only one, or the one that LISTEN_FDNAMES
 * calls `name`. Closes the others. Returns its descriptor, close-on-exec from
 * now on, or -1 with *e set (78).
 */
int	 sdnotify_choose(int n, const char *name, struct err *e);
/* Closes all n sockets: none of them is wanted. */
void	 sdnotify_close(int n);
/*
 * Connects to NOTIFY_SOCKET, if there is one, and reads WATCHDOG_USEC; to be
 * called before the jail. A failure is only logged.
 */
void	 sdnotify_open(void);
/* The descriptor that is connected to it, or -1. */
int	 sdnotify_socket(void);
/* How often WATCHDOG=1 is due, in microseconds; 0: never. */
uint64_t sdnotify_watchdog(void);
/*
 * Takes the manager of another spawnd over, in place of sdnotify_open(): fd is
 * its socket, and watchdog its sdnotify_watchdog(). Nothing is sent until
 * sdnotify_is_main(true).
 */
void	 sdnotify_take(int fd, uint64_t watchdog);
/* Sets whether we are the manager's main process; if not, nothing is sent. */
void	 sdnotify_is_main(bool ours);
/*
 * Sends assignments, as "READY=1\nSTATUS=...", later if the manager's queue is
 * full. Any other failure is ignored.
 */
void	 sdnotify_send(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2)));

/* worker.c: the slots' processes */
/*
 * Makes room for n slots, raises the limits that so many workers need, and
 * makes us their subreaper; to be called before the jail. Returns 0, or -1 with
 * *e set (71, 77).
 */
int	 worker_init(const struct plan *p, unsigned int n, struct err *e);
/*
 * Becomes the application, with our descriptors 1 and 2: no fork, no
 * supervisor. Returns only if it fails, with *f set.
 */
void	 worker_become(const struct plan *p, struct exec_failure *f);
/*
 * Are there descriptors enough to watch the end of each worker, so that it
 * shows at once although another process traces the worker?
 */
bool	 worker_watches(void);

/* spawner.c: workers that are not their program yet */
/*
 * Does that slot's child still run in our memory, before its exec? It must not
 * be looked at then: it has our descriptors and our size, and whoever reads its
 * files in /proc may have to wait.
 */
bool	 spawner_shares(unsigned int slot);

/* output.c: what the workers write to standard output and error */
/*
 * Prepares for n slots, and for `workers` more pipes that are read on after
 * their worker has ended, as processes that it left behind hold them open.
 * Returns 0, or -1 with *e set (71).
 */
int	 output_init(unsigned int n, unsigned int workers,
	    enum worker_log mode, struct err *e);

/* orphans.c: processes that dead workers left behind */
/* Notes the children that we have already, to leave them alone. */
void	 orphans_init(void);
/* Was it our child before there were workers? */
bool	 orphans_were_before(pid_t pid);

/* selfcheck.c: what other processes of our user have done to us */
/* Notes our resource limits, which nothing should change from now on. */
void	 selfcheck_init(void);
/*
 * Looks at a notice of the pool: restarts spawnd if a worker could not be
 * started because another process has lowered our limits.
 */
void	 selfcheck_notice(const struct pool_notice *n);

/* actor.c: between the pool, which decides, and the world */
struct actor_hooks {
	/* The pool has something to report, see pool.h. */
	void		(*on_notice)(const struct pool_notice *n);
	/* The pool may have changed. */
	void		(*on_change)(void);
	/* Will it be sent no request, for certain? See traffic_is_none(). */
	bool		(*has_no_traffic)(unsigned int slot);
};
/*
 * Makes the pool of the plan, on a system that guarantees *g. To be called
 * after loop_init(). Returns 0, or -1 with *e set (71).
 */
int	 actor_init(const struct plan *p, const struct guarantees *g,
	    const struct actor_hooks *h, struct err *e);
/* Returns the pool, to be read by all but run/. */
struct pool *actor_pool(void);
/* Has the stop begun? */
bool	 actor_stops(void);

/* entry.c: can clients get to the listen socket? */
/*
 * Begins to watch the socket's file; to be called after loop_init(). Returns
 * 0, or -1 with *e set (71).
 */
int	 entry_init(const struct plan *p, struct err *e);
/*
 * Looks, and logs what is new. Returns what keeps clients away and what is to
 * be done, in a line that is valid until the next call; or NULL if nothing is
 * known to, or if the pool stops.
 */
const char *entry_fault(void);
/*
 * Of what the last entry_fault() saw, if that was no fault: is it known that
 * clients can connect? By the socket's file, if it has one.
 */
bool	 entry_is_known(void);
/*
 * Returns in words what the last look could not see, or NULL; NULL in a stop.
 */
const char *entry_unseen(void);
/*
 * The pool may have changed, or a connection come: looks a second later, and
 * again after what happens until then.
 */
void	 entry_changed(void);

/* signals.c: signals, the watchdog, a listen socket that is shut down */
/* Begins to handle them. Returns 0, or -1 with *e set (71). */
int	 signals_init(const struct conf *c, struct err *e);
/* The listen socket is ours from now on: has another shut it down meanwhile? */
void	 signals_watch_again(void);

/* traced.c, suspects.c: workers that have ended while they were traced */
/* Begins to watch for such ends. Returns 0, or -1 with *e set (71). */
int	 traced_init(struct err *e);
/*
 * The slot's worker may have ended without a SIGCHLD: looks at it until that
 * is clear. certain: it has ended, or was sent KILL.
 */
void	 suspects_add(unsigned int slot, bool certain);

/* autoscale.c: looks at the load, and the size that follows from it */
/*
 * Prepares for what the plan says of the pool's size. seen: the listen queue
 * can be read. To be called after loop_init(). Returns 0, or -1 with *e set
 * (71).
 */
int	 autoscale_init(const struct plan *p, bool seen, struct err *e);
/* Begins to look; to be called when the pool is up. */
void	 autoscale_start(void);
/*
 * Sets new bounds, min <= max <= pool_max(). Equal bounds, for a pool that has
 * none so far, set its size. A pool that stops ignores them. Returns 0, or -1
 * with *e set (69).
 */
int	 autoscale_bounds(unsigned int min, unsigned int max, struct err *e);
/* The bounds that are in force; a pool of one size has it as both. */
void	 autoscale_range(unsigned int *min, unsigned int *max);
/* The bounds and the saturation; NULL if the load cannot be looked at. */
const struct scale *autoscale_state(void);
/* Returns after how long surplus workers go; 0: the pool has one size. */
uint64_t autoscale_idle(void);
/* What is remembered of the load; NULL if it cannot be looked at. */
const struct ledger *autoscale_ledger(void);
/*
 * Returns for how long, by `now`, the oldest connection that the last look saw
 * waiting has waited at least; 0: that saw none wait. It may be gone by now.
 */
uint64_t autoscale_oldest(uint64_t now);

/* traffic.c: will a new worker be sent a request? */
/*
 * Is it certain that a new worker, that of the slot, will be sent no request,
 * as nobody sends any, or only over connections that other workers hold? To be
 * asked again and again while it holds none. What cannot be seen is not
 * certain.
 */
bool	 traffic_is_none(unsigned int slot);

/* failures.c: what went wrong last */
#define FAILURE_TEXT	320	/* bytes of it, and of what a worker wrote */
enum failure_kind {
	FAILURE_WORKER,		/* one ended, or could not be started */
	FAILURE_RELOAD,		/* the last reload; not if one was well since */
	FAILURE_LOST,		/* a request, with a worker that had to go */
	FAILURE_TIMEOUT,	/* --request-timeout has ended one */
	FAILURE_SIZE,		/* --max-rss is too small for any worker */
	FAILURES
};
struct failure {
	uint64_t	 at;
	pid_t		 pid;		/* the worker's; 0: none's */
	char		 what[FAILURE_TEXT];
	char		 said[FAILURE_TEXT];	/* its last line of output */
};
/* Returns the last of a kind, as long as it is not over; or NULL. */
const struct failure *failures_last(enum failure_kind kind);
/* Returns how many of a kind there were in the last minute, at most 16. */
unsigned int failures_recent(enum failure_kind kind);
/* Returns a kind in one word, a constant. */
const char *failures_name(enum failure_kind kind);

/* neighbour.c: another pool that serves the same listen socket meanwhile */
/*
 * Notes that another spawnd has begun to take over from us; pid is its process,
 * or 0 if that is unknown.
 */
void	 neighbour_follows(pid_t pid);
/* Notes that it has given up. */
void	 neighbour_gave_up(void);
/* Is one about to take over from us? */
bool	 neighbour_is_next(void);
/* Returns the pid of one that has given up, and still ends requests; or 0. */
pid_t	 neighbour_late(void);
/*
 * Notes that we take over from the spawnd of process pid. It counts as there
 * until it closes its end of fd, a pipe or socket of ours: then handler is
 * called. To be called after loop_init(). Returns 0, or -1 with *e set (71).
 */
int	 neighbour_watch(pid_t pid, int fd, void (*handler)(void),
	    struct err *e);
/* Returns its pid as long as it is there, else 0. */
pid_t	 neighbour_before(void);
/* Is one there that takes over from us, or that we take over from? */
bool	 neighbour_is_there(void);

/* lifecycle.c: start, reload and stop, as the outside sees them */
/* Runs until the pool is done. Returns the exit status. */
int	 lifecycle_run(const struct plan *p);
/* Logs a notice of the pool, and answers whoever waits for the start. */
void	 lifecycle_notice(const struct pool_notice *n);
/* Keeps the service manager's status true, once a second at most. */
void	 lifecycle_changed(void);
/* Begins a reload, unless the pool stops. */
void	 lifecycle_reload(void);
/* Begins a stop: a graceful one, or with `fast` one that loses requests. */
void	 lifecycle_stop(bool fast);
/* Notifies the manager, if that listens to us, that the pool stops. */
void	 lifecycle_send_stop(void);
/* Sets what is written behind the reason if the start fails, a constant. */
void	 lifecycle_explain(const char *text);
/*
 * Another spawnd serves from now on: ends our workers when their requests are
 * done, leaves the listen socket as it is, and does not notify the manager.
 */
void	 lifecycle_leave(void);
/*
 * The start has failed, although workers are ready: reports why, and exits with
 * `status` once their requests are done. The listen socket stays as it is.
 */
void	 lifecycle_fail(int status, const char *why);
/* We have taken over: from now on a stop waits for lifecycle_alone(). */
void	 lifecycle_await_other(void);
/* The pool before us has ended. */
void	 lifecycle_alone(void);
/* Returns how many processes a stop that is over could not end. */
unsigned int lifecycle_left(void);

/* draining.c: a stop that is announced */
void	 draining_init(const struct conf *c);
/* Looks at a notice of the pool: begins the stop that is due. */
void	 draining_notice(const struct pool_notice *n);
/* Returns why no stop can be announced now, a constant, or NULL. */
const char *draining_hindrance(void);
/*
 * Announces a stop that is due after `delay`, or without a time (NEVER). To be
 * called only if draining_hindrance() is NULL. The last announcement counts.
 */
void	 draining_begin(uint64_t delay);
/* Takes the announcement back, if there is one. */
void	 draining_resume(void);
/* Is a stop announced? */
bool	 draining_is_on(void);
/* Returns the time until it is due; NEVER: none is set, or none announced. */
uint64_t draining_left(void);
/* Returns all that in a line that is valid until the next call. */
const char *draining_text(void);

/* report.c: notices in words */
/*
 * Returns the exit status for a start that failed because a worker did not
 * reach its program (*f), or, with f NULL, ended with that status of wait(2).
 */
int	 report_exitcode(const struct conf *c, const struct exec_failure *f,
	    int status);
/* Writes "exec /app in /jail: why: explanation" to buf, of `size` bytes. */
void	 report_exec(const struct plan *p, const struct exec_failure *f,
	    char *buf, size_t size);

#endif
