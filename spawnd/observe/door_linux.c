/* SPDX-License-Identifier: ISC */
/*
 * The door: a busy process that is to go is kept from new connections, and
 * serves those that it has to the end. Workers share the listen socket, so only
 * a tracer can do that: each task is followed from one system call to the next,
 * and its accept(2) of the listen socket is held at the entry, or answered with
 * EAGAIN where the socket is non-blocking, as event loops have it.
 *
 * A task is followed from its first stop on. To bring that about it has to be
 * interrupted, and some calls fail with EINTR then: epoll_wait(2), semop(2),
 * and whatever waits on a socket that has a time limit. A task in one of these
 * is left alone until it is seen elsewhere; so is one in a call that goes on by
 * restart_syscall(2), if it has a seccomp filter, which may not allow that.
 */
#include <sys/ptrace.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/tree.h>
#include <sys/wait.h>

#include <linux/ptrace.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/skip.h"

#define STOPS_LEAST	400	/* so many are always allowed */
#define STOP_COST	25	/* usec, about, that a task waits at a stop */
#define STOPS_SHARE	3	/* these may take 1/3 of its time */
#define OPTIONS		(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)
#define SYSCALL_STOP	(SIGTRAP | 0x80)

/* What is known of a task's calls. */
enum following {
	TASK_SEIZED,	/* nothing yet: it was not stopped since */
	TASK_FOLLOWED,	/* it stops at each call */
	TASK_HELD	/* it is stopped at the entry of accept */
};

struct task {
	pid_t		 tid;
	enum following	 following;
	struct door	*door;
	RB_ENTRY(task)	 by_tid;
	TAILQ_ENTRY(task) of_door;
};

TAILQ_HEAD(task_list, task);

struct door {
	pid_t		 pid;
	struct task_list tasks;
	uint64_t	 closed;	/* when */
	uint64_t	 stops;		/* since then */
	bool		 open;		/* each task is let go at its stop */
	bool		 broken;	/* a task could not be followed */
	TAILQ_ENTRY(door) entry;
};

RB_HEAD(task_tree, task);

static struct task_tree tasks = RB_INITIALIZER(&tasks);
static TAILQ_HEAD(, door) doors = TAILQ_HEAD_INITIALIZER(doors);
static pid_t came;			/* see door_came() */

static int
task_compare(const struct task *a, const struct task *b)
{
	return (a->tid > b->tid) - (a->tid < b->tid);
}

RB_GENERATE_INTERNAL(task_tree, task, by_tid, task_compare,
    static __attribute__((unused)))

/* No process has that number: only a filter can refuse the call itself. */
static bool
may_trace(void)
{
	return ptrace(PTRACE_SEIZE, -1, NULL, NULL) == -1 && errno == ESRCH;
}

/* A filter may kill who makes the call, so a child makes it. */
static bool
child_may_trace(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(may_trace() ? 0 : 1);
	while (pid != -1 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	return pid != -1 && status == 0;
}

const char *
door_refused(void)
{
	char buf[4096];
	bool filtered;

	if (skip_arch() == 0)
		return "not on this architecture";
	if (proc_read("self/status", buf, sizeof(buf)) <= 0)
		return "/proc cannot be read";
	filtered = parse_field(buf, "Seccomp") != 0;
	if (filtered ? !child_may_trace() : !may_trace())
		return "a system call filter forbids ptrace(2)";
	if (proc_read("sys/kernel/yama/ptrace_scope", buf, sizeof(buf)) > 0 &&
	    buf[0] >= '2')
		return "kernel.yama.ptrace_scope is 2 or more";
	return NULL;
}

static struct door *
find_door(pid_t pid)
{
	struct door *d;

	TAILQ_FOREACH(d, &doors, entry) {
		if (d->pid == pid)
			return d;
	}
	return NULL;
}

static struct task *
find_task(pid_t tid)
{
	struct task key = { .tid = tid };

	return RB_FIND(task_tree, &tasks, &key);
}

static struct task *
add_task(struct door *d, pid_t tid)
{
	struct task *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->tid = tid;
	t->door = d;
	RB_INSERT(task_tree, &tasks, t);
	TAILQ_INSERT_HEAD(&d->tasks, t, of_door);
	return t;
}

static void
drop_task(struct task *t)
{
	struct door *d = t->door;

	RB_REMOVE(task_tree, &tasks, t);
	TAILQ_REMOVE(&d->tasks, t, of_door);
	free(t);
	if (d->open && TAILQ_EMPTY(&d->tasks)) {
		TAILQ_REMOVE(&doors, d, entry);
		free(d);
	}
}

/*
 * Its process is gone. So is every task, also one that an exec of another has
 * ended without a word: its number may be somebody else's soon.
 */
static void
drop_door(struct door *d)
{
	struct task *t, *next;

	d->open = true;
	TAILQ_FOREACH_SAFE(t, &d->tasks, of_door, next)
		drop_task(t);
}

/* Lets a stopped task go on to its next stop, with that signal. */
static void
go_on(struct task *t, int signo)
{
	t->following = TASK_FOLLOWED;
	ptrace(PTRACE_SYSCALL, t->tid, NULL, (void *)(intptr_t)signo);
}

/* Lets a stopped task go for good. It may have been killed meanwhile. */
static void
let_go(struct task *t, int signo)
{
	ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(intptr_t)signo);
	drop_task(t);
}

