/* SPDX-License-Identifier: ISC */
/* What is wrong with a pool, in paragraphs. */
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "client/explain.h"

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
	explain_limits(&x);
	*wrong = x.wrong > 0;
	return fflush(f) == EOF || ferror(f) ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}
