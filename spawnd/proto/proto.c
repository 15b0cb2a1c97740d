/* SPDX-License-Identifier: ISC */
/* The protocol of the control sockets: lines, and records in them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

#define GROW	1024

static const char hex[] = "0123456789abcdef";

static bool
is_control_byte(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

enum proto_got
proto_next(struct proto_input *in, char *line)
{
	const char *end = memchr(in->buf, '\n', in->len);
	size_t i, len, used;

	if (end == NULL && in->len >= in->size)
		return PROTO_LONG;
	if (end == NULL && (!in->eof || in->len == 0))
		return PROTO_NONE;
	len = end != NULL ? (size_t)(end - in->buf) : in->len;
	used = end != NULL ? len + 1 : len;
	if (len > 0 && in->buf[len - 1] == '\r')
		len--;
	memcpy(line, in->buf, len);
	line[len] = '\0';
	in->len -= used;
	memmove(in->buf, in->buf + used, in->len);
	for (i = 0; i < len; i++) {
		if (is_control_byte(line[i]) && line[i] != '\t')
			return PROTO_JUNK;
	}
	return PROTO_GOT;
}

int
proto_words(char *line, char *words[], int max)
{
	char *word;
	int n = 0;

	while ((word = strsep(&line, " \t")) != NULL) {
		if (word[0] == '\0')
			continue;
		if (n == max)
			return -1;
		words[n++] = word;
	}
	return n;
}

/* Reads a number of at most max. Returns the rest of s, or NULL. */
static const char *
read_number(const char *s, unsigned int max, unsigned int *n)
{
	uint64_t value = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > max)
			return NULL;
	}
	*n = (unsigned int)value;
	return p == s ? NULL : p;
}

int
proto_range(const char *s, unsigned int max, unsigned int *from,
    unsigned int *to)
{
	if ((s = read_number(s, max, from)) == NULL)
		return -1;
	*to = *from;
	if (*s == '-' && (s = read_number(s + 1, max, to)) == NULL)
		return -1;
	return *s != '\0' || *to < *from ? -1 : 0;
}

static void
put_bytes(struct proto_output *o, const char *s, size_t len)
{
	size_t size = o->size;
	char *buf;

	if (o->failed)
		return;
	while (size - o->len < len)
		size = size == 0 ? GROW : size * 2;
	if (size > o->size) {
		if ((buf = realloc(o->buf, size)) == NULL) {
			o->failed = true;
			return;
		}
		o->buf = buf;
		o->size = size;
	}
	memcpy(o->buf + o->len, s, len);
	o->len += len;
}

static void
put_string(struct proto_output *o, const char *s)
{
	put_bytes(o, s, strlen(s));
}

/* Writes a value, escaped, at most max bytes of it. */
static void
put_escaped(struct proto_output *o, const char *s, bool blanks, size_t max)
{
	char code[4] = "\\x";
	size_t n, used = 0;

	for (; *s != '\0'; s++, used += n) {
		bool plain = !is_control_byte(*s) && *s != '\\' &&
		    (blanks || *s != ' ');

		n = plain ? 1 : sizeof(code);
		if (used + n > max)
			return;
		code[2] = hex[(unsigned char)*s >> 4];
		code[3] = hex[*s & 15];
		put_bytes(o, plain ? s : code, n);
	}
}

