/* SPDX-License-Identifier: ISC */
/*
 * The map of spawnd: limits with their units, the structures that pass
 * between the phases of the start, and every public function by its file.
 * pool.h has the pool, which knows nothing of what is declared here.
 */
#ifndef SPAWND_H
#define SPAWND_H

#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

#define SPAWND_VERSION		"0.1"

#define WORKERS_DEFAULT		4
#define WORKERS_MAX		65535
#define BACKLOG_DEFAULT		1024
#define BACKLOG_MAX		65535
#define MODE_DEFAULT		0660
#define UMASK_DEFAULT		022
#define UMASK_KEEP		(-1)	/* as we were started with */
#define START_TIMEOUT		60	/* seconds */
#define STOP_TIMEOUT		30	/* seconds */
#define IDLE_TIMEOUT		10	/* seconds */
#define KEEP_IDLE		5	/* seconds */
#define SCALE_ROOM		1024	/* workers, for a later scale */
#define STATUS_LINES		32	/* workers that USR2 logs */
#define TIMEOUT_MAX		86400	/* seconds */
#define AGE_MAX			31536000	/* seconds */
#define NAME_SIZE		33	/* of a pool, with the NUL */
#define ERR_SIZE		1024	/* of an error's line, with the NUL */
#define OUTCOME_SIZE		3072	/* of all lines about the start */
#define ENV_FILE_SIZE		65536	/* bytes of an --env-file */
#define RLIMITS_MAX		16	/* --rlimit options */
#define CALLED_MAX		48	/* options that set a member */
#define CALLED_SIZE		24	/* "--socket-before-chroot" */
#define FDS_RESERVED		80	/* descriptors for spawnd itself */
#define DIR_LOCK_MS		5000	/* wait for a directory's lock */
#define CHILDREN_MAX		4096	/* looked at for strays */
#define HANDSHAKE		UINT64_C(1000000) /* usec, of TCP, at a stop */
#define STRAYS_PAUSE		UINT64_C(10000)	/* usec, before that */

#define SYSLOG_SOCKET		"/dev/log"

#define DEFAULT_JAIL		"/var/www"
#define DEFAULT_SOCKET		"run/httpd.sock"
#define DEFAULT_ADDRESS		"127.0.0.1"
#define DEFAULT_PATH		"/usr/local/bin:/usr/bin:/bin"

/* Why something was refused: an exit status of sysexits.h and one line. */
struct err {
	int		 status;
	char		 text[ERR_SIZE];
};

/* Something the plan or the preflight has to say. */
struct finding {
	enum {
		FINDING_ERROR,		/* it would not work: the status */
		FINDING_WARNING,	/* it works, but not as it should */
		FINDING_NOTE		/* worth knowing */
	}		 level;
	int		 status;
	char		*text;
};

/* What becomes of the workers' output. */
enum worker_log {
	WORKER_LOG_PREFIX, WORKER_LOG_RAW, WORKER_LOG_NONE,
	WORKER_LOG_INHERIT	/* it goes where ours does */
};

/* What the workers' environment is made of, before -e and the like. */
enum env_base {
	ENV_ALLOWED,		/* the allowlist, and who the worker is */
	ENV_WHOLE,		/* ours, but for what is never passed on */
	ENV_EXACT		/* ours, for one who takes our place */
};

struct findings {
	struct finding	*list;
	size_t		 n;
};

/* One -e or --env-file, kept in the order of the command line. */
struct env_rule {
	enum {
		ENV_PASS,		/* text: a name or shell pattern */
		ENV_SET,		/* text: NAME=VALUE */
		ENV_FILE		/* text: a path */
	}		 kind;
	const char	*text;
};

struct limit {
	int		 resource;	/* RLIMIT_* */
	const char	*name;
	struct rlimit	 value;
	bool		 has_hard;
};

/* What the command line said; nothing is resolved yet. */
struct conf {
	/* What messages call an option, by the member that it sets. */
	struct {
		size_t	 member;
		char	 as[CALLED_SIZE];
	}		 called[CALLED_MAX];
	size_t		 ncalled;
	const char	*socket;
	bool		 socket_outside;
	int		 socket_mode;		/* -1: not given */
	const char	*socket_user;
	const char	*socket_group;
	int		 port;			/* 0: not given */
	const char	*address;
	int		 backlog;
	const char	*chroot;
	const char	*user;
	const char	*group;
	const char	*chdir;
	int		 workers;		/* -1: not given */
	int		 max_workers;		/* -1: not given */
	int		 idle_timeout;		/* seconds; -1: not given */
	int		 php_children;		/* -1: not given */
	struct env_rule	*env;
	size_t		 nenv;
	bool		 foreground;
	const char	*command;
	const char	*name;
	int		 umask;
	int		 nice;
	bool		 nice_given;
	struct limit	 limits[RLIMITS_MAX];
	size_t		 nlimits;
	bool		 no_new_privs;
	int		 start_timeout;		/* seconds */
	int		 stop_timeout;		/* seconds */
	int		 stop_signal;
	int		 keep_idle;		/* seconds; 0: never */
	int		 max_age;		/* seconds; 0: none */
	uint64_t	 max_rss;		/* bytes; 0: none */
	int		 request_timeout;	/* seconds; 0: none */
	const char	*pidfile;
	const char	*control;		/* NULL: not given */
	const char	*status_group;
	const char	*log;			/* NULL: not given */
	int		 facility;		/* LOG_DAEMON ... */
	enum worker_log	 worker_log;
	enum {
		TEST_NO, TEST_YES, TEST_STRICT
	}		 test;
	bool		 help;
	bool		 version;
	char		**argv;			/* the operands */
	int		 argc;

