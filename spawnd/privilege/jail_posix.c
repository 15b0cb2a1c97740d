/* SPDX-License-Identifier: ISC */
/* Rights on systems with no more than POSIX and the calls of the BSDs. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "base/raw.h"
#include "config/config.h"
#include "observe/observe.h"
#include "privilege/privilege.h"

int
jail_drop(const struct plan *p, struct err *e)
{
	const struct ident *id = &p->ident;

	if (!id->change)
		return 0;
	/* As root these set all three. */
	if (setgid(id->gid) == -1)
		return err_set(e, err_status(errno, EX_OSERR),
		    "setgid: %u: %s", id->gid, strerror(errno));
	if (setuid(id->uid) == -1)
		return err_set(e, err_status(errno, EX_OSERR),
		    "setuid: %u: %s", id->uid, strerror(errno));
	return 0;
}

int
jail_verify(const struct plan *p, struct guarantees *g, struct err *e)
{
	(void)p;
	(void)e;
	g->bounding_empty = false;
	g->no_new_privs = false;
	return 0;
}

int
jail_hide(void)
{
	return 0;
}

void
jail_adopt(void)
{
}

int
jail_tie(pid_t parent)
{
	return raw_getppid() == parent ? 0 : -ESRCH;
}

/*
 * Without O_PATH a socket cannot be opened, so its name has to be trusted,
 * which is safe only where no other user can rename in its directory.
 */
int
jail_chown_socket(int dir, const char *name, mode_t mode, uid_t uid,
    gid_t gid)
{
	struct stat st;

	(void)mode;
	if (uid == geteuid() && gid == getegid())
		return 0;
	if (fstat(dir, &st) == -1)
		return -1;
	if (!path_is_ours(&st)) {
		errno = EPERM;
		return -1;
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = ENOTSOCK;
		return -1;
	}
	return fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* FreeBSD has the flag; OpenBSD and NetBSD cannot open a socket at all. */
#ifdef AT_EMPTY_PATH
int
jail_own_socket(int fd, uid_t uid, gid_t gid)
{
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
}

int
jail_chmod_socket(int fd, mode_t mode)
{
	return fchmodat(fd, "", mode, AT_EMPTY_PATH);
}
#else
static int
refuse_descriptor(void)
{
	errno = EBADF;
	return -1;
}

int
jail_own_socket(int fd, uid_t uid, gid_t gid)
{
	(void)fd;
	(void)uid;
	(void)gid;
	return refuse_descriptor();
}

int
jail_chmod_socket(int fd, mode_t mode)
{
	(void)fd;
	(void)mode;
	return refuse_descriptor();
}
#endif
