/* SPDX-License-Identifier: ISC */
/*
 * spawnd-status: a web server's request in the first lines (method, path,
 * query), and behind them what a pool answers, the trace behind "trace". The
 * page has to stay well-formed, and nothing else may have a control character.
 */
#include <ctype.h>
#include <stdio.h>
#include <sysexits.h>

#include "fuzz.h"
#include "base/base.h"
#include "client/client.h"
#include "page/page.h"
#include "proto/proto.h"

#define DEEP	40

static void
check_text(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\n') || c == 0x7f)
			abort();
		if (text_utf8(text + i, len - i) == 0 && (c & 0xc0) != 0x80)
			abort();
	}
}

/* Past a tag's attributes, each a name="value". */
static const char *
skip_tag(const char *s)
{
	while (*s == ' ') {
		s++;
		while (isalpha((unsigned char)*s) || *s == '-')
			s++;
		if (*s++ != '=' || *s++ != '"')
			abort();
		while (*s != '"') {
			if (*s == '\0' || *s == '<')
				abort();
			s++;
		}
		s++;
	}
	return s;
}

/* Each tag ends in its turn; what is no tag has no "<". */
static void
check_page(const char *s)
{
	const char *open[DEEP], *name;
	size_t lens[DEEP], len, depth = 0;

	while ((s = strchr(s, '<')) != NULL) {
		bool ends = s[1] == '/';

		name = s + 1 + ends;
		if (strncmp(name, "!DOCTYPE html>", 14) == 0) {
			s = name;
			continue;
		}
		len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
		if (len == 0)
			abort();
		s = ends ? name + len : skip_tag(name + len);
		if (ends && (depth == 0 || lens[--depth] != len ||
		    memcmp(open[depth], name, len) != 0))
			abort();
		if (!ends && *s != '/') {
			if (depth == DEEP)
				abort();
			open[depth] = name;
			lens[depth++] = len;
		}
		s += !ends && *s == '/';
		if (*s != '>')
			abort();
	}
	if (depth != 0)
		abort();
}

/* The rest of the input: records of the status, then of the trace. */
static void
read_pool(char *rest, struct view *v)
{
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record r = { .fields = fields };
	struct reply *to = &v->status;
	struct err e;
	char *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strcmp(line, "trace") == 0)
			to = &v->trace;
		if (strlen(line) < PROTO_LINE && proto_parse(line, &r) == 0 &&
		    to->n < 200)
			reply_add(to, &r, &e);
	}
}

static void
answer_one(const struct request *r, const struct view *v)
{
	struct answer a;

	answer_pools(r, v, 1, 0, &a);
	if (a.body == NULL)
		abort();
	check_text(a.body, a.len);
	if (strncmp(a.type, "text/html", 9) == 0)
		check_page(a.body);
	answer_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), *rest = text, name[] = "pool";
	struct view v = { .name = name, .up = true, .conn = { .fd = -1 } };
	struct params p = { 0 };
	struct request r;
	const char *why;
	int status;

	p.method = strsep(&rest, "\n");
	p.script = strsep(&rest, "\n");
	p.query = strsep(&rest, "\n");
	status = request_read(&p, "/spawnd", &r, &why);
	if (r.pool[0] != '\0' && status == 200 &&
	    !request_is_name(r.pool, strlen(r.pool)))
		abort();
	if (status == 200) {
		read_pool(rest, &v);
		answer_one(&r, &v);
		v.up = false;
		err_set(&v.err, EX_UNAVAILABLE, "%s", p.script);
		answer_one(&r, &v);
	}
	reply_free(&v.status);
	reply_free(&v.trace);
	free(text);
	return 0;
}
