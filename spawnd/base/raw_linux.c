/* SPDX-License-Identifier: ISC */
/* The calls of raw.h on Linux. */
#include <sys/syscall.h>

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "base/raw.h"

#define LIMIT_NONE	UINT64_MAX	/* RLIM_INFINITY, for the kernel */

/* As prlimit64(2) has it, whatever size libc's is. */
struct limit64 {
	uint64_t	 cur;
	uint64_t	 max;
};

int
raw_setpgid(pid_t pid, pid_t group)
{
	return (int)raw_call(SYS_setpgid, pid, group, 0, 0);
}

pid_t
raw_getppid(void)
{
	return (pid_t)raw_call(SYS_getppid, 0, 0, 0, 0);
}

int
raw_ioctl(int fd, unsigned long request, void *arg)
{
	return (int)raw_call(SYS_ioctl, fd, (long)request, (long)arg, 0);
}

static uint64_t
limit_out(rlim_t value)
{
	return value == RLIM_INFINITY ? LIMIT_NONE : value;
}

static rlim_t
limit_in(uint64_t value)
{
	return value == LIMIT_NONE ? RLIM_INFINITY : (rlim_t)value;
}

int
raw_limit(int resource, const struct rlimit *set, struct rlimit *get)
{
	struct limit64 want, is;
	int r;

	if (set != NULL) {
		want.cur = limit_out(set->rlim_cur);
		want.max = limit_out(set->rlim_max);
	}
	r = (int)raw_call(SYS_prlimit64, 0, resource,
	    set != NULL ? (long)&want : 0, get != NULL ? (long)&is : 0);
	if (r == 0 && get != NULL) {
		get->rlim_cur = limit_in(is.cur);
		get->rlim_max = limit_in(is.max);
	}
	return r;
}

int
raw_nice(int nice)
{
	return (int)raw_call(SYS_setpriority, PRIO_PROCESS, 0, nice, 0);
}

void
raw_umask(mode_t mask)
{
	raw_call(SYS_umask, (long)mask, 0, 0, 0);
}

int
raw_dup2(int fd, int to)
{
	return (int)raw_call(SYS_dup3, fd, to, 0, 0);
}

int
raw_chdir(const char *path)
{
	return (int)raw_call(SYS_chdir, (long)path, 0, 0, 0);
}

void
raw_reset_signals(void)
{
	/* The kernel's struct sigaction, the same for all when it is zero. */
	uint64_t sa[8] = { 0 }, none[2] = { 0 };
	int signo;

	for (signo = 1; signo < NSIG; signo++)
		raw_call(SYS_rt_sigaction, signo, (long)sa, 0, NSIG / 8);
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)none, 0, NSIG / 8);
}

int
raw_exec(const char *path, char *const *argv, char *const *envp)
{
	return (int)raw_call(SYS_execve, (long)path, (long)argv, (long)envp,
	    0);
}

void
raw_exit(int status)
{
	for (;;)
		raw_call(SYS_exit_group, status, 0, 0, 0);
}
