/* SPDX-License-Identifier: ISC */
/* "agent": how a pool is, for a balancer, once or whenever it asks. */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "client/client.h"
#include "ctl/agent.h"
#include "ctl/ctl.h"

static struct agent_conf conf = { .each = -1 };
static const char *pool;
static const char *given;	/* the last of its options that was */

static int
agent_allow(const char *val, size_t len, struct err *e)
{
	char why[NETWORK_WHY];
	struct network *list, n;

	if (network_parse(val, len, &n, why) == -1)
		return err_set(e, EX_USAGE, "--allow: %.*s: %s",
		    NETWORK_SHOWN(len), val, why);
	list = reallocarray(conf.allow, conf.nallow + 1, sizeof(*list));
	if (list == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	conf.allow = list;
	list[conf.nallow++] = n;
	return 0;
}

static int
agent_allow_all(const char *val, struct err *e)
{
	size_t len;

	for (;; val += len + 1) {
		if ((len = strcspn(val, ",")) == 0)
			return err_set(e, EX_USAGE, "--allow: has an empty "
			    "entry (ADDR[/LEN],...)");
		if (agent_allow(val, len, e) == -1)
			return -1;
		if (val[len] == '\0')
			return 0;
	}
}

static int
set_each(const char *val, struct err *e)
{
	const char *why = NULL;

	conf.each = (int)strtonum(val, 0, AGENT_EACH_MAX, &why);
	return why == NULL ? 0 : err_set(e, EX_USAGE, "--each: %s: must be a "
	    "number from 0 to %d", val, AGENT_EACH_MAX);
}

static int
set_listen(const char *val, struct err *e)
{
	(void)e;
	conf.listen = val;
	return 0;
}

static const struct {
	const char	*name;
	int		(*set)(const char *, struct err *);
} options[] = {
	{ "--listen", set_listen }, { "--allow", agent_allow_all },
	{ "--each", set_each },
};

int
agent_option(const char *word, const char *next, struct err *e)
{
	size_t i, len = strcspn(word, "=");
	const char *val = word[len] == '=' ? word + len + 1 : next;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strlen(options[i].name) != len ||
		    strncmp(options[i].name, word, len) != 0)
			continue;
		given = options[i].name;
		if (val == NULL)
			return err_set(e, EX_USAGE, "%s: needs a value",
			    given);
		if (options[i].set(val, e) == -1)
			return -1;
		return val == next ? 2 : 1;
	}
	return 0;
}

const char *
agent_given(void)
{
	return given;
}

static int
agent_ask(char line[AGENT_LINE], struct err *e)
{
	struct reply a = { NULL, 0 };
	struct conn t = { .fd = -1 };
	int r;

	if ((r = choose_open(&t, pool, true, e)) == 0)
		r = conn_ask(&t, "status brief", &a, e);
	if (r == 0)
		agent_line_serving(&a, conf.each, line);
	else
		agent_line_failed(e, line);
	conn_close(&t);
	reply_free(&a);
	return r;
}

static void
ask_again(char line[AGENT_LINE])
{
	struct err e;

	agent_ask(line, &e);
}

/* A pool that is not there, or late, is an answer; no right to ask is none. */
static bool
is_answer(const struct err *e)
{
	return e->status == EX_UNAVAILABLE || e->status == EX_TEMPFAIL;
}

/* By inetd or systemd (Accept=yes), or for whoever wants to see it. */
static int
tell_once(struct err *e)
{
	char line[AGENT_LINE];
	struct stat st;
	int r = agent_ask(line, e);

	if (write(STDOUT_FILENO, line, strlen(line)) !=
	    (ssize_t)strlen(line))
		return err_set(e, EX_IOERR, "cannot write: %s",
		    strerror(errno));
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISSOCK(st.st_mode))
		agent_server_linger(STDOUT_FILENO);
	return r == 0 || is_answer(e) ? 0 : -1;
}

int
agent_run(const char *which, struct err *e)
{
	char line[AGENT_LINE];

	pool = which;
	conn_hurry(AGENT_WAIT);
	if (conf.listen == NULL && conf.nallow > 0)
		return err_set(e, EX_USAGE, "--allow: needs --listen");
	if (conf.listen == NULL)
		return tell_once(e);
	/* What no wait will cure is said now, and not to the balancer alone. */
	if (agent_ask(line, e) == -1 && !is_answer(e))
		return -1;
	return agent_server_run(&conf, ask_again, e);
}
