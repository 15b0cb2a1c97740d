/* SPDX-License-Identifier: ISC */
/*
 * The tasks of processes with a closed door, from one stop to the next.
 *
 * A task is followed from its first stop on. To bring that about it has to be
 * interrupted. Some calls fail with EINTR then, such as epoll_wait(2), and some
 * go on by restart_syscall(2), which a seccomp filter may not allow: where the
 * registers can be set these restart instead. Elsewhere a task in such a
 * call is left alone until it is seen in another.
 */
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/ptrace.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/door.h"
#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/skip.h"
#include "observe/sockets_linux.h"

#define OPTIONS		(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)
#define SYSCALL_STOP	(SIGTRAP | 0x80)
#define HURRIES		8U	/* of one that does not heed them */
#define LINGER		(USEC / 50)	/* for a client to close */

RB_HEAD(task_tree, task);

static struct task_tree tasks = RB_INITIALIZER(&tasks);
static pid_t came;			/* see door_came() */

static int
task_compare(const struct task *a, const struct task *b)
{
	return (a->tid > b->tid) - (a->tid < b->tid);
}

RB_GENERATE_INTERNAL(task_tree, task, by_tid, task_compare,
    static __attribute__((unused)))

struct task *
task_find(pid_t tid)
{
	struct task key = { .tid = tid };

	return RB_FIND(task_tree, &tasks, &key);
}

struct task *
task_add(struct door *d, pid_t tid)
{
	struct task *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->tid = tid;
	t->door = d;
	toll_forget(t);
	RB_INSERT(task_tree, &tasks, t);
	TAILQ_INSERT_HEAD(&d->tasks, t, of_door);
	return t;
}

void
task_drop(struct task *t)
{
	RB_REMOVE(task_tree, &tasks, t);
	TAILQ_REMOVE(&t->door->tasks, t, of_door);
	free(t);
}

pid_t
door_came(void)
{
	pid_t pid = came;

	came = 0;
	return pid;
}

uint64_t
door_key(void)
{
	static uint64_t key;

	while (key == 0)
		arc4random_buf(&key, sizeof(key));
	return key;
}

/* The kernel takes four arguments; a filter sees what is in the fifth. */
int
task_attach(pid_t tid, long options)
{
	return (int)syscall(SYS_ptrace, PTRACE_SEIZE, tid, NULL, options,
	    door_key());
}

void
task_go_on(struct task *t, int signo)
{
	if (t->following != TASK_SKIPS)
		t->following = TASK_FOLLOWED;
	ptrace(PTRACE_SYSCALL, t->tid, NULL, (void *)(intptr_t)signo);
}

/*
 * task_go_on() for good, but not at the entry of a call: PTRACE_DETACH leaves
 * it as with a signal pending, so that a call that would wait fails with EINTR.
 */
static void
let_go(struct task *t, int signo)
{
	ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(intptr_t)signo);
	task_drop(t);
}

static bool
is_filtered(pid_t tid)
{
	char buf[4096];

	return proc_read_of(tid, "status", buf, sizeof(buf)) <= 0 ||
	    proc_is_filtered(buf);
}

/* The call that the task is stopped at the entry of returns an error. */
static void
skip(struct task *t, int error)
{
	if (skip_call(t->tid, is_filtered(t->tid)) == -1)
		t->door->broken = true;
	t->error = error;
	t->following = TASK_SKIPS;
	task_go_on(t, 0);
}

void
task_restart(struct task *t)
{
	skip(t, parse_is_accept(t->call) || parse_is_read(t->call) ?
	    SKIP_RESTART : SKIP_NO_HANDLER);
}

static bool
is_signalled_by(const char *status)
{
	uint64_t blocked = parse_mask(status, "SigBlk");

	return ((parse_mask(status, "SigPnd") |
	    parse_mask(status, "ShdPnd")) & ~blocked) != 0;
}

bool
task_is_signalled(const struct task *t)
{
	char buf[4096];

	return proc_read_of(t->tid, "status", buf, sizeof(buf)) > 0 &&
	    is_signalled_by(buf);
}

/* Is it a socket, and no accepted connection of the listen socket? */
static bool
is_foreign(pid_t pid, pid_t tid, int fd)
{
	uint64_t inode = proc_socket(tid, fd);
	struct accepted what;

	return inode != 0 && diag_accepted(pid, &inode, 1, &what) != 1;
}

/*
 * May the task be interrupted without an effect? What it sleeps in must begin
 * anew, and not have been done in part.
 */
