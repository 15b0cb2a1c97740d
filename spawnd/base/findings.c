/* SPDX-License-Identifier: ISC */
/* What the plan and the preflight have found, in the order of finding. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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
findings_add(struct findings *f, int level, int status, const char *fmt, ...)
{
	struct finding *list;
	va_list ap;

	list = reallocarray(f->list, f->n + 1, sizeof(*list));
	if (list == NULL)
		no_memory();
	f->list = list;
	list[f->n].level = level;
	list[f->n].status = status;
	va_start(ap, fmt);
	if (vasprintf(&list[f->n].text, fmt, ap) == -1)
		no_memory();
	va_end(ap);
	f->n++;
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
