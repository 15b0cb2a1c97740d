/* SPDX-License-Identifier: ISC */
/* The command line of spawnd: its table, and which options go together. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "config/config.h"
#include "config/option.h"
#include "config/phases.h"

static int
set_nice(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	c->nice_given = true;
	return option_number(c, o, opt, val, e);
}

static int
set_confine(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	c->confine_given = true;
	return option_yesno(c, o, opt, val, e);
}

static int
set_bytes(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	uint64_t *size = (uint64_t *)((char *)c + o->member);

	if (text_size(val, strlen(val), size) == -1)
		return err_set(e, EX_USAGE, "%s: %s: not a size (digits, then "
		    "K, M, G or nothing)", opt, val);
	return 0;
}

static int
set_name(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	size_t i;

	for (i = 0; val[i] != '\0'; i++) {
		if (!isalnum((unsigned char)val[i]) &&
		    strchr("._-", val[i]) == NULL)
			break;
	}
	if (val[i] != '\0' || i == 0 || i >= NAME_SIZE ||
	    strcmp(val, ".") == 0 || strcmp(val, "..") == 0)
		return err_set(e, EX_USAGE, "%s: %s: not a name (1 to %d of "
		    "A-Z a-z 0-9 . _ -)", opt, val, NAME_SIZE - 1);
	return option_string(c, o, opt, val, e);
}

static int
add_env(struct conf *c, enum env_kind kind, const char *text, struct err *e)
{
	struct env_rule *rules;

	rules = reallocarray(c->env, c->nenv + 1, sizeof(*rules));
	if (rules == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	c->env = rules;
	rules[c->nenv].kind = kind;
	rules[c->nenv++].text = text;
	return 0;
}

static int
set_env(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	size_t len = strcspn(val, "=");
	bool set = val[len] == '=';

	(void)o;
	if (len == 0 || (set && !env_name_ok(val, len)))
		return err_set(e, EX_USAGE, "%s: %s: not a variable (NAME, a "
		    "pattern of names, or NAME=VALUE)", opt, val);
	if (env_forbidden(val, len))
		return err_set(e, EX_USAGE, "%s: %.*s: is never passed to "
		    "workers", opt, (int)len, val);
	return add_env(c, set ? ENV_SET : ENV_PASS, val, e);
}

static int
add_allowed(struct conf *c, const char *opt, const char *val, size_t len,
    struct err *e)
{
	char why[NETWORK_WHY];
	struct network *list, n;

	if (network_parse(val, len, &n, why) == -1)
		return err_set(e, EX_USAGE, "%s: %.*s: %s", opt,
		    NETWORK_SHOWN(len), val, why);
	list = reallocarray(c->allow, c->nallow + 1, sizeof(*list));
	if (list == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	c->allow = list;
	list[c->nallow++] = n;
	return 0;
}

static int
set_allow(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	const char *s;
	size_t len;

	(void)o;
	for (s = val;; s += len + 1) {
		if ((len = strcspn(s, ",")) == 0)
			return err_set(e, EX_USAGE, "%s: %s: has an empty "
			    "entry (ADDR[/LEN],...)", opt, val);
		if (add_allowed(c, opt, s, len, e) == -1)
			return -1;
		if (s[len] == '\0')
			return 0;
	}
}

static int
set_env_file(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	(void)o;
	if (val[0] == '\0')
		return err_set(e, EX_USAGE, "%s: must not be empty", opt);
	return add_env(c, ENV_FILE, val, e);
}

static int
add_limit(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	struct limit l;
	size_t i;

	(void)o;
	if (limit_parse(opt, val, &l, e) == -1)
		return -1;
	for (i = 0; i < c->nlimits; i++) {
		if (c->limits[i].resource == l.resource)
			break;		/* the last one wins */
	}
	if (i == c->nlimits)
		c->nlimits++;
	c->limits[i] = l;
	return 0;
}

static int
set_test(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	(void)o;
	if (val != NULL && strcmp(val, "strict") != 0)
		return err_set(e, EX_USAGE, "%s: %s: only =strict is known",
		    opt, val);
	c->test = val != NULL ? TEST_STRICT : TEST_YES;
	return 0;
}

