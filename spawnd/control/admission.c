/* SPDX-License-Identifier: ISC */
/*
 * Who may connect to the sockets, and what a connection may do. Workers have
 * the user of whoever started the pool, unless that is root. They may read, but
 * change neither their own pool nor the one that serves beside it during a
 * take-over.
 */
#include <sys/socket.h>

#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "control/server.h"
#include "observe/observe.h"
#include "proto/proto.h"
#include "run/run.h"

static uid_t owner;		/* of the pool: who started us */

void
admission_init(void)
{
	owner = getuid();
}

/* None of the children of another spawnd is an exception for us. */
static bool
is_excepted(pid_t pid)
{
	(void)pid;
	return false;
}

/* Is the peer, or may it be, of the pool whose supervisor is root? */
static bool
belongs(int fd, pid_t root, bool (*excepted)(pid_t), struct restriction *l)
{
	switch (observe_peer_kin(fd, root, excepted)) {
	case KIN_NONE:
	case KIN_EXCEPTED:
		return false;
	case KIN_OURS:
		l->why = "a process of the pool may only read";
		break;
	case KIN_UNKNOWN:
		l->why = "whether this process is of the pool cannot be seen: "
		    "it may only read";
		break;
	}
	l->status = EX_NOPERM;
	return true;
}

/*
 * Fills *l if the peer may only read. One that takes over from us keeps the
 * connection that it has; by what comes meanwhile it cannot be told from its
 * workers. One that we have taken over from, and one that has given up, have
 * told their pids: they still have workers for a while.
 */
static bool
find_limit(int fd, uid_t uid, struct restriction *l)
{
	pid_t before = neighbour_before(), late = neighbour_late();

	if (uid == 0)
		return false;
	if (neighbour_is_next()) {
		l->status = EX_TEMPFAIL;
		l->why = "another spawnd is about to take over: until then "
		    "only root may do more than read";
		return true;
	}
	return belongs(fd, getpid(), orphans_were_before, l) ||
	    (before != 0 && belongs(fd, before, is_excepted, l)) ||
	    (late != 0 && belongs(fd, late, is_excepted, l));
}

enum admitted
admission_decide(int fd, enum right right, uid_t *uid, struct restriction *l)
{
	gid_t gid;

	*l = (struct restriction){ 0, NULL };
	if (getpeereid(fd, uid, &gid) == -1 ||
	    (right == CONTROLS && *uid != 0 && *uid != owner))
		return ADMITTED_NO;
	return right == CONTROLS && !find_limit(fd, *uid, l) ? ADMITTED_WHOLE :
	    ADMITTED_READS;
}

void
admission_refuse(int fd)
{
	struct proto_output o = { 0 };

	proto_hello(&o);
	proto_error(&o, EX_TEMPFAIL, "too many clients, or you may not "
	    "connect");
	if (!o.failed)
		send(fd, o.buf, o.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	proto_free(&o);
	close(fd);
}
