/* SPDX-License-Identifier: ISC */
/*
 * The door: a worker that is to go is kept from new connections, and serves
 * those that it has to the end. Workers share the listen socket, so only a
 * tracer can do that: each task of it is followed from one system call to the
 * next, and its accept(2) of the listen socket is held at the entry, or
 * answered with EAGAIN where the socket is non-blocking, as event loops have
 * it.
 *
 * A worker may be a tree of processes. Each that holds the listen socket has a
 * door, and they are closed and opened together.
 */
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/door.h"
#include "observe/end.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/skip.h"

RB_HEAD(door_pids, door);

static struct door_pids doors = RB_INITIALIZER(&doors);

static int
door_compare(const struct door *a, const struct door *b)
{
	return (a->pid > b->pid) - (a->pid < b->pid);
}

RB_GENERATE_INTERNAL(door_pids, door, by_pid, door_compare,
    static __attribute__((unused)))

/* No process has that number: only a filter can refuse the call itself. */
static bool
may_trace(void)
{
	return task_attach(-1, 0) == -1 && errno == ESRCH;
}

/* A filter may kill who makes the call, so a child makes it. */
static int
try_trace(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(may_trace() ? 0 : 1);
	return end_trial(pid, "door");
}

const char *
door_refused(void)
{
	char buf[4096];
	int status;

	if (skip_arch() == 0)
		return "not on this architecture";
	if (proc_read("self/status", buf, sizeof(buf)) <= 0)
		return "/proc cannot be read";
	status = parse_field(buf, "Seccomp") != 0 ? try_trace() : !may_trace();
	if (status == STATUS_UNKNOWN)
		return "it could not be tried";
	if (status != 0)
		return "a system call filter forbids ptrace(2)";
	if (proc_read("sys/kernel/yama/ptrace_scope", buf, sizeof(buf)) > 0 &&
	    buf[0] >= '2')
		return "kernel.yama.ptrace_scope is 2 or more";
	return NULL;
}

static struct door *
find_door(pid_t pid)
{
	struct door key = { .pid = pid };

	return RB_FIND(door_pids, &doors, &key);
}

/* The process's door, which is closed from now on; or NULL: no memory. */
static struct door *
make_door(pid_t pid)
{
	struct door *d = find_door(pid);
	struct task *t;

	if (d == NULL) {
		if ((d = calloc(1, sizeof(*d))) == NULL)
			return NULL;
		d->pid = pid;
		d->open = true;
		TAILQ_INIT(&d->tasks);
		TAILQ_INIT(&d->talks);
		RB_INSERT(door_pids, &doors, d);
	}
	if (d->open) {
		d->open = d->broken = d->answered = d->has_read = false;
		d->drains = d->dry = d->pausing = false;
		d->allowed = NEVER;
		TAILQ_FOREACH(t, &d->tasks, of_door)
			toll_forget(t);
		d->signalled = d->heard = d->parted = d->fresh = false;
		d->repeats = 0;
	}
	d->orphaned = false;
	return d;
}

static void
drop_door(struct door *d)
{
	served_forget(d);
	RB_REMOVE(door_pids, &doors, d);
	free(d);
}

/*
 * The worker that it belonged to is gone. Some pass their signal on to their
 * children before, who served nobody then: these do not wait for a look.
 */
static void
leave_behind(struct door *d)
{
	struct task *t, *next;

	d->root = d->pid;
	d->orphaned = true;
	d->dry = false;
	d->parted = d->signalled;
	d->signalled = d->heard;
	TAILQ_FOREACH_SAFE(t, &d->tasks, of_door, next) {
		if (d->parted && (t->following == TASK_HELD ||
		    t->following == TASK_PAUSED) && task_is_signalled(t))
			task_restart(t);
	}
}

/*
 * Its process is gone. So is every task, also one that an exec of another has
 * ended without a word: its number may be somebody else's soon. Those that it
 * led are on their own.
 */
static void
process_went(struct door *d)
{
	struct task *t, *next;
	struct door *other;
	pid_t pid = d->pid;

	RB_FOREACH(other, door_pids, &doors) {
		if (other->root == pid && other != d)
			leave_behind(other);
	}
	d->open = false;
	TAILQ_FOREACH_SAFE(t, &d->tasks, of_door, next)
		task_drop(t);
	drop_door(d);
}

/* An open door is gone once all its tasks have been let go. */
static void
drop_if_over(struct door *d)
{
	if (d->open && TAILQ_EMPTY(&d->tasks) && !d->asked)
		drop_door(d);
}

/* The process of a task; 0: it is gone. */
static pid_t
leader_of(pid_t tid)
{
	char buf[4096];

	return proc_read_of(tid, "status", buf, sizeof(buf)) <= 0 ? 0 :
	    (pid_t)parse_field(buf, "Tgid");
}

