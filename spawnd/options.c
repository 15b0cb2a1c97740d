/* SPDX-License-Identifier: ISC */
/*
 * The command line: one table, read by a parser of its own, since getopt_long
 * abbreviates names and reorders operands.
 */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <syslog.h>

#include "spawnd.h"

struct option {
	int		 flag;		/* 0: it has a long name only */
	const char	*name;		/* NULL: it has a letter only */
	const char	*arg;		/* what the help calls it; NULL: none */
	int		(*set)(struct conf *, const struct option *,
			    const char *, const char *, struct err *);
	size_t		 member;	/* where set_* puts the value */
	int		 min, max;	/* of set_number */
	const char	*help;
};

typedef int setter(struct conf *, const struct option *, const char *,
    const char *, struct err *);

static void *
member(struct conf *c, const struct option *o)
{
	return (char *)c + o->member;
}

static int
set_string(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	if (val[0] == '\0')
		return err_set(e, EX_USAGE, "%s: must not be empty", opt);
	*(const char **)member(c, o) = val;
	return 0;
}

static int
set_true(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	(void)opt;
	(void)val;
	(void)e;
	*(bool *)member(c, o) = true;
	return 0;
}

static int
set_number(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	const char *digits = val[0] == '-' && o->min < 0 ? val + 1 : val;
	const char *why = "invalid";
	long long n = 0;

	/* strtonum(3) would take blanks and a plus sign. */
	if (isdigit((unsigned char)digits[0]))
		n = strtonum(val, o->min, o->max, &why);
	if (why != NULL)
		return err_set(e, EX_USAGE, "%s: %s: %s (a number from %d to "
		    "%d)", opt, val, why, o->min, o->max);
	*(int *)member(c, o) = (int)n;
	return 0;
}

static int
set_nice(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	c->nice_given = true;
	return set_number(c, o, opt, val, e);
}

/* Bytes, or with K, M or G behind it. */
static int
set_size(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	static const char units[] = "KMG";
	const char *why = "invalid", *unit;
	size_t len = strspn(val, "0123456789");
	char digits[24];
	long long n = 0;
	int shift = 0;

	unit = val[len] != '\0' ? strchr(units, val[len]) : NULL;
	if (unit != NULL)
		shift = 10 * (int)(unit - units + 1);
	if (len > 0 && len < sizeof(digits) &&
	    val[len + (unit != NULL)] == '\0') {
		memcpy(digits, val, len);
		digits[len] = '\0';
		n = strtonum(digits, 0, INT64_MAX >> shift, &why);
	}
	if (why != NULL)
		return err_set(e, EX_USAGE, "%s: %s: %s (a number of bytes, "
		    "or with K, M or G behind it)", opt, val, why);
	*(uint64_t *)member(c, o) = (uint64_t)n << shift;
	return 0;
}

static int
set_octal(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	size_t n = strspn(val, "01234567");

	if (n == 0 || n > 4 || val[n] != '\0' || strtol(val, NULL, 8) > 0777)
		return err_set(e, EX_USAGE, "%s: %s: not an octal mode (000 "
		    "to 777)", opt, val);
	*(int *)member(c, o) = (int)strtol(val, NULL, 8);
	return 0;
}

static int
set_yesno(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	if (strcmp(val, "yes") != 0 && strcmp(val, "no") != 0)
		return err_set(e, EX_USAGE, "%s: %s: must be yes or no", opt,
		    val);
	*(bool *)member(c, o) = val[0] == 'y';
	return 0;
}

static int
set_signal(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	static const int others[] = { SIGKILL, SIGSTOP, SIGCONT, SIGCHLD,
	    SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH };
	int signo = signame_number(val);
	size_t i;

	if (signo == -1)
		return err_set(e, EX_USAGE, "%s: %s: no such signal (a name "
		    "such as TERM or USR1, or a number)", opt, val);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (signo == others[i])
			return err_set(e, EX_USAGE, "%s: %s: cannot ask a "
			    "worker to stop", opt, val);
	}
	*(int *)member(c, o) = signo;
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
	return set_string(c, o, opt, val, e);
}

