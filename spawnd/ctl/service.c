/* SPDX-License-Identifier: ISC */
/*
 * "restart" and "diff": what a pool's service file says now is known to a
 * script, which is installed in a directory beside ours.
 */
#include <sys/wait.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "client/client.h"
#include "ctl/ctl.h"

static const char *const places[] = {
	"../libexec/spawnd/service", "../lib/spawnd/service"
};

/* Finds our file as a shell has, in the directories of PATH. */
static bool
find_in_path(const char *name, char own[PATH_MAX])
{
	const char *dir = getenv("PATH");
	char path[PATH_MAX];
	size_t n;

	for (; dir != NULL; dir = dir[n] == ':' ? dir + n + 1 : NULL) {
		n = strcspn(dir, ":");
		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)n, dir,
		    n > 0 ? "/" : "", name) < PATH_MAX &&
		    access(path, X_OK) == 0 && realpath(path, own) != NULL)
			return true;
	}
	return false;
}

/* The path of our own file; self is argv[0], for where /proc has none. */
static bool
find_self(const char *self, char own[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", own, PATH_MAX - 1);

	if (n > 0)
		own[n] = '\0';
	return n > 0 || (strchr(self, '/') != NULL ?
	    realpath(self, own) != NULL : find_in_path(self, own));
}

/* The script, by the directory of our own file. Returns 0, or -1. */
static int
find_script(const char *self, char path[PATH_MAX])
{
	char own[PATH_MAX];
	char *slash;
	size_t i;
	int len;

	if (!find_self(self, own) || (slash = strrchr(own, '/')) == NULL)
		return -1;
	*slash = '\0';
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		len = snprintf(path, PATH_MAX, "%s/%s", own, places[i]);
		if (len < PATH_MAX && access(path, X_OK) == 0)
			return 0;
	}
	return -1;
}

static int
run_script(const char *path, const char *how, const char *pool,
    struct err *e)
{
	int status;
	pid_t pid;

	if (fflush(stdout) == EOF)
		return err_set(e, EX_IOERR, "cannot write");
	if ((pid = fork()) == -1)
		return err_set(e, EX_OSERR, "fork: %s", strerror(errno));
	if (pid == 0) {
		execl(path, path, how, pool, (char *)NULL);
		fprintf(stderr, "spawnctl: %s: %s\n", path, strerror(errno));
		_exit(EX_UNAVAILABLE);
	}
	while (waitpid(pid, &status, 0) == -1) {
		if (errno != EINTR)
			return err_set(e, EX_OSERR, "wait: %s",
			    strerror(errno));
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	err_set(e, WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE,
	    "%s: %s: has failed", how, pool);
	return -1;
}

/* For one after another; the first that fails is the last. */
static int
run_all(const char *self, const char *how, const struct pools *p,
    struct err *e)
{
	char path[PATH_MAX];
	size_t i;

	if (find_script(self, path) == -1)
		return err_set(e, EX_UNAVAILABLE, "%s: its script is not "
		    "there: %s from the directory of spawnctl", how,
		    places[0]);
	for (i = 0; i < p->n; i++) {
		if (run_script(path, how, p->list[i].name, e) == 0)
			continue;
		if (i + 1 < p->n)
			fprintf(stderr, "spawnctl: %s: %zu pool%s after %s "
			    "left as %s\n", how, p->n - i - 1,
			    i + 2 < p->n ? "s" : "", p->list[i].name,
			    i + 2 < p->n ? "they are" : "it is");
		return -1;
	}
	return 0;
}

int
service_command(const char *self, const char *how, const char *pool, bool all,
    struct err *e)
{
	struct pools p;
	int r;

	/* A service of the path's last component may be another pool's. */
	if (pool != NULL && strchr(pool, '/') != NULL)
		return err_set(e, EX_USAGE, "-p: %s: %s needs the name of "
		    "the pool, by which it finds the service file (or start "
		    "spawnd --replace with what it was started with)",
		    pool, how);
	if ((r = choose_find(&p, pool, true, all, e)) == 0)
		r = run_all(self, how, &p, e);
	pools_free(&p);
	return r;
}
