/* SPDX-License-Identifier: ISC */
/*
 * What a daemon answers, through the client and all that shows it, one form
 * at a time, by the first byte: none that a terminal obeys may come out.
 */
#include <stdio.h>

#include "fuzz.h"
#include "base/base.h"
#include "client/client.h"
#include "ctl/ctl.h"
#include "proto/proto.h"

static void
check(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\n') || c == 0x7f)
			abort();
		if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0)
			abort();
		if (text_utf8(text + i, len - i) == 0 && (c & 0xc0) != 0x80)
			abort();
	}
}

static void
show(const struct reply *a, int form)
{
	static const char *const forms[] = { "text", "json", "xml",
	    "openmetrics" };
	char *text = NULL;
	struct err e;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (form == 0)
		writer_table(f, a, &e);
	else if (form == 1)
		writer_json(f, a, &e);
	else if (form == 2)
		writer_openmetrics(f, a, true, &e);
	else
		writer_fpm(f, a, forms[form - 3], true, &e);
	fclose(f);
	check(text, len);
	free(text);
}

static void
draw(const struct reply *a)
{
	struct frame v = { .rows = 24, .columns = 80, .utf8 = true };
	static char picture[24 * (4 * 80 + 8)];

	check(picture, top_draw_frame(&v, a, a, picture, sizeof(picture)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), *rest = text, *line;
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record r = { .fields = fields };
	struct reply a = { NULL, 0 };
	struct err e;
	int form;

	form = (unsigned char)text[0] % 8;
	if (text[0] != '\0')
		rest++;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strlen(line) < PROTO_LINE && proto_parse(line, &r) == 0 &&
		    a.n < 200)
			reply_add(&a, &r, &e);
	}
	if (form == 7)
		draw(&a);
	else
		show(&a, form);
	reply_free(&a);
	free(text);
	return 0;
}
