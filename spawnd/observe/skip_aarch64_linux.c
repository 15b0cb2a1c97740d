/* SPDX-License-Identifier: ISC */
/* Skipping a system call on arm64: its number has a register set of its own. */
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <linux/audit.h>

#include <elf.h>
#include <stdint.h>

#include "observe/skip.h"

unsigned int
skip_arch(void)
{
	return AUDIT_ARCH_AARCH64;
}

int
skip_call(pid_t tid, int error)
{
	uint64_t r[34];		/* user_pt_regs: x0 to x30, sp, pc, pstate */
	struct iovec regs = { .iov_base = r, .iov_len = sizeof(r) };
	int none = -1;
	struct iovec call = { .iov_base = &none, .iov_len = sizeof(none) };

	/* The number first: the kernel answers a call of -1 by itself. */
	if (ptrace(PTRACE_SETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL,
	    &call) == -1 ||
	    ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &regs) == -1)
		return -1;
	r[0] = 0 - (uint64_t)error;
	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS,
	    &regs) == -1 ? -1 : 0;
}
