/* SPDX-License-Identifier: ISC */
/*
 * The listen socket. A unix socket's directory is opened once, inside the
 * jail, and all that follows is relative to it: the test for a live socket, its
 * removal and the bind. For that it becomes the working directory, since
 * bind(2) and connect(2) take no directory descriptor. A name without a slash
 * leads nowhere else, and fits into sun_path; see socketfile.c for the bind.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/config.h"
#include "observe/listener.h"
#include "observe/observe.h"
#include "privilege/privilege.h"

static int
set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

int
listen_bind_tcp(const struct plan *p)
{
	int fd;

	fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	/* Accepted connections inherit the second and third. */
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
	    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) == 0 &&
	    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) == 0 &&
	    (p->addr.ss_family != AF_INET6 || set_option(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, !p->both_families) == 0) &&
	    bind(fd, (const struct sockaddr *)&p->addr, p->addrlen) == 0)
		return fd;
	return path_close(fd, -1);
}

static int
open_tcp(const struct plan *p, struct err *e)
{
	int fd, r = 0;

	if ((fd = listen_bind_tcp(p)) == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "bind: %s: %s", p->socket_name, errno == EADDRINUSE ?
		    "in use by another process" : strerror(errno));
	/* Before it listens: nobody gets in meanwhile. */
	if (p->only_allowed && (r = allow_attach(fd, p, e)) == 1)
		log_warn("%s", e->text);
	if (r != -1) {
		if (listen(fd, p->backlog) == 0)
			return fd;
		err_set(e, EX_CANTCREAT, "listen: %s: %s", p->socket_name,
		    errno == EADDRINUSE ? "in use by another process" :
		    strerror(errno));
	}
	close(fd);
	return -1;
}

/* Waits for the directory's lock: another start holds it only briefly. */
static int
lock_directory(const struct plan *p, int dir, struct err *e)
{
	int waited;

	for (waited = 0; flock(dir, LOCK_EX | LOCK_NB) == -1; waited += 10) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set(e, EX_OSERR, "flock: %s: %s",
			    p->socket_dir, strerror(errno));
		/* No start takes that long: the holder wants to prevent it. */
		if (waited >= DIR_LOCK_MS) {
			log_warn("socket: %s: another process keeps its "
			    "directory locked (the start goes on without the "
			    "lock)", p->socket_name);
			return 0;
		}
		poll(NULL, 0, 10);
	}
	return 0;
}

/* Names the process that has it, if known; fd is connected to it, or -1. */
static void
describe_holder(const struct stat *st, int fd, char *buf, size_t size)
{
	pid_t maker = fd == -1 ? -1 : observe_peer(fd), pid;
	bool left;

	if ((pid = observe_holder(st, maker, &left)) > 0 && left)
		snprintf(buf, size, "in use by pid %d, left by an earlier "
		    "spawnd (end it: kill -9 %d)", (int)pid, (int)pid);
	else if (pid > 0)
		snprintf(buf, size, "in use by pid %d", (int)pid);
	else if (maker > 0 && kill(maker, 0) == -1 && errno == ESRCH)
		snprintf(buf, size, "in use by processes that outlived pid "
		    "%d", (int)maker);
	else if (maker > 0)
		snprintf(buf, size, "in use by pid %d", (int)maker);
}

/*
 * Workers are killed with their supervisor, but not their children, nor those
 * that have changed their user meanwhile. What is left of a pool of ours keeps
 * its socket for ever, and no service manager but systemd knows of it. fd is
 * connected to it. Returns true if it has ended.
 */
static bool
end_left(const struct plan *p, const struct stat *st, int fd)
{
	pid_t maker = observe_peer(fd);
	uid_t uid;
	gid_t gid;
	int n;

	/* Root's own processes are left to root. */
	if (getpeereid(fd, &uid, &gid) == -1 || uid != geteuid() ||
	    p->ident.uid == 0 ||
	    (n = observe_end_left(st, maker, p->ident.uid)) == -1)
		return false;
	log_warn("socket: %s: %d process%s that an earlier spawnd (pid %d) "
	    "has left %s ended", p->socket_name, n, n == 1 ? "" : "es",
	    (int)maker, n == 1 ? "was" : "were");
	return true;
}

