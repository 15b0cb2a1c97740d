/* SPDX-License-Identifier: ISC */
/*
 * The agent's small server. A client gets its line at once and is only waited
 * for, for a moment, until it closes: what it sends is read and dropped, as a
 * close with unread data would take the line back. Nobody can make others wait
 * by that, nor take more than one of AGENT_CLIENTS places, of which the oldest
 * is given up for the next client.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/network.h"
#include "base/path.h"
#include "client/client.h"
#include "ctl/agent.h"

#define BACKLOG		128
#define ACCEPTS		16	/* at once, then others' turn */
#define PAUSE		100	/* ms, without descriptors or memory */
#define EVERY		"*"

struct visitor {
	int		 fd;
	long long	 until;		/* ms, by conn_clock() */
};

static struct visitor visitors[AGENT_CLIENTS];	/* the oldest first */
static size_t nvisitors;

/* As process 1 of a container we would not end by them. */
static void
visitors_end(int signo)
{
	(void)signo;
	_exit(0);
}

static int
refuse_listen(const char *val, struct err *e)
{
	return err_set(e, EX_USAGE, "--listen: %s: must be ADDRESS:PORT, as "
	    "127.0.0.1:9707, [::1]:9707 or *:9707", val);
}

/* Parses ADDRESS:PORT; *any: of both families. */
static int
parse_listen(const char *val, struct sockaddr_storage *ss, bool *any,
    struct err *e)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
	const char *colon = strrchr(val, ':'), *why = NULL;
	char addr[INET6_ADDRSTRLEN + 2];
	in_port_t port;
	size_t len;

	*any = false;
	if (colon == NULL || (len = (size_t)(colon - val)) >= sizeof(addr))
		return refuse_listen(val, e);
	memcpy(addr, val, len);
	addr[len] = '\0';
	port = htons((in_port_t)strtonum(colon + 1, 0, 65535, &why));
	memset(ss, 0, sizeof(*ss));
	*any = strcmp(addr, EVERY) == 0;
	if (len > 2 && addr[0] == '[' && addr[len - 1] == ']') {
		addr[len - 1] = '\0';
		if (inet_pton(AF_INET6, addr + 1, &in6->sin6_addr) == 1)
			ss->ss_family = AF_INET6;
	} else if (*any)
		ss->ss_family = AF_INET6;
	else if (inet_pton(AF_INET, addr, &in->sin_addr) == 1)
		ss->ss_family = AF_INET;
	if (ss->ss_family == AF_INET)
		in->sin_port = port;
	else
		in6->sin6_port = port;
	return why != NULL || ss->ss_family == 0 ? refuse_listen(val, e) : 0;
}

static socklen_t
length_of(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET ? sizeof(struct sockaddr_in) :
	    sizeof(struct sockaddr_in6);
}

static int
make_socket(const struct sockaddr_storage *ss, bool any)
{
	int fd, on = 1, only = !any;

	fd = socket(ss->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd == -1)
		return -1;
	/* Connections that we closed first do not keep the next agent out. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    (ss->ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &only, sizeof(only)) == -1) ||
	    bind(fd, (const struct sockaddr *)ss, length_of(ss)) == -1 ||
	    listen(fd, BACKLOG) == -1)
		return path_close(fd, -1);
	return fd;
}

/* Other hosts may connect only if it is said which. */
static bool
is_public(const struct sockaddr_storage *ss)
{
	struct network n, local;
	char why[NETWORK_WHY];

	network_of(ss, &n);
	network_parse(n.family == AF_INET ? "127.0.0.0/8" : "::1",
	    n.family == AF_INET ? 11 : 3, &local, why);
	return !network_holds(&local, 1, &n);
}

static int
open_listener(const struct agent_conf *c, struct err *e)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	bool any;
	int fd;

	if (parse_listen(c->listen, &ss, &any, e) == -1)
		return -1;
	if (is_public(&ss) && c->nallow == 0)
		return err_set(e, EX_USAGE, "--listen: %s: other hosts can "
		    "reach it: needs --allow ADDR[/LEN],... (the balancers)",
		    c->listen);
	fd = make_socket(&ss, any);
	if (fd == -1 && any && errno == EAFNOSUPPORT) {
		in_port_t port = ((struct sockaddr_in6 *)&ss)->sin6_port;

		memset(&ss, 0, sizeof(ss));
		ss.ss_family = AF_INET;
		((struct sockaddr_in *)&ss)->sin_port = port;
		fd = make_socket(&ss, false);
	}
	return fd != -1 ? fd : err_set(e, err_status(errno, EX_UNAVAILABLE),
	    "--listen: %s: %s%s", c->listen, strerror(errno),
	    errno == EADDRINUSE ? " (another agent?)" : "");
}

