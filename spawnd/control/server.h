/* SPDX-License-Identifier: ISC */
/* What the files of control/ share, and no other folder sees. */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <sys/queue.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "proto/proto.h"

/* All times are in microseconds. */
#define CONTROL_CLIENTS	8	/* of root or the invoker, at a time */
#define STATUS_CLIENTS	16	/* of the socket for reading */
#define CONTROL_BACKLOG	128
#define CONTROL_IDLE	(60 * USEC)	/* without a command */
#define CONTROL_LINE	(10 * USEC)	/* for a command that has begun */
#define CONTROL_TAKE	(10 * USEC)	/* without reading an answer */
#define CONTROL_WHOLE	(15 * USEC)	/* for a whole answer */
#define CONTROL_PAUSE	USEC	/* without descriptors */
#define STATUS_BURST	(USEC / 5)	/* cpu for readers, at once */
#define STATUS_SHARE	10	/* and after that a tenth of the time */
#define STATUS_STEP	UINT64_C(2000)	/* for all, then the loop's turn */
#define PSS_AGE		(30 * USEC)	/* a younger pss is used again */
#define PSS_WHOLE	USEC	/* then one answer asks for no more */
#define TAKEOVER_VERSION "1"	/* of the commands of takeover.c */

/* Which socket a client connected to, and so what it may do. */
enum right { CONTROLS, READS_ONLY };

/* Why a client of the control socket may only read. */
struct restriction {
	int		 status;	/* of sysexits.h */
	const char	*why;		/* NULL: it may do more */
};

/* What an answer that has begun waits for. */
enum client_wait { WAIT_NO, WAIT_RELOAD, WAIT_STOP };

/* A connection; its times are those of loop_now(). */
struct client {
	int		 fd;
	int		 passed;	/* a descriptor it sent; -1: none */
	int		 pass[PASSED_MAX];	/* of ours, with the answer */
	size_t		 npass;
	bool		 takes;		/* it takes over, see takeover.c */
	uint64_t	 takes_until;	/* and has to be ready by then */
	bool		 commits;	/* and is about to be the pool */
	uid_t		 uid;
	pid_t		 pid;
	enum right	 right;
	struct restriction limit;
	struct loop_watch *in, *out;
	char		**more;		/* the words of its command behind the
					   first two, while that runs */
	int		 nmore;		/* how many */
	char		 line[PROTO_COMMAND];
	struct proto_input input;
	uint64_t	 since;		/* its last sign of life */
	uint64_t	 line_since;	/* when its command began */
	uint64_t	 began;		/* when the command was read */
	bool		 answering;	/* and no other command is read */
	bool		 closing;	/* after this answer */
	bool		 throttled;	/* it waits for the budget */
	struct proto_output answer;
	size_t		 sent;		/* bytes of the answer, so far */
	struct status	*status;	/* being written; NULL: none */
	enum client_wait wait;
	unsigned int	 progress;	/* the last that was written */
	unsigned int	 progress_of;	/* the workers before a stop */
	uint64_t	 progress_at;	/* when */
	TAILQ_ENTRY(client) entry;
};

TAILQ_HEAD(client_list, client);

/* clients.c */
/* Returns the list of all clients, latest last. */
struct client_list *clients_list(void);
/*
 * Adds a client, still without watches, which owns fd from now on. Where all
 * places are taken another client may lose its own. Returns NULL if there is no
 * place or no memory; then the caller keeps fd.
 */
struct client *clients_add(int fd, uid_t uid, enum right right);
/* Closes the connection and frees the client. */
void	 clients_drop(struct client *c);
/* When the client has been too slow, and is to be dropped; or NEVER. */
uint64_t clients_deadline(const struct client *c);
/* Begins to send the client's answer; until that is over it is not read. */
void	 clients_answer(struct client *c);
/*
 * Sends what is left of the answer, with the client's pass[] at its begin, and
 * never waits. Returns as send(2); the caller counts that as sent.
 */
ssize_t	 clients_send(struct client *c);
/*
 * Sends all that is left at once. Returns false if that was not possible, or
 * not whole.
 */
bool	 clients_send_all(struct client *c);
/* Has the client closed its connection, or was that reset? */
bool	 clients_has_left(const struct client *c);
/* Sends what was added to the answer of a client that waits for more. */
void	 clients_more(struct client *c);

/* admission.c: who may connect, and what a connection may do */
/* Notes whose the pool is: who started us. */
void	 admission_init(void);
/*
 * What may the peer do that has connected to a socket of that right? Sets *uid
 * to the peer's, and *l to why the peer may only read on the control socket;
 * else l->why is NULL.
 */
enum admitted { ADMITTED_NO, ADMITTED_READS, ADMITTED_WHOLE };
enum admitted admission_decide(int fd, enum right right, uid_t *uid,
	    struct restriction *l);
/* Sends an error (75), as far as that can be sent at once, and closes fd. */
void	 admission_refuse(int fd);

/* dialog.c: what is read and written */
/*
 * Reads what has come, carries out a command that is whole, and begins to
 * answer it. Returns false if the caller is to drop the client.
 */
bool	 dialog_read(struct client *c);
/*
 * Sends more of the answer; after its end it carries out the next command, if
 * that has come. Returns as dialog_read().
 */
bool	 dialog_write(struct client *c);
/* Is a command being carried out? */
bool	 dialog_is_running(void);

