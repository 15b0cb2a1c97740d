/* SPDX-License-Identifier: ISC */
/* The workers' environment: an allowlist, built once, before the jail. */
#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/phases.h"

static const char *const allowed[] = {
	"PATH", "TZ", "TMPDIR", "LANG", "LC_*", "PHPRC", "PHP_INI_SCAN_DIR",
	"PHP_FCGI_CHILDREN", "PHP_FCGI_MAX_REQUESTS", "FCGI_WEB_SERVER_ADDRS",
};

/*
 * Variables that a service manager addresses to the supervisor, and kcgi's
 * private channel: they name descriptors that a worker does not have.
 */
static const char *const forbidden[] = {
	"LISTEN_*", "NOTIFY_SOCKET", "WATCHDOG_*", "MAINPID",
	"FCGI_LISTENSOCK_DESCRIPTORS",
};

/* NAME=VALUE, or what else the environment has. */
struct var {
	char		*text;
	size_t		 at;	/* its number among them */
};

/* In the order that they were set in, until keep_last() also repeatedly. */
struct vars {
	struct var	*list;
	size_t		 n, room;
};

bool
env_name_ok(const char *name, size_t len)
{
	size_t i;

	if (len == 0 || isdigit((unsigned char)name[0]))
		return false;
	for (i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	}
	return true;
}

static bool
matches_any(const char *const *patterns, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	}
	return false;
}

static bool
is_forbidden(const char *name)
{
	return matches_any(forbidden, sizeof(forbidden) /
	    sizeof(forbidden[0]), name);
}

bool
env_forbidden(const char *name, size_t len)
{
	char *copy = strndup(name, len);
	bool r = copy == NULL || is_forbidden(copy);

	free(copy);
	return r;
}

/* Adds NAME=VALUE; takes over the memory. */
static int
put_var(struct vars *vars, char *assignment, struct err *e)
{
	size_t room = vars->room > 0 ? 2 * vars->room : 32;
	struct var *list = vars->list;

	if (assignment != NULL && vars->n == vars->room) {
		list = reallocarray(list, room, sizeof(*list));
		if (list != NULL) {
			vars->list = list;
			vars->room = room;
		}
	}
	if (assignment == NULL || list == NULL) {
		free(assignment);
		return err_set(e, EX_OSERR, "environment: out of memory");
	}
	list[vars->n] = (struct var){ assignment, vars->n };
	vars->n++;
	return 0;
}

/* Compares the names, and then which was set first. */
static int
compare_vars(const void *a, const void *b)
{
	const struct var *x = a, *y = b;
	size_t m = strcspn(x->text, "="), n = strcspn(y->text, "=");
	int r = strncmp(x->text, y->text, m < n ? m : n);

	if (r != 0)
		return r;
	/* One without "=" is another. */
	if (m != n || x->text[m] != y->text[n])
		return m != n ? (m > n) - (m < n) : x->text[m] == '=' ? 1 : -1;
	return (x->at > y->at) - (x->at < y->at);
}

