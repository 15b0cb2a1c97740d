/* SPDX-License-Identifier: ISC */
/* Where the directories of pools are, and which of them has one of a name. */
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "client/client.h"

bool
find_is_trusted(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	    path_is_ours(&st);
}

bool
find_is_directory(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Adds path to the n of the list, unless that directory is there already. */
static int
find_add(char *list[FIND_PLACES], int n, char *path)
{
	struct stat new, old;
	int i;

	if (stat(path, &new) == -1) {
		free(path);
		return n;
	}
	for (i = 0; i < n; i++) {
		if (stat(list[i], &old) == 0 && path_is_same(&old, &new)) {
			free(path);
			return n;
		}
	}
	list[n] = path;
	return n + 1;
}

int
find_places(const char *own, char *list[FIND_PLACES])
{
	uid_t uid = geteuid();
	char *path;
	unsigned int i;
	int n = 0;

	for (i = 0; n < FIND_PLACES && (path = path_place(i, uid, own)) !=
	    NULL; i++)
		n = find_add(list, n, path);
	for (i = 0; uid != 0 && n < FIND_PLACES && (path = path_place(i, 0,
	    own)) != NULL; i++)
		n = find_add(list, n, path);
	return n;
}

/* Does one run there, though it may be another user's or too busy for us? */
static bool
find_runs(const char *dir)
{
	struct conn t;
	struct err e;

	if (conn_open(&t, dir, true, &e) == -1)
		return e.status != EX_UNAVAILABLE;
	conn_close(&t);
	return true;
}

/*
 * Is that place one with such a directory; *runs: of a pool that runs? Of one
 * place that need not be asked.
 */
static bool
find_at(const char *place, const char *name, bool only, bool *runs)
{
	char *path;
	bool has;

	*runs = false;
	if (!find_is_trusted(place) ||
	    asprintf(&path, "%s/%s", place, name) == -1)
		return false;
	has = find_is_directory(path);
	*runs = has && (only || find_runs(path));
	free(path);
	return has;
}

char *
find_place(const char *name, const char *own)
{
	char *list[FIND_PLACES], *found = NULL;
	int i, n = find_places(own, list);
	bool runs = false;

	for (i = 0; i < n; i++) {
		/* What a dead one has left is only the second best. */
		if (!runs && find_at(list[i], name, n == 1, &runs) &&
		    (found == NULL || runs)) {
			free(found);
			found = list[i];
		} else
			free(list[i]);
	}
	return found;
}
