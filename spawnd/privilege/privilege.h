/* SPDX-License-Identifier: ISC */
/*
 * What spawnd does with the rights it was started with (listen socket, pidfile,
 * background, terminal), and how it gives them up for good (jail_enter()).
 */
#ifndef PRIVILEGE_PRIVILEGE_H
#define PRIVILEGE_PRIVILEGE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"
#include "config/config.h"
#include "observe/observe.h"

#define OUTCOME_SIZE		3072	/* bytes of all lines of an outcome */
#define DIR_LOCK_MS		5000	/* the wait for a directory's lock */
#define GOING_MS		400	/* and for processes whose pool ends, to
					   let go of the socket */
#define START_SPARE		20	/* s above --start-timeout, for all that
					   a start waits for before it */

/* Another start has the lock while it ends what is left of a pool. */
_Static_assert(DIR_LOCK_MS > LEFT_MS + GOING_MS,
    "a start in progress is waited for");
_Static_assert(START_SPARE * 1000 > DIR_LOCK_MS + LEFT_MS + GOING_MS +
    TRIALS * (TRIAL_MS + TRIAL_END_MS), "no start is ended that goes on");

/* daemonize.c */
/*
 * Opens descriptors 0 to 2 on /dev/null where they are closed, and closes all
 * from 3 + keep on, so that nothing inherited leaks into a worker; prepares
 * daemonize_null(). Returns 0, or -1 with *e set (71).
 */
int	 daemonize_sanitize(int keep, struct err *e);
/*
 * Moves the process into the background: forks, starts a session, changes to
 * "/" and sets the plan's process title. Returns 0 in the background, or -1
 * with *e set (71). The first process does not return: it waits until the one
 * in the background calls daemonize_outcome() or ends, prints the text and
 * exits with the status.
 */
int	 daemonize_start(const struct plan *p, struct err *e);
/*
 * Reports how the start went to whoever started us: 0 or an exit status, and
 * one or more lines of text. In the background, standard output, and standard
 * error unless it is the log, go to /dev/null after that. In the foreground a
 * success is only logged. Only the first call has an effect.
 */
void	 daemonize_outcome(int status, const char *text);
/* Returns a descriptor of /dev/null, for a worker's output; it stays ours. */
int	 daemonize_null(void);
/* Is the start still going on? daemonize_outcome() ends it. */
bool	 daemonize_starting(void);

/* pidfile.c */
/*
 * Creates, locks and fills the plan's pidfile; to be called before the jail. A
 * public one (others may read it, so it cannot be locked) is only opened; see
 * pidfile_publish(). Without a pidfile in the plan these functions do nothing.
 * Returns 0, or -1 with *e set (73, 77).
 */
int	 pidfile_lock(const struct plan *p, struct err *e);
/*
 * Fills a public pidfile, once the listen socket has shown that no other pool
 * uses it. Returns 0, or -1 with *e set (73).
 */
int	 pidfile_publish(const struct plan *p, struct err *e);
/* Returns its descriptor, or -1. */
int	 pidfile_descriptor(void);
/*
 * In a take-over: has pidfile_lock() use fd, if that is the plan's file. The
 * other spawnd has it locked, and its pid stays there until pidfile_name().
 */
void	 pidfile_take(int fd);
/* Writes our pid into the pidfile, if there is one. A failure is logged. */
void	 pidfile_name(void);
/* Undoes that in a pidfile we took: writes the other's pid in place of ours. */
void	 pidfile_give_back(pid_t pid);
/* Empties the pidfile and, where our rights still suffice, removes it. */
void	 pidfile_clear(const struct plan *p);

/* finisher.c: what is to be done with rights once others have been given up */
/*
 * Forks a process that keeps the rights of the start, only to call settle()
 * when finisher_finish() asks for that. It ends then, or with us. It has all of
 * our descriptors but `without`. Returns 0, or -1 with *e set (71).
 */
int	 finisher_start(void (*settle)(void), int without, struct err *e);
/* Has settle() called, and waits 2 s at most; a failure is logged. */
void	 finisher_finish(void);

/* terminal.c */
/*
 * Opens our controlling terminal, if there is one, and keeps it open for
 * terminal_leave(); to be called before the jail. A failure is only logged.
 */
void	 terminal_open(void);
/*
 * To be called before terminal_leave_session(), with root's rights. A terminal
 * that no session has can be taken by a process that has it open for reading.
 * So this opens standard output and error again, for writing only, if we lead
 * the session. A failure is only logged.
 */
void	 terminal_write_only(void);
/*
 * In a new child, which does not lead the session: gives up the controlling
 * terminal and verifies that. The child may share our memory: only raw calls
 * are made. Returns 0, or a negative errno if the child still has one.
 */
int	 terminal_leave(void);
/*
 * Does the same in a process that may lead the session; then the terminal is
 * lost to the whole session. The SIGHUP that follows is ignored. Returns as
 * terminal_leave().
 */
