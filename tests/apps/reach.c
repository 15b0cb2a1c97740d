/* SPDX-License-Identifier: ISC */
/*
 * A worker that tries what one process of a user can do to another, each in a
 * way that does no harm: a signal 0, the limit or priority that it has anyway.
 * QUERY_STRING says to whom: the number of a process, or "child". The answer
 * is a line "NAME ERRNO" for each, 0 if it may, of which those of namespaces
 * and of other numberings of system calls concern the worker alone.
 */
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcgiapp.h>

#define SCHED_ATTR_SIZE	48
#define NOWHERE		((void *)16)	/* is never mapped */

static siginfo_t queued;	/* the sender of signal 0 */

static int
result(long r)
{
	return r == -1 ? errno : 0;
}

static int
pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int
by_pidfd(pid_t pid, long call, long arg)
{
	int fd = pidfd(pid), r;

	if (fd == -1)
		return errno;
	r = result(syscall(call, fd, arg, 0, 0));
	close(fd);
	return r;
}

/* A tracer ends, and with it what it did. */
static int
trace(pid_t pid, int request)
{
	int status = 0;
	pid_t tracer = fork();

	if (tracer == 0) {
		if (ptrace(request, pid, NULL, NULL) == -1)
			_exit(errno);
		if (request == PTRACE_SEIZE)
			ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
		waitpid(pid, NULL, __WALL);
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		_exit(0);
	}
	waitpid(tracer, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* Nothing is there to be read or written, which is said if it may be. */
static int
memory(pid_t pid, int writes)
{
	char byte = 0;
	struct iovec ours = { &byte, 1 }, theirs = { NOWHERE, 1 };
	ssize_t r = writes ? process_vm_writev(pid, &ours, 1, &theirs, 1, 0) :
	    process_vm_readv(pid, &ours, 1, &theirs, 1, 0);

	return r == -1 && errno != EFAULT ? errno : 0;
}

static int
file(pid_t pid, const char *name, int flags)
{
	char path[64], buf[64];
	int fd, r = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((fd = open(path, flags | O_CLOEXEC)) == -1)
		return errno;
	/* Of memory there is nothing at 0. */
	if (flags == O_RDONLY && read(fd, buf, 1) == -1 && errno != EIO)
		r = errno;
	close(fd);
	return r;
}

static int
names(pid_t pid, const char *name)
{
	char path[64], buf[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return result(readlink(path, buf, sizeof(buf)));
}

/* Writes what is there already. */
static int
rewrite(pid_t pid, const char *name)
{
	char path[64], buf[64], text[80], *end;
	int fd, r;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((fd = open(path, O_RDWR | O_CLOEXEC)) == -1)
		return errno;
	if ((n = read(fd, buf, sizeof(buf) - 1)) <= 0) {
		close(fd);
		return n == 0 ? EIO : errno;
	}
	buf[n] = '\0';
	/* "/autogroup-12 nice 0"; a number without 0x that is one. */
	end = strrchr(buf, ' ');
	snprintf(text, sizeof(text), "%s%s", name[0] == 'c' ? "0x" : "",
	    end != NULL ? end + 1 : buf);
	r = result(write(fd, text, strlen(text)));
	close(fd);
	/* That is for whoever may, and has just done it. */
	return r == EAGAIN ? 0 : r;
}

/* Signals of a file's activity go to whom its owner names. */
static int
owns(pid_t pid)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1)
		return errno;
	r = result(fcntl(pair[0], F_SETOWN, pid));
	fcntl(pair[0], F_SETSIG, pid == getppid() ? SIGUSR2 : SIGWINCH);
	fcntl(pair[0], F_SETFL, O_ASYNC);
	if (write(pair[1], "", 1) == -1)
		r = errno;
	close(pair[0]);
	close(pair[1]);
	return r;
}

static int
schedule(pid_t pid, int how)
{
	struct sched_param none = { .sched_priority = 0 };
	unsigned long mask[16], attr[SCHED_ATTR_SIZE / sizeof(long)];

	switch (how) {
	case SYS_sched_getaffinity:
		return result(syscall(how, pid, sizeof(mask), mask));
	case SYS_sched_setaffinity:
		memset(mask, 0xff, sizeof(mask));
		return result(syscall(how, pid, sizeof(mask), mask));
	case SYS_sched_setscheduler:
		return result(syscall(how, pid, SCHED_OTHER, &none));
	case SYS_sched_setparam:
		return result(syscall(how, pid, &none));
	default:
		memset(attr, 0, sizeof(attr));
		attr[0] = SCHED_ATTR_SIZE;
		/* The nice value that it has: less would need a right. */
		attr[2] = (unsigned int)getpriority(PRIO_PROCESS, (id_t)pid);
		return result(syscall(SYS_sched_setattr, pid, attr, 0));
	}
}

/* To the priority that it has; of a group or user, one of them. */
static int
prioritize(int which, pid_t who)
{
	return result(setpriority(which, (id_t)who,
	    getpriority(which, (id_t)who)));
}

/* As a member of its group, which is of the same session. */
static int
join(pid_t pid)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		if (setpgid(0, getpgid(pid)) == -1)
			_exit(ENOTRECOVERABLE);
		_exit(prioritize(PRIO_PGRP, 0));
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static int
limit(pid_t pid, int sets)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_CORE, &r) == -1)
		return errno;
	return result(prlimit(pid, RLIMIT_CORE, sets ? &r : NULL, NULL));
}

