/* SPDX-License-Identifier: ISC */
/* Where the directories of pools are, for those who make and who find them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"

char *
path_place(unsigned int i, uid_t uid, const char *own)
{
	const char *run = access("/run", F_OK) == 0 ? "/run" : "/var/run";
	char *path = NULL;
	int r;

	/* Root has no directory of a session. */
	switch (uid == 0 ? i + 2 : i) {
	case 0:
		if (own == NULL || own[0] != '/')
			return strdup("");
		r = asprintf(&path, "%s/spawnd", own);
		break;
	case 1:
		r = asprintf(&path, "%s/user/%u/spawnd", run, uid);
		break;
	case 2:
		r = uid == 0 ? asprintf(&path, "%s/spawnd", run) :
		    asprintf(&path, "%s/spawnd-%u", run, uid);
		break;
	case 3:
		r = asprintf(&path, "/dev/shm/spawnd-%u", uid);
		break;
	default:
		return NULL;
	}
	return r == -1 ? NULL : path;
}
