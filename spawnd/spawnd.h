/* SPDX-License-Identifier: ISC */
/*
 * The map of spawnd: limits with their units, the structures that pass
 * between the phases of the start, and every public function by its file.
 * pool.h has the pool, which knows nothing of what is declared here.
 */
#ifndef SPAWND_H
#define SPAWND_H

#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run/run.h"
#include "privilege/privilege.h"
#include "observe/observe.h"
#include "config/config.h"
#include "base/base.h"
#include "pool/pool.h"
























/* spawnd.c has main(). */

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