	/* No option of spawnd's sets these; see names.h. */
	enum env_base	 env_base;
	bool		 inherited_only;	/* a socket must be passed in */
	bool		 inherits_none;		/* one that is means nothing */
	bool		 mode_by_umask;		/* of the socket, without -M */
	bool		 both_families;		/* "::" takes IPv4 too */
	bool		 root_stays;		/* without -u, and its rights */
	bool		 cwd_stays;		/* where there is no jail */
	bool		 replace;		/* become the application */
	bool		 pidfile_public;	/* readable, so not locked */
	bool		 titled;		/* ps shows whose pool it is */
	bool		 stop_by_any;		/* HUP and USR1 stop, too */
	bool		 worker_status;		/* of a start that fails */
	int		 error_status;		/* of all others; 0: theirs */
	const char	*outcome;		/* of a start: this and a pid */
};

/* Who the supervisor and the workers become. */
struct ident {
	uid_t		 uid;
	gid_t		 gid;
	gid_t		*groups;		/* the supplementary ones */
	int		 ngroups;
	bool		 change;		/* false: we stay who we are */
	char		*user;			/* passwd's name, or digits */
	char		*group;
	char		*home;			/* NULL: no passwd entry */
	char		*shell;
};

/* What will be done: every name, path and address resolved. */
struct plan {
	const struct conf *conf;
	char		 name[NAME_SIZE];
	bool		 root;			/* we have uid 0 */
	bool		 stays_root;		/* and nothing changes that */
	const char	*note;			/* "", or why the jail */
	char		*jail;			/* NULL: no chroot */
	int		 jail_fd;		/* -1: no chroot */

	int		 inherited;		/* its descriptor; -1: none */
	struct sockaddr_storage addr;		/* TCP: ss_family not AF_UNIX */
	socklen_t	 addrlen;
	char		*socket_dir;		/* unix: as its owner sees it */
	char		*socket_name;
	bool		 socket_in_jail;
	mode_t		 socket_mode;
	uid_t		 socket_uid;
	gid_t		 socket_gid;
	char		*where;			/* unix:PATH, tcp:ADDR:PORT */
	char		*who;			/* unix: "user:group mode" */

	struct ident	 ident;
	char		*chdir;
	int		 cwd_fd;		/* -1: not where we stay */
	char		*pidfile;		/* NULL: none */
	char		*control;		/* NULL: none; a directory */
	bool		 control_own;		/* of this pool alone */
	gid_t		 status_gid;		/* (gid_t)-1: nobody else */
	char		*log;			/* NULL: not a file */
	int		 backlog;
	char		**argv;
	char		**envp;
	int		 workers;
	unsigned int	 max_workers;		/* 0: it does not adapt */
	unsigned int	 room;			/* the most there may be */
	int		 children;		/* of each worker, by PHP */
};

/* Which of the promised things hold on this system. */
struct guarantees {
	bool		 proc;			/* /proc can be read */
	bool		 proc_foreign;		/* another PID namespace's */
	bool		 proc_detached;
	bool		 queue;			/* the queue can be read */
	const char	*no_queue;		/* why not */
	bool		 bounding_empty;
	bool		 no_new_privs;
};

#define LOAD_UNKNOWN		UINT_MAX

/* What the listen socket has to do; each may be LOAD_UNKNOWN. */
struct load {
	unsigned int	 depth;			/* of the queue */
	unsigned int	 waited;		/* since the last look */
	unsigned int	 busy;			/* accepted connections */
};

/* What one look at a worker needs to remember for the next. */
struct sight {
	uint64_t	 cpu;			/* ns, of its whole tree */
	uint64_t	 still_since;		/* usec; 0: never looked */
	uint64_t	 mark;			/* the queue's, at its spawn */
	uint64_t	 quiet_cpu;		/* ns, of the process alone */
	uint64_t	 quiet_since;		/* usec; 0: it is not */
	uint64_t	 connection;		/* one that it held */
	uint64_t	 held_since;		/* usec */
	uint64_t	 held;			/* the sum of all of them */
	struct exam	 exam;			/* the last one */
	bool		 examined;		/* it still may stand */
	bool		 dear;			/* the last look took long */
	bool		 oom_done;
	int		 halted;		/* by that signal, not ours */
	bool		 left;			/* and stays so for now */
};

/*
 * So much of a worker is looked at, by whoever does: what has more cannot be
 * known, and must not be known to some and unknown to others.
 */
#define TREE_MAX	256	/* processes of a worker */
#define TASKS_MAX	2048	/* tasks, of all of them */
#define FDS_MAX		4096	/* descriptors of a process */
#define SOCKETS_MAX	256	/* sockets of a process, or of all */

/* What /proc shows of a worker at one moment, over its whole tree. */
struct view {
	uint64_t	 cpu;			/* ns used so far */
	bool		 accepting;		/* a task waits for work */
	bool		 polling;		/* a task sleeps in a poll */
	bool		 asleep;		/* no task runs */
	bool		 readable;		/* nothing of it was hidden */
	bool		 stopped;		/* all tasks are */
	int		 tasks;			/* that have not ended */
	uint64_t	 reads[SOCKETS_MAX];	/* that are read from */
	int		 nreads;
	bool		 looping;		/* or in epoll_wait(2) */
	int		 epoll;			/* of that descriptor; -1 */
	bool		 endless;		/* with no time limit */
	bool		 engaged;		/* a task waits otherwise */
	pid_t		 child;			/* one of its children; 0 */
};

