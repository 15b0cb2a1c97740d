/* SPDX-License-Identifier: ISC */
/* What the tasks of a worker do, as /proc shows it at one moment. */
#include <stdlib.h>
#include <unistd.h>

#include "observe/linux.h"

/* Notes a task that waits as an event loop does. */
static void
add_loop(const struct call *c, struct view *v)
{
	if (v->looping && v->epoll != c->fd)
		v->engaged = true;	/* one loop is followed, not two */
	v->endless = c->endless && (v->endless || !v->looping);
	v->looping = true;
	v->epoll = c->fd;
}

/* Notes a task that waits for descriptors. */
static void
add_wait(pid_t pid, int tid, const struct call *c, struct view *v)
{
	v->polling = true;
	if (v->nwaits == WAITS_MAX) {
		v->unclear = true;
		return;
	}
	v->waits[v->nwaits++] = (struct wait){ .pid = pid, .tid = tid,
	    .bits = c->bits, .epoll = c->kind == CALL_EPOLL ? c->fd : -1,
	    .set = c->set, .n = c->n };
}

/*
 * May the task go on although none of its descriptors has anything for it?
 * Threads may wake each other, but a process's first is woken by another.
 */
static bool
goes_on(pid_t pid, int tid, const struct call *c)
{
	switch (c->kind) {
	case CALL_ACCEPT:
	case CALL_WAIT:
	case CALL_EPOLL:	/* view.limited says which */
		return false;
	case CALL_POLL:
		return !c->endless && (c->set == 0 || c->n == 0);
	case CALL_FUTEX:
		return !c->endless && tid == (int)pid;
	default:
		return true;
	}
}

/* Finds the call that a task sleeps in, and the descriptor of that. */
static void
view_call(pid_t pid, int tid, bool asleep, uint64_t inode, struct view *v)
{
	char buf[256];
	struct call c;
	uint64_t of;

	/* The first task's has a shorter way, by less to look up and keep. */
	if ((tid == (int)pid ? proc_read_of(pid, "syscall", buf,
	    sizeof(buf)) : proc_read_task(pid, tid, "syscall", buf,
	    sizeof(buf))) == -1) {
		if (!proc_is_gone())
			v->readable = false;
		return;
	}
	c = parse_call(buf);
	if (c.kind == CALL_FOREIGN)
		v->readable = false;
	if (c.kind == CALL_READ && v->nreads < SOCKETS_MAX &&
	    (of = proc_socket(tid, c.fd)) != 0)
		v->reads[v->nreads++] = of;
	else if (c.kind == CALL_EPOLL)
		add_loop(&c, v);
	else if (c.kind != CALL_ACCEPT && c.kind != CALL_FUTEX)
		v->engaged = true;
	if (c.kind == CALL_EPOLL || c.kind == CALL_POLL) {
		add_wait(pid, tid, &c, v);
		v->limited |= !c.endless;
	}
	if (c.kind == CALL_FUTEX && !c.endless)
		v->timed = true;
	v->unclear |= c.kind == CALL_UNCLEAR;
	v->goes_on |= goes_on(pid, tid, &c);
	if (c.kind != CALL_ACCEPT)
		return;
	/* Most wait so, and to ask what it is takes longer than the rest. */
	of = c.fd == STDIN_FILENO ? inode : proc_socket(tid, c.fd);
	v->accepting |= of == inode;
	v->waiting |= of == inode && asleep;
	v->elsewhere |= of != 0 && of != inode;
}

/*
 * The cpu time of a task in ns, and whether it runs or is asleep. Returns false
 * if it has ended.
 */
static bool
view_time(pid_t pid, int tid, struct view *v, bool *asleep)
{
	char buf[512], state;
	uint64_t ticks;

	*asleep = false;
	if (proc_read_task(pid, tid, "stat", buf, sizeof(buf)) == -1) {
		if (proc_is_gone())
			return false;
		v->readable = v->asleep = v->stopped = false;
		return true;
	}
	if (parse_stat(buf, &state, &ticks) == -1 || state == 'Z' ||
	    state == 'X')
		return false;
	*asleep = state == 'S';
	v->asleep = v->asleep && *asleep;
	v->stopped = v->stopped && (state == 'T' || state == 't');
	if (proc_read_task(pid, tid, "schedstat", buf, sizeof(buf)) > 0 &&
	    buf[0] >= '0' && buf[0] <= '9')
		v->cpu += strtoull(buf, NULL, 10);
	else
		v->cpu += ticks * 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	return true;
}

/* One of the children of these tasks, or 0. */
static pid_t
first_child(pid_t pid, const int *tasks, int ntasks)
{
	pid_t child = 0;
	int i, n = 0;

	for (i = 0; i < ntasks && n == 0; i++)
		(void)proc_add_children(pid, tasks[i], &child, &n, 1);
	return child;
}

/*
 * Looks at the tasks of one process, at most `left`. Its children join the
 * tree; where that is NULL one of them is noted.
 */
static int
view_process(pid_t pid, uint64_t inode, int left, pid_t *tree, int *n,
    struct view *v)
{
	int tasks[TASKS_MAX];
	int i, ntasks;
	bool asleep;

	if ((ntasks = proc_tasks(pid, tasks, left)) == -1)
		return -1;
	for (i = 0; i < ntasks && (tree == NULL || !v->accepting); i++) {
		if (view_time(pid, tasks[i], v, &asleep)) {
			view_call(pid, tasks[i], asleep, inode, v);
			v->tasks++;
		}
		if (tree != NULL && proc_add_children(pid, tasks[i], tree, n,
		    TREE_MAX) == -1)
			v->readable = false;
	}
	if (tree == NULL)
		v->child = first_child(pid, tasks, ntasks);
	return 0;
}

bool
proc_accepts(pid_t pid, uint64_t inode)
{
	struct view v = { .accepting = false };

	view_call(pid, pid, false, inode, &v);
	return v.accepting;
}

int
proc_view(pid_t pid, uint64_t inode, bool all, struct view *v)
{
	pid_t tree[TREE_MAX];
	int i, n = 1;

	*v = (struct view){ .asleep = true, .stopped = true,
	    .readable = true };
	tree[0] = pid;
	for (i = 0; i < n && (i == 0 || !v->accepting); i++) {
		v->processes++;
		if (view_process(tree[i], inode, TASKS_MAX - v->tasks, all ?
		    tree : NULL, &n, v) == 0 || (i > 0 && proc_is_gone()))
			continue;
		if (i == 0)
			return -1;
		v->readable = false;
	}
	return 0;
}
