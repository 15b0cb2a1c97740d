/* SPDX-License-Identifier: ISC */
/* Skipping a system call on arm64: its number has a register set of its own. */
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <linux/audit.h>

#include <elf.h>
#include <errno.h>
#include <stdint.h>

#include "observe/skip.h"

#define REGISTERS	34	/* user_pt_regs: x0 to x30, sp, pc, pstate */

unsigned int
skip_arch(void)
{
	return AUDIT_ARCH_AARCH64;
}

static int
set_number(pid_t tid, int number)
{
	struct iovec v = { .iov_base = &number, .iov_len = sizeof(number) };

	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL,
	    &v) == -1 ? -1 : 0;
}

static int
set_x0(pid_t tid, uint64_t x0)
{
	uint64_t r[REGISTERS];
	struct iovec v = { .iov_base = r, .iov_len = sizeof(r) };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &v) == -1)
		return -1;
	r[0] = x0;
	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &v) == -1 ?
	    -1 : 0;
}

int
skip_call(pid_t tid, bool filtered)
{
	return filtered ? set_x0(tid, UINT64_MAX) : set_number(tid, -1);
}

/* The kernel has kept the argument, for a call that is restarted. */
int
skip_answer(pid_t tid, long call, unsigned long argument, int error)
{
	(void)argument;
	return set_number(tid, (int)call) == -1 ? -1 :
	    set_x0(tid, 0 - (uint64_t)error);
}

/* The kernel has decided how the call goes on before the task stops. */
bool
skip_restarts(void)
{
	return false;
}

int
skip_restart(pid_t tid)
{
	(void)tid;
	errno = ENOSYS;
	return -1;
}
