/* SPDX-License-Identifier: ISC */
/* What the files for Linux share: /proc, and who may wait. */
#ifndef OBSERVE_LINUX_H
#define OBSERVE_LINUX_H

#include <sys/types.h>

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observe/observe.h"
#include "pool/seen.h"

/*
 * Every look at a worker has these limits: a worker that has more is unknown,
 * to each of them alike.
 */
#define TREE_MAX	256	/* processes of a worker */
#define TASKS_MAX	2048	/* tasks, of all of them */
#define FDS_MAX		4096	/* descriptors of a process */
#define SOCKETS_MAX	1024	/* sockets of a process, or of all */
#define WAITS_MAX	64	/* tasks that wait for descriptors */

/* A task that waits for some of its descriptors. */
struct wait {
	pid_t		 pid, tid;
	int		 epoll;			/* of that descriptor; or -1 */
	bool		 bits;			/* or in select(2), else poll */
	uint64_t	 set;			/* these, in its memory */
	uint64_t	 n;			/* so many */
};

/* What /proc shows of a worker at one moment, over its whole tree. */
struct view {
	uint64_t	 cpu;			/* ns used so far */
	bool		 accepting;		/* a task waits for work */
	bool		 waiting;		/* and is not stopped there */
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
	bool		 timed;			/* or so, for a time */
	struct wait	 waits[WAITS_MAX];	/* those in a poll */
	int		 nwaits;
	bool		 unclear;		/* one may wait for anything */
	bool		 elsewhere;		/* one accepts, from another */
	bool		 goes_on;		/* one does by itself */
	bool		 limited;		/* or so, from a poll */
	int		 processes;		/* that were looked at */
	pid_t		 child;			/* one of its children; 0 */
};

/* What a task sleeps in. */
enum call_kind {
	CALL_NONE,		/* it runs */
	CALL_FOREIGN,		/* it cannot be known */
	CALL_OTHER, CALL_ACCEPT, CALL_READ, CALL_WRITE,
	CALL_POLL, CALL_EPOLL, CALL_FUTEX,
	CALL_SLEEP, CALL_WAIT,	/* nanosleep(2), wait(2) */
	CALL_UNCLEAR		/* for what, is not in the call */
};

struct call {
	enum call_kind	 kind;
	int		 fd;			/* the first argument; or -1 */
	bool		 endless;		/* polls, futex: no limit */
	bool		 bits;			/* select(2) */
	uint64_t	 set, n;		/* as in struct wait */
};

/* proc_linux.c: reading /proc through a descriptor that outlives the jail */
/*
 * Opens /proc. Returns 0 with *detached set, or -1 with errno set: there is
 * none (ESRCH: it is of another PID namespace).
 */
int	 proc_open(bool *detached);
/*
 * Reads a small file, by its path below /proc, as a string of at most size - 1
 * bytes. Returns its length, or -1 with errno set.
 */
ssize_t	 proc_read(const char *path, char *buf, size_t size);
/* The same of a process, or a task of it. */
ssize_t	 proc_read_of(pid_t pid, const char *name, char *buf, size_t size);
ssize_t	 proc_read_task(pid_t pid, pid_t tid, const char *name, char *buf,
	    size_t size);
/* Opens one, close-on-exec. Returns as openat(2). */
int	 proc_at(const char *path, int flags);
/*
 * Uses that number for the descriptor of /proc from now on; the old one stays
 * open. Returns 0, or -1 with errno set.
 */
int	 proc_move(int fd);
/* Writes a file of /proc. Returns 0, or -1 with errno set. */
int	 proc_write(const char *path, const char *text);
/*
 * Does errno, of one of these that has failed, say that the process has ended
 * meanwhile? Then nothing was hidden.
 */
bool	 proc_is_gone(void);
/*
 * Fills list with a process and its descendants, at most n, itself first.
 * Returns how many, 0 if it cannot be seen; n: there may be more.
 */
int	 proc_tree(pid_t pid, pid_t *list, int n);
/* Does a task of a process sleep, and can be woken by a signal? */
bool	 proc_sleeps(pid_t pid, pid_t tid);
/*
 * Sets whether the process catches that signal, and whether it has a seccomp
 * filter that we have not; both false if that is unknown.
 */
void	 proc_traits(pid_t pid, int signo, bool *catches, bool *filtered);
/*
 * The latter, by the text of its status; before Linux 5.9, which does not count
 * filters, any filter.
 */
bool	 proc_is_filtered(const char *status);
/*
 * Adds the children of one task to the *n of a list, for at most max. Returns
 * 0, or -1 with errno set (E2BIG: there may be more than max).
 */
