/* SPDX-License-Identifier: ISC */
/* An architecture whose registers are not known here. */
#include <errno.h>

#include "observe/skip.h"

unsigned int
skip_arch(void)
{
	return 0;
}

int
skip_call(pid_t tid, bool filtered)
{
	(void)tid;
	(void)filtered;
	errno = ENOSYS;
	return -1;
}

int
skip_answer(pid_t tid, long call, unsigned long argument, int error)
{
	(void)call;
	(void)argument;
	(void)error;
	return skip_call(tid, false);
}

bool
skip_restarts(void)
{
	return false;
}

int
skip_restart(pid_t tid)
{
	return skip_call(tid, false);
}
