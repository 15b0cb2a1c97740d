/* SPDX-License-Identifier: ISC */
/* The program that we are, and the name that others see us by. */
#ifdef __FreeBSD__
#include <sys/param.h>
#include <sys/auxv.h>
#endif

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#ifdef __FreeBSD__
/* Of a relative path the system follows the links: what is left is spawnd. */
const char *
self_executed(void)
{
	static char path[MAXPATHLEN];
	const char *slash;

	if (elf_aux_info(AT_EXECPATH, path, (int)sizeof(path)) != 0)
		return NULL;
	slash = strrchr(path, '/');
	return slash == NULL || strcmp(slash, "/spawnd") != 0 ? path : NULL;
}
#else
const char *
self_executed(void)
{
	return NULL;
}
#endif

char *
self_cgroup(void)
{
	return NULL;
}

void
self_make_room(int argc, char *argv[])
{
	(void)argc;
	(void)argv;
}

/* The words are one string here; nothing that looks for the first minds. */
void
self_name(const char *path, size_t len, const char *more)
{
	setproctitle("-%.*s%s%s", (int)len, path, more[0] != '\0' ? " " : "",
	    more);
}
