/* SPDX-License-Identifier: ISC */
/* What the files of the preflight (-t) share, and nobody else sees. */
#ifndef PREFLIGHT_INSPECT_H
#define PREFLIGHT_INSPECT_H

#include "base/base.h"
#include "base/program.h"
#include "config/config.h"

/* presocket.c */
/*
 * Adds to *f what is wrong with the socket's directory, name or address, and
 * who will be able to connect.
 */
void	 presocket_check(const struct plan *p, struct findings *f);

/* prefiles.c */
/* Adds to *f what stands in the way of the pidfile and of the log's file. */
void	 prefiles_check(const struct plan *p, struct findings *f);

/* preprint.c */
/* Prints the plan as "key: value" lines, leaving out what is not known. */
void	 preprint_plan(const struct plan *p);

/* inspect.c: the preflight's looks, by a process that the jail holds */
/*
 * Adds to *f what stands in the way of the working directory and of the
 * application with its interpreters, loader and libraries, and what a jail
 * lacks. Its working directory changes. Bounded in time only by the caller.
 */
void	 inspect_run(const struct plan *p, struct findings *f);

/* library.c */
/*
 * Looks for every library that the program e at path needs, and those that
 * these need, where the dynamic loader would. Runs nothing. Adds to *f.
 */
void	 library_check(const struct plan *p, struct findings *f,
	    const char *path, const struct elf *e);

#endif
