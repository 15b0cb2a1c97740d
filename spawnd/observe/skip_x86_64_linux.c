/* SPDX-License-Identifier: ISC */
/* Skipping a system call on x86-64: its number is in orig_rax. */
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <linux/audit.h>

#include <elf.h>

#include "observe/skip.h"

unsigned int
skip_arch(void)
{
	return AUDIT_ARCH_X86_64;
}

int
skip_call(pid_t tid, int error)
{
	struct user_regs_struct r;
	struct iovec v = { .iov_base = &r, .iov_len = sizeof(r) };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &v) == -1)
		return -1;
	r.orig_rax = (unsigned long long)-1;
	r.rax = (unsigned long long)-(long long)error;
	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &v) == -1 ?
	    -1 : 0;
}
