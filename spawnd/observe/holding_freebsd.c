/* SPDX-License-Identifier: ISC */
/*
 * What FreeBSD shows of processes, and of their files whoever may debug them:
 * their user, unless security.bsd.unprivileged_proc_debug is 0. Compiled for
 * FreeBSD (scripts/bsd-check.sh), and not yet run there.
 */
#include <sys/param.h>
#include <sys/proc.h>
#include <sys/socket.h>
#include <sys/sysctl.h>
#include <sys/un.h>
#include <sys/user.h>

#include <netinet/in.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/holding.h"

#define NAME_LEN	4	/* ints that name a table */
#define RECORD_MAX	sizeof(struct kinfo_file)

static struct sockaddr_storage listener;

void
holding_init(void)
{
	socklen_t len = sizeof(listener);

	(void)getsockname(STDIN_FILENO, (struct sockaddr *)&listener, &len);
}

/*
 * Returns a table, malloc'd, or NULL with errno set. A table of files that has
 * grown too large meanwhile is cut: without room for another record it may be.
 */
static char *
read_procs(int of, int arg, size_t *size)
{
	const int name[NAME_LEN] = { CTL_KERN, KERN_PROC, of, arg };
	size_t room = 0;
	char *table;

	if (sysctl(name, NAME_LEN, NULL, &room, NULL, 0) == -1)
		return NULL;
	*size = room += room / 2 + 2 * RECORD_MAX;
	if ((table = malloc(room)) == NULL)
		return NULL;
	if (sysctl(name, NAME_LEN, table, size, NULL, 0) == 0) {
		if (room - *size >= RECORD_MAX)
			return table;
		errno = ENOMEM;
	}
	free(table);
	return NULL;
}

static in_port_t
port_of(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 *in6 = (const void *)ss;
	const struct sockaddr_in *in = (const void *)ss;

	return ss->ss_family == AF_INET ? in->sin_port :
	    ss->ss_family == AF_INET6 ? in6->sin6_port : 0;
}

static bool
is_our_path(const struct sockaddr_storage *ss)
{
	const struct sockaddr_un *a = (const void *)ss;
	const struct sockaddr_un *b = (const void *)&listener;

	return a->sun_family == AF_UNIX && b->sun_path[0] != '\0' &&
	    strncmp(a->sun_path, b->sun_path, sizeof(a->sun_path)) == 0;
}

/*
 * Is that a connection of the listen socket? An accepted unix socket has its
 * listener's name; the listener itself is connected to nobody.
 */
static bool
is_accepted(const struct kinfo_file *f)
{
	struct sockaddr_storage local, peer;

	if (f->kf_type != KF_TYPE_SOCKET ||
	    f->kf_un.kf_sock.kf_sock_type0 != SOCK_STREAM ||
	    f->kf_un.kf_sock.kf_sock_domain0 != listener.ss_family)
		return false;
	memcpy(&local, &f->kf_un.kf_sock.kf_sa_local, sizeof(local));
	memcpy(&peer, &f->kf_un.kf_sock.kf_sa_peer, sizeof(peer));
	if (listener.ss_family == AF_UNIX)
		return f->kf_un.kf_sock.kf_sock_unpconn != 0 &&
		    is_our_path(&local);
	return port_of(&peer) != 0 && port_of(&local) == port_of(&listener);
}

/* Each record says how long it is. */
static int
look_at_descriptors(pid_t pid, struct holding *h)
{
	const struct kinfo_file *f;
	size_t at, size;
	char *table = read_procs(KERN_PROC_FILEDESC, pid, &size);

	if (table == NULL)
		return -1;
	for (at = 0; at < size; at += (size_t)f->kf_structsize) {
		f = (const void *)(table + at);
		if (f->kf_structsize == 0)
			break;
		if (is_accepted(f) && h->connections++ == 0)
			h->connection = f->kf_un.kf_sock.kf_sock_pcb;
	}
	free(table);
	return 0;
}

static int
look_at_states(pid_t pid, int signo, pid_t *group, struct holding *h)
{
	const struct kinfo_proc *k;
	size_t i, n, size;
	char *table = read_procs(KERN_PROC_PID | KERN_PROC_INC_THREAD, pid,
	    &size);

	if (table == NULL)
		return -1;
	k = (const void *)table;
	n = size / sizeof(*k);
	h->stopped = n > 0;
	h->threaded = n > 1;
	for (i = 0; i < n; i++)
		h->stopped = h->stopped && k[i].ki_stat == SSTOP;
	if (n > 0) {
		*group = k->ki_pgid;
		h->catches = signo > 0 && sigismember(&k->ki_sigcatch, signo);
	}
	free(table);
	return n > 0 ? 0 : -1;
}

static int
count_group(pid_t pid, pid_t group, struct holding *h)
{
	const struct kinfo_proc *k;
	size_t i, size;
	char *table = read_procs(KERN_PROC_PGRP, group, &size);

	if (table == NULL)
		return -1;
	k = (const void *)table;
	for (i = 0; i < size / sizeof(*k); i++)
		h->others += k[i].ki_pid != pid && k[i].ki_stat != SZOMB;
	free(table);
	return 0;
}

/* Who changed its user since its exec, as supervisors do, cannot be seen. */
static int
sum_up(struct holding *h)
{
	const struct kinfo_proc *k;
	size_t i, size;
	int r = 0;
	char *table = read_procs(KERN_PROC_UID, (int)geteuid(), &size);

	if (table == NULL)
		return -1;
	k = (const void *)table;
	for (i = 0; i < size / sizeof(*k); i++) {
		if ((k[i].ki_flag & P_SUGID) == 0 &&
		    look_at_descriptors(k[i].ki_pid, h) == -1 && errno != ESRCH)
			r = -1;
	}
	free(table);
	return r;
}

/* The files last: what has come in before a stop is seen. */
int
holding_find(pid_t pid, int signo, struct holding *h)
{
	pid_t group;

	*h = (struct holding){ .connections = 0 };
	if (pid == 0)
		return sum_up(h);
	return look_at_states(pid, signo, &group, h) == 0 &&
	    count_group(pid, group, h) == 0 ? look_at_descriptors(pid, h) : -1;
}
