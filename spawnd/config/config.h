/* SPDX-License-Identifier: ISC */
/*
 * From the command line and the environment to the plan: what was asked for
 * (struct conf), and what it means on this system (struct plan). main.c makes
 * one of each, which live until the process ends; nothing frees their members.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/network.h"
#include "base/path.h"

#define WORKERS_DEFAULT		4
#define BACKLOG_DEFAULT		1024
#define BACKLOG_MAX		65535
#define MODE_DEFAULT		0660
#define UMASK_DEFAULT		022
#define UMASK_KEEP		(-1)	/* the one that we were started with */
#define START_TIMEOUT		60	/* seconds, by default; so the next 3 */
#define STOP_TIMEOUT		30
#define IDLE_TIMEOUT		10
#define KEEP_IDLE		5
#define SCALE_ROOM		1024	/* workers that scale may go up to */
#define AGE_MAX			31536000	/* of --max-age, s: a year */
#define ENV_FILE_SIZE		65536	/* bytes of an --env-file */
#define RLIMITS_MAX		16	/* --rlimit options */
#define CALLED_MAX		48	/* options that set a member */
#define CALLED_SIZE		24	/* "--socket-before-chroot" */
#define FDS_RESERVED		80	/* descriptors for spawnd itself */
#define DEFAULT_JAIL		"/var/www"
#define DEFAULT_SOCKET		"run/httpd.sock" /* in the jail */
#define DEFAULT_ADDRESS		"127.0.0.1"
/* All of IPv4 and IPv6. */
#define ANY_ADDRESS		"*"
#define DEFAULT_PATH		"/usr/local/bin:/usr/bin:/bin"

/* Where the workers' output goes, and in which form. */
enum worker_log {
	WORKER_LOG_PREFIX, WORKER_LOG_RAW, WORKER_LOG_NONE,
	WORKER_LOG_INHERIT	/* to where our own goes */
};

/* What the workers' environment starts from, before -e and --env-file. */
enum env_base {
	ENV_ALLOWED,		/* the allowlist, and HOME, USER and so on */
	ENV_WHOLE,		/* ours without what is never passed on */
	ENV_EXACT		/* ours, for the program that replaces us */
};

enum env_kind {
	ENV_PASS,		/* text: a name or shell pattern */
	ENV_SET,		/* text: NAME=VALUE */
	ENV_FILE		/* text: a path */
};

/* One -e or --env-file, kept in the order of the command line. */
struct env_rule {
	enum env_kind	 kind;
	const char	*text;
};

enum test_mode {
	TEST_NO, TEST_YES,
	TEST_STRICT		/* a warning fails it too */
};

/* Whether a pool that runs is to be taken over, see control/successor.c. */
enum take_over {
	TAKE_OVER_NO, TAKE_OVER_YES,
	TAKE_OVER_CHANGED	/* where nothing changes, a reload will do */
};

struct limit {
	int		 resource;	/* RLIMIT_* */
	const char	*name;
	struct rlimit	 value;
	bool		 has_hard;
};

