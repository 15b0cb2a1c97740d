/* SPDX-License-Identifier: ISC */
/*
 * Whose descendant a process is. No descendant of a spawnd can leave its tree:
 * it is the subreaper of all of them.
 */
#include <sys/prctl.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/observe.h"

#define DEPTH_MAX	64	/* from a process up to us */
#define TRIES		8	/* of a look at a tree that changes */

/*
 * Is it another user's? No descendant of ours is while none can gain a
 * privilege: a process that /proc hides is an answer then, too.
 */
static bool
is_anothers(pid_t pid)
{
	return kill(pid, 0) == -1 && errno == EPERM &&
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

/* The parent of a process; 0: it has none here; -1: unknown. */
static pid_t
find_parent(pid_t pid)
{
	char buf[4096];

	if (proc_read_of(pid, "status", buf, sizeof(buf)) > 0)
		return (pid_t)parse_field(buf, "PPid");
	return is_anothers(pid) ? 0 : -1;
}

/*
 * The way from a process up to a child of root (*ours), or to where it ends.
 * Returns its length, or 0: unknown.
 */
static int
find_way(pid_t pid, pid_t root, pid_t way[DEPTH_MAX], bool *ours)
{
	int n = 0;

	*ours = false;
	memset(way, 0, DEPTH_MAX * sizeof(*way));
	while (n < DEPTH_MAX) {
		way[n++] = pid;
		if ((pid = find_parent(pid)) == -1)
			return 0;
		*ours = pid == root;
		if (*ours || pid <= 1)
			return n;
	}
	return 0;
}

/*
 * The way is found twice: if a process on it had ended and another had taken
 * its number, the process below it would have another parent the second time.
 */
enum kin
kin_of(pid_t pid, pid_t root, bool (*excepted)(pid_t))
{
	pid_t way[DEPTH_MAX], again[DEPTH_MAX];
	bool ours, still;
	int i, n;

	for (i = 0; i < TRIES; i++) {
		n = find_way(pid, root, way, &ours);
		if (n == 0 || find_way(pid, root, again, &still) != n ||
		    memcmp(way, again, sizeof(way)) != 0 || ours != still)
			continue;
		if (!ours)
			return KIN_NONE;
		return excepted(way[n - 1]) ? KIN_EXCEPTED : KIN_OURS;
	}
	return KIN_UNKNOWN;
}
