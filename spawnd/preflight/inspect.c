/* SPDX-License-Identifier: ISC */
/*
 * The preflight's checks of files. They run in a process that has entered the
 * jail and has a worker's rights, so the kernel itself answers what a worker
 * may do, and all is read without privileges.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"
#include "preflight/inspect.h"

#define SCRIPT_DEPTH	4	/* interpreters that are scripts themselves */

/* A file that is to be executed, or the working directory. */
struct program {
	const struct plan *p;
	struct findings	*f;
	const char	*path;
	const char	*advice;	/* if it is missing; or NULL */
	char		 what[ERR_SIZE / 2];	/* "exec: /app in /jail" */
	int		 depth;
};

static void look_into(struct program *x);

static void
explain_missing(const struct plan *p, const char *path, const char *part,
    char *buf, size_t size)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;
	size_t len = p->jail != NULL ? strlen(p->jail) : 0;

	if (lstat(part, &st) == 0 && S_ISLNK(st.st_mode) &&
	    (n = readlink(part, target, sizeof(target) - 1)) > 0) {
		target[n] = '\0';
		snprintf(buf, size, "%s is a symbolic link to %s, which does "
		    "not exist%s",
		    part, target, len > 0 ? " inside the jail" : "");
	} else if (len > 1 && strncmp(path, p->jail, len) == 0 &&
	    path[len] == '/')
		snprintf(buf, size, "does not exist (paths are as seen inside "
		    "the jail: try %s)", path + len);
	else if (strcmp(part, path) == 0)
		strlcpy(buf, "does not exist", size);
	else
		snprintf(buf, size, "its directory %s does not exist", part);
}

/* Why the walk to path ends at its prefix `part`. */
static void
explain_way(const struct plan *p, const char *path, const char *part,
    int error, char *buf, size_t size)
{
	struct stat st;

	if (error == ENOENT)
		explain_missing(p, path, part, buf, size);
	else if (error == ENOTDIR)
		snprintf(buf, size, "%s is not a directory", part);
	else if (error == EACCES && stat(part, &st) == 0)
		snprintf(buf, size, "the directory %s may not be searched by "
		    "%s (mode %04o, owner %u:%u)", part, p->ident.user,
		    (unsigned int)st.st_mode & 07777, st.st_uid, st.st_gid);
	else if (error == EACCES)
		snprintf(buf, size, "a directory that the link %s leads to may "
		    "not be searched by %s", part, p->ident.user);
	else
		snprintf(buf, size, "%s: %s", part, strerror(error));
}

/* The first prefix of path that cannot be reached, and the error. */
static int
find_obstacle(const char *path, char *part, size_t size)
{
	struct stat st;
	size_t n = 0;

	while (path[n] != '\0') {
		n += strspn(path + n, "/");
		if (n >= size)
			return ENAMETOOLONG;
		memcpy(part, path, n);
		part[n] = '\0';
		/* With its slash the prefix must be a directory. */
		if (n > 0 && access(part, X_OK) == -1) {
			if (n > 1)
				part[n - 1] = '\0';
			return errno;
		}
		n += strcspn(path + n, "/");
	}
	strlcpy(part, path, size);
	return stat(path, &st) == -1 ? errno : 0;
}

/* Can it be reached? If not, an error says why. */
static bool
check_reachable(struct program *x, struct stat *st)
{
	char part[PATH_MAX], why[2 * PATH_MAX + 256];
	int error;

	if (stat(x->path, st) == 0)
		return true;
	error = find_obstacle(x->path, part, sizeof(part));
	if (error == 0 && stat(x->path, st) == 0)
		return true;		/* it has just been created */
	explain_way(x->p, x->path, part, error, why, sizeof(why));
	findings_add(x->f, FINDING_ERROR, EX_CONFIG, "%s: %s%s%s", x->what,
	    why, error == ENOENT && x->advice != NULL ? x->advice : "",
	    x->p->jail_reason);
	return false;
}

static void
add_finding(struct program *x, enum finding_level level, const char *text)
{
	findings_add(x->f, level, EX_CONFIG, "%s: %s", x->what, text);
}

/* Is it a regular file that can be executed? If not, an error says why. */
static bool
check_executable(struct program *x)
{
	const mode_t all = S_IXUSR | S_IXGRP | S_IXOTH;
	struct stat st;

	if (!check_reachable(x, &st))
		return false;
	if (!S_ISREG(st.st_mode)) {
		add_finding(x, FINDING_ERROR, S_ISDIR(st.st_mode) ?
		    "it is a directory" : "it is not a regular file");
		return false;
	}
	if (access(x->path, X_OK) == 0)
		return true;
	findings_add(x->f, FINDING_ERROR, EX_CONFIG, "%s: it may not be "
	    "executed by %s (mode %04o, owner %u:%u%s)", x->what,
	    x->p->ident.user, (unsigned int)st.st_mode & 07777, st.st_uid,
	    st.st_gid, (st.st_mode & all) == all ?
	    ": is its file system mounted noexec?" : "");
	return false;
}

