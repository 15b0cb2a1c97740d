/* SPDX-License-Identifier: ISC */
/*
 * What all other folders use: errors and findings, text, the log, the event
 * loop, the environment of spawnd itself, and safe ways to open files as root.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <sys/types.h>
#include <sys/stat.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SPAWND_VERSION		"0.1"
#define NAME_SIZE		33	/* of a pool, with the NUL */
#define WORKERS_MAX		65535
#define TIMEOUT_MAX		86400	/* seconds */
#define ERR_SIZE		1024	/* of an error's line, with the NUL */
#define SYSLOG_SOCKET		"/dev/log"

/* Why something failed: an exit status of sysexits.h, and one line of text. */
struct err {
	int		 status;
	char		 text[ERR_SIZE];
};

enum finding_level {
	FINDING_ERROR,		/* it would not work */
	FINDING_WARNING,	/* it works, but not as it should */
	FINDING_NOTE		/* worth knowing */
};

/* Something that the plan or the preflight has to say. */
struct finding {
	enum finding_level level;
	int		 status;	/* of an error: one of sysexits.h */
	char		*text;		/* one line */
};

struct findings {
	struct finding	*list;
	size_t		 n;
};

/* err.c */
/*
 * Sets *e to the status and the formatted line, its control characters shown
 * as \xNN. Returns -1, so that a caller can return its result.
 */
