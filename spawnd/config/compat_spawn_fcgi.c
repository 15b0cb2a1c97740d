/* SPDX-License-Identifier: ISC */
/* Stands in for spawn-fcgi 1.6, but adds a supervisor. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"
#include "config/option.h"

static const struct option table[] = {
	{ 'f', NULL, "STRING", option_string, MEMBER(command), 0, 0,
	    "run STRING with /bin/sh (deprecated)" },
	{ 'd', NULL, "DIR", option_string, MEMBER(chdir), 0, 0,
	    "working directory of the application" },
	{ 'a', NULL, "ADDR", option_string, MEMBER(address), 0, 0,
	    "IPv4 or IPv6 address for -p (0.0.0.0)" },
	{ 'p', NULL, "N", option_number, MEMBER(port), 1, 65535,
	    "TCP port instead of a unix socket" },
	{ 's', NULL, "PATH", option_string, MEMBER(socket), 0, 0,
	    "unix socket" },
	{ 'M', NULL, "OCTAL", option_octal, MEMBER(socket_mode), 0, 0,
	    "mode of the socket (0660 less the umask)" },
	{ 'C', NULL, "N", option_number, MEMBER(php_children), 0,
	    WORKERS_MAX, "set PHP_FCGI_CHILDREN" },
	{ 'F', NULL, "N", option_number, MEMBER(workers), 1, WORKERS_MAX,
	    "number of processes (1); not with -n" },
	{ 'b', NULL, "N", option_number, MEMBER(backlog), 1, BACKLOG_MAX,
	    "connections that may wait (1024)" },
	{ 'P', NULL, "FILE", option_string, MEMBER(pidfile), 0, 0,
	    "pidfile of the supervisor; not with -n" },
	{ 'n', NULL, NULL, option_true, MEMBER(becomes_app), 0, 0,
	    "become the application, without a supervisor" },
	{ 'c', NULL, "DIR", option_string, MEMBER(chroot), 0, 0,
	    "root directory (root only)" },
	{ 'S', NULL, NULL, option_true, MEMBER(socket_outside), 0, 0,
	    "the socket is outside the chroot (root only)" },
	{ 'u', NULL, "USER", option_string, MEMBER(user), 0, 0,
	    "user of the application (root only)" },
	{ 'g', NULL, "GROUP", option_string, MEMBER(group), 0, 0,
	    "its group (-u's; root only)" },
	{ 'U', NULL, "USER", option_string, MEMBER(socket_user), 0, 0,
	    "owner of the socket (-u's; root only)" },
	{ 'G', NULL, "GROUP", option_string, MEMBER(socket_group), 0, 0,
	    "group of the socket (-U's, else -g's)" },
	{ 'v', NULL, NULL, option_true, MEMBER(version), 0, 0,
	    "print the version" },
	{ 'h', NULL, NULL, option_true, MEMBER(help), 0, 0, "print this" },
	{ '?', NULL, NULL, option_true, MEMBER(help), 0, 0, "print this" },
};

static void
spawn_fcgi_defaults(struct conf *c)
{
	c->workers = 1;
	c->env_base = ENV_WHOLE;
	c->inherits_none = true;
	c->worker_log = WORKER_LOG_NONE;
	c->umask = UMASK_KEEP;
	c->no_new_privs = false;
	c->confine = false;
	c->mode_by_umask = true;
	c->system_families = true;
	c->root_stays = true;
	c->titled = true;
	c->pidfile_public = true;
	c->outcome = "child spawned successfully: PID: ";
	c->error_status = 255;
	c->worker_status = true;
}

/* A relative path is looked up in the application's working directory. */
static int
relative_to_chdir(struct conf *c, struct err *e)
{
	char *path;

	if (c->command != NULL || c->argv[0][0] == '/' || c->chdir == NULL)
		return 0;
	if (asprintf(&path, "%s/%s", c->chdir, c->argv[0]) == -1)
		return err_set(e, EX_OSERR, "out of memory");
	c->argv[0] = path;
	return 0;
}

static int
spawn_fcgi_finish(struct conf *c, struct err *e)
{
	if (c->socket == NULL && c->port == 0)
		return err_set(e, EX_USAGE, "no socket given (%s or %s)",
		    OPT(c, socket), OPT(c, port));
	if (c->group != NULL && c->user == NULL && geteuid() == 0)
		return err_set(e, EX_USAGE, "%s: %s: needs a user (%s): root "
		    "in another group is root", OPT(c, group), c->group,
		    OPT(c, user));
	if (c->argc > 0)
		c->command = NULL;
	/* Options for the other kind of socket have no effect. */
	if (c->port == 0)
		c->address = NULL;
	else {
		c->socket_mode = -1;
		c->socket_user = c->socket_group = NULL;
		c->socket_outside = false;
		if (c->address == NULL)
			c->address = "0.0.0.0";
	}
	if (c->becomes_app) {
		c->foreground = true;
		c->pidfile = NULL;
		c->env_base = ENV_EXACT;
	}
	c->cwd_stays = c->chdir == NULL;
	return relative_to_chdir(c, e);
}

const struct compat compat_spawn_fcgi = {
	.name = "spawn-fcgi",
	.options = {
		.list = table, .n = sizeof(table) / sizeof(table[0]),
		.anywhere = true,
		.usage = "spawn-fcgi [options] -- application [argument ...]",
	},
	.defaults = spawn_fcgi_defaults,
	.finish = spawn_fcgi_finish,
};
