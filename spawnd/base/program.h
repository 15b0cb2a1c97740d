/* SPDX-License-Identifier: ISC */
/* What a file that is to be executed says of itself. */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#define SCRIPT_LINE	256	/* bytes that the kernel reads of a "#!" line */

enum script_kind {
	SCRIPT_EMPTY,		/* there is nothing in the file */
	SCRIPT_LINES,		/* it begins with "#!" */
	SCRIPT_ELF,
	SCRIPT_NEITHER
};

/* A "#!" line, taken apart; its words are in `line`. */
struct script {
	char		 line[SCRIPT_LINE + 1];
	char		*interp;	/* "" if the line names none */
	char		*arg;		/* the word behind it, or "" */
	bool		 crlf;		/* the last word ends in a CR */
};

/* What the headers of an ELF file say; a name that they lack is NULL. */
struct elf {
	bool		 wide;		/* 64 bits */
	unsigned int	 machine, type;	/* EM_*, ET_* */
	char		*interp;	/* the loader */
	char		*soname;
	char		*rpath, *runpath;
	char		**needed;	/* libraries */
	size_t		 nneeded;
	bool		 nodefault;	/* not from the default directories */
};

/* script.c */
/* Looks at how the file fd begins, and fills *s for SCRIPT_LINES. */
enum script_kind script_read(int fd, struct script *s);

/* elf.c */
/*
 * Reads the headers of the regular file fd, which may hold anything (elf(5)).
 * Returns NULL with *e filled, to be freed, or what is wrong with the file,
 * in words.
 */
const char *elf_read(int fd, struct elf *e);
void	 elf_free(struct elf *e);
/*
 * Why this kernel cannot run it as a program, in words, which may be put into
 * buf; NULL if it could.
 */
const char *elf_unfit(const struct elf *e, char *buf, size_t size);

#endif
