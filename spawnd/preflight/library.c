/* SPDX-License-Identifier: ISC */
/*
 * Whether a program's shared libraries will be found, the way the dynamic
 * loader of glibc looks for them (ld.so(8)); what other loaders do is close
 * to it, and where one of them is at work a miss is a warning only. It runs
 * in the jail with the rights of the worker, so that what cannot be opened
 * here cannot be opened then.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"
#include "preflight/inspect.h"

#define OBJECTS_MAX	1024		/* files that are read */
#define FILE_SIZE_MAX	(16 << 20)	/* of the loader, and of its cache */
#define CACHE		"/etc/ld.so.cache"

/* A library, or the program itself (the first). */
struct object {
	char		*name;		/* as it was asked for */
	char		*path;		/* NULL: not found, and said */
	char		*origin;	/* its directory; NULL: unknown */
	size_t		 parent;	/* who asked for it */
	struct elf	 elf;
};

struct contents {
	char		*data;
	size_t		 len;
};

struct search {
	const struct plan *p;
	struct findings	*f;
	struct object	*list;
	size_t		 n;
	struct contents	 cache, loader;
	const char	*self;		/* the loader's name */
	bool		 glibc;		/* the loader's rules are known */
	bool		 no_origin;	/* $ORIGIN was asked for in vain */
	bool		 strange;	/* some other $TOKEN was */
	/* Of the name that is being looked for: */
	char		 seen[PATH_MAX];	/* a file that did not do */
	const char	*why;			/* and why */
};

static const char *const default_dirs[] = {
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
	"/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu",
	"/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
	"/lib/arm-linux-gnueabihf", "/usr/lib/arm-linux-gnueabihf",
	"/lib/powerpc64le-linux-gnu", "/usr/lib/powerpc64le-linux-gnu",
	"/lib/riscv64-linux-gnu", "/usr/lib/riscv64-linux-gnu",
	"/lib/s390x-linux-gnu", "/usr/lib/s390x-linux-gnu",
	"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib",
};

static void
read_contents(const char *path, struct contents *c)
{
	struct stat st;
	ssize_t n;
	int fd;

	c->len = 0;
	c->data = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= FILE_SIZE_MAX &&
	    (c->data = malloc((size_t)st.st_size + 1)) != NULL) {
		n = pread(fd, c->data, (size_t)st.st_size, 0);
		c->len = n > 0 ? (size_t)n : 0;
	}
	close(fd);
}

/* The directory part of a path, malloc'd. */
static char *
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* Takes e over. Returns false when there is no room for more. */
static bool
add_object(struct search *s, const char *name, const char *path,
    size_t parent, const struct elf *e)
{
	struct object *o, *list;

	if (s->n == OBJECTS_MAX)
		return false;
	list = reallocarray(s->list, s->n + 1, sizeof(*list));
	if (list == NULL)
		return false;
	s->list = list;
	o = &list[s->n++];
	memset(o, 0, sizeof(*o));
	o->name = strdup(name);
	o->parent = parent;
	if (e != NULL)
		o->elf = *e;
	if (path != NULL) {
		o->path = strdup(path);
		o->origin = directory_of(path);
	}
	return true;
}

/* Is the file what this program can load? Then it is the next object. */
static bool
try_file(struct search *s, const char *name, const char *path, size_t parent)
{
	const struct elf *main = &s->list[0].elf;
	struct elf e = { 0 };
	const char *why;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		if (errno == ENOENT || errno == ENOTDIR)
			return false;
		why = strerror(errno);
	} else {
		why = elf_read(fd, &e);
		close(fd);
	}
	if (why == NULL && (e.wide != main->wide ||
	    e.machine != main->machine)) {
		elf_free(&e);
		why = "it is built for another machine";
	}
	if (why == NULL && !add_object(s, name, path, parent, &e)) {
		elf_free(&e);
		why = "too many libraries";
	}
	if (why != NULL) {
		s->why = why;
		strlcpy(s->seen, path, sizeof(s->seen));
	}
	return why == NULL;
}

/*
 * Puts one element of a search path into dir with its $ORIGIN replaced.
 * Returns false when it names no directory that we could know.
 */
