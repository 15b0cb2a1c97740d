/* SPDX-License-Identifier: ISC */
/* Errors of the start: a status and a line, handed up to main(). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"

int
err_set(struct err *e, int status, const char *fmt, ...)
{
	char raw[ERR_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	/* What was typed is shown, but stays one line of a terminal. */
	text_escape(e->text, sizeof(e->text), raw, strlen(raw), false);
	e->status = status;
	return -1;
}

int
err_status(int error, int dflt)
{
	return error == EACCES || error == EPERM ? EX_NOPERM : dflt;
}
