/* SPDX-License-Identifier: ISC */
/*
 * A connection to a daemon, which is not trusted: the length of each line and
 * of the answer is limited, and so is the time that they may take.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/path.h"
#include "client/client.h"
#include "proto/proto.h"

#define RETRY	20		/* ms, while the socket's queue is full */
#define SLICE	100		/* ms between two calls of gives_up() */

static long long patience = CONN_TIMEOUT, whole = CONN_WHOLE;
static bool queues = true;

void
conn_hurry(long long ms)
{
	patience = whole = ms;
}

void
conn_queue_never(void)
{
	queues = false;
}

bool
conn_lacks_more(const struct conn *t)
{
	return t->late;
}

long long
conn_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Connects to a path, which has to be short. Returns a descriptor or -1. */
static int
connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	long long until = conn_clock() + patience;
	int fd;

	/* A name that is cut could be another's. */
	if (strlcpy(un.sun_path, path, sizeof(un.sun_path)) >=
	    sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	while (connect(fd, (struct sockaddr *)&un, sizeof(un)) == -1) {
		if (errno == EAGAIN && queues && conn_clock() < until) {
			poll(NULL, 0, RETRY);
			continue;
		}
		return path_close(fd, -1);
	}
	return fd;
}

/*
 * Without /proc the name is used, from within the directory: sun_path has no
 * room for a long path.
 */
static int
connect_here(int dir, const char *name)
{
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = -1, saved;

	if (here == -1)
		return -1;
	if (fchdir(dir) == 0)
		fd = connect_to(name);
	saved = errno;
	if (fchdir(here) == -1 && fd != -1)
		fd = path_close(fd, -1);
	else
		errno = saved;
	return path_close(here, fd);
}

/* Is it a socket, and nothing that leads to another's? Sets errno if not. */
static bool
is_socket(const struct stat *st)
{
	if (S_ISLNK(st->st_mode) || st->st_nlink != 1)
		errno = S_ISLNK(st->st_mode) ? ELOOP : EMLINK;
	else if (!S_ISSOCK(st->st_mode))
		errno = ECONNREFUSED;
	else
		return true;
	return false;
}

/*
 * Where a socket cannot be opened, its name has to be trusted: nobody else may
 * be able to give it to another file.
 */
static int
connect_trusted(int dir, const char *name)
{
	struct stat st;

	if (fstat(dir, &st) == -1)
		return -1;
	if (!path_is_ours(&st)) {
		errno = EPERM;
		return -1;
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !is_socket(&st))
		return -1;
	return connect_here(dir, name);
}

/* Connects to that very file, whatever takes its name meanwhile. */
static int
connect_at(int dir, const char *name)
{
	char path[32];
	struct stat st;
	int file = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int fd = -1;

	if (file == -1)
		return errno == ENXIO || errno == EOPNOTSUPP ?
		    connect_trusted(dir, name) : -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (fstat(file, &st) == 0 && is_socket(&st))
		fd = access(path, F_OK) == 0 ? connect_to(path) :
		    connect_here(dir, name);
	return path_close(file, fd);
}

/*
 * Is the peer's user the owner of the directory? Another owner could have put
 * something there that makes us command another user's pool.
 */
static bool
is_owners(int dir, int fd)
{
	struct stat st;
	uid_t uid;
	gid_t gid;

	return fstat(dir, &st) == 0 && getpeereid(fd, &uid, &gid) == 0 &&
	    (st.st_uid == 0 || st.st_uid == geteuid() || st.st_uid == uid);
}

/* path may be a socket itself. Opens its directory for *dir, too. */
static int
connect_in(const char *path, bool read, int *dir)
{
	static const char *const names[] = { "control", "status" };
	char name[NAME_MAX + 1];
	int fd = -1, i, saved = 0;

	if ((*dir = path_open_own(path, name, sizeof(name))) == -1)
		return -1;
	for (i = 0; fd == -1 && i < (read && name[0] == '\0' ? 2 : 1); i++) {
		fd = connect_at(*dir, name[0] != '\0' ? name : names[i]);
		/* A socket that is too busy is not one that is missing. */
		if (fd == -1 && saved != EAGAIN)
			saved = errno;
	}
	if (fd != -1 && is_owners(*dir, fd))
		return fd;
	if (fd != -1)
		saved = EPERM;
	if (fd != -1)
		close(fd);
	close(*dir);
	errno = saved;
	return -1;
}

