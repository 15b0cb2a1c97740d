/* SPDX-License-Identifier: ISC */
/*
 * Turns the command line into a plan: resolves names, paths and addresses, and
 * finds every mistake that can be found before anything is created.
 */
#include <sys/stat.h>
#include <sys/un.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/phases.h"

static int
plan_no_memory(struct err *e)
{
	return err_set(e, EX_OSERR, "out of memory");
}

/* Without -s and -p the jail and socket are those of kfcgi. */
static int
choose_jail(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	const char *jail = c->chroot;
	size_t len;

	if (jail == NULL && c->socket == NULL && c->port == 0 &&
	    p->inherited == -1 && !c->inherited_only) {
		jail = DEFAULT_JAIL;
		p->jail_reason = " (neither -s nor -p given: jail "
		    DEFAULT_JAIL ")";
	}
	if (jail == NULL)
		return 0;
	p->needs_root = true;
	if ((p->jail = path_absolute(jail, false)) == NULL)
		return plan_no_memory(e);
	len = strlen(p->jail);
	if (len > 1 && p->jail[len - 1] == '/')
		p->jail[len - 1] = '\0';
	return 0;
}

static int
open_jail(struct plan *p, struct err *e)
{
	if (p->jail == NULL)
		return 0;
	if ((p->jail_fd = path_open_dir(-1, p->jail)) == -1)
		return err_set(e, err_status(errno, EX_CONFIG), "chroot: %s: "
		    "%s%s", p->jail, path_reason(errno), p->jail_reason);
	return 0;
}

/* The owner, group and mode of the unix socket. */
static int
plan_owner(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	gid_t gid = (gid_t)-1;
	char *user, *group;
	mode_t mask;
	int r;

	if (p->addr.ss_family != AF_UNIX || p->inherited != -1)
		return 0;
	p->socket_mode = (mode_t)(c->socket_mode == -1 ? MODE_DEFAULT :
	    c->socket_mode);
	if (c->socket_mode == -1 && c->mode_by_umask) {
		mask = umask(0);
		umask(mask);
		p->socket_mode &= ~mask;
	}
	p->socket_uid = p->ident.uid;
	p->socket_gid = p->ident.gid;
	if (c->socket_user != NULL) {
		if (ident_user(OPT(c, socket_user), c->socket_user,
		    &p->socket_uid, &gid, e) == -1)
			return -1;
		if (gid != (gid_t)-1)
			p->socket_gid = gid;
	}
	if (c->socket_group != NULL && ident_group(OPT(c, socket_group),
	    c->socket_group, &p->socket_gid, e) == -1)
		return -1;
	if (!p->root && !p->needs_root &&
	    !ident_member(&p->ident, p->socket_gid))
		return err_set(e, EX_NOPERM, "%s: %s: you are not in this "
		    "group (only root may name another)",
		    OPT(c, socket_group), c->socket_group);
	user = ident_user_name(p->socket_uid);
	group = ident_group_name(p->socket_gid);
	r = user == NULL || group == NULL ? -1 : asprintf(&p->socket_owner,
	    "%s:%s %04o", user, group, (unsigned int)p->socket_mode);
	free(user);
	free(group);
	return r == -1 ? plan_no_memory(e) : 0;
}

static int
plan_unix(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	const char *path = c->socket != NULL ? c->socket : DEFAULT_SOCKET;
	const size_t size = sizeof(((struct sockaddr_un *)0)->sun_path);
	char *slash, *outside;
	int r;

	p->socket_in_jail = p->jail != NULL && !c->socket_outside;
	if ((p->socket_dir = path_absolute(path, p->socket_in_jail)) == NULL)
		return plan_no_memory(e);
	if (strlen(p->socket_dir) >= size)
		return err_set(e, EX_USAGE, "%s: %s: longer than %zu bytes: no "
		    "web server could connect to it", OPT(c, socket),
		    p->socket_dir, size - 1);
	outside = path_outside(p->socket_in_jail ? p->jail : NULL,
	    p->socket_dir);
	r = outside == NULL ? -1 : asprintf(&p->socket_name, "unix:%s",
	    outside);
	free(outside);
	if (r == -1)
		return plan_no_memory(e);
	slash = strrchr(p->socket_dir, '/');
	if ((p->socket_file = strdup(slash + 1)) == NULL)
		return plan_no_memory(e);
	if (p->socket_file[0] == '\0' || strcmp(p->socket_file, ".") == 0 ||
	    strcmp(p->socket_file, "..") == 0)
		return err_set(e, EX_USAGE, "%s: %s: does not name a file",
		    OPT(c, socket), path);
	slash[slash == p->socket_dir ? 1 : 0] = '\0';
	p->addr.ss_family = AF_UNIX;
	return 0;
}

