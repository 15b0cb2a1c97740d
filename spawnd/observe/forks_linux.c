/* SPDX-License-Identifier: ISC */
/* Which limit refuses another process. */
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <linux/capability.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/usage.h"

#define LOOKS_MAX	4096	/* processes that are looked at */

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
	static const struct {
		const char	*controller, *top;
	} versions[] = {
		{ "", "/sys/fs/cgroup" }, { "pids", "/sys/fs/cgroup/pids" },
	};
	char buf[PATH_MAX], group[2 * PATH_MAX], *path;
	bool named = false;
	size_t i;

	if (proc_read("self/cgroup", buf, sizeof(buf)) == -1)
		return false;
	for (i = 0; i < 2 && !named; i++) {
		path = self_cgroup_in(buf, versions[i].controller);
		if (path == NULL)
			continue;
		snprintf(group, sizeof(group), "%s%s", versions[i].top, path);
		free(path);
		named = name_group(group, strlen(versions[i].top), why, size);
	}
	return named;
}

/* Who has one of these, or is root, has no limit. */
static bool
is_exempt(void)
{
	const uint64_t caps = UINT64_C(1) << CAP_SYS_RESOURCE |
	    UINT64_C(1) << CAP_SYS_ADMIN;
	char buf[4096];

	return getuid() == 0 || proc_read("self/status", buf,
	    sizeof(buf)) <= 0 || (parse_mask(buf, "CapEff") & caps) != 0;
}

/* The tasks of a process, if it is the user's. */
static long
count_tasks(const char *pid, uid_t uid)
{
	char path[64], buf[4096];
	const char *ids;

	snprintf(path, sizeof(path), "%.16s/status", pid);
	if (proc_read(path, buf, sizeof(buf)) <= 0 ||
	    (ids = strstr(buf, "\nUid:")) == NULL ||
	    strtoul(ids + 5, NULL, 10) != uid)
		return 0;
	return parse_field(buf, "Threads");
}

/* Has the user so many tasks that can be seen? */
static bool
has_tasks(uid_t uid, rlim_t wanted)
{
	struct sysinfo all;
	struct dirent *de;
	rlim_t n = 0;
	int looks = 0;
	DIR *d;

	/* What is counted here is all that there are, up to 16 bits. */
	if (sysinfo(&all) == 0 && all.procs < wanted && all.procs < UINT16_MAX)
		return false;
	if ((d = proc_opendir(".")) == NULL)
		return false;
	while (n < wanted && looks < LOOKS_MAX && (de = readdir(d)) != NULL) {
		if (de->d_name[0] < '0' || de->d_name[0] > '9')
			continue;
		looks++;
		n += (rlim_t)count_tasks(de->d_name, uid);
	}
	closedir(d);
	return n >= wanted;
}

void
usage_forks(char *why, size_t size)
{
	struct rlimit limit;

	why[0] = '\0';
	if (!name_own_group(why, size) &&
	    getrlimit(RLIMIT_NPROC, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY && !is_exempt() &&
	    has_tasks(getuid(), limit.rlim_cur))
		snprintf(why, size, ": the user may have %llu processes and "
		    "threads (RLIMIT_NPROC)",
		    (unsigned long long)limit.rlim_cur);
}
