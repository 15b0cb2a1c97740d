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
#define AGENT_LEAST	75	/* percent, where none is idle */
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
 * Writes the line, with its newline, of a pool whose answer to "status brief"
 * is *a: "drain" before a stop and in it; "down" or "fail" with the reason when
 * it does not serve; else "ready up", with a weight in percent by how much of
 * it is idle, and how many connections it can serve at once, as far as that is
 * known. each is as in struct agent_conf. The language is that of HAProxy's
 * agent-check.
 */
void	 agent_line_serving(const struct reply *a, int each,
	    char line[AGENT_LINE]);
/*
 * And of one that gave no answer, but that error: "down" if it does not run
 * (69), nothing but a newline if it was late (75), else "fail"; with the
 * reason.
 */
void	 agent_line_failed(const struct err *e, char line[AGENT_LINE]);

/* agent_server.c */
/*
 * Listens, says so on standard output, and sends each client that may ask what
 * `ask` writes, for ever; TERM and INT end the process. Returns -1 with *e set
 * (64, 69, 71, 74, 77).
 */
int	 agent_server_run(const struct agent_conf *c,
	    void (*ask)(char line[AGENT_LINE]), struct err *e);
/*
 * Ends what is sent on the socket fd, and waits, AGENT_LINGER at most, for the
 * client to close its end: a close before that could lose the answer.
 */
void	 agent_server_linger(int fd);

#endif
