/* SPDX-License-Identifier: ISC */
/* The calls of raw.h on Linux. */
#include <sys/syscall.h>

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "base/raw.h"

/* Linux 5.9; the headers may be older. It has one number anywhere. */
#ifndef SYS_close_range
#define SYS_close_range	436
#endif
#define CLOSE_UNSHARE	(1L << 1)
#define LIMIT_NONE	UINT64_MAX	/* RLIM_INFINITY, for the kernel */

/* As prlimit64(2) has it, whatever size libc's is. */
struct limit64 {
	uint64_t	 cur;
	uint64_t	 max;
};

static unsigned char reset[NSIG];	/* signals that a child resets */
static unsigned int nreset;

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

int
raw_own_files(int end)
{
	/* The others are not even copied: that takes as long as there are. */
	return (int)raw_call(SYS_close_range, end, (long)UINT32_MAX,
	    CLOSE_UNSHARE, 0);
}

int
raw_dup_from(int fd, int from)
{
	return (int)raw_call(SYS_fcntl, fd, F_DUPFD, from, 0);
}

/*
 * The kernel's struct sigaction begins with the handler, and is the same for
 * all systems when it is zero. 64 calls take a tenth of a worker's way to its
 * program.
 */
void
raw_note_signals(void)
{
	uint64_t sa[8];
	int signo;

	nreset = 0;
	for (signo = 1; signo < NSIG; signo++) {
		sa[0] = 1;
		raw_call(SYS_rt_sigaction, signo, 0, (long)sa, NSIG / 8);
		if (sa[0] != 0)
			reset[nreset++] = (unsigned char)signo;
	}
}

void
raw_reset_signals(void)
{
	uint64_t sa[8] = { 0 }, none[2] = { 0 };
	unsigned int i;

	for (i = 0; i < nreset; i++)
		raw_call(SYS_rt_sigaction, reset[i], (long)sa, 0, NSIG / 8);
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
