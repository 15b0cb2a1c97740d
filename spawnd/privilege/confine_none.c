/* SPDX-License-Identifier: ISC */
/* For systems where the processes of one user cannot be kept apart. */
#include <errno.h>

#include "observe/observe.h"
#include "privilege/confine.h"
#include "privilege/privilege.h"

void
confine_try(struct confinement *c)
{
	c->no_scope = c->no_filter = "not on this system";
}

int
confine_open_scope(void)
{
	errno = ENOSYS;
	return -1;
}

int
confine_filter(bool scoped)
{
	(void)scoped;
	errno = ENOSYS;
	return -1;
}

int
confine_child(void)
{
	return 0;
}