/* What a task sleeps in. */
struct call {
	enum {
		CALL_NONE,		/* it runs */
		CALL_FOREIGN,		/* it cannot be known */
		CALL_OTHER, CALL_ACCEPT, CALL_READ, CALL_POLL, CALL_EPOLL,
		CALL_FUTEX
	}		 kind;
	int		 fd;			/* the first argument; or -1 */
	bool		 endless;		/* epoll: no time limit */
};

/*
 * Why a child never reached its program. It lives in memory that child and
 * supervisor share until the exec, so it needs no descriptor and no event.
 */
struct exec_failure {
	int		 step;			/* enum exec_step */
	int		 error;			/* errno; 0: exec succeeded */
};

enum exec_step { STEP_PARENT, STEP_LIMIT, STEP_NICE, STEP_CHDIR, STEP_EXEC };

/* spawnd.c has main(). */

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

/* capture.c: the workers' output */
/*
 * Prepares for n slots, and so many workers of which somebody may serve on
 * when they have ended. Returns 0, or -1 with *e set (71).
 */
int	 capture_init(unsigned int n, unsigned int trees,
	    enum worker_log mode, struct err *e);
/*
 * Makes the pipe for a slot's next worker. Returns the end that the worker
 * is to write to, or -1 with errno set and *failed the step that it is of.
 */
int	 capture_pipe(unsigned int slot, const char **failed);
/*
 * The worker was started with that output, or, with pid -1, was not. Either
 * way the output is not the caller's any more.
 */
void	 capture_start(unsigned int slot, int output, pid_t pid);
/*
 * The slot's process has ended: logs what it still said. What it left
 * behind may hold the pipe open, and is read on.
 */
void	 capture_end(unsigned int slot);
/* The last lines that were read during the start; "" if there are none. */
const char *capture_tail(void);

/* daemon.c */
/*
 * Makes descriptors 0 to 2 open (on /dev/null where they are not) and
 * closes all others but the `keep` first ones, so that nothing inherited
 * leaks into a worker. Returns 0, or -1 with *e set.
 */
int	 daemon_sanitize(int keep, struct err *e);
/*
 * Takes the plan's pool into the background: forks, starts a session, moves
 * to "/", takes its title. Returns 0 in the child. The first process does not
 * return: it waits until the child calls daemon_outcome() or ends, prints the
 * line and exits with the status. Returns -1 with *e set when no child could
 * be made.
 */
int	 daemon_start(const struct plan *p, struct err *e);
/*
 * Reports how the start went, in one or more lines. With status 0 and in the
 * background, standard output and (unless it is the log) error go to
 * /dev/null after that. In the foreground a success is only logged. At most
 * the first call has an effect.
 */
void	 daemon_outcome(int status, const char *text);
/* /dev/null, for a worker whose output nobody wants. */
int	 daemon_null(void);
/* True until daemon_outcome() was called: the start is not over. */
bool	 daemon_starting(void);

/* env.c */
/*
 * Builds the workers' environment from `from` (environ) by the allowlist,
 * the identity and the rules of conf, later ones winning; PATH is always
 * there. Reads each --env-file. Returns a NULL-terminated array, or NULL
 * with *e set (78 for bad contents, 66 or 77 for a file that cannot be
 * read, 71 for no memory).
 */
char	**env_build(const struct conf *c, const struct ident *id,
	    char *const *from, struct err *e);
/* The value of NAME in envp, or NULL. */
const char *env_get(char *const *envp, const char *name);
/* True for names that are never passed on, whatever was asked for. */
bool	 env_forbidden(const char *name, size_t len);
/* True if the len bytes at name are [A-Za-z_][A-Za-z0-9_]*. */
bool	 env_name_ok(const char *name, size_t len);
/* The environment spawnd itself was started with. */
char	**env_own(void);
/* Wipes out what we were started with, but for the time zone. */
void	 env_scrub(void);
/* Lets localtime(3) find its zone from within a jail. */
void	 env_keep_time_zone(void);

/* err.c */
/*
 * Sets *e to the status and the formatted line, any byte below 0x20 in it
 * shown as \xNN. Returns -1, so that a caller can return its result.
 */
