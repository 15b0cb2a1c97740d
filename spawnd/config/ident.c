/* SPDX-License-Identifier: ISC */
/* Looks up users and groups while passwd(5) and group(5) can be read. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "config/phases.h"

bool
ident_member(const struct ident *id, gid_t gid)
{
	int i;

	for (i = 0; i < id->ngroups; i++) {
		if (id->groups[i] == gid)
			return true;
	}
	return gid == id->gid;
}

#define MEMBERS_SIZE	256	/* of a list of a group's members */
#define MEMBERS_LOOK	4096	/* entries of passwd(5) to look at for it */

/* An id as a number: all digits, and not the -1 that means "no change". */
static bool
parse_id(const char *s, unsigned int *id)
{
	const char *why;

	if (s[strspn(s, "0123456789")] != '\0' || s[0] == '\0')
		return false;
	*id = (unsigned int)strtonum(s, 0, UINT32_MAX - 1, &why);
	return why == NULL;
}

/* A passwd entry by name or number; *uid is set for a number without one. */
static struct passwd *
find_user(const char *name, uid_t *uid, bool *number)
{
	struct passwd *pw;

	*number = parse_id(name, uid);
	pw = *number ? getpwuid(*uid) : getpwnam(name);
	if (pw != NULL)
		*uid = pw->pw_uid;
	return pw;
}

int
ident_user(const char *opt, const char *name, uid_t *uid, gid_t *gid,
    struct err *e)
{
	struct passwd *pw;
	bool number;

	pw = find_user(name, uid, &number);
	if (pw == NULL && !number)
		return err_set(e, EX_NOUSER, "%s: %s: no such user", opt,
		    name);
	*gid = pw != NULL ? pw->pw_gid : (gid_t)-1;
	return 0;
}

int
ident_group(const char *opt, const char *name, gid_t *gid, struct err *e)
{
	struct group *gr;

	if (parse_id(name, gid))
		return 0;
	if ((gr = getgrnam(name)) == NULL)
		return err_set(e, EX_NOUSER, "%s: %s: no such group", opt,
		    name);
	*gid = gr->gr_gid;
	return 0;
}

char *
ident_user_name(uid_t uid)
{
	struct passwd *pw = getpwuid(uid);
	char *s = NULL;

	if (pw != NULL)
		return strdup(pw->pw_name);
	return asprintf(&s, "%u", uid) == -1 ? NULL : s;
}

char *
ident_group_name(gid_t gid)
{
	struct group *gr = getgrgid(gid);
	char *s = NULL;

	if (gr != NULL)
		return strdup(gr->gr_name);
	return asprintf(&s, "%u", gid) == -1 ? NULL : s;
}

/* Adds a name to a list of at most `size` bytes, unless it is in it. */
static void
add_member(char *list, size_t size, const char *name)
{
	size_t len = strlen(name), used = strlen(list);
	const char *at = list;

	if (len == 0 || (used > 0 && list[used - 1] == '.'))
		return;		/* it ends in "..." */
	for (; (at = strstr(at, name)) != NULL; at += len) {
		if ((at == list || at[-1] == ' ') &&
		    (at[len] == ',' || at[len] == '\0'))
			return;
	}
	if (used + len + sizeof(", , ...") > size) {
		strlcat(list, ", ...", size);
		return;
	}
	if (used > 0)
		strlcat(list, ", ", size);
	strlcat(list, name, size);
}

char *
ident_members(gid_t gid)
{
	struct group *gr = getgrgid(gid);
	struct passwd *pw;
	char list[MEMBERS_SIZE] = "";
	int i;

	for (i = 0; gr != NULL && gr->gr_mem[i] != NULL; i++)
		add_member(list, sizeof(list), gr->gr_mem[i]);
	setpwent();
	for (i = 0; i < MEMBERS_LOOK && (pw = getpwent()) != NULL; i++) {
		if (pw->pw_gid == gid)
			add_member(list, sizeof(list), pw->pw_name);
	}
	endpwent();
	return strdup(list);
}

/* The user's name, home and shell, and the group's name. */
static int
set_names(struct ident *id, const struct passwd *pw, struct err *e)
{
	if (pw != NULL) {
		id->user = strdup(pw->pw_name);
		id->home = strdup(pw->pw_dir);
		id->shell = strdup(pw->pw_shell[0] != '\0' ? pw->pw_shell :
		    "/bin/sh");
	} else if (asprintf(&id->user, "%u", id->uid) == -1)
		id->user = NULL;
	id->group = ident_group_name(id->gid);
	if (id->user == NULL || id->group == NULL || (pw != NULL &&
	    (id->home == NULL || id->shell == NULL)))
		return err_set(e, EX_OSERR, "user: out of memory");
	return 0;
}