/* No option can change a socket that was passed in. */
static int
plan_inherited(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	const char *opt = c->socket != NULL ? OPT(c, socket) :
	    c->port != 0 ? OPT(c, port) :
	    c->socket_user != NULL ? OPT(c, socket_user) :
	    c->socket_group != NULL ? OPT(c, socket_group) :
	    c->socket_mode != -1 ? OPT(c, socket_mode) :
	    c->backlog != 0 ? OPT(c, backlog) :
	    c->nallow != 0 ? OPT(c, allow) : NULL;
	const struct sockaddr_un *un = (const void *)&p->addr;
	int r;

	if (opt != NULL)
		return err_set(e, EX_USAGE, "%s: does not apply to a listen "
		    "socket that was passed in (leave it out)", opt);
	if (address_of_listener(p->inherited, &p->addr) == -1)
		return err_set(e, EX_CONFIG, "descriptor %d: is not a "
		    "listening stream socket", p->inherited);
	if (p->addr.ss_family == AF_UNIX)
		r = asprintf(&p->socket_name, "unix:%s%.*s",
		    un->sun_path[0] == '\0' ? "@" : "",
		    (int)sizeof(un->sun_path) - 1,
		    un->sun_path + (un->sun_path[0] == '\0'));
	else
		r = address_name(p, p->inherited);
	if (r == -1 || (p->socket_owner = strdup("passed in")) == NULL)
		return plan_no_memory(e);
	return 0;
}

static int
plan_socket(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;

	p->backlog = c->backlog != 0 ? c->backlog : BACKLOG_DEFAULT;
	if (p->inherited != -1)
		return plan_inherited(p, e);
	if (c->inherited_only)
		return err_set(e, EX_CONFIG, "descriptor 0: is not a "
		    "listening stream socket (spawn-fcgi -n or a service "
		    "manager passes one in)");
	return c->port != 0 ? address_plan(p, e) : plan_unix(p, e);
}

/* Our own files, which are outside the jail. */
static int
plan_files(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;

	if (c->pidfile != NULL &&
	    (p->pidfile = path_absolute(c->pidfile, false)) == NULL)
		return plan_no_memory(e);
	if (c->log != NULL && strchr(c->log, '/') != NULL &&
	    (p->log = path_absolute(c->log, false)) == NULL)
		return plan_no_memory(e);
	return 0;
}

static int
plan_program(struct plan *p, struct err *e)
{
	static char *shell[] = { "/bin/sh", "-c", NULL, NULL };
	const struct conf *c = p->conf;
	size_t n = c->command != NULL ? 3 : (size_t)c->argc;
	bool stays;
	size_t i;

	if ((p->argv = calloc(n + 1, sizeof(char *))) == NULL)
		return plan_no_memory(e);
	for (i = 0; i < n; i++)
		p->argv[i] = c->command != NULL ? shell[i] : c->argv[i];
	if (c->command == NULL)		/* and a whole path as it was typed */
		p->argv[0] = c->argv[0][0] == '/' ? strdup(c->argv[0]) :
		    path_absolute(c->argv[0], p->jail != NULL);
	else if (asprintf(&p->argv[2], "exec %s", c->command) == -1)
		p->argv[2] = NULL;
	stays = c->cwd_stays && c->chdir == NULL && p->jail == NULL;
	p->chdir = path_absolute(c->chdir != NULL ? c->chdir : stays ? "." :
	    "/", p->jail != NULL);
	/* The user that we become may not be able to use its path. */
	if (stays)
		p->cwd_fd = path_open_dir(-1, ".");
	if (p->argv[0] == NULL || p->argv[n - 1] == NULL || p->chdir == NULL)
		return plan_no_memory(e);
	return 0;
}

