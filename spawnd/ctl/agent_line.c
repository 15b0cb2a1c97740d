/* SPDX-License-Identifier: ISC */
/*
 * HAProxy's agent-check protocol: words in one line. "ready" and "drain" set
 * the administrative state, "up", "down" and "fail" the operational one, "N%"
 * the weight and "maxconn:N" how many connections there may be. What is not
 * said stays as it was, so whatever is taken away is given back with "ready
 * up". Behind a # stands a reason, for people.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "ctl/agent.h"
#include "proto/proto.h"

#define REASON	120		/* bytes of it, with the NUL */

static void
say_why(const char *word, const char *why, char line[AGENT_LINE])
{
	char text[REASON];

	text_escape(text, sizeof(text), why, strlen(why), true);
	snprintf(line, AGENT_LINE, "%s #%s\n", word, text);
}

/* Are requests served, now or as soon as a worker is free? */
static bool
serves(const struct reply *a)
{
	return reply_value(a, "pool", "target", 0) == 0 ||
	    reply_value(a, "workers", "ready", 0) +
	    reply_value(a, "workers", "retiring", 0) > 0;
}

/* How many connections a worker serves at once; 0: that is not known. */
static double
find_each(const struct reply *a, int each)
{
	double children = reply_value(a, "pool", "children", 0);

	if (each != -1)
		return each;
	return children > 0 ? children : 1;
}

/*
 * An adaptive pool counts at its largest: what it lacks is started when it is
 * needed. Those that fail cannot be counted on.
 *
 * The weight falls by a quarter only. Several balancers that follow the idle
 * share itself, which is old when they know it, turn together to whoever was
 * idle, and away again when he is full. With a half they still do so above 0.7
 * of the load, with a quarter hardly below 0.9 (tests/sim/balancer_sim.c).
 */
static void
say_load(const struct reply *a, int each, char line[AGENT_LINE])
{
	double n = find_each(a, each), busy, idle;
	double all = reply_value(a, "pool", "max", 0) * n;
	int percent = 100;

	if (all < 1) {
		strlcpy(line, "ready up\n", AGENT_LINE);
		return;
	}
	if (reply_number(a, "connections", "now", &busy)) {
		idle = all - busy - reply_value(a, "queue", "now", 0) -
		    n * reply_value(a, "workers", "backoff", 0);
		percent = AGENT_LEAST;
		if (idle > 0)
			percent += (int)((100 - AGENT_LEAST) * idle / all);
	}
	snprintf(line, AGENT_LINE, "ready up %d%% maxconn:%.0f\n", percent,
	    all);
}

void
agent_line_serving(const struct reply *a, int each, char line[AGENT_LINE])
{
	const struct proto_record *l = reply_find(a, "listener");
	const char *state = proto_get(reply_find(a, "pool"), "state");
	const char *reachable = proto_get(l, "reachable");
	const char *why = proto_get(l, "why");

	if (state == NULL)
		say_why("fail", "the answer of the pool lacks its state",
		    line);
	else if (strcmp(state, "draining") == 0 ||
	    strcmp(state, "stopping") == 0)
		strlcpy(line, "drain\n", AGENT_LINE);
	else if (strcmp(state, "starting") == 0)
		say_why("down", "the pool is starting", line);
	else if (reachable != NULL && strcmp(reachable, "yes") != 0)
		say_why("fail", why != NULL ? why : "clients cannot connect",
		    line);
	else if (!serves(a))
		say_why("fail", "no worker is ready", line);
	else
		say_load(a, each, line);
}

/*
 * A supervisor that does not answer in time may be stopped, while its workers
 * serve: nothing is said, and what was known stays.
 */
void
agent_line_failed(const struct err *e, char line[AGENT_LINE])
{
	if (e->status == EX_TEMPFAIL)
		strlcpy(line, "\n", AGENT_LINE);
	else
		say_why(e->status == EX_UNAVAILABLE ? "down" : "fail",
		    e->text, line);
}