/* Returns 0 if no process listens on it, or -1 with *e set. */
static int
check_stale(const struct plan *p, const struct stat *st, bool first,
    struct err *e)
{
	struct sockaddr_un un;
	socklen_t len = socketfile_address(p->socket_file, &un);
	char holder[100] = "in use";
	int fd, waited, error = 0;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_set(e, EX_OSERR, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&un, len) == -1)
		error = errno;
	if (error == 0 && first && end_left(p, st, fd)) {
		close(fd);
		/* One that goes by itself, as the looker, may not be gone. */
		for (waited = 0; check_stale(p, st, false, e) == -1;
		    waited += 10) {
			if (waited >= GOING_MS)
				return -1;
			poll(NULL, 0, 10);
		}
		return 0;
	}
	if (error == 0 || error == EAGAIN)
		describe_holder(st, error == 0 ? fd : -1, holder,
		    sizeof(holder));
	close(fd);
	/* ENOENT: its owner has just removed it. */
	if (error == ECONNREFUSED || error == ENOENT)
		return 0;
	return err_set(e, EX_CANTCREAT, "socket: %s: %s%s", p->socket_name,
	    holder, error == EAGAIN ? ", with a full backlog" : "");
}

/* Removes a socket that no process listens on, and nothing else. */
static int
remove_stale(const struct plan *p, int dir, struct err *e)
{
	struct stat before, after;
	int again = 0;

	if (fstatat(dir, p->socket_file, &before, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno == ENOENT)
			return 0;
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "socket: %s: %s", p->socket_name, strerror(errno));
	}
	if (!S_ISSOCK(before.st_mode))
		return err_set(e, EX_CANTCREAT, "socket: %s: exists and is "
		    "not a socket (remove it, or name another)",
		    p->socket_name);
	if (check_stale(p, &before, true, e) == -1)
		return -1;
	if (fstatat(dir, p->socket_file, &after, AT_SYMLINK_NOFOLLOW) == -1)
		again = errno != ENOENT;
	else if (!path_is_same(&after, &before) || !S_ISSOCK(after.st_mode))
		again = 1;
	else if (unlinkat(dir, p->socket_file, 0) == -1 && errno != ENOENT)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "socket: %s: is stale and cannot be removed: %s",
		    p->socket_name, strerror(errno));
	if (again)
		return err_set(e, EX_CANTCREAT, "socket: %s: another process "
		    "keeps changing it", p->socket_name);
	return 0;
}

