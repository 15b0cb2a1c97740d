/* SPDX-License-Identifier: ISC */
/*
 * The command line, by the name that the program was started with: spawnd, or
 * that of a program that spawnd stands in for, as spawn-fcgi (compat.c).
 */
#ifndef CONFIG_ALIAS_H
#define CONFIG_ALIAS_H

#include "config/config.h"

/*
 * Returns that name, a constant text: the last component of the path that was
 * executed (NULL: not known). If that is none of our names, as after
 * fexecve(3), that of argv0; else the first of our names that the links of the
 * path lead to; else "spawnd".
 */
const char *compat_name(const char *executed, const char *argv0);
/*
 * Chooses the name. Must be called before anything keeps a pointer into argv:
 * for a name that shows another process title the arguments are moved.
 */
void	 compat_begin(int argc, char *argv[]);
/*
 * Parses a command line into *c by the options of the name; what was not given
 * has its default. *c keeps pointers into argv, whose words may be reordered.
 * Messages begin with that name from now on. Returns 0, or -1 with *e set (64,
 * 71).
 */
int	 compat_parse(struct conf *c, int argc, char *argv[], struct err *e);
/*
 * Print the options or the version on standard output. Return 0, or -1 on a
 * write error.
 */
int	 compat_help(void);
int	 compat_version(void);
/*
 * Returns what that name exits with after an error for which spawnd exits with
 * `status`, one of sysexits.h.
 */
int	 compat_exitcode(const struct conf *c, int status);

#endif
