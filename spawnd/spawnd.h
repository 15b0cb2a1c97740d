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

#include "preflight/preflight.h"
#include "run/run.h"
#include "privilege/privilege.h"
#include "observe/observe.h"
#include "config/config.h"
#include "base/base.h"
#include "pool/pool.h"
























/* spawnd.c has main(). */

#endif
