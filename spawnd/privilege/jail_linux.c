/* SPDX-License-Identifier: ISC */
/* Rights on Linux: capabilities, no_new_privs, and safe path lookup. */
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/raw.h"
#include "config/config.h"
#include "observe/observe.h"
#include "privilege/privilege.h"

/* The three sets as the kernel gives them, without the help of /proc. */
static int
get_caps(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return (int)syscall(SYS_capget, &header, data);
}

static bool
have_cap(int cap)
{
	struct __user_cap_data_struct data[2];

	return get_caps(data) == 0 &&
	    (data[cap / 32].effective & (1U << (cap % 32))) != 0;
}

int
jail_drop(const struct plan *p, struct err *e)
{
	capng_flags_t flags = CAPNG_CLEAR_AMBIENT;
	const struct ident *id = &p->ident;
	int r;

	/*
	 * Without CAP_SETPCAP libcap-ng fails to clear the bounding set, and
	 * leaves the uid 0. Then the set is kept: with no_new_privs it is of
	 * no use to anybody.
	 */
	if (p->conf->no_new_privs && have_cap(CAP_SETPCAP))
		flags |= CAPNG_CLEAR_BOUNDING;
	capng_clear(CAPNG_SELECT_ALL);
	if (id->change)
		r = capng_change_id((int)id->uid, (int)id->gid, flags);
	else
		r = capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT |
		    (flags & CAPNG_CLEAR_BOUNDING ? CAPNG_SELECT_BOUNDS : 0));
	if (r != 0 && id->change)
		return err_set(e, EX_NOPERM, "drop: cannot become uid %u, gid "
		    "%u without capabilities: libcap-ng says %d (are "
		    "CAP_SETUID and CAP_SETGID there?)", id->uid, id->gid, r);
	if (r != 0)
		return err_set(e, EX_NOPERM, "drop: cannot give up all "
		    "capabilities: libcap-ng says %d (is capset filtered?)",
		    r);
	if (p->conf->no_new_privs &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_set(e, EX_OSERR, "no_new_privs: %s",
		    strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return err_set(e, EX_OSERR, "dumpable: %s", strerror(errno));
	return 0;
}

int
jail_verify(const struct plan *p, struct guarantees *g, struct err *e)
{
	struct __user_cap_data_struct data[2];
	int cap, r;

	if (get_caps(data) == -1)
		return err_set(e, EX_OSERR, "capabilities: %s",
		    strerror(errno));
	if ((data[0].effective | data[0].permitted | data[0].inheritable |
	    data[1].effective | data[1].permitted |
	    data[1].inheritable) != 0)
		return err_set(e, EX_OSERR, "capabilities: some are left");
	g->bounding_empty = true;
	for (cap = 0; (r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) != -1;
	    cap++) {
		if (r == 1)
			g->bounding_empty = false;
		/* Old kernels have no ambient set: the call fails there. */
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0,
		    0) == 1)
			return err_set(e, EX_OSERR, "capabilities: %d is "
			    "left in the ambient set", cap);
	}
	g->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	if (p->conf->no_new_privs && !g->no_new_privs)
		return err_set(e, EX_OSERR, "no_new_privs: is not set");
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_set(e, EX_OSERR, "dumpable: still set");
	return 0;
}

int
jail_hide(void)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ? -1 : 0;
}

void
jail_adopt(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int
jail_tie(pid_t parent)
{
	/* Whoever catches a signal while it reads may answer half a request. */
	long r = raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);

	if (r < 0)
		return (int)r;
	/* If it died before the call, no signal will come. */
	return raw_getppid() == parent ? 0 : -ESRCH;
}

int
jail_chown_socket(int dir, const char *name, mode_t mode, uid_t uid,
    gid_t gid)
{
	struct stat st;
	int fd, r = -1, saved;

	/* A descriptor stays with its file; a path can be replaced. */
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0) {
		if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() ||
		    st.st_nlink != 1 || (st.st_mode & 0777) != mode)
			errno = ENOTSOCK;
		else if (st.st_uid == uid && st.st_gid == gid)
			r = 0;	/* fchownat may be filtered */
		else
			r = fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
	}
	saved = errno;
	close(fd);
	errno = saved;
	return r;
}

int
jail_own_socket(int fd, uid_t uid, gid_t gid)
{
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
}

/* fchmodat(2) has had that flag since Linux 6.6 alone. */
int
jail_chmod_socket(int fd, mode_t mode)
{
	char path[32];

	if (fd == -1) {
		errno = EBADF;
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode);
}
