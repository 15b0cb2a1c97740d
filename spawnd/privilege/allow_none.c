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
	err_set(e, EX_CONFIG, "FCGI_WEB_SERVER_ADDRS: only workers with "
	    "libfcgi heed it on this system (use a packet filter)");
	return 1;
}

bool
allow_is_possible(void)
{
	return false;
}

bool
allow_is_same(int fd, const struct plan *p)
{
	(void)fd;
	return !p->only_allowed || p->conf->nallow == 0;
}

bool
allow_holds(int fd)
{
	(void)fd;
	return false;
}
