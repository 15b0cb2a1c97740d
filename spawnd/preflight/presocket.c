/* SPDX-License-Identifier: ISC */
/*
 * The preflight's checks of the listen socket: its directory, as the start
 * would find it, and which users can connect. Nothing is created, and an
 * existing socket is left alone.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "config/config.h"
#include "observe/observe.h"
#include "preflight/inspect.h"
#include "privilege/privilege.h"

/* The path of the socket's directory, seen from outside the jail. */
static void
host_path(const struct plan *p, char *buf, size_t size)
{
	char *path = path_outside(p->socket_in_jail ? p->jail : NULL,
	    p->socket_dir);

	strlcpy(buf, path != NULL ? path : p->socket_dir, size);
	free(path);
}

static void
say_no_directory(const struct plan *p, struct findings *f, int error)
{
	char dir[ERR_SIZE / 2], advice[2 * ERR_SIZE] = "", *quoted;

	host_path(p, dir, sizeof(dir));
	quoted = text_quote(dir);
	/* Not the workers' own: they could direct the web server elsewhere. */
	if (error == ENOENT && quoted != NULL)
		snprintf(advice, sizeof(advice), " (install -d %s-m 0755 %s)",
		    p->root || p->needs_root ? "-o root -g root " : "",
		    quoted);
	free(quoted);
	findings_add(f, FINDING_ERROR, EX_CONFIG, "socket: %s: its directory "
	    "%s: %s%s%s", p->socket_name, dir,
	    error == ENOENT ? "does not exist" : error == ENOTDIR ?
	    "is not a directory" : path_reason(error),
	    advice, p->jail_reason);
}

/* systemd's own rules for temporary files name these, with an age. */
static bool
is_cleaned_up(const char *path)
{
	return strncmp(path, "/tmp/", 5) == 0 ||
	    strncmp(path, "/var/tmp/", 9) == 0;
}

/* Will the kernel know the socket in that directory by its whole path? */
static void
check_socket_name(const struct plan *p, int dir, struct findings *f)
{
	char path[SOCKET_PATH], why[ERR_SIZE / 2], host[ERR_SIZE / 2];
	char name[SOCKET_PATH];
	const char *file = p->socket_file;
	int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool named = true;

	if (back != -1 && fchdir(dir) == 0) {
		file = socketfile_bound_as(p, name);
		named = socketfile_path(file, path, why, sizeof(why));
		if (fchdir(back) == -1)
			findings_add(f, FINDING_ERROR, EX_OSERR,
			    "fchdir: %s", strerror(errno));
	}
	if (back != -1)
		close(back);
	if (named && file == p->socket_file)
		return;
	host_path(p, host, sizeof(host));
	strlcat(host, "/", sizeof(host));
	if (named)
		findings_add(f, FINDING_NOTE, 0, "socket: %s: ss(8) and others "
		    "will see it as %s%s: the workers could remove its file",
		    p->socket_name, host, file);
	else if (is_cleaned_up(host))
		findings_add(f, FINDING_WARNING, EX_CONFIG, "socket: %s: "
		    "systemd-tmpfiles takes it for unused and removes it "
		    "after some days: %s (put it below /run, in a directory "
		    "of root's)", p->socket_name, why);
	else
		findings_add(f, FINDING_NOTE, 0, "socket: %s: ss(8) and others "
		    "will see its name without its directory: %s",
		    p->socket_name, why);
}

static void
check_socket_path(const struct plan *p, struct findings *f)
{
	struct stat st;
	int dir;

	if (p->socket_in_jail && p->jail_fd == -1)
		return;
	dir = path_open_dir(p->socket_in_jail ? p->jail_fd : -1,
	    p->socket_dir);
	if (dir == -1) {
		say_no_directory(p, f, errno);
		return;
	}
	/* A user who tests a plan for root need not be able to write. */
	if ((p->root || !p->needs_root) &&
	    !prefiles_allow(dir, ".", W_OK | X_OK))
		findings_add(f, FINDING_ERROR, EX_CONFIG, "socket: %s: its "
		    "directory: cannot be written: %s", p->socket_name,
		    strerror(errno));
	if (fstatat(dir, p->socket_file, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT)
			findings_add(f, FINDING_ERROR, EX_CONFIG,
			    "socket: %s: %s", p->socket_name, strerror(errno));
	} else if (!S_ISSOCK(st.st_mode))
		findings_add(f, FINDING_ERROR, EX_CONFIG, "socket: %s: exists "
		    "and is not a socket (remove it, or name another)",
		    p->socket_name);
	else
		findings_add(f, FINDING_NOTE, 0, "socket: %s: already exists "
		    "(a start replaces it if nobody listens on it)",
		    p->socket_name);
	check_socket_name(p, dir, f);
	close(dir);
}

/* Notes the first directory on the way that not all users may search. */
static void
note_way(const struct plan *p, struct findings *f)
{
	char dir[ERR_SIZE / 2], *slash = dir;
	struct stat st;

	host_path(p, dir, sizeof(dir));
	while (slash != NULL) {
		slash = strchr(slash + 1, '/');
		if (slash != NULL)
			*slash = '\0';
		if (stat(dir, &st) == -1)
			return;
		if ((st.st_mode & S_IXOTH) == 0) {
			char *user = ident_user_name(st.st_uid);
			char *group = ident_group_name(st.st_gid);

			findings_add(f, FINDING_NOTE, 0, "connect: only those "
			    "who may search %s (mode %04o, %s:%s)", dir,
			    (unsigned int)st.st_mode & 07777,
			    user != NULL ? user : "?",
			    group != NULL ? group : "?");
			free(user);
			free(group);
			return;
		}
		if (slash != NULL)
			*slash = '/';
	}
}

