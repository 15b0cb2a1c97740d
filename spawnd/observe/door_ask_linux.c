/* SPDX-License-Identifier: ISC */
/*
 * A worker that is to find its door closed has to stop before its program's
 * first instruction. Nobody but the child itself can see to that: as long as it
 * is in our memory we may not trace it, and after its exec we may be too late.
 * So it asks to be traced, by PTRACE_TRACEME, and stops after its exec. To be
 * followed as others are it needs another kind of tracing; it is let go into
 * an ordinary stop, and seized there.
 */
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <signal.h>

#include "base/raw.h"
#include "observe/door.h"
#include "observe/observe.h"

int
door_ask(void)
{
	return (int)raw_call(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
}

void
ask_stopped(struct door *d, int status)
{
	/* A signal that comes before the exec has its effect. */
	if (status != SIGTRAP) {
		ptrace(PTRACE_CONT, d->pid, NULL,
		    (void *)(intptr_t)(status & 0xff));
		return;
	}
	d->asked = false;
	if (d->open) {
		ptrace(PTRACE_DETACH, d->pid, NULL, NULL);
		return;
	}
	d->seize_stop = true;
	ptrace(PTRACE_DETACH, d->pid, NULL, (void *)(intptr_t)SIGSTOP);
	if (task_seize(d, d->pid) == -1 || TAILQ_EMPTY(&d->tasks)) {
		d->broken = true;
		d->seize_stop = false;
		kill(d->pid, SIGCONT);
	}
}

bool
ask_seize_stop(struct door *d, int status)
{
	if (!d->seize_stop || !task_is_stop(status))
		return false;
	d->seize_stop = false;
	kill(d->pid, SIGCONT);
	return true;
}
