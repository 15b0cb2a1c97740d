/* SPDX-License-Identifier: ISC */
/* spawnctl(1)'s own: the live view. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "base/base.h"
#include "client/client.h"

/* frame.c: one picture of top, pure */
struct frame {
	int		 rows, columns;
	bool		 utf8;
	int		 first;		/* the worker at the top */
};

/*
 * Draws into buf, at most `rows` lines of `columns` cells. history has the
 * points. Returns the length.
 */
size_t	 frame_draw(const struct frame *v, const struct answer *status,
	    const struct answer *history, char *buf, size_t size);

/* top.c */
/* Shows the pool until q is pressed. Returns 0, or -1 with *e set. */
int	 top_run(struct talk *t, struct err *e);

#endif
