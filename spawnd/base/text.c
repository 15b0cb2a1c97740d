/* SPDX-License-Identifier: ISC */
/* Text that others have written: made harmless, quoted, read as a size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

size_t
text_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned int min, code;
	size_t i, n;

	if (len > 0 && p[0] < 0x80)
		return 1;
	if (len == 0 || p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (n > len)
		return 0;
	code = p[0] & (0xffU >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fU);
	}
	min = n == 2 ? 0x80 : n == 3 ? 0x800 : 0x10000;
	if (code < min || code > 0x10ffff || (code >= 0xd800 &&
	    code <= 0xdfff))
		return 0;
	return n;
}

/* The controls that a terminal obeys: C0, DEL, and C1 in UTF-8. */
static bool
is_control(const unsigned char *p, size_t len)
{
	if (len == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	return len == 1 && (p[0] < 0x20 || p[0] == 0x7f);
}

/* Characters that hide others or change the direction of writing. */
static bool
is_mark(const unsigned char *p, size_t len)
{
	if (len == 2)		/* U+00AD */
		return p[0] == 0xc2 && p[1] == 0xad;
	if (len == 3 && p[0] == 0xe2 && p[1] == 0x80)
		return (p[2] >= 0x8b && p[2] <= 0x8f) ||
		    (p[2] >= 0xa8 && p[2] <= 0xae);
	if (len == 3 && p[0] == 0xe2 && p[1] == 0x81)
		return p[2] >= 0xa0 && p[2] <= 0xaf;
	return len == 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf;
}

/*
 * The length of the character, or other byte, at s; *plain: it can be shown
 * as it is.
 */
static size_t
text_next(const char *s, size_t len, bool strict, bool *plain)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = text_utf8(s, len);

	if (n == 0)
		*plain = !strict;
	else
		*plain = !is_control(p, n) && !(strict && is_mark(p, n));
	return n == 0 ? 1 : n;
}

size_t
text_escape(char *buf, size_t size, const char *s, size_t len, bool strict)
{
	static const char hex[] = "0123456789abcdef";
	size_t i, n, used = 0;
	bool plain;

	for (; len > 0; s += n, len -= n) {
		n = text_next(s, len, strict, &plain);
		if (used + (plain ? n : 4 * n) >= size)
			break;
		if (plain) {
			memcpy(buf + used, s, n);
			used += n;
			continue;
		}
		for (i = 0; i < n; i++) {
			buf[used++] = '\\';
			buf[used++] = 'x';
			buf[used++] = hex[(unsigned char)s[i] >> 4];
			buf[used++] = hex[s[i] & 15];
		}
	}
	buf[used] = '\0';
	return used;
}

void
text_print(FILE *f, const char *s, size_t len)
{
	char shown[17];
	size_t n;
	bool plain;

	for (; len > 0; s += n, len -= n) {
		n = text_next(s, len, true, &plain);
		text_escape(shown, sizeof(shown), s, n, true);
		fputs(shown, f);
	}
}

char *
text_quote(const char *word)
{
	size_t room = 3, n = 0;
	const char *s;
	char *buf;

	if (word[0] != '\0' && strpbrk(word, " \t\n'\"\\$`*?;&|<>()#~[") ==
	    NULL)
		return strdup(word);
	for (s = word; *s != '\0'; s++)
		room += *s == '\'' ? 4 : 1;
	if ((buf = malloc(room)) == NULL)
		return NULL;
	buf[n++] = '\'';
	for (s = word; *s != '\0'; s++) {
		if (*s == '\'')
			n += strlcpy(buf + n, "'\\''", room - n);
		else
			buf[n++] = *s;
	}
	buf[n++] = '\'';
	buf[n] = '\0';
	return buf;
}

int
text_size(const char *s, size_t len, uint64_t *value)
{
	static const char units[] = "KMG";
	const char *why, *unit;
	size_t n = strspn(s, "0123456789");
	char digits[24];
	int shift = 0;

	if (n + 1 == len && (unit = strchr(units, s[n])) != NULL)
		shift = 10 * (int)(unit - units + 1);
	else if (n != len)
		return -1;
	if (n == 0 || n >= sizeof(digits))
		return -1;
	memcpy(digits, s, n);
	digits[n] = '\0';
	*value = (uint64_t)strtonum(digits, 0, INT64_MAX >> shift, &why)
	    << shift;
	return why == NULL ? 0 : -1;
}
