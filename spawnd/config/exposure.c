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

static void
check_exposure(const struct plan *p, const char *what, int root,
    const char *path, struct findings *f)
{
	struct exposure x;
	char *where;

	if (path == NULL || !find_exposure(p, root, path, &x))
		return;
	where = path_outside(root != -1 ? p->jail : NULL, x.path);
	findings_add(f, FINDING_WARNING, EX_CONFIG, "%s: %s%s%s: %s may write "
	    "%s: whoever breaks into a worker could replace it before the "
	    "next start (make root the owner)", what, path,
	    root != -1 ? " in " : "", root != -1 ? p->jail : "",
	    p->stays_root ? "users other than root" : p->ident.user,
	    where != NULL ? where : x.path);
	free(where);
}

static void
check_program(const struct plan *p, struct findings *f)
{
	if (p->jail != NULL && p->jail_fd == -1)
		return;
	check_exposure(p, "chroot", -1, p->jail, f);
	if (p->jail == NULL || (p->chdir != NULL &&
	    strcmp(p->chdir, "/") != 0))	/* that is the jail itself */
		check_exposure(p, "chdir", p->jail_fd, p->chdir, f);
	if (p->argv != NULL)
		check_exposure(p, "exec", p->jail_fd, p->argv[0], f);
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
	    "another socket (make root the owner, mode 0755)", p->socket_name,
	    p->ident.user, where != NULL ? where : x.path);
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
		check_program(p, f);
	else
		check_socket_dir(p, f);
}

void
exposure_check_files(const struct plan *p, struct findings *f)
{
	size_t i;

	if (!has_boundary(p))
		return;
	if (!p->stays_root)	/* else the plan has said so */
		check_program(p, f);
	check_pidfile_dir(p, f);
	for (i = 0; i < p->conf->nenv; i++) {
		if (p->conf->env[i].kind == ENV_FILE)
			check_exposure(p, "--env-file", -1,
			    p->conf->env[i].text, f);
	}
}