int	 err_set(struct err *e, int status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* The exit status that fits an errno: 77 for EACCES and EPERM, else dflt. */
int	 err_status(int error, int dflt);
/* The status to exit with for one of sysexits.h, by conf. */
int	 err_exit(const struct conf *c, int status);
/*
 * That of a start that failed as its last worker did: by not getting to its
 * program (*f, else NULL), or by ending with that wait status.
 */
int	 err_worker_exit(const struct conf *c, const struct exec_failure *f,
	    int status);

/* findings.c */
/* Adds one. Ends the process when there is no memory. */
void	 findings_add(struct findings *f, int level, int status,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The first error, or NULL. */
const struct finding *findings_error(const struct findings *f);
void	 findings_free(struct findings *f);

/* ident.c */
/*
 * Resolves -u and -g into *id, or, where -u is not given, describes the
 * caller. Looks names and numbers up in passwd(5) and group(5), so it must
 * run before the jail. Refuses uid and gid 0. Returns 0, or -1 with *e set
 * (64, 67, 71).
 */
int	 ident_resolve(const struct conf *c, struct ident *id, struct err *e);
/*
 * Resolves a user or group for the socket's owner; opt names the option.
 * *gid of ident_user is the user's primary group, or (gid_t)-1 for a number
 * without passwd entry. Returns 0, or -1 with *e set (67).
 */
int	 ident_user(const char *opt, const char *name, uid_t *uid, gid_t *gid,
	    struct err *e);
int	 ident_group(const char *opt, const char *name, gid_t *gid,
	    struct err *e);
/* Is that one of its groups? */
bool	 ident_member(const struct ident *id, gid_t gid);
/* The name of an id, or its digits; in malloc'd memory, NULL without any. */
char	*ident_user_name(uid_t uid);
char	*ident_group_name(gid_t gid);
/*
 * Who is in a group, by group(5) and as the primary one of passwd(5): "a, b",
 * long lists cut; in malloc'd memory, NULL without any.
 */
char	*ident_members(gid_t gid);

/* jail.c */
/*
 * Gives up every privilege: supplementary groups, root directory, ids and
 * capabilities, in that order, then reads each back from the kernel. The
 * working directory is "/" afterwards. Returns 0 with *g filled, or -1 with
 * *e set (77, 71); there is no way back from a partial drop, so the caller
 * must end.
 */
int	 jail_enter(struct plan *p, struct guarantees *g, struct err *e);

/*
 * jail_opendir() below root, where the kernel does not help: it takes no
 * link and no "..".
 */
int	 jail_walk(int root, const char *path);

/* jail_linux.c, jail_posix.c: the same names on every system */
/*
 * Drops ids (where id->change) and capabilities, and forbids new ones and
 * inspection by others. Returns 0, or -1 with *e set.
 */
int	 jail_drop(const struct plan *p, struct err *e);
/* Reads the ids and rights back. Returns 0 with *g filled, or -1 with *e. */
int	 jail_verify(const struct plan *p, struct guarantees *g,
	    struct err *e);
/*
 * Makes this process the parent of what its dead children leave behind, so
 * that it can be reaped. Fails silently: then init does that.
 */
void	 jail_adopt(void);
/*
 * In a new child: asks for SIGTERM when the parent dies. Async-signal-safe.
 * Returns 0, or -1 when that parent has died already or on failure.
 */
int	 jail_tie(pid_t parent);
/*
 * Opens a directory read-only; with root != -1 it is looked up as a process
 * whose root directory that is would see it, and no link leads out of it.
 * Returns a close-on-exec descriptor, or -1 with errno set.
 */
int	 jail_opendir(int root, const char *path);
/*
 * Gives the unix socket `name` in directory dir, which this process has just
 * bound with that mode, to uid and gid; never anything else that may have
 * taken its place. Returns 0, or -1 with errno set (ENOTSOCK: it was
 * replaced).
 */
int	 jail_chown_socket(int dir, const char *name, mode_t mode, uid_t uid,
	    gid_t gid);

/*
 * Makes a directory that was opened one for use after the jail. *detached: it
 * is a mount of its own, from which no ".." leads out; a plain one must be
 * closed before the jail is entered. Returns a close-on-exec descriptor in
 * place of dir, or -1 if that is -1.
 */
int	 jail_detach(int dir, bool *detached);

/* limit.c */
/* Parses --rlimit's NAME=SOFT[:HARD]. Returns 0, or -1 with *e set (64). */
int	 limit_parse(const char *opt, const char *val, struct limit *l,
	    struct err *e);

/* listen.c */
/*
 * No new connections from now on, where that does no harm to those that wait:
 * a unix socket's file is removed if the rights of this moment allow it, at a
 * TCP socket new ones are refused. Returns false where they cannot be kept
 * out: then only a single one can wait at a time.
 */
bool	 listen_refuse(const struct plan *p);
/* None at all: a unix socket is shut down. Those that wait can be accepted. */
void	 listen_shut(const struct plan *p);
/*
 * Parses a literal IPv4 or IPv6 address and a port into *ss. Returns the
 * length of the address, or 0 if it is neither.
 */
socklen_t listen_address(const char *address, int port,
	    struct sockaddr_storage *ss);
/*
 * Is fd a listening stream socket, unix or TCP? Returns 0 with its address
 * in *ss, or -1.
 */
int	 listen_check(int fd, struct sockaddr_storage *ss);
/*
 * Creates, binds and listens on the plan's socket, or takes the inherited
 * one, and puts it on descriptor 0. Returns 0, or -1 with *e set (73, 77, 71)
 * and nothing left behind.
 */
int	 listen_open(const struct plan *p, struct err *e);
/*
 * Clears O_NONBLOCK on descriptor 0: all its holders share the flag, and
 * one worker that sets it makes the others leave. Cheap; errors are ignored.
 */
void	 listen_blocking(void);
/*
 * Removes the unix socket if it is still the one listen_open() made and the
 * rights of that moment allow it.
 */
void	 listen_remove(const struct plan *p);

/* log.c */
/*
 * Takes the time zone while its files can still be read, and opens the log
 * of the plan, before the jail. A syslog that is not there is waited for
 * while lines are lost, see log_complaint(). Returns 0, or -1 with *e set
 * (73, 77).
 */
int	 log_open(const struct plan *p, struct err *e);
/* True if the log goes to standard error, which then must stay open. */
bool	 log_on_stderr(void);
/*
 * Opens the log's file again, by its name, or takes one that somebody else
 * has opened (fd not -1, which is then the log's). Returns 0, or -1 with *e
 * set (64, 73, 77), and the old one is kept.
 */
int	 log_reopen(int fd, struct err *e);
/* What is wrong with the log that was opened, "" if nothing. */
const char *log_complaint(void);
/* Is there room for a good many lines, written or kept? */
bool	 log_ready(void);
/* Is there no hope: nobody has read it for a second, or the disk is full? */
bool	 log_stuck(void);
/* That many lines never came here; it is said with the next that does. */
void	 log_lost(unsigned long n);
/* The end: gives a reader a last moment for what it has not taken yet. */
void	 log_close(void);
/*
 * While starting: one line on standard error and exit with e->status, by
 * way of daemon_outcome().
 */
void	 fatal(const struct err *e) __attribute__((noreturn));
void	 log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	 log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * One line of a worker's output, of len bytes without its newline. With
 * `raw` it is written as it is; else its control bytes are shown as \xNN, it
 * is prefixed by pool and pid, and ends in a backslash if it is `split`.
 * Returns how many bytes it took in the log.
 */
size_t	 log_worker(pid_t pid, const char *line, size_t len, bool split,
	    bool raw);

/* syslog.c */
/* LOG_DAEMON and so on by name, or -1. */
int	 syslog_facility(const char *name);
/* Connects to syslogd, before the jail. Returns 0 or -1 with errno set. */
int	 syslog_open(bool jailed);
/*
 * Sends a line (RFC 3164), connecting again if need be; never waits.
 * Returns 0, or -1 if it is lost.
 */
int	 syslog_send(int priority, const char *text, size_t len);

/* loop.c */
enum loop_timer {
	TIMER_POOL, TIMER_CAPTURE, TIMER_LOG, TIMER_NOTIFY, TIMER_STATUS,
	TIMER_STRAYS, TIMER_STOPPED, TIMER_CRIPPLED, TIMER_WATCHDOG,
	TIMER_CONTROL, TIMER_ADAPT, TIMER_SAMPLE, TIMER_RETRY, NTIMERS
};
struct loop_watch;
/* Prepares the loop. Returns 0, or -1 with *e set (71). */
int	 loop_init(struct err *e);
/* Blocks all signals (in the start and around a fork), or none. */
void	 loop_block_signals(void);
void	 loop_unblock_signals(void);
/* Calls the handler, from the loop, after signo was received. */
int	 loop_signal(int signo, void (*handler)(int), struct err *e);
/* As if it were received again: its handler left something for later. */
void	 loop_again(int signo);
/*
 * Calls the handler once at `when` (loop_now()'s clock); NEVER cancels. A
 * timer has one time and one handler: the last that were set.
 */
void	 loop_timer(enum loop_timer t, uint64_t when, void (*handler)(void));
/*
 * Calls the handler whenever fd can be read. Returns NULL without memory.
 * A paused watch is silent until it is resumed.
 */
struct loop_watch *loop_watch(int fd, void (*handler)(void *), void *arg);
/* Whenever it can be written; paused at first. */
struct loop_watch *loop_watch_write(int fd, void (*handler)(void *),
	    void *arg);
/*
 * The same, but it is paused at first, and again after each call; then fd
 * costs nothing, however often it can be read.
 */
struct loop_watch *loop_watch_once(int fd, void (*handler)(void *), void *arg);
void	 loop_pause(struct loop_watch *w);
/* Where the kernel cannot, it is tried again each second until it can. */
void	 loop_resume(struct loop_watch *w);
void	 loop_unwatch(struct loop_watch *w);
/* Microseconds of CLOCK_MONOTONIC. */
uint64_t loop_now(void);
/* Microseconds of cpu that this process has used. */
uint64_t loop_cpu(void);
/* Runs until loop_end(). Returns 0, or -1 when it failed. */
int	 loop_run(void);
void	 loop_end(void);

/* mend.c: what others of our user have done */
/* Takes note of the limits as they are to be. */
void	 mend_init(void);
/*
 * No process could be made. Ends spawnd if that is because somebody has
 * lowered its limits.
 */
void	 mend_no_spawn(void);
/*
 * A slot's process has stopped, by that signal. If that was not us, it will be
 * continued, at once or after a while.
 */
void	 mend_stopped(unsigned int slot, int signo);

/* notify.c: the protocols of systemd, sd_listen_fds(3) and sd_notify(3) */
/*
 * How many listen sockets were passed in from descriptor 3 on: LISTEN_FDS, if
 * LISTEN_PID is ours. Returns -1 with *e set when they make no sense.
 */
int	 notify_listen_fds(struct err *e);
/*
 * The one of them that is meant: the only one, or that which LISTEN_FDNAMES
 * calls `name`. Closes the others. Returns it, or -1 with *e set (78).
 */
int	 notify_choose(int n, const char *name, struct err *e);
/* None of those n is wanted: closes them. */
void	 notify_close(int n);
/* Connects to NOTIFY_SOCKET, if there is one, before the jail. */
void	 notify_open(void);
/*
 * Sends assignments, as "READY=1\nSTATUS=...". What a full queue does not
 * take is sent later; any other failure is no matter.
 */
void	 notify_send(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2)));
/* Is there a manager that wants to know? */
bool	 notify_wanted(void);
/* How often WATCHDOG=1 is due, in microseconds; 0: never. */
uint64_t notify_watchdog(void);