int	 terminal_leave_session(void);
/* Has terminal_open() found a terminal? */
bool	 terminal_is_kept(void);

/* listen.c: the listen socket, descriptor 0 of supervisor and workers */
/*
 * Creates, binds and listens on the plan's socket, or takes the inherited one,
 * and makes it descriptor 0. A unix socket that is already there is tested by
 * connecting to it: a stale one, on which no process listens, is removed, a
 * live one is an error. Returns 0, or -1 with *e set (71, 73, 77; as
 * allow_attach(): 64, 78); then nothing is left behind.
 */
int	 listen_open(const struct plan *p, struct err *e);
/*
 * Is fd, of another pool, the plan's listen socket? Keeps a unix socket's file
 * as socketfile_take(). Returns 0, or -1 with *e set (71, 73, 77, 78).
 */
int	 listen_check(const struct plan *p, int fd, struct err *e);
/* Sets the plan's backlog on the socket of the pool before; logs a failure. */
void	 listen_settle(const struct plan *p);
/*
 * Makes the plan's TCP socket and binds it, as listen_open() does before it
 * listens. Returns a close-on-exec descriptor, or -1 with errno set.
 */
int	 listen_bind_tcp(const struct plan *p);
/*
 * Does accept(2) wait on descriptor 0? All its holders share O_NONBLOCK: once
 * a worker has set it accept(2) fails in those that expect it to wait; and one
 * that has set it accepts until that fails, so that it hangs if the flag is
 * cleared under it, as Node does when it ends. True if that is unknown.
 */
bool	 listen_is_blocking(void);
/* Sets or clears that flag. Errors are ignored. */
void	 listen_make_blocking(bool blocking);
/*
 * For a stop: keeps new connections out, without harm to those that wait. It
 * removes a unix socket's file if our present rights allow it, and has a TCP
 * socket refuse connections. Returns false where neither is possible; then it
 * has cut the backlog, so that only one connection can wait at a time.
 */
bool	 listen_refuse(const struct plan *p);
/*
 * Shuts a unix socket down, so that nobody can connect; connections that wait
 * can still be accepted. A TCP socket is left as it is.
 */
void	 listen_shut(const struct plan *p);

/* socketfile.c: the file of the unix socket that we make */
#define SOCKET_PATH	sizeof(((struct sockaddr_un *)NULL)->sun_path)
/* Fills *un with a path that fits. Returns the length of *un, for bind(2). */
socklen_t socketfile_address(const char *path, struct sockaddr_un *un);
/*
 * Writes the path of a socket in the working directory as bind(2) may be given
 * it: without links, and through directories that nobody but root and we can
 * replace. Without such a path it returns false, and writes why to `why`.
 */
bool	 socketfile_path(const char *file, char path[SOCKET_PATH], char *why,
	    size_t size);
/*
 * Returns the name by which the plan's unix socket will be bound in its
 * directory, which must be the working directory: p->socket_file, or another,
 * in `name`, where a worker could remove the file.
 */
const char *socketfile_bound_as(const struct plan *p, char name[SOCKET_PATH]);
/*
 * Binds the unix socket fd in the plan's directory, dir, which must be the
 * working directory, and listens on it. Returns 0, or -1 with *e set (73, 77);
 * then no file is left behind.
 */
int	 socketfile_bind(const struct plan *p, int dir, int fd, struct err *e);
/*
 * fd is a unix socket of another pool: finds its file, in dir, which must be
 * the working directory, and keeps it as if we had bound it. Returns 0, or -1
 * with *e set (77).
 */
int	 socketfile_take(const struct plan *p, int dir, int fd, struct err *e);
/*
 * Returns a socket that only keeps the file's own path known to the kernel, for
 * those that look for it, where ours was bound by another name; or -1. A
 * successor gets it by socketfile_take_named().
 */
int	 socketfile_named(void);
void	 socketfile_take_named(int fd);
/* With the rights of the start: gives that file the plan's owner and mode. */
void	 socketfile_settle(const struct plan *p);
/*
 * Keeps an eye on the file of a unix socket, also of one that was passed in.
 * To be called once the listen socket is there and observe_init() was called,
 * and before the jail.
 */
void	 socketfile_keep(const struct plan *p);
/*
 * Prepares for socketfile_look(). To be called in the jail, where the kernel
 * shows the file by another path than outside.
 */
void	 socketfile_begin(void);
/*
 * Returns a descriptor that can be read, see listener_watch_file(), when
 * something has become of the file; or -1.
 */
int	 socketfile_changes(void);
/* What has become of the file, as far as our present rights show it? */
enum socketfile_state {
	SOCKETFILE_UNKNOWN,
	SOCKETFILE_NONE,	/* TCP, or an abstract name */
	SOCKETFILE_THERE,
	SOCKETFILE_REMOVED,
	SOCKETFILE_REPLACED,	/* another is in its place */
	SOCKETFILE_MOVED,	/* it, or a directory on the way, has gone */
	SOCKETFILE_CLOSED	/* not all may connect who might at first */
};
enum socketfile_state socketfile_look(const struct plan *p);
/* Says in words what of it cannot be seen, or returns NULL. */
const char *socketfile_unseen(const struct plan *p);
/*
 * Removes the unix socket if it is still the one that socketfile_bind() made
 * and our present rights allow it.
 */
