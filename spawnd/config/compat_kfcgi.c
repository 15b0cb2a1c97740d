/* SPDX-License-Identifier: ISC */
/* Stands in for kfcgi of kcgi: a pool in the web server's jail. */
#include <stdio.h>

#include "base/base.h"
#include "config/config.h"
#include "config/option.h"

#define KFCGI_WORKERS	5
#define KFCGI_IDLE	300	/* seconds */

static const struct option table[] = {
	{ 'l', NULL, "N", option_number, MEMBER(backlog), 0, BACKLOG_MAX,
	    "connections that may wait (twice the workers)" },
	{ 'n', NULL, "N", option_number, MEMBER(workers), 1, WORKERS_MAX,
	    "number of workers (5)" },
	{ 'N', NULL, "N", option_number, MEMBER(max_workers), 1, WORKERS_MAX,
	    "with -r: at most that many (twice -n)" },
	{ 'p', NULL, "DIR", option_string, MEMBER(chroot), 0, 0,
	    "root directory (/var/www)" },
	{ 'r', NULL, NULL, option_true, MEMBER(variable), 0, 0,
	    "variable pool: between -n and -N" },
	{ 's', NULL, "PATH", option_string, MEMBER(socket), 0, 0,
	    "unix socket, outside (/var/www/run/httpd.sock)" },
	{ 'u', NULL, "USER", option_string, MEMBER(socket_user), 0, 0,
	    "owner of the socket, with that user's group" },
	{ 'U', NULL, "USER", option_string, MEMBER(user), 0, 0,
	    "user of the supervisor and the workers" },
	{ 'w', NULL, "SEC", option_number, MEMBER(idle_timeout), 1,
	    TIMEOUT_MAX, "with -r: end surplus workers after it (300)" },
	{ 'd', NULL, NULL, option_true, MEMBER(foreground), 0, 0,
	    "no daemon; log to standard error" },
	{ 'v', NULL, NULL, option_true, MEMBER(unused_flag), 0, 0,
	    "no effect: events are always logged" },
	{ 'h', NULL, NULL, option_true, MEMBER(help), 0, 0, "print this" },
};

static void
kfcgi_defaults(struct conf *c)
{
	c->workers = KFCGI_WORKERS;
	c->chroot = DEFAULT_JAIL;
	c->always_jailed = true;
	c->socket = DEFAULT_JAIL "/" DEFAULT_SOCKET;
	c->socket_outside = true;
	c->env_base = ENV_WHOLE;
	c->inherits_none = true;
	c->umask = UMASK_KEEP;
	c->no_new_privs = false;
	c->confine = false;
	/* There is no -S: -s implies it. */
	option_call(c, MEMBER(socket_outside), "-s");
	c->error_status = 1;
}

static int
twice(int n, int max)
{
	return n < max / 2 ? 2 * n : max;
}

static int
kfcgi_finish(struct conf *c, struct err *e)
{
	int most = c->workers;

	(void)e;
	if (!c->variable)
		c->max_workers = c->idle_timeout = -1;
	else {
		if (c->max_workers == -1)
			c->max_workers = twice(c->workers, WORKERS_MAX);
		if (c->idle_timeout == -1)
			c->idle_timeout = KFCGI_IDLE;
		most = c->max_workers;
	}
	if (c->backlog == 0)
		c->backlog = twice(most, BACKLOG_MAX);
	/* The default would be the workers' user. */
	if (c->socket_user == NULL)
		c->socket_user = "0";
	return 0;
}

const struct compat compat_kfcgi = {
	.name = "kfcgi",
	.options = {
		.list = table, .n = sizeof(table) / sizeof(table[0]),
		.anywhere = true,
		.usage = "kfcgi [options] -- /path/in/jail [argument ...]",
	},
	.defaults = kfcgi_defaults,
	.finish = kfcgi_finish,
};
