/* SPDX-License-Identifier: ISC */
/* What is wrong with a pool, in paragraphs. */
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "client/explain.h"
#include "proto/proto.h"

/* A stop that is announced is what somebody wanted. */
static void
explain_drain(struct explain *x)
{
	char due[64] = "", span[32];
	double n;

	if (!reply_drains(x->a, &n))
		return;
	if (n >= 0)
		snprintf(due, sizeof(due), ", and comes in %s",
		    reply_span(n, span));
	explain_note(x, "A stop is announced%s: the pool serves on, but load "
	    "balancers that ask \"spawnctl agent\" send it nothing new. "
	    "\"spawnctl resume\" takes that back.", due);
}

int
explain_write(FILE *f, const struct reply *a, bool *wrong, struct err *e)
{
	struct explain x = { .f = f, .a = a };
	char name[SHOW_SIZE];

	explain_load(&x);
	explain_workers(&x);
	if (x.wrong == 0) {
		x.paragraphs = 0;
		explain_note(&x, "%s: nothing is wrong.",
		    reply_show(reply_find(a, "pool"), "name", name));
	}
	explain_drain(&x);
	explain_limits(&x);
	*wrong = x.wrong > 0;
	return fflush(f) == EOF || ferror(f) ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}