static int
set_takeover(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	(void)o;
	if (val != NULL && strcmp(val, "changed") != 0)
		return err_set(e, EX_USAGE, "%s: %s: only =changed is known",
		    opt, val);
	c->takeover = val != NULL ? TAKE_OVER_CHANGED : TAKE_OVER_YES;
	return 0;
}

static int
set_worker_log(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	static const char *const names[] = {
		[WORKER_LOG_PREFIX] = "prefix", [WORKER_LOG_RAW] = "raw",
		[WORKER_LOG_NONE] = "none",
	};
	size_t i;

	(void)o;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(val, names[i]) == 0) {
			c->worker_log = (enum worker_log)i;
			return 0;
		}
	}
	return err_set(e, EX_USAGE, "%s: %s: must be prefix, raw or none",
	    opt, val);
}

static int
set_log(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	if (strcmp(val, "syslog") != 0 && strcmp(val, "stderr") != 0 &&
	    strchr(val, '/') == NULL)
		return err_set(e, EX_USAGE, "%s: %s: must be syslog, stderr "
		    "or a file's path with a slash", opt, val);
	return option_string(c, o, opt, val, e);
}

static int
set_control(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	if (strcmp(val, "none") != 0 && strchr(val, '/') == NULL)
		return err_set(e, EX_USAGE, "%s: %s: must be none or a "
		    "directory's path with a slash", opt, val);
	return option_string(c, o, opt, val, e);
}

static int
set_facility(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	if (syslog_facility(val) == -1)
		return err_set(e, EX_USAGE, "%s: %s: no such facility "
		    "(such as daemon, user or local0)", opt, val);
	return option_string(c, o, opt, val, e);
}

