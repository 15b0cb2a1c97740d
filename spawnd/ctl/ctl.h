/* SPDX-License-Identifier: ISC */
/* spawnctl(1)'s own: the live view. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "base/base.h"
#include "client/client.h"

/* top_draw.c: one picture of top, pure */
struct frame {
	int		 rows, columns;
	bool		 utf8;
	int		 first;		/* the worker at the top */
};

/*
 * Draws into buf, at most `rows` lines of `columns` cells. history has the
 * points. Returns the length.
 */
size_t	 top_draw_draw(const struct frame *v, const struct reply *status,
	    const struct reply *history, char *buf, size_t size);

/* top.c */
/* Shows the pool until q is pressed. Returns 0, or -1 with *e set. */
int	 top_run(struct conn *t, struct err *e);

#endif
