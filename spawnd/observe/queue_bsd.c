/* SPDX-License-Identifier: ISC */
/*
 * The listen queue on the BSDs, by kqueue(2). Compiled for them
 * (scripts/bsd-check.sh), and not yet run there.
 */
#include <sys/types.h>
#include <sys/event.h>
#include <sys/socket.h>

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/units.h"
#include "observe/holding.h"
#include "observe/observe.h"
#include "pool/seen.h"

#define COUNT_PAUSE	(USEC / 4)	/* between two counts of all */

static int queue = -1;		/* a kqueue that watches the listen socket */
static bool is_unix;

/* kqueue(2): no child of ours inherits it. */
int
queue_open(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct kevent ev;

	is_unix = getsockname(STDIN_FILENO, (struct sockaddr *)&ss, &len) ==
	    0 && ss.ss_family == AF_UNIX;
	if ((queue = kqueue()) == -1)
		return -1;
	EV_SET(&ev, STDIN_FILENO, EVFILT_READ, EV_ADD, 0, 0, NULL);
	if (kevent(queue, &ev, 1, NULL, 0, NULL) != -1)
		return 0;
	queue_close();
	return -1;
}

void
queue_close(void)
{
	int saved = errno;

	if (queue != -1)
		close(queue);
	queue = -1;
	errno = saved;
}

#ifdef SO_LISTENQLIMIT
static unsigned int
queue_limit(void)
{
	int limit;
	socklen_t len = sizeof(limit);

	return getsockopt(STDIN_FILENO, SOL_SOCKET, SO_LISTENQLIMIT, &limit,
	    &len) == 0 ? (unsigned int)limit : LOAD_UNKNOWN;
}
#else
static unsigned int
queue_limit(void)
{
	return LOAD_UNKNOWN;
}
#endif

/* Of a socket that listens, the data is how many connections can be taken. */
int
observe_queue(unsigned int *depth, unsigned int *limit)
{
	const struct timespec at_once = { 0, 0 };
	struct kevent ev;
	int n;

	if (queue == -1)
		return -1;
	n = kevent(queue, NULL, 0, &ev, 1, &at_once);
	if (n == -1 || (n == 1 && (ev.flags & EV_ERROR) != 0))
		return -1;
	*depth = n == 0 ? 0 : (unsigned int)ev.data;
	*limit = queue_limit();
	return 0;
}

/* Of TCP, nothing shows the handshakes. */
void
observe_waiting(bool half_open, struct queue *q)
{
	unsigned int limit;

	*q = (struct queue){ .known = false };
	if (observe_queue(&q->depth, &limit) == 0)
		q->known = is_unix || !half_open;
}

/* For what is accepted, all processes of our user are looked at. */
void
observe_load(bool busy, struct load *l)
{
	static uint64_t counted;
	uint64_t now = loop_now();
	unsigned int limit;
	struct holding h;

	*l = (struct load)LOAD_UNSEEN;
	if (observe_queue(&l->depth, &limit) == -1)
		return;
	if (l->depth == 0)
		l->waited = 0;
	if (!busy || now - counted < COUNT_PAUSE)
		return;
	counted = now;
	if (holding_find(0, 0, &h) == 0)
		l->busy = h.connections;
}

/* One connection that waits looks like any other. */
uint64_t
observe_mark(void)
{
	unsigned int depth, limit;

	return observe_queue(&depth, &limit) == 0 && depth == 0 ? 0 :
	    MARK_UNKNOWN;
}

enum moved
observe_moved(uint64_t mark)
{
	unsigned int depth, limit;

	if (observe_queue(&depth, &limit) == -1)
		return MOVED_UNKNOWN;
	if (mark == 0)
		return depth == 0 ? MOVED_NO : MOVED_YES;
	return depth == 0 ? MOVED_YES : MOVED_UNKNOWN;
}
