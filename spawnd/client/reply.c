/* SPDX-License-Identifier: ISC */
/* The records of a daemon's answer, and how their values are shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"

#define COLUMNS		78	/* of a line of text */
#define BUSY_EXACT	1.1	/* s; two bounds so near are one figure */
#define BUSY_ABOUT	1.25	/* and so by this factor */
#define BUSY_UNSEEN	0.05	/* s; it was first seen just now */

/* One block holds the fields and the text that they point to. */
static int
copy_record(struct proto_record *to, const struct proto_record *r)
{
	size_t size = (size_t)r->n * sizeof(*r->fields);
	char *text;
	int i;

	size += strlen(r->kind) + 1;
	for (i = 0; i < r->n; i++)
		size += strlen(r->fields[i].key) +
		    strlen(r->fields[i].value) + 2;
	if ((to->fields = malloc(size)) == NULL)
		return -1;
	text = (char *)(to->fields + r->n);
	to->n = r->n;
	to->kind = text;
	text = stpcpy(text, r->kind) + 1;
	for (i = 0; i < r->n; i++) {
		to->fields[i].key = text;
		text = stpcpy(text, r->fields[i].key) + 1;
		to->fields[i].value = text;
		text = stpcpy(text, r->fields[i].value) + 1;
	}
	return 0;
}

int
reply_add(struct reply *a, const struct proto_record *r, struct err *e)
{
	struct proto_record *list;

	if (a->n >= REPLY_RECORDS)
		return err_set(e, EX_PROTOCOL, "the answer is too long");
	/* The list is doubled when it is full, at each power of 2. */
	if ((a->n & (a->n - 1)) == 0) {
		list = reallocarray(a->list, a->n == 0 ? 1 : a->n * 2,
		    sizeof(*list));
		if (list == NULL)
			return err_set(e, EX_OSERR, "out of memory");
		a->list = list;
	}
	if (copy_record(&a->list[a->n], r) == -1)
		return err_set(e, EX_OSERR, "out of memory");
	a->n++;
	return 0;
}

void
reply_free(struct reply *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		free(a->list[i].fields);
	free(a->list);
	*a = (struct reply){ NULL, 0 };
}

const struct proto_record *
reply_next(const struct reply *a, const char *kind, size_t *i)
{
	while (*i < a->n) {
		const struct proto_record *r = &a->list[(*i)++];

		if (strcmp(r->kind, kind) == 0)
			return r;
	}
	return NULL;
}

const struct proto_record *
reply_find(const struct reply *a, const char *kind)
{
	static const struct proto_record none = { "", 0, NULL };
	const struct proto_record *r;
	size_t i = 0;

	r = reply_next(a, kind, &i);
	return r != NULL ? r : &none;
}

bool
reply_number(const struct reply *a, const char *kind, const char *key,
    double *value)
{
	return proto_get_number(reply_find(a, kind), key, value);
}

double
reply_value(const struct reply *a, const char *kind, const char *key,
    double otherwise)
{
	double value;

	return reply_number(a, kind, key, &value) ? value : otherwise;
}

const char *
reply_show(const struct proto_record *r, const char *key,
    char buf[SHOW_SIZE])
{
	return reply_cut(r, key, buf, SHOW_SIZE);
}

const char *
reply_cut(const struct proto_record *r, const char *key, char *buf,
    size_t size)
{
	const char *value = proto_get(r, key);

	value = value != NULL ? value : "";
	text_escape(buf, size, value, strlen(value), true);
	return buf;
}

const char *
reply_cell(const struct proto_record *r, const char *key,
    const char *(*format)(double, char[32]), char buf[CELL_SIZE])
{
	double n;

	if (format != NULL && proto_get_number(r, key, &n))
		return format(n, buf);
	reply_cut(r, key, buf, CELL_SIZE);
	return buf[0] != '\0' ? buf : "-";
}

bool
reply_drains(const struct reply *a, double *due)
{
	const struct proto_record *r = reply_find(a, "drain");

	*due = -1;
	proto_get_number(r, "stops_in", due);
	return proto_is(r, "announced", "yes");
}

bool
reply_busy_span(const struct proto_record *r, double *least, double *most)
{
	if (!proto_get_number(r, "busy", least))
		return false;
	if (!proto_get_number(r, "busy_most", most) || *most < *least)
		*most = *least;
	return *least >= BUSY_UNSEEN || *most <= BUSY_EXACT;
}

const char *
reply_busy(const struct proto_record *r, char buf[CELL_SIZE])
{
	double least, most, n = -1;
	const char *sign = "";
	char span[32];

	if (!reply_busy_span(r, &least, &most)) {
		proto_get_number(r, "connections", &n);
		return proto_get(r, "busy") == NULL && (n == 0 ||
		    proto_get(r, "pid") == NULL) ? "-" : "?";
	}
	if (least < BUSY_UNSEEN && most >= BUSY_UNSEEN) {
		sign = "<";
		least = most;
	} else if (most - least > BUSY_EXACT && most > BUSY_ABOUT * least)
		sign = ">";
	snprintf(buf, CELL_SIZE, "%s%s", sign, reply_span(least, span));
	return buf;
}

const char *
reply_state(const struct proto_record *r, char buf[STATE_SIZE])
{
	double n;

	reply_cut(r, "state", buf, STATE_SIZE);
	if (strcmp(buf, "ready") == 0 &&
	    proto_get_number(r, "connections", &n))
		strlcpy(buf, n > 0 ? "busy" : "idle", STATE_SIZE);
	return buf;
}

const char *
reply_span(double seconds, char buf[32])
{
	long long s;

	if (!(seconds < 1e12)) {
		snprintf(buf, 32, "-");
		return buf;
	}
	s = (long long)seconds;
	if (s < 10)
		snprintf(buf, 32, "%.2f s", seconds);
	else if (s < 60)
		snprintf(buf, 32, "%.1f s", seconds);
	else if (s < 3600)
		snprintf(buf, 32, "%lld:%02lld", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, 32, "%lld:%02lld:%02lld", s / 3600,
		    s / 60 % 60, s % 60);
	else
		snprintf(buf, 32, "%lld d %lld:%02lld", s / 86400,
		    s / 3600 % 24, s / 60 % 60);
	return buf;
}

const char *
reply_size(double bytes, char buf[32])
{
	static const char units[] = "KMGTPE";
	size_t i = 0;

	for (bytes /= 1024; bytes >= 1000 && units[i + 1] != '\0'; i++)
		bytes /= 1024;
	snprintf(buf, 32, bytes < 10 ? "%.1f%c" : "%.0f%c", bytes, units[i]);
	return buf;
}

void
reply_wrap(FILE *f, const char *text)
{
	size_t len, column = 0;

	while (*text != '\0') {
		len = strcspn(text, " ");
		if (column > 0 && column + 1 + len > COLUMNS) {
			fputc('\n', f);
			column = 0;
		} else if (column > 0) {
			fputc(' ', f);
			column++;
		}
		fwrite(text, 1, len, f);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', f);
}
