/* SPDX-License-Identifier: ISC */
/* What only Linux is asked for: elsewhere, readiness goes by time. */
#include "base/units.h"
#include "observe/observe.h"
#include "pool/seen.h"

#define READY_AGE	UINT64_C(200000)	/* usec */

enum readiness
observe_readiness(pid_t pid, uint64_t age, uint64_t now, struct probe_state *s)
{
	(void)pid;
	(void)now;
	(void)s;
	return age >= READY_AGE ? READY_ASSUMED : READY_UNKNOWN;
}

void
observe_tree(pid_t pid, uint64_t keep_idle, uint64_t now,
    struct probe_state *s, struct activity *x)
{
	(void)pid;
	(void)keep_idle;
	(void)now;
	(void)s;
	*x = (struct activity){ .holds = HOLDS_UNKNOWN };
}

uint64_t
observe_size(pid_t pid)
{
	(void)pid;
	return 0;
}

void
observe_slow_request(pid_t pid, uint64_t limit, uint64_t now,
    struct slow_request *o)
{
	(void)pid;
	(void)limit;
	(void)now;
	*o = (struct slow_request){ .slow = false };
}

void
observe_kill_holder(pid_t worker, pid_t holder, uint64_t now)
{
	(void)worker;
	(void)holder;
	(void)now;
}

uint64_t
observe_leftovers(uint64_t now)
{
	(void)now;
	return NEVER;
}

int
observe_children(pid_t *list, int n)
{
	(void)list;
	(void)n;
	return -1;
}

bool
observe_accepts(pid_t pid)
{
	(void)pid;
	return false;
}

bool
observe_listens(pid_t pid)
{
	(void)pid;
	return false;
}

uint64_t
observe_age(pid_t pid)
{
	(void)pid;
	return NEVER;
}

bool
observe_serves(pid_t pid)
{
	(void)pid;
	return false;
}

bool
observe_inspected(pid_t pid)
{
	(void)pid;
	return false;
}

pid_t
observe_peer(int fd)
{
	(void)fd;
	return -1;
}

enum kin
observe_peer_kin(int fd, pid_t root, bool (*excepted)(pid_t))
{
	(void)fd;
	(void)root;
	(void)excepted;
	/* Else its own user could not control the pool. */
	return KIN_NONE;
}

pid_t
observe_holder(const struct stat *file, pid_t maker, bool *left)
{
	(void)file;
	(void)maker;
	*left = false;
	return -1;
}

int
observe_end_left(const struct stat *file, pid_t maker, uid_t uid)
{
	(void)file;
	(void)maker;
	(void)uid;
	return -1;
}

int
observe_shutdown(void)
{
	return -1;
}

int
observe_somaxconn(void)
{
	return -1;
}