/* dir is locked, and is the working directory. */
static int
make_unix(const struct plan *p, int dir, struct err *e)
{
	int fd;

	if (remove_stale(p, dir, e) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_set(e, EX_OSERR, "socket: %s", strerror(errno));
	if (socketfile_bind(p, dir, fd, e) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Opens the socket's directory for reading, so that it can be locked. */
static int
open_directory(const struct plan *p)
{
	int way, dir;

	way = path_open_dir(p->socket_in_jail ? p->jail_fd : -1,
	    p->socket_dir);
	if (way == -1)
		return -1;
	dir = openat(way, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return path_close(way, dir);
}

static int
open_unix(const struct plan *p, struct err *e)
{
	int dir, fd = -1;

	if ((dir = open_directory(p)) == -1)
		return err_set(e, err_status(errno, EX_CANTCREAT),
		    "socket: %s: its directory: %s", p->socket_name,
		    path_reason(errno));
	if (lock_directory(p, dir, e) == 0) {
		if (fchdir(dir) == -1)
			err_set(e, err_status(errno, EX_OSERR),
			    "socket: %s: its directory: %s", p->socket_name,
			    strerror(errno));
		else
			fd = make_unix(p, dir, e);
		if (chdir("/") == -1 && fd != -1) {
			err_set(e, EX_OSERR, "chdir: /: %s", strerror(errno));
			close(fd);
			fd = -1;
		}
	}
	close(dir);	/* this ends the lock */
	return fd;
}

static bool
is_same_address(const struct sockaddr_storage *a,
    const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	switch (a->ss_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return a4->sin_port == b4->sin_port &&
		    a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	default:
		return a6->sin6_port == b6->sin6_port &&
		    memcmp(&a6->sin6_addr, &b6->sin6_addr,
		    sizeof(a6->sin6_addr)) == 0;
	}
}

/* Does an IPv6 socket have IPv4 as well? */
static bool
has_both_families(int fd)
{
	int only = 1;
	socklen_t len = sizeof(only);

	return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 &&
	    only == 0;
}

/* Finds the file of a unix socket that is another pool's. */
static int
take_unix(const struct plan *p, int fd, struct err *e)
{
	int dir = open_directory(p), r;

	if (dir == -1 || fchdir(dir) == -1) {
		r = err_set(e, err_status(errno, EX_CANTCREAT), "socket: %s: "
		    "its directory: %s", p->socket_name, path_reason(errno));
	} else
		r = socketfile_take(p, dir, fd, e);
	if (chdir("/") == -1)
		r = err_set(e, EX_OSERR, "chdir: /: %s", strerror(errno));
	if (dir != -1)
		close(dir);
	return r;
}

int
listen_check(const struct plan *p, int fd, struct err *e)
{
	struct sockaddr_storage ss;

	if (address_of_listener(fd, &ss) == -1)
		return err_set(e, EX_NOPERM, "--replace: what the pool has "
		    "passed is not a listening stream socket");
	if (p->inherited != -1)
		return 0;
	if (!is_same_address(&ss, &p->addr) ||
	    (ss.ss_family != AF_UNIX && !listener_is_local(fd)) ||
	    (ss.ss_family == AF_INET6 &&
	    has_both_families(fd) != p->both_families))
		return err_set(e, EX_NOPERM, "--replace: the socket that the "
		    "pool has passed is not %s", p->socket_name);
	if (ss.ss_family == AF_UNIX)
		return take_unix(p, fd, e);
	if (!allow_is_same(fd, p))
		return err_set(e, EX_CONFIG, "--replace: other web servers "
		    "(%s) cannot be allowed: the filter of the socket is "
		    "locked (stop the pool and start it)", OPT(p->conf, allow));
	return 0;
}

void
listen_settle(const struct plan *p)
{
	if (p->inherited == -1 && listen(STDIN_FILENO, p->backlog) == -1)
		log_warn("backlog: %d: %s", p->backlog, strerror(errno));
	listener_settle();
}

int
listen_open(const struct plan *p, struct err *e)
{
	int max = observe_somaxconn();
	int fd;

	if (p->inherited == STDIN_FILENO)
		return 0;
	if (p->inherited != -1 || p->taken != -1)
		fd = p->inherited != -1 ? p->inherited : p->taken;
	else
		fd = p->addr.ss_family == AF_UNIX ? open_unix(p, e) :
		    open_tcp(p, e);
	if (fd == -1) {
		strlcat(e->text, p->jail_reason, sizeof(e->text));
		return -1;
	}
	if (dup2(fd, STDIN_FILENO) == -1) {
		err_set(e, EX_OSERR, "dup2: %s", strerror(errno));
		close(fd);
		return -1;
	}
	close(fd);
	if (p->inherited == -1 && max != -1 && p->backlog > max)
		log_warn("backlog: %d: the system cuts it to %d (raise "
		    "net.core.somaxconn)", p->backlog, max);
	return 0;
}

bool
listen_is_blocking(void)
{
	int flags = fcntl(STDIN_FILENO, F_GETFL);

	return flags == -1 || (flags & O_NONBLOCK) == 0;
}

void
listen_make_blocking(bool blocking)
{
	int flags = fcntl(STDIN_FILENO, F_GETFL);

	if (flags != -1)
		fcntl(STDIN_FILENO, F_SETFL, blocking ?
		    flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

bool
listen_refuse(const struct plan *p)
{
	if (p->addr.ss_family == AF_UNIX)
		socketfile_remove(p);
	else if (refuse_new(STDIN_FILENO) == -1) {
		/* A full queue accepts no more; those in it stay. */
		listen(STDIN_FILENO, 0);
		return false;
	}
	return true;
}

void
listen_shut(const struct plan *p)
{
	/* For TCP it would reset those that wait. */
	if (p->addr.ss_family == AF_UNIX)
		shutdown(STDIN_FILENO, SHUT_RD);
}
