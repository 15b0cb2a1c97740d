/* SPDX-License-Identifier: ISC */
/*
 * What a file that is to be executed says of itself: its "#!" line or its ELF
 * headers. Nothing is executed, and the file may hold anything.
 */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#define SCRIPT_LINE	256	/* bytes that the kernel reads of a "#!" line */

enum script_kind {
	SCRIPT_EMPTY,		/* nothing is in the file, or can be read */
	SCRIPT_LINES,		/* it begins with "#!" */
	SCRIPT_ELF,
	SCRIPT_NEITHER
};

/* A "#!" line, taken apart; the other members point into `line`. */
struct script {
	char		 line[SCRIPT_LINE + 1];
	char		*interp;	/* "" if the line names none */
	char		*arg;		/* the first word behind it, or "" */
	bool		 crlf;		/* the line ended in CR LF */
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
	bool		 nodefault;	/* only from rpath and runpath */
};

/* script.c */
/*
 * Reads how the file fd begins, wherever its offset is, and says what it is;
 * see execve(2). Fills *s only if it returns SCRIPT_LINES.
 */
enum script_kind script_read(int fd, struct script *s);

/* elf.c */
/*
 * Reads the headers (elf(5)) of the regular file fd. Returns NULL with *e
 * filled, for elf_free() to free; or in words what is wrong with the file, with
 * *e empty.
 */
const char *elf_read(int fd, struct elf *e);
void	 elf_free(struct elf *e);
/*
 * Returns in words why this kernel cannot run the file as a program: a constant
 * text, or one in buf, of `size` bytes. NULL if it can, as far as the headers
 * tell.
 */
const char *elf_unfit(const struct elf *e, char *buf, size_t size);

#endif
