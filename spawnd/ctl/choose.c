/* SPDX-License-Identifier: ISC */
/* Which pool is meant, and which there are. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "ctl/ctl.h"
#include "proto/proto.h"

/* Refuses to choose among several pools. all: "--all" would do. */
static int
say_pools(const struct pools *p, bool all, struct err *e)
{
	char list[ERR_SIZE / 2] = "";
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (strlcat(list, i > 0 ? ", " : "", sizeof(list)) >=
		    sizeof(list) || strlcat(list, p->list[i].name,
		    sizeof(list)) >= sizeof(list))
			break;
	}
	return err_set(e, EX_USAGE, "-p: required: several pools run here: "
	    "%s%s", list, all ? " (or --all)" : "");
}

static int
say_denied(struct err *e)
{
	return err_set(e, EX_NOPERM, "no pool here that you may query (run it "
	    "as the user who runs the pool, or as root with -p DIRECTORY)");
}

int
choose_find(struct pools *p, const char *pool, bool service, bool all,
    struct err *e)
{
	if (pools_find(pool, p, e) == -1)
		return -1;
	if (p->n == 0 && p->denied > 0)
		return say_denied(e);
	if (p->n == 0)
		return err_set(e, EX_UNAVAILABLE, "no pool runs here (-p names "
		    "one in another place)");
	return p->n > 1 && !all ? say_pools(p, service, e) : 0;
}

int
choose_open(struct conn *t, const char *pool, bool read, struct err *e)
{
	struct pools p;
	int r;

	if ((r = choose_find(&p, pool, false, false, e)) == 0)
		r = conn_open(t, p.list[0].dir, read, e);
	pools_free(&p);
	return r;
}

static void
list_one(const struct found *p)
{
	struct reply a = { NULL, 0 };
	char name[SHOW_SIZE], state[20], listen[SHOW_SIZE];
	const struct proto_record *r;
	struct conn t;
	struct err e;

	text_escape(name, sizeof(name), p->name, strlen(p->name), true);
	if (conn_open(&t, p->dir, true, &e) == -1 ||
	    conn_ask(&t, "status", &a, &e) == -1) {
		printf("%-20s %-10s %9s  %s\n", name, "?", "-", e.text);
	} else {
		r = reply_find(&a, "pool");
		printf("%-20s %-10s %4.0f/%-4.0f  %s\n", name,
		    reply_cut(r, "state", state, sizeof(state)),
		    reply_value(&a, "workers", "ready", 0),
		    reply_value(&a, "pool", "target", 0),
		    reply_show(r, "listen", listen));
	}
	conn_close(&t);
	reply_free(&a);
}

int
choose_list(const char *pool, struct err *e)
{
	struct pools p;
	size_t i;
	int r = 0;

	if (pools_find(pool, &p, e) == -1)
		return -1;
	if (p.n == 0 && p.denied > 0)
		r = say_denied(e);
	if (p.n > 0)
		printf("%-20s %-10s %9s  %s\n", "NAME", "STATE", "READY",
		    "LISTENS");
	for (i = 0; i < p.n; i++)
		list_one(&p.list[i]);
	pools_free(&p);
	return fflush(stdout) == EOF ? err_set(e, EX_IOERR, "cannot write") :
	    r;
}
