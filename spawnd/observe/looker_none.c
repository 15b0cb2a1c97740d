/* SPDX-License-Identifier: ISC */
/* BSDs on which the supervisor itself may ask. */
#include "observe/holding.h"

void
holding_reaped(pid_t pid)
{
	(void)pid;
}

void
holding_close(void)
{
}
