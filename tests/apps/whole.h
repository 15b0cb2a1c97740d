/* SPDX-License-Identifier: ISC */
/* Where a request ends, for the applications that do without libfcgi. */
#ifndef WHOLE_H
#define WHOLE_H

#include <stddef.h>

#define STDIN	5

/* Does the request end here? */
static int
is_whole(const unsigned char *p, size_t len)
{
	size_t n;

	while (len >= 8) {
		n = (size_t)p[4] << 8 | p[5];
		if (p[1] == STDIN && n == 0)
			return 1;
		n += 8 + (size_t)p[6];
		if (n > len)
			return 0;
		p += n;
		len -= n;
	}
	return 0;
}

#endif
