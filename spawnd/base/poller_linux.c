/* SPDX-License-Identifier: ISC */
/*
 * Waiting by epoll(7), which has a cost for what is ready alone. Its own
 * time-outs are of milliseconds, or late by a thousandth: a timer descriptor is
 * exact.
 */
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <stddef.h>
#include <time.h>

#include "base/poller.h"
#include "base/units.h"

static int set = -1;		/* the epoll */
static int timer = -1;		/* among what it watches */
static uint64_t timer_at = NEVER;

int
poller_init(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

	set = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (set == -1 || timer == -1)
		return -1;
	return epoll_ctl(set, EPOLL_CTL_ADD, timer, &ev);
}

int
poller_add(struct loop_watch *w)
{
	struct epoll_event ev = { .events = w->writes ? EPOLLOUT : EPOLLIN,
	    .data.ptr = w };

	return epoll_ctl(set, EPOLL_CTL_ADD, w->fd, &ev);
}

void
poller_remove(struct loop_watch *w)
{
	epoll_ctl(set, EPOLL_CTL_DEL, w->fd, NULL);
}

/* Until it is set again it stays ready: nobody has to read it. */
static int
set_timer_at(uint64_t when)
{
	struct itimerspec t = { 0 };

	if (when == timer_at)
		return 0;
	if (when != NEVER) {
		t.it_value.tv_sec = (time_t)(when / USEC);
		t.it_value.tv_nsec = when == 0 ? 1 :	/* 0: never */
		    (long)(when % USEC * 1000);
	}
	timer_at = when;
	return timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/*
 * One at a time: what its handler removes cannot be among others that were
 * taken with it. The kernel hands them out in turn.
 */
int
poller_next(uint64_t when, struct loop_watch **w)
{
	struct epoll_event ev;

	if (set_timer_at(when) == -1 || epoll_wait(set, &ev, 1, -1) == -1)
		return -1;
	if (ev.data.ptr != NULL)
		*w = ev.data.ptr;
	return 0;
}