/* budget.c: cpu time for clients that only read; all in microseconds */
/* Returns when some is left: `now`, or a later time. */
uint64_t budget_time(uint64_t now);
/* Adds what is due since the last call. Returns false if none is left. */
bool	 budget_fill(uint64_t now);
/* Takes that off, even if less is left. */
void	 budget_spend(uint64_t usec);

/* command.c */
/*
 * Carries out a command, a line without its newline, which is cut into words,
 * and begins to answer it.
 */
void	 command_run(struct client *c, char *line);
/* Sends waiting clients how far the reload or stop is. */
void	 command_progress(void);
/* Ends the answers of those that wait for a reload; done: it was well. */
void	 command_reloaded(bool done);

/* status.c: the pool as records */
struct status;
/* Without the workers, with them, and with what is costly to read of them. */
enum status_depth { STATUS_BRIEF, STATUS_WORKERS, STATUS_FULL };
/*
 * Begins a status, for status_free() to free; private: for a client that may
 * know what workers wrote. Returns NULL without memory.
 */
struct status *status_begin(enum status_depth depth, bool private);
/*
 * Adds the next records to *o: at least one worker, and more for its share of
 * STATUS_STEP. Returns true as long as there is more: a client that reads
 * slowly gets each worker as it is at that time.
 */
bool	 status_step(struct status *s, struct proto_output *o);
/* Frees it; NULL has no effect. */
void	 status_free(struct status *s);
/* Adds the points of the history to *o as records. */
void	 status_write_history(uint64_t now, struct proto_output *o);
/* Returns the state of the pool in one word, a constant. */
const char *status_state(void);
/* Are requests served, now or as soon as a worker is free? */
bool	 status_serves(void);

/* facts.c: what holds, and what went wrong, as records */
struct guarantees;
/* Keeps both. */
void	 facts_init(const struct plan *p, const struct guarantees *g);
/* Adds them to *o; private: with what workers wrote last. */
void	 facts_write(bool private, uint64_t now, struct proto_output *o);

/* ledger_records.c */
struct ledger;
/* Adds what the pool remembers of its load to *o as records. */
void	 ledger_records_write(const struct ledger *l,
	    struct proto_output *o);

/* takeover.c: another spawnd takes over from us */
/*
 * The commands of that, in their order; see takeover.c. Each writes its answer,
 * and has the second word of its line, or NULL.
 */
void	 takeover_plan(struct client *c, const char *word);
void	 takeover_begin(struct client *c, const char *word);
void	 takeover_commit(struct client *c, const char *word);
void	 takeover_end(struct client *c, const char *word);
/* Whose the control sockets are. */
enum takeover {
	TAKEOVER_NONE,		/* ours */
	TAKEOVER_GIVEN,		/* ours; another process has them, too */
	TAKEOVER_HELD,		/* nobody's for a moment: none accepts */
	TAKEOVER_GONE		/* another process's */
};
/*
 * Looks whether the other is still there, and if not takes all back. Returns
 * how things stand.
 */
enum takeover takeover_step(void);
/*
 * Returns why the pool is not to be changed any more, as a message that is
 * valid until the next call; or NULL.
 */
const char *takeover_refusal(void);
/*
 * control.c: from now on control_open() takes the sockets and the lock that
 * rundir_take() was given. They are another spawnd's until control_adopt().
 */
void	 control_borrow(void);
/*
 * They are ours: writes our pid into the lock, and accepts clients. Returns 0,
 * or -1 with *e set (71).
 */
int	 control_adopt(struct err *e);
/* Undoes that: they are the other spawnd's again, whose pid is `pid`. */
void	 control_disown(pid_t pid);

/* trace_records.c */
/* Adds the last events and actions (pool/trace.h) to *o as records. */
void	 trace_records_write(uint64_t now, struct proto_output *o);

/* rundir.c: the directory of the sockets */
/*
 * Makes the directory for the pool's sockets, or takes over one that a dead
 * pool has left, under a name that is free; p->name is set to that. Locks it.
 * Returns 0, or -1: with *e set (73, 77), or, with e->status 0, because the
 * user wants none.
 */
int	 rundir_open(struct plan *p, struct err *e);
/*
 * Makes a listening unix socket in the directory, `name` being "control" or
 * "status", of that mode and, unless that is (gid_t)-1, of that group. Returns
 * a close-on-exec descriptor, which stays the caller's, or -1 with *e set (71,
 * 73, 77). The working directory is "/" afterwards.
 */
int	 rundir_socket(const char *name, mode_t mode, gid_t gid,
	    struct err *e);
/* Returns the descriptor of the directory's lock, its file "pid"; or -1. */
int	 rundir_lock(void);
/* Sets fds to the control and the status socket; -1: there is none. */
void	 rundir_sockets(int fds[2]);
/* Is the directory to be removed at the end, with the sockets? */
bool	 rundir_is_made(void);
/*
 * Takes from a running pool, for rundir_open(): its two sockets, its lock fd,
 * and whether it would remove the directory.
 */
void	 rundir_take(int control, int status, int fd, bool is_made);
/* Writes our pid into that lock: the directory is ours. */
void	 rundir_name(void);
/* Undoes that: if our pid is there, writes the one of its spawnd again. */
void	 rundir_give_back(pid_t pid);
/* Closes the directory, which is another spawnd's, and removes nothing. */
void	 rundir_leave(void);
/* Removes sockets and directory, as far as we still may, and unlocks it. */
void	 rundir_remove(void);

#endif