/* Sets *next to the interpreter or loader of x. */
static void
init_next(struct program *next, const struct program *x, const char *role,
    const char *path)
{
	next->p = x->p;
	next->f = x->f;
	next->path = path;
	next->advice = NULL;
	next->depth = x->depth + 1;
	strlcpy(next->what, x->what, sizeof(next->what));
	strlcat(next->what, role, sizeof(next->what));
	strlcat(next->what, path, sizeof(next->what));
}

/* For #!/usr/bin/env NAME: is NAME in the workers' PATH? */
static void
check_env(struct program *x, const char *name)
{
	const char *dirs = environ_get(x->p->envp, "PATH");
	char path[PATH_MAX];
	size_t len;

	if (name[0] == '\0' || name[0] == '-' || strpbrk(name, "=/") != NULL)
		return;
	while (dirs != NULL) {
		len = strcspn(dirs, ":");
		if (snprintf(path, sizeof(path), "%.*s/%s", (int)len, dirs,
		    name) < (int)sizeof(path) && access(path, X_OK) == 0)
			return;
		dirs = dirs[len] != '\0' ? dirs + len + 1 : NULL;
	}
	findings_add(x->f, FINDING_ERROR, EX_CONFIG, "%s: its interpreter %s "
	    "is not in the workers' PATH%s", x->what, name,
	    strchr(name, '\r') != NULL ? " (its lines end in CR LF)" : "");
}

static void
check_script(struct program *x, struct script *s)
{
	struct program next;
	const char *base;

	if (s->interp[0] == '\0' || strcmp(s->interp, "\r") == 0) {
		add_finding(x, FINDING_ERROR, "its #! line names no "
		    "interpreter");
		return;
	}
	if (s->crlf && s->arg[0] == '\0' && access(s->interp, F_OK) == -1) {
		s->interp[strcspn(s->interp, "\r")] = '\0';
		findings_add(x->f, FINDING_ERROR, EX_CONFIG, "%s: its lines "
		    "end in CR LF, so its interpreter %s is not found "
		    "(convert it)", x->what, s->interp);
		return;
	}
	if (s->crlf)
		add_finding(x, FINDING_WARNING, "its lines end in CR LF");
	if (x->depth >= SCRIPT_DEPTH) {
		add_finding(x, FINDING_ERROR, "too many interpreters that "
		    "are scripts themselves");
		return;
	}
	init_next(&next, x, ": its interpreter ", s->interp);
	if (check_executable(&next))
		look_into(&next);
	base = strrchr(s->interp, '/');
	if (strcmp(base != NULL ? base + 1 : s->interp, "env") == 0)
		check_env(x, s->arg);
}

static void
check_elf(struct program *x, int fd)
{
	struct program loader;
	char why[128];
	struct elf e;
	const char *unfit = elf_read(fd, &e);

	if (unfit == NULL)
		unfit = elf_unfit(&e, why, sizeof(why));
	if (unfit != NULL)
		add_finding(x, FINDING_ERROR, unfit);
	else if (e.interp != NULL) {
		init_next(&loader, x, ": its loader ", e.interp);
		if (x->p->jail != NULL)
			loader.advice = " (link it statically, or copy its "
			    "loader and libraries into the jail)";
		if (check_executable(&loader))
			library_check(x->p, x->f, x->path, &e);
	}
	elf_free(&e);
}

/* Checks what an executable needs: interpreter, loader, libraries. */
static void
look_into(struct program *x)
{
	struct script s;
	int fd;

	fd = open(x->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		findings_add(x->f, FINDING_NOTE, 0, "not checked: the "
		    "interpreter and libraries of %s: %s cannot read it (a "
		    "script could not be run)",
		    x->path, x->p->ident.user);
		return;
	}
	switch (script_read(fd, &s)) {
	case SCRIPT_EMPTY:
		add_finding(x, FINDING_ERROR, "it is empty");
		break;
	case SCRIPT_LINES:
		check_script(x, &s);
		break;
	case SCRIPT_ELF:
		check_elf(x, fd);
		break;
	case SCRIPT_NEITHER:
		add_finding(x, FINDING_ERROR, "it is neither a program nor a "
		    "script with a #! line");
		break;
	}
	close(fd);
}

