/* SPDX-License-Identifier: ISC */
/*
 * Whose descendant the process at the other end of a connection is, if /proc
 * hides it, too.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/looker.h"
#include "observe/observe.h"

#define DESCENDANTS_MAX	32768	/* that are looked at */
#define TRIES		8	/* of a look at those that come and go */

#ifndef SO_PEERPIDFD		/* Linux 6.5 */
#define SO_PEERPIDFD	77
#endif

/*
 * Fills list, of `max`, with all descendants of pid. Returns how many, or -1 if
 * one cannot be seen, or has ended meanwhile.
 */
static int
find_descendants(pid_t pid, pid_t *list, int max)
{
	int tasks[TASKS_MAX];
	int i, j, n = 0, ntasks;

	for (i = -1; i < n; i++) {
		if (i >= 0)
			pid = list[i];
		if (i >= 0 && looker_is(pid))
			continue;
		if ((ntasks = proc_tasks(pid, tasks, TASKS_MAX)) <= 0)
			return -1;
		for (j = 0; j < ntasks; j++) {
			if (proc_add_children(pid, tasks[j], list, &n,
			    max) == -1)
				return -1;
		}
	}
	return n;
}

static bool
has_pid(const pid_t *list, int n, pid_t pid)
{
	while (--n >= 0 && list[n] != pid)
		continue;
	return n >= 0;
}

/*
 * Is it no descendant of root's? /proc may hide it, as that of a user namespace
 * of its own; but who hides among those has a parent that lists it. If two
 * looks at all of them, each of which can be seen, find the same ones, none has
 * moved meanwhile: one whose parent ends becomes a child of somebody above.
 */
static bool
is_outside(pid_t pid, pid_t root)
{
	pid_t *list = calloc(2 * DESCENDANTS_MAX, sizeof(*list));
	pid_t *again;
	bool found = false, outside = false;
	int i, n;

	if (list == NULL)
		return false;
	again = list + DESCENDANTS_MAX;
	for (i = 0; i < TRIES && !outside && !found; i++) {
		n = find_descendants(root, list, DESCENDANTS_MAX);
		found = n > 0 && has_pid(list, n, pid);
		outside = n != -1 && !found &&
		    find_descendants(root, again, DESCENDANTS_MAX) == n &&
		    memcmp(list, again, (size_t)n * sizeof(*list)) == 0;
	}
	free(list);
	return outside;
}

/* The process at the other end, which keeps its number meanwhile; or -1. */
static int
hold_peer(int fd, pid_t pid)
{
	int pidfd;
	socklen_t len = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0)
		return pidfd;
	return errno == ENOPROTOOPT ? proc_pidfd(pid) : -1;
}

/* Does that descriptor's process live, with that number and user? */
static bool
is_still(int pidfd, pid_t pid, uid_t uid)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	char buf[4096];
	bool same;

	if (proc_read_of(pid, "status", buf, sizeof(buf)) > 0)
		same = parse_has_uid(buf, uid);
	else
		/*
		 * It is hidden from us. Only peers of our own user are asked
		 * about: EPERM is not "alive", but that it is another's now.
		 */
		same = kill(pid, 0) == 0;
	return same && poll(&p, 1, 0) == 0;
}

/* A session that root leads is one of its descendants, too. */
static bool
is_in_session(pid_t pid, pid_t root)
{
	return getsid(root) == root && getsid(pid) == root;
}

enum kin
observe_peer_kin(int fd, pid_t root, bool (*excepted)(pid_t))
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	enum kin kin;
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return KIN_UNKNOWN;
	if (peer.pid <= 0)	/* of a PID namespace that is not below ours */
		return KIN_NONE;
	if ((pidfd = hold_peer(fd, peer.pid)) == -1)
		return KIN_UNKNOWN;
	kin = kin_of(peer.pid, root, excepted);
	if (kin == KIN_UNKNOWN && is_outside(peer.pid, root))
		kin = KIN_NONE;
	if (kin == KIN_NONE && is_in_session(peer.pid, root))
		kin = KIN_OURS;
	if (!is_still(pidfd, peer.pid, peer.uid))
		kin = KIN_UNKNOWN;
	close(pidfd);
	return kin;
}
