/* SPDX-License-Identifier: ISC */
/*
 * A conversation with a daemon, which may be anybody: every line is bounded,
 * so is the whole, and so is the time that either may take.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"

#define RETRY	20		/* ms, where the queue of a socket is full */
#define SLICE	100		/* ms, for who may give up meanwhile */

long long
conn_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* By its name in the working directory; returns a descriptor or -1. */
static int
connect_here(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	long long until = conn_clock() + CONN_TIMEOUT;
	int fd, saved;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	strlcpy(un.sun_path, name, sizeof(un.sun_path));
	while (connect(fd, (struct sockaddr *)&un, sizeof(un)) == -1) {
		if (errno == EAGAIN && conn_clock() < until) {
			poll(NULL, 0, RETRY);
			continue;
		}
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/*
 * Does who answers own the working directory? Its owner could have put a link
 * there, to have us command another's pool.
 */
static bool
is_owners(int fd)
{
	struct stat st;
	uid_t uid;
	gid_t gid;

	return stat(".", &st) == 0 && getpeereid(fd, &uid, &gid) == 0 &&
	    (st.st_uid == 0 || st.st_uid == geteuid() || st.st_uid == uid);
}

/*
 * With the directory as the working directory, whatever the length of its
 * path. It may be a socket itself.
 */
static int
connect_in(const char *dir, bool read)
{
	static const char *const names[] = { "control", "status" };
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = -1, i, saved;

	if (here == -1)
		return -1;
	if (chdir(dir) == -1) {
		if (errno == ENOTDIR)
			fd = connect_here(dir);
	} else {
		for (i = 0; fd == -1 && i < (read ? 2 : 1); i++)
			fd = connect_here(names[i]);
		if (fd != -1 && !is_owners(fd)) {
			close(fd);
			fd = -1;
			errno = EPERM;
		}
	}
	saved = errno;
	if (fchdir(here) == -1 && fd != -1) {
		saved = errno;
		close(fd);
		fd = -1;
	}
	close(here);
	errno = saved;
	return fd;
}

int
conn_open(struct conn *t, const char *dir, bool read, struct err *e)
{
	t->greeted = false;
	t->gives_up = NULL;
	t->input = (struct proto_input){ .buf = t->buf,
	    .size = sizeof(t->buf) };
	if ((t->fd = connect_in(dir, read)) != -1)
		return 0;
	if (errno == ECONNREFUSED || errno == ENOENT)
		return err_set(e, EX_UNAVAILABLE, "%s: no pool is running "
		    "there",
		    dir);
	return err_set(e, err_status(errno, EX_UNAVAILABLE), "%s: cannot "
	    "connect: %s%s", dir, strerror(errno), errno == EACCES ?
	    " (run it as the user who runs the pool, or as root)" : "");
}

void
conn_close(struct conn *t)
{
	if (t->fd != -1)
		close(t->fd);
	t->fd = -1;
}

/* Waits for the socket. Returns 0, or -1 with *e set. */
static int
await_socket(struct conn *t, short events, bool patient, struct err *e)
{
	struct pollfd pfd = { .fd = t->fd, .events = events };
	long long until = conn_clock() + CONN_TIMEOUT, left = -1;
	int r, slice;

	until = t->until < until ? t->until : until;
	for (;;) {
		if (!patient && (left = until - conn_clock()) < 0)
			left = 0;
		slice = t->gives_up != NULL && (patient || left > SLICE) ?
		    SLICE : (int)left;
		r = poll(&pfd, 1, slice);
		if (r > 0)
			return 0;
		if (r == -1 && errno != EINTR)
			return err_set(e, EX_OSERR, "poll: %s",
			    strerror(errno));
		if (left == 0 || (t->gives_up != NULL && t->gives_up()))
			return err_set(e, EX_TEMPFAIL, "no answer in time");
	}
}

/* The first byte, with the descriptor. */
static ssize_t
send_with(int sock, const char *text, size_t len, int fd)
{
	union {
		struct cmsghdr	 h;
		char		 buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text,
	    .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd != -1) {
		memset(&u, 0, sizeof(u));
		m.msg_control = u.buf;
		m.msg_controllen = sizeof(u.buf);
		u.h.cmsg_level = SOL_SOCKET;
		u.h.cmsg_type = SCM_RIGHTS;
		u.h.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&u.h), &fd, sizeof(int));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL);
}