static const struct option table[] = {
	{ 's', "socket", "PATH", option_string, MEMBER(socket), 0, 0,
	    "unix socket, inside the chroot unless -S" },
	{ 'S', "socket-before-chroot", NULL, option_true,
	    MEMBER(socket_outside), 0, 0, "PATH is outside the chroot" },
	{ 'M', "socket-mode", "OCTAL", option_octal, MEMBER(socket_mode), 0, 0,
	    "mode of the socket (0660)" },
	{ 'U', "socket-user", "USER", option_string, MEMBER(socket_user), 0, 0,
	    "owner of the socket (-u's user)" },
	{ 'G', "socket-group", "GROUP", option_string, MEMBER(socket_group), 0,
	    0, "group of the socket (-U's, else -g's)" },
	{ 'p', "port", "N", option_number, MEMBER(port), 1, 65535,
	    "TCP port instead of a unix socket" },
	{ 'a', "address", "ADDR", option_string, MEMBER(address), 0, 0,
	    "address for -p, or * for all (127.0.0.1)" },
	{ 0, "allow", "ADDR[/LEN],...", set_allow, MEMBER(allow), 0, 0,
	    "let only these web servers connect to -p" },
	{ 'b', "backlog", "N", option_number, MEMBER(backlog), 1, BACKLOG_MAX,
	    "connections that may wait (1024)" },
	{ 'c', "chroot", "DIR", option_string, MEMBER(chroot), 0, 0,
	    "root directory of supervisor and workers" },
	{ 'u', "user", "USER", option_string, MEMBER(user), 0, 0,
	    "user of the supervisor and the workers" },
	{ 'g', "group", "GROUP", option_string, MEMBER(group), 0, 0,
	    "their group (-u's)" },
	{ 'd', "chdir", "DIR", option_string, MEMBER(chdir), 0, 0,
	    "working directory of the workers (/)" },
	{ 'F', "workers", "N", option_number, MEMBER(workers), 0, WORKERS_MAX,
	    "size of the pool (4; 1 with PHP children)" },
	{ 'N', "max-workers", "N", option_number, MEMBER(max_workers), 1,
	    WORKERS_MAX, "start up to N workers on demand (-F)" },
	{ 'w', "idle-timeout", "SEC", option_number, MEMBER(idle_timeout), 1,
	    TIMEOUT_MAX, "with -N: end surplus workers after it (10)" },
	{ 'C', "php-children", "N", option_number, MEMBER(php_children), 0,
	    WORKERS_MAX, "set PHP_FCGI_CHILDREN" },
	{ 'e', "env", "NAME[=VALUE]", set_env, 0, 0, 0,
	    "pass a variable on (patterns too), or set it" },
	{ 0, "env-file", "FILE", set_env_file, 0, 0, 0,
	    "set the variables of FILE's NAME=VALUE lines" },
	{ 'P', "pidfile", "FILE", option_string, MEMBER(pidfile), 0, 0,
	    "pidfile of the supervisor, locked" },
	{ 0, "control", "DIR|none", set_control, MEMBER(control), 0, 0,
	    "directory of the control sockets" },
	{ 0, "status-group", "GROUP", option_string, MEMBER(status_group), 0, 0,
	    "group that may read the status" },
	{ 'n', "foreground", NULL, option_true, MEMBER(foreground), 0, 0,
	    "no daemon; log to standard error" },
	{ 'f', "command", "STRING", option_string, MEMBER(command), 0, 0,
	    "run STRING with /bin/sh (deprecated)" },
	{ 't', "test", "[=strict]", set_test, 0, 0, 0,
	    "check everything, start nothing" },
	{ 0, "replace", "[=changed]", set_takeover, 0, 0, 0,
	    "take over from the pool of this --name" },
	{ 0, "name", "NAME", set_name, MEMBER(name), 0, 0,
	    "name of the pool (the application's)" },
	{ 0, "log", "syslog|stderr|FILE", set_log, MEMBER(log), 0, 0,
	    "where to log (syslog; -n: stderr)" },
	{ 0, "syslog-facility", "NAME", set_facility, MEMBER(facility), 0, 0,
	    "facility for syslog (daemon)" },
	{ 0, "worker-log", "prefix|raw|none", set_worker_log, 0, 0, 0,
	    "form of the workers' output (prefix)" },
	{ 0, "umask", "OCTAL", option_octal, MEMBER(umask), 0, 0,
	    "umask of the workers (022)" },
	{ 0, "nice", "N", set_nice, MEMBER(nice), -20, 19,
	    "nice value of the workers (unchanged)" },
	{ 0, "rlimit", "NAME=SOFT[:HARD]", add_limit, 0, 0, 0,
	    "resource limit of the workers" },
	{ 0, "no-new-privs", "yes|no", option_yesno, MEMBER(no_new_privs), 0,
	    0, "deny set-id programs to the workers (yes)" },
	{ 0, "confine", "yes|no", set_confine, MEMBER(confine), 0, 0,
	    "keep workers off each other and spawnd (yes)" },
	{ 0, "start-timeout", "SEC", option_number, MEMBER(start_timeout), 1,
	    TIMEOUT_MAX, "time a worker has to become ready (60)" },
	{ 0, "keep-idle", "SEC", option_number, MEMBER(keep_idle), 0,
	    TIMEOUT_MAX, "a kept-open connection is idle after it (5)" },
	{ 0, "max-age", "SEC", option_number, MEMBER(max_age), 0, AGE_MAX,
	    "replace a worker that is older (never)" },
	{ 0, "max-rss", "SIZE", set_bytes, MEMBER(max_rss), 0, 0,
	    "replace a worker that is larger (never)" },
	{ 0, "reload-surge", "N", option_number, MEMBER(reload_surge), 1,
	    WORKERS_MAX, "replace N workers at once (a quarter of them)" },
	{ 0, "request-timeout", "SEC", option_number,
	    MEMBER(request_timeout), 0, TIMEOUT_MAX,
	    "end a worker whose request is longer (never)" },
	{ 0, "stop-signal", "SIG", option_signal, MEMBER(stop_signal), 0, 0,
	    "signal that asks a worker to stop (TERM)" },
	{ 0, "stop-timeout", "SEC", option_number, MEMBER(stop_timeout), 0,
	    TIMEOUT_MAX, "time to stop before SIGKILL (30)" },
	{ 0, "drain", "SEC", option_number, MEMBER(drain), 0, TIMEOUT_MAX,
	    "time to announce a stop by SIGTERM (0)" },
	{ 'v', "version", NULL, option_true, MEMBER(version), 0, 0,
	    "print the version" },
	{ 'h', "help", NULL, option_true, MEMBER(help), 0, 0,
	    "print this" },
	{ '?', NULL, NULL, option_true, MEMBER(help), 0, 0,
	    "print this" },
};

