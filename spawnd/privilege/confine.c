/* SPDX-License-Identifier: ISC */
/*
 * Confines the workers: they have the user of the supervisor, and of pools
 * that were started with the same -u, and could signal, stop, trace and limit
 * all of these. Two halves do not depend on each other: a domain for each
 * worker keeps its signals and ptrace(2) inside, and one system call filter
 * keeps its calls on limits and priorities to itself.
 */
#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "config/config.h"
#include "observe/observe.h"
#include "privilege/confine.h"
#include "privilege/privilege.h"

static void
apply(struct confinement *c)
{
	if (c->no_scope == NULL && confine_open_scope() == -1)
		c->no_scope = strerror(errno);
	if (c->no_filter == NULL && confine_filter(c->no_scope == NULL) == -1)
		c->no_filter = strerror(errno);
}

int
confine_enter(const struct plan *p, struct guarantees *g, struct err *e)
{
	const struct conf *conf = p->conf;
	struct confinement c = { NULL, NULL };

	g->no_confine_signals = g->no_confine_limits = NULL;
	if (!conf->confine || p->stays_root)
		c.no_scope = c.no_filter = "it was not asked for";
	else if (conf->no_new_privs || g->no_new_privs) {
		confine_try(&c);
		apply(&c);
	} else
		c.no_scope = c.no_filter = "--no-new-privs no";
	g->no_confine_signals = c.no_scope;
	g->no_confine_limits = c.no_filter;
	g->confine_signals = c.no_scope == NULL;
	g->confine_limits = c.no_filter == NULL;
	if (!conf->confine_given || !conf->confine)
		return 0;
	if (!g->confine_signals)
		return err_set(e, EX_OSERR, "%s: yes: workers could still "
		    "signal and trace each other: %s", OPT(conf, confine),
		    c.no_scope);
	if (!g->confine_limits)
		return err_set(e, EX_OSERR, "%s: yes: workers could still "
		    "limit and slow each other: %s", OPT(conf, confine),
		    c.no_filter);
	return 0;
}