/* The user's groups by group(5), and the one of -g; no others. */
static int
set_groups(const struct conf *c, struct ident *id, bool named, struct err *e)
{
	int i, n, room = 16;
	gid_t *groups = NULL;

	for (;;) {
		free(groups);
		n = room;
		if ((groups = calloc((size_t)room, sizeof(gid_t))) == NULL)
			return err_set(e, EX_OSERR, "groups: out of memory");
		if (!named) {
			groups[0] = id->gid;
			n = 1;
			break;
		}
		if (getgrouplist(id->user, id->gid, groups, &n) != -1)
			break;
		/* Not every libc returns how many there are. */
		room = n > room ? n : 2 * room;
	}
	id->groups = groups;
	id->ngroups = n;
	for (i = 0; i < id->ngroups; i++) {
		if (id->groups[i] == 0)
			return err_set(e, EX_CONFIG, "%s: %s: is in a group "
			    "with gid 0, which the workers must not have",
			    OPT(c, user), id->user);
	}
	return 0;
}

/* The caller's own ids and groups. */
static int
get_caller(struct ident *id, struct err *e)
{
	int n;

	memset(id, 0, sizeof(*id));
	id->uid = geteuid();
	id->gid = getegid();
	if ((n = getgroups(0, NULL)) == -1)
		return err_set(e, EX_OSERR, "getgroups: %s", strerror(errno));
	id->groups = calloc((size_t)n + 1, sizeof(gid_t));
	if (id->groups == NULL)
		return err_set(e, EX_OSERR, "groups: out of memory");
	if ((id->ngroups = getgroups(n, id->groups)) == -1)
		return err_set(e, EX_OSERR, "getgroups: %s", strerror(errno));
	return 0;
}

void
ident_free(struct ident *id)
{
	free(id->groups);
	free(id->user);
	free(id->group);
	free(id->home);
	free(id->shell);
	memset(id, 0, sizeof(*id));
}

bool
ident_caller_has(gid_t gid)
{
	struct ident own;
	struct err e;
	bool has = get_caller(&own, &e) == 0 && ident_member(&own, gid);

	ident_free(&own);
	return has;
}

static bool
has_groups(const struct ident *id, const struct ident *of)
{
	int i;

	for (i = 0; i < of->ngroups; i++) {
		if (!ident_member(id, of->groups[i]))
			return false;
	}
	return true;
}

/* Without -u: the caller. Only root could take the group of a -g alone. */
static int
resolve_caller(const struct conf *c, struct ident *id, struct err *e)
{
	gid_t gid = 0;

	if (get_caller(id, e) == -1 ||
	    set_names(id, getpwuid(id->uid), e) == -1)
		return -1;
	if (c->group == NULL || id->uid == 0)
		return 0;
	if (ident_group(OPT(c, group), c->group, &gid, e) == -1)
		return -1;
	id->change = gid != id->gid;
	return 0;
}

/*
 * Is there nothing to change? A group more than group(5) says may be a right
 * that is to be given up, one fewer is a right that the workers would miss.
 */
static int
compare_caller(struct ident *id, struct err *e)
{
	struct ident own;

	if (geteuid() == 0)
		return 0;	/* and may have to give up capabilities */
	if (get_caller(&own, e) == -1) {
		ident_free(&own);
		return -1;
	}
	id->change = own.uid != id->uid || own.gid != id->gid ||
	    !has_groups(&own, id) || !has_groups(id, &own);
	ident_free(&own);
	return 0;
}

int
ident_resolve(const struct conf *c, struct ident *id, struct err *e)
{
	const char *user = c->user, *group = c->group;
	struct passwd *pw;
	bool number;

	memset(id, 0, sizeof(*id));
	if (user == NULL)
		return resolve_caller(c, id, e);
	id->change = true;
	pw = find_user(user, &id->uid, &number);
	if (pw == NULL && !number)
		return err_set(e, EX_NOUSER, "%s: %s: no such user",
		    OPT(c, user), user);
	if (id->uid == 0)
		return err_set(e, EX_USAGE, "%s: %s: has uid 0 (name a user "
		    "without privileges)", OPT(c, user), user);
	/* We are the user of that number, so our group is the one meant. */
	if (group == NULL && pw == NULL && id->uid != geteuid())
		return err_set(e, EX_USAGE, "%s: %s: has no passwd entry, so "
		    "its group is not known (add %s)", OPT(c, user), user,
		    OPT(c, group));
	if (group == NULL)
		id->gid = pw != NULL ? pw->pw_gid : getegid();
	else if (ident_group(OPT(c, group), group, &id->gid, e) == -1)
		return -1;
	if (id->gid == 0 && group != NULL)
		return err_set(e, EX_USAGE, "%s: %s: has gid 0 (name a group "
		    "without privileges)", OPT(c, group), group);
	if (id->gid == 0)
		return err_set(e, EX_USAGE, "%s: %s: has gid 0 (name a group "
		    "without privileges with %s)", OPT(c, user), user,
		    OPT(c, group));
	if (set_names(id, pw, e) == -1)
		return -1;
	if (set_groups(c, id, pw != NULL, e) == -1)
		return -1;
	return compare_caller(id, e);
}
