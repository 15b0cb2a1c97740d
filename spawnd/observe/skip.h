/* SPDX-License-Identifier: ISC */
/*
 * The registers of a traced task at a system call: one file for each
 * architecture, chosen by the build.
 */
#ifndef OBSERVE_SKIP_H
#define OBSERVE_SKIP_H

#include <sys/types.h>

#include <stdbool.h>

/*
 * What the kernel itself puts in place of EINTR where a call is to restart
 * once signals are dealt with: if each handler that ran has SA_RESTART, or if
 * none ran, as with epoll_wait(2); see signal(7). No header for programs has
 * them.
 */
#define SKIP_RESTART	512
#define SKIP_NO_HANDLER	514
#define SKIP_BY_BLOCK	516	/* only of the kernel: by restart_syscall(2) */
#define SKIP_IS_RESTART(error)	((error) >= SKIP_RESTART)

/* skip_ARCH_linux.c; each returns 0, or -1 with errno set. */
/* The AUDIT_ARCH of tasks whose calls can be skipped; 0: there are none. */
unsigned int skip_arch(void);
/*
 * The task is in the stop of a call's entry: the call will not be carried out.
 * filtered: the task has a seccomp filter, which sees what is made of it, so
 * that it stays the same call, of descriptor -1.
 */
int	 skip_call(pid_t tid, bool filtered);
/*
 * The task is in the stop of the exit of that call, of that number and first
 * argument: it returns -error. With one of those above that must be followed by
 * PTRACE_INTERRUPT, since only a task that looks for signals heeds them.
 */
int	 skip_answer(pid_t tid, long call, unsigned long argument, int error);
/* Can skip_restart() be used here? */
bool	 skip_restarts(void);
/*
 * The task is in the stop that a PTRACE_INTERRUPT or a signal has caused, or in
 * that of the call's exit, to be followed by another one. If it slept in a call
 * that fails or goes on otherwise for that reason, this restarts, unless a
 * handler runs.
 */
int	 skip_restart(pid_t tid);

#endif
