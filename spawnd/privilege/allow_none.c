/* SPDX-License-Identifier: ISC */
/* For systems that cannot keep anybody away from a listen socket. */
#include <sysexits.h>

#include "base/base.h"
#include "config/config.h"
#include "privilege/privilege.h"

int
allow_attach(int fd, const struct plan *p, struct err *e)
{
	(void)fd;
	if (p->conf->nallow > 0)
		return err_set(e, EX_CONFIG, "--allow: %s: only Linux keeps "
		    "others away from a socket (use a packet filter)",
		    p->socket_name);
	return 0;	/* it does not hold, which is said */
}

bool
allow_holds(int fd)
{
	(void)fd;
	return false;
}