static int
add_env(struct conf *c, int kind, const char *text, struct err *e)
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
	return set_string(c, o, opt, val, e);
}

static int
set_facility(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	(void)o;
	if ((c->facility = syslog_facility(val)) == -1)
		return err_set(e, EX_USAGE, "%s: %s: no such facility (as "
		    "daemon, user, local0)", opt, val);
	return 0;
}

#define MEMBER(m)	offsetof(struct conf, m)

static const struct option table[] = {
	{ 's', "socket", "PATH", set_string, MEMBER(socket), 0, 0,
	    "unix socket, inside the chroot unless -S" },
	{ 'S', "socket-before-chroot", NULL, set_true,
	    MEMBER(socket_outside), 0, 0, "PATH is outside the chroot" },
	{ 'M', "socket-mode", "OCTAL", set_octal, MEMBER(socket_mode), 0, 0,
	    "mode of the socket (0660)" },
	{ 'U', "socket-user", "USER", set_string, MEMBER(socket_user), 0, 0,
	    "owner of the socket (-u's)" },
	{ 'G', "socket-group", "GROUP", set_string, MEMBER(socket_group), 0,
	    0, "group of the socket (-U's, else -g's)" },
	{ 'p', "port", "N", set_number, MEMBER(port), 1, 65535,
	    "TCP port instead of a unix socket" },
	{ 'a', "address", "ADDR", set_string, MEMBER(address), 0, 0,
	    "IPv4 or IPv6 address for -p (127.0.0.1)" },
	{ 'b', "backlog", "N", set_number, MEMBER(backlog), 1, BACKLOG_MAX,
	    "connections that may wait (1024)" },
	{ 'c', "chroot", "DIR", set_string, MEMBER(chroot), 0, 0,
	    "root directory of supervisor and workers" },
	{ 'u', "user", "USER", set_string, MEMBER(user), 0, 0,
	    "who supervisor and workers become" },
	{ 'g', "group", "GROUP", set_string, MEMBER(group), 0, 0,
	    "their group (-u's)" },
	{ 'd', "chdir", "DIR", set_string, MEMBER(chdir), 0, 0,
	    "working directory of the workers (/)" },
	{ 'F', "workers", "N", set_number, MEMBER(workers), 1, WORKERS_MAX,
	    "size of the pool (4; 1 with PHP children)" },
	{ 'C', "php-children", "N", set_number, MEMBER(php_children), 0,
	    WORKERS_MAX, "set PHP_FCGI_CHILDREN" },
	{ 'e', "env", "NAME[=VALUE]", set_env, 0, 0, 0,
	    "pass a variable on (patterns too), or set it" },
	{ 0, "env-file", "FILE", set_env_file, 0, 0, 0,
	    "set the variables of FILE's NAME=VALUE lines" },
	{ 'P', "pidfile", "FILE", set_string, MEMBER(pidfile), 0, 0,
	    "of the supervisor, and locked" },
	{ 'n', "foreground", NULL, set_true, MEMBER(foreground), 0, 0,
	    "no daemon; log to standard error" },
	{ 'f', "command", "STRING", set_string, MEMBER(command), 0, 0,
	    "application by way of /bin/sh (deprecated)" },
	{ 't', "test", "[=strict]", set_test, 0, 0, 0,
	    "check everything, start nothing" },
	{ 0, "name", "NAME", set_name, MEMBER(name), 0, 0,
	    "name of the pool (the application's)" },
	{ 0, "log", "syslog|stderr|FILE", set_log, MEMBER(log), 0, 0,
	    "where to log (syslog; -n: stderr)" },
	{ 0, "syslog-facility", "NAME", set_facility, 0, 0, 0,
	    "what goes to syslog is (daemon)" },
	{ 0, "worker-log", "prefix|raw|none", set_worker_log, 0, 0, 0,
	    "form of the workers' output (prefix)" },
	{ 0, "umask", "OCTAL", set_octal, MEMBER(umask), 0, 0,
	    "umask of the workers (022)" },
	{ 0, "nice", "N", set_nice, MEMBER(nice), -20, 19,
	    "nice value of the workers (as it is)" },
	{ 0, "rlimit", "NAME=SOFT[:HARD]", add_limit, 0, 0, 0,
	    "resource limit of the workers" },
	{ 0, "no-new-privs", "yes|no", set_yesno, MEMBER(no_new_privs), 0, 0,
	    "forbid set-id programs to the workers (yes)" },
	{ 0, "start-timeout", "SEC", set_number, MEMBER(start_timeout), 1,
	    TIMEOUT_MAX, "time a worker has to become ready (60)" },
	{ 0, "keep-idle", "SEC", set_number, MEMBER(keep_idle), 0,
	    TIMEOUT_MAX, "when a kept-open connection is idle (5)" },
	{ 0, "max-age", "SEC", set_number, MEMBER(max_age), 0, AGE_MAX,
	    "replace a worker that is older (never)" },
	{ 0, "max-rss", "SIZE", set_size, MEMBER(max_rss), 0, 0,
	    "replace a worker that is larger (never)" },
	{ 0, "request-timeout", "SEC", set_number, MEMBER(request_timeout), 0,
	    TIMEOUT_MAX, "end a worker at one request longer (never)" },
	{ 0, "stop-signal", "SIG", set_signal, MEMBER(stop_signal), 0, 0,
	    "asks a worker to stop (TERM)" },
	{ 0, "stop-timeout", "SEC", set_number, MEMBER(stop_timeout), 0,
	    TIMEOUT_MAX, "time it has before KILL (30)" },
	{ 'v', "version", NULL, set_true, MEMBER(version), 0, 0,
	    "print the version" },
	{ 'h', "help", NULL, set_true, MEMBER(help), 0, 0,
	    "print this" },
	{ '?', NULL, NULL, set_true, MEMBER(help), 0, 0,
	    "print this" },
};

