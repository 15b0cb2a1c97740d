/* SPDX-License-Identifier: ISC */
/*
 * The registers of a traced task at the entry of a system call: one file for
 * each architecture, chosen by the build.
 */
#ifndef OBSERVE_SKIP_H
#define OBSERVE_SKIP_H

#include <sys/types.h>

/* skip_ARCH_linux.c */
/* The AUDIT_ARCH of tasks whose calls can be skipped; 0: there are none. */
unsigned int skip_arch(void);
/*
 * Makes the system call that a task is about to enter return -error instead of
 * being carried out; the task is in the ptrace(2) stop of its entry. Returns
 * 0, or -1 with errno set.
 */
int	 skip_call(pid_t tid, int error);

#endif