static bool
may_interrupt(pid_t pid, pid_t tid)
{
	char buf[256];
	struct call c;

	if (proc_read_task(pid, tid, "syscall", buf, sizeof(buf)) <= 0)
		return false;
	c = parse_call(buf);
	switch (c.kind) {
	case CALL_NONE:
	case CALL_ACCEPT:
	case CALL_WAIT:
		return true;
	case CALL_READ:
		return skip_restarts() || !is_foreign(pid, tid, c.fd);
	case CALL_POLL:
	case CALL_SLEEP:
	case CALL_FUTEX:
		return skip_restarts() || !is_filtered(tid);
	case CALL_WRITE:
		return false;
	default:
		return skip_restarts();
	}
}

void
task_interrupt(struct task *t)
{
	if (t->interrupted || !may_interrupt(t->door->pid, t->tid))
		return;
	t->interrupted = ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) == 0;
}

/*
 * Seizing fails for a task that has just ended, and for a new one of a task
 * that is followed: that is ours already.
 */
int
task_seize(struct door *d, pid_t tid)
{
	char buf[4096];
	int error;

	if (task_attach(tid, OPTIONS) == 0)
		return task_add(d, tid) != NULL ? 0 : -1;
	if ((error = errno) == ESRCH)
		return 0;
	if (proc_read_task(d->pid, tid, "stat", buf, sizeof(buf)) <= 0 ||
	    strchr("XZ", parse_state(buf)) != NULL)
		return 0;
	if (proc_read_task(d->pid, tid, "status", buf, sizeof(buf)) > 0 &&
	    parse_field(buf, "TracerPid") == (long)getpid())
		return task_add(d, tid) != NULL ? 0 : -1;
	refusal_note(d->pid, tid, error);
	return -1;
}

static void
take_new_thread(struct task *t)
{
	unsigned long tid;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &tid) == 0 &&
	    task_find((pid_t)tid) == NULL &&
	    task_add(t->door, (pid_t)tid) == NULL)
		t->door->broken = true;
	task_go_on(t, 0);
}

static void
hold(struct task *t, enum following following)
{
	t->following = following;
	came = t->door->root;
}

bool
task_hears(struct task *t)
{
	if (t->hurried == HURRIES)
		return false;
	t->hurried++;
	skip(t, parse_is_read(t->call) ? 0 : EINTR);
	return true;
}

/*
 * A handler has run: perhaps that of the stop signal, and whoever was told
 * before, and looked whether it had, was told too early.
 */
static void
tell_again(struct door *d)
{
	struct task *t, *next;

	if (d->repeats == HURRIES)
		return;
	d->repeats++;
	TAILQ_FOREACH_SAFE(t, &d->tasks, of_door, next) {
		t->hurried = 0;
		if (t->following == TASK_HELD)
			(void)task_hears(t);
	}
}

/*
 * Some clients close a connection only when they next want to use it. But who
 * lingers does so for those that still send, or still read: closed too early,
 * it would be reset.
 */
bool
task_stops_lingering(struct task *t)
{
	if (t->lingered || t->following != TASK_FOLLOWED || !t->waits ||
	    !t->door->signalled || loop_now() - t->since < LINGER ||
	    t->hurried == HURRIES)
		return false;
	t->lingered = served_lingers(t) && served_is_received(t);
	return t->lingered;
}

/*
 * That, or it would read the next request of a kept connection, and there is
 * none: it may read one to throw it away, and its client would not know.
 */
static bool
waits_in_vain(struct task *t)
{
	bool lingered = t->lingered;

	t->lingered = false;
	return t->waits && t->door->signalled && (served_lingers(t) ?
	    lingered || served_is_vain(t) :
	    t->door->heard && served_reads(t) && served_is_between(t));
}

/*
 * Does accept wait? All that hold the socket share O_NONBLOCK, and some clear
 * it when they end, under the event loops that have set it.
 */
static bool
accept_waits(const struct door *d)
{
	int flags = fcntl(STDIN_FILENO, F_GETFL);

	if (flags == -1 || (flags & O_NONBLOCK) != 0)
		return flags == -1;
	if (d->polls)
		fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK);
	return !d->polls;
}

/* An accept of the listen socket begins. */
static void
take_accept(struct task *t)
{
	struct door *d = t->door;
	bool waits = accept_waits(d);

	if (d->drains && !d->dry && !d->pausing) {
		t->admitted = true;
		task_go_on(t, 0);
	} else if (!waits)
		skip(t, EAGAIN);
	else if (!d->heard || !task_hears(t))
		hold(t, TASK_HELD);
}

