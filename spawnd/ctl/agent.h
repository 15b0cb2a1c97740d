/* SPDX-License-Identifier: ISC */
/* What the files of the agent share: one line for a balancer. */
#ifndef CTL_AGENT_H
#define CTL_AGENT_H

#include "base/base.h"
#include "base/network.h"
#include "client/client.h"

#define AGENT_LINE	160	/* bytes of it, with newline and NUL */
#define AGENT_WAIT	500	/* ms for a pool's answer */
#define AGENT_LINGER	1000	/* ms for a client to close its end */
#define AGENT_CLIENTS	32	/* that have their line, and have not closed */
#define AGENT_FRESH	100	/* ms that an answer is used again */
#define AGENT_LEAST	10	/* percent; HAProxy takes 0 for a drain */
#define AGENT_EACH_MAX	65535

/* What is asked for on the command line. */
struct agent_conf {
	const char	*listen;	/* ADDR:PORT; NULL: standard output */
	struct network	*allow;
	size_t		 nallow;
	int		 each;		/* connections of a worker; -1: not
					   given, 0: any number */
};

/* agent_line.c: the words, without any system call */
/*
 * Writes the line of a pool whose answer to "status brief" that is: "drain"
 * before a stop and in it; "down" or "fail" with the reason when it does not
 * serve; else "ready up", and how much of it is idle and how many connections
 * it can serve at once, as far as that is known.
 */
void	 agent_line_serving(const struct reply *a, int each,
	    char line[AGENT_LINE]);
/* And of one that gave no answer, but that error. */
void	 agent_line_failed(const struct err *e, char line[AGENT_LINE]);

/* agent_server.c */
/*
 * Listens, says so, and sends each client that may ask what `ask` writes, for
 * ever. Returns -1 with *e set (64, 69, 71, 77).
 */
int	 agent_server_run(const struct agent_conf *c,
	    void (*ask)(char line[AGENT_LINE]), struct err *e);
/* Has the client read what was written to it? Waits AGENT_LINGER at most. */
void	 agent_server_linger(int fd);

#endif