void
plan_name(const struct conf *c, char name[NAME_SIZE])
{
	static const char blanks[] = " \t\n";
	const char *s = c->argv[0];
	size_t n = 0, i, end;

	if (c->name != NULL) {
		strlcpy(name, c->name, NAME_SIZE);
		return;
	}
	/* The first word, as the shell has it. */
	if (c->command != NULL)
		s = c->command + strspn(c->command, blanks);
	end = c->command != NULL ? strcspn(s, blanks) : strlen(s);
	while (end > 0 && s[end - 1] == '/')
		end--;
	for (i = end; i > 0 && s[i - 1] != '/'; i--)
		continue;
	for (; i < end && n < NAME_SIZE - 1; i++)
		name[n++] = isalnum((unsigned char)s[i]) ||
		    strchr("._-", s[i]) != NULL ? s[i] : '_';
	name[n] = '\0';
	if (n == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		strlcpy(name, "spawnd", NAME_SIZE);
}

/*
 * How many workers there may be after any scale, and in all during a reload:
 * no more than there are descriptors for, of which one is among the reserved.
 */
static int
plan_room(struct plan *p, unsigned int most, rlim_t limit, struct err *e)
{
	const struct conf *c = p->conf;
	unsigned int surge = (unsigned int)c->reload_surge;

	p->surge = surge;
	p->processes = limit >= FDS_RESERVED + 2 * WORKERS_MAX ?
	    2 * WORKERS_MAX : (unsigned int)limit - FDS_RESERVED + 1;
	if (surge > 1 && most + surge > p->processes)
		return err_set(e, EX_CONFIG, "%s: %u: needs %u open files, "
		    "the limit is %lld (raise it: ulimit -Hn, LimitNOFILE=)",
		    OPT(c, reload_surge), surge, most + surge +
		    FDS_RESERVED - 1, (long long)limit);
	p->room = most < SCALE_ROOM ? SCALE_ROOM : most;
	if (p->room > p->processes - 1)
		p->room = p->processes - 1;
	return 0;
}

static int
plan_size(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	const char *children = environ_get(p->envp, "PHP_FCGI_CHILDREN");
	const char *why = NULL;
	struct rlimit r;
	int most;

	if (children != NULL && children[0] != '\0') {
		p->children = (int)strtonum(children, 0, WORKERS_MAX, &why);
		if (why != NULL)
			return err_set(e, EX_USAGE, "PHP_FCGI_CHILDREN: %s: "
			    "%s (a number from 0 to %d)", children, why,
			    WORKERS_MAX);
	}
	p->workers = c->workers != -1 ? c->workers : p->children > 0 ? 1 :
	    WORKERS_DEFAULT;
	if (c->max_workers != -1 && c->max_workers < p->workers) {
		if (c->workers != -1)
			return err_set(e, EX_USAGE, "%s: %d: is below %s "
			    "(%d)", OPT(c, max_workers), c->max_workers,
			    OPT(c, workers), p->workers);
		return err_set(e, EX_USAGE, "%s: %d: is below the default of "
		    "%s (%d)", OPT(c, max_workers), c->max_workers,
		    OPT(c, workers), p->workers);
	}
	p->max_workers = c->max_workers != -1 ? (unsigned int)c->max_workers :
	    0;
	most = c->max_workers != -1 ? c->max_workers : p->workers;
	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return err_set(e, EX_OSERR, "getrlimit: %s",
		    strerror(errno));
	if (r.rlim_max != RLIM_INFINITY &&
	    (rlim_t)most + FDS_RESERVED > r.rlim_max)
		return err_set(e, EX_CONFIG, "%s: %d: needs %d open files, "
		    "the limit is %lld (raise it: ulimit -Hn, LimitNOFILE=)",
		    c->max_workers != -1 ? OPT(c, max_workers) :
		    OPT(c, workers), most,
		    most + FDS_RESERVED, (long long)r.rlim_max);
	/* As worker_init() wants them: for each two pipes and its end. */
	p->files = (rlim_t)most * 3 + FDS_RESERVED;
	p->files_max = r.rlim_max;
	return plan_room(p, (unsigned int)most, r.rlim_max, e);
}

bool
plan_watches(const struct plan *p)
{
	return p->files <= p->files_max;
}

static int
plan_ident(struct plan *p, struct err *e)
{
	if (p->ident.user != NULL)	/* rights_check() had to know it */
		return 0;
	return ident_resolve(p->conf, &p->ident, e);
}

static int
plan_env(struct plan *p, struct err *e)
{
	const char *zone = environ_odd_time_zone();

	if (zone != NULL)
		return err_set(e, EX_CONFIG, "TZ: %s: not a regular file",
		    zone);
	p->envp = env_build(p->conf, &p->ident, environ_own(), e);
	return p->envp == NULL ? -1 : 0;
}

/* What a phase needs from those before it, and provides if it succeeds. */
enum part { IDENT = 1, SOCKET = 2, ENVIRONMENT = 4 };

static const struct {
	int		(*phase)(struct plan *, struct err *);
	int		 needs, gives;
} phases[] = {
	{ choose_jail, 0, 0 },
	{ rights_check, 0, 0 },
	{ plan_ident, 0, IDENT },
	{ plan_socket, 0, SOCKET },
	{ plan_owner, IDENT | SOCKET, 0 },
	{ plan_files, 0, 0 },
	{ plan_control, IDENT | SOCKET, 0 },
	{ plan_program, 0, 0 },
	{ rights_check_limits, 0, 0 },
	{ plan_env, IDENT, ENVIRONMENT },
	{ plan_allow, SOCKET, 0 },
	{ plan_size, ENVIRONMENT, 0 },
	{ open_jail, 0, 0 },
};

void
plan_make(struct plan *p, const struct conf *c, int inherited,
    struct findings *f)
{
	struct err e;
	int have = 0;
	size_t i;

	memset(p, 0, sizeof(*p));
	p->conf = c;
	p->jail_fd = -1;
	p->cwd_fd = -1;
	p->inherited = inherited;
	p->taken = -1;
	p->root = geteuid() == 0;
	p->stays_root = p->root && c->user == NULL;
	p->jail_reason = "";
	plan_name(c, p->name);
	for (i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		if ((phases[i].needs & have) != phases[i].needs)
			continue;
		if (phases[i].phase(p, &e) == 0)
			have |= phases[i].gives;
		else
			findings_add(f, FINDING_ERROR, e.status, "%s",
			    e.text);
	}
	if (have & SOCKET) {
		address_check(p, f);
		plan_allow_check(p, f);
	}
	exposure_check_start(p, f);
}