/* observe_linux.c, observe_none.c: the same names on every system */
/*
 * Opens what looking needs, before the jail; descriptor 0 is the listen
 * socket. Nothing here is fatal: what cannot be had is false in *g.
 */
void	 observe_init(struct guarantees *g);
/*
 * Is the worker ready: does a task of its tree wait in accept on the listen
 * socket, hold a connection of it, or sleep in a poll? pid is its first
 * process, age its life and now the time, both in microseconds. s must be
 * zeroed for a new worker.
 */
enum look observe_look(pid_t pid, uint64_t age, uint64_t now,
	    struct sight *s);
/*
 * What does this one process (not its descendants) hold? keep_idle is how
 * long, in microseconds, a connection must have been quiet to count as that;
 * 0: none ever does. signo is the stop signal.
 */
void	 observe_examine(pid_t pid, int signo, uint64_t keep_idle,
	    uint64_t now, struct sight *s, struct exam *x);
/* A connection that the process or one of its descendants holds; or 0. */
uint64_t observe_connection(pid_t pid);
/* The resident memory of its whole tree in bytes; 0: unknown. */
uint64_t observe_size(pid_t pid);
/*
 * The oldest request that a worker's tree serves, and who does. A connection
 * counts from when it was first seen or last seen quiet; limit and now are in
 * microseconds.
 */
