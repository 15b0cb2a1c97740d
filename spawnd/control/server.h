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
#define STATUS_STEP	UINT64_C(2000)	/* usec for all, then the loop's turn */
#define PSS_AGE		(30 * USEC)	/* a younger pss is used again */
#define TAKEOVER_VERSION "1"	/* of the commands of takeover.c */
#define PSS_WHOLE	USEC	/* asking takes so long for one answer */

/* Which socket a client connected to, and so what it may do. */
enum right { CONTROLS, READS_ONLY };

/* Why a client of the control socket may only read. */
struct restriction {
	int		 status;	/* of sysexits.h */
	const char	*why;		/* NULL: it may do more */
};

/* What an answer that has begun waits for. */
enum client_wait { WAIT_NO, WAIT_RELOAD, WAIT_STOP };

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
	char		**more;		/* words of its command, behind the
					   first, while that runs; */
	int		 nmore;		/* so many */
	char		 line[PROTO_COMMAND];
	struct proto_input input;
	uint64_t	 since;		/* of its last sign of life */
	uint64_t	 line_since;	/* when its command began */
	uint64_t	 began;		/* when the command was read */
	bool		 answering;	/* and no other command is read */
	bool		 closing;	/* after this answer */
	bool		 throttled;	/* it waits for the budget */
	struct proto_output answer;
	size_t		 sent;		/* bytes of the answer */
	struct status	*status;	/* being written; NULL: none */
	enum client_wait wait;
	unsigned int	 progress;	/* the last that was written */
	unsigned int	 progress_of;	/* the workers before a stop */
	uint64_t	 progress_at;
	TAILQ_ENTRY(client) entry;
};

TAILQ_HEAD(client_list, client);

/* clients.c */
struct client_list *clients_list(void);
/*
 * Adds a client, still without watches, which owns fd from now on. Returns
 * NULL if there is no place or no memory; then the caller keeps fd.
 */
struct client *clients_add(int fd, uid_t uid, enum right right);
/* Closes the connection and frees the client. */
void	 clients_drop(struct client *c);
/* When the client will have been too slow, and is dropped. */
uint64_t clients_deadline(const struct client *c);
/* From now on the client's answer is sent. */
void	 clients_answer(struct client *c);
/* Sends what is left of it, with the descriptors first. As send(2). */
ssize_t	 clients_send(struct client *c);
/* Sends it at once. Returns false if that was not possible, or not whole. */
bool	 clients_send_all(struct client *c);
/* Has it closed its end, with what it asked for still to come? */
bool	 clients_has_left(const struct client *c);
/* An answer that waited has become longer. */
void	 clients_more(struct client *c);

/* admission.c: who may connect, and what a connection may do */
/* Notes whose the pool is: who started us. */
void	 admission_init(void);
/*
 * What may the peer do that has connected to a socket of that right? Sets *uid
 * and, if that is less than the socket allows, *l.
 */
enum admitted { ADMITTED_NO, ADMITTED_READS, ADMITTED_WHOLE };
enum admitted admission_decide(int fd, enum right right, uid_t *uid,
	    struct restriction *l);
/* Closes fd; says why before, as far as that can be sent at once. */
void	 admission_refuse(int fd);

/* dialog.c: what is read and written */
/*
 * Reads what has come, carries out a command that is whole, and begins to
 * answer it. Returns false if the client is to go.
 */
bool	 dialog_read(struct client *c);
/* Goes on with the answer, and with what comes next. Returns as that does. */
bool	 dialog_write(struct client *c);
/* Is a command being carried out? */
bool	 dialog_is_running(void);

/* budget.c: cpu time for clients that only read */
/* When some is left, now or later. */
uint64_t budget_time(uint64_t now);
/* Adds what is due since the last call. Returns false if none is left. */
bool	 budget_fill(uint64_t now);
void	 budget_spend(uint64_t usec);

/* command.c */
/* Carries out a command, and begins to answer it. */
void	 command_run(struct client *c, char *line);
/* Sends waiting clients how far the reload or stop is. */
void	 command_progress(void);
/* Sends them how the reload ended. */
void	 command_reloaded(bool done);

/* status.c: the pool as records */
struct status;
/* Without the workers, with them, and with what is costly to read of them. */
enum status_depth { STATUS_BRIEF, STATUS_WORKERS, STATUS_FULL };
/*
 * Begins a status; private: of a client that may know what workers wrote.
 * Returns NULL without memory.
 */
struct status *status_begin(enum status_depth depth, bool private);
/*
 * Writes at least one worker, and more for its share of STATUS_STEP. Returns
 * true as long as there is more: a client that reads slowly gets each worker
 * as it is at that time.
 */
bool	 status_step(struct status *s, struct proto_output *o);
void	 status_free(struct status *s);
/* Writes the points of the history as records. */
void	 status_write_history(uint64_t now, struct proto_output *o);
/* The state of the pool in one word. */
const char *status_state(void);
/* Are requests served, now or as soon as a worker is free? */
bool	 status_serves(void);

/* facts.c: what holds, and what went wrong, as records */
struct guarantees;
void	 facts_init(const struct plan *p, const struct guarantees *g);
void	 facts_write(bool private, uint64_t now, struct proto_output *o);

/* ledger_records.c */
struct ledger;
/* Writes what the pool remembers of its load as records. */
void	 ledger_records_write(const struct ledger *l,
	    struct proto_output *o);

/* takeover.c: another spawnd takes over from us */
/* The commands of that, in their order. */
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
/* Looks whether the other is still there, and returns how things stand. */
enum takeover takeover_step(void);
/* Why the pool is not to be changed any more, as a message; or NULL. */
const char *takeover_refusal(void);
/*
 * control.c: the sockets and the lock of control_open() are to be those that
 * rundir_take() was given, and another spawnd's until control_adopt(), which
 * accepts clients by them. Returns 0, or -1 with *e set (71).
 */
void	 control_borrow(void);
int	 control_adopt(struct err *e);
/* They are that one's again, whose pid that is. */
void	 control_disown(pid_t pid);

/* trace_records.c */
/* Writes the last events and actions (pool/trace.h) as records. */
void	 trace_records_write(uint64_t now, struct proto_output *o);

/* rundir.c: the directory of the sockets */
/*
 * Makes (or takes over) the directory for the pool's sockets, under a name
 * that is free. Returns 0, or -1: with *e set (73, 77, 78), or, with e->status
 * 0, because the user wants none.
 */
int	 rundir_open(struct plan *p, struct err *e);
/*
 * Makes a listening socket in it, of that mode and, unless it is (gid_t)-1,
 * group. Returns its descriptor, or -1 with *e set.
 */
int	 rundir_socket(const char *name, mode_t mode, gid_t gid,
	    struct err *e);
/* The descriptor of its lock, or -1. */
int	 rundir_lock(void);
/* The descriptors of the control and the status socket; -1: none. */
void	 rundir_sockets(int fds[2]);
/* Have we, or a pool before, made the directory that is to go with us? */
bool	 rundir_is_made(void);
/*
 * Takes those of a running pool: its sockets, its lock for rundir_open(), and
 * whether it has made the directory.
 */
void	 rundir_take(int control, int status, int fd, bool is_made);
/* Then, once the directory is ours: writes our pid into it. */
void	 rundir_name(void);
/* It was not: has the pid of that spawnd in it again. */
void	 rundir_give_back(pid_t pid);
/* Closes what is another spawnd's by now, and removes nothing. */
void	 rundir_leave(void);
/* Removes what was made, as far as we still may. */
void	 rundir_remove(void);

#endif
