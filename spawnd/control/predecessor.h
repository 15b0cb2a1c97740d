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
	int		 listener;
	bool		 inherited;	/* that was passed in to it */
	bool		 polls;		/* that is non-blocking */
	bool		 managed;	/* by a service manager */
	char		*cgroup;
	char		*refuses;	/* why; or NULL */
	struct facts	 facts;
};

struct predecessor *predecessor_get(void);
/* Is the value of that key "yes"? */
bool	 predecessor_says(const struct proto_record *r, const char *key);
/* The descriptor that a record says has come with it, or -1. */
int	 predecessor_passed(const struct proto_record *r, const char *key);
/* Says of whom an error is, and that it was to be taken over. Returns -1. */
int	 predecessor_blame(const char *name, struct err *e);

#endif
