/* SPDX-License-Identifier: ISC */
/*
 * Gives up root's rights. The order matters: groups and root directory need
 * the rights that the last step gives up.
 */
#include <sys/stat.h>

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/config.h"
#include "observe/observe.h"
#include "privilege/privilege.h"

static int
compare_gid(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return (x > y) - (x < y);
}

/* Are the supplementary groups those of the plan, no more and no fewer? */
static int
verify_groups(const struct ident *id, struct err *e)
{
	size_t n = (size_t)id->ngroups;
	gid_t *have;
	int got, same;

	if ((have = calloc(n + 1, sizeof(gid_t))) == NULL)
		return err_set(e, EX_OSERR, "groups: out of memory");
	got = getgroups(id->ngroups + 1, have);
	if (got > 0)
		qsort(have, (size_t)got, sizeof(gid_t), compare_gid);
	qsort(id->groups, n, sizeof(gid_t), compare_gid);
	same = got == id->ngroups &&
	    memcmp(have, id->groups, n * sizeof(gid_t)) == 0;
	free(have);
	if (!same)
		return err_set(e, EX_OSERR, "groups: the kernel did not set "
		    "the list");
	return 0;
}

static int
verify_ids(const struct ident *id, struct err *e)
{
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	if (getresuid(&ru, &eu, &su) == -1 || getresgid(&rg, &eg, &sg) == -1)
		return err_set(e, EX_OSERR, "ids: %s", strerror(errno));
	if (ru != id->uid || eu != id->uid || su != id->uid ||
	    rg != id->gid || eg != id->gid || sg != id->gid)
		return err_set(e, EX_OSERR, "ids: still uid %u/%u/%u, gid "
		    "%u/%u/%u", ru, eu, su, rg, eg, sg);
	if (id->uid != 0 && setuid(0) == 0)
		return err_set(e, EX_OSERR, "ids: root could be regained");
	return 0;
}

static int
change_root(struct plan *p, struct err *e)
{
	struct stat want, have;

	if (p->jail_fd != -1) {
		if (fstat(p->jail_fd, &want) == -1 ||
		    fchdir(p->jail_fd) == -1 || chroot(".") == -1)
			return err_set(e, err_status(errno, EX_OSERR),
			    "chroot: %s: %s%s", p->jail, strerror(errno),
			    p->jail_reason);
		if (stat("/", &have) == -1 || !path_is_same(&have, &want))
			return err_set(e, EX_OSERR, "chroot: %s: the root "
			    "directory did not change", p->jail);
		close(p->jail_fd);
		p->jail_fd = -1;
	}
	if (p->cwd_fd == -1) {
		if (chdir("/") == -1)
			return err_set(e, EX_OSERR, "chdir: /: %s",
			    strerror(errno));
	} else if (fchdir(p->cwd_fd) == -1)
		return err_set(e, err_status(errno, EX_OSERR),
		    "chdir: %s: %s", p->chdir, strerror(errno));
	return 0;
}

int
jail_enter(struct plan *p, struct guarantees *g, struct err *e)
{
	const struct ident *id = &p->ident;

	if (id->change && setgroups((size_t)id->ngroups, id->groups) == -1)
		return err_set(e, err_status(errno, EX_OSERR), "setgroups: "
		    "%s (is CAP_SETGID missing?)", strerror(errno));
	if (change_root(p, e) == -1)
		return -1;
	if (p->stays_root)
		return 0;	/* the plan wants it so */
	if (jail_drop(p, e) == -1 || verify_ids(id, e) == -1 ||
	    jail_verify(p, g, e) == -1)
		return -1;
	if (id->change)
		return verify_groups(id, e);
	return 0;
}
