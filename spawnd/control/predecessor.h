/* SPDX-License-Identifier: ISC */
/* What predecessor.c knows of the pool that successor.c takes over from. */
#ifndef CONTROL_PREDECESSOR_H
#define CONTROL_PREDECESSOR_H

#include "client/client.h"
#include "config/config.h"
#include "config/describe.h"

/* As it has answered; the descriptors are ours. */
struct predecessor {
	struct conn	 conn;		/* fd -1: closed */
	pid_t		 pid;
	int		 listener;	/* its listen socket; -1: not passed */
	bool		 inherited;	/* it was passed in to it */
	bool		 polls;		/* it is non-blocking */
	bool		 managed;	/* by a service manager */
	char		*cgroup;	/* as facts_short() has it; or NULL */
	char		*refuses;	/* why; or NULL */
	struct facts	 facts;
};

/* Returns the only one, to be read and changed. */
struct predecessor *predecessor_get(void);
/* Is the value of that key "yes"? */
bool	 predecessor_says(const struct proto_record *r, const char *key);
/*
 * Returns the descriptor that has come with the answer, and that a record means
 * by the number under that key; or -1.
 */
int	 predecessor_passed(const struct proto_record *r, const char *key);
/*
 * Puts "--replace: NAME: " before the text of an error. Returns -1, so that a
 * function that fails can return it.
 */
int	 predecessor_blame(const char *name, struct err *e);

#endif
