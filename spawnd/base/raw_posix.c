/* SPDX-License-Identifier: ISC */
/* The calls of raw.h by libc, which sets errno. */
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/raw.h"

bool
raw_keeps_errno(void)
{
	return false;
}

static int
result(int r)
{
	return r == -1 ? -errno : r;
}

int
raw_setpgid(pid_t pid, pid_t group)
{
	return result(setpgid(pid, group));
}

pid_t
raw_getppid(void)
{
	return getppid();
}

int
raw_ioctl(int fd, unsigned long request, void *arg)
{
	return result(ioctl(fd, request, arg));
}

int
raw_limit(int resource, const struct rlimit *set, struct rlimit *get)
{
	if (set != NULL && setrlimit(resource, set) == -1)
		return -errno;
	return get != NULL ? result(getrlimit(resource, get)) : 0;
}

int
raw_nice(int nice)
{
	return result(setpriority(PRIO_PROCESS, 0, nice));
}

void
raw_umask(mode_t mask)
{
	umask(mask);
}

int
raw_dup2(int fd, int to)
{
	return result(dup2(fd, to));
}

int
raw_chdir(const char *path)
{
	return result(chdir(path));
}

int
raw_own_files(int end)
{
	(void)end;
	return -ENOSYS;
}

int
raw_dup_from(int fd, int from)
{
	return result(fcntl(fd, F_DUPFD, from));
}

void
raw_note_signals(void)
{
	/* All are reset. */
}

void
raw_reset_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;
	int signo;

	for (signo = 1; signo < NSIG; signo++)
		sigaction(signo, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int
raw_exec(const char *path, char *const *argv, char *const *envp)
{
	return result(execve(path, argv, envp));
}

void
raw_exit(int status)
{
	_exit(status);
}