/* Why that failed, in words. */
static const char *
find_reason(int error)
{
	if (error == EXDEV)
		return "a symbolic link on the way is not owned by root or "
		    "you";
	if (error == EPERM)
		return "it belongs to another user than the pool, or others "
		    "may write there";
	return path_append_reason(error);
}

void
conn_close(struct conn *t)
{
	if (t->fd != -1) {
		close(t->fd);
		close(t->at);
	}
	t->fd = -1;
	free(t->dir);
	t->dir = NULL;
}

int
conn_open(struct conn *t, const char *dir, bool read, struct err *e)
{
	t->greeted = t->late = false;
	t->gives_up = NULL;
	t->npassed = -1;
	t->input = (struct proto_input){ .buf = t->buf,
	    .size = sizeof(t->buf) };
	t->dir = NULL;
	if ((t->fd = connect_in(dir, read, &t->at)) != -1) {
		if ((t->dir = strdup(dir)) != NULL)
			return 0;
		conn_close(t);
		return err_set(e, EX_OSERR, "out of memory");
	}
	if (errno == ECONNREFUSED || errno == ENOENT)
		return err_set(e, EX_UNAVAILABLE, "%s: no pool is running "
		    "there",
		    dir);
	if (errno == EAGAIN)
		return err_set(e, EX_TEMPFAIL, "%s: the pool takes no "
		    "connections: too many wait already (is its supervisor "
		    "stopped?)", dir);
	if (errno == EXDEV || errno == ELOOP || errno == EMLINK ||
	    errno == EPERM)
		return err_set(e, EX_NOPERM, "%s: cannot connect: %s", dir,
		    find_reason(errno));
	return err_set(e, err_status(errno, EX_UNAVAILABLE), "%s: cannot "
	    "connect: %s%s", dir, strerror(errno), errno == EACCES ?
	    " (run it as the user who runs the pool, or as root)" : "");
}

/* Waits for the socket. Returns 0, or -1 with *e set. */
static int
await_socket(struct conn *t, short events, bool patient, struct err *e)
{
	struct pollfd pfd = { .fd = t->fd, .events = events };
	long long until = conn_clock() + patience, left = -1;
	int r, slice;

	until = t->until < until ? t->until : until;
	t->late = false;
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
		t->late = left == 0;
		if (left == 0 || (t->gives_up != NULL && t->gives_up(t)))
			return err_set(e, EX_TEMPFAIL, "no answer in time");
	}
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
	t->until = conn_clock() + whole;
	while (done < len) {
		if (await_socket(t, POLLOUT, false, e) == -1)
			return -1;
		n = pass_send(t->fd, line + done, len - done, &fd, fd != -1);
		/* A daemon that hung up has sent the reason before. */
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

/* Reads, with descriptors that may come along if the caller wants them. */
static ssize_t
receive(struct conn *t)
{
	size_t npassed = t->npassed == -1 ? 0 :
	    (size_t)(PASSED_MAX - t->npassed);
	ssize_t n;

	n = pass_receive(t->fd, t->buf + t->input.len,
	    sizeof(t->buf) - t->input.len, t->passed + (t->npassed == -1 ? 0 :
	    t->npassed), &npassed);
	t->npassed += (int)npassed;
	return n;
}

static int
receive_more(struct conn *t, bool patient, struct err *e)
{
	ssize_t n;

	if (await_socket(t, POLLIN, patient, e) == -1)
		return -1;
	n = receive(t);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(e, EX_UNAVAILABLE, "the pool ended before it "
		    "answered");
	t->input.len += (size_t)n;
	return 0;
}

/* Sets *e to the daemon's error, escaped. */
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

/* Takes a line. Returns as conn_next(), or 2 for a line to be skipped. */
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
