/* SPDX-License-Identifier: ISC */
/*
 * The requests that end with the processes of a worker, on Linux: what is
 * known of each connection that one of them holds, at this moment.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "observe/end.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "pool/seen.h"

/* Several processes may hold the same one; one that waits for it is enough. */
struct seen {
	uint64_t	 inode;
	pid_t		 pid;
	uint64_t	 age;
	bool		 quiet;
	bool		 unsure;	/* perhaps it has no request */
};

struct tally {
	struct seen	 seen[SOCKETS_MAX];
	int		 n;
	bool		 known;
};

static void
add_seen(struct tally *t, const struct seen *s)
{
	int i;

	for (i = 0; i < t->n && t->seen[i].inode != s->inode; i++)
		;
	if (i < t->n)
		t->seen[i].quiet |= s->quiet;
	else if (t->n == SOCKETS_MAX)
		t->known = false;
	else
		t->seen[t->n++] = *s;
}

/* Has a unix connection lost its client? Of TCP that is not known. */
static bool
has_no_client(pid_t pid, uint64_t inode)
{
	struct accepted what;

	return diag_is_unix() && diag_accepted(pid, &inode, 1, &what) == 1 &&
	    !what.alive;
}

static bool
has_gone(pid_t pid)
{
	/* Who hides from us may look as if it were. */
	return (kill(pid, 0) == -1 && errno == ESRCH) || end_reached(pid);
}

/* Adds the connections of one process. */
static void
add_process(pid_t pid, uint64_t keep_idle, uint64_t now, struct tally *t)
{
	uint64_t inodes[SOCKETS_MAX];
	struct accepted what;
	struct slow_times times;
	bool all, waits;
	struct view v;
	int i, n;

	if (proc_sockets(pid, false, inodes, &n, SOCKETS_MAX) == -1 &&
	    !has_gone(pid))
		t->known = false;
	if (n == 0)
		return;
	if ((n = diag_accepted(pid, inodes, n, &what)) == -1) {
		t->known = false;
		return;
	}
	if (n > 0 && proc_view(pid, 0, false, &v) == -1) {
		t->known &= has_gone(pid);
		return;
	}
	all = n > 0 && keepalive_is_quiet(pid, &v, inodes, n);
	for (i = 0; i < n; i++) {
		if (has_no_client(pid, inodes[i]))
			continue;
		waits = all || keepalive_is_read(&v, inodes[i]);
		slow_look(inodes[i], &v, what.unread, waits, now, &times);
		add_seen(t, &(struct seen){ .inode = inodes[i], .pid = pid,
		    .age = times.age, .quiet = (keep_idle != 0 &&
		    times.quiet >= keep_idle) || (!what.unread &&
		    door_is_over(pid, &inodes[i], 1)),
		    .unsure = waits || (v.looping && n > 1) });
	}
}

static void
add_tree(pid_t pid, pid_t group, uint64_t keep_idle, uint64_t now,
    struct tally *t)
{
	pid_t tree[TREE_MAX];
	int i, n = proc_tree(pid, tree, TREE_MAX);

	if (n == TREE_MAX)
		t->known = false;
	for (i = 0; i < n; i++) {
		if (tree[i] == group || getpgid(tree[i]) == group)
			add_process(tree[i], keep_idle, now, t);
	}
}

/* Those of its group that it has lost are our children by now. */
static void
add_group(pid_t pid, uint64_t keep_idle, uint64_t now, struct tally *t)
{
	static pid_t list[CHILDREN_MAX];
	int i, n = proc_children(getpid(), list, CHILDREN_MAX);

	add_tree(pid, pid, keep_idle, now, t);
	for (i = 0; i < n; i++) {
		if (list[i] != pid && getpgid(list[i]) == pid)
			add_tree(list[i], pid, keep_idle, now, t);
	}
}

void
observe_held(pid_t pid, bool whole, uint64_t keep_idle, uint64_t now,
    struct held_requests *h)
{
	static struct tally t;
	const struct seen *s;

	t.n = 0;
	t.known = pid > 0;
	if (whole && pid > 0)
		add_group(pid, keep_idle, now, &t);
	else if (pid > 0)
		add_process(pid, keep_idle, now, &t);
	*h = (struct held_requests){ .known = t.known };
	for (s = t.seen; s < t.seen + t.n; s++) {
		if (s->quiet)
			continue;
		h->count++;
		h->known &= !s->unsure;
		if (h->holder == 0 || s->age > h->age) {
			h->holder = s->pid;
			h->age = s->age;
		}
	}
	/* What is hidden may be one. */
	if (!h->known && h->count == 0)
		h->count = 1;
}