static bool
expand_origin(struct search *s, const struct object *o, const char *from,
    size_t len, char *dir, size_t size)
{
	static const char *const tokens[] = { "$ORIGIN", "${ORIGIN}" };
	size_t i, t, used = 0;

	for (i = 0; i < len; i += t) {
		const char *put = from + i;
		size_t n = t = 1;

		if (from[i] == '$') {
			t = strlen(tokens[from[i + 1] == '{']);
			if (t > len - i || strncmp(from + i,
			    tokens[from[i + 1] == '{'], t) != 0) {
				s->strange = true;
				return false;
			}
			if ((put = o->origin) == NULL) {
				s->no_origin = true;
				return false;
			}
			n = strlen(put);
		}
		if (n >= size - used)
			return false;
		memcpy(dir + used, put, n);
		used += n;
	}
	dir[used] = '\0';
	return true;
}

/* Looks in each directory of a list such as DT_RUNPATH; o is whose it is. */
static bool
try_list(struct search *s, const struct object *o, const char *list,
    const char *separators, const char *name, size_t parent)
{
	char dir[PATH_MAX], path[PATH_MAX];
	size_t len;

	while (list != NULL) {
		len = strcspn(list, separators);
		if (expand_origin(s, o, list, len, dir, sizeof(dir)) &&
		    snprintf(path, sizeof(path), "%s%s%s", dir,
		    len > 0 ? "/" : "", name) < (int)sizeof(path) &&
		    try_file(s, name, path, parent))
			return true;
		list = list[len] != '\0' ? list + len + 1 : NULL;
	}
	return false;
}

/* The DT_RPATHs of who asks, of who asked for that one, and so on. */
static bool
try_rpaths(struct search *s, const char *name, size_t parent)
{
	size_t i = parent;

	if (s->list[parent].elf.runpath != NULL)
		return false;
	for (;;) {
		struct object o = s->list[i];	/* the list may move */

		if (o.elf.runpath == NULL && o.elf.rpath != NULL &&
		    try_list(s, &o, o.elf.rpath, ":", name, parent))
			return true;
		if (i == 0)
			return false;
		i = o.parent;
	}
}

/*
 * The cache is a table of strings among others; the paths in it that end in
 * the name are what the loader would take from it.
 */
static bool
try_cache(struct search *s, const char *name, size_t parent)
{
	char want[NAME_MAX + 3], path[PATH_MAX];
	const char *at = s->cache.data, *start, *end;
	int n = snprintf(want, sizeof(want), "/%s", name);

	if (at == NULL || n >= (int)sizeof(want))
		return false;
	end = at + s->cache.len;
	while ((at = memmem(at, (size_t)(end - at), want, (size_t)n + 1)) !=
	    NULL) {
		for (start = at; start > s->cache.data && start[-1] != '\0';)
			start--;
		if (start[0] == '/' && strlcpy(path, start, sizeof(path)) <
		    sizeof(path) && try_file(s, name, path, parent))
			return true;
		at++;
	}
	return false;
}

/* glibc's loader has its directories written in it, with a slash and NUL. */
static bool
is_default(const struct search *s, const char *dir)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%s/", dir);

	return !s->glibc || s->loader.len == 0 || memmem(s->loader.data,
	    s->loader.len, text, (size_t)n + 1) != NULL;
}

static bool
try_defaults(struct search *s, const char *name, size_t parent)
{
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(default_dirs) / sizeof(default_dirs[0]); i++) {
		if (is_default(s, default_dirs[i]) && snprintf(path,
		    sizeof(path), "%s/%s", default_dirs[i], name) <
		    (int)sizeof(path) && try_file(s, name, path, parent))
			return true;
	}
	return false;
}

static bool
find_library(struct search *s, const char *name, size_t parent)
{
	struct object o = s->list[parent], program = s->list[0];
	const char *more = environ_get(s->p->envp, "LD_LIBRARY_PATH");
	char path[PATH_MAX];

	if (strchr(name, '/') != NULL)
		return expand_origin(s, &o, name, strlen(name), path,
		    sizeof(path)) && try_file(s, name, path, parent);
	return try_rpaths(s, name, parent) ||
	    (more != NULL && more[0] != '\0' &&
	    try_list(s, &program, more, ":;", name, parent)) ||
	    (o.elf.runpath != NULL &&
	    try_list(s, &o, o.elf.runpath, ":", name, parent)) ||
	    (!o.elf.nodefault && (try_cache(s, name, parent) ||
	    try_defaults(s, name, parent)));
}

