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
#define START_TIMEOUT		60	/* seconds */
#define STOP_TIMEOUT		30	/* seconds */
#define TIMEOUT_MAX		86400	/* seconds */
#define NAME_SIZE		33	/* of a pool, with the NUL */
#define ERR_SIZE		1024	/* of an error's line, with the NUL */
#define ENV_FILE_SIZE		65536	/* bytes of an --env-file */
#define RLIMITS_MAX		16	/* --rlimit options */
#define FDS_RESERVED		32	/* descriptors for spawnd itself */
#define DIR_LOCK_MS		5000	/* wait for a directory's lock */

#define DEFAULT_JAIL		"/var/www"
#define DEFAULT_SOCKET		"run/httpd.sock"
#define DEFAULT_ADDRESS		"127.0.0.1"
#define DEFAULT_PATH		"/usr/local/bin:/usr/bin:/bin"

/* Why something was refused: an exit status of sysexits.h and one line. */
struct err {
	int		 status;
	char		 text[ERR_SIZE];
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
	bool		 help;
	bool		 version;
	char		**argv;			/* the operands */
	int		 argc;
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
	const char	*note;			/* "", or why the jail */
	char		*jail;			/* NULL: no chroot */
	int		 jail_fd;		/* -1: no chroot */

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
	char		**argv;
	char		**envp;
	int		 workers;
	int		 children;		/* of each worker, by PHP */
};

/* Which of the promised things hold on this system. */
struct guarantees {
	bool		 proc;			/* /proc can be read */
	bool		 proc_detached;
	bool		 queue;			/* the queue can be read */
	bool		 bounding_empty;
	bool		 no_new_privs;
};

/* What one look at a worker needs to remember for the next. */
struct sight {
	uint64_t	 cpu;			/* ns, of its whole tree */
	uint64_t	 still_since;		/* usec; 0: never looked */
	uint64_t	 mark;			/* the queue's, at its spawn */
	bool		 oom_done;
};