int	 proc_add_children(pid_t pid, int tid, pid_t *tree, int *n, int max);
/* Lists the children of a process, at most n. Returns how many, or -1. */
int	 proc_children(pid_t pid, pid_t *list, int n);
/* The same of our own, in a process without threads. */
int	 proc_own_children(pid_t *list, int n);
/*
 * Collects the inodes of the sockets a process (or tree) holds, at most max;
 * *n is how many. Returns 0, or -1 with errno set: there may be more
 * (EACCES: part of it is hidden; E2BIG: they are too many).
 */
int	 proc_sockets(pid_t pid, bool tree, uint64_t *inodes, int *n,
	    int max);
/* Is the inode one of those? */
bool	 proc_is_among(uint64_t inode, const uint64_t *inodes, int n);
/*
 * Opens a process (pidfd_open(2)), so that what is seen of it after that is of
 * no other. Returns a close-on-exec descriptor, or -1 with errno set.
 */
int	 proc_pidfd(pid_t pid);
/*
 * Sends that process a signal (0: none), and closes fd; -1 has no effect.
 * Returns 0, or -1: it was not sent.
 */
int	 proc_pidfd_signal(int fd, int signo);
/*
 * Lists the tasks of a process, at most max. Returns how many, or -1 with errno
 * set.
 */
int	 proc_tasks(pid_t pid, int *tids, int max);
/* Opens a directory of /proc; NULL with errno set. */
DIR	*proc_opendir(const char *path);
/* Reads a link of /proc, as readlinkat(2). */
ssize_t	 proc_readlink(const char *path, char *link, size_t size);
/*
 * Sets *inode to that of the socket which a link in /proc leads to, 0 if it
 * leads to another thing or is gone. Returns 0, or -1 with errno set.
 */
int	 proc_socket_at(int dir, const char *name, uint64_t *inode);
/* The inode of the socket that is a task's descriptor; 0: it is none. */
uint64_t proc_socket(pid_t tid, int fd);

/* view_linux.c: what the tasks of a worker do */
/*
 * Looks at a process and, with `tree`, all its descendants. inode is the
 * listen socket's.
 * Returns 0 with *v filled, or -1 with errno set if not even the first could
 * be seen.
 */
int	 proc_view(pid_t pid, uint64_t inode, bool tree, struct view *v);
/* A cheap test before proc_view(): does the main thread wait in accept? */
bool	 proc_accepts(pid_t pid, uint64_t inode);

/* kin_linux.c */
/*
 * Does a process descend from a child of `root`, which is the subreaper of its
 * own? KIN_EXCEPTED: from one that excepted() is true for.
 */
enum kin kin_of(pid_t pid, pid_t root, bool (*excepted)(pid_t));

/* parse_linux.c: the texts of /proc */
/* Does a call of that number accept a connection? */
bool	 parse_is_accept(long call);
/* Does it read from a descriptor; write to one; or wait for one, or read? */
bool	 parse_is_read(long call);
bool	 parse_is_write(long call);
bool	 parse_waits(long call);
/* Is it one of those in which most programs sleep? */
bool	 parse_may_wait(long call);
/* What /proc/PID/syscall says. */
struct call parse_call(const char *text);
/*
 * The state and the cpu time, in clock ticks, of /proc/PID/stat; a state of
 * 'X' for one that is about to end, too. Returns 0, or -1 if it is none.
 */
int	 parse_stat(const char *text, char *state, uint64_t *ticks);
/*
 * The state alone, as it is: 'Z' only when it has ended; 0: it has none. But a
 * task that a signal ended, and its tracer holds at its exit, is STATE_HELD.
 */
#define STATE_HELD	'H'
char	 parse_state(const char *text);
/* The cpu time there, in clock ticks, and the resident memory, in pages. */
int	 parse_usage(const char *text, uint64_t *ticks, uint64_t *pages);
/* When it was started, in clock ticks since the boot; 0: it does not say. */
uint64_t parse_started(const char *text);
/* The status of wait(2) there. Returns 0, or -1 if it has none. */
int	 parse_exit(const char *text, int *status);
/* The number in a line "name: number" of /proc/PID/status; -1: none. */
long	 parse_field(const char *text, const char *name);
/* The proportional memory of an smaps_rollup in bytes; 0: it has none. */
uint64_t parse_pss(const char *text);
/*
 * Adds pids, each with a blank behind it, to the list of *n, at most max.
 * Returns how many bytes it took: the last pid may be cut off.
 */
