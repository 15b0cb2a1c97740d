/* SPDX-License-Identifier: ISC */
/* Errors of the start: a status and a line, handed up to main(). */
#include <ctype.h>
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
	size_t i, n = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	/* What was typed is shown, but stays one line of a terminal. */
	for (i = 0; raw[i] != '\0' && n + 5 < sizeof(e->text); i++) {
		if (iscntrl((unsigned char)raw[i]))
			n += (size_t)snprintf(e->text + n, 5, "\\x%02x",
			    (unsigned int)(unsigned char)raw[i]);
		else
			e->text[n++] = raw[i];
	}
	e->text[n] = '\0';
	e->status = status;
	return -1;
}

int
err_status(int error, int dflt)
{
	return error == EACCES || error == EPERM ? EX_NOPERM : dflt;
}
