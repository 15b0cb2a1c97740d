/* SPDX-License-Identifier: ISC */
/* The status to exit with: by sysexits.h, or as another name has it. */
#include "config/config.h"

int
exitcode(const struct conf *c, int status)
{
	return c->error_status != 0 ? c->error_status : status;
}
