/* SPDX-License-Identifier: ISC */
/* Where a listening TCP socket has no filter: it lets in whoever comes. */
#include <errno.h>

#include "spawnd.h"

int
filter_new(int fd)
{
	(void)fd;
	errno = EOPNOTSUPP;
	return -1;
}