/* The command line, parsed; no name and no path is resolved yet. */
struct conf {
	/* How messages spell the option that sets a member; its offset. */
	struct {
		size_t	 member;
		char	 as[CALLED_SIZE];
		bool	 borrowed;		/* by another program */
		bool	 typed;			/* else it is the default */
	}		 called[CALLED_MAX];
	size_t		 ncalled;
	bool		 always_jailed;		/* no option leaves it out */
	const char	*socket;
	bool		 socket_outside;	/* of the chroot */
	int		 socket_mode;		/* -1: not given */
	const char	*socket_user;
	const char	*socket_group;
	int		 port;			/* 0: not given */
	const char	*address;
	struct network	*allow;			/* who may connect */
	size_t		 nallow;
	int		 backlog;
	const char	*chroot;
	const char	*user;
	const char	*group;
	const char	*chdir;
	int		 workers;		/* -1: not given */
	int		 max_workers;		/* -1: not given */
	int		 idle_timeout;		/* seconds; -1: not given */
	int		 php_children;		/* of each worker; -1 */
	struct env_rule	*env;
	size_t		 nenv;
	bool		 foreground;
	const char	*command;
	const char	*name;
	int		 umask;			/* or UMASK_KEEP */
	int		 nice;			/* if it is given */
	bool		 nice_given;
	struct limit	 limits[RLIMITS_MAX];
	size_t		 nlimits;
	bool		 no_new_privs;
	bool		 confine;
	bool		 confine_given;		/* then it must succeed */
	int		 start_timeout;		/* seconds */
	int		 stop_timeout;		/* seconds */
	int		 drain;			/* seconds, before a stop */
	int		 stop_signal;
	int		 keep_idle;		/* seconds; 0: never */
	int		 max_age;		/* seconds; 0: none */
	uint64_t	 max_rss;		/* bytes; 0: none */
	int		 reload_surge;		/* 0: a share of the workers */
	int		 request_timeout;	/* seconds; 0: none */
	const char	*pidfile;
	const char	*control;		/* NULL: not given */
	const char	*found;			/* another's place, for ours */
	const char	*status_group;
	const char	*log;			/* NULL: not given */
	const char	*facility;		/* of syslog, by name */
	enum worker_log	 worker_log;
	enum test_mode	 test;
	enum take_over	 takeover;
	bool		 help;
	bool		 version;
	char		**argv;			/* the operands, then NULL */
	int		 argc;			/* how many */

	/* Only the other names of the program set these, see compat_*.c. */
	bool		 variable;		/* kfcgi's -r */
	bool		 unused_flag;		/* options without effect */
	int		 unused;
	enum env_base	 env_base;
	bool		 inherited_only;	/* a socket must be passed in */
	bool		 inherits_none;		/* ignore LISTEN_FDS */
	bool		 mode_by_umask;		/* the socket's, without -M */
	bool		 system_families;	/* "::" as it is set */
	bool		 root_stays;		/* root may do without -u */
	bool		 cwd_stays;		/* without a jail */
	bool		 becomes_app;		/* no pool: exec it at once */
	bool		 pidfile_public;	/* readable, so not locked */
	bool		 titled;		/* ps shows the application */
	bool		 stop_by_any;		/* HUP and USR1 stop too */
	bool		 worker_status;		/* exit with a worker's */
	int		 error_status;		/* for any error; 0: its own */
	const char	*outcome;		/* print this and the pid */
};

/* The user and groups that the supervisor and the workers run as. */
struct ident {
	uid_t		 uid;
	gid_t		 gid;
	gid_t		*groups;		/* the supplementary ones */
	int		 ngroups;
	bool		 change;		/* false: as we were started */
	char		*user;			/* passwd's name, or digits */
	char		*group;
	char		*home;			/* NULL: no passwd entry */
	char		*shell;
};

/*
 * What is to be done, with every name, path and address resolved. "unix" and
 * "TCP": for a listen socket of that kind only.
 */
struct plan {
	const struct conf *conf;
	char		 name[NAME_SIZE];
	bool		 root;			/* we have uid 0 */
	bool		 needs_root;		/* only root may start it */
	bool		 stays_root;		/* the workers have it, too */
	const char	*jail_reason;		/* " (why this jail)", or "" */
	char		*jail;			/* NULL: no chroot */
	int		 jail_fd;		/* -1: no chroot */

	int		 inherited;		/* -1: a socket is to be made */
	int		 taken;			/* another pool's socket; -1 */
	struct sockaddr_storage addr;		/* unix: the family alone */
	socklen_t	 addrlen;
	bool		 both_families;		/* TCP: "::" with IPv4 */
	char		*socket_dir;		/* unix: contains socket_file */
	char		*socket_file;		/* unix: no slash in it */
	bool		 socket_in_jail;	/* socket_dir begins there */
	mode_t		 socket_mode;
	uid_t		 socket_uid;
	gid_t		 socket_gid;
	char		*socket_name;		/* unix:PATH, tcp:ADDR:PORT */
	char		*socket_owner;		/* unix: "user:group mode" */
	bool		 only_allowed;		/* TCP: these can connect: */
	struct network	*allow;			/* sorted, none in another */
	size_t		 nallow;
	char		*clients;		/* some of them, as text */

