/* SPDX-License-Identifier: ISC */
/* Where the end of a process that another one traces is not seen. */
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "base/units.h"
#include "observe/end.h"
#include "observe/observe.h"

#define AWAIT_STEP	10	/* ms between two looks at a child */

int
end_init(void)
{
	errno = ENOSYS;
	return -1;
}

int
end_events(void)
{
	return -1;
}

int
end_watch(pid_t pid, int (*aside)(int))
{
	(void)pid;
	(void)aside;
	return -1;
}

void
end_unwatch(int fd)
{
	(void)fd;
}

int
end_take(pid_t *list, int max)
{
	(void)list;
	(void)max;
	return 0;
}

bool
end_reached(pid_t pid)
{
	(void)pid;
	return false;
}

void
end_look(pid_t pid, struct end *e)
{
	(void)pid;
	*e = (struct end){ .status = STATUS_UNKNOWN };
}

enum end_tracer
end_kill_tracer(pid_t tracer, pid_t pid, bool (*excepted)(pid_t))
{
	(void)tracer;
	(void)pid;
	(void)excepted;
	return TRACER_FOREIGN;
}

void
end_name(pid_t pid, char name[END_NAME])
{
	(void)pid;
	name[0] = '\0';
}

int
end_open(pid_t pid)
{
	(void)pid;
	return -1;
}

bool
end_await_other(int fd, pid_t pid, int ms)
{
	(void)fd;
	for (; kill(pid, 0) == 0 || errno == EPERM; ms -= AWAIT_STEP) {
		if (ms <= 0)
			return false;
		poll(NULL, 0, AWAIT_STEP);
	}
	return true;
}

bool
end_await(pid_t child, int *status, int ms)
{
	const bool forever = ms < 0;
	pid_t pid;

	*status = STATUS_UNKNOWN;
	for (;; ms -= AWAIT_STEP) {
		while ((pid = waitpid(child, status, forever ? 0 : WNOHANG)) ==
		    -1 && errno == EINTR)
			continue;
		if (pid != 0 || ms <= 0)
			return pid == child;
		poll(NULL, 0, ms < AWAIT_STEP ? ms : AWAIT_STEP);
	}
}
