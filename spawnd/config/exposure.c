/* SPDX-License-Identifier: ISC */
/*
 * Finds what a compromised worker could replace before root starts the pool
 * again, or while the web server uses it. None of that is an error: many
 * applications own their files.
 */
#include <sys/stat.h>

#include <stdlib.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "base/path.h"
#include "config/phases.h"

/* Does the plan start with rights that the workers do not have? */
static bool
has_boundary(const struct plan *p)
{
	return (p->root || p->needs_root) && p->ident.user != NULL;
}

/* Where the workers stay root, any other user counts. */
static bool
find_exposure(const struct plan *p, int root, const char *path,
    struct exposure *x)
{
	const struct ident *id = &p->ident;
	const struct path_user u = { id->uid, id->gid, id->groups,
	    id->ngroups };

	return path_find_exposure(root, path, p->stays_root ? NULL : &u, x);
}

/* What the next start will use: these, and each -e and --env-file. */
enum used_by { USED_JAIL, USED_CHDIR, USED_PROGRAM, USED_ENV };

struct used {
	const char	*what;
	const char	*path;		/* NULL: it is not used */
	const char	*jail;		/* that the path is in; or NULL */
};

static struct used
get_used(const struct plan *p, size_t i)
{
	const struct env_rule *env = p->conf->env;
	bool closed = p->jail != NULL && p->jail_fd == -1;

	switch (i) {
	case USED_JAIL:
		return (struct used){ "chroot", closed ? NULL : p->jail,
		    NULL };
	case USED_CHDIR:
		/* "/" is the jail itself. */
		if (closed || p->chdir == NULL || (p->jail != NULL &&
		    strcmp(p->chdir, "/") == 0))
			break;
		return (struct used){ "chdir", p->chdir, p->jail };
	case USED_PROGRAM:
		if (closed || p->argv == NULL)
			break;
		return (struct used){ "exec", p->argv[0], p->jail };
	default:
		if (env[i - USED_ENV].kind != ENV_FILE)
			break;
		return (struct used){ "--env-file", env[i - USED_ENV].text,
		    NULL };
	}
	return (struct used){ NULL, NULL, NULL };
}

/* What of its way is exposed, malloc'd; NULL: nothing. */
static char *
find_place(const struct plan *p, size_t i)
{
	struct used u = get_used(p, i);
	struct exposure x;
	char *place;
	size_t len;

	if (u.path == NULL || !find_exposure(p, u.jail != NULL ? p->jail_fd :
	    -1, u.path, &x))
		return NULL;
	if ((place = path_outside(u.jail, x.path)) == NULL)
		return NULL;
	len = strlen(place);
	if (len > 1 && place[len - 1] == '/')
		place[len - 1] = '\0';
	return place;
}

static bool
is_at(const struct plan *p, size_t i, const char *place)
{
	char *other = find_place(p, i);
	bool same = other != NULL && strcmp(other, place) == 0;

	free(other);
	return same;
}

static void
add_name(const struct plan *p, size_t i, char *names, size_t size)
{
	struct used u = get_used(p, i);
	size_t len = strlen(names);

	snprintf(names + len, size - len, "%s%s: %s%s%s", len > 0 ? ", " : "",
	    u.what, u.path, u.jail != NULL ? " in " : "",
	    u.jail != NULL ? u.jail : "");
}

/* One warning for each place, with all that it is on the way to. */
static void
check_used(const struct plan *p, size_t from, size_t end, struct findings *f)
{
	char names[ERR_SIZE / 2], *place;
	size_t i, j;

	for (i = from; i < end; i++) {
		if ((place = find_place(p, i)) == NULL)
			continue;
		for (j = from; j < i && !is_at(p, j, place); j++)
			continue;
		names[0] = '\0';
		for (; j >= i && j < end; j++) {
			if (j == i || is_at(p, j, place))
				add_name(p, j, names, sizeof(names));
		}
		if (names[0] != '\0')
			findings_add(f, FINDING_WARNING, EX_CONFIG, "%s: %s "
			    "may write %s: whoever breaks into a worker could "
			    "replace it before the next start (make root the "
			    "owner)", names, p->stays_root ?
			    "users other than root" : p->ident.user, place);
		free(place);
	}
}

/* Is the socket for other users than that of the workers? */
static bool
is_for_others(const struct plan *p)
{
	return p->socket_uid != p->ident.uid ||
	    (p->socket_mode & S_IWOTH) != 0 ||
	    ((p->socket_mode & S_IWGRP) != 0 &&
	    p->socket_gid != p->ident.gid);
}

static void
check_socket_dir(const struct plan *p, struct findings *f)
{
	struct exposure x;
	char *where;

	if (p->socket_dir == NULL || p->socket_owner == NULL ||
	    !is_for_others(p) ||
	    (p->socket_in_jail && p->jail_fd == -1) ||
	    !find_exposure(p, p->socket_in_jail ? p->jail_fd : -1,
	    p->socket_dir, &x))
		return;
	where = path_outside(p->socket_in_jail ? p->jail : NULL, x.path);
	findings_add(f, FINDING_WARNING, EX_CONFIG, "socket: %s: %s may write "
	    "%s: whoever breaks into a worker could direct the web server to "
	    "another socket (%s)", p->socket_name, p->ident.user,
	    where != NULL ? where : x.path, x.sticky ? "put it elsewhere, "
	    "such as below /run" : "make root the owner, mode 0755");
	free(where);
}

static void
check_pidfile_dir(const struct plan *p, struct findings *f)
{
	char dir[PATH_MAX];
	struct exposure x;

	if (p->pidfile == NULL)
		return;
	snprintf(dir, sizeof(dir), "%.*s/", (int)(strrchr(p->pidfile, '/') -
	    p->pidfile), p->pidfile);
	if (!find_exposure(p, -1, dir, &x))
		return;
	findings_add(f, FINDING_WARNING, EX_CONFIG, "%s: %s: %s may write %s: "
	    "whoever breaks into a worker could have root signal any process "
	    "(make root the owner)", OPT(p->conf, pidfile), p->pidfile,
	    p->stays_root ? "users other than root" : p->ident.user, x.path);
}

void
exposure_check_start(const struct plan *p, struct findings *f)
{
	if (!has_boundary(p))
		return;
	if (p->stays_root)
		check_used(p, USED_JAIL, USED_ENV, f);
	else
		check_socket_dir(p, f);
}

void
exposure_check_files(const struct plan *p, struct findings *f)
{
	if (!has_boundary(p))
		return;
	/* Where they stay root, the plan has warned of the first. */
	check_used(p, p->stays_root ? USED_ENV : USED_JAIL, USED_ENV +
	    p->conf->nenv, f);
	check_pidfile_dir(p, f);
}
