/* SPDX-License-Identifier: ISC */
/* Who traces a process, on Linux. */
#include <stdio.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/observe.h"

bool
observe_inspected(pid_t pid)
{
	char path[32], buf[4096];
	pid_t tracer;

	snprintf(path, sizeof(path), "%d/status", (int)pid);
	if (proc_read(path, buf, sizeof(buf)) <= 0 ||
	    (tracer = (pid_t)parse_field(buf, "TracerPid")) <= 0)
		return false;
	/* Another user's may be hidden, our own never is. */
	snprintf(path, sizeof(path), "%d/status", (int)tracer);
	return proc_read(path, buf, sizeof(buf)) <= 0 ||
	    !parse_has_uid(buf, getuid());
}