#define NOPTIONS	(sizeof(table) / sizeof(table[0]))

static const struct option *
find_letter(char c)
{
	size_t i;

	for (i = 0; i < NOPTIONS; i++) {
		if (table[i].flag == c && c != 0)
			return &table[i];
	}
	return NULL;
}

static const struct option *
find_name(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < NOPTIONS; i++) {
		if (table[i].name != NULL && strlen(table[i].name) == len &&
		    strncmp(table[i].name, s, len) == 0)
			return &table[i];
	}
	return NULL;
}

/* --name, --name=value or --name value. Returns the words used, or -1. */
static int
parse_long(struct conf *c, char *const word[], struct err *e)
{
	const char *s = word[0] + 2;
	size_t len = strcspn(s, "=");
	const struct option *o = find_name(s, len);
	const char *val = s[len] == '=' ? s + len + 1 : NULL;
	char opt[64];
	int used = 1;

	snprintf(opt, sizeof(opt), "--%.*s", (int)len, s);
	if (o == NULL)
		return err_set(e, EX_USAGE, "%s: no such option (-h lists "
		    "them)", opt);
	if (o->arg == NULL && val != NULL)
		return err_set(e, EX_USAGE, "%s: takes no value", opt);
	if (o->arg != NULL && o->arg[0] != '[' && val == NULL) {
		if ((val = word[used++]) == NULL)
			return err_set(e, EX_USAGE, "%s: needs a value (%s)",
			    opt, o->arg);
	}
	return o->set(c, o, opt, val, e) == -1 ? -1 : used;
}

