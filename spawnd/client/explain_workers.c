/* SPDX-License-Identifier: ISC */
/* Do the workers of a pool start, stay and end as they should? */
#include <string.h>

#include "base/base.h"
#include "client/client.h"
#include "client/explain.h"
#include "proto/proto.h"

#define MINUTE		60	/* that "recent" tells of, */
#define REMEMBERED	16	/* up to that */

/* The last failure of a kind, unless it is older than that; or NULL. */
static const struct proto_record *
find_failure(const struct reply *a, const char *kind, double age)
{
	const struct proto_record *r;
	double ago;
	size_t i = 0;

	while ((r = reply_next(a, "failure", &i)) != NULL) {
		if (proto_is(r, "of", kind))
			return proto_get_number(r, "ago", &ago) &&
			    ago <= age ? r : NULL;
	}
	return NULL;
}

/* "worker 812 exited with status 1 after 0.02 s (3.10 s ago)" */
struct words {
	char		 ago[32];
	char		 what[2 * SHOW_SIZE];
	char		 said[2 * SHOW_SIZE];
};

static struct words *
tell_failure(const struct proto_record *r, struct words *w)
{
	char text[SHOW_SIZE];
	double ago = 0;

	proto_get_number(r, "ago", &ago);
	reply_span(ago, w->ago);
	if (proto_get(r, "pid") != NULL)
		snprintf(w->what, sizeof(w->what), "worker %s ",
		    reply_show(r, "pid", text));
	else
		strlcpy(w->what, "a worker ", sizeof(w->what));
	strlcat(w->what, reply_show(r, "what", text), sizeof(w->what));
	if (proto_get(r, "said") != NULL)
		snprintf(w->said, sizeof(w->said), " Its last words: %s",
		    reply_show(r, "said", text));
	else
		strlcpy(w->said, " The log has what it wrote.",
		    sizeof(w->said));
	return w;
}

/* The next start of those that wait for one; -1: none does. */
static double
next_start(const struct reply *a)
{
	const struct proto_record *r;
	double due, first = -1;
	size_t i = 0;

	while ((r = reply_next(a, "worker", &i)) != NULL) {
		if (proto_get_number(r, "start_in", &due) && (first < 0 ||
		    due < first))
			first = due;
	}
	return first;
}

static void
explain_crashes(struct explain *x)
{
	double backoff = reply_value(x->a, "workers", "backoff", 0);
	double ready = reply_value(x->a, "workers", "ready", 0);
	double due = next_start(x->a), recent = 0;
	const struct proto_record *r;
	char next[64] = "", span[32];
	const char *at_least = "";
	struct words w;

	r = find_failure(x->a, "worker", backoff > 0 ? 1e9 : MINUTE);
	if (r == NULL && backoff == 0)
		return;
	if (r != NULL) {
		proto_get_number(r, "recent", &recent);
		at_least = recent >= REMEMBERED ? "At least " : "";
		tell_failure(r, &w);
	}
	if (due >= 0)
		snprintf(next, sizeof(next), " The next start is in %s.",
		    reply_span(due, span));
	if (r == NULL)
		explain_fault(x, "%.0f worker%s ended too soon and wait%s to "
		    "be started again.%s The log says how they ended.",
		    backoff, backoff == 1 ? "" : "s", backoff == 1 ? "s" : "",
		    next);
	else if (backoff > 0)
		explain_fault(x, "Workers do not stay: %.0f wait%s to be "
		    "started again, %.0f %s ready. %s%.0f failed within the "
		    "last minute. The last one, %s ago: %s.%s%s%s Repair the "
		    "program or what it needs; spawnd goes on trying.",
		    backoff, backoff == 1 ? "s" : "", ready,
		    ready == 1 ? "is" : "are", at_least, recent, w.ago,
		    w.what, w.said,
		    w.said[strlen(w.said) - 1] == '.' ? "" : ".", next);
	else
		explain_fault(x, "%s%.0f worker%s failed within the last "
		    "minute, the last one %s ago: %s.%s", at_least, recent,
		    recent == 1 ? "" : "s", w.ago, w.what, w.said);
}

static void
explain_reload(struct explain *x)
{
	const struct proto_record *r = find_failure(x->a, "reload", 1e9);
	struct words w;

	if (r != NULL)
		explain_fault(x, "The last reload failed, %s ago, and the old "
		    "workers stay: %s.%s Repair that, and reload again.",
		    tell_failure(r, &w)->ago, w.what, w.said);
}

static void
explain_requests(struct explain *x)
{
	double left = reply_value(x->a, "connections", "left", 0);
	const struct proto_record *r;
	struct words w;

	r = find_failure(x->a, "lost", EXPLAIN_LATELY);
	if (r != NULL)
		explain_fault(x, "A request was lost %s ago: %s when it had "
		    "to go. If requests may take that long, raise "
		    "--stop-timeout.", tell_failure(r, &w)->ago, w.what);
	r = find_failure(x->a, "timeout", EXPLAIN_LATELY);
	if (r != NULL)
		explain_fault(x, "A request was ended by --request-timeout %s "
		    "ago: %s. Find out what it waited for, or allow more "
		    "time.", tell_failure(r, &w)->ago, w.what);
	if (left > 0)
		explain_fault(x, "%.0f connection%s of requests that "
		    "--request-timeout has ended %s still open: programs "
		    "that those requests started hold %s.", left,
		    left == 1 ? "" : "s", left == 1 ? "is" : "are",
		    left == 1 ? "it" : "them");
}

static void
explain_worker(struct explain *x, const struct proto_record *r)
{
	double age = 0, busy = 0;
	char pid[SHOW_SIZE], span[32];

	proto_get_number(r, "age", &age);
	proto_get_number(r, "busy", &busy);
	reply_show(r, "pid", pid);
	if (proto_is(r, "state", "starting") && age > EXPLAIN_SLOW)
		explain_fault(x, "Worker %s has been starting for %s: it does "
		    "not wait for connections of its listen socket "
		    "(descriptor 0) yet.", pid, reply_span(age, span));
	else if ((proto_is(r, "state", "retiring") || proto_is(r, "state",
	    "stopping")) && busy > EXPLAIN_HELD)
		explain_fault(x, "Worker %s is to go, but has held a "
		    "connection for %s. A reload, a stop or the next size of "
		    "the pool waits for it.", pid, reply_span(busy, span));
	else if (proto_get(r, "orphan") != NULL && age > EXPLAIN_SLOW)
		explain_fault(x, "Process %s was left behind by a worker that "
		    "has ended, and serves on. A program that ends its master "
		    "process has to end its children too.", pid);
}

void
explain_workers(struct explain *x)
{
	const struct proto_record *r;
	struct words w;
	size_t i = 0;

	explain_crashes(x);
	explain_reload(x);
	explain_requests(x);
	r = find_failure(x->a, "size", EXPLAIN_LATELY);
	if (r != NULL)
		explain_fault(x, "Workers exceed --max-rss as soon as they "
		    "serve (seen %s ago), and are replaced again and again: "
		    "raise it to what the program needs.",
		    tell_failure(r, &w)->ago);
	while ((r = reply_next(x->a, "worker", &i)) != NULL)
		explain_worker(x, r);
}
