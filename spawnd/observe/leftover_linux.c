/* SPDX-License-Identifier: ISC */
/*
 * What a request that took too long leaves behind, on Linux. Its process is
 * killed, and so is whoever shares its connection, and what all of them have
 * started: a script, its commands. Those that are left when that process is
 * gone are killed, too; none of its connections counts as in use any more.
 */
#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "observe/end.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"

#define MEMBERS_MAX	512	/* processes that are remembered */
#define LINKS_MAX	512	/* and connections */
#define GONE_BY		(2 * USEC)	/* those that are killed */
#define LATER		(USEC / 4)	/* and they are looked at again */
#define DOUBLED_MAX	8		/* times that pause */

/* A process, whoever gets its number later. */
struct ident {
	pid_t		 pid;
	uint64_t	 started;
};

/* One that was killed because of a request, or is to be. */
struct member {
	struct ident	 id;
	struct ident	 holder;	/* who served that */
	uint64_t	 due;		/* it should be gone by then */
	unsigned int	 tries;
};

/* A connection of such a request. */
struct link {
	uint64_t	 inode;
	struct ident	 holder;
	uint64_t	 due;
	unsigned int	 tries;
};

static struct member members[MEMBERS_MAX];
static int nmembers;
static struct link links[LINKS_MAX];
static int nlinks;

/* started is 0 if it is gone, or all but reaped. */
static struct ident
identify(pid_t pid)
{
	struct ident id = { .pid = pid };
	char buf[512];

	if (proc_read_of(pid, "stat", buf, sizeof(buf)) > 0 &&
	    parse_state(buf) != 'Z')
		id.started = parse_started(buf);
	return id;
}

static bool
is_alive(const struct ident *id)
{
	return id->started != 0 && identify(id->pid).started == id->started;
}

static void
kill_one(const struct ident *id)
{
	int fd = proc_pidfd(id->pid);

	(void)proc_pidfd_signal(fd, is_alive(id) ? SIGKILL : 0);
}

static bool
shares(pid_t pid, const uint64_t *inodes, int n)
{
	uint64_t own[SOCKETS_MAX];
	int i, sockets;

	(void)proc_sockets(pid, false, own, &sockets, SOCKETS_MAX);
	for (i = 0; i < sockets; i++) {
		if (proc_is_among(own[i], inodes, n))
			return true;
	}
	return false;
}

/* Does it wait for, or have, requests of its own? */
static bool
serves_others(pid_t pid, const uint64_t *inodes, int n)
{
	uint64_t own[SOCKETS_MAX];
	struct accepted what;
	int i, found;

	if (proc_accepts(pid, diag_listener()))
		return true;
	found = look_connections(pid, false, own, &what);
	for (i = 0; i < found; i++) {
		if (!proc_is_among(own[i], inodes, n))
			return true;
	}
	return false;
}

static bool
is_listed(pid_t pid, const pid_t *list, int n)
{
	while (--n >= 0 && list[n] != pid)
		continue;
	return n >= 0;
}

/*
 * Adds a process and what it has started, but none that serves others. The
 * list is taken to be full at TREE_MAX.
 */
static void
add_below(pid_t pid, const uint64_t *inodes, int n, pid_t *list, int *listed)
{
	int i = *listed, more, k, from;

	if (*listed == TREE_MAX || is_listed(pid, list, *listed))
		return;
	list[(*listed)++] = pid;
	for (; i < *listed; i++) {
		from = *listed;
		more = proc_children(list[i], list + from, TREE_MAX - from);
		for (k = from; k < from + more; k++) {
			if (!is_listed(list[k], list, *listed) &&
			    !serves_others(list[k], inodes, n))
				list[(*listed)++] = list[k];
		}
	}
}

/* Whoever shares one of these connections, in the tree of a process. */
static int
find_sharers(pid_t top, const uint64_t *inodes, int n, pid_t *list, int listed)
{
	pid_t tree[TREE_MAX];
	int i, ntree = proc_tree(top, tree, TREE_MAX);

	for (i = 0; i < ntree; i++) {
		if (shares(tree[i], inodes, n))
			add_below(tree[i], inodes, n, list, &listed);
	}
	return listed;
}

/* Its index, or nmembers. */
static int
find_member(const struct ident *id)
{
	int i;

	for (i = 0; i < nmembers && (members[i].id.pid != id->pid ||
	    members[i].id.started != id->started); i++)
		;
	return i;
}