/* What /proc shows of a worker at one moment, over its whole tree. */
struct view {
	uint64_t	 cpu;			/* ns used so far */
	bool		 accepting;		/* a task waits for work */
	bool		 polling;		/* a task sleeps in a poll */
	bool		 asleep;		/* no task runs */
	bool		 readable;		/* the calls could be read */
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

/* daemon.c */
/*
 * Makes descriptors 0 to 2 open (on /dev/null where they are not) and
 * closes all others, so that nothing inherited leaks into a worker.
 * Returns 0, or -1 with *e set.
 */
int	 daemon_sanitize(struct err *e);
/*
 * Goes into the background: forks, starts a session, moves to "/". Returns 0
 * in the child. The first process does not return: it waits until the child
 * calls daemon_outcome() or ends, prints the line and exits with the status.
 * Returns -1 with *e set when no child could be made.
 */
int	 daemon_start(struct err *e);
/*
 * Reports how the start went. With status 0 and in the background, standard
 * output and error go to /dev/null after that. In the foreground it only
 * logs the line of a success. At most the first call has an effect.
 */
void	 daemon_outcome(int status, const char *line);
/* Where the workers' output goes: a descriptor. */
int	 daemon_output(void);
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

/* err.c */
/*
 * Sets *e to the status and the formatted line, any byte below 0x20 in it
 * shown as \xNN. Returns -1, so that a caller can return its result.
 */
int	 err_set(struct err *e, int status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* The exit status that fits an errno: 77 for EACCES and EPERM, else dflt. */
int	 err_status(int error, int dflt);

/* ident.c */
/*
 * Resolves -u and -g into *id, or, where -u is not given, describes the
 * caller. Looks names and numbers up in passwd(5) and group(5), so it must
 * run before the jail. Refuses uid and gid 0. Returns 0, or -1 with *e set
 * (64, 67, 71).
 */
int	 ident_resolve(const char *user, const char *group, struct ident *id,
	    struct err *e);
/*
 * Resolves a user or group for the socket's owner; opt names the option.
 * *gid of ident_user is the user's primary group, or (gid_t)-1 for a number
 * without passwd entry. Returns 0, or -1 with *e set (67).
 */
int	 ident_user(const char *opt, const char *name, uid_t *uid, gid_t *gid,
	    struct err *e);
int	 ident_group(const char *opt, const char *name, gid_t *gid,
	    struct err *e);
/* The name of an id, or its digits; in malloc'd memory, NULL without any. */
char	*ident_user_name(uid_t uid);
char	*ident_group_name(gid_t gid);

/* jail.c */
/*
 * Gives up every privilege: supplementary groups, root directory, ids and
 * capabilities, in that order, then reads each back from the kernel. The
 * working directory is "/" afterwards. Returns 0 with *g filled, or -1 with
 * *e set (77, 71); there is no way back from a partial drop, so the caller
 * must end.
 */
int	 jail_enter(struct plan *p, struct guarantees *g, struct err *e);

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

/* listen.c */
/*
 * Parses a literal IPv4 or IPv6 address and a port into *ss. Returns the
 * length of the address, or 0 if it is neither.
 */
socklen_t listen_address(const char *address, int port,
	    struct sockaddr_storage *ss);
/*
 * Creates, binds and listens on the plan's socket and puts it on descriptor
 * 0. Returns 0, or -1 with *e set (73, 77, 71) and nothing left behind.
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
 * Sets the pool's name for the log's lines and takes the time zone while
 * its files can still be read.
 */
void	 log_init(const char *name);
/*
 * While starting: one line on standard error and exit with e->status, by
 * way of daemon_outcome().
 */
void	 fatal(const struct err *e) __attribute__((noreturn));
void	 log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	 log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* loop.c */
/* Prepares the loop. Returns 0, or -1 with *e set (71). */
int	 loop_init(struct err *e);
/* Blocks all signals (in the start and around a fork), or none. */
void	 loop_block_signals(void);
void	 loop_unblock_signals(void);
/* Calls the handler, from the loop, after signo was received. */
int	 loop_signal(int signo, void (*handler)(int), struct err *e);
/* Calls the handler once at `when` (loop_now()'s clock); NEVER cancels. */
void	 loop_timer(uint64_t when, void (*handler)(void));
/* Microseconds of CLOCK_MONOTONIC. */
uint64_t loop_now(void);
/* Runs until loop_end(). Returns 0, or -1 when it failed. */
int	 loop_run(void);
void	 loop_end(void);

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
/* One that waits in the listen queue, the oldest if that is known; or 0. */
uint64_t observe_head(void);
/* Has that one left the queue? With mark 0 none has; it may be unknown. */
enum moved observe_moved(uint64_t mark);
/* The process that made the socket a unix one is connected to, or -1. */
pid_t	 observe_peer(int fd);
/* What the kernel cuts a backlog to, or -1 where it cannot be known. */
int	 observe_somaxconn(void);

/* proc_linux.c: reading /proc through a descriptor that outlives the jail */
/* Opens /proc. Returns 0 with *detached set, or -1: there is none. */
int	 proc_open(bool *detached);
/* Reads a small file of /proc as a string. Returns its length, or -1. */
ssize_t	 proc_read(const char *path, char *buf, size_t size);
/* Writes a file of /proc. Returns 0, or -1 with errno set. */
int	 proc_write(const char *path, const char *text);
/*
 * Looks at a process and all its descendants. inode is the listen socket's.
 * Returns 0 with *v filled, or -1 if even the first could not be seen.
 */
int	 proc_view(pid_t pid, uint64_t inode, struct view *v);
/*
 * Collects the inodes of the sockets a process tree holds, but for `skip`;
 * at most n. Returns how many, or -1 if the first process cannot be read.
 */
int	 proc_sockets(pid_t pid, uint64_t skip, uint64_t *inodes, int n);

/* diag_linux.c: what NETLINK_SOCK_DIAG knows of the listen socket */
/* Opens it for the listen socket fd, before the jail. Returns 0 or -1. */
int	 diag_open(int fd);
/* As observe_head() and observe_moved(). */
uint64_t diag_head(void);
enum moved diag_moved(uint64_t mark);
/*
 * Is one of these socket inodes an accepted connection of the listen socket?
 * 1: yes, 0: no, -1: unknown.
 */
int	 diag_accepted(const uint64_t *inodes, int n);

/* options.c */
/*
 * Parses a command line into *c. Pure but for memory. Returns 0, or -1 with
 * *e set (64; 71 for no memory).
 */
int	 options_parse(struct conf *c, int argc, char *argv[], struct err *e);
/* Prints usage and options. Returns 0, or -1 when it could not be written. */
int	 options_help(void);
void	 options_free(struct conf *c);

/* plan.c */
/*
 * Resolves names, paths and addresses, checks what can be checked without
 * creating anything. Returns 0, or -1 with *e set.
 */
int	 plan_make(struct plan *p, const struct conf *c, struct err *e);
void	 plan_free(struct plan *p);

/* program.c */
/*
 * Says in plain words why exec of path failed with `error`, as far as the
 * file's first bytes tell: a missing loader or interpreter, a wrong
 * architecture, no execute permission. Must run with the rights and root
 * directory of the worker. Writes a line, "" if there is nothing to add.
 */
void	 program_explain(const char *path, int error, char *buf, size_t size);

/* report.c */
/* Puts what the pool did into one line of the log. */
void	 report_notice(const struct plan *p, const struct pool_notice *n,
	    const struct exec_failure *f);
/* "exec /app in /jail: why: explanation", for a failure of a child. */
void	 report_exec(const struct plan *p, const struct exec_failure *f,
	    char *buf, size_t size);
/* "exited with status 1", "was killed by SIGSEGV (core dumped)". */
void	 report_status(int status, char *buf, size_t size);
/* "4 workers ready on unix:/run/app.sock (www:www 0660), ..." */
void	 report_ready(const struct plan *p, unsigned int ready, char *buf,
	    size_t size);

/* signame.c */
/* A signal by its name, with or without SIG, or number; -1: none such. */
int	 signame_number(const char *name);
/* "TERM", or NULL for a number that has no name here. */
const char *signame_name(int signo);

/* worker.c */
/* Makes room for n slots. Returns 0, or -1 with *e set (71). */
int	 worker_init(const struct plan *p, unsigned int n, struct err *e);
/*
 * Forks and execs the application in a slot. Returns its pid, or -1 with
 * errno set. All signals must be blocked; it never returns in the child.
 */
pid_t	 worker_spawn(unsigned int slot);
/*
 * Sends a signal to a slot's process group (and its first process, should
 * that have left the group). Nothing happens if the slot has no process.
 */
void	 worker_signal(unsigned int slot, int signo);
/*
 * Takes one child that has ended: its status in *status and, if it was a
 * worker, its slot in *slot, else -1. Returns its pid, 0 if there is none.
 */
pid_t	 worker_reap(int *slot, int *status);
/* Why the last process of a slot did not reach its program; NULL: it did. */
const struct exec_failure *worker_failure(unsigned int slot);
/* What a look at the slot's process remembers. */
struct sight *worker_sight(unsigned int slot);
/* The process of a slot, 0: none. */
pid_t	 worker_pid(unsigned int slot);

#endif
