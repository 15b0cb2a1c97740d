/* SPDX-License-Identifier: ISC */
/* The event loop. It decides nothing. */
#include <sys/queue.h>

#include <event2/event.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"

#define RETRY_PAUSE	UINT64_C(1000000)	/* usec */

static struct event_base *base;
static struct event *waker;
static struct {
	struct event	*event;
	uint64_t	 when;
	void		(*handler)(void);
} timers[NTIMERS];			/* no events before loop_init() */
static void (*on_signal[NSIG])(int);
static volatile sig_atomic_t pending[NSIG];
static int wake[2] = { -1, -1 };

void
loop_again(int signo)
{
	ssize_t r;

	pending[signo] = 1;
	/* If the pipe is full, the loop wakes anyway. */
	r = write(wake[1], "", 1);
	(void)r;
}

/*
 * May run at any moment: notes the signal and wakes the loop. TTIN and TTOU
 * count only if a process sent them, not if the terminal's driver did.
 */
static void
catch_signal(int signo, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	if ((signo == SIGTTIN || signo == SIGTTOU) &&
	    info->si_code != SI_USER && info->si_code != SI_QUEUE)
		return;
	loop_again(signo);
	errno = saved;
}

static void
take_signals(evutil_socket_t fd, short what, void *arg)
{
	char drain[64];
	int signo;

	(void)what;
	(void)arg;
	while (read(fd, drain, sizeof(drain)) == sizeof(drain))
		continue;
	for (signo = 1; signo < NSIG; signo++) {
		if (pending[signo]) {
			pending[signo] = 0;
			on_signal[signo](signo);
		}
	}
}

static void
take_timer(evutil_socket_t fd, short what, void *arg)
{
	enum loop_timer t = (enum loop_timer)(uintptr_t)arg;

	(void)fd;
	(void)what;
	timers[t].when = NEVER;
	timers[t].handler();
}

struct loop_watch {
	struct event	*event;
	void		(*handler)(void *);
	void		*arg;
	bool		 failed;	/* the kernel refused to watch it */
	TAILQ_ENTRY(loop_watch) entry;
};

/* Refused for lack of memory, or of watches for our user. */
static TAILQ_HEAD(, loop_watch) failed = TAILQ_HEAD_INITIALIZER(failed);

static void
take_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *w = arg;

	(void)fd;
	(void)what;
	w->handler(w->arg);
}

int
loop_init(struct err *e)
{
	struct event_config *config = event_config_new();
	uintptr_t t;

	if (config == NULL)
		return err_set(e, EX_OSERR, "loop: out of memory");
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
	event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME);
	/* Without it a deadline of 1 ms is met after 4, and three wake-ups. */
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(config);
	event_config_free(config);
	if (base == NULL)
		return err_set(e, EX_OSERR, "loop: cannot be created");
	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) == -1)
		return err_set(e, EX_OSERR, "pipe: %s", strerror(errno));
	for (t = 0; t < NTIMERS; t++) {
		timers[t].when = NEVER;
		timers[t].event = event_new(base, -1, 0, take_timer,
		    (void *)t);
		if (timers[t].event == NULL)
			return err_set(e, EX_OSERR, "loop: out of memory");
	}
	waker = event_new(base, wake[0], EV_READ | EV_PERSIST, take_signals,
	    NULL);
	if (waker == NULL || event_add(waker, NULL) == -1)
		return err_set(e, EX_OSERR, "loop: out of memory");
	return 0;
}

void
loop_block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

void
loop_unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int
loop_signal(int signo, void (*handler)(int), struct err *e)
{
	struct sigaction sa = { .sa_sigaction = catch_signal,
	    .sa_flags = SA_RESTART | SA_SIGINFO };

	on_signal[signo] = handler;
	sigfillset(&sa.sa_mask);
	if (sigaction(signo, &sa, NULL) == -1)
		return err_set(e, EX_OSERR, "sigaction: %s",
		    strerror(errno));
	return 0;
}

void
loop_timer(enum loop_timer t, uint64_t when, void (*handler)(void))
{
	uint64_t now, pause;
	struct timeval tv;

	if (timers[t].event == NULL || when == timers[t].when)
		return;
	timers[t].when = when;
	timers[t].handler = handler;
	if (when == NEVER) {
		event_del(timers[t].event);
		return;
	}
	now = loop_now();
	pause = when > now ? when - now : 0;
	tv.tv_sec = (time_t)(pause / USEC);
	tv.tv_usec = (suseconds_t)(pause % USEC);
	if (event_add(timers[t].event, &tv) == -1)
		timers[t].when = NEVER;	/* so that it can be set again */
}

static struct loop_watch *
make_watch(int fd, short what, void (*handler)(void *), void *arg)
{
	struct loop_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->handler = handler;
	w->arg = arg;
	w->event = event_new(base, fd, what, take_ready, w);
	if (w->event == NULL) {
		free(w);
		errno = ENOMEM;
		return NULL;
	}
	return w;
}

struct loop_watch *
loop_watch(int fd, void (*handler)(void *), void *arg)
{
	struct loop_watch *w = make_watch(fd, EV_READ | EV_PERSIST, handler,
	    arg);
	int error;

	if (w != NULL && event_add(w->event, NULL) == -1) {
		error = errno;
		loop_unwatch(w);
		errno = error;
		return NULL;
	}
	return w;
}

struct loop_watch *
loop_watch_write(int fd, void (*handler)(void *), void *arg)
{
	return make_watch(fd, EV_WRITE | EV_PERSIST, handler, arg);
}

struct loop_watch *
loop_watch_once(int fd, void (*handler)(void *), void *arg)
{
	return make_watch(fd, EV_READ, handler, arg);
}

static void
forget_failed(struct loop_watch *w)
{
	if (w->failed)
		TAILQ_REMOVE(&failed, w, entry);
	w->failed = false;
}

void
loop_pause(struct loop_watch *w)
{
	forget_failed(w);
	event_del(w->event);
}

static void
retry_failed(void)
{
	struct loop_watch *w, *next;

	TAILQ_FOREACH_SAFE(w, &failed, entry, next) {
		if (event_add(w->event, NULL) == 0)
			forget_failed(w);
	}
	if (!TAILQ_EMPTY(&failed))
		loop_timer(TIMER_RETRY, loop_now() + RETRY_PAUSE, retry_failed);
}

void
loop_resume(struct loop_watch *w)
{
	if (w->failed || event_add(w->event, NULL) == 0)
		return;
	w->failed = true;
	TAILQ_INSERT_TAIL(&failed, w, entry);
	loop_timer(TIMER_RETRY, loop_now() + RETRY_PAUSE, retry_failed);
}

void
loop_unwatch(struct loop_watch *w)
{
	forget_failed(w);
	if (w->event != NULL)
		event_free(w->event);
	free(w);
}

static uint64_t
clock_usec(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * USEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t
loop_now(void)
{
	return clock_usec(CLOCK_MONOTONIC);
}

uint64_t
loop_cpu(void)
{
	return clock_usec(CLOCK_PROCESS_CPUTIME_ID);
}

int
loop_run(void)
{
	return event_base_dispatch(base) == -1 ? -1 : 0;
}

void
loop_end(void)
{
	event_base_loopbreak(base);
}