static void
note_member(const struct ident *id, const struct ident *holder, uint64_t due)
{
	int i = find_member(id);

	if (i == MEMBERS_MAX)
		return;
	members[i] = (struct member){ .id = *id, .holder = *holder,
	    .due = due };
	nmembers += i == nmembers;
}

static void
note_link(uint64_t inode, const struct ident *holder, uint64_t due)
{
	int i;

	for (i = 0; i < nlinks && links[i].inode != inode; i++)
		;
	if (i == LINKS_MAX)
		return;
	links[i] = (struct link){ .inode = inode, .holder = *holder,
	    .due = due };
	nlinks += i == nlinks;
}

void
observe_kill_holder(pid_t worker, pid_t holder, uint64_t now)
{
	uint64_t inodes[SOCKETS_MAX];
	uint64_t due = now + GONE_BY;
	struct ident ids[TREE_MAX], of;
	struct accepted what;
	pid_t list[TREE_MAX], again[TREE_MAX];
	int i, n, nlist, nagain;

	/* First who they are, then whether they share it. */
	of = identify(holder);
	if (worker <= 0 || (n = look_connections(holder, false,
	    inodes, &what)) == 0)
		return;
	nlist = find_sharers(worker, inodes, n, list, 0);
	for (i = 0; i < nlist; i++)
		ids[i] = identify(list[i]);
	nagain = find_sharers(worker, inodes, n, again, 0);
	if (!is_listed(holder, again, nagain))
		return;
	for (i = 0; i < nlist; i++) {
		if (!is_listed(list[i], again, nagain))
			continue;
		note_member(&ids[i], &of, due);
		kill_one(&ids[i]);
	}
	for (i = 0; i < n; i++)
		note_link(inodes[i], &of, due);
}

/* When to try again: there are processes that cannot be killed. */
static uint64_t
try_later(unsigned int *tries, uint64_t now)
{
	uint64_t pause = LATER << (*tries < DOUBLED_MAX ? *tries :
	    DOUBLED_MAX);

	++*tries;
	return now + pause;
}

static void
kill_left(const struct member *m)
{
	char name[END_NAME];

	end_name(m->id.pid, name);
	if (m->tries == 0)
		log_warn("process %d (%s): killed: it was left behind by a "
		    "request that has taken longer than --request-timeout",
		    (int)m->id.pid, name);
	kill_one(&m->id);
}

/* Returns false if there is nothing to do about it any more. */
static bool
look_at_member(struct member *m, uint64_t now)
{
	if (!is_alive(&m->id))
		return false;
	if (now < m->due)
		return true;
	/* As long as the holder lives, all of them are the pool's to judge. */
	if (is_alive(&m->holder))
		return false;
	kill_left(m);
	m->due = try_later(&m->tries, now);
	return true;
}

/* Somebody may have been started while we looked. */
static void
find_more(const struct link *l, uint64_t now)
{
	static pid_t children[CHILDREN_MAX];
	pid_t list[TREE_MAX];
	int i, n, found = 0;
	struct ident id;

	n = proc_children(getpid(), children, CHILDREN_MAX);
	for (i = 0; i < n; i++)
		found = find_sharers(children[i], &l->inode, 1, list, found);
	for (i = 0; i < found; i++) {
		id = identify(list[i]);
		if (find_member(&id) == nmembers &&
		    shares(list[i], &l->inode, 1))
			note_member(&id, &l->holder, now);
	}
}

/* Returns false if it is closed, or in use again. */
static bool
look_at_link(struct link *l, uint64_t now)
{
	uint64_t inode = l->inode;
	struct accepted what;

	if (now < l->due)
		return true;
	if (is_alive(&l->holder) || diag_accepted(l->holder.pid, &inode, 1,
	    &what) != 1)
		return false;
	find_more(l, now);
	l->due = try_later(&l->tries, now);
	return true;
}

uint64_t
observe_leftovers(uint64_t now)
{
	uint64_t next = NEVER;
	int i, n = 0;

	for (i = 0; i < nlinks; i++) {
		if (!look_at_link(&links[i], now))
			continue;
		next = min64(next, links[i].due);
		links[n++] = links[i];
	}
	nlinks = n;
	for (i = n = 0; i < nmembers; i++) {
		if (!look_at_member(&members[i], now))
			continue;
		next = min64(next, members[i].due);
		members[n++] = members[i];
	}
	nmembers = n;
	return next;
}

bool
leftover_has(uint64_t inode)
{
	int i;

	for (i = 0; i < nlinks && links[i].inode != inode; i++)
		;
	return i < nlinks && !is_alive(&links[i].holder);
}