/* Has the task's call just begun, and is it an accept of the listen socket? */
static bool
comes_to_door(struct task *t)
{
	struct ptrace_syscall_info i = { .op = PTRACE_SYSCALL_INFO_NONE };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, (void *)sizeof(i),
	    &i) == -1 || i.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	if (i.arch != skip_arch()) {
		t->door->broken = true;
		return false;
	}
	return parse_is_accept((long)i.entry.nr) &&
	    proc_socket(t->tid, (int)i.entry.args[0]) == diag_listener();
}

static void
take_call(struct task *t)
{
	int flags;

	if (!comes_to_door(t)) {
		go_on(t, 0);
		return;
	}
	flags = fcntl(STDIN_FILENO, F_GETFL);
	if (flags == -1 || (flags & O_NONBLOCK) == 0) {
		t->following = TASK_HELD;
		came = t->door->pid;
		return;
	}
	if (skip_call(t->tid, EAGAIN) == -1)
		t->door->broken = true;
	go_on(t, 0);
}

/* The process of a task; 0: it is gone. */
static pid_t
leader_of(pid_t tid)
{
	char path[32], buf[4096];

	snprintf(path, sizeof(path), "%d/status", (int)tid);
	return proc_read(path, buf, sizeof(buf)) <= 0 ? 0 :
	    (pid_t)parse_field(buf, "Tgid");
}

/* A new thread may stop before its creator has told of it. */
static struct task *
find_stopped(pid_t tid)
{
	struct task *t = find_task(tid);
	struct door *d;

	if (t == NULL && !TAILQ_EMPTY(&doors) &&
	    (d = find_door(leader_of(tid))) != NULL && d->pid != tid)
		t = add_task(d, tid);
	return t;
}

static void
take_new_thread(struct task *t)
{
	unsigned long tid;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &tid) == 0 &&
	    find_task((pid_t)tid) == NULL &&
	    add_task(t->door, (pid_t)tid) == NULL)
		t->door->broken = true;
	go_on(t, 0);
}

static bool
is_stop_signal(int signo)
{
	return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN ||
	    signo == SIGTTOU;
}

bool
door_take(pid_t tid, bool stopped, int *status)
{
	int signo = *status & 0xff, event = *status >> 8;
	struct task *t = stopped ? find_stopped(tid) : find_task(tid);
	bool leads;

	/* A thread that was made as its door was opened, which nobody awaits. */
	if (t == NULL)
		return stopped && event != 0 &&
		    ptrace(PTRACE_DETACH, tid, NULL, NULL) == 0;
	leads = tid == t->door->pid;
	if (!stopped) {
		if (leads)
			drop_door(t->door);
		else
			drop_task(t);
		return !leads;
	}
	t->door->stops++;
	if (t->door->open) {
		if (signo == SYSCALL_STOP && comes_to_door(t))
			skip_call(tid, EINTR);
		let_go(t, event == 0 && signo != SYSCALL_STOP ? signo : 0);
	} else if (event == PTRACE_EVENT_STOP && is_stop_signal(signo)) {
		t->following = TASK_SEIZED;
		ptrace(PTRACE_LISTEN, tid, NULL, NULL);
		*status = signo;
		return !leads;
	} else if (event == PTRACE_EVENT_CLONE)
		take_new_thread(t);
	else if (signo == SYSCALL_STOP)
		take_call(t);
	else
		go_on(t, event == 0 ? signo : 0);
	return true;
}

pid_t
door_came(void)
{
	pid_t pid = came;

	came = 0;
	return pid;
}