/* -x, -xyz, -xvalue or -x value. Returns the words used, or -1. */
static int
parse_letters(struct conf *c, char *const word[], struct err *e)
{
	const struct option *o;
	const char *s, *val;
	char opt[3] = "-";
	int used = 1;

	for (s = word[0] + 1; *s != '\0'; s++) {
		opt[1] = *s;
		if ((o = find_letter(*s)) == NULL)
			return err_set(e, EX_USAGE, "%s: no such option (-h "
			    "lists them)", opt);
		val = NULL;
		if (o->arg != NULL && o->arg[0] == '[' && s[1] == '=')
			val = s + 2;
		else if (o->arg != NULL && o->arg[0] != '[') {
			val = s[1] != '\0' ? s + 1 : word[used++];
			if (val == NULL)
				return err_set(e, EX_USAGE, "%s: needs a "
				    "value (%s)", opt, o->arg);
		}
		if (o->set(c, o, opt, val, e) == -1)
			return -1;
		if (val != NULL)
			break;
	}
	return used;
}

/* What no single option can see: which of them go together. */
static int
check_together(const struct conf *c, struct err *e)
{
	if (c->socket != NULL && c->port != 0)
		return err_set(e, EX_USAGE, "-p: %d: a pool has one listen "
		    "socket, and -s %s names another", c->port, c->socket);
	if (c->address != NULL && c->port == 0)
		return err_set(e, EX_USAGE, "-a: %s: needs a port (-p)",
		    c->address);
	if (c->port != 0 && (c->socket_mode != -1 || c->socket_user != NULL ||
	    c->socket_group != NULL || c->socket_outside))
		return err_set(e, EX_USAGE, "%s: a TCP socket (-p) has no "
		    "owner, mode or place", c->socket_mode != -1 ? "-M" :
		    c->socket_user != NULL ? "-U" :
		    c->socket_group != NULL ? "-G" : "-S");
	if (c->socket_outside && c->socket == NULL)
		return err_set(e, EX_USAGE, "-S: needs a socket (-s)");
	if (c->command != NULL && c->argc > 0)
		return err_set(e, EX_USAGE, "%s: an application is given with "
		    "-f already", c->argv[0]);
	if (c->command == NULL && c->argc == 0)
		return err_set(e, EX_USAGE, "no application given (spawnd "
		    "[options] -- /path/to/application [argument ...])");
	if (c->command == NULL && c->argv[0][0] == '\0')
		return err_set(e, EX_USAGE, "application: must not be empty");
	if (c->command == NULL && strchr(c->argv[0], '/') == NULL)
		return err_set(e, EX_USAGE, "%s: needs a path with a slash "
		    "(PATH is not searched)", c->argv[0]);
	return 0;
}

int
options_parse(struct conf *c, int argc, char *argv[], struct err *e)
{
	int i = 1, used;

	*c = (struct conf){ .socket_mode = -1, .facility = LOG_DAEMON,
	    .workers = -1, .php_children = -1, .umask = UMASK_DEFAULT,
	    .no_new_privs = true, .start_timeout = START_TIMEOUT,
	    .stop_timeout = STOP_TIMEOUT, .stop_signal = SIGTERM,
	    .keep_idle = KEEP_IDLE };
	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (argv[i][1] == '-')
			used = parse_long(c, argv + i, e);
		else
			used = parse_letters(c, argv + i, e);
		if (used == -1)
			return -1;
		i += used;
	}
	c->argv = argv + i;
	c->argc = argc - i;
	if (c->help || c->version)
		return 0;
	return check_together(c, e);
}

void
options_free(struct conf *c)
{
	free(c->env);
	c->env = NULL;
}

int
options_help(void)
{
	char left[48];
	size_t i;

	printf("usage: spawnd [options] -- /path/to/application "
	    "[argument ...]\n\n");
	for (i = 0; i < NOPTIONS; i++) {
		const struct option *o = &table[i];
		char letter[5] = "    ";

		if (o->flag != 0)
			snprintf(letter, sizeof(letter), "-%c%s", o->flag,
			    o->name != NULL ? ", " : "");
		snprintf(left, sizeof(left), "%s%s%s%s%s", letter,
		    o->name != NULL ? "--" : "",
		    o->name != NULL ? o->name : "",
		    o->arg != NULL && o->arg[0] != '[' ? " " : "",
		    o->arg != NULL ? o->arg : "");
		printf("  %-32s %s\n", left, o->help);
	}
	return fflush(stdout) == EOF || ferror(stdout) ? -1 : 0;
}