size_t	 parse_pids(const char *text, pid_t *list, int *n, int max);
/* The set in such a line, as SigPnd has it: bit 0 is signal 1; 0: none. */
uint64_t parse_mask(const char *text, const char *name);
/* Does the SigCgt line of /proc/PID/status have that signal? */
bool	 parse_caught(const char *text, int signo);
/* Is one of its four user ids that one, or not to be seen? */
bool	 parse_has_uid(const char *text, uid_t uid);
/* Are all four that one? */
bool	 parse_is_user(const char *text, uid_t uid);
/* A line of an epoll's fdinfo; false: it names no descriptor. */
bool	 parse_watched(const char *line, int *fd, uint64_t *inode,
	    uint32_t *events);

/* Of the connections that were found, at least one ... */
struct accepted {
	bool		 unread;		/* has bytes not read yet */
	bool		 unsent;		/* or its client's host has not
						   got all that was written */
	bool		 alive;			/* still has a client */
};

/* look_linux.c: what looks at workers share */
/* Why looks fail, whose begin and end are logged: once, however many fail. */
enum fault { FAULT_SOCKETS, FAULT_PROC, NFAULTS };
/* A look at pid has failed for that reason; errno says why. */
void	 fault_met(enum fault f, pid_t pid, uint64_t now);
/* A look has not: if none has failed for a while the fault is over. */
void	 fault_gone(enum fault f, uint64_t now);
/* The same as fault_met() at the start, not logged: returns why, in words. */
const char *fault_begin(enum fault f);
/* As diag_accepted(), of inodes without the listen socket's. */
int	 look_accepted(pid_t pid, uint64_t *inodes, int n,
	    struct accepted *what, uint64_t now);
/*
 * The accepted connections that a process or tree is seen to hold. Returns how
 * many; what is hidden is not among them.
 */
int	 look_connections(pid_t pid, bool tree, uint64_t *inodes,
	    struct accepted *what);
/*
 * The sockets of a process or tree without the listen socket; *listens: the
 * process holds that, too. Returns 0, or -1 with errno set: there may be more.
 */
int	 look_sockets(pid_t pid, bool tree, uint64_t *inodes, int *n,
	    bool *listens);
/* observe_linux.c: the cpu time that was used for us, in microseconds */
uint64_t look_spent(void);

/* listens_linux.c: does a worker wait for connections of the listen socket? */
enum listens {
	LISTENS_UNKNOWN,	/* it waits, and for what cannot be seen */
	LISTENS_UNASKED,	/* the looker has not answered */
	LISTENS_NO,
	LISTENS_YES
};
/* Do the waiting tasks of a view? */
enum listens listens_is(const struct view *v);
/*
 * Can nothing but a connection of another socket, which the worker listens on
 * itself, wake it (READY_ELSEWHERE), or that and the clock
 * (READY_ELSEWHERE_YET)? If not, READY_NO. v is its view, with listens_is()
 * LISTENS_NO.
 */
enum readiness listens_elsewhere(pid_t pid, const struct view *v);

/* keepalive_linux.c: is a kept-open connection in use? */
/*
 * Is it certain that the process waits for its clients alone, on each of
 * these n connections? v is what proc_view() has found just now.
 */
bool	 keepalive_is_quiet(pid_t pid, const struct view *v,
	    const uint64_t *inodes, int n);
/* Does a task of the process read from that connection? */
bool	 keepalive_is_read(const struct view *v, uint64_t inode);

/* slow_linux.c: how long a request takes */
/* What is known of a connection, from all looks at it. */
struct slow_times {
	uint64_t	 age;		/* of its request, in microseconds */
	uint64_t	 quiet;		/* waited so long for its client; 0 */
};
/*
 * Looks at a connection that the process of v holds. waits: it waits for its
 * client now; unread: but has not read all of it.
 */
void	 slow_look(uint64_t inode, const struct view *v, bool unread,
	    bool waits, uint64_t now, struct slow_times *t);

/* sightings_linux.c: since when accepted connections are there */
struct sighting {
	uint64_t	 inode;
	uint64_t	 first;		/* when it was seen first, in usec */
	uint64_t	 before;	/* and was not there; 0: nobody knows */
};
/* These n are there now, and no others; sorted, without the left over. */
void	 sightings_note(const uint64_t *inodes, int n, uint64_t now);
/* What is known of one that the last list had; or NULL. */
const struct sighting *sightings_find(uint64_t inode);
/* How many were ever seen first. */
uint64_t sightings_total(void);

/* usage_linux.c */
/* Sorts them, and notes them by sightings_note(). */
void	 usage_note(uint64_t *inodes, int n);

/* leftover_linux.c: what a request leaves that has taken too long */
/* Is that connection one of them, and its process gone? It is not in use. */
bool	 leftover_has(uint64_t inode);

/* listener_linux.c */
/* Notes how the listen socket is, after diag_open() and before the workers. */
void	 listener_begin(void);

#endif
