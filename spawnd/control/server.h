/* SPDX-License-Identifier: ISC */
/* A client of the sockets, private to this folder. */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <sys/queue.h>

#include "base/base.h"
#include "proto/proto.h"

/* Which socket it connected to, and so what it may do. */
enum right { CONTROLS, READS_ONLY };

struct client {
	int		 fd;
	int		 passed;	/* a descriptor it sent; -1: none */
	uid_t		 uid;
	pid_t		 pid;
	enum right	 right;
	struct loop_watch *in, *out;
	char		 line[PROTO_COMMAND];
	struct proto_input input;
	uint64_t	 since;		/* of its last sign of life */
	uint64_t	 line_since;	/* when its command began */
	uint64_t	 began;		/* when the command was read */
	bool		 answering;	/* and no other command is read */
	bool		 closing;	/* after this answer */
	bool		 throttled;	/* it waits for the budget */
	struct proto_output answer;
	size_t		 sent;		/* of that */
	struct status	*status;	/* NULL: nothing more of it */
	enum { WAIT_NO, WAIT_RELOAD, WAIT_STOP } wait;
	unsigned int	 progress;	/* the last that was written */
	uint64_t	 progress_at;
	TAILQ_ENTRY(client) entry;
};

TAILQ_HEAD(client_list, client);

/* clients.c */
struct client_list *clients_list(void);
/* A new client, without its watches; NULL: there is no place or no memory. */
struct client *clients_add(int fd, uid_t uid, enum right right);
void	 clients_drop(struct client *c);
/* When it will have been too slow. */
uint64_t clients_deadline(const struct client *c);
/* From now on an answer is sent. */
void	 clients_answer(struct client *c);
/* There is more of an answer that waited. */
void	 clients_more(struct client *c);

/* budget.c: cpu time for clients that only read */
/* When some is left, now or later. */
uint64_t budget_time(uint64_t now);
/* Adds what is due since the last call. Returns false if none is left. */
bool	 budget_fill(uint64_t now);
void	 budget_spend(uint64_t usec);

/* command.c */
/* Carries out a command, and begins to answer it. */
void	 command_run(struct client *c, char *line);
/* Tells waiting clients how far the reload or stop is. */
void	 command_progress(void);
/* Tells them how the reload ended. */
void	 command_reloaded(bool done);

#endif
