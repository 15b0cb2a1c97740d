/* SPDX-License-Identifier: ISC */
/* What the files of the preflight (-t) share. */
#ifndef PREFLIGHT_INSPECT_H
#define PREFLIGHT_INSPECT_H

#include "base/base.h"
#include "base/program.h"
#include "config/config.h"

/* presocket.c */
/*
 * Adds errors and warnings to *f about the socket's directory, name or
 * address, and notes on the users that will be able to connect. Returns
 * whether a list of web servers says that.
 */
bool	 presocket_check(const struct plan *p, struct findings *f);

/* prefiles.c */
/* Adds an error to *f for a pidfile or a log that could not be opened. */
void	 prefiles_check(const struct plan *p, struct findings *f);
/*
 * May our effective user do that (W_OK, X_OK) to a file in a directory? False
 * with errno set if not; true where that cannot be asked.
 */
bool	 prefiles_allow(int dir, const char *name, int mode);

/* preprint.c */
/*
 * Prints the plan as "key: value" lines, without what is not known; its list
 * of web servers if that is `listed`, as presocket_check() says.
 */
void	 preprint_plan(const struct plan *p, bool listed);

/* inspect.c: to be called in a child that has entered the jail */
/*
 * Adds errors, warnings and notes to *f about the working directory, about the
 * application with its interpreters, loader and libraries, and about what the
 * jail lacks. It changes the working directory, and may take any time: only
 * the caller can end it.
 */
void	 inspect_run(const struct plan *p, struct findings *f);

/* library.c */
/*
 * Searches for every library that the program e at path needs, and for those
 * that these need, as the dynamic loader would, but runs nothing. Adds an
 * error or warning to *f for each that is missing or cannot be used.
 */
void	 library_check(const struct plan *p, struct findings *f,
	    const char *path, const struct elf *e);

#endif