/* The port may have been the system's choice. */
static int
announce(int fd, struct err *e)
{
	union {
		struct sockaddr		 sa;
		struct sockaddr_in	 in;
		struct sockaddr_in6	 in6;
	} a;
	socklen_t len = sizeof(a);
	char addr[INET6_ADDRSTRLEN] = "?";
	bool six;

	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.sa, &len) == -1)
		return err_set(e, EX_OSERR, "getsockname: %s",
		    strerror(errno));
	six = a.sa.sa_family == AF_INET6;
	inet_ntop(a.sa.sa_family, six ? (const void *)&a.in6.sin6_addr :
	    (const void *)&a.in.sin_addr, addr, sizeof(addr));
	printf("agent: listens on %s%s%s:%d\n", six ? "[" : "", addr,
	    six ? "]" : "", ntohs(six ? a.in6.sin6_port : a.in.sin_port));
	return fflush(stdout) == EOF ? err_set(e, EX_IOERR, "cannot write") :
	    0;
}

static void
visitor_drop(size_t i)
{
	close(visitors[i].fd);
	nvisitors--;
	memmove(&visitors[i], &visitors[i + 1],
	    (nvisitors - i) * sizeof(visitors[0]));
}

static bool
is_allowed(const struct agent_conf *c, const struct sockaddr_storage *ss)
{
	struct network n;

	network_of(ss, &n);
	return c->nallow == 0 || network_holds(c->allow, c->nallow, &n);
}

/* What a short answer finds no room for at once, it never will. */
static void
visitor_tell(int fd, const char *line)
{
	send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	if (nvisitors == AGENT_CLIENTS)
		visitor_drop(0);
	visitors[nvisitors++] = (struct visitor){ fd,
	    conn_clock() + AGENT_LINGER };
}

/* An answer is sent to all who come within AGENT_FRESH. */
static const char *
fresh_line(void (*ask)(char line[AGENT_LINE]))
{
	static char line[AGENT_LINE];
	static long long until;

	if (conn_clock() >= until) {
		ask(line);
		until = conn_clock() + AGENT_FRESH;
	}
	return line;
}

static void
accept_some(int fd, const struct agent_conf *c,
    void (*ask)(char line[AGENT_LINE]))
{
	struct sockaddr_storage ss;
	socklen_t len;
	int i, client;

	for (i = 0; i < ACCEPTS; i++) {
		len = sizeof(ss);
		client = accept4(fd, (struct sockaddr *)&ss, &len,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client == -1) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM)
				poll(NULL, 0, PAUSE);
			return;
		}
		if (is_allowed(c, &ss))
			visitor_tell(client, fresh_line(ask));
		else
			close(client);
	}
}

/* Reads and drops. Returns false at the end. */
static bool
visitor_skip(int fd)
{
	char buf[512];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	return n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR));
}

/* Who has closed goes, and who has had its time. */
static void
visitors_leave(const struct pollfd *pfd)
{
	long long now = conn_clock();
	size_t i;

	for (i = nvisitors; i-- > 0;) {
		if ((pfd[i].revents != 0 && !visitor_skip(visitors[i].fd)) ||
		    now >= visitors[i].until)
			visitor_drop(i);
	}
}

void
agent_server_linger(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	long long until = conn_clock() + AGENT_LINGER, left;

	shutdown(fd, SHUT_WR);
	while ((left = until - conn_clock()) > 0 &&
	    poll(&pfd, 1, (int)left) != 0 && visitor_skip(fd))
		continue;
}

int
agent_server_run(const struct agent_conf *c,
    void (*ask)(char line[AGENT_LINE]), struct err *e)
{
	struct pollfd pfd[1 + AGENT_CLIENTS];
	struct sigaction sa = { .sa_handler = visitors_end };
	long long left;
	int fd;
	size_t i;

	if ((fd = open_listener(c, e)) == -1 || announce(fd, e) == -1)
		return -1;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	for (;;) {
		pfd[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
		for (i = 0; i < nvisitors; i++)
			pfd[i + 1] = (struct pollfd){ .fd = visitors[i].fd,
			    .events = POLLIN };
		left = nvisitors == 0 ? -1 : visitors[0].until - conn_clock();
		if (nvisitors > 0 && left < 0)
			left = 0;
		if (poll(pfd, (nfds_t)(nvisitors + 1), (int)left) == -1) {
			if (errno != EINTR && errno != ENOMEM)
				return err_set(e, EX_OSERR, "poll: %s",
				    strerror(errno));
			continue;
		}
		visitors_leave(pfd + 1);
		if (pfd[0].revents != 0)
			accept_some(fd, c, ask);
	}
}