int	 err_set(struct err *e, int status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* The exit status for an errno: 77 for EACCES and EPERM, else dflt. */
int	 err_status(int error, int dflt);

/* text.c: text that others have written */
/* How many of the len bytes at s are one UTF-8 character; 0: they are none. */
size_t	 text_utf8(const char *s, size_t len);
/*
 * Copies len bytes of s to buf with every control character, U+0080 to U+009F
 * among them, as \xNN for each of its bytes. With `strict` so are bytes that
 * are not UTF-8, and characters that hide others or change the direction of
 * writing. What does not fit in `size` bytes with a NUL is left out, whole
 * characters at a time. Returns the length of the copy.
 */
size_t	 text_escape(char *buf, size_t size, const char *s, size_t len,
	    bool strict);
/* Writes the strict form to f. */
void	 text_print(FILE *f, const char *s, size_t len);
/* A word as a shell takes it, in malloc'd memory; NULL without memory. */
char	*text_quote(const char *word);
/*
 * Reads the len bytes at s as a number, with K, M or G (powers of 1024)
 * behind it or nothing, below 2^63. Returns 0 with *value set, or -1.
 */
int	 text_size(const char *s, size_t len, uint64_t *value);

/* findings.c */
/*
 * Adds one, its text escaped as err_set() does it. Ends the process when there
 * is no memory.
 */
void	 findings_add(struct findings *f, enum finding_level level,
	    int status, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
/* The first error, or NULL. */
const struct finding *findings_error(const struct findings *f);
void	 findings_free(struct findings *f);

/* log.c */
enum log_target { LOG_TO_STDERR, LOG_TO_FILE, LOG_TO_SYSLOG };

struct log_conf {
	const char	*name;		/* of the pool; kept, may change */
	enum log_target	 to;
	const char	*file;		/* an absolute path */
	int		 facility;	/* LOG_DAEMON ... */
	bool		 foreground;
	bool		 jailed;	/* it will be written from a jail */
};
/*
 * Reads the time zone and opens the log; to be called before the jail is
 * entered. A syslog socket that is missing is no error: lines are lost until
 * it is there, see log_complaint(). Returns 0, or -1 with *e set (73, 77).
 */
int	 log_open(const struct log_conf *c, struct err *e);
/* True if the log goes to standard error, which then must stay open. */
bool	 log_on_stderr(void);
/*
 * Reopens the log's file by its name (fd -1), or takes over a descriptor that
 * a client has opened for appending. Returns 0, or -1 with *e set (64, 73,
 * 77); then fd is closed and the old file is kept.
 */
int	 log_reopen(int fd, struct err *e);
/* What is wrong with the log although it is open, or "". */
const char *log_complaint(void);
/* Is there room for many more lines, in the log or in its buffer? */
bool	 log_ready(void);
/* Has nobody read the log for a second, or is its disk full? */
bool	 log_stuck(void);
/* Counts n lines as lost; the next line that is logged is followed by it. */
void	 log_lost(unsigned long n);
/* Waits up to a second for a slow reader to take the last lines. */
void	 log_close(void);
void	 log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	 log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * Logs a line of a worker's output, len bytes without its newline. With `raw`
 * it is written unchanged; else it is prefixed with time, pool and pid, its
 * control characters are escaped, and a backslash is added if it is `split`,
 * that is, continued in the next line. Returns its length in the log.
 */
size_t	 log_worker(pid_t pid, const char *line, size_t len, bool split,
	    bool raw);

/* syslog.c */
/* LOG_DAEMON and so on by name, or -1. */
int	 syslog_facility(const char *name);
/* Connects to syslogd, before the jail. Returns 0 or -1 with errno set. */
int	 syslog_open(bool jailed);
/*
 * Sends a line in the form of RFC 3164, connecting again where necessary;
 * never waits. Returns 0, or -1 if the line is lost.
 */
int	 syslog_send(int priority, const char *text, size_t len);

/* loop.c */
enum loop_timer {
	TIMER_POOL, TIMER_OUTPUT, TIMER_LOG, TIMER_NOTIFY, TIMER_STATUS,
	TIMER_ORPHANS, TIMER_STOPPED, TIMER_CRIPPLED, TIMER_WATCHDOG,
	TIMER_CONTROL, TIMER_AUTOSCALE, TIMER_RETRY, TIMER_TRACED, TIMER_WATCH,
	TIMER_LOOKER, TIMER_LEFTOVERS, NTIMERS
};
struct loop_watch;
/* Creates the loop. Returns 0, or -1 with *e set (71). */
int	 loop_init(struct err *e);
/* Block all signals (during the start and around a fork), or none. */
void	 loop_block_signals(void);
void	 loop_unblock_signals(void);
/* Has the loop call the handler after signo was received. */
int	 loop_signal(int signo, void (*handler)(int), struct err *e);
/* Has signo handled again: its handler left something for later. */
void	 loop_again(int signo);
/*
 * Has the handler called once at `when`, in loop_now()'s microseconds; NEVER
 * cancels. A timer has one time and one handler: those set last.
 */
void	 loop_timer(enum loop_timer t, uint64_t when, void (*handler)(void));
/*
 * Has the handler called whenever fd can be read. Returns NULL with errno set
 * on failure. A watch that is paused calls nothing until it is resumed.
 */
struct loop_watch *loop_watch(int fd, void (*handler)(void *), void *arg);
/* The same whenever fd can be written; the watch is paused at first. */
struct loop_watch *loop_watch_write(int fd, void (*handler)(void *),
	    void *arg);
/*
 * As loop_watch(), but paused at first and again after each call, so that a
 * descriptor that is always readable costs nothing.
 */
struct loop_watch *loop_watch_once(int fd, void (*handler)(void *), void *arg);
void	 loop_pause(struct loop_watch *w);
/* Where the kernel refuses, it is retried each second. */
void	 loop_resume(struct loop_watch *w);
void	 loop_unwatch(struct loop_watch *w);
/* Microseconds of CLOCK_MONOTONIC. */
uint64_t loop_now(void);
/* Microseconds of cpu that this process has used. */
uint64_t loop_cpu(void);
/* Runs until loop_end(). Returns 0, or -1 when it failed. */
int	 loop_run(void);
void	 loop_end(void);

/* path.c */
/* A user whose rights to a path are in question. */
struct path_user {
	uid_t		 uid;
	gid_t		 gid;
	const gid_t	*groups;	/* the supplementary ones */
	int		 ngroups;
};
/* What that user could write or replace of a path. */
struct exposure {
	const struct path_user *user;	/* NULL: anybody but root */
	bool		 found;
	char		 path[ERR_SIZE / 2];	/* the first part exposed */
};
/*
 * Opens a directory for looking up names in it. `root` is the descriptor of
 * the directory that serves as "/" for the look-up, which nothing then leads
 * out of, or -1 for the process's own. With uid 0 a symbolic link on the way
 * is followed only if root owns it. Returns a close-on-exec descriptor
 * (O_PATH), or -1 with errno set (EXDEV: another user's link).
 */
int	 path_open_dir(int root, const char *path);
/*
 * Opens the directory that contains the last component of path, and sets *name
 * to that component, within path. Returns as path_open_dir().
 */
int	 path_open_above(const char *path, const char **name);
/*
 * Opens an existing file with flags of open(2). With uid 0 links are treated
 * as by path_open_dir(), the last component included, and a file with more
 * than one hard link is refused (EMLINK) in a directory that users other than
 * root can write to. Returns a close-on-exec descriptor, or -1 with errno set.
 */
int	 path_open_file(const char *path, int flags);
/*
 * Opens a regular file in a directory for appending, without following a link
 * and without blocking; flags may add O_CREAT (mode 0640). Returns a
 * close-on-exec descriptor, or -1 with errno set, for which
 * path_append_reason() has words (ELOOP: a link, EMLINK: more than one hard
 * link, EINVAL: not a regular file).
 */
int	 path_open_append(int dir, const char *name, int flags);
const char *path_append_reason(int error);
/*
 * Finds out whether user u, or with NULL anybody but root, could write to the
 * file or directory at path, or replace it or a directory on the way to it.
 * Only owners and modes count, access lists are not read. Returns x->found;
 * false for a path that cannot be reached.
 */
bool	 path_find_exposure(int root, const char *path,
	    const struct path_user *u, struct exposure *x);
/* Why one of these failed, in words, by errno. */
const char *path_reason(int error);
/*
 * An absolute form of path: from "/" with in_jail, else from the working
 * directory. Returns malloc'd memory, or NULL with errno set.
 */
char	*path_absolute(const char *path, bool in_jail);

/* path_linux.c, path_posix.c: the same name on every system */
/*
 * Prepares a directory's descriptor for use inside the jail: where the system
 * can, it is replaced by a detached mount, from which no ".." leads out, and
 * *detached is set. Any other must be closed before the jail is entered.
 * Returns a close-on-exec descriptor in place of dir, or -1 if dir is -1.
 */
int	 path_detach(int dir, bool *detached);

/* pidlock.c: a file that holds our pid, and may be locked while we live */
#define HOLDER_SIZE	40
/*
 * Opens or creates it in a directory. Returns a descriptor, or -1 with errno
 * set (ELOOP: it is a link, EWOULDBLOCK: another process has it locked).
 */
int	 pidlock_open(int dir, const char *name, bool locked);
/* Is it a regular file with one hard link that is empty or holds a pid? */
bool	 pidlock_is_pid(int fd);
/* Writes our pid and sets the mode. Returns 0, or -1 with errno set. */
int	 pidlock_fill(int fd, mode_t mode);
/* Who holds the lock, as far as known: "pid 12" or "another process". */
const char *pidlock_holder(int dir, const char *name,
	    char who[HOLDER_SIZE]);

/* environ.c: the environment that spawnd was started with */
/* The value of NAME in envp, or NULL. */
const char *environ_get(char *const *envp, const char *name);
/* All of it. */
char	**environ_own(void);
/* Overwrites it with zeros and keeps nothing but the time zone. */
void	 environ_scrub(void);
/* Reads the time zone now, so that localtime(3) knows it in the jail. */
void	 environ_keep_time_zone(void);

/* signame.c */
/* The number of a signal, by name (with or without SIG) or number; or -1. */
int	 signame_number(const char *name);
/* "TERM", or NULL for a number that has no name here. */
const char *signame_name(int signo);
/*
 * Describes a status of wait(2): "exited with status 1", "was killed by SIGSEGV
 * (core dumped)".
 */
void	 signame_wait_status(int status, char *buf, size_t size);

#endif