static int
compare_places(const void *a, const void *b)
{
	const struct var *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static bool
has_name_of(const struct var *x, const struct var *y)
{
	size_t len = strcspn(x->text, "=") + 1;

	return strncmp(x->text, y->text, len) == 0;
}

/* Of those with one name the last is kept, in the place of the first. */
static void
keep_last(struct vars *vars)
{
	struct var *list = vars->list;
	size_t i, n = 0;

	if (vars->n == 0)
		return;
	qsort(list, vars->n, sizeof(*list), compare_vars);
	for (i = 0; i < vars->n; i++) {
		if (n > 0 && has_name_of(&list[n - 1], &list[i])) {
			free(list[n - 1].text);
			list[n - 1].text = list[i].text;
		} else
			list[n++] = list[i];
	}
	vars->n = n;
	qsort(list, n, sizeof(*list), compare_places);
}

static void
free_vars(struct vars *vars)
{
	size_t i;

	for (i = 0; i < vars->n; i++)
		free(vars->list[i].text);
	free(vars->list);
}

static int
put_pair(struct vars *vars, const char *name, const char *value,
    struct err *e)
{
	char *s = NULL;

	if (value == NULL)
		return 0;
	if (asprintf(&s, "%s=%s", name, value) == -1)
		s = NULL;
	return put_var(vars, s, e);
}

/* Adds the variables of `from` that match a pattern and are not forbidden. */
static int
pass_vars(struct vars *vars, char *const *from, const char *const *patterns,
    size_t n, struct err *e)
{
	char *name;
	size_t len;
	bool yes;

	for (; from != NULL && *from != NULL; from++) {
		len = strcspn(*from, "=");
		if (len == 0 || (*from)[len] != '=')
			continue;
		if ((name = strndup(*from, len)) == NULL)
			return err_set(e, EX_OSERR,
			    "environment: out of memory");
		yes = !is_forbidden(name) && matches_any(patterns, n, name);
		free(name);
		if (yes && put_var(vars, strdup(*from), e) == -1)
			return -1;
	}
	return 0;
}

/* Opens a file whose contents root can trust. Returns it, or -1. */
static int
open_env_file(const char *path, struct err *e)
{
	struct stat st;
	int fd;

	/* O_NONBLOCK: a FIFO must not hold up the start. */
	fd = path_open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return err_set(e, errno == EXDEV ? EX_NOPERM :
		    err_status(errno, EX_NOINPUT), "--env-file: %s: %s", path,
		    path_reason(errno));
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		err_set(e, EX_CONFIG, "--env-file: %s: not a regular file",
		    path);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		err_set(e, EX_CONFIG, "--env-file: %s: belongs to another "
		    "user (chown it to root)", path);
	else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		err_set(e, EX_CONFIG, "--env-file: %s: group or others may "
		    "write it (chmod go-w)", path);
	else if (st.st_size > ENV_FILE_SIZE)
		err_set(e, EX_CONFIG, "--env-file: %s: larger than %d bytes",
		    path, ENV_FILE_SIZE);
	else
		return fd;
	close(fd);
	return -1;
}

static int
put_env_line(struct vars *vars, const char *path, int number, char *line,
    struct err *e)
{
	size_t len;

	line += strspn(line, " \t");
	len = strcspn(line, "=");
	if (line[0] == '\0' || line[0] == '#')
		return 0;
	if (line[len] != '=' || !env_name_ok(line, len))
		return err_set(e, EX_CONFIG, "--env-file: %s:%d: not "
		    "NAME=VALUE", path, number);
	if (env_forbidden(line, len))
		return err_set(e, EX_CONFIG, "--env-file: %s:%d: %.*s is "
		    "never passed to workers", path, number, (int)len, line);
	return put_var(vars, strdup(line), e);
}

/* Adds NAME=VALUE lines unchanged; skips blank lines and # comments. */
static int
put_env_file(struct vars *vars, const char *path, struct err *e)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int fd, number = 0, r = 0;
	FILE *f;

	if ((fd = open_env_file(path, e)) == -1)
		return -1;
	if ((f = fdopen(fd, "r")) == NULL) {
		close(fd);
		return err_set(e, EX_OSERR, "--env-file: %s: %s", path,
		    strerror(errno));
	}
	while (r == 0 && (len = getline(&line, &size, f)) != -1) {
		number++;
		if (memchr(line, '\0', (size_t)len) != NULL) {
			r = err_set(e, EX_CONFIG, "--env-file: %s:%d: contains "
			    "a NUL byte", path, number);
			break;
		}
		line[strcspn(line, "\n")] = '\0';
		r = put_env_line(vars, path, number, line, e);
	}
	if (r == 0 && ferror(f))
		r = err_set(e, EX_NOINPUT, "--env-file: %s: cannot be read",
		    path);
	free(line);
	fclose(f);
	return r;
}

static int
put_rule(struct vars *vars, const struct env_rule *rule, char *const *from,
    struct err *e)
{
	switch (rule->kind) {
	case ENV_PASS:
		return pass_vars(vars, from, &rule->text, 1, e);
	case ENV_SET:
		return put_var(vars, strdup(rule->text), e);
	case ENV_FILE:
		return put_env_file(vars, rule->text, e);
	}
	return 0;
}

