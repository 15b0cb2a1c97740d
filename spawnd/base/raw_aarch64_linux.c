/* SPDX-License-Identifier: ISC */
/* A system call on arm64, without libc, which would set errno. */
#include "base/raw.h"

bool
raw_keeps_errno(void)
{
	return true;
}

long
raw_call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0"
	    : "+r"(x0)
	    : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
	    : "cc", "memory");
	return x0;
}