void	 socketfile_remove(const struct plan *p);

/* allow_linux.c, allow_none.c: the same names on every system */
/*
 * Has only the web servers that the plan allows connect to the TCP socket fd,
 * which does not listen yet, for good and for all its holders. Returns 0, or
 * -1 with *e set (64: too many, 71, 77: not without CAP_NET_ADMIN, 78: not on
 * this system). For a list that is only the variable's this is no error, except
 * for want of memory: it returns 1, *e says why everybody can connect.
 */
int	 allow_attach(int fd, const struct plan *p, struct err *e);
/* Can this system keep others away at all? */
bool	 allow_is_possible(void);
/* Asks the kernel: has fd such a filter, which nobody can take off? */
bool	 allow_holds(int fd);
/*
 * Is the filter of fd, or that there is none, what the plan asks for? Then the
 * same web servers can connect.
 */
bool	 allow_is_same(int fd, const struct plan *p);

/* refuse_linux.c, refuse_none.c: the same name on every system */
/*
 * Has a listening TCP socket refuse new connections, for good and for all its
 * holders; connections in its queue or in their handshake are kept. Returns 0,
 * or -1 with errno set.
 */
int	 refuse_new(int fd);

/* jail.c */
/*
 * The drop of privileges: sets the supplementary groups, changes the root
 * directory, and gives up ids and capabilities, in that order; then verifies
 * each by what the kernel says. The working directory is the plan's cwd_fd or
 * "/" afterwards. Where the plan stays root, only the root directory changes.
 * Returns 0 with bounding_empty and no_new_privs of *g set, or -1 with *e set
 * (71, 77); nothing undoes a partial drop, so the caller must exit then.
 */
int	 jail_enter(struct plan *p, struct guarantees *g, struct err *e);

/* confine.c */
/*
 * Has the kernel keep the workers from the supervisor, from each other and
 * from the other processes of their user, as far as it can; to be called after
 * jail_enter() and before the first worker. Sets the confine members of *g.
 * Returns 0, or -1 with *e set (71): --confine yes was given, and not all of it
 * holds.
 */
int	 confine_enter(const struct plan *p, struct guarantees *g,
	    struct err *e);

/* confine_linux.c, confine_none.c: the same name on every system */
/*
 * In a new child: confines its signals and ptrace(2) to it and its
 * descendants, if confine_enter() has found that this works here.
 * A raw call, see base/raw.h. Returns 0, or a negative errno.
 */
int	 confine_child(void);

/* jail_linux.c, jail_posix.c: the same names on every system */
/*
 * Changes ids (where the plan's ident says so), drops capabilities, and has
 * the kernel deny new ones, and inspection by other processes. Returns 0, or
 * -1 with *e set (71, 77).
 */
int	 jail_drop(const struct plan *p, struct err *e);
/*
 * Verifies all of it but the ids. Returns 0 with bounding_empty and
 * no_new_privs of *g set, or -1 with *e set (71).
 */
int	 jail_verify(const struct plan *p, struct guarantees *g,
	    struct err *e);
/*
 * Keeps other processes of our user from inspecting this one, with ptrace(2)
 * or by /proc. Returns 0, or -1 if that does not hold.
 */
int	 jail_hide(void);
/*
 * Makes this process the subreaper of its descendants, so that it becomes the
 * parent of dead workers' children. On failure init becomes it, as usual.
 */
void	 jail_adopt(void);
/*
 * In a new child of `parent`: has SIGKILL sent to this child when the parent
 * dies. Makes only raw calls, as terminal_leave() does. Returns 0, or a
 * negative errno; ESRCH: the parent has died already.
 */
int	 jail_tie(pid_t parent);
/*
 * Gives the unix socket `name` in directory dir to uid and gid, if it is the
 * one that this process has just bound with that mode. Returns 0, or -1 with
 * errno set (ENOTSOCK: another file has taken its place).
 */
int	 jail_chown_socket(int dir, const char *name, mode_t mode, uid_t uid,
	    gid_t gid);
/*
 * Give the unix socket that fd has opened by O_PATH to uid and gid, and that
 * mode. They return 0, or -1 with errno set (EBADF: fd is -1, as where a socket
 * cannot be opened).
 */
int	 jail_own_socket(int fd, uid_t uid, gid_t gid);
int	 jail_chmod_socket(int fd, mode_t mode);

/* jail_openbsd.c, jail_none.c: the same name on every system */
/*
 * Gives up all calls and files that the supervisor does not need any more; to
 * be called last, before the first worker. Returns 0, or -1 with *e set (71).
 */
int	 jail_pledge(const struct plan *p, struct err *e);

#endif
