/* SPDX-License-Identifier: ISC */
/*
 * Chooses the command line's options by the program's name. Service managers
 * may set argv[0] to anything, so the file that was executed decides.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/alias.h"
#include "config/config.h"
#include "config/option.h"

#define LINKS_MAX	8

static const struct compat *const compats[] = {
	&compat_spawn_fcgi, &compat_kfcgi, &compat_multiwatch,
};

static const struct compat *used;	/* NULL: spawnd */

/* Is the path's last component one of our names? *found is NULL for spawnd. */
static bool
find_compat(const char *path, const struct compat **found)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	const char *base = slash != NULL ? slash + 1 : path;
	size_t i;

	*found = NULL;
	for (i = 0; base != NULL && i < sizeof(compats) / sizeof(compats[0]);
	    i++) {
		if (strcmp(base, compats[i]->name) == 0)
			*found = compats[i];
	}
	return *found != NULL || (base != NULL && strcmp(base, "spawnd") == 0);
}

/* Puts what the link contains in its place. */
static bool
follow_link(char path[PATH_MAX])
{
	char target[PATH_MAX], *slash = strrchr(path, '/');
	size_t dir = slash != NULL ? (size_t)(slash - path) + 1 : 0;
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	if (target[0] == '/')
		dir = 0;
	return strlcpy(path + dir, target, PATH_MAX - dir) < PATH_MAX - dir;
}

/* The first of our names on the way from the link to the program. */
static bool
find_behind_links(const char *link, const struct compat **found)
{
	char path[PATH_MAX];
	int i;

	if (strlcpy(path, link, sizeof(path)) >= sizeof(path))
		return false;
	for (i = 0; i < LINKS_MAX && follow_link(path); i++) {
		if (find_compat(path, found))
			return true;
	}
	return false;
}

static const struct compat *
choose_compat(const char *executed, const char *argv0)
{
	const struct compat *found;

	if (find_compat(executed, &found) || find_compat(argv0, &found) ||
	    (executed != NULL && find_behind_links(executed, &found)))
		return found;
	return NULL;
}

const char *
compat_name(const char *executed, const char *argv0)
{
	const struct compat *c = choose_compat(executed, argv0);

	return c != NULL ? c->name : "spawnd";
}

/* Messages begin with the name, whatever argv[0] says. */
static void
use_compat(const char *argv0)
{
	used = choose_compat(self_executed(), argv0);
	setprogname(used != NULL ? used->name : "spawnd");
}

void
compat_begin(int argc, char *argv[])
{
	struct conf c;

	use_compat(argv[0]);
	if (used == NULL)
		return;
	options_defaults(&c);
	used->defaults(&c);
	if (c.titled)
		self_make_room(argc, argv);
}

int
compat_parse(struct conf *c, int argc, char *argv[], struct err *e)
{
	use_compat(argv[0]);
	if (used == NULL)
		return options_parse(c, argc, argv, e);
	options_defaults(c);
	option_borrow(c);
	used->defaults(c);
	if (option_parse(c, &used->options, argc, argv, e) == -1)
		return -1;
	if (c->help || c->version)
		return 0;
	if (option_check(c, &used->options, e) == -1)
		return -1;
	return used->finish != NULL ? used->finish(c, e) : 0;
}

int
compat_help(void)
{
	return used == NULL ? options_help() : option_help(&used->options);
}

int
compat_version(void)
{
	printf("%s%s" "spawnd " SPAWND_VERSION "\n", used != NULL ?
	    used->name : "", used != NULL ? " of " : "");
	return fflush(stdout) == EOF ? -1 : 0;
}

int
compat_exitcode(const struct conf *c, int status)
{
	return c->error_status != 0 ? c->error_status : status;
}
