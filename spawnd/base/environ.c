/* SPDX-License-Identifier: ISC */
/* The environment that spawnd itself was started with. */
#include <sys/stat.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

extern char **environ;

char **
environ_own(void)
{
	return environ;
}

const char *
environ_odd_time_zone(void)
{
	static char path[PATH_MAX];
	const char *zone = environ_get(environ, "TZ");
	const char *dir = environ_get(environ, "TZDIR");
	struct stat st;

	if (zone == NULL)
		return NULL;
	zone += zone[0] == ':';
	if (zone[0] == '\0')
		return NULL;
	if (zone[0] == '/')
		dir = "";
	else if (dir == NULL)
		dir = "/usr/share/zoneinfo";
	snprintf(path, sizeof(path), "%s/%s", dir, zone +
	    (zone[0] == '/'));
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? path : NULL;
}

void
environ_keep_time_zone(void)
{
	/* Named by its path the file is read once, here, and kept. */
	if (environ_get(environ, "TZ") == NULL)
		setenv("TZ", ":/etc/localtime", 1);
	tzset();
}

void
environ_scrub(void)
{
	const char *zone = environ_get(environ, "TZ");
	char *keep = zone != NULL ? strdup(zone) : NULL;
	char **var;

	/* The kernel shows what was there at the exec, wherever it points. */
	for (var = environ; var != NULL && *var != NULL; var++)
		memset(*var, 0, strlen(*var));
	environ = NULL;
	if (keep != NULL)
		setenv("TZ", keep, 1);
	free(keep);
}

const char *
environ_get(char *const *envp, const char *name)
{
	size_t len = strlen(name);

	for (; envp != NULL && *envp != NULL; envp++) {
		if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
			return *envp + len + 1;
	}
	return NULL;
}
