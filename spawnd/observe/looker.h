/* SPDX-License-Identifier: ISC */
/* looker_linux.c: another process reads what could block whoever reads it. */
#ifndef OBSERVE_LOOKER_H
#define OBSERVE_LOOKER_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/units.h"
#include "observe/linux.h"

#define LOOKER_TIME	UINT64_C(20000)	/* usec: the supervisor waits */
#define LOOKER_PATIENCE	(5 * USEC)	/* for an answer, then it is lost */
#define LOOKER_PAUSE	(60 * USEC)	/* from one looker to the next */
#define LOOKER_IDLE	(60 * USEC)	/* without a question: it ends */
#define LOOKER_MAX	3		/* are lost, then there are no more */

enum looker_what {
	LOOKER_KEEPALIVE, /* fd, inodes: does it wait for its clients alone? */
	LOOKER_PSS,	/* its proportional memory in bytes */
	LOOKER_LISTENS,	/* wait, memory: an enum listens */
	LOOKER_NWHAT
};

struct looker_question {
	uint32_t	 sequence;	/* set by looker_ask() */
	enum looker_what what;
	pid_t		 pid;		/* the process it is about */
	int		 fd;		/* of that process: an epoll */
	int		 n;		/* inodes, of its connections */
	int		 nunread;	/* from the first of these no task
					   reads now */
	uint64_t	 inodes[SOCKETS_MAX];
	struct wait	 wait;
	int		 memory;	/* ours, of its mem; 0: none */
};

/*
 * Asks a looker, which is made if there is none. Waits LOOKER_TIME at most,
 * and not at all while the answer to an earlier question is due. Returns true
 * with *value set, or false: it is not known, and what that is about counts as
 * busy.
 */
bool	 looker_ask(const struct looker_question *q, uint64_t *value);
/* Microseconds that all questions have taken so far. */
uint64_t looker_spent(void);
/* Is that child a looker? */
bool	 looker_is(pid_t pid);
/*
 * Returns for how many microseconds no new looker may be made; 0: one may be
 * made now; NEVER: no more. lost: how many had to be given up. made_at: when
 * the last one was made; 0: none was.
 */
uint64_t looker_wait(unsigned int lost, uint64_t made_at, uint64_t now);

/* The answers, found within the looker. Returns as looker_ask(). */
typedef bool looker_answer(const struct looker_question *q, uint64_t *value);
looker_answer keepalive_find;		/* keepalive_linux.c */
looker_answer listens_find;		/* listens_linux.c */
looker_answer usage_find_pss;		/* usage_linux.c */

#endif
