/* SPDX-License-Identifier: ISC */
/* What "trace", "explain" and "advise" ask a pool for. */
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "ctl/ctl.h"

#define WRONG	1	/* exit status of explain */

int
diagnose_trace(struct conn *t, struct err *e)
{
	struct reply a = { NULL, 0 };
	int r = conn_ask(t, "trace", &a, e);

	if (r == 0)
		r = writer_trace(stdout, &a, e);
	reply_free(&a);
	return r;
}

int
diagnose_now(struct conn *t, struct err *e)
{
	struct reply a = { NULL, 0 };
	bool wrong = false;
	int r = conn_ask(t, "status", &a, e);

	if (r == 0)
		r = conn_ask(t, "history", &a, e);
	if (r == 0)
		r = explain_write(stdout, &a, &wrong, e);
	reply_free(&a);
	/* What is wrong was said; that is no error of ours. */
	if (r == 0 && wrong) {
		*e = (struct err){ .status = WRONG };
		r = -1;
	}
	return r;
}

int
diagnose_size(struct conn *t, bool json, struct err *e)
{
	struct reply a = { NULL, 0 };
	int r = conn_ask(t, "status full", &a, e);

	if (r == 0 && (r = conn_ask(t, "load", &a, e)) == -1 &&
	    e->status == EX_USAGE)
		err_set(e, EX_PROTOCOL, "the pool's spawnd is too old to tell "
		    "its load (restart gives it the new one)");
	if (r == 0)
		r = advise_write(stdout, &a, json, e);
	reply_free(&a);
	return r;
}
