/* SPDX-License-Identifier: ISC */
/*
 * What happened last: of the trace of a pool the notices, and what was asked of
 * it, in words. A trace has nothing that a worker wrote.
 */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "client/client.h"
#include "page/page.h"
#include "proto/proto.h"

/* How a worker has ended, as far as it is known. */
static void
tell_end(const struct proto_record *r, char *buf, size_t size)
{
	const char *name = NULL;
	double n;

	if (proto_get_number(r, "exited", &n))
		snprintf(buf, size, "exited with status %.0f", n);
	else if (proto_get_number(r, "killed", &n)) {
		if (n < 256)
			name = signame_name((int)n);
		if (name != NULL)
			snprintf(buf, size, "was killed by SIG%s", name);
		else
			snprintf(buf, size, "was killed by signal %.0f", n);
	} else
		strlcpy(buf, "ended", size);
}

/* "worker 12 exited with status 1 before it was ready (next try in 0.10 s)" */
static void
tell_exit(const struct proto_record *r, const char *who, char *buf,
    size_t size)
{
	char end[64], span[32], next[64] = "";
	double delay;

	tell_end(r, end, sizeof(end));
	if (proto_get_number(r, "delay", &delay) && delay > 0)
		snprintf(next, sizeof(next), " (next try in %s)",
		    reply_span(delay / 1e6, span));
	snprintf(buf, size, "%s %s%s%s", who, proto_get(r, "exec_failed") !=
	    NULL ? "could not be started" : end, proto_get(r, "was_ready") ==
	    NULL && proto_get(r, "exec_failed") == NULL ?
	    " before it was ready" : "", next);
}

/* The sentence of a notice; "%" stands for the worker, "#" for a number. */
static const struct sentence {
	const char	*what;
	const char	*text;
	const char	*number;	/* its key */
} sentences[] = {
	{ "ready", "the pool is ready: # workers", "ready" },
	{ "failed", "the start has failed", NULL },
	{ "due", "the time of the announced stop has come", NULL },
	{ "done", "the pool has ended", NULL },
	{ "nofork", "a worker could not be started", NULL },
	{ "start_timeout", "% was not ready in time", NULL },
	{ "elsewhere", "% listens on another socket", NULL },
	{ "killed_idle", "% was killed: it did not end in time", NULL },
	{ "killed_busy", "% was killed with # requests", "count" },
	{ "told_busy", "% was asked to stop with # requests", "count" },
	{ "grown", "% has grown too large", NULL },
	{ "too_small", "the limit of --max-rss is too small", NULL },
	{ "request_timeout", "% was ended: its request took too long", NULL },
	{ "queue_abandoned", "the end of the pool left # connections in the "
	    "queue", "count" },
	{ "reloaded", "reload: all workers are new", NULL },
	{ "reload_failed", "reload: failed, the old workers stay", NULL },
	{ "overflow", "some notices were lost", NULL },
};

/* What was asked of the pool, or came over it. */
static const struct sentence requests[] = {
	{ "reload", "reload: begun", NULL },
	{ "stop", "stop: begun", NULL },
	{ "stop_fast", "stop at once: begun", NULL },
	{ "target", "the pool is to have # workers", "workers" },
	{ "announce", "a stop is announced", NULL },
	{ "resume", "no stop is announced any more", NULL },
	{ "saturated", "saturated: all workers are busy, and connections wait",
	    NULL },
	{ "relieved", "not saturated any more", NULL },
};

static const struct sentence *
find_sentence(const struct sentence *list, size_t n, const char *what)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(list[i].what, what) == 0)
			return &list[i];
	}
	return NULL;
}

static void
fill_sentence(const struct sentence *s, const struct proto_record *r,
    const char *who, char *buf, size_t size)
{
	char number[32] = "?";
	const char *p;
	double n;

	if (s->number != NULL && proto_get_number(r, s->number, &n))
		snprintf(number, sizeof(number), "%.0f", n);
	buf[0] = '\0';
	for (p = s->text; *p != '\0'; p++) {
		const char one[] = { *p, '\0' };

		strlcat(buf, *p == '%' ? who : *p == '#' ? number : one,
		    size);
	}
}

bool
events_describe(const struct proto_record *r, char *buf, size_t size)
{
	bool notice = strcmp(r->kind, "notice") == 0;
	const char *what = proto_get(r, "what");
	const struct sentence *s;
	char who[48];
	double pid;

	if (what == NULL || (!notice && strcmp(r->kind, "event") != 0))
		return false;
	if (proto_get_number(r, "pid", &pid))
		snprintf(who, sizeof(who), "worker %.0f", pid);
	else
		strlcpy(who, "a worker", sizeof(who));
	if (notice && strcmp(what, "exit") == 0) {
		tell_exit(r, who, buf, size);
		return true;
	}
	s = notice ? find_sentence(sentences, sizeof(sentences) /
	    sizeof(sentences[0]), what) : find_sentence(requests,
	    sizeof(requests) / sizeof(requests[0]), what);
	if (s != NULL)
		fill_sentence(s, r, who, buf, size);
	return s != NULL;
}

/* Latest first. */
void
events_write(FILE *f, const struct reply *trace)
{
	double now = reply_value(trace, "trace", "now", 0), time;
	char text[256], span[32];
	int shown = 0;
	size_t i;

	fputs("<section><h2>What happened last</h2>\n<ol class=\"events\">\n",
	    f);
	for (i = trace->n; i > 0 && shown < PAGE_EVENTS; i--) {
		const struct proto_record *r = &trace->list[i - 1];

		if (!proto_get_number(r, "time", &time) ||
		    !events_describe(r, text, sizeof(text)))
			continue;
		fprintf(f, "<li><span>%s ago</span> ", reply_span(now > time ?
		    (now - time) / 1e6 : 0, span));
		html_text(f, text);
		fputs("</li>\n", f);
		shown++;
	}
	if (shown == 0)
		fputs("<li>nothing that is remembered</li>\n", f);
	fputs("</ol></section>\n", f);
}