static bool
is_known(const struct search *s, const char *name)
{
	size_t i;

	/* The loader serves as a library too, wherever it lies. */
	if (strcmp(s->self, name) == 0)
		return true;
	for (i = 1; i < s->n; i++) {
		if (strcmp(s->list[i].name, name) == 0 ||
		    (s->list[i].elf.soname != NULL &&
		    strcmp(s->list[i].elf.soname, name) == 0))
			return true;
	}
	return false;
}

static void
say_missing(struct search *s, const char *name, size_t parent)
{
	const struct object *program = &s->list[0];
	const char *jail = s->p->jail;
	bool sure = s->glibc && !s->strange;
	char seen[PATH_MAX + 128] = "", by[PATH_MAX + 16] = "";

	if (s->seen[0] != '\0')
		snprintf(seen, sizeof(seen), " (%s: %s)", s->seen, s->why);
	else if (s->no_origin)
		strlcpy(seen, " ($ORIGIN needs /proc in the jail)",
		    sizeof(seen));
	if (parent > 0)
		snprintf(by, sizeof(by), ", needed by %s,",
		    s->list[parent].path);
	findings_add(s->f, sure ? FINDING_ERROR : FINDING_WARNING, EX_CONFIG,
	    "exec: %s%s%s: its library %s%s %s%s%s", program->path,
	    jail != NULL ? " in " : "", jail != NULL ? jail : "", name, by,
	    s->seen[0] != '\0' ? "cannot be used" : "is missing", seen,
	    !sure ? " (its loader may look elsewhere)" :
	    jail != NULL && seen[0] == '\0' ?
	    " (copy it into the jail, or link statically)" : "");
}

/*
 * The kernel tells a program where it lies by way of /proc, and only there:
 * without one $ORIGIN of the program itself means nothing.
 */
static void
set_origin(struct object *program)
{
	char link[PATH_MAX], *real;

	free(program->origin);
	program->origin = NULL;
	if (readlink("/proc/self/exe", link, sizeof(link)) == -1 ||
	    (real = realpath(program->path, NULL)) == NULL)
		return;
	program->origin = directory_of(real);
	free(real);
}

static void
search_all(struct search *s)
{
	size_t i, j;

	for (i = 0; i < s->n; i++) {
		/* The list may move, what it points to does not. */
		for (j = 0; j < s->list[i].elf.nneeded; j++) {
			const char *name = s->list[i].elf.needed[j];

			if (is_known(s, name))
				continue;
			s->seen[0] = '\0';
			s->no_origin = s->strange = false;
			if (find_library(s, name, i))
				continue;
			say_missing(s, name, i);
			if (!add_object(s, name, NULL, i, NULL))
				return;
		}
	}
}

void
library_check(const struct plan *p, struct findings *f, const char *path,
    const struct elf *e)
{
	struct search s = { .p = p, .f = f };
	const char *slash = strrchr(e->interp, '/');
	size_t i;

	s.self = slash != NULL ? slash + 1 : e->interp;
	s.glibc = strncmp(s.self, "ld-linux", 8) == 0 || strncmp(s.self,
	    "ld64.so", 7) == 0 || strcmp(s.self, "ld.so.1") == 0;
	read_contents(CACHE, &s.cache);
	read_contents(e->interp, &s.loader);
	if (add_object(&s, path, path, 0, e)) {
		set_origin(&s.list[0]);
		search_all(&s);
	}
	for (i = 0; i < s.n; i++) {
		free(s.list[i].name);
		free(s.list[i].path);
		free(s.list[i].origin);
		if (i > 0)	/* the first is the caller's */
			elf_free(&s.list[i].elf);
	}
	free(s.list);
	free(s.cache.data);
	free(s.loader.data);
}
