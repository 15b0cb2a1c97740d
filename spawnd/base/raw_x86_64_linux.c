/* SPDX-License-Identifier: ISC */
/* A system call on x86-64, without libc, which would set errno. */
#include "base/raw.h"

bool
raw_keeps_errno(void)
{
	return true;
}

long
raw_call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall"
	    : "=a"(r)
	    : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
	    : "rcx", "r11", "cc", "memory");
	return r;
}
