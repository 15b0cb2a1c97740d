/* SPDX-License-Identifier: ISC */
/* For systems where a listening TCP socket cannot refuse connections. */
#include <errno.h>

#include "privilege/privilege.h"

int
refuse_new(int fd)
{
	(void)fd;
	errno = EOPNOTSUPP;
	return -1;
}
