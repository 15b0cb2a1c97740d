/* SPDX-License-Identifier: ISC */
/* Which limit refuses another process. */
#include <sys/resource.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/usage.h"

/*
 * A number in a file of a control group; -1: there is none ("max"). In a jail
 * that path may lead anywhere.
 */
static long long
read_pids(const char *group, const char *file)
{
	char path[PATH_MAX], buf[32], *end;
	long long value;
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", group, file) >=
	    (int)sizeof(path) ||
	    (fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
	    O_NOCTTY)) == -1)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	buf[n] = '\0';
	value = strtoll(buf, &end, 10);
	return end != buf ? value : -1;
}

/* Names the control group that is full, or one above it, up to `top`. */
static bool
name_group(char *group, size_t top, char *why, size_t size)
{
	long long max;

	for (;;) {
		max = read_pids(group, "pids.max");
		if (max != -1 && read_pids(group, "pids.current") >= max) {
			snprintf(why, size, ": pids.max of the control group "
			    "%s allows %lld processes", group, max);
			return true;
		}
		if (strlen(group) <= top || strrchr(group, '/') == NULL)
			return false;
		*strrchr(group, '/') = '\0';
	}
}

/* Our own group of version 2, or that of version 1 for processes. */
static bool
name_own_group(char *why, size_t size)
{
	static const char two[] = "/sys/fs/cgroup";
	static const char one[] = "/sys/fs/cgroup/pids";
	char buf[PATH_MAX], group[2 * PATH_MAX], *line, *rest = buf, *path;

	if (proc_read("self/cgroup", buf, sizeof(buf)) == -1)
		buf[0] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL) {
		if ((path = strchr(line, '/')) == NULL)
			continue;
		if (strncmp(line, "0::", 3) == 0) {
			snprintf(group, sizeof(group), "%s%s", two, path);
			if (name_group(group, sizeof(two) - 1, why, size))
				return true;
		} else if (strstr(line, ":pids:") != NULL) {
			snprintf(group, sizeof(group), "%s%s", one, path);
			if (name_group(group, sizeof(one) - 1, why, size))
				return true;
		}
	}
	return false;
}

void
usage_forks(char *why, size_t size)
{
	struct rlimit limit;

	why[0] = '\0';
	if (!name_own_group(why, size) &&
	    getrlimit(RLIMIT_NPROC, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		snprintf(why, size, ": the user may have %llu processes and "
		    "threads (RLIMIT_NPROC)",
		    (unsigned long long)limit.rlim_cur);
}