/* verb: how the start uses path, "exec" or "chdir". */
static void
init_first(struct program *x, const struct plan *p, struct findings *f,
    const char *verb, const char *path)
{
	memset(x, 0, sizeof(*x));
	x->p = p;
	x->f = f;
	x->path = path;
	snprintf(x->what, sizeof(x->what), "%s: %s%s%s", verb, path,
	    p->jail != NULL ? " in " : "", p->jail != NULL ? p->jail : "");
}

static void
check_chdir(const struct plan *p, struct findings *f)
{
	struct program x;
	struct stat st;

	init_first(&x, p, f, "chdir", p->chdir);
	if (!check_reachable(&x, &st))
		return;
	if (!S_ISDIR(st.st_mode))
		add_finding(&x, FINDING_ERROR, "it is not a directory");
	else if (chdir(p->chdir) == -1)
		findings_add(f, FINDING_ERROR, EX_CONFIG, "%s: it may not be "
		    "searched by %s (mode %04o, owner %u:%u)", x.what,
		    p->ident.user, (unsigned int)st.st_mode & 07777,
		    st.st_uid, st.st_gid);
}

/* Is it "cgi.fix_pathinfo=" with what PHP takes for false? */
static bool
is_without_pathinfo(const char *arg)
{
	static const char name[] = "cgi.fix_pathinfo=";
	static const char *const no[] = { "0", "off", "no", "none", "false",
	    "" };
	const char *value = strstr(arg, name);
	size_t i;

	for (i = 0; value != NULL && i < sizeof(no) / sizeof(no[0]); i++) {
		if (strcasecmp(value + strlen(name), no[i]) == 0)
			return true;
	}
	return false;
}

/*
 * php-cgi runs the nearest file above a path that does not exist. It has no
 * list of extensions as php-fpm has, so the web server has to prevent that.
 */
static void
check_php(struct program *x)
{
	const char *base = strrchr(x->path, '/');
	char *const *arg;

	base = base != NULL ? base + 1 : x->path;
	if (strncmp(base, "php-cgi", strlen("php-cgi")) != 0)
		return;
	for (arg = x->p->argv; *arg != NULL; arg++) {
		if (is_without_pathinfo(*arg))
			return;
	}
	add_finding(x, FINDING_NOTE, "unless php.ini turns cgi.fix_pathinfo "
	    "off, it runs /up.jpg as PHP for a request of /up.jpg/x.php (let "
	    "the web server pass on only scripts that exist)");
}

static void
check_application(const struct plan *p, struct findings *f)
{
	struct program x;

	init_first(&x, p, f, "exec", p->argv[0]);
	if (check_executable(&x))
		look_into(&x);
	check_php(&x);
	if (p->conf->command != NULL)
		findings_add(f, FINDING_NOTE, 0, "not checked: %s: the command "
		    "that /bin/sh will run (only /bin/sh was)",
		    OPT(p->conf, command));
}

/* Files that applications commonly open; any one of several will do. */
static void
check_furniture(const struct plan *p, struct findings *f)
{
	static const struct {
		const char	*paths[3];
		const char	*why;
	} wanted[] = {
		{ { "/dev/null" }, "shells and system() open it" },
		{ { "/dev/urandom" }, "some libraries take random numbers "
		    "from it" },
		{ { "/etc/resolv.conf" }, "host names cannot be looked up" },
		{ { "/etc/passwd" }, "users have no names" },
		{ { "/usr/share/zoneinfo" }, "UTC is the only time zone" },
		{ { "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/pki" },
		    "no CA certificates: TLS peers cannot be verified" },
	};
	const char *tmp = environ_get(p->envp, "TMPDIR");
	size_t i, j;

	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		for (j = 0; j < 3 && wanted[i].paths[j] != NULL; j++) {
			if (access(wanted[i].paths[j], R_OK) == 0)
				break;
		}
		if (j == 3 || wanted[i].paths[j] == NULL)
			findings_add(f, FINDING_NOTE, 0, "jail: %s: not there "
			    "or not readable (%s)", wanted[i].paths[0],
			    wanted[i].why);
	}
	if (tmp == NULL || tmp[0] == '\0')
		tmp = "/tmp";
	if (access(tmp, W_OK | X_OK) == -1)
		findings_add(f, FINDING_NOTE, 0, "jail: %s: %s cannot write "
		    "there (temporary files, uploads)", tmp, p->ident.user);
}

void
inspect_run(const struct plan *p, struct findings *f)
{
	if (p->chdir != NULL)
		check_chdir(p, f);
	if (p->argv != NULL && p->argv[0] != NULL)
		check_application(p, f);
	if (p->jail != NULL)
		check_furniture(p, f);
}
