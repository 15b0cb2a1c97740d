/* SPDX-License-Identifier: ISC */
/* Text that others have written, as a part of a page. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "client/client.h"
#include "page/page.h"

void
html_text(FILE *f, const char *s)
{
	char buf[SHOW_SIZE];

	text_escape(buf, sizeof(buf), s, strlen(s), true);
	for (s = buf; *s != '\0'; s++) {
		if (strchr("<>&\"'", *s) != NULL)
			fprintf(f, "&#%d;", *s);
		else
			fputc(*s, f);
	}
}

void
html_value(FILE *f, const struct proto_record *r, const char *key)
{
	const char *value = proto_get(r, key);

	html_text(f, value != NULL && value[0] != '\0' ? value : "-");
}

void
html_count(FILE *f, const struct reply *a, const char *kind, const char *key)
{
	double n;

	if (reply_number(a, kind, key, &n))
		fprintf(f, "%.0f", n);
	else
		fputc('?', f);
}

void
html_time(FILE *f, time_t t)
{
	char text[64];
	struct tm tm;

	if (localtime_r(&t, &tm) != NULL && strftime(text, sizeof(text),
	    "%Y-%m-%d %H:%M:%S %z", &tm) > 0)
		fputs(text, f);
	else
		fputc('?', f);
}
