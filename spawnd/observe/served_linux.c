/* SPDX-License-Identifier: ISC */
/*
 * Is a connection between two requests? A web server that keeps a connection
 * sends its next request at any time, so a pause says little; but the calls of
 * a process show: it has written the end of an answer, FCGI_END_REQUEST of the
 * FastCGI specification, and has read nothing since.
 */
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <linux/ptrace.h>

#include <poll.h>
#include <stdlib.h>

#include "observe/door.h"
#include "observe/linux.h"
#include "observe/sockets_linux.h"

#define RECORD		16	/* bytes of FCGI_END_REQUEST */
#define HEADER		8
#define VERSION		1
#define END_REQUEST	3
#define STDIN_STREAM	5
#define BODY		8
#define REST_MAX	256	/* bytes that may belong to the old request */
#define PARTS_MAX	64	/* of one writev(2) */

/* Copies memory of another process. Returns false if it is not all there. */
static bool
copy_from(pid_t pid, uint64_t where, void *to, size_t size)
{
	struct iovec own = { .iov_base = to, .iov_len = size };
	struct iovec its = { .iov_base = (void *)(uintptr_t)where,
	    .iov_len = size };

	return process_vm_readv(pid, &own, 1, &its, 1, 0) == (ssize_t)size;
}

/* The last bytes of all parts together; *size is how many these have. */
static bool
copy_tail(pid_t pid, const struct iovec *parts, size_t n,
    uint8_t tail[RECORD], size_t *size)
{
	size_t i, have = 0, some;
	uint64_t end;

	for (*size = i = 0; i < n; i++)
		*size += parts[i].iov_len;
	while (n-- > 0 && have < RECORD) {
		some = parts[n].iov_len;
		end = (uint64_t)(uintptr_t)parts[n].iov_base + some;
		if (some > RECORD - have)
			some = RECORD - have;
		have += some;
		if (!copy_from(pid, end - some, tail + RECORD - have, some))
			return false;
	}
	return have == RECORD;
}

static bool
is_end(const uint8_t r[RECORD])
{
	return r[0] == VERSION && r[1] == END_REQUEST && r[4] == 0 &&
	    r[5] == BODY && r[6] == 0;
}

static bool
copy_parts(pid_t pid, uint64_t where, uint64_t n, struct iovec *parts)
{
	return n <= PARTS_MAX && copy_from(pid, where, parts,
	    (size_t)n * sizeof(*parts));
}

/* Does the call write the end of an answer? *size: how many bytes in all. */
static bool
writes_end(pid_t pid, long call, const uint64_t *args, size_t *size)
{
	struct iovec parts[PARTS_MAX] = { { .iov_base =
	    (void *)(uintptr_t)args[1], .iov_len = (size_t)args[2] } };
	uint8_t tail[RECORD];
	struct msghdr m;
	size_t n = 1;

	*size = 0;
	if (call == SYS_sendfile)
		return false;
	if (call == SYS_writev) {
		n = (size_t)args[2];
		if (!copy_parts(pid, args[1], n, parts))
			return false;
	} else if (call == SYS_sendmsg) {
		if (!copy_from(pid, args[1], &m, sizeof(m)) ||
		    !copy_parts(pid, (uint64_t)(uintptr_t)m.msg_iov,
		    m.msg_iovlen, parts))
			return false;
		n = m.msg_iovlen;
	}
	return copy_tail(pid, parts, n, tail, size) && is_end(tail);
}

static struct talk *
find_talk(const struct door *d, uint64_t inode)
{
	struct talk *t;

	TAILQ_FOREACH(t, &d->talks, of_door) {
		if (t->inode == inode)
			return t;
	}
	return NULL;
}

static struct talk *
add_talk(struct door *d, uint64_t inode)
{
	struct talk *t = find_talk(d, inode);

	if (t == NULL && (t = calloc(1, sizeof(*t))) != NULL) {
		t->inode = inode;
		TAILQ_INSERT_HEAD(&d->talks, t, of_door);
	}
	return t;
}

/*
 * Some read the end of a request's body, an empty record, only when they want
 * the next request. Is what was read no more than that?
 */
static bool
is_rest(pid_t pid, uint64_t buffer, int64_t n)
{
	uint8_t r[REST_MAX];
	int64_t i;

	if (buffer == 0 || n > REST_MAX || n % HEADER != 0 ||
	    !copy_from(pid, buffer, r, (size_t)n))
		return false;
	for (i = 0; i < n; i += HEADER) {
		if (r[i] != VERSION || r[i + 1] != STDIN_STREAM ||
		    r[i + 4] != 0 || r[i + 5] != 0 || r[i + 6] != 0)
			return false;
	}
	return true;
}

static bool
is_connection(const struct task *t, uint64_t inode)
{
	struct accepted what;

	return inode != 0 && diag_accepted(t->door->pid, &inode, 1,
	    &what) == 1;
}

/* Whatever is read after that is thrown away: libfcgi waits for the end. */
static void
note_shutdown(struct task *t, int how)
{
	uint64_t inode = proc_socket(t->tid, (int)t->argument);
	struct talk *talk = find_talk(t->door, inode);
	struct accepted what;
	bool known = t->door->signalled && inode != 0 &&
	    diag_accepted(t->door->pid, &inode, 1, &what) == 1;

	if (talk == NULL && known)
		talk = add_talk(t->door, inode);
	if (talk == NULL || how == SHUT_RD)
		return;
	talk->shut = true;
	talk->vain = known && !talk->fresh && !what.unsent;
}

