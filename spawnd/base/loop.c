/* SPDX-License-Identifier: ISC */
/* The event loop. It decides nothing. */
#include <sys/queue.h>

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
#include "base/poller.h"
#include "base/units.h"

#define RETRY_PAUSE	UINT64_C(1000000)	/* usec */

static struct {
	uint64_t	 when;
	void		(*handler)(void);
} timers[NTIMERS];
static void (*on_signal[NSIG])(int);
static volatile sig_atomic_t pending[NSIG];
static int wake[2] = { -1, -1 };
static bool ended;

static TAILQ_HEAD(, loop_watch) watches = TAILQ_HEAD_INITIALIZER(watches);

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
take_signals(void *arg)
{
	char drain[64];
	int signo;

	(void)arg;
	while (read(wake[0], drain, sizeof(drain)) == sizeof(drain))
		continue;
	for (signo = 1; signo < NSIG; signo++) {
		if (pending[signo]) {
			pending[signo] = 0;
			on_signal[signo](signo);
		}
	}
}

int
loop_init(struct err *e)
{
	int t;

	for (t = 0; t < NTIMERS; t++)
		timers[t].when = NEVER;
	if (poller_init() == -1)
		return err_set(e, EX_OSERR, "loop: %s", strerror(errno));
	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) == -1)
		return err_set(e, EX_OSERR, "pipe: %s", strerror(errno));
	if (loop_watch(wake[0], take_signals, NULL) == NULL)
		return err_set(e, EX_OSERR, "loop: %s", strerror(errno));
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
	timers[t].when = when;
	timers[t].handler = handler;
}

static struct loop_watch *
make_watch(int fd, void (*handler)(void *), void *arg)
{
	struct loop_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->fd = fd;
	w->handler = handler;
	w->arg = arg;
	TAILQ_INSERT_TAIL(&watches, w, entry);
	return w;
}

static bool
begin_watch(struct loop_watch *w)
{
	if (!w->on)
		w->on = poller_add(w) == 0;
	return w->on;
}

struct loop_watch *
loop_watch(int fd, void (*handler)(void *), void *arg)
{
	struct loop_watch *w = make_watch(fd, handler, arg);
	int error;

	if (w != NULL && !begin_watch(w)) {
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
	struct loop_watch *w = make_watch(fd, handler, arg);

	if (w != NULL)
		w->writes = true;
	return w;
}

struct loop_watch *
loop_watch_once(int fd, void (*handler)(void *), void *arg)
{
	struct loop_watch *w = make_watch(fd, handler, arg);

	if (w != NULL)
		w->once = true;
	return w;
}

void
loop_pause(struct loop_watch *w)
{
	w->refused = false;
	if (w->on)
		poller_remove(w);
	w->on = false;
}

static void
retry_refused(void)
{
	struct loop_watch *w;

	TAILQ_FOREACH(w, &watches, entry) {
		if (w->refused) {
			w->refused = false;
			loop_resume(w);
		}
	}
}

/* It is refused for lack of memory, or of watches for our user. */
void
loop_resume(struct loop_watch *w)
{
	if (w->refused || begin_watch(w))
		return;
	w->refused = true;
	loop_timer(TIMER_RETRY, loop_now() + RETRY_PAUSE, retry_refused);
}

void
loop_unwatch(struct loop_watch *w)
{
	loop_pause(w);
	TAILQ_REMOVE(&watches, w, entry);
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

static void
call_handler(struct loop_watch *w)
{
	if (w->once)
		loop_pause(w);
	w->handler(w->arg);
}

/* Each at most once, so that none keeps us from the rest. */
static void
run_timers(void)
{
	uint64_t now = loop_now();
	int t;

	for (t = 0; t < NTIMERS && !ended; t++) {
		if (timers[t].when <= now) {
			timers[t].when = NEVER;
			timers[t].handler();
		}
	}
}

static uint64_t
next_timer(void)
{
	uint64_t when = NEVER;
	int t;

	for (t = 0; t < NTIMERS; t++)
		when = min64(when, timers[t].when);
	return when;
}

int
loop_run(void)
{
	struct loop_watch *w;

	while (!ended) {
		w = NULL;
		if (poller_next(next_timer(), &w) == -1 && errno != EINTR)
			return -1;
		if (w != NULL)
			call_handler(w);
		run_timers();
	}
	ended = false;
	return 0;
}

void
loop_end(void)
{
	ended = true;
}
