/* SPDX-License-Identifier: ISC */
/*
 * A parser of command lines (getopt_long(3) would accept abbreviated names),
 * and the functions that most entries of a table use.
 */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "config/config.h"
#include "config/option.h"

static void *
member(struct conf *c, const struct option *o)
{
	return (char *)c + o->member;
}

int
option_string(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	if (val[0] == '\0')
		return err_set(e, EX_USAGE, "%s: must not be empty", opt);
	*(const char **)member(c, o) = val;
	return 0;
}

int
option_true(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	(void)opt;
	(void)val;
	(void)e;
	*(bool *)member(c, o) = true;
	return 0;
}

int
option_number(struct conf *c, const struct option *o, const char *opt,
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

int
option_octal(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	size_t n = strspn(val, "01234567");

	if (n == 0 || n > 4 || val[n] != '\0' || strtol(val, NULL, 8) > 0777)
		return err_set(e, EX_USAGE, "%s: %s: not an octal mode (000 "
		    "to 777)", opt, val);
	*(int *)member(c, o) = (int)strtol(val, NULL, 8);
	return 0;
}

int
option_yesno(struct conf *c, const struct option *o, const char *opt,
    const char *val, struct err *e)
{
	if (strcmp(val, "yes") != 0 && strcmp(val, "no") != 0)
		return err_set(e, EX_USAGE, "%s: %s: must be yes or no", opt,
		    val);
	*(bool *)member(c, o) = val[0] == 'y';
	return 0;
}

int
option_signal(struct conf *c, const struct option *o, const char *opt,
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
			return err_set(e, EX_USAGE, "%s: %s: this signal "
			    "cannot ask a worker to stop", opt, val);
	}
	*(int *)member(c, o) = signo;
	return 0;
}

static void
call_option(struct conf *c, size_t member, const char *as, bool typed)
{
	size_t i;

	for (i = 0; i < c->ncalled && c->called[i].member != member; i++)
		continue;
	if (member == 0 || i == CALLED_MAX)
		return;
	if (i == c->ncalled)
		c->ncalled++;
	c->called[i].member = member;
	c->called[i].borrowed = false;
	c->called[i].typed = typed;
	strlcpy(c->called[i].as, as, sizeof(c->called[i].as));
}

void
option_call(struct conf *c, size_t member, const char *as)
{
	call_option(c, member, as, false);
}

void
option_call_all(struct conf *c, const struct options *os)
{
	char as[CALLED_SIZE];
	size_t i;

	for (i = 0; i < os->n; i++) {
		const struct option *o = &os->list[i];

		if (o->flag != 0)
			snprintf(as, sizeof(as), "-%c", o->flag);
		else
			snprintf(as, sizeof(as), "--%s", o->name);
		option_call(c, o->member, as);
	}
}

const char *
option_called(const struct conf *c, size_t member)
{
	size_t i;

	for (i = 0; i < c->ncalled; i++) {
		if (c->called[i].member == member)
			return c->called[i].as;
	}
	return "option";	/* no table has it */
}

bool
option_is_typed(const struct conf *c, size_t member)
{
	size_t i;

	for (i = 0; i < c->ncalled; i++) {
		if (c->called[i].member == member)
			return c->called[i].typed;
	}
	return false;
}

bool
option_exists(const struct conf *c, size_t member)
{
	size_t i;

	for (i = 0; i < c->ncalled; i++) {
		if (c->called[i].member == member)
			return !c->called[i].borrowed;
	}
	return false;
}

void
option_borrow(struct conf *c)
{
	size_t i;

	for (i = 0; i < c->ncalled; i++)
		c->called[i].borrowed = true;
}

static const struct option *
find_letter(const struct options *os, char c)
{
	size_t i;

	for (i = 0; i < os->n; i++) {
		if (os->list[i].flag == c && c != 0)
			return &os->list[i];
	}
	return NULL;
}

static const struct option *
find_name(const struct options *os, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < os->n; i++) {
		const struct option *o = &os->list[i];

		if (o->name != NULL && strlen(o->name) == len &&
		    strncmp(o->name, s, len) == 0)
			return o;
	}
	return NULL;
}

/* --name, --name=value or --name value. Returns the words used, or -1. */
static int
parse_long(struct conf *c, const struct options *os, char *const word[],
    struct err *e)
{
	const char *s = word[0] + 2;
	size_t len = strcspn(s, "=");
	const struct option *o = find_name(os, s, len);
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
	call_option(c, o->member, opt, true);
	return o->set(c, o, opt, val, e) == -1 ? -1 : used;
}

/* -x, -xyz, -xvalue or -x value. Returns the words used, or -1. */
static int
parse_letters(struct conf *c, const struct options *os, char *const word[],
    struct err *e)
{
	const struct option *o;
	const char *s, *val;
	char opt[3] = "-";
	int used = 1;

	for (s = word[0] + 1; *s != '\0'; s++) {
		opt[1] = *s;
		if ((o = find_letter(os, *s)) == NULL)
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
		call_option(c, o->member, opt, true);
		if (o->set(c, o, opt, val, e) == -1)
			return -1;
		if (val != NULL)
			break;
	}
	return used;
}

int
option_parse(struct conf *c, const struct options *os, int argc,
    char *argv[], struct err *e)
{
	int i = 1, used, n = 1;

	option_call_all(c, os);
	while (i < argc && strcmp(argv[i], "--") != 0) {
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			if (!os->anywhere)
				break;
			argv[n++] = argv[i++];	/* n <= i */
			continue;
		}
		if (argv[i][1] == '-')
			used = parse_long(c, os, argv + i, e);
		else
			used = parse_letters(c, os, argv + i, e);
		if (used == -1)
			return -1;
		i += used;
	}
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	if (n == 1) {
		c->argv = argv + i;
		c->argc = argc - i;
		return 0;
	}
	while (i < argc)
		argv[n++] = argv[i++];
	argv[n] = NULL;
	c->argv = argv + 1;
	c->argc = n - 1;
	return 0;
}

int
option_help(const struct options *os)
{
	char left[48];
	size_t i;

	printf("usage: %s\n\n", os->usage);
	for (i = 0; i < os->n; i++) {
		const struct option *o = &os->list[i];
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

int
option_check(const struct conf *c, const struct options *os, struct err *e)
{
	if (c->command == NULL && c->argc == 0)
		return err_set(e, EX_USAGE, "no application given (%s)",
		    os->usage);
	if (c->command == NULL && c->argv[0][0] == '\0')
		return err_set(e, EX_USAGE, "application: must not be empty");
	if (c->socket != NULL && c->port != 0)
		return err_set(e, EX_USAGE, "%s: %d: a pool has one listen "
		    "socket, and %s %s names another", OPT(c, port), c->port,
		    OPT(c, socket), c->socket);
	return 0;
}
