/* SPDX-License-Identifier: ISC */
/* The option -t: finds what would make a start fail, and starts nothing. */
#ifndef PREFLIGHT_PREFLIGHT_H
#define PREFLIGHT_PREFLIGHT_H

#include <stdbool.h>

#include "base/base.h"
#include "config/config.h"

/* preflight.c */
/*
 * Checks all that the plan depends on, as the workers will see it: a child
 * enters the jail, gives up all rights as the supervisor would, and checks
 * from there. Creates nothing and connects to nothing. Prints the plan, the
 * guarantees that hold here and all findings on standard output; *f has those
 * of plan_make(), and more are added to it. Returns the exit status: 0, or the
 * status of the plan's first error, else 78 for other errors and, with strict,
 * for warnings; 74 if the output cannot be written.
 */
int	 preflight_run(struct plan *p, struct findings *f, bool strict);

#endif
