/* SPDX-License-Identifier: ISC */
/* A system call on other architectures: by libc, which sets errno. */
#include <errno.h>
#include <unistd.h>

#include "base/raw.h"

bool
raw_keeps_errno(void)
{
	return false;
}

long
raw_call(long number, long a, long b, long c, long d)
{
	long r = syscall(number, a, b, c, d);

	return r == -1 ? -errno : r;
}
