/* SPDX-License-Identifier: ISC */
/* What does not hold on the system of a pool, and what cannot be seen there. */
#include <string.h>

#include "base/base.h"
#include "client/client.h"
#include "client/explain.h"
#include "proto/proto.h"

static const struct {
	const char	*key;
	const char	*meaning;	/* begins a sentence */
	const char	*follows;	/* and ends it */
} limits[] = {
	{ "door", "Tracing is refused here", "so a busy worker gets new "
	    "connections until it ends, and a reload or stop under load may "
	    "lose a request. See RETIRING in spawnd(8)" },
	{ "queue", "The listen queue cannot be seen here", "so nobody knows "
	    "whether connections wait, and -N has no effect" },
	{ "proc", "Processes cannot be looked at here", "so a busy worker "
	    "cannot be told from an idle one" },
	{ "traced_ends", "The end of a worker that another process traces "
	    "is not always seen here", "so it may be replaced late" },
	{ "confine_signals", "Workers can signal or trace each other and "
	    "spawnd", "so one that was broken into can end the rest" },
};

static void
explain_limit(struct explain *x, const char *key, const char *meaning,
    const char *follows)
{
	char reason[SHOW_SIZE];

	reply_show(reply_find(x->a, "reasons"), key, reason);
	explain_note(x, "Not in force: %s. %s%s%s%s, %s.", key, meaning,
	    reason[0] != '\0' ? " (" : "", reason,
	    reason[0] != '\0' ? ")" : "", follows);
}

void
explain_limits(struct explain *x)
{
	const struct proto_record *g = reply_find(x->a, "guarantees");
	const struct proto_record *l = reply_find(x->a, "listener");
	const char *value;
	char text[SHOW_SIZE];
	size_t i;

	value = proto_get(g, "only_allowed");
	if (value != NULL && strcmp(value, "no") == 0)
		explain_note(x, "Not in force: only_allowed. Any host that "
		    "reaches the address can connect: a packet filter, or "
		    "--allow, keeps the others away.");
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		value = proto_get(g, limits[i].key);
		if (value != NULL && strcmp(value, "no") == 0)
			explain_limit(x, limits[i].key, limits[i].meaning,
			    limits[i].follows);
	}
	if (proto_get(l, "unseen") != NULL)
		explain_note(x, "Of the listen socket cannot be seen: %s.",
		    reply_show(l, "unseen", text));
}