void	 observe_overdue(pid_t pid, uint64_t limit, uint64_t now,
	    struct overdue *o);
/* Sends a signal to who serves that request, if it still does. */
void	 observe_signal_holder(pid_t worker, pid_t holder, int signo);
/*
 * How many connections wait to be accepted; half_open: also those of TCP
 * whose handshake is not over.
 */
void	 observe_waiting(bool half_open, struct queue *q);
/*
 * The queue, how many of it were in it at the last call of this already and,
 * if wanted, the connections that were accepted, which is dear where there
 * are many sockets. What is not known is LOAD_UNKNOWN, never none.
 */
void	 observe_load(bool busy, struct load *l);
/* The pids of our own children, at most n. Returns how many, or -1. */
int	 observe_children(pid_t *list, int n);
/* Does the process hold the listen socket? */
bool	 observe_serves(pid_t pid);
/* Is it traced by a process of another user, as root's debugger is? */
bool	 observe_inspected(pid_t pid);
/* The listen queue as it is now; 0: nobody waits there; MARK_UNKNOWN. */
#define MARK_UNKNOWN	UINT64_MAX
uint64_t observe_mark(void);
/* Has somebody left it since, or come to an empty one? It may be unknown. */
enum moved observe_moved(uint64_t mark);
/*
 * How many connections wait in the listen queue, and how many may. Returns 0,
 * or -1: unknown.
 */
int	 observe_queue(unsigned int *depth, unsigned int *limit);
/* The process that made the socket a unix one is connected to, or -1. */
pid_t	 observe_peer(int fd);
/*
 * A process that holds the unix socket which listens at that file: maker,
 * who made it, if that does, else any other; or -1. *left: it looks like a
 * worker whose supervisor is gone.
 */
pid_t	 observe_holder(const struct stat *file, pid_t maker, bool *left);
/*
 * A descriptor that can be read once the listen socket has been shut down;
 * connections that come do not wake it. -1 where there is no such thing.
 */
int	 observe_shutdown(void);
/* What the kernel cuts a backlog to, or -1 where it cannot be known. */
int	 observe_somaxconn(void);

/* proc_linux.c: reading /proc through a descriptor that outlives the jail */
/*
 * Opens /proc. Returns 0 with *detached set, or -1 with errno set: there is
 * none (ESRCH: it is of another PID namespace).
 */
int	 proc_open(bool *detached);
/*
 * Reads a small file of /proc as a string. Returns its length, or -1 with
 * errno set.
 */
ssize_t	 proc_read(const char *path, char *buf, size_t size);
/* Opens one, as openat(2) does. */
int	 proc_at(const char *path, int flags);
/* Writes a file of /proc. Returns 0, or -1 with errno set. */
int	 proc_write(const char *path, const char *text);
/*
 * Looks at a process and, with `tree`, all its descendants. inode is the
 * listen socket's.
 * Returns 0 with *v filled, or -1 with errno set if not even the first could
 * be seen.
 */
int	 proc_view(pid_t pid, uint64_t inode, bool tree, struct view *v);
/*
 * A process and its descendants, at most n, itself first. Returns how many,
 * 0 if it cannot be seen.
 */
int	 proc_tree(pid_t pid, pid_t *list, int n);
/* Does the first task of a process wait in accept? For much less. */
bool	 proc_accepts(pid_t pid, uint64_t inode);
/* Does the process catch that signal? */
bool	 proc_catches(pid_t pid, int signo);
/* The children of a process, at most n. Returns how many, or -1. */
int	 proc_children(pid_t pid, pid_t *list, int n);
/*
 * Collects the inodes of the sockets a process (or tree) holds, at most max;
 * *n is how many. Returns 0, or -1 with errno set: there may be more
 * (EACCES: part of it is hidden; E2BIG: they are too many).
 */
int	 proc_sockets(pid_t pid, bool tree, uint64_t *inodes, int *n,
	    int max);
/* Is it one of those? */
bool	 proc_is_among(uint64_t inode, const uint64_t *inodes, int n);
/* A process that holds the socket, if possible the likely one; or -1. */
pid_t	 proc_holder(uint64_t inode, pid_t likely);
/* Is that descriptor of the process a pipe? */
bool	 proc_is_pipe(pid_t pid, int fd);

/* parse_linux.c: the texts of /proc */
/* What /proc/PID/syscall says. */
struct call parse_call(const char *text);
/*
 * The state and the cpu time, in clock ticks, of /proc/PID/stat; a state of
 * 'X' for one that is about to end, too. Returns 0, or -1 if it is none.
 */
int	 parse_stat(const char *text, char *state, uint64_t *ticks);
/* The same of its cpu and its resident memory, in pages. */
int	 parse_usage(const char *text, uint64_t *ticks, uint64_t *pages);
/* The proportional memory of an smaps_rollup in bytes; 0: it has none. */
uint64_t parse_pss(const char *text);
/*
 * Adds pids, each with a blank behind it, to the list of *n, at most max.
 * Returns how many bytes it took: the last pid may be cut off.
 */