/* Adds the allowlist and the variables of the worker's user. */
static int
put_listed(struct vars *vars, const struct ident *id, char *const *from,
    struct err *e)
{
	if (put_pair(vars, "PATH", DEFAULT_PATH, e) == -1 ||
	    pass_vars(vars, from, allowed, sizeof(allowed) / sizeof(allowed[0]),
	    e) == -1)
		return -1;
	if (id->home == NULL)
		return put_pair(vars, "HOME", "/", e);
	if (put_pair(vars, "USER", id->user, e) == -1 ||
	    put_pair(vars, "LOGNAME", id->user, e) == -1 ||
	    put_pair(vars, "HOME", id->home, e) == -1)
		return -1;
	return put_pair(vars, "SHELL", id->shell, e);
}

static int
put_base(struct vars *vars, const struct conf *c, const struct ident *id,
    char *const *from, struct err *e)
{
	static const char *const all[] = { "*" };

	switch (c->env_base) {
	case ENV_ALLOWED:
		return put_listed(vars, id, from, e);
	case ENV_WHOLE:
		return pass_vars(vars, from, all, 1, e);
	case ENV_EXACT:
		for (; from != NULL && *from != NULL; from++) {
			if (put_var(vars, strdup(*from), e) == -1)
				return -1;
		}
		break;
	}
	return 0;
}

static int
build_vars(struct vars *vars, const struct conf *c, const struct ident *id,
    char *const *from, struct err *e)
{
	char children[16];
	size_t i;

	if (put_base(vars, c, id, from, e) == -1)
		return -1;
	if (c->php_children >= 0) {
		snprintf(children, sizeof(children), "%d", c->php_children);
		if (put_pair(vars, "PHP_FCGI_CHILDREN", children, e) == -1)
			return -1;
	}
	for (i = 0; i < c->nenv; i++) {
		if (put_rule(vars, &c->env[i], from, e) == -1)
			return -1;
	}
	keep_last(vars);
	return 0;
}

char **
env_build(const struct conf *c, const struct ident *id, char *const *from,
    struct err *e)
{
	struct vars vars = { NULL, 0, 0 };
	char **envp;
	size_t i;

	if (build_vars(&vars, c, id, from, e) == -1) {
		free_vars(&vars);
		return NULL;
	}
	if ((envp = calloc(vars.n + 1, sizeof(*envp))) == NULL) {
		err_set(e, EX_OSERR, "environment: out of memory");
		free_vars(&vars);
		return NULL;
	}
	for (i = 0; i < vars.n; i++)
		envp[i] = vars.list[i].text;
	free(vars.list);
	return envp;
}

static int
compare_texts(const void *a, const void *b)
{
	const struct var *x = a, *y = b;

	return strcmp(x->text, y->text);
}

/* Which of the plan's are among those that may be shown? */
static bool *
find_shown(const struct plan *p, struct vars *shown)
{
	struct var key = { NULL, 0 };
	bool *found;
	size_t i, n = 0;

	while (p->envp[n] != NULL)
		n++;
	if ((found = calloc(n + 1, sizeof(*found))) == NULL || shown->n == 0)
		return found;
	qsort(shown->list, shown->n, sizeof(key), compare_texts);
	for (i = 0; i < n; i++) {
		key.text = p->envp[i];
		found[i] = bsearch(&key, shown->list, shown->n, sizeof(key),
		    compare_texts) != NULL;
	}
	return found;
}

bool *
env_shown(const struct plan *p)
{
	struct vars vars = { NULL, 0, 0 };
	struct conf c = *p->conf;
	bool *found = NULL;
	struct err e;
	size_t i;
	int r;

	c.nenv = 0;
	if (c.env_base == ENV_WHOLE || c.env_base == ENV_EXACT)
		c.env_base = ENV_ALLOWED;
	r = build_vars(&vars, &c, &p->ident, environ_own(), &e);
	for (i = 0; i < p->conf->nenv && r == 0; i++) {
		if (p->conf->env[i].kind == ENV_SET)
			r = put_rule(&vars, &p->conf->env[i], NULL, &e);
	}
	if (r == 0)
		found = find_shown(p, &vars);
	free_vars(&vars);
	return found;
}
