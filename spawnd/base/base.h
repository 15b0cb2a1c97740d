/* SPDX-License-Identifier: ISC */
/*
 * What all other folders use: errors and findings, text, the log, the
 * environment of spawnd itself, and safe ways to open files as root. The event
 * loop is in loop.h.
 *
 * In all headers "-1 with *e set (64, 71)" means that e->text says what has
 * failed and e->status is one of these exit statuses of sysexits.h: 64 the
 * command line, 66 a file to be read, 67 a user or group, 69 a service, 71 the
 * system or no memory, 73 a file to be made, 74 output, 75 try again later, 76
 * the protocol, 77 a right, 78 the configuration. "The jail" is the root
 * directory and the user that the supervisor changes to at the end of its
 * start; what needs a path or root's rights must come before.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <sys/types.h>
#include <sys/stat.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compat.h"

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
 * as \xNN and its end cut off where it is longer than ERR_SIZE. Returns -1, so
 * that a function that fails can return err_set(...).
 */
int	 err_set(struct err *e, int status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* Returns the exit status for an errno: 77 for EACCES and EPERM, else dflt. */
int	 err_status(int error, int dflt);

/* text.c: text that others have written, before it is shown or used */
/*
 * Returns the length of the UTF-8 character that the len bytes at s begin
 * with; 0 if they begin with none.
 */
size_t	 text_utf8(const char *s, size_t len);
/*
 * Copies len bytes of s to buf, and writes \xNN for each byte of a control
 * character (of U+0080 to U+009F, too). With `strict` it does the same for
 * bytes that are not UTF-8, and for characters that hide others or change the
 * direction of writing. Text that does not fit into `size` bytes, the NUL
 * included, is cut between two characters; size is at least 1, and the copy
 * always has its NUL. Returns the length of the copy, without that.
 */
size_t	 text_escape(char *buf, size_t size, const char *s, size_t len,
	    bool strict);
/*
 * Writes the len bytes at s to f as text_escape() does it with `strict`. An
 * error is left for ferror(3).
 */
void	 text_print(FILE *f, const char *s, size_t len);
/* Returns the word quoted for a shell, malloc'd; NULL without memory. */
char	*text_quote(const char *word);
/*
 * Reads the len bytes at s as a number below 2^63, which K, M or G (powers of
 * 1024) may follow. Returns 0 with *value set, or -1.
 */
int	 text_size(const char *s, size_t len, uint64_t *value);

/* findings.c */
/*
 * Adds a finding, its text escaped as err_set() does it, and not cut. status
 * counts only for an error. Without memory the process exits with 71: nothing
 * has been started yet.
 */
void	 findings_add(struct findings *f, enum finding_level level,
	    int status, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
/* Returns the first error, which still belongs to *f, or NULL. */
const struct finding *findings_error(const struct findings *f);
/* Frees all findings, and leaves *f empty. */
void	 findings_free(struct findings *f);

/* log.c */
enum log_target { LOG_TO_STDERR, LOG_TO_FILE, LOG_TO_SYSLOG };

struct log_conf {
	const char	*name;		/* the pool's; read at each line */
	enum log_target	 to;
	const char	*file;		/* LOG_TO_FILE: its absolute path */
	int		 facility;	/* of syslog(3): LOG_DAEMON ... */
	bool		 foreground;	/* what syslog does not take goes to
					   standard error */
	bool		 jailed;	/* it will be written from a jail */
};
/*
 * Reads the time zone and opens the log; to be called before the jail. Keeps
 * c->name and c->file, which must live as long as the log. A syslog socket that
 * is missing is no error: lines are lost until it is there, see
 * log_complaint(). Returns 0, or -1 with *e set (73, 77).
 */
int	 log_open(const struct log_conf *c, struct err *e);
/* True if the log goes to standard error, which then must stay open. */
bool	 log_on_stderr(void);
/*
 * Reopens the log's file by its name (fd -1), or takes over a descriptor that
 * a client has opened for appending. Returns 0, or -1 with *e set (64: the log
 * is no file, or fd is not open for appending to one; 73, 77); then fd is
 * closed and the old file is kept.
 */
int	 log_reopen(int fd, struct err *e);
/* Is fd the file that has the name of the log now? */
bool	 log_has_name_of(int fd);
/*
 * Returns what was wrong with syslog when the log was opened, in a line that
 * stays where it is, or "".
 */
const char *log_complaint(void);
/* May workers go on writing? There is room, in the log or in its buffer. */
bool	 log_ready(void);
/* Has nobody read the log for a second, or is its disk full? */
bool	 log_stuck(void);
/* Counts n lines as lost; the next line logged is followed by their number. */
void	 log_lost(unsigned long n);
/*
 * Waits up to a second for a slow reader to take the last lines. The log stays
 * open.
 */
void	 log_close(void);
/*
 * Log a line, its control characters escaped, cut at ERR_SIZE. They never
 * wait, keep errno, and count a line as lost that cannot be written; before
 * log_open() they write to standard error.
 */
void	 log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	 log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * Logs a line of a worker's output, len bytes without its newline. With `raw`
 * it is written unchanged, but for syslog's prefix, and cut at 64 KiB; else it
 * is prefixed with time, pool and pid, its control characters are escaped, it
 * is cut at 32 KiB, and a backslash is added if it is `split`, that is,
 * continued in the next line. Returns its length in the log, in bytes with the
 * newline.
 */
size_t	 log_worker(pid_t pid, const char *line, size_t len, bool split,
	    bool raw);

/* syslog.c */
/*
 * Returns the number of a facility of syslog(3), LOG_DAEMON and so on, by its
 * name in any case ("daemon"), or -1.
 */
int	 syslog_facility(const char *name);
/*
 * Connects to syslogd; to be called before the jail. jailed: it will be sent
 * to from there. Returns 0, or -1 with errno set; then syslog_send() tries
 * again, if it can reach the socket's directory.
 */
int	 syslog_open(bool jailed);
/*
 * Sends a line, len bytes without a newline, in the form of RFC 3164 that
 * syslog(3) sends, connecting again where necessary; never waits. priority is
 * a facility or'ed with a level. Returns 0, or -1 if the line is lost.
 */
int	 syslog_send(int priority, const char *text, size_t len);

/* pass.c: descriptors that are passed over a unix socket */
#define PASSED_MAX	8	/* with one message */
/*
 * Sends as send(2) does, but never waits or raises SIGPIPE. n descriptors, at
 * most PASSED_MAX, go with the first byte (SCM_RIGHTS of unix(7)); the caller
 * keeps them. Returns what that returns, with its errno.
 */
ssize_t	 pass_send(int sock, const void *text, size_t len, const int *fds,
	    size_t n);
/*
 * Receives as recv(2) does, and returns what that returns, with its errno. Of
 * the descriptors that come at most *n, which is not above PASSED_MAX, are
 * taken into fds, close-on-exec, for the caller to close; the others are
 * closed. *n is set to how many were taken, 0 after an error.
 */
ssize_t	 pass_receive(int sock, void *text, size_t size, int *fds, size_t *n);

/* pidlock.c: a file that holds our pid, and may be locked while we live */
#define HOLDER_SIZE	40
/*
 * Opens or creates such a file in a directory. With `locked` it also locks it
 * by flock(2), for as long as the descriptor is open, and a new file is not for
 * others to read, since whoever can open it can lock it. Returns a
 * close-on-exec descriptor, or -1 with errno set (ELOOP: it is a link,
 * EWOULDBLOCK: another process has it locked).
 */
int	 pidlock_open(int dir, const char *name, bool locked);
/* Is it a regular file with one hard link that is empty or holds a pid? */
bool	 pidlock_is_pid(int fd);
/*
 * Writes a pid into a file that has another one, so that a reader finds one or
 * the other. Returns 0, or -1 with errno set.
 */
int	 pidlock_rewrite(int fd, pid_t pid);
/* Does the file hold that pid, and nothing else? */
bool	 pidlock_holds(int fd, pid_t pid);
/*
 * Writes our pid in place of what the file holds, and sets its mode. Returns 0,
 * or -1 with errno set.
 */
int	 pidlock_fill(int fd, mode_t mode);
/*
 * Names the holder of the lock, by what the file says: "pid 12", or "another
 * process" if that is not a number. Returns who, which has that text.
 */
const char *pidlock_holder(int dir, const char *name,
	    char who[HOLDER_SIZE]);

/* environ.c: the environment that spawnd was started with */
/* Returns the value of the variable in envp, not a copy, or NULL. */
const char *environ_get(char *const *envp, const char *name);
/* Returns environ itself, no copy. */
char	**environ_own(void);
/*
 * Overwrites our environment with zeros, so that /proc does not show it, and
 * keeps only TZ.
 */
void	 environ_scrub(void);
/*
 * Does TZ name a file that is not a regular one (a FIFO, say), so that whoever
 * reads the time zone could wait for ever? Returns its path, valid until the
 * next call; else NULL.
 */
const char *environ_odd_time_zone(void);
/*
 * Reads the time zone now, so that localtime(3) knows it in the jail; without
 * TZ it sets that to /etc/localtime.
 */
void	 environ_keep_time_zone(void);

/* self_linux.c, self_posix.c: this process, as it was started and is seen */
/*
 * Returns the path that was executed, as it was spelled then, in memory that
 * stays; links in it are not followed. NULL where the system does not say, and
 * on FreeBSD for a spawnd that may have been reached by a link.
 */
const char *self_executed(void);
/*
 * Moves the arguments elsewhere, and points argv[] there, so that self_name()
 * has their place. If that was not called, or there is no memory, self_name()
 * leaves the command line as it is.
 */
void	 self_make_room(int argc, char *argv[]);
/*
 * From now on ps(1) shows a command line of two words, the first len bytes of
 * path and `more`, cut where our own was shorter. The name of the process is
 * the base name of path, where that can be set.
 */
void	 self_name(const char *path, size_t len, const char *more);

/*
 * Returns the path of our control group (cgroups(7)), cut as by
 * self_cut_cgroup(), malloc'd; NULL: it is unknown.
 */
char	*self_cgroup(void);
/*
 * Finds a controller ("": the hierarchy of version 2) in the text of a
 * /proc/PID/cgroup. Returns the path of its group, malloc'd, or NULL. Linux
 * only.
 */
char	*self_cgroup_in(const char *text, const char *controller);
/*
 * Cuts the path of a control group behind its last *.service or *.scope, which
 * is the service itself: what is below, the service has divided. Linux only.
 */
void	 self_cut_cgroup(char *path);

/* signame.c */
/*
 * Returns a signal's number, by its name (in any case, with or without SIG) or
 * by digits; or -1.
 */
int	 signame_number(const char *name);
/* Returns "TERM" and so on, or NULL for a signal that not all systems have. */
const char *signame_name(int signo);
/*
 * Writes a status of wait(2) to buf: "exited with status 1", "was killed by
 * SIGSEGV (core dumped)"; of STATUS_UNKNOWN (units.h), that it is unknown.
 */
void	 signame_wait_status(int status, char *buf, size_t size);

#endif
