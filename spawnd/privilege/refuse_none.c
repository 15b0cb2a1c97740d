/* SPDX-License-Identifier: ISC */
/* Where a listening TCP socket cannot refuse: it lets in whoever comes. */
#include <errno.h>

#include "privilege/privilege.h"

int
refuse_new(int fd)
{
	(void)fd;
	errno = EOPNOTSUPP;
	return -1;
}
