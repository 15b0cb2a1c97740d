/* SPDX-License-Identifier: ISC */
/* The plan's part about the control sockets: their place and their users. */
#include <sys/stat.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/phases.h"

const char *const plan_control_files[PLAN_CONTROL_FILES] = {
	"control", "status", "log", "pid"
};

/* The group that may read the status: we must be able to chgrp to it. */
static int
plan_status_group(struct plan *p, struct err *e)
{
	const char *name = p->conf->status_group;

	p->status_gid = (gid_t)-1;
	if (name == NULL)
		return 0;
	if (ident_group("--status-group", name, &p->status_gid, e) == -1)
		return -1;
	if (!p->root && !p->needs_root &&
	    !ident_member(&p->ident, p->status_gid))
		return err_set(e, EX_NOPERM, "--status-group: %s: you are "
		    "not in this group (only root may name another)", name);
	if (p->conf->control != NULL && strcmp(p->conf->control, "none") == 0)
		return err_set(e, EX_USAGE, "--status-group: %s: with "
		    "--control none there is nothing for it to read", name);
	return 0;
}

static bool
same_directory(const char *a, const char *b)
{
	struct stat x, y;

	return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 &&
	    path_is_same(&x, &y));
}

/* Refuses a file by a name that the control sockets' directory uses. */
static int
check_control_name(const struct plan *p, const char *opt, const char *path,
    const char *dir, const char *name, struct err *e)
{
	size_t i;

	for (i = 0; i < PLAN_CONTROL_FILES; i++) {
		if (strcmp(name, plan_control_files[i]) == 0 &&
		    same_directory(p->control, dir))
			return err_set(e, EX_CONFIG, "%s: %s: spawnd uses this "
			    "name itself in the directory of --control (choose "
			    "another)", opt, path);
	}
	return 0;
}

static int
check_control_path(const struct plan *p, const char *opt, const char *path,
    struct err *e)
{
	const char *slash;
	char *dir;
	int r;

	if (path == NULL)
		return 0;
	slash = strrchr(path, '/');
	if ((dir = slash == path ? strdup("/") : strndup(path,
	    (size_t)(slash - path))) == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	r = check_control_name(p, opt, path, dir, slash + 1, e);
	free(dir);
	return r;
}

/* Is the directory ours, or can we make it? Notes one of somebody else. */
static bool
try_place(struct plan *p, const char *path)
{
	char above[PATH_MAX];
	char *slash;
	struct stat st;

	if (lstat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode) && path_is_ours(&st))
			return access(path, W_OK | X_OK) == 0;
		if (p->control_lost == NULL)
			p->control_lost = strdup(path);
		return false;
	}
	if (strlcpy(above, path, sizeof(above)) >= sizeof(above) ||
	    (slash = strrchr(above, '/')) == NULL)
		return false;
	*slash = '\0';
	return access(above, W_OK | X_OK) == 0;
}

/* The directory that --control names. */
static char *
asked_place(const char *control)
{
	char *place = path_absolute(control, false);
	size_t len = place != NULL ? strlen(place) : 0;

	while (len > 1 && place[len - 1] == '/')
		place[--len] = '\0';
	return place;
}

/*
 * The first place that can be used, else the first, which says why not. NULL:
 * there is none, or (*failed) no memory.
 */
static char *
usable_place(struct plan *p, bool *failed)
{
	const char *own = environ_get(environ_own(), "XDG_RUNTIME_DIR");
	char *path;
	unsigned int i;

	for (i = 0; (path = path_place(i, geteuid(), own)) != NULL; i++) {
		if (try_place(p, path))
			return path;
		free(path);
	}
	path = path_place(0, geteuid(), own);
	*failed = path == NULL;
	if (path != NULL && path[0] == '\0') {
		free(path);
		path = NULL;
	}
	return path;
}

/* The directory that contains the pool's or, with --control, is it. */
static char *
control_place(struct plan *p, bool *failed)
{
	const struct conf *c = p->conf;
	char *place;

	*failed = false;
	if (c->control == NULL && c->found == NULL)
		return usable_place(p, failed);
	if (c->control != NULL && strcmp(c->control, "none") == 0)
		return NULL;
	place = c->control != NULL ? asked_place(c->control) :
	    strdup(c->found);
	*failed = place == NULL;
	return place;
}

/* In the pool's own directory no other file may have a name that we use. */
static int
plan_control_dir(struct plan *p, struct err *e)
{
	if (check_control_path(p, OPT(p->conf, pidfile), p->pidfile, e) == -1 ||
	    check_control_path(p, "--log", p->log, e) == -1)
		return -1;
	if (p->socket_file == NULL || p->socket_in_jail)
		return 0;
	return check_control_name(p, OPT(p->conf, socket), p->socket_name,
	    p->socket_dir, p->socket_file, e);
}

int
plan_control(struct plan *p, struct err *e)
{
	bool failed;

	if (plan_status_group(p, e) == -1)
		return -1;
	p->control_own = p->conf->control != NULL;
	p->control = control_place(p, &failed);
	if (p->control == NULL)
		return failed ? err_set(e, EX_OSERR, "out of memory") : 0;
	return p->control_own ? plan_control_dir(p, e) : 0;
}