size_t	 parse_pids(const char *text, pid_t *list, int *n, int max);
/* Does the SigCgt line of /proc/PID/status have that signal? */
bool	 parse_caught(const char *text, int signo);
/* The process that traces it, of its status; 0: none. */
pid_t	 parse_tracer(const char *text);
/* Is one of its four user ids that one, or not to be seen? */
bool	 parse_has_uid(const char *text, uid_t uid);
/* A line of an epoll's fdinfo; false: it tells of no descriptor. */
bool	 parse_watched(const char *line, uint64_t *inode, uint32_t *events);

/* quiet_linux.c: whose turn it is */
/*
 * Can it be proven that the process waits for its clients alone, on each of
 * these n connections? v is what proc_view() has found just now.
 */
bool	 quiet_waits(pid_t pid, const struct view *v, const uint64_t *inodes,
	    int n);
/* Does it read from that one? */
bool	 quiet_reads(const struct view *v, uint64_t inode);

/* queue_linux.c: who waits to be accepted */
/* This is cheap to ask; where it cannot be known it is not. */
bool	 queue_is_empty(void);
/* As observe_mark() and observe_moved(). */
uint64_t queue_mark(void);
enum moved queue_moved(uint64_t mark);
/* As observe_queue(), with half_open as observe_waiting(). */
int	 queue_depth(bool half_open, unsigned int *depth, unsigned int *limit);
/* Is it a TCP connection that waits? Then *id is set, never to 0. */
struct inet_diag_msg;
bool	 queue_has(const struct inet_diag_msg *m, uint64_t *id);

/* diag_linux.c: what NETLINK_SOCK_DIAG knows of the listen socket */
/* Opens it for the listen socket fd, before the jail. Returns 0 or -1. */
int	 diag_open(int fd);
/* Of the connections that were found, at least one ... */
struct accepted {
	bool		 unread;		/* has bytes nobody has read */
	bool		 alive;			/* has a client still */
};
/*
 * Which of these socket inodes are accepted connections of the listen
 * socket? They are moved to the front. Returns how many, or -1 with errno
 * set: unknown (ENOENT: our own listen socket is not seen).
 */
int	 diag_accepted(uint64_t *inodes, int n, struct accepted *what);
/*
 * All accepted connections, in malloc'd memory (NULL for none). Returns how
 * many, or -1: unknown.
 */
int	 diag_connections(uint64_t **inodes);
/* The inode of the unix socket that listens at that file, or 0. */
uint64_t diag_bound(const struct stat *file);

/* netlink_linux.c: questions to NETLINK_SOCK_DIAG */
/* Opens it. Returns 0, or -1 with errno set. */
int	 netlink_open(void);
/* Takes one message; returns false to see no more. */
struct nlmsghdr;
typedef bool netlink_taker(const struct nlmsghdr *h, void *arg);
/* The answer to a request, of which datagrams are read until it is done. */
struct netlink_answer {
	uint32_t	 sequence;		/* of the request */
	netlink_taker	*take;
	void		*arg;
	bool		 enough;		/* take() wants no more */
	bool		 done;
	int		 error;			/* it is not whole; errno */
};
/*
 * What comes behind a message or attribute of that length, or NULL. The
 * kernel's own macros go past the end where the last one is not padded.
 */
const void *netlink_next(const void *p, size_t len, size_t *left);
/* Takes the messages of one datagram. */
void	 netlink_parse(struct netlink_answer *a, const void *buf, size_t len);
/*
 * Asks, with a request of SOCK_DIAG_BY_FAMILY, for one socket or, with dump,
 * all that fit. Returns 0, or -1 with errno set: the answer is not whole.
 */
int	 netlink_ask(const void *body, size_t size, bool dump,
	    netlink_taker *take, void *arg);

/* names.c: the other names of the program, see names.h */
/*
 * Before anything looks at argv or the environment: where the name asks for
 * a title, they are moved away from where that is to be.
 */
void	 names_begin(int argc, char *argv[]);
/*
 * Parses a command line into *c by the name that argv[0] has, which messages
 * begin with from now on. As options_parse().
 */
int	 names_parse(struct conf *c, int argc, char *argv[], struct err *e);
/* Prints options or version. Return 0, or -1 when that cannot be written. */
int	 names_help(void);
int	 names_version(void);

/* load_linux.c: counting, by way of diag_linux.c */
/* As observe_load(). */
void	 load_look(bool busy, struct load *l);

/* option.c: what messages call an option */
/*
 * The option that sets this member of *c: as it was typed last, or, if it was
 * not, as the name that the program has been started by calls it.
 */
const char *option_called(const struct conf *c, size_t member);
#define OPT(c, member)	option_called((c), offsetof(struct conf, member))

/* options.c */
/* A conf as it is without any option. */
void	 options_defaults(struct conf *c);
/*
 * Parses a command line into *c. Pure but for memory. Returns 0, or -1 with
 * *e set (64; 71 for no memory).
 */
int	 options_parse(struct conf *c, int argc, char *argv[], struct err *e);
/* Prints usage and options. Returns 0, or -1 when it could not be written. */
int	 options_help(void);
void	 options_free(struct conf *c);

/* lockfile.c: a file with our pid, which nobody else has */
#define HOLDER_SIZE	40
/*
 * Opens or makes it in a directory; a link or somebody else's lock is an
 * error (ELOOP, EWOULDBLOCK). Returns a descriptor, or -1 with errno set.
 */
