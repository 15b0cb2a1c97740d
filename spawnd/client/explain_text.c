/* SPDX-License-Identifier: ISC */
/* The paragraphs of "spawnctl explain". */
#include <stdarg.h>
#include <stdlib.h>

#include "client/client.h"
#include "client/explain.h"

static void
write_paragraph(struct explain *x, const char *fmt, va_list ap)
{
	char *text;

	if (x->paragraphs++ > 0)
		fputc('\n', x->f);
	if (vasprintf(&text, fmt, ap) == -1) {
		fputs("out of memory\n", x->f);
		return;
	}
	reply_wrap(x->f, text);
	free(text);
}

void
explain_fault(struct explain *x, const char *fmt, ...)
{
	va_list ap;

	x->wrong++;
	va_start(ap, fmt);
	write_paragraph(x, fmt, ap);
	va_end(ap);
}

void
explain_note(struct explain *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_paragraph(x, fmt, ap);
	va_end(ap);
}
