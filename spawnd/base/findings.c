/* SPDX-License-Identifier: ISC */
/* What the plan and the preflight have found, in the order of finding. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"

/* Nothing has been started yet. */
static void __attribute__((noreturn))
no_memory(void)
{
	fputs("spawnd: out of memory\n", stderr);
	exit(EX_OSERR);
}

void
findings_add(struct findings *f, enum finding_level level, int status,
    const char *fmt, ...)
{
	struct finding *list;
	char *raw, *text;
	size_t size;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&raw, fmt, ap) == -1)
		no_memory();
	va_end(ap);
	size = 4 * strlen(raw) + 1;
	list = reallocarray(f->list, f->n + 1, sizeof(*list));
	if (list == NULL || (text = malloc(size)) == NULL)
		no_memory();
	text_escape(text, size, raw, strlen(raw), false);
	free(raw);
	f->list = list;
	list[f->n++] = (struct finding){ level, status, text };
}

const struct finding *
findings_error(const struct findings *f)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		if (f->list[i].level == FINDING_ERROR)
			return &f->list[i];
	}
	return NULL;
}

void
findings_free(struct findings *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		free(f->list[i].text);
	free(f->list);
	f->list = NULL;
	f->n = 0;
}