/* Is it a socket, and no accepted connection of the listen socket? */
static bool
is_foreign(pid_t tid, int fd)
{
	uint64_t inode = proc_socket(tid, fd);
	struct accepted what;

	return inode != 0 && diag_accepted(&inode, 1, &what) != 1;
}

/*
 * May the task be interrupted without an effect? A call that sleeps has to
 * begin anew by itself, so that the program sees nothing of it.
 */
static bool
may_interrupt(pid_t pid, pid_t tid)
{
	char path[64], buf[4096];
	bool filtered;
	struct call c;

	snprintf(path, sizeof(path), "%d/task/%d/status", (int)pid, (int)tid);
	if (proc_read(path, buf, sizeof(buf)) <= 0)
		return false;
	filtered = parse_field(buf, "Seccomp") != 0;
	snprintf(path, sizeof(path), "%d/task/%d/syscall", (int)pid,
	    (int)tid);
	if (proc_read(path, buf, sizeof(buf)) <= 0)
		return false;
	c = parse_call(buf);
	switch (c.kind) {
	case CALL_NONE:
	case CALL_ACCEPT:
	case CALL_WAIT:
		return true;
	case CALL_READ:
		return !is_foreign(tid, c.fd);
	case CALL_POLL:
	case CALL_SLEEP:
	case CALL_FUTEX:
		return !filtered;
	default:
		return false;
	}
}

/*
 * Seizes a task, unless it has just ended, or is a new one of a task that is
 * followed: that is ours already. Returns 0, or -1: it cannot be.
 */
static int
seize_task(struct door *d, pid_t tid)
{
	char path[64], buf[4096];

	if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)OPTIONS) == 0)
		return add_task(d, tid) != NULL ? 0 : -1;
	if (errno == ESRCH)
		return 0;
	snprintf(path, sizeof(path), "%d/task/%d/stat", (int)d->pid, (int)tid);
	if (proc_read(path, buf, sizeof(buf)) <= 0 ||
	    strchr("XZ", parse_state(buf)) != NULL)
		return 0;
	snprintf(path, sizeof(path), "%d/task/%d/status", (int)d->pid,
	    (int)tid);
	return proc_read(path, buf, sizeof(buf)) > 0 &&
	    parse_field(buf, "TracerPid") == (long)getpid() &&
	    add_task(d, tid) != NULL ? 0 : -1;
}

enum door_state
door_check(pid_t pid)
{
	struct door *d = find_door(pid);
	int tids[TASKS_MAX], i, n;
	bool closed = true;
	struct task *t;

	if (d == NULL || d->open || d->broken ||
	    (n = proc_tasks(pid, tids, TASKS_MAX)) == -1)
		return DOOR_REFUSED;
	if (d->stops > STOPS_LEAST &&
	    d->stops * STOP_COST * STOPS_SHARE > loop_now() - d->closed)
		return DOOR_TIRED;
	for (i = 0; i < n; i++) {
		t = find_task(tids[i]);
		if (t == NULL && seize_task(d, tids[i]) == -1)
			return DOOR_REFUSED;
		if (t != NULL && t->following != TASK_SEIZED)
			continue;
		closed = false;
		if (may_interrupt(pid, tids[i]))
			ptrace(PTRACE_INTERRUPT, tids[i], NULL, NULL);
	}
	return closed ? DOOR_CLOSED : DOOR_CLOSING;
}

enum door_state
door_close(pid_t pid)
{
	struct door *d = find_door(pid);

	if (d == NULL && (d = calloc(1, sizeof(*d))) != NULL) {
		d->pid = pid;
		TAILQ_INIT(&d->tasks);
		TAILQ_INSERT_HEAD(&doors, d, entry);
	}
	if (d == NULL)
		return DOOR_REFUSED;
	d->open = false;
	d->stops = 0;
	d->closed = loop_now();
	return door_check(pid);
}

void
door_open(pid_t pid, int signo)
{
	struct door *d = find_door(pid);
	struct task *t, *next;

	if (signo != 0)
		kill(pid, signo);
	if (d == NULL)
		return;
	d->open = true;
	/* The last of them takes the door with it. */
	for (t = TAILQ_FIRST(&d->tasks); t != NULL; t = next) {
		next = TAILQ_NEXT(t, of_door);
		if (t->following == TASK_HELD) {
			skip_call(t->tid, EINTR);
			let_go(t, 0);
		}
	}
}
