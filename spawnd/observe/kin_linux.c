/* SPDX-License-Identifier: ISC */
/*
 * Whose descendant a process is. No descendant of ours can leave our tree: we
 * are the subreaper of all of them.
 */
#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/observe.h"

#define DEPTH_MAX	64	/* from a process up to us */
#define TRIES		8	/* of a look at a tree that changes */

#ifndef SO_PEERPIDFD		/* Linux 6.5 */
#define SO_PEERPIDFD	77
#endif

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
 * The way from a process up to a child of ours (*ours), or to where it ends.
 * Returns its length, or 0: unknown.
 */
static int
find_way(pid_t pid, pid_t way[DEPTH_MAX], bool *ours)
{
	int n = 0;

	*ours = false;
	memset(way, 0, DEPTH_MAX * sizeof(*way));
	while (n < DEPTH_MAX) {
		way[n++] = pid;
		if ((pid = find_parent(pid)) == -1)
			return 0;
		*ours = pid == getpid();
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
kin_of(pid_t pid, bool (*excepted)(pid_t))
{
	pid_t way[DEPTH_MAX], again[DEPTH_MAX];
	bool ours, still;
	int i, n;

	for (i = 0; i < TRIES; i++) {
		n = find_way(pid, way, &ours);
		if (n == 0 || find_way(pid, again, &still) != n ||
		    memcmp(way, again, sizeof(way)) != 0 || ours != still)
			continue;
		if (!ours)
			return KIN_NONE;
		return excepted(way[n - 1]) ? KIN_EXCEPTED : KIN_OURS;
	}
	return KIN_UNKNOWN;
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

	return proc_read_of(pid, "status", buf, sizeof(buf)) > 0 &&
	    parse_has_uid(buf, uid) && poll(&p, 1, 0) == 0;
}

/* A session that we lead is one of our descendants, too. */
static bool
is_in_our_session(pid_t pid)
{
	return getsid(0) == getpid() && getsid(pid) == getpid();
}

enum kin
observe_peer_kin(int fd, bool (*excepted)(pid_t))
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
	kin = kin_of(peer.pid, excepted);
	if (kin == KIN_NONE && is_in_our_session(peer.pid))
		kin = KIN_OURS;
	if (!is_still(pidfd, peer.pid, peer.uid))
		kin = KIN_UNKNOWN;
	close(pidfd);
	return kin;
}