/* A new thread may stop before its creator has reported it. */
static struct task *
find_stopped(pid_t tid)
{
	struct task *t = task_find(tid);
	struct door *d;

	if (t == NULL && !RB_EMPTY(&doors) &&
	    (d = find_door(leader_of(tid))) != NULL && d->pid != tid)
		t = task_add(d, tid);
	return t;
}

bool
door_take(pid_t tid, bool stopped, int *status)
{
	struct task *t = stopped ? find_stopped(tid) : task_find(tid);
	struct door *d;
	bool known, seized;

	if (t == NULL && (d = find_door(tid)) != NULL && d->asked) {
		if (!stopped) {
			process_went(d);
			return false;
		}
		ask_stopped(d, *status);
		drop_if_over(d);
		return true;
	}
	/* A thread that was made as its door was opened: nobody awaits it. */
	if (t == NULL)
		return stopped && *status >> 8 != 0 &&
		    ptrace(PTRACE_DETACH, tid, NULL, NULL) == 0;
	d = t->door;
	known = tid == d->root;
	seized = stopped && ask_seize_stop(d, *status);
	if (!stopped && tid == d->pid) {
		process_went(d);
		return !known;
	}
	if (stopped)
		task_stopped(t, *status);
	else
		task_drop(t);
	drop_if_over(d);
	if (!stopped)
		return !known;
	if (!task_is_stop(*status) || seized)
		return true;
	*status &= 0xff;
	return !known;
}

/*
 * The first process was signalled, and one of its tasks has got that: the
 * others need not wait for somebody whom nobody lets in.
 */
static void
spread_word(struct door *d)
{
	struct task *t, *next;

	d->heard = true;
	TAILQ_FOREACH_SAFE(t, &d->tasks, of_door, next) {
		if (t->following == TASK_HELD || (t->following == TASK_PAUSED &&
		    served_reads(t) && served_is_between(t)))
			(void)task_hears(t);
	}
}

/* Follows all its tasks, as far as that is possible now. */
static enum door_state
check_process(struct door *d, bool may_rest)
{
	int tids[TASKS_MAX], i, n = proc_tasks(d->pid, tids, TASKS_MAX);
	bool closed = true, pending = false;
	struct task *t;

	if (d->asked)
		return DOOR_UNBEGUN;
	if (n == -1)
		return proc_is_gone() ? DOOR_CLOSING : DOOR_REFUSED;
	if (toll_check(d) && may_rest)
		return DOOR_TIRED;
	for (i = 0; i < n; i++) {
		if (task_find(tids[i]) == NULL &&
		    task_seize(d, tids[i]) == -1)
			return DOOR_REFUSED;
		if ((t = task_find(tids[i])) == NULL)
			continue;	/* it has ended */
		if (t->following == TASK_SEIZED || (d->pausing &&
		    t->following == TASK_FOLLOWED &&
		    (t->waits || t->admitted))) {
			closed = false;
			task_interrupt(t);
		} else if (task_stops_lingering(t)) {
			task_interrupt(t);
		} else if ((t->following == TASK_HELD ||
		    t->following == TASK_PAUSED) && task_is_signalled(t)) {
			pending = true;
			task_restart(t);
		}
	}
	if (d->signalled && !d->heard && d->pid == d->root && closed &&
	    !pending)
		spread_word(d);
	return d->broken ? DOOR_REFUSED : closed ? DOOR_CLOSED : DOOR_CLOSING;
}

/* Those that are kept in that way go on; a held one as if its call began. */
static void
release(struct door *d, enum following kept, bool anew)
{
	struct task *t, *next;

	TAILQ_FOREACH_SAFE(t, &d->tasks, of_door, next) {
		if (t->following != kept)
			continue;
		if (anew)
			task_restart(t);
		else
			task_go_on(t, 0);
	}
}

/*
 * Has a descendant a door, or is to have one? A program of another user that
 * it has started may have inherited the listen socket, and cannot be followed.
 */
static struct door *
descendant_door(pid_t pid)
{
	struct door *d = find_door(pid);
	char buf[4096];

	if (d != NULL && !d->open)
		return d;
	if (!observe_serves(pid) ||
	    proc_read_of(pid, "status", buf, sizeof(buf)) <= 0 ||
	    !parse_is_user(buf, getuid()))
		return NULL;
	return make_door(pid);
}

static enum door_state
worse(enum door_state a, enum door_state b)
{
	if (a == DOOR_CLOSED || b == DOOR_CLOSED)
		return a == DOOR_CLOSED ? b : a;
	return a > b ? a : b;
}

