/* SPDX-License-Identifier: ISC */
/* -t: what would stand in the way of a start, found before anything starts. */
#ifndef PREFLIGHT_PREFLIGHT_H
#define PREFLIGHT_PREFLIGHT_H

#include <stdbool.h>

#include "base/base.h"
#include "config/config.h"

/* preflight.c */
/*
 * -t: looks at all the plan rests on, as the workers will see it: a child
 * enters the jail and gives up all rights as the supervisor would, and looks
 * from there. Creates nothing and connects to nothing. Adds to *f, prints
 * the plan, the guarantees that hold here and every finding on standard
 * output, and returns the exit status (0, or 78; with strict also for
 * warnings; an error of the plan's own keeps its status).
 */
int	 preflight_run(struct plan *p, struct findings *f, bool strict);

#endif