/* The socket that a poll waits for; 0: for others, too, or it is no poll. */
static uint64_t
polled(const struct task *t, const uint64_t *args)
{
	bool polls = t->call == SYS_ppoll;
	struct pollfd p;

#ifdef SYS_poll
	polls |= t->call == SYS_poll;
#endif
	return polls && args[1] == 1 &&
	    copy_from(t->tid, args[0], &p, sizeof(p)) ?
	    proc_socket(t->tid, p.fd) : 0;
}

void
served_entry(struct task *t, const struct ptrace_syscall_info *i)
{
	const uint64_t *args = (const uint64_t *)i->entry.args;
	struct transfer *x = &t->transfer;
	bool reads = parse_is_read(t->call);

	*x = (struct transfer){ .writes = parse_is_write(t->call),
	    .polls = polled(t, args) };
	if (t->call == SYS_shutdown)
		note_shutdown(t, (int)args[1]);
	if (!reads && !x->writes)
		return;
	x->inode = proc_socket(t->tid, (int)t->argument);
	if (t->call == SYS_read || t->call == SYS_recvfrom)
		x->buffer = args[1];
	if (x->inode != 0 && x->writes)
		x->ends = writes_end(t->tid, t->call, args, &x->size);
}

void
served_exit(struct task *t, const struct ptrace_syscall_info *i)
{
	const struct transfer x = t->transfer;
	int64_t done = i->exit.rval;
	struct talk *talk;

	t->transfer = (struct transfer){ .inode = 0 };
	if (x.inode == 0 || i->op != PTRACE_SYSCALL_INFO_EXIT || done <= 0)
		return;
	talk = x.ends ? add_talk(t->door, x.inode) :
	    find_talk(t->door, x.inode);
	/* Of a socket that it only reads from no more is to be known. */
	t->door->has_read |= talk == NULL && !x.writes;
	t->door->fresh |= talk == NULL && !x.writes && t->door->signalled;
	if (talk != NULL)
		talk->fresh |= t->door->signalled;
	if (talk == NULL || talk->shut || (!x.writes && talk->ended &&
	    is_rest(t->tid, x.buffer, done)))
		return;
	talk->ended = x.ends && (size_t)done == x.size;
	t->door->answered |= talk->ended;
}

bool
served_all(const struct door *d)
{
	const struct talk *t;

	if (!d->answered)
		return false;
	TAILQ_FOREACH(t, &d->talks, of_door) {
		if (!t->ended)
			return false;
	}
	return true;
}

bool
served_reads(const struct task *t)
{
	uint64_t inode = t->transfer.inode;
	const struct talk *talk = find_talk(t->door, inode);

	if (inode == 0 || t->transfer.writes)
		return false;
	return talk != NULL ? !talk->shut : is_connection(t, inode);
}

static bool
is_empty(const struct task *t)
{
	uint64_t inode = t->transfer.inode;
	struct accepted what;

	return diag_accepted(t->door->pid, &inode, 1, &what) == 1 &&
	    !what.unread;
}

bool
served_is_between(const struct task *t)
{
	const struct talk *talk = find_talk(t->door, t->transfer.inode);

	if (talk != NULL && talk->fresh)
		return talk->ended && is_empty(t);
	return talk != NULL || !t->door->fresh || is_empty(t);
}

/* One that was reset is in no table any more. */
static bool
is_received(const struct task *t, uint64_t inode)
{
	struct accepted what;
	int n = diag_accepted(t->door->pid, &inode, 1, &what);

	return n == 0 || (n == 1 && !what.unread && !what.unsent);
}

/* The connection that it waits on; 0: on all, or none is known. */
static uint64_t
waited_for(const struct task *t)
{
	return parse_is_read(t->call) ? t->transfer.inode : t->transfer.polls;
}

bool
served_is_received(const struct task *t)
{
	const struct talk *talk;

	if (waited_for(t) != 0)
		return is_received(t, waited_for(t));
	TAILQ_FOREACH(talk, &t->door->talks, of_door) {
		if (!is_received(t, talk->inode))
			return false;
	}
	return true;
}

bool
served_lingers(const struct task *t)
{
	const struct talk *talk;

	if (parse_is_read(t->call) || waited_for(t) != 0) {
		talk = find_talk(t->door, waited_for(t));
		return talk != NULL && talk->shut;
	}
	TAILQ_FOREACH(talk, &t->door->talks, of_door) {
		if (!talk->shut)
			return false;
	}
	return !TAILQ_EMPTY(&t->door->talks);
}

bool
served_is_vain(const struct task *t)
{
	const struct talk *talk = find_talk(t->door, waited_for(t));

	return talk != NULL && talk->vain;
}

bool
served_is_over(const struct door *d, uint64_t inode)
{
	const struct talk *t = find_talk(d, inode);

	return t != NULL && t->ended;
}

void
served_forget(struct door *d)
{
	struct talk *t, *next;

	TAILQ_FOREACH_SAFE(t, &d->talks, of_door, next)
		free(t);
	TAILQ_INIT(&d->talks);
}