/* All of them are followed before any is said to be closed. */
static enum door_state
check_tree(struct door *d, bool drains)
{
	enum door_state state = DOOR_CLOSED;
	pid_t tree[TREE_MAX], root = d->pid;
	int i, n = proc_tree(root, tree, TREE_MAX);
	bool paused = true, polls = d->polls, may_rest = true;
	uint64_t allowed = d->allowed;

	if (n <= 0 || n == TREE_MAX)
		return DOOR_REFUSED;
	for (i = 0; i < n; i++) {
		if ((d = find_door(tree[i])) != NULL && !d->open)
			may_rest = may_rest && toll_may_rest(d);
	}
	d = find_door(root);
	for (i = 0; i < n; i++) {
		if (i > 0 && (d = descendant_door(tree[i])) == NULL)
			continue;
		d->root = root;
		d->orphaned = false;
		d->polls = polls;
		d->allowed = allowed;
		if (drains && !d->drains) {
			d->drains = true;
			release(d, TASK_HELD, false);
		}
		state = worse(state, check_process(d, may_rest));
		paused = paused && d->pausing;
	}
	return state == DOOR_CLOSED && paused ? DOOR_PAUSED : state;
}

void
door_go_on(pid_t pid)
{
	struct door *d;

	RB_FOREACH(d, door_pids, &doors) {
		if (d->root == pid && !d->open) {
			d->pausing = false;
			release(d, TASK_PAUSED, false);
			if (d->drains && !d->dry)
				release(d, TASK_HELD, false);
		}
	}
}

enum door_state
door_check(pid_t pid)
{
	struct door *d = find_door(pid);
	enum door_state state;

	if (d == NULL || d->open)
		return DOOR_REFUSED;
	state = check_tree(d, d->drains);
	/* There will be no look now that those who were paused wait for. */
	if (state == DOOR_CLOSING && !d->pausing)
		door_go_on(pid);
	return state;
}

void
door_allow(pid_t pid, uint64_t stops)
{
	struct door *d = find_door(pid);

	if (d != NULL)
		d->allowed = stops;
}

enum door_state
door_pause(pid_t pid)
{
	struct door *d;

	RB_FOREACH(d, door_pids, &doors) {
		if (d->root == pid && !d->open)
			d->pausing = true;
	}
	return door_check(pid);
}

enum door_state
door_close(pid_t pid, bool drains, bool polls, bool asks)
{
	bool known = find_door(pid) != NULL;
	struct door *d = make_door(pid);

	if (d == NULL)
		return DOOR_REFUSED;
	d->root = pid;
	d->polls = polls;
	d->asked = d->asked || (asks && !known);
	return check_tree(d, drains);
}

void
door_signal(pid_t pid, int signo)
{
	struct door *d;

	RB_FOREACH(d, door_pids, &doors) {
		if (d->root == pid) {
			d->dry = d->signalled = true;
			d->pausing = false;
		}
	}
	kill(pid, signo);
	if ((d = find_door(pid)) == NULL)
		return;
	/* Those of others hear of it from the first process, if at all. */
	release(d, TASK_HELD, true);
	release(d, TASK_PAUSED, true);
}

static void
open_door(struct door *d)
{
	struct task *t, *next;

	d->open = true;
	d->orphaned = false;
	TAILQ_FOREACH_SAFE(t, &d->tasks, of_door, next) {
		if (t->following == TASK_HELD || t->following == TASK_PAUSED)
			task_restart(t);
	}
	drop_if_over(d);
}

void
door_open(pid_t pid)
{
	struct door *d, *next;

	RB_FOREACH_SAFE(d, door_pids, &doors, next) {
		if (d->root == pid && !d->open)
			open_door(d);
	}
}

void
door_open_orphans(void)
{
	struct door *d, *next;

	RB_FOREACH_SAFE(d, door_pids, &doors, next) {
		if (d->orphaned)
			door_open(d->pid);
	}
}

bool
door_is_closed(pid_t pid)
{
	const struct door *d = find_door(pid);

	return d != NULL && !d->open;
}

bool
door_is_over(pid_t pid, const uint64_t *inodes, int n)
{
	const struct door *d = find_door(pid);
	int i;

	for (i = 0; i < n && d != NULL && !d->open; i++) {
		if (!served_is_over(d, inodes[i]))
			return false;
	}
	return d != NULL && !d->open;
}

bool
door_take_read(pid_t pid)
{
	bool has = false;
	struct door *d;

	RB_FOREACH(d, door_pids, &doors) {
		if (d->root != pid)
			continue;
		has |= d->has_read;
		d->has_read = false;
	}
	return has;
}

bool
door_is_held(pid_t pid)
{
	bool held = false;
	struct door *d;
	struct task *t;

	RB_FOREACH(d, door_pids, &doors) {
		if (d->root != pid)
			continue;
		TAILQ_FOREACH(t, &d->tasks, of_door) {
			if (t->following != TASK_HELD &&
			    !proc_sleeps(d->pid, t->tid))
				return false;
			held |= t->following == TASK_HELD || t->admitted;
		}
	}
	return held;
}
