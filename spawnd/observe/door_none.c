/* SPDX-License-Identifier: ISC */
/* Systems where no process can be kept from new connections. */
#include <errno.h>

#include "observe/observe.h"

const char *
door_refused(void)
{
	return "not on this system";
}

enum door_state
door_close(pid_t pid, bool drains, bool polls, bool asks)
{
	(void)pid;
	(void)drains;
	(void)polls;
	(void)asks;
	return DOOR_REFUSED;
}

int
door_ask(void)
{
	return -ENOSYS;
}

enum door_state
door_check(pid_t pid)
{
	(void)pid;
	return DOOR_REFUSED;
}

void
door_allow(pid_t pid, uint64_t stops)
{
	(void)pid;
	(void)stops;
}

void
door_signal(pid_t pid, int signo)
{
	(void)pid;
	(void)signo;
}

enum door_state
door_pause(pid_t pid)
{
	(void)pid;
	return DOOR_REFUSED;
}

void
door_go_on(pid_t pid)
{
	(void)pid;
}

void
door_open(pid_t pid)
{
	(void)pid;
}

void
door_open_orphans(void)
{
}

bool
door_take(pid_t tid, bool stopped, int *status)
{
	(void)tid;
	(void)stopped;
	(void)status;
	return false;
}

pid_t
door_came(void)
{
	return 0;
}

bool
door_is_closed(pid_t pid)
{
	(void)pid;
	return false;
}

bool
door_is_over(pid_t pid, const uint64_t *inodes, int n)
{
	(void)pid;
	(void)inodes;
	(void)n;
	return false;
}

bool
door_take_read(pid_t pid)
{
	(void)pid;
	return false;
}

bool
door_is_held(pid_t pid)
{
	(void)pid;
	return false;
}