	struct ident	 ident;
	char		*chdir;
	int		 cwd_fd;		/* -1: chdir is used */
	char		*pidfile;		/* NULL: none */
	char		*control;		/* NULL: none; a directory */
	bool		 control_own;		/* of this pool alone */
	char		*control_lost;		/* a place not ours; NULL */
	gid_t		 status_gid;		/* (gid_t)-1: none */
	char		*log;			/* NULL: not a file */
	int		 backlog;
	char		**argv;			/* for execve(2), as envp */
	char		**envp;
	int		 workers;
	unsigned int	 max_workers;		/* 0: the size is fixed */
	unsigned int	 room;			/* workers after any scale */
	unsigned int	 surge;			/* in a reload; 0: a share */
	unsigned int	 processes;		/* workers, with the surge */
	rlim_t		 files;			/* descriptors for them all */
	rlim_t		 files_max;		/* the hard limit of these */
	int		 children;		/* PHP's, of each worker */
};

/* option.c: the spelling of options in messages */
/*
 * Returns the option that sets the member of *c at that offset, as it was
 * typed last; if it was not given, as the program's present name spells it.
 * The text is in *c. OPT(c, port) is "-p", for example.
 */
const char *option_called(const struct conf *c, size_t member);
/* Has the program, by its present name, such an option? */
bool	 option_exists(const struct conf *c, size_t member);
/* Is that option on the command line, so that it is no default? */
bool	 option_is_typed(const struct conf *c, size_t member);
#define TYPED(c, member) option_is_typed((c), offsetof(struct conf, member))
/*
 * The part of a message that advises an option: "" if the program, by its
 * present name, has none.
 */
#define OPT_HINT(c, member, hint) \
	(option_exists((c), offsetof(struct conf, member)) ? (hint) : "")
#define OPT(c, member)	option_called((c), offsetof(struct conf, member))

/* ident.c: to be called before the jail, which may lack passwd(5) */
/* Return the name of an id, or its digits, malloc'd; NULL without memory. */
char	*ident_user_name(uid_t uid);
char	*ident_group_name(gid_t gid);
/*
 * Returns the users in a group, by group(5) and by their primary group in
 * passwd(5), as "a, b", malloc'd. A list of more than 255 bytes is cut, and
 * only the first 4096 entries of passwd(5) count. NULL without memory.
 */
char	*ident_members(gid_t gid);

/* address.c */
/*
 * Is fd a listening stream socket, unix or TCP? Returns 0 with its address
 * in *ss, or -1.
 */
int	 address_of_listener(int fd, struct sockaddr_storage *ss);
/* Is it an address of TCP that other hosts may reach, not the loopback's? */
bool	 address_is_reachable(const struct sockaddr_storage *ss);

/* plan.c */
/*
 * Writes the pool's name: --name, or the last component of the application's
 * path with "_" for what no name may have. *c has an application.
 */
void	 plan_name(const struct conf *c, char name[NAME_SIZE]);
/*
 * Resolves names, paths and addresses into *p, and checks all that can be
 * checked without creating anything. inherited is the descriptor of a listen
 * socket that was passed in, or -1. *p keeps pointers to *c and into it. Errors
 * and warnings are added to *f; with an error in it the plan must not be
 * carried out, and members may be unset.
 */
void	 plan_make(struct plan *p, const struct conf *c, int inherited,
	    struct findings *f);
/* Does the limit of open files suffice to watch every worker's end? */
bool	 plan_watches(const struct plan *p);

/* env.c */
/*
 * Returns for each variable in envp of the plan whether its value may be shown,
 * malloc'd: one that comes from an --env-file, or from our environment because
 * -e names it, may be a secret. To be called before environ_scrub(). Returns
 * NULL without memory.
 */
bool	*env_shown(const struct plan *p);

/* plan_control.c: all files that may be in a pool's control directory */
#define PLAN_CONTROL_FILES	4
extern const char *const plan_control_files[PLAN_CONTROL_FILES];

/* exposure.c: what the workers could replace before the next start */
/*
 * For a plan with rights that the workers will not have: adds a warning to *f
 * for the jail, the program, the working directory, each --env-file and the
 * directory of the pidfile, if the workers' user could write to it or replace
 * it. Where the workers stay root any other user counts, and the first three
 * are exposure_check_start()'s.
 */
void	 exposure_check_files(const struct plan *p, struct findings *f);

#endif