/* Writes a field or a line of our own text, of at most 95 bytes. */
static void __attribute__((format(printf, 2, 3)))
put_format(struct proto_output *o, const char *fmt, ...)
{
	char text[PROTO_KIND + 64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_string(o, text);
}

void
proto_hello(struct proto_output *o)
{
	put_format(o, "spawnd %d\n", PROTO_VERSION);
}

void
proto_begin(struct proto_output *o, const char *kind)
{
	o->line = o->len;
	put_string(o, kind);
}

void
proto_text(struct proto_output *o, const char *key, const char *value)
{
	put_format(o, " %s=", key);
	put_escaped(o, value, false, PROTO_VALUE);
}

void
proto_number(struct proto_output *o, const char *key, uint64_t value)
{
	put_format(o, " %s=%" PRIu64, key, value);
}

void
proto_time(struct proto_output *o, const char *key, uint64_t usec)
{
	put_format(o, " %s=%" PRIu64 ".%03u", key, usec / 1000000,
	    (unsigned int)(usec % 1000000 / 1000));
}

void
proto_truth(struct proto_output *o, const char *key, bool value)
{
	put_format(o, " %s=%s", key, value ? "yes" : "no");
}

void
proto_end(struct proto_output *o)
{
	/* No reader accepts a longer one; it is the caller's mistake. */
	if (o->len - o->line >= PROTO_LINE)
		o->len = o->line;
	else
		put_string(o, "\n");
}

void
proto_done(struct proto_output *o)
{
	put_string(o, "end\n");
}

void
proto_error(struct proto_output *o, int status, const char *text)
{
	put_format(o, "error %d ", status);
	put_escaped(o, text, true, PROTO_LINE - 64);
	put_string(o, "\n");
}

void
proto_free(struct proto_output *o)
{
	free(o->buf);
	memset(o, 0, sizeof(*o));
}

static bool
is_name(const char *s)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return len > 0 && len < PROTO_KIND && s[len] == '\0';
}

static int
hex_value(char c)
{
	const char *p = c == '\0' ? NULL : strchr(hex, c);

	return p == NULL ? -1 : (int)(p - hex);
}

/* Undoes \xNN in place. Returns 0, or -1 if it is not well formed. */
static int
undo_escapes(char *s)
{
	char *to = s;
	int high, low;

	while (*s != '\0') {
		if (*s != '\\') {
			*to++ = *s++;
			continue;
		}
		if (s[1] != 'x' || (high = hex_value(s[2])) == -1 ||
		    (low = hex_value(s[3])) == -1 || (high | low) == 0)
			return -1;
		*to++ = (char)(high << 4 | low);
		s += 4;
	}
	*to = '\0';
	return 0;
}

/* "error STATUS text": the text is the rest of the line. */
static int
parse_error(char *rest, struct proto_record *r)
{
	char *status = strsep(&rest, " ");

	if (status == NULL || rest == NULL || status[0] == '\0' ||
	    strspn(status, "0123456789") != strlen(status) ||
	    undo_escapes(rest) == -1)
		return -1;
	r->n = 2;
	r->fields[0].key = "status";
	r->fields[0].value = status;
	r->fields[1].key = "text";
	r->fields[1].value = rest;
	return 0;
}

int
proto_parse(char *line, struct proto_record *r)
{
	char *word, *value;

	r->n = 0;
	r->kind = strsep(&line, " ");
	if (r->kind == NULL || !is_name(r->kind))
		return -1;
	if (strcmp(r->kind, "error") == 0)
		return parse_error(line, r);
	while ((word = strsep(&line, " ")) != NULL) {
		if (word[0] == '\0')
			continue;
		if ((value = strchr(word, '=')) == NULL ||
		    r->n == PROTO_FIELDS)
			return -1;
		*value++ = '\0';
		if (!is_name(word) || undo_escapes(value) == -1)
			return -1;
		r->fields[r->n].key = word;
		r->fields[r->n++].value = value;
	}
	return 0;
}

const char *
proto_get(const struct proto_record *r, const char *key)
{
	int i;

	for (i = 0; i < r->n; i++) {
		if (strcmp(r->fields[i].key, key) == 0)
			return r->fields[i].value;
	}
	return NULL;
}

bool
proto_is(const struct proto_record *r, const char *key, const char *value)
{
	const char *s = proto_get(r, key);

	return s != NULL && strcmp(s, value) == 0;
}

bool
proto_get_number(const struct proto_record *r, const char *key, double *value)
{
	const char *s = proto_get(r, key);
	size_t whole, part = 0;

	if (s == NULL)
		return false;
	whole = strspn(s, "0123456789");
	if (s[whole] == '.')
		part = 1 + strspn(s + whole + 1, "0123456789");
	if (whole == 0 || whole > 20 || part > 10 || part == 1 ||
	    s[whole + part] != '\0')
		return false;
	*value = strtod(s, NULL);
	return true;
}
