/* SPDX-License-Identifier: ISC */
/* What does not hold on the system of a pool, and what cannot be seen there. */
#include <string.h>

#include "base/base.h"
#include "client/client.h"
#include "client/explain.h"
#include "proto/proto.h"

static void
explain_limit(struct explain *x, const char *key)
{
	char reason[SHOW_SIZE];

	reply_show(reply_find(x->a, "reasons"), key, reason);
	explain_note(x, "Not in force: %s: %s%s%s%s. %s.", key,
	    reply_meaning(key), reason[0] != '\0' ? " (" : "", reason,
	    reason[0] != '\0' ? ")" : "", reply_follows(key));
}

void
explain_limits(struct explain *x)
{
	const struct proto_record *g = reply_find(x->a, "guarantees");
	const struct proto_record *l = reply_find(x->a, "listener");
	char text[SHOW_SIZE];
	int i;

	for (i = 0; i < g->n; i++) {
		if (strcmp(g->fields[i].value, "no") == 0 &&
		    reply_follows(g->fields[i].key) != NULL)
			explain_limit(x, g->fields[i].key);
	}
	if (proto_get(l, "unseen") != NULL)
		explain_note(x, "What cannot be seen of the listen socket: %s.",
		    reply_show(l, "unseen", text));
}
