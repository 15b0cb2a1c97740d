/* SPDX-License-Identifier: ISC */
/* Chooses the command line's options by the name in argv[0]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"
#include "config/option.h"

static const struct compat *const compats[] = {
	&compat_spawn_fcgi, &compat_kfcgi, &compat_multiwatch,
};

static const struct compat *used;	/* NULL: spawnd */

static const struct compat *
find_compat(const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	const char *base = slash != NULL ? slash + 1 : path;
	size_t i;

	for (i = 0; base != NULL && i < sizeof(compats) / sizeof(compats[0]);
	    i++) {
		if (strcmp(base, compats[i]->name) == 0)
			return compats[i];
	}
	return NULL;
}

void
compat_begin(int argc, char *argv[])
{
	struct conf c;

	used = find_compat(argv[0]);
	setprogname(used != NULL ? used->name : "spawnd");
	if (used == NULL)
		return;
	options_defaults(&c);
	used->defaults(&c);
	if (c.titled)
		setproctitle_init(argc, argv, environ_own());
}

int
compat_parse(struct conf *c, int argc, char *argv[], struct err *e)
{
	used = find_compat(argv[0]);
	setprogname(used != NULL ? used->name : "spawnd");
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
