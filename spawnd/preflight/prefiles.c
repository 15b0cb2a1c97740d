/* SPDX-License-Identifier: ISC */
/* The preflight's checks of pidfile and log, which it does not create. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/config.h"
#include "preflight/inspect.h"

/* A filter that does not know the newest call for it answers EPERM. */
bool
prefiles_allow(int dir, const char *name, int mode)
{
	return faccessat(dir, name, mode, AT_EACCESS) == 0 || errno == EPERM;
}

static void
check_own_file(const char *opt, const char *path, bool is_pidfile, int dir,
    const char *name, struct findings *f)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT)
			findings_add(f, FINDING_ERROR, EX_CONFIG, "%s: %s: "
			    "%s", opt, path, strerror(errno));
		else if (!prefiles_allow(dir, ".", W_OK | X_OK))
			findings_add(f, FINDING_ERROR, EX_CONFIG, "%s: %s: "
			    "its directory: cannot be written: %s", opt,
			    path, strerror(errno));
		return;
	}
	if (S_ISLNK(st.st_mode))
		findings_add(f, FINDING_ERROR, EX_CONFIG, "%s: %s: is a link",
		    opt, path);
	else if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		findings_add(f, FINDING_ERROR, EX_CONFIG, "%s: %s: is not a "
		    "regular file with a single hard link", opt, path);
	else if (is_pidfile && !path_is_ours(&st))
		findings_add(f, FINDING_ERROR, EX_CONFIG, "%s: %s: others "
		    "may write it (remove it)", opt, path);
	else if (!prefiles_allow(dir, name, W_OK))
		findings_add(f, FINDING_ERROR, EX_CONFIG, "%s: %s: cannot be "
		    "written: %s", opt, path, strerror(errno));
}

static void
check_own_path(const char *opt, const char *path, bool is_pidfile,
    struct findings *f)
{
	const char *name;
	int dir;

	if ((dir = path_open_above(path, &name)) == -1) {
		findings_add(f, FINDING_ERROR, EX_CONFIG, "%s: %s: its "
		    "directory: %s", opt, path, path_reason(errno));
		return;
	}
	check_own_file(opt, path, is_pidfile, dir, name, f);
	close(dir);
}

void
prefiles_check(const struct plan *p, struct findings *f)
{
	if (p->pidfile != NULL)
		check_own_path(OPT(p->conf, pidfile), p->pidfile, true, f);
	if (p->log != NULL)
		check_own_path("--log", p->log, false, f);
}