/* Notes who can connect, which takes write permission on the socket. */
static void
note_connect(const struct plan *p, struct findings *f)
{
	char *user = ident_user_name(p->socket_uid);
	char *group = ident_group_name(p->socket_gid);
	char *members = ident_members(p->socket_gid);
	mode_t mode = p->socket_mode;

	if (user == NULL || group == NULL || members == NULL)
		;		/* no memory, no note */
	else if (mode & S_IWOTH)
		findings_add(f, FINDING_NOTE, 0, "connect: every user of this "
		    "system");
	else if ((mode & (S_IWUSR | S_IWGRP)) == 0)
		findings_add(f, FINDING_WARNING, EX_CONFIG, "connect: nobody "
		    "but root (%s %04o)", OPT(p->conf, socket_mode),
		    (unsigned int)mode);
	else if ((mode & S_IWGRP) == 0)
		findings_add(f, FINDING_NOTE, 0, "connect: user %s only",
		    user);
	else
		findings_add(f, FINDING_NOTE, 0, "connect: %s%s%smembers of "
		    "group %s (%s)", mode & S_IWUSR ? "user " : "",
		    mode & S_IWUSR ? user : "", mode & S_IWUSR ? " and " : "",
		    group, members[0] != '\0' ? members : "it has none");
	free(user);
	free(group);
	free(members);
}

/*
 * Checks that the address is one of this system and its port is free. To that
 * end it is bound for a moment, but nobody can connect to it.
 */
static void
check_address(const struct plan *p, struct findings *f)
{
	int fd = listen_bind_tcp(p);

	if (fd != -1)
		close(fd);
	else if (errno == EADDRINUSE)
		findings_add(f, FINDING_NOTE, 0, "bind: %s: in use by another "
		    "process (a start fails until that has ended)",
		    p->socket_name);
	/* A user who tests a plan for root may lack the right to a port. */
	else if (errno != EACCES || p->root || !p->needs_root)
		findings_add(f, FINDING_ERROR, EX_CONFIG, "bind: %s: %s",
		    p->socket_name, strerror(errno));
}

static bool
allows_everyone(const struct plan *p)
{
	size_t i;

	for (i = 0; i < p->nallow && p->allow[i].len > 0; i++)
		continue;
	return !p->only_allowed || i < p->nallow;
}

/* Tries the filter on a socket that nobody can connect to. Does it hold? */
static bool
try_filter(const struct plan *p, struct findings *f)
{
	int fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	const bool none = p->nallow == 0;
	struct err e;

	if (fd == -1)
		return false;
	r = allow_attach(fd, p, &e);
	close(fd);
	if (r == 0)
		findings_add(f, FINDING_NOTE, 0, "connect: %s; %s does not "
		    "answer %s, who see a time-out", none ? "nobody" :
		    "only the web servers above", p->socket_name, none ?
		    "clients" : "others");
	else if (e.status == EX_NOPERM && !p->root && p->needs_root) {
		findings_add(f, FINDING_NOTE, 0, "not checked: whether only "
		    "the web servers above can connect: as this plan stands, "
		    "only root can start it");
		return true;
	} else
		findings_add(f, r == -1 ? FINDING_ERROR : FINDING_WARNING,
		    e.status, "%s", e.text);
	return r == 0;
}

/* What can be done about an address that everybody can reach. */
static const char *
name_way_out(const struct plan *p)
{
	return p->inherited == -1 && allow_is_possible() &&
	    option_exists(p->conf, offsetof(struct conf, allow)) ?
	    "name the web servers: --allow" : "use a packet filter";
}

/* Says whether the plan's list of web servers holds. */
static bool
check_clients(const struct plan *p, struct findings *f)
{
	bool holds = p->only_allowed && try_filter(p, f);

	if ((!holds || allows_everyone(p)) && address_is_reachable(&p->addr))
		findings_add(f, FINDING_WARNING, EX_CONFIG, "address: %s: "
		    "FastCGI has no authentication: whoever can reach this "
		    "address can run the application with any parameters "
		    "(listen on %s or a unix socket, or %s)", p->socket_name,
		    DEFAULT_ADDRESS, name_way_out(p));
	return holds;
}

bool
presocket_check(const struct plan *p, struct findings *f)
{
	int max = observe_somaxconn();
	bool listed = false;

	if (p->addr.ss_family == AF_INET || p->addr.ss_family == AF_INET6) {
		listed = check_clients(p, f);
		if (p->inherited == -1 && p->addrlen > 0)
			check_address(p, f);
	}
	if (p->inherited != -1)
		return listed;
	if (p->socket_dir != NULL && p->socket_file != NULL &&
	    p->socket_owner != NULL) {
		check_socket_path(p, f);
		note_connect(p, f);
		note_way(p, f);
	}
	if (max != -1 && p->backlog > max)
		findings_add(f, FINDING_WARNING, EX_CONFIG, "backlog: %d: the "
		    "system cuts it to %d (raise net.core.somaxconn)",
		    p->backlog, max);
	return listed;
}
