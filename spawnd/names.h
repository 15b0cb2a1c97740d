/* SPDX-License-Identifier: ISC */
/*
 * The other names of the program. Each has a file of its own, in which its
 * command line becomes a struct conf; nothing else knows of it.
 */
#ifndef NAMES_H
#define NAMES_H

#include "option.h"

struct name {
	const char	*name;
	struct options	 options;
	/* What differs from options_defaults(), before the command line. */
	void		(*defaults)(struct conf *);
	/* What follows from it. Returns 0, or -1 with *e set (64, 71). */
	int		(*finish)(struct conf *, struct err *);
};

/* names_*.c */
extern const struct name names_spawn_fcgi, names_kfcgi, names_multiwatch;

#endif