static void
take_entry(struct task *t, const struct ptrace_syscall_info *i)
{
	t->call = (long)i->entry.nr;
	t->argument = (unsigned long)i->entry.args[0];
	t->since = loop_now();
	if (t->call == SYS_rt_sigreturn && t->door->heard)
		tell_again(t->door);
	if (parse_is_accept(t->call) && proc_socket(t->tid,
	    (int)t->argument) == diag_listener()) {
		take_accept(t);
		return;
	}
	served_entry(t, i);
	t->waits = parse_waits(t->call);
	if (waits_in_vain(t) && task_hears(t))
		return;
	if (t->waits && (t->door->pausing || (t->door->signalled &&
	    served_reads(t))))
		hold(t, TASK_PAUSED);
	else if (t->waits && !t->door->signalled && served_all(t->door)) {
		t->door->answered = false;
		hold(t, TASK_PAUSED);
	} else
		task_go_on(t, 0);
}

/* At the exit of its call, which returns the error that is set. */
static void
answer(struct task *t)
{
	t->following = TASK_FOLLOWED;
	if (skip_answer(t->tid, t->call, t->argument, t->error) == -1)
		t->door->broken = true;
	if (SKIP_IS_RESTART(t->error))
		ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL);
	else
		t->error = 0;
}

/* This stop took the place of the one that our interruption would have had. */
static void
begin_interrupted(struct task *t)
{
	if (!skip_restarts() || skip_restart(t->tid) == -1)
		return;
	t->error = SKIP_NO_HANDLER;
	ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL);
}

static void
take_exit(struct task *t, const struct ptrace_syscall_info *i)
{
	bool admitted = t->admitted;

	toll_count(t);
	t->admitted = t->waits = false;
	if (t->following == TASK_SKIPS)
		answer(t);
	else if (admitted && i->exit.rval == -EINVAL) {
		/* The socket was shut down, which no thread is to hear of. */
		t->door->dry = true;
		t->error = SKIP_RESTART;
		answer(t);
	} else {
		if (i->exit.rval == -EINTR || i->exit.rval == -SKIP_BY_BLOCK)
			begin_interrupted(t);
		served_exit(t, i);
	}
	/* One that begins anew has still to look for signals. */
	if (t->door->open && !SKIP_IS_RESTART(t->error))
		let_go(t, 0);
	else
		task_go_on(t, 0);
}

static void
take_call(struct task *t)
{
	struct ptrace_syscall_info i = { .op = PTRACE_SYSCALL_INFO_NONE };
	bool known;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, (void *)sizeof(i),
	    &i) == -1)
		i.op = PTRACE_SYSCALL_INFO_NONE;	/* it was killed */
	known = i.arch == skip_arch();
	if (i.op != PTRACE_SYSCALL_INFO_NONE && !known)
		t->door->broken = true;
	if (t->following == TASK_SKIPS ||
	    (i.op == PTRACE_SYSCALL_INFO_EXIT && known))
		take_exit(t, &i);
	else if (i.op == PTRACE_SYSCALL_INFO_EXIT && t->door->open)
		let_go(t, 0);
	else if (i.op == PTRACE_SYSCALL_INFO_ENTRY && known && !t->door->open)
		take_entry(t, &i);
	else
		task_go_on(t, 0);	/* to its exit, if it is to be let go */
}

static bool
is_stop_signal(int signo)
{
	return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN ||
	    signo == SIGTTOU;
}

/*
 * The only task of a worker that was signalled has got that, or one of its
 * children from it, with no request to serve: it need not wait for the next.
 */
static void
note_signal(struct door *d, int signo)
{
	bool alone = TAILQ_NEXT(TAILQ_FIRST(&d->tasks), of_door) == NULL;

	if (signo == SIGTERM && (d->parted ||
	    (d->signalled && (alone || d->pid != d->root))))
		d->signalled = d->heard = true;
}

bool
task_is_stop(int status)
{
	return status >> 8 != 0 && is_stop_signal(status & 0xff);
}

void
task_stopped(struct task *t, int status)
{
	int signo = status & 0xff, event = status >> 8;

	t->stops++;
	t->interrupted = false;
	if (signo == SYSCALL_STOP) {
		take_call(t);
		return;
	}
	t->error = 0;
	if (event == 0)
		note_signal(t->door, signo);
	/*
	 * Of one that is not traced the kernel drops the signals that it
	 * ignores. This one comes to a stop for each, and its call is to go on.
	 * Of a signal that is handled it hears all the same.
	 */
	if ((event == 0 || (event == PTRACE_EVENT_STOP &&
	    !is_stop_signal(signo))) && skip_restarts())
		skip_restart(t->tid);
	if (t->door->open)
		let_go(t, event == 0 ? signo : 0);
	else if (event == PTRACE_EVENT_STOP && is_stop_signal(signo)) {
		t->following = TASK_SEIZED;
		ptrace(PTRACE_LISTEN, t->tid, NULL, NULL);
	} else if (event == PTRACE_EVENT_CLONE)
		take_new_thread(t);
	else
		task_go_on(t, event == 0 ? signo : 0);
}
