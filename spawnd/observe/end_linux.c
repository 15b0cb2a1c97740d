/* SPDX-License-Identifier: ISC */
/*
 * Processes that another process traces, and their end: the kernel keeps it
 * from the parent until the tracer has waited or is gone. Until then no SIGCHLD
 * comes and waitid(2) shows nothing. A pidfd becomes readable all the same once
 * all threads are gone; threads that are traced themselves show in /proc only.
 */
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/kcmp.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/end.h"
#include "observe/linux.h"
#include "observe/observe.h"

#define AWAIT_STEP	10	/* ms between two looks at a child */

static int ends = -1;		/* an epoll, of the pidfds */

int
end_init(void)
{
	int error, fd = proc_pidfd(getpid());

	if (fd == -1)
		return -1;
	close(fd);
	if (ends != -1)
		return 0;
	/* A kernel that cannot poll them has no pidfd_open(2) either. */
	ends = epoll_create1(EPOLL_CLOEXEC);
	error = errno;
	if (ends != -1)
		return 0;
	errno = error;
	return -1;
}

int
end_events(void)
{
	return ends;
}

int
end_watch(pid_t pid, int (*aside)(int))
{
	/* Once is enough, or one that cannot be reaped would keep us awake. */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT,
	    .data.u64 = (uint64_t)pid };
	int fd;

	if (ends == -1 || (fd = proc_pidfd(pid)) == -1)
		return -1;
	fd = aside(fd);
	if (epoll_ctl(ends, EPOLL_CTL_ADD, fd, &ev) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

void
end_unwatch(int fd)
{
	/* A copy in a child that has not come to its exec would keep it. */
	epoll_ctl(ends, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

int
end_take(pid_t *list, int max)
{
	struct epoll_event ev[END_EVENTS];
	int i, n;

	n = epoll_wait(ends, ev, max < END_EVENTS ? max : END_EVENTS, 0);
	for (i = 0; i < n; i++)
		list[i] = (pid_t)ev[i].data.u64;
	return n > 0 ? n : 0;
}

/* The state of a task, 0 if it is gone. */
static char
task_state(pid_t pid, int tid)
{
	char buf[512];

	if (proc_read_task(pid, tid, "stat", buf, sizeof(buf)) <= 0)
		return 0;
	return parse_state(buf);
}

static bool
has_ended(char state)
{
	return state == 'Z' || state == 'X' || state == STATE_HELD ||
	    state == 0;
}

bool
end_reached(pid_t pid)
{
	int tasks[TASKS_MAX], i, n;

	/* Most processes need no more than this one read. */
	if (!has_ended(task_state(pid, pid)))
		return false;
	if ((n = proc_tasks(pid, tasks, TASKS_MAX)) == -1)
		return false;
	for (i = 0; i < n; i++) {
		if (!has_ended(task_state(pid, tasks[i])))
			return false;
	}
	return true;
}

/* A number in the status of a task; 0 if it is not there. */
static pid_t
task_field(pid_t pid, int tid, const char *field)
{
	char buf[4096];
	long n;

	if (proc_read_task(pid, tid, "status", buf, sizeof(buf)) <= 0)
		return 0;
	n = parse_field(buf, field);
	return n > 0 ? (pid_t)n : 0;
}

/* The process that traces a task; 0: no tracer can be seen. */
static pid_t
tracer_of(pid_t pid, int tid)
{
	/* TracerPid is the number of a thread. */
	pid_t thread = task_field(pid, tid, "TracerPid");

	return thread == 0 ? 0 : task_field(thread, thread, "Tgid");
}

bool
observe_inspected(pid_t pid)
{
	pid_t tracer = task_field(pid, pid, "TracerPid");
	char buf[4096];

	if (tracer == 0)
		return false;
	/* Another user's process may be hidden, our own never is. */
	return proc_read_of(tracer, "status", buf, sizeof(buf)) <= 0 ||
	    !parse_has_uid(buf, getuid());
}

static void
add_tracer(struct end *e, pid_t tracer)
{
	int i;

	for (i = 0; i < e->ntracers; i++) {
		if (e->tracers[i] == tracer)
			return;
	}
	if (tracer > 0 && tracer != getpid() && e->ntracers < END_TRACERS)
		e->tracers[e->ntracers++] = tracer;
}

/*
 * The kernel shows 0 to whoever may not know it, so a 0 is believed only if
 * it lets us compare ourselves with the process, which takes the same right.
 */
static int
read_status(pid_t pid)
{
	char buf[1024];
	int status;

	if (proc_read_of(pid, "stat", buf, sizeof(buf)) <= 0 ||
	    parse_exit(buf, &status) == -1)
		return STATUS_UNKNOWN;
	if (status == 0 && syscall(SYS_kcmp, getpid(), pid, KCMP_VM, 0,
	    0) == -1)
		return STATUS_UNKNOWN;
	return status;
}

void
end_look(pid_t pid, struct end *e)
{
	int tasks[TASKS_MAX], i, n;
	char state;

	*e = (struct end){ .status = STATUS_UNKNOWN };
	if ((n = proc_tasks(pid, tasks, TASKS_MAX)) <= 0)
		return;
	e->doomed = true;
	for (i = 0; i < n; i++) {
		state = task_state(pid, tasks[i]);
		e->held |= state == 't' || state == STATE_HELD;
		e->doomed &= state != 't';
		if (state != 't' && !has_ended(state))
			return;
		add_tracer(e, tracer_of(pid, tasks[i]));
	}
	e->over = true;
	e->status = read_status(pid);
}

static bool
still_traces(pid_t tracer, pid_t pid)
{
	int tasks[TASKS_MAX], i, n = proc_tasks(pid, tasks, TASKS_MAX);

	for (i = 0; i < n; i++) {
		if (tracer_of(pid, tasks[i]) == tracer)
			return true;
	}
	return false;
}

enum end_tracer
end_kill_tracer(pid_t tracer, pid_t pid, bool (*excepted)(pid_t))
{
	int fd = proc_pidfd(tracer);
	bool ours = still_traces(tracer, pid) &&
	    kin_of(tracer, getpid(), excepted) == KIN_OURS;
	bool killed = proc_pidfd_signal(fd, ours ? SIGKILL : 0) == 0;

	if (!ours)
		return TRACER_FOREIGN;
	return killed ? TRACER_KILLED : TRACER_STAYS;
}

void
end_name(pid_t pid, char name[END_NAME])
{
	char buf[512], *end;

	name[0] = '\0';
	if (proc_read_of(pid, "comm", buf, sizeof(buf)) <= 0)
		return;
	if ((end = strrchr(buf, '\n')) != NULL)
		*end = '\0';
	strlcpy(name, buf, END_NAME);
}

bool
end_await(pid_t child, int *status, int ms)
{
	struct pollfd p = { .fd = proc_pidfd(child), .events = POLLIN };
	const bool forever = ms < 0;
	pid_t pid;

	*status = STATUS_UNKNOWN;
	if (p.fd != -1) {
		while (poll(&p, 1, ms) == -1 && errno == EINTR)
			continue;
		close(p.fd);
	}
	/* Without a pidfd it is asked again and again. */
	for (;; ms -= AWAIT_STEP) {
		while ((pid = waitpid(child, status, p.fd == -1 && forever ?
		    0 : WNOHANG)) == -1 && errno == EINTR)
			continue;
		if (pid != 0 || p.fd != -1 || ms <= 0)
			return pid == child;
		poll(NULL, 0, ms < AWAIT_STEP ? ms : AWAIT_STEP);
	}
}

int
end_open(pid_t pid)
{
	return proc_pidfd(pid);
}

bool
end_await_other(int fd, pid_t pid, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int r;

	if (fd != -1) {
		while ((r = poll(&p, 1, ms)) == -1 && errno == EINTR)
			continue;
		return r == 1;
	}
	for (; kill(pid, 0) == 0 || errno == EPERM; ms -= AWAIT_STEP) {
		if (ms <= 0)
			return false;
		poll(NULL, 0, AWAIT_STEP);
	}
	return true;
}

int
end_trial(pid_t child, const char *what)
{
	int status = STATUS_UNKNOWN;

	if (child == -1)
		log_warn("%s: fork: %s (what the kernel can do was not tried, "
		    "and is not relied on)", what, strerror(errno));
	else if (!end_await(child, &status, TRIAL_MS)) {
		log_warn("%s: the process that tries what the kernel can do "
		    "has not ended within %d ms (that is not relied on)",
		    what, TRIAL_MS);
		kill(child, SIGKILL);
		end_await(child, &status, TRIAL_END_MS);
		status = STATUS_UNKNOWN;
	}
	return status;
}