/* By the number that it has in programs of 32 bits. */
static long
old_call(long number, long a, long b, long c)
{
#ifdef __x86_64__
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(a),
	    "c"(b), "d"(c) : "memory");
	return r;
#else
	(void)number, (void)a, (void)b, (void)c;
	return -ENOSYS;
#endif
}

/* A child makes it: a filter may kill who does. */
static int
prioritize_old(pid_t pid)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit((int)-old_call(97, PRIO_PROCESS, pid,
		    getpriority(PRIO_PROCESS, (id_t)pid)));
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : ENOSYS;
}

/* What a child of ours may do to itself. */
static int
itself(int how)
{
	int status = 0;
	long a = 0;
	pid_t child = fork();

	if (child == 0) {
		switch (how) {
		case 'u':
			_exit(result(unshare(CLONE_NEWUSER)));
		case 'c':
			a = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0,
			    0, 0);
			_exit(result(a));
		case '3':
			_exit(result(syscall(SYS_clone3, NULL, 0)));
#ifdef __x86_64__
		case 'i':
			a = old_call(20, 0, 0, 0);
			_exit(a > 0 ? 0 : (int)-a);
		case 'x':
			_exit(result(syscall(0x40000000 | SYS_getpid)));
#endif
		}
		_exit(ENOSYS);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : ENOSYS;
}

static void
try_signals(FCGX_Stream *out, pid_t pid)
{
	FCGX_FPrintF(out, "kill %d\n", result(kill(pid, 0)));
	FCGX_FPrintF(out, "tkill %d\n", result(syscall(SYS_tkill, pid, 0)));
	FCGX_FPrintF(out, "tgkill %d\n", result(syscall(SYS_tgkill, pid, pid,
	    0)));
	FCGX_FPrintF(out, "rt_sigqueueinfo %d\n",
	    result(syscall(SYS_rt_sigqueueinfo, pid, 0, &queued)));
	FCGX_FPrintF(out, "rt_tgsigqueueinfo %d\n",
	    result(syscall(SYS_rt_tgsigqueueinfo, pid, pid, 0, &queued)));
	FCGX_FPrintF(out, "pidfd_send_signal %d\n", by_pidfd(pid,
	    SYS_pidfd_send_signal, 0));
	FCGX_FPrintF(out, "pidfd_open %d\n", pidfd(pid) == -1 ? errno : 0);
	FCGX_FPrintF(out, "setown %d\n", owns(pid));
}

