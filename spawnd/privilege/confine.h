/* SPDX-License-Identifier: ISC */
/* What confine.c asks of the system: confine_linux.c, confine_none.c. */
#ifndef PRIVILEGE_CONFINE_H
#define PRIVILEGE_CONFINE_H

#include <stdbool.h>

/* What would become of both halves here; each is NULL if it holds. */
struct confinement {
	const char	*no_scope;	/* why not */
	const char	*no_filter;
};

/*
 * Tries each in a child, which a filter of somebody else's may kill. A child
 * that cannot be made, or that does not end, is logged.
 */
void	 confine_try(struct confinement *c);
/*
 * Prepares the domains that confine_child() makes. Returns 0, or -1 with
 * errno set.
 */
int	 confine_open_scope(void);
/*
 * Installs the filter in this process, for good and for all its children, and
 * verifies it. Without domains (scoped false) it also refuses to attach to
 * another process by ptrace(2), but for whoever knows door_key(). Returns 0,
 * or -1 with errno set.
 */
int	 confine_filter(bool scoped);

#endif
