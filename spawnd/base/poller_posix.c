/* SPDX-License-Identifier: ISC */
/* Waiting by ppoll(2), which all systems have, with microseconds. */
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "base/loop.h"
#include "base/poller.h"
#include "base/units.h"

static struct pollfd *fds;
static struct loop_watch **watches;	/* of each of them */
static nfds_t nfds, room;
static nfds_t at;			/* those before have had their turn */

int
poller_init(void)
{
	return 0;
}

static int
make_room(void)
{
	nfds_t more = room + 64;
	void *p;

	if ((p = reallocarray(fds, more, sizeof(*fds))) == NULL)
		return -1;
	fds = p;
	if ((p = reallocarray(watches, more, sizeof(struct loop_watch *))) ==
	    NULL)
		return -1;
	watches = p;
	room = more;
	return 0;
}

int
poller_add(struct loop_watch *w)
{
	if (nfds == room && make_room() == -1)
		return -1;
	fds[nfds] = (struct pollfd){ .fd = w->fd,
	    .events = w->writes ? POLLOUT : POLLIN };
	watches[nfds++] = w;
	return 0;
}

/* The last takes its place, and may miss its turn by that. */
void
poller_remove(struct loop_watch *w)
{
	nfds_t i = 0;

	while (watches[i] != w)
		i++;
	nfds--;
	fds[i] = fds[nfds];
	watches[i] = watches[nfds];
}

static int
poll_until(uint64_t when)
{
	uint64_t now = loop_now(), pause = when > now ? when - now : 0;
	struct timespec ts = { .tv_sec = (time_t)(pause / USEC),
	    .tv_nsec = (long)(pause % USEC * 1000) };

	return ppoll(fds, nfds, when == NEVER ? NULL : &ts, NULL);
}

int
poller_next(uint64_t when, struct loop_watch **w)
{
	int n;

	for (;;) {
		for (; at < nfds; at++) {
			if (fds[at].revents != 0) {
				*w = watches[at++];
				return 0;
			}
		}
		if ((n = poll_until(when)) <= 0)
			return n;
		at = 0;
	}
}
