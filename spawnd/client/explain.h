/* SPDX-License-Identifier: ISC */
/* What the files of "spawnctl explain" share, and no other file sees. */
#ifndef CLIENT_EXPLAIN_H
#define CLIENT_EXPLAIN_H

#include <stdio.h>

#include "client/client.h"

#define EXPLAIN_LATELY	300	/* s; what was before is over */
#define EXPLAIN_SLOW	10	/* s; a start, or a wait, that is long */
#define EXPLAIN_HELD	60	/* s; and a request */
#define EXPLAIN_KEPT	2	/* s without a request on a connection */

/* What is being written. */
struct explain {
	FILE		*f;
	const struct reply *a;		/* to status and history */
	unsigned int	 paragraphs;
	unsigned int	 wrong;		/* of these tell of a fault */
};

/* explain_text.c */
/*
 * Write a paragraph, of the formatted text wrapped as by reply_wrap(): about a
 * fault, which is counted, or about something that is only to be known.
 */
void	 explain_fault(struct explain *x, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
void	 explain_note(struct explain *x, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/*
 * explain_load.c, explain_workers.c, explain_limits.c: each answers a question
 * by paragraphs about what is not well, and by nothing if all is
 */
/* Does the pool get the connections, and is it large enough? */
void	 explain_load(struct explain *x);
/* Do the workers start, stay and end as they should? */
void	 explain_workers(struct explain *x);
/* What does not hold on this system, and cannot be seen? */
void	 explain_limits(struct explain *x);

#endif
