/* SPDX-License-Identifier: ISC */
/*
 * Events from outside, other than commands: signals, the service manager's
 * watchdog, and a listen socket that another process has shut down.
 */
#include <signal.h>
#include <sysexits.h>

#include "base/base.h"
#include "base/loop.h"
#include "config/config.h"
#include "observe/observe.h"
#include "privilege/privilege.h"
#include "run/supervise.h"

static struct loop_watch *listener_watch;

static void
on_child(int signo)
{
	(void)signo;
	reap_children();
}

static void
on_stop(int signo)
{
	log_info("stop: SIG%s received", signame_name(signo));
	/* A second TERM, and all others, do not wait. */
	if (signo != SIGTERM || !draining_signalled())
		lifecycle_stop(signo == SIGINT);
}

static void
on_reload(int signo)
{
	(void)signo;
	lifecycle_reload();
}

static void
on_scale(int signo)
{
	autoscale_step(signo == SIGTTIN ? 1 : -1);
}

static void
on_status(int signo)
{
	(void)signo;
	report_pool(actor_pool(), loop_now());
}

static void
on_reopen(int signo)
{
	struct err e;

	(void)signo;
	/* EX_USAGE: the log has no file to be opened. */
	if (log_reopen(-1, &e) == -1 && e.status != EX_USAGE)
		log_warn("%s", e.text);
}

/* Any holder can do that, to all of them: a new start makes a new socket. */
static void
on_shut_down(void *arg)
{
	(void)arg;
	loop_pause(listener_watch);
	/*
	 * Before a take-over is done it is the other's socket, and stop: we
	 * look again when it is.
	 */
	if (neighbour_before() != 0 && daemonize_starting())
		return;
	if (!actor_stops())	/* then it was us, or does not matter */
		lifecycle_restart("listen socket: has been shut down by a "
		    "worker or another process that holds it");
}

void
signals_watch_again(void)
{
	if (listener_watch != NULL)
		loop_resume(listener_watch);
}

static int
watch_listener(struct err *e)
{
	int fd = observe_shutdown();

	if (fd == -1)
		return 0;
	listener_watch = loop_watch(fd, on_shut_down, NULL);
	if (listener_watch == NULL)
		return err_set(e, EX_OSERR, "loop: out of memory");
	return 0;
}

/*
 * The loop still turns, which is what the watchdog wants to know, and clients
 * get in. Where they do not, a restart by the service manager is the cure.
 */
static void
on_watchdog(void)
{
	if (!entry_needs_restart())
		sdnotify_send("WATCHDOG=1");
	loop_timer(TIMER_WATCHDOG, loop_now() + sdnotify_watchdog(),
	    on_watchdog);
}

int
signals_init(const struct conf *c, struct err *e)
{
	bool ends = c->stop_by_any;

	if (watch_listener(e) == -1 ||
	    loop_signal(SIGCHLD, on_child, e) == -1 ||
	    loop_signal(SIGTERM, on_stop, e) == -1 ||
	    loop_signal(SIGQUIT, on_stop, e) == -1 ||
	    loop_signal(SIGINT, on_stop, e) == -1 ||
	    loop_signal(SIGHUP, ends ? on_stop : on_reload, e) == -1 ||
	    loop_signal(SIGUSR1, ends ? on_stop : on_reopen, e) == -1 ||
	    loop_signal(SIGUSR2, on_status, e) == -1 ||
	    loop_signal(SIGTTIN, on_scale, e) == -1 ||
	    loop_signal(SIGTTOU, on_scale, e) == -1)
		return -1;
	if (sdnotify_watchdog() != 0)
		on_watchdog();
	return 0;
}
