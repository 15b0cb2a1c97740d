/* SPDX-License-Identifier: ISC */
/*
 * What one of the BSDs does not have. Compiled for them (scripts/bsd-check.sh),
 * and not yet run there.
 */
#ifndef BASE_COMPAT_H
#define BASE_COMPAT_H

#include <sys/types.h>
#include <sys/resource.h>

#include <fcntl.h>
#include <unistd.h>

/*
 * OpenBSD, NetBSD: directories are read; a socket cannot be opened at all, and
 * a FIFO that has taken its place must not keep us waiting.
 */
#ifndef O_PATH
#define O_PATH		(O_RDONLY | O_NONBLOCK)
#endif

/* OpenBSD, where the limit of data counts what is mapped, too. */
#ifndef RLIMIT_AS
#define RLIMIT_AS	RLIMIT_DATA
#endif

#ifndef EM_S390
#define EM_S390		22
#endif

/*
 * As getresuid(2) and getresgid(2) elsewhere, but the saved IDs cannot be read:
 * they are set to the effective ones. Whether they are gone, only trying to
 * get them back shows.
 */
#ifdef __NetBSD__
static inline int
getresuid(uid_t *real, uid_t *effective, uid_t *saved)
{
	*real = getuid();
	*effective = *saved = geteuid();
	return 0;
}

static inline int
getresgid(gid_t *real, gid_t *effective, gid_t *saved)
{
	*real = getgid();
	*effective = *saved = getegid();
	return 0;
}
#endif

#endif
