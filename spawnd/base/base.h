/* SPDX-License-Identifier: ISC */
/*
 * What everything else stands on: errors and findings, the log, the loop, our
 * own environment, and the way to a file that root may open.
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

/* Why something was refused: an exit status of sysexits.h and one line. */
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
/* The exit status that fits an errno: 77 for EACCES and EPERM, else dflt. */
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
	const char	*name;		/* of the pool; may change its bytes */
	enum log_target	 to;
	const char	*file;		/* an absolute path */
	int		 facility;	/* LOG_DAEMON ... */
	bool		 foreground;
	bool		 jailed;	/* it will be written from a jail */
};
/*
 * Takes the time zone while its files can still be read, and opens the log
 * before the jail. A syslog that is not there is waited for
 * while lines are lost, see log_complaint(). Returns 0, or -1 with *e set
 * (73, 77).
 */
int	 log_open(const struct log_conf *c, struct err *e);
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
	TIMER_POOL, TIMER_OUTPUT, TIMER_LOG, TIMER_NOTIFY, TIMER_STATUS,
	TIMER_ORPHANS, TIMER_STOPPED, TIMER_CRIPPLED, TIMER_WATCHDOG,
	TIMER_CONTROL, TIMER_AUTOSCALE, TIMER_RETRY, TIMER_TRACED, TIMER_WATCH,
	TIMER_LOOKER, NTIMERS
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

/* path.c */
/* What a user could write or exchange of a path's directories. */
struct path_user {
	uid_t		 uid;
	gid_t		 gid;
	const gid_t	*groups;	/* the supplementary ones */
	int		 ngroups;
};
struct exposure {
	const struct path_user *user;	/* NULL: anybody but root */
	bool		 found;
	char		 path[ERR_SIZE / 2];	/* the first of them */
};
/*
 * Opens a directory, for looking up names in it, by an absolute path or one
 * from here; with root != -1 as a process would find it that has root as its
 * root directory, and nothing leads out of that. As root a link on the way is
 * only followed if it is root's own. Returns a close-on-exec descriptor
 * (O_PATH), or -1 with errno set (EXDEV: such a link).
 */
int	 path_open_dir(int root, const char *path);
/* The same, of the directory that path is in; *name is the rest of it. */
int	 path_open_above(const char *path, const char **name);
/*
 * Opens a file, which is not created, with flags as open(2) has them. As root
 * as above, the last name included; and a file with more than one hard link
 * is refused (EMLINK) in a directory where others than root may make one.
 */
int	 path_open_file(const char *path, int flags);
/*
 * Looks whether that user, or with NULL anybody but root, could write the
 * file or directory at path, or exchange it or a directory on the way. By
 * owner and mode: access lists are not read. Returns x->found, false for what
 * cannot be reached.
 */
bool	 path_find_exposure(int root, const char *path,
	    const struct path_user *u, struct exposure *x);
/* Why it could not be opened, by errno. */
const char *path_reason(int error);
/* path as it will be once "/" is the working directory; malloc'd or NULL. */
char	*path_absolute(const char *path, bool in_jail);

/* path_linux.c, path_posix.c: the same name on every system */
/*
 * Makes a directory that was opened one for use after the jail. *detached: it
 * is a mount of its own, from which no ".." leads out; a plain one must be
 * closed before the jail is entered. Returns a close-on-exec descriptor in
 * place of dir, or -1 if that is -1.
 */
int	 path_detach(int dir, bool *detached);

/* pidlock.c: a file with our pid, which nobody else has */
#define HOLDER_SIZE	40
/*
 * Opens or makes it in a directory; a link or somebody else's lock is an
 * error (ELOOP, EWOULDBLOCK). Returns a descriptor, or -1 with errno set.
 */
int	 pidlock_open(int dir, const char *name, bool locked);
/* Is it a file of its own with a pid in it, or nothing? */
bool	 pidlock_is_pid(int fd);
/* Puts our pid into it. Returns 0, or -1 with errno set. */
int	 pidlock_fill(int fd, mode_t mode);
/* Whose it is, as far as it tells: "pid 12", "another process". */
const char *pidlock_holder(int dir, const char *name,
	    char who[HOLDER_SIZE]);

/* environ.c: what we were started with */
/* The value of NAME in envp, or NULL. */
const char *environ_get(char *const *envp, const char *name);
/* The environment spawnd itself was started with. */
char	**environ_own(void);
/* Wipes out what we were started with, but for the time zone. */
void	 environ_scrub(void);
/* Lets localtime(3) find its zone from within a jail. */
void	 environ_keep_time_zone(void);

/* signame.c */
/* A signal by its name, with or without SIG, or number; -1: none such. */
int	 signame_number(const char *name);
/* "TERM", or NULL for a number that has no name here. */
const char *signame_name(int signo);
/* wait(2)'s: "exited with status 1", "was killed by SIGSEGV (core dumped)". */
void	 signame_wait_status(int status, char *buf, size_t size);

#endif
