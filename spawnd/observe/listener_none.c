/* SPDX-License-Identifier: ISC */
/* Systems that do not show what keeps clients from the listen socket. */
#include <errno.h>

#include "observe/listener.h"
#include "observe/observe.h"

enum deaf
listener_deaf(void)
{
	return DEAF_UNKNOWN;
}

int
listener_watch_file(const char *name)
{
	(void)name;
	errno = ENOTSUP;
	return -1;
}

void
listener_take_events(int fd)
{
	(void)fd;
}

bool
listener_has_file(const struct stat *file)
{
	(void)file;
	return false;
}

void
listener_settle(void)
{
}

bool
listener_is_local(int fd)
{
	(void)fd;
	return true;
}

bool
listener_may_have_file(int fd, const struct stat *file)
{
	(void)fd;
	(void)file;
	return true;
}

bool
listener_path(int fd, char *buf, size_t size)
{
	(void)fd;
	(void)buf;
	(void)size;
	return false;
}