static void
try_memory(FCGX_Stream *out, pid_t pid)
{
	static const char *const read_of[] = { "mem", "environ", "auxv",
	    "syscall", "io" };
	static const char *const links[] = { "fd/0", "cwd", "root", "exe",
	    "ns/pid" };
	static const char *const written[] = { "oom_score_adj", "autogroup",
	    "coredump_filter" };
	size_t i;

	FCGX_FPrintF(out, "seize %d\n", trace(pid, PTRACE_SEIZE));
	FCGX_FPrintF(out, "attach %d\n", trace(pid, PTRACE_ATTACH));
	FCGX_FPrintF(out, "process_vm_readv %d\n", memory(pid, 0));
	FCGX_FPrintF(out, "process_vm_writev %d\n", memory(pid, 1));
	FCGX_FPrintF(out, "pidfd_getfd %d\n", by_pidfd(pid, SYS_pidfd_getfd,
	    0));
	for (i = 0; i < sizeof(read_of) / sizeof(read_of[0]); i++)
		FCGX_FPrintF(out, "%s %d\n", read_of[i], file(pid, read_of[i],
		    O_RDONLY));
	for (i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		FCGX_FPrintF(out, "%s %d\n", links[i], names(pid, links[i]));
	for (i = 0; i < sizeof(written) / sizeof(written[0]); i++)
		FCGX_FPrintF(out, "%s %d\n", written[i], rewrite(pid,
		    written[i]));
}

static void
try_limits(FCGX_Stream *out, pid_t pid)
{
	unsigned long node = 1;

	FCGX_FPrintF(out, "prlimit_get %d\n", limit(pid, 0));
	FCGX_FPrintF(out, "prlimit_set %d\n", limit(pid, 1));
	FCGX_FPrintF(out, "sched_getaffinity %d\n", schedule(pid,
	    SYS_sched_getaffinity));
	FCGX_FPrintF(out, "sched_setaffinity %d\n", schedule(pid,
	    SYS_sched_setaffinity));
	FCGX_FPrintF(out, "sched_setscheduler %d\n", schedule(pid,
	    SYS_sched_setscheduler));
	FCGX_FPrintF(out, "sched_setparam %d\n", schedule(pid,
	    SYS_sched_setparam));
	FCGX_FPrintF(out, "sched_setattr %d\n", schedule(pid,
	    SYS_sched_setattr));
	FCGX_FPrintF(out, "setpriority %d\n",
	    prioritize(PRIO_PROCESS, pid));
	FCGX_FPrintF(out, "setpriority_group %d\n",
	    prioritize(PRIO_PGRP, getpgid(pid)));
	FCGX_FPrintF(out, "setpriority_user %d\n",
	    prioritize(PRIO_USER, 0));
	FCGX_FPrintF(out, "setpriority_join %d\n", join(pid));
	FCGX_FPrintF(out, "setpriority_i386 %d\n", prioritize_old(pid));
	FCGX_FPrintF(out, "ioprio_set %d\n", result(syscall(SYS_ioprio_set, 1,
	    pid, 0)));
	FCGX_FPrintF(out, "ioprio_set_group %d\n",
	    result(syscall(SYS_ioprio_set, 2, getpgid(pid), 0)));
	FCGX_FPrintF(out, "ioprio_set_user %d\n",
	    result(syscall(SYS_ioprio_set, 3, getuid(), 0)));
	FCGX_FPrintF(out, "migrate_pages %d\n", result(syscall(
	    SYS_migrate_pages, pid, 2, &node, &node)));
	FCGX_FPrintF(out, "move_pages %d\n", result(syscall(SYS_move_pages,
	    pid, 0, NULL, NULL, NULL, 0)));
}

static void
try_itself(FCGX_Stream *out)
{
	FCGX_FPrintF(out, "own_limit %d\n", limit(0, 1));
	FCGX_FPrintF(out, "own_affinity %d\n", schedule(0,
	    SYS_sched_setaffinity));
	FCGX_FPrintF(out, "own_scheduler %d\n", schedule(0,
	    SYS_sched_setscheduler));
	FCGX_FPrintF(out, "own_priority %d\n",
	    prioritize(PRIO_PROCESS, 0));
	FCGX_FPrintF(out, "own_ioprio %d\n", result(syscall(SYS_ioprio_set, 1,
	    0, 0)));
	FCGX_FPrintF(out, "unshare %d\n", itself('u'));
	FCGX_FPrintF(out, "clone %d\n", itself('c'));
	FCGX_FPrintF(out, "clone3 %d\n", itself('3'));
	FCGX_FPrintF(out, "i386 %d\n", itself('i'));
	FCGX_FPrintF(out, "x32 %d\n", itself('x'));
}

int
main(void)
{
	char *query;
	FCGX_Request r;
	pid_t pid, child;

	/* As where no yama keeps processes of one user from that. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	queued.si_code = SI_QUEUE;
	if (FCGX_Init() != 0)
		return 1;
	FCGX_InitRequest(&r, 0, 0);
	while (FCGX_Accept_r(&r) == 0) {
		query = FCGX_GetParam("QUERY_STRING", r.envp);
		child = -1;
		if (query != NULL && strcmp(query, "child") == 0 &&
		    (child = fork()) == 0) {
			for (;;)
				pause();
		}
		pid = child > 0 ? child : atoi(query != NULL ? query : "");
		FCGX_FPrintF(r.out, "Content-Type: text/plain\r\n"
		    "X-Pid: %d\r\n\r\n", (int)getpid());
		if (pid > 0) {
			try_signals(r.out, pid);
			try_memory(r.out, pid);
			try_limits(r.out, pid);
			try_itself(r.out);
		}
		FCGX_Finish_r(&r);
		if (child > 0) {
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
		}
	}
	return 0;
}