int
conn_send(struct conn *t, const char *command, int fd, struct err *e)
{
	char line[PROTO_COMMAND];
	size_t len, done = 0;
	ssize_t n;

	len = (size_t)snprintf(line, sizeof(line), "%s\n", command);
	if (len >= sizeof(line))
		return err_set(e, EX_USAGE, "%s: too long", command);
	t->greeted = false;
	t->until = conn_clock() + CONN_WHOLE;
	while (done < len) {
		if (await_socket(t, POLLOUT, false, e) == -1)
			return -1;
		n = send_with(t->fd, line + done, len - done, fd);
		/* Who has hung up has said why, which is still to be read. */
		if (n == -1 && errno == EPIPE)
			return 0;
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return err_set(e, EX_UNAVAILABLE, "the pool closed the "
			    "connection: %s", strerror(errno));
		if (n > 0) {
			done += (size_t)n;
			fd = -1;
		}
	}
	return 0;
}

static int
receive_more(struct conn *t, bool patient, struct err *e)
{
	ssize_t n;

	if (await_socket(t, POLLIN, patient, e) == -1)
		return -1;
	n = read(t->fd, t->buf + t->input.len, sizeof(t->buf) -
	    t->input.len);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(e, EX_UNAVAILABLE, "the pool ended before it "
		    "answered");
	t->input.len += (size_t)n;
	return 0;
}

/* What it refused, as far as its words can be passed on. */
static int
set_refused(const struct proto_record *r, struct err *e)
{
	char text[900];
	double status;

	if (!proto_get_number(r, "status", &status) || status < EX__BASE ||
	    status > EX__MAX)
		status = EX_PROTOCOL;
	return err_set(e, (int)status, "%s", reply_cut(r, "text",
	    text, sizeof(text)));
}

static int
not_an_answer(struct err *e)
{
	return err_set(e, EX_PROTOCOL, "the answer is not in spawnd's "
	    "protocol");
}

/* A line that was received. Returns 2 if there is nothing to say of it. */
static int
take_answer_line(struct conn *t, struct proto_record *r, struct err *e)
{
	static const char greeting[] = "spawnd ";
	size_t len = sizeof(greeting) - 1;

	if (strncmp(t->line, greeting, len) == 0 && !t->greeted) {
		t->greeted = true;
		if (strcmp(t->line + len, "1") != 0)
			return err_set(e, EX_PROTOCOL, "the pool's spawnd "
			    "speaks another version of the protocol");
		return 2;
	}
	r->fields = t->fields;
	if (proto_parse(t->line, r) == -1)
		return not_an_answer(e);
	if (strcmp(r->kind, "error") == 0)
		return set_refused(r, e);
	if (!t->greeted)
		return not_an_answer(e);
	return strcmp(r->kind, "end") == 0 ? 0 : 1;
}

int
conn_next(struct conn *t, bool patient, struct proto_record *r,
    struct err *e)
{
	int got;

	for (;;) {
		switch (proto_next(&t->input, t->line)) {
		case PROTO_GOT:
			if ((got = take_answer_line(t, r, e)) != 2)
				return got;
			break;
		case PROTO_NONE:
			if (receive_more(t, patient, e) == -1)
				return -1;
			break;
		default:
			return not_an_answer(e);
		}
	}
}

int
conn_ask(struct conn *t, const char *command, struct reply *a,
    struct err *e)
{
	struct proto_record r;
	int more;

	if (conn_send(t, command, -1, e) == -1)
		return -1;
	while ((more = conn_next(t, false, &r, e)) == 1) {
		if (reply_add(a, &r, e) == -1)
			return -1;
	}
	return more;
}
