/* SPDX-License-Identifier: ISC */
/* Stands in for multiwatch 1.0: copies of a program on one socket. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>

#include "base/base.h"
#include "config/config.h"
#include "config/option.h"

static const struct option table[] = {
	{ 'f', "forks", "N", option_number, MEMBER(workers), 1, WORKERS_MAX,
	    "number of processes (1)" },
	{ 'r', "retry", "N", option_number, MEMBER(unused), 1,
	    INT_MAX, "no effect: no process is ever given up" },
	{ 't', "timeout", "MS", option_number, MEMBER(unused), 0,
	    INT_MAX, "no effect: the pause grows with each failure" },
	{ 's', "signal", "SIG", option_signal, MEMBER(stop_signal), 0, 0,
	    "signal that asks a process to stop (USR1)" },
	{ 'v', "version", NULL, option_true, MEMBER(version), 0, 0,
	    "print the version" },
	{ 'h', "help", NULL, option_true, MEMBER(help), 0, 0, "print this" },
};

static void
multiwatch_defaults(struct conf *c)
{
	c->workers = 1;
	c->foreground = true;
	c->inherited_only = true;
	c->env_base = ENV_WHOLE;
	c->worker_log = WORKER_LOG_INHERIT;
	c->umask = UMASK_KEEP;
	c->no_new_privs = false;
	c->confine = false;
	c->root_stays = true;
	c->cwd_stays = true;
	c->stop_signal = SIGUSR1;
	c->stop_by_any = true;
	c->error_status = 255;
}

const struct compat compat_multiwatch = {
	.name = "multiwatch",
	.options = {
		.list = table, .n = sizeof(table) / sizeof(table[0]),
		.anywhere = true,
		.usage = "multiwatch [options] -- application [argument ...]",
	},
	.defaults = multiwatch_defaults,
};