int	 lockfile_open(int dir, const char *name, bool locked);
/* Is it a file of its own with a pid in it, or nothing? */
bool	 lockfile_is_pid(int fd);
/* Puts our pid into it. Returns 0, or -1 with errno set. */
int	 lockfile_fill(int fd, mode_t mode);
/* Whose it is, as far as it tells: "pid 12", "another process". */
const char *lockfile_holder(int dir, const char *name,
	    char who[HOLDER_SIZE]);

/* pidfile.c */
/*
 * Creates, locks and fills the plan's pidfile, before the jail; one that is
 * public, which cannot be locked, is only looked at. Returns 0, or -1 with *e
 * set (73, 77).
 */
int	 pidfile_lock(const struct plan *p, struct err *e);
/*
 * Fills one that is public, once the listen socket has shown that it is
 * nobody else's. Returns 0, or -1 with *e set (73).
 */
int	 pidfile_publish(const struct plan *p, struct err *e);
/* Empties it and, where that is still possible, removes it. */
void	 pidfile_clear(const struct plan *p);

/* plan.c */
/* path as it will be once "/" is the working directory; malloc'd or NULL. */
char	*plan_absolute(const char *path, bool in_jail);
/* The pool's name: --name, or made of the application's. */
void	 plan_name(const struct conf *c, char name[NAME_SIZE]);
/*
 * Resolves names, paths and addresses and checks what can be checked without
 * creating anything. inherited is the descriptor of a listen socket that was
 * passed in, or -1. Adds all it has to say to *f; where that holds an error
 * the plan is not to be carried out, and members of it may be unset.
 */
void	 plan_make(struct plan *p, const struct conf *c, int inherited,
	    struct findings *f);
void	 plan_free(struct plan *p);

/* preflight.c */
/*
 * -t: looks at all the plan rests on, as the workers will see it: a child
 * enters the jail and gives up all rights as the supervisor would, and looks
 * from there. Creates nothing and connects to nothing. Adds to *f, prints
 * the plan, the guarantees that hold here and every finding on standard
 * output, and returns the exit status (0, or 78; with strict also for
 * warnings; an error of the plan's own keeps its status).
 */
int	 preflight_run(struct plan *p, struct findings *f, bool strict);
/* Does the plan ask for what only root may do? */
bool	 preflight_needs_root(const struct plan *p);

/* program.c */
/*
 * Says in plain words why exec of path failed with `error`, as far as the
 * file's first bytes tell: a missing loader or interpreter, a wrong
 * architecture, no execute permission. Must run with the rights and root
 * directory of the worker. Writes a line, "" if there is nothing to add.
 */
void	 program_explain(const char *path, int error, char *buf, size_t size);

/* refuse_linux.c, refuse_none.c: the same name on every system */
/*
 * Refuses new TCP connections at a listening socket; those that wait in its
 * queue or are in their handshake stay. For ever, and for all who hold it.
 * Returns 0, or -1 with errno set.
 */
int	 refuse_new(int fd);

/* report.c */
/* Puts what the pool did into one line of the log. */
void	 report_notice(const struct plan *p, const struct pool_notice *n,
	    const struct exec_failure *f);
/* "exec /app in /jail: why: explanation", for a failure of a child. */
void	 report_exec(const struct plan *p, const struct exec_failure *f,
	    char *buf, size_t size);
/* "exited with status 1", "was killed by SIGSEGV (core dumped)". */
void	 report_status(int status, char *buf, size_t size);
/* The pool and its workers, in a few lines of the log. */
void	 report_pool(const struct pool *pool, uint64_t now);
/* "4 workers ready on unix:/run/app.sock (www:www 0660), ..." */
void	 report_ready(const struct plan *p, unsigned int ready, char *buf,
	    size_t size);

/* strays.c: whom dead workers left behind */
/* Notes whom this process has as children already: they are left alone. */
void	 strays_init(void);
/* One of those, or of nobody's, has ended: its number may be another's next. */
void	 strays_reaped(pid_t pid);
/* Adds to the pool those that serve, after strays_all() all that there are. */
void	 strays_find(void);
/* The same soon: many workers may die at once, and one look is enough. */
void	 strays_expect(void);
void	 strays_all(void);

/* supervise.c: between the pool and the world */
/*
 * Makes the pool of the plan and watches for what it has to know. The jail is
 * entered and the loop is there. Returns 0, or -1 with *e set (71).
 */
int	 supervise_init(const struct plan *p, struct err *e);
/* Runs until the pool is done. Returns the exit status. */
int	 supervise_run(void);
struct pool *supervise_pool(void);
/* Tells the pool, and does what it wants done. */
void	 supervise_event(const struct pool_event *ev);
void	 supervise_reload(void);
/* Only a new start can mend what has happened: stops fast, with 71. */
void	 supervise_end(const char *why);
/* Graceful, or with `fast` without regard to requests. */
void	 supervise_stop(bool fast);

/* signame.c */
/* A signal by its name, with or without SIG, or number; -1: none such. */
int	 signame_number(const char *name);
/* "TERM", or NULL for a number that has no name here. */
const char *signame_name(int signo);

/* trail.c */
/*
 * Opens a directory, for looking up names in it, by an absolute path or one
 * from here. As root a link on the way is only followed if it is root's own.
 * Returns a close-on-exec descriptor, or -1 with errno set (EXDEV: such a
 * link).
 */
int	 trail_open(const char *path);
/* The same, of the directory that path is in; *name is the rest of it. */
int	 trail_open_above(const char *path, const char **name);
/* Why it could not be opened, by errno. */
const char *trail_reason(int error);

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
/* Is that child the process of a slot? */
bool	 worker_known(pid_t pid);
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

#endif
