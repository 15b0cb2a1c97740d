/* SPDX-License-Identifier: ISC */
/* How a file that is to be executed begins. */
#include <elf.h>
#include <string.h>
#include <unistd.h>

#include "base/program.h"

/* The word at s, which is ended; *rest is what stands behind it. */
static char *
cut_word(char *s, char **rest)
{
	s += strspn(s, " \t");
	*rest = s + strcspn(s, " \t");
	if (**rest != '\0')
		*(*rest)++ = '\0';
	return s;
}

enum script_kind
script_read(int fd, struct script *s)
{
	ssize_t n = pread(fd, s->line, SCRIPT_LINE, 0);
	size_t len;
	char *rest;

	if (n <= 0)
		return SCRIPT_EMPTY;
	if (n >= SELFMAG && memcmp(s->line, ELFMAG, SELFMAG) == 0)
		return SCRIPT_ELF;
	if (n < 2 || memcmp(s->line, "#!", 2) != 0)
		return SCRIPT_NEITHER;
	s->line[n] = '\0';
	len = strcspn(s->line, "\n");
	s->line[len] = '\0';
	s->crlf = s->line[len - 1] == '\r';
	s->interp = cut_word(s->line + 2, &rest);
	s->arg = cut_word(rest, &rest);
	return SCRIPT_LINES;
}
