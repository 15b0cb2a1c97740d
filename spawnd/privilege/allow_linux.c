/* SPDX-License-Identifier: ISC */
/*
 * Has the kernel keep all but the allowed web servers away from the listen
 * socket, on Linux: a filter of it drops what others send. It is locked, and
 * the workers, who share the socket, cannot remove or replace it.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "config/config.h"
#include "privilege/filter.h"
#include "privilege/privilege.h"

static const char *
source(const struct plan *p)
{
	return p->conf->nallow > 0 ? "--allow" : "FCGI_WEB_SERVER_ADDRS";
}

/* How many of the sorted list would fit. */
static size_t
count_fitting(const struct plan *p, struct sock_filter *program)
{
	size_t fits = 0, most = p->nallow, half;

	while (most - fits > 1) {
		half = fits + (most - fits) / 2;
		if (filter_build(p->allow, half, program) > 0)
			fits = half;
		else
			most = half;
	}
	return fits;
}

static int
lack_right(const struct plan *p, struct err *e)
{
	return err_set(e, EX_NOPERM, "%s: the kernel lets only a process with "
	    "CAP_NET_ADMIN set its filter%s", source(p), p->root ?
	    " (in a container: --cap-add NET_ADMIN, in a unit: "
	    "CapabilityBoundingSet=CAP_NET_ADMIN, PrivateUsers=no)" :
	    " (start as root, or in a unit: CapabilityBoundingSet= and "
	    "AmbientCapabilities=CAP_NET_ADMIN, PrivateUsers=no)");
}

/* Attaches the filter and locks it. */
static int
attach_program(int fd, const struct plan *p, const struct sock_fprog *program,
    struct err *e)
{
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program,
	    sizeof(*program)) == -1)
		return errno == EPERM ? lack_right(p, e) : err_set(e,
		    EX_OSERR, "%s: attaching its filter: %s%s", source(p),
		    strerror(errno), errno == ENOMEM ? " (raise "
		    "net.core.optmem_max, or name networks: ADDR/LEN)" : "");
	if (setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)) == -1)
		return err_set(e, EX_OSERR, "%s: locking its filter: %s",
		    source(p), strerror(errno));
	if (!allow_holds(fd))
		return err_set(e, EX_OSERR, "%s: the kernel has no locked "
		    "filter after all", source(p));
	return 0;
}

static int
attach(int fd, const struct plan *p, struct sock_filter *program,
    struct err *e)
{
	size_t len = filter_build(p->allow, p->nallow, program);

	if (len == 0)
		return err_set(e, EX_USAGE, "%s: %zu addresses are too many "
		    "for the kernel: %zu of them would fit (name networks: "
		    "ADDR/LEN)", source(p), p->nallow,
		    count_fitting(p, program));
	return attach_program(fd, p, &(struct sock_fprog){ (uint16_t)len,
	    program }, e);
}

/* A pool whose list is only the variable's starts as it always has. */
static int
leave_to_worker(int fd, struct err *e)
{
	const int unused = 0;
	char why[ERR_SIZE];

	setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
	strlcpy(why, e->text, sizeof(why));
	err_set(e, e->status, "%s: only workers with libfcgi heed it", why);
	return 1;
}

int
allow_attach(int fd, const struct plan *p, struct err *e)
{
	struct sock_filter *program = calloc(FILTER_MAX, sizeof(*program));
	int r;

	if (program == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	r = attach(fd, p, program, e);
	free(program);
	return r == -1 && p->conf->nallow == 0 ? leave_to_worker(fd, e) : r;
}

bool
allow_is_possible(void)
{
	return true;
}

bool
allow_is_same(int fd, const struct plan *p)
{
	struct sock_filter *want, *have;
	socklen_t n = 0;
	size_t len = 0;
	bool same;

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) == -1)
		return false;
	/* A list that is only the variable's may do without, see above. */
	if (n == 0)
		return !p->only_allowed || p->conf->nallow == 0;
	if (!p->only_allowed)
		return false;
	want = calloc(FILTER_MAX, sizeof(*want));
	have = calloc(n, sizeof(*have));
	if (want != NULL)
		len = filter_build(p->allow, p->nallow, want);
	same = want != NULL && have != NULL && len == n &&
	    getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, have, &n) == 0 &&
	    len == n && memcmp(want, have, len * sizeof(*want)) == 0;
	free(want);
	free(have);
	return same;
}

bool
allow_holds(int fd)
{
	socklen_t len = 0, size = sizeof(int);
	int locked = 0;

	/* Without a buffer it returns the filter's length. */
	return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) == 0 &&
	    len > 0 && getsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &locked,
	    &size) == 0 && locked == 1;
}
