/* SPDX-License-Identifier: ISC */
/*
 * What OpenBSD shows of processes and their files; see looker_openbsd.c for
 * who asks. Compiled for OpenBSD (scripts/bsd-check.sh), and not yet run there.
 */
#include <sys/types.h>
#include <sys/file.h>
#include <sys/signal.h>
#include <sys/proc.h>
#include <sys/socket.h>
#include <sys/socketvar.h>
#include <sys/sysctl.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/holding.h"

#define NAME_LEN	6	/* ints that name a table */

static union {
	struct sockaddr	 sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
} listener;

void
holding_init(void)
{
	socklen_t len = sizeof(listener);

	if (getsockname(STDIN_FILENO, &listener.sa, &len) == -1)
		memset(&listener, 0, sizeof(listener));
}

/*
 * Reads a table of elements of that size. Returns it, malloc'd, with *n set, or
 * NULL. The kernel fails where the table has grown too large meanwhile.
 */
static void *
read_table(int what, int of, int arg, size_t element, size_t *n)
{
	int name[NAME_LEN] = { CTL_KERN, what, of, arg, (int)element, 0 };
	size_t size = 0;
	void *table;

	if (sysctl(name, NAME_LEN, NULL, &size, NULL, 0) == -1 ||
	    (table = malloc(size)) == NULL)
		return NULL;
	name[NAME_LEN - 1] = (int)(size / element);
	if (sysctl(name, NAME_LEN, table, &size, NULL, 0) == -1) {
		free(table);
		return NULL;
	}
	*n = size / element;
	return table;
}

/*
 * Is that a connection of the listen socket? An accepted unix socket has its
 * listener's name; the listener itself is connected to nobody.
 */
static bool
is_of_listener(const struct kinfo_file *f)
{
	if (f->f_type != DTYPE_SOCKET || f->so_type != SOCK_STREAM ||
	    f->so_family != listener.sa.sa_family)
		return false;
	switch (listener.sa.sa_family) {
	case AF_INET:
		return f->inp_fport != 0 &&
		    f->inp_lport == listener.in.sin_port;
	case AF_INET6:
		return f->inp_fport != 0 &&
		    f->inp_lport == listener.in6.sin6_port;
	case AF_UNIX:
		return (f->so_state & SS_ISCONNECTED) != 0 &&
		    listener.un.sun_path[0] != '\0' &&
		    strncmp(f->unp_path, listener.un.sun_path,
		    sizeof(listener.un.sun_path)) == 0;
	default:
		return false;
	}
}

/*
 * Only root sees where a connection lies in the kernel. A client of TCP has
 * an address; a unix one is named by the worker's descriptor, which may become
 * that of its next one.
 */
static uint64_t
name_connection(const struct kinfo_file *f)
{
	uint64_t name = ((uint64_t)f->fd_fd + 1) << 32;

	if (f->so_family != AF_UNIX)
		name ^= (uint64_t)f->inp_fport << 16 ^ f->inp_faddru[0] ^
		    f->inp_faddru[3];
	return name;
}

static int
look_at_files(pid_t pid, struct holding *h)
{
	struct kinfo_file *table;
	size_t i, n;

	table = pid == 0 ?
	    read_table(KERN_FILE, KERN_FILE_BYUID, (int)getuid(),
	    sizeof(*table), &n) :
	    read_table(KERN_FILE, KERN_FILE_BYPID, pid, sizeof(*table), &n);
	if (table == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		if (is_of_listener(&table[i]) && h->connections++ == 0)
			h->connection = name_connection(&table[i]);
	}
	free(table);
	return 0;
}

/* The process comes first, as of no thread, then each of its threads. */
static int
look_at_threads(pid_t pid, int signo, pid_t *group, struct holding *h)
{
	struct kinfo_proc *table;
	size_t i, n;
	bool known;

	table = read_table(KERN_PROC, KERN_PROC_PID | KERN_PROC_SHOW_THREADS,
	    pid, sizeof(*table), &n);
	if (table == NULL)
		return -1;
	known = n > 1;
	h->stopped = known;
	h->threaded = n > 2;
	for (i = 1; i < n; i++)
		h->stopped = h->stopped && table[i].p_stat == SSTOP;
	if (known) {
		*group = table[0].p__pgid;
		h->catches = signo > 0 &&
		    (table[0].p_sigcatch >> (signo - 1) & 1) != 0;
	}
	free(table);
	return known ? 0 : -1;
}

static int
count_others(pid_t pid, pid_t group, struct holding *h)
{
	struct kinfo_proc *table;
	size_t i, n;

	table = read_table(KERN_PROC, KERN_PROC_PGRP, group, sizeof(*table),
	    &n);
	if (table == NULL)
		return -1;
	for (i = 0; i < n; i++)
		h->others += table[i].p_pid != pid &&
		    (table[i].p_psflags & PS_ZOMBIE) == 0;
	free(table);
	return 0;
}

/* The files last: what has come in before a stop is seen. */
int
holding_look(pid_t pid, int signo, struct holding *h)
{
	pid_t group;

	*h = (struct holding){ .connections = 0 };
	if (pid != 0 && (look_at_threads(pid, signo, &group, h) == -1 ||
	    count_others(pid, group, h) == -1))
		return -1;
	return look_at_files(pid, h);
}
