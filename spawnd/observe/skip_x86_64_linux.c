/* SPDX-License-Identifier: ISC */
/* Skipping a system call on x86-64: its number is in orig_rax. */
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <linux/audit.h>

#include <elf.h>
#include <errno.h>

#include "observe/skip.h"

typedef unsigned long long word;

static int
read_registers(pid_t tid, struct user_regs_struct *r)
{
	struct iovec v = { .iov_base = r, .iov_len = sizeof(*r) };

	return ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &v) == -1 ?
	    -1 : 0;
}

static int
write_registers(pid_t tid, struct user_regs_struct *r)
{
	struct iovec v = { .iov_base = r, .iov_len = sizeof(*r) };

	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &v) == -1 ?
	    -1 : 0;
}

unsigned int
skip_arch(void)
{
	return AUDIT_ARCH_X86_64;
}

int
skip_call(pid_t tid, bool filtered)
{
	struct user_regs_struct r;

	if (read_registers(tid, &r) == -1)
		return -1;
	if (filtered)
		r.rdi = (word)-1;
	else {
		r.orig_rax = (word)-1;
		r.rax = (word)-EINTR;	/* should we die before the exit */
	}
	return write_registers(tid, &r);
}

int
skip_answer(pid_t tid, long call, unsigned long argument, int error)
{
	struct user_regs_struct r;

	if (read_registers(tid, &r) == -1)
		return -1;
	r.orig_rax = (word)call;
	r.rdi = argument;
	r.rax = 0 - (word)error;
	return write_registers(tid, &r);
}

bool
skip_restarts(void)
{
	return true;
}

/*
 * A time limit is restarted, too. What has been done in part says how much of
 * it, and is no error; only close(2) is done although it says EINTR.
 */
int
skip_restart(pid_t tid)
{
	struct user_regs_struct r;

	if (read_registers(tid, &r) == -1)
		return -1;
	if ((long long)r.orig_rax < 0 || r.orig_rax == SYS_close ||
	    (r.rax != (word)-EINTR && r.rax != (word)-SKIP_BY_BLOCK))
		return 0;
	r.rax = (word)-SKIP_NO_HANDLER;
	return write_registers(tid, &r);
}