_Static_assert(sizeof(table) / sizeof(table[0]) <= CALLED_MAX,
    "every option can be called something");

static const struct options options = {
	.list = table, .n = sizeof(table) / sizeof(table[0]),
	.usage = "spawnd [options] -- /path/to/application [argument ...]",
};

/* Checks which options go together. */
static int
check_together(const struct conf *c, struct err *e)
{
	if (option_check(c, &options, e) == -1)
		return -1;
	if (c->workers == 0 && c->max_workers == -1)
		return err_set(e, EX_USAGE, "%s: 0: needs an upper bound (%s; "
		    "the workers are then started on demand)",
		    OPT(c, workers), OPT(c, max_workers));
	if (c->idle_timeout != -1 && c->max_workers == -1)
		return err_set(e, EX_USAGE, "%s: %d: needs an upper bound "
		    "(%s)", OPT(c, idle_timeout), c->idle_timeout,
		    OPT(c, max_workers));
	if (c->address != NULL && c->port == 0)
		return err_set(e, EX_USAGE, "%s: %s: needs a port (%s)",
		    OPT(c, address), c->address, OPT(c, port));
	if (c->port != 0 && (c->socket_mode != -1 || c->socket_user != NULL ||
	    c->socket_group != NULL || c->socket_outside))
		return err_set(e, EX_USAGE, "%s: a TCP socket (%s) has no "
		    "owner, mode or place", c->socket_mode != -1 ?
		    OPT(c, socket_mode) : c->socket_user != NULL ?
		    OPT(c, socket_user) : c->socket_group != NULL ?
		    OPT(c, socket_group) : OPT(c, socket_outside),
		    OPT(c, port));
	if (c->socket_outside && c->socket == NULL)
		return err_set(e, EX_USAGE, "%s: needs a socket (%s)",
		    OPT(c, socket_outside), OPT(c, socket));
	if (c->confine && c->confine_given && !c->no_new_privs)
		return err_set(e, EX_USAGE, "%s: yes: needs %s yes",
		    OPT(c, confine), OPT(c, no_new_privs));
	if (c->takeover != TAKE_OVER_NO && c->control != NULL &&
	    strcmp(c->control, "none") == 0)
		return err_set(e, EX_USAGE, "--replace: needs the control "
		    "socket of the pool (--control none)");
	if (c->command != NULL && c->argc > 0)
		return err_set(e, EX_USAGE, "%s: the application is already "
		    "given with %s", c->argv[0], OPT(c, command));
	if (c->command == NULL && strchr(c->argv[0], '/') == NULL)
		return err_set(e, EX_USAGE, "%s: needs a path with a slash "
		    "(PATH is not searched)", c->argv[0]);
	return 0;
}

void
options_defaults(struct conf *c)
{
	*c = (struct conf){ .socket_mode = -1, .facility = "daemon",
	    .workers = -1, .max_workers = -1, .idle_timeout = -1,
	    .php_children = -1, .umask = UMASK_DEFAULT,
	    .no_new_privs = true, .confine = true,
	    .start_timeout = START_TIMEOUT,
	    .stop_timeout = STOP_TIMEOUT, .stop_signal = SIGTERM,
	    .keep_idle = KEEP_IDLE };
	option_call_all(c, &options);
}

int
options_parse(struct conf *c, int argc, char *argv[], struct err *e)
{
	options_defaults(c);
	if (option_parse(c, &options, argc, argv, e) == -1)
		return -1;
	if (c->help || c->version)
		return 0;
	return check_together(c, e);
}

void
options_free(struct conf *c)
{
	free(c->env);
	c->env = NULL;
	free(c->allow);
	c->allow = NULL;
}

int
options_help(void)
{
	return option_help(&options);
}
