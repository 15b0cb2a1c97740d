/* SPDX-License-Identifier: ISC */
/* As records: what is guaranteed, and what went wrong last. */
#include "base/base.h"
#include "config/config.h"
#include "control/server.h"
#include "observe/observe.h"
#include "proto/proto.h"
#include "run/run.h"

static const struct plan *plan;
static const struct guarantees *guarantees;

void
facts_init(const struct plan *p, const struct guarantees *g)
{
	plan = p;
	guarantees = g;
}

/* The reasons are those of the start. */
static void
record_reasons(const struct guarantees *g, struct proto_output *o)
{
	const char *reason;
	bool some = false;
	size_t i;

	for (i = 0; i < GUARANTEES; i++) {
		if ((reason = guarantee_why(g, i)) == NULL)
			continue;
		if (!some)
			proto_begin(o, "reasons");
		some = true;
		proto_text(o, guarantee_at(i)->key, reason);
	}
	if (some)
		proto_end(o);
}

static void
record_guarantees(struct proto_output *o)
{
	struct guarantees g = *guarantees;
	size_t i;

	g.ends = g.ends && worker_watches();
	proto_begin(o, "guarantees");
	for (i = 0; i < GUARANTEES; i++)
		proto_truth(o, guarantee_at(i)->key, guarantee_holds(&g, i));
	if (plan->only_allowed || address_is_reachable(&plan->addr))
		proto_truth(o, "only_allowed", guarantees->only_allowed);
	proto_end(o);
	record_reasons(&g, o);
}

/* Can clients connect? Missing if that is unknown. */
static void
record_listener(struct proto_output *o)
{
	const char *fault = entry_fault(), *unseen = entry_unseen();

	proto_begin(o, "listener");
	if (fault != NULL) {
		proto_truth(o, "reachable", false);
		proto_text(o, "why", fault);
	} else if (!actor_stops() && entry_is_known())
		proto_truth(o, "reachable", true);
	if (unseen != NULL)
		proto_text(o, "unseen", unseen);
	proto_end(o);
}

static void
record_failure(enum failure_kind kind, bool private, uint64_t now,
    struct proto_output *o)
{
	const struct failure *f = failures_last(kind);

	if (f == NULL)
		return;
	proto_begin(o, "failure");
	proto_text(o, "of", failures_name(kind));
	proto_time(o, "ago", now - f->at);
	proto_number(o, "recent", failures_recent(kind));
	if (f->pid != 0)
		proto_number(o, "pid", (uint64_t)f->pid);
	proto_text(o, "what", f->what);
	if (private && f->said[0] != '\0')
		proto_text(o, "said", f->said);
	proto_end(o);
}

void
facts_write(bool private, uint64_t now, struct proto_output *o)
{
	enum failure_kind kind;

	record_guarantees(o);
	record_listener(o);
	for (kind = 0; kind < FAILURES; kind++)
		record_failure(kind, private, now, o);
}
