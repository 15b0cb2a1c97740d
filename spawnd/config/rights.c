/* SPDX-License-Identifier: ISC */
/*
 * What only root may ask for. An option that names what the caller is and has
 * already takes no right, so that anybody may give it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "config/phases.h"

static void
add_option(char *list, size_t size, const char *opt)
{
	if (list[0] != '\0')
		strlcat(list, ", ", size);
	strlcat(list, opt, size);
}

/* Does -U name another user than us, or give a group that we are not in? */
static bool
gives_socket_away(const struct conf *c)
{
	uid_t uid;
	gid_t gid;
	struct err e;

	if (c->socket_user == NULL)
		return false;
	if (ident_user(OPT(c, socket_user), c->socket_user, &uid, &gid,
	    &e) == -1 || uid != geteuid())
		return true;
	/* Where -G names the group, it is checked with the socket's owner. */
	return c->socket_group == NULL && gid != (gid_t)-1 &&
	    !ident_caller_has(gid);
}

/*
 * Without root's rights: does it take any to have what -u and -g ask for? Not
 * if they name the caller, who has all groups that they mean, and no others.
 * Their error is plan_ident()'s, after ours.
 */
static bool
changes_ident(struct plan *p)
{
	struct err e;

	if (p->conf->user == NULL && p->conf->group == NULL)
		return false;
	if (ident_resolve(p->conf, &p->ident, &e) == 0)
		return p->ident.change;
	ident_free(&p->ident);
	return true;
}

/*
 * Lists the options that take a right which the caller lacks; those that were
 * given, not those that a program which we stand in for implies.
 */
static void
list_options(struct plan *p, char *list, size_t size)
{
	const struct conf *c = p->conf;
	bool other = changes_ident(p);

	if (c->chroot != NULL && TYPED(c, chroot))
		add_option(list, size, OPT(c, chroot));
	if (c->socket_outside && p->jail != NULL && TYPED(c, socket_outside))
		add_option(list, size, OPT(c, socket_outside));
	if (c->user != NULL && other)
		add_option(list, size, OPT(c, user));
	if (c->group != NULL && other)
		add_option(list, size, OPT(c, group));
	if (gives_socket_away(c) && TYPED(c, socket_user))
		add_option(list, size, OPT(c, socket_user));
}

int
rights_check(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	char list[6 * CALLED_SIZE] = "";

	if (getuid() != geteuid() || getgid() != getegid())
		return err_set(e, EX_NOPERM, "spawnd must not be installed "
		    "set-user-id or set-group-id");
	if (p->root) {
		if (c->user == NULL && !c->root_stays)
			return err_set(e, EX_USAGE, "%s: is required as root "
			    "(name the user of the workers)", OPT(c, user));
		return 0;
	}
	list_options(p, list, sizeof(list));
	p->needs_root |= list[0] != '\0';
	if (c->test != TEST_NO)
		return 0;	/* the preflight reports it */
	if (list[0] != '\0')
		return err_set(e, EX_NOPERM, "%s: only root may ask for this "
		    "(start %s as root%s)", list, getprogname(),
		    c->always_jailed ? "" : ", or leave it out");
	if (p->jail != NULL)
		return err_set(e, EX_NOPERM, "chroot: %s: only root may do "
		    "this%s (start %s as root)", p->jail, p->jail_reason,
		    getprogname());
	return 0;
}

int
rights_check_limits(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	struct rlimit now;
	size_t i;

	if (p->root || p->needs_root)
		return 0;
	for (i = 0; i < c->nlimits; i++) {
		const struct limit *l = &c->limits[i];

		if (getrlimit(l->resource, &now) == -1)
			return err_set(e, EX_OSERR, "getrlimit: %s",
			    strerror(errno));
		if (l->value.rlim_cur > now.rlim_max ||
		    (l->has_hard && l->value.rlim_max > now.rlim_max))
			return err_set(e, EX_NOPERM, "--rlimit: %s: only root "
			    "may go above the hard limit of %lld", l->name,
			    (long long)now.rlim_max);
	}
	if (c->nice_given && c->nice < getpriority(PRIO_PROCESS, 0))
		return err_set(e, EX_NOPERM, "--nice: %d: only root may go "
		    "below the current nice value", c->nice);
	return 0;
}
