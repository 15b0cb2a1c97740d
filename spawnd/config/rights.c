/* SPDX-License-Identifier: ISC */
/* What a plan needs root for. */
#include "config/config.h"

bool
rights_need_root(const struct plan *p)
{
	const struct conf *c = p->conf;

	return p->jail != NULL || p->ident.change || c->socket_outside ||
	    c->socket_user != NULL || c->user != NULL || c->group != NULL;
}
