/* SPDX-License-Identifier: ISC */
/*
 * bare.c's answers by three processes, as kcgi's programs are made: the first
 * child accepts, passes the connection on to the leader (SCM_RIGHTS) and what
 * it reads of it to the second, which parses; the leader answers. The two have
 * a system call filter that knows poll(2) and not restart_syscall(2), by which
 * a poll goes on that a stop or a tracer has interrupted: they die of it. The
 * leader ends on TERM, between two requests; the others end when it has.
 *
 * No other process than the leader would answer, and while a connection is on
 * its way from one to the next nobody has it.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>

/* Its reading of parameters, and its way to answer. */
#define main bare_main
#include "bare.c"
#undef main

#define ALLOW(call)	\
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1),	\
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static volatile sig_atomic_t over;

static void
sandbox(void)
{
	static struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
#ifdef SYS_poll
		ALLOW(SYS_poll),
#endif
		ALLOW(SYS_ppoll), ALLOW(SYS_read), ALLOW(SYS_write),
		ALLOW(SYS_accept), ALLOW(SYS_sendmsg), ALLOW(SYS_sendto),
		ALLOW(SYS_close), ALLOW(SYS_fcntl), ALLOW(SYS_exit_group),
		ALLOW(SYS_rt_sigreturn),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
	};
	struct sock_fprog prog = { sizeof(rules) / sizeof(rules[0]), rules };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == -1)
		_exit(1);
}

/* Who cannot write to the others any more has nothing left to do. */
static void
tell(int fd, const void *p, size_t len)
{
	const char *from = p;
	ssize_t n;

	for (; len > 0; from += n, len -= (size_t)n) {
		if ((n = send(fd, from, len, MSG_NOSIGNAL)) <= 0)
			_exit(0);
	}
}

static void
hear(int fd, void *to, size_t len)
{
	if (take(fd, to, len) == -1)
		_exit(0);
}

/* One more byte, and the connection if it is not -1. */
static void
pass(int leader, int connection)
{
	union {
		char		buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr	align;
	} u = { .align = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = u.buf, .msg_controllen = sizeof(u.buf) };

	memcpy(CMSG_DATA(&u.align), &connection, sizeof(connection));
	if (sendmsg(leader, &m, MSG_NOSIGNAL) != 1)
		_exit(0);
}

/* Accepts; what it reads it passes on in pieces, each after its length; the
 * last is of none. */
static void
accepts(int leader, int parser)
{
	static char b[65536];
	struct pollfd p[2] = { { 0, POLLIN, 0 }, { leader, POLLIN, 0 } };
	uint32_t n;
	ssize_t got;
	int fd;

	for (;;) {
		p[0].fd = STDIN_FILENO;
		if (poll(p, 2, -1) > 0 && p[1].revents != 0)
			_exit(0);
		/* Each time: spawnd clears the flag for all at a start. */
		fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
		if ((fd = accept(STDIN_FILENO, NULL, NULL)) == -1)
			continue;
		pass(leader, fd);
		p[0].fd = fd;
		while (poll(p, 2, -1) > 0 && p[1].revents == 0) {
			got = read(fd, b, sizeof(b));
			n = got > 0 ? (uint32_t)got : 0;
			tell(parser, &n, sizeof(n));
			tell(parser, b, n);
			if (n == 0)
				p[0].fd = -1;
		}
		/* The leader has answered, or has gone. */
		hear(leader, b, 1);
		n = UINT32_MAX;
		tell(parser, &n, sizeof(n));
		close(fd);
	}
}

/* The bytes of one connection, out of the pieces. */
static uint32_t left;

/* Returns -1 at the end of the connection. */
static int
more(int acceptor, unsigned char *to, size_t len)
{
	size_t n;

	for (; len > 0; to += n, len -= n, left -= (uint32_t)n) {
		if (left == 0)
			hear(acceptor, &left, sizeof(left));
		if (left == 0 || left == UINT32_MAX)
			return -1;
		n = len < left ? len : left;
		hear(acceptor, to, n);
	}
	return 0;
}

/* A request: its query, NUL-terminated, and what was posted. */
static int
parse(int acceptor, char *query, size_t size)
{
	static unsigned char params[65536], body[65536 + 256];
	unsigned char h[8];
	size_t len, have = 0;

	nposted = 0;
	for (;;) {
		if (more(acceptor, h, sizeof(h)) == -1)
			return -1;
		len = (size_t)h[4] << 8 | h[5];
		if (more(acceptor, body, len + h[6]) == -1)
			return -1;
		if (h[1] == PARAMS && have + len <= sizeof(params)) {
			memcpy(params + have, body, len);
			have += len;
		}
		if (h[1] == STDIN && nposted + len <= sizeof(posted)) {
			memcpy(posted + nposted, body, len);
			nposted += len;
		}
		if (h[1] == STDIN && len == 0)
			break;
	}
	find_query(params, have, query, size);
	return 0;
}

/* Parses one request of each connection, and tells the leader. */
static void
parses(int acceptor, int leader)
{
	char query[256];
	char whole;

	for (;;) {
		memset(query, 0, sizeof(query));
		left = 0;
		whole = parse(acceptor, query, sizeof(query)) == 0 ? 1 : 0;
		tell(leader, &whole, 1);
		if (whole) {
			tell(leader, query, sizeof(query));
			tell(leader, &nposted, sizeof(nposted));
			tell(leader, posted, nposted);
		}
		/* What is left of the connection. */
		while (left != UINT32_MAX) {
			static unsigned char rest[65536];

			if (left > 0)
				hear(acceptor, rest, left);
			hear(acceptor, &left, sizeof(left));
		}
	}
}

static void
end(int signo)
{
	over = signo;
}

/* Returns the connection that comes with a byte, or -1. */
static int
passed(int acceptor)
{
	union {
		char		buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr	align;
	} u;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = u.buf, .msg_controllen = sizeof(u.buf) };
	int fd;

	if (recvmsg(acceptor, &m, MSG_CMSG_CLOEXEC) != 1 ||
	    CMSG_FIRSTHDR(&m) == NULL)
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static int
leads(int acceptor, int parser)
{
	struct pollfd p = { acceptor, POLLIN, 0 };
	struct sigaction sa = { .sa_handler = end };
	char query[256], whole;
	sigset_t term, none;
	int fd;

	sigemptyset(&none);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	sigaction(SIGTERM, &sa, NULL);
	for (;;) {
		if (ppoll(&p, 1, NULL, &none) == -1 && errno == EINTR) {
			if (over)
				return 0;
			continue;
		}
		if ((fd = passed(acceptor)) == -1)
			return 1;
		hear(parser, &whole, 1);
		if (whole) {
			hear(parser, query, sizeof(query));
			hear(parser, &nposted, sizeof(nposted));
			hear(parser, posted, nposted);
			answer(fd, query);
		}
		close(fd);
		tell(acceptor, "", 1);
	}
}

int
main(void)
{
	int a[2], b[2], c[2];	/* leader and acceptor, acceptor and parser,
				 * parser and leader */

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, b) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, c) == -1)
		return 1;
	if (fork() == 0) {
		close(a[0]);
		close(b[1]);
		close(c[0]);
		close(c[1]);
		sandbox();
		accepts(a[1], b[0]);
	}
	if (fork() == 0) {
		close(STDIN_FILENO);
		close(a[0]);
		close(a[1]);
		close(b[0]);
		close(c[1]);
		sandbox();
		parses(b[1], c[0]);
	}
	close(a[1]);
	close(b[0]);
	close(b[1]);
	close(c[0]);
	close(STDIN_FILENO);
	return leads(a[0], c[1]);
}
