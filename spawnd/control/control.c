/* SPDX-License-Identifier: ISC */
/*
 * The sockets: connections are accepted, commands read and answers written.
 * The work for all clients that only read, however small each piece of it is,
 * takes a small share of the time.
 */
#include <sys/socket.h>

#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "control/control.h"
#include "control/server.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "proto/proto.h"
#include "run/history.h"
#include "run/run.h"

#define ACCEPTS		16		/* in one turn of the loop */
#define TURN		20		/* usec of cpu, the loop itself, each */

static struct listener {
	int		 fd;
	struct loop_watch *watch;
	uint64_t	 pause;		/* accepts none until then; NEVER */
	enum right	 charged;	/* whose budget its last turn used */
} listeners[] = {
	[CONTROLS] = { .fd = -1, .pause = NEVER },
	[READS_ONLY] = { .fd = -1, .pause = NEVER, .charged = READS_ONLY },
};

#define NLISTENERS	(sizeof(listeners) / sizeof(listeners[0]))

static bool borrowed;		/* the sockets are another spawnd's yet */

/* Must it wait until there is a budget again? */
static bool
is_over_budget(enum right right)
{
	return right == READS_ONLY && !budget_fill(loop_now());
}

/* Charges the cpu that was used since `before` to the budget. */
static void
charge(enum right right, uint64_t before)
{
	if (right == READS_ONLY)
		budget_spend(loop_cpu() - before + TURN);
}

static void on_timer(void);

/* Clients are accepted as long as the sockets are ours alone, or ours still. */
static void
follow_takeover(void)
{
	static enum takeover was;
	enum takeover now = takeover_step();
	size_t i;

	if (now == was)
		return;
	was = now;
	for (i = 0; i < NLISTENERS; i++) {
		struct listener *l = &listeners[i];

		if (l->watch == NULL)
			continue;
		if (now != TAKEOVER_HELD && now != TAKEOVER_GONE)
			loop_resume(l->watch);
		else
			loop_pause(l->watch);
		l->pause = NEVER;
	}
}

static void
set_timer(void)
{
	uint64_t now = loop_now(), when = NEVER;
	struct client *c;
	size_t i;

	follow_takeover();
	TAILQ_FOREACH(c, clients_list(), entry)
		when = min64(when, c->throttled ? budget_time(now) :
		    clients_deadline(c));
	for (i = 0; i < NLISTENERS; i++)
		when = min64(when, listeners[i].pause);
	loop_timer(TIMER_CONTROL, when, on_timer);
}

static void
on_timer(void)
{
	struct client *c, *next;
	uint64_t now = loop_now();
	bool enough = budget_fill(now);
	size_t i;

	TAILQ_FOREACH_SAFE(c, clients_list(), entry, next) {
		if (c->throttled && enough) {
			c->throttled = false;
			c->began += now - c->since;
			c->since = now;
			loop_resume(c->answering ? c->out : c->in);
		} else if (now >= clients_deadline(c))
			clients_drop(c);
	}
	for (i = 0; i < NLISTENERS; i++) {
		if (now < listeners[i].pause)
			continue;
		listeners[i].pause = NEVER;
		loop_resume(listeners[i].watch);
	}
	set_timer();
}

/* Makes a client wait for the budget. Returns false if it may go on. */
static bool
throttle(struct client *c, struct loop_watch *w)
{
	if (!is_over_budget(c->right))
		return false;
	c->throttled = true;
	c->since = loop_now();
	loop_pause(w);
	set_timer();
	return true;
}

static void
on_input(void *arg)
{
	struct client *c = arg;
	enum right right = c->right;
	uint64_t before = loop_cpu();

	if (throttle(c, c->in))
		return;
	if (!dialog_read(c))
		clients_drop(c);
	charge(right, before);
	set_timer();
}

static void
on_output(void *arg)
{
	struct client *c = arg;
	enum right right = c->right;
	uint64_t before = loop_cpu();

	if (throttle(c, c->out))
		return;
	if (!dialog_write(c))
		clients_drop(c);
	charge(right, before);
	set_timer();
}

/* Takes a connection in, or refuses it. Returns whose budget pays for it. */
static enum right
admit(int fd, enum right right)
{
	struct client *c;
	struct restriction l;
	uid_t uid;

	switch (admission_decide(fd, right, &uid, &l)) {
	case ADMITTED_NO:
		admission_refuse(fd);
		return READS_ONLY;
	case ADMITTED_READS:
		right = READS_ONLY;
		break;
	case ADMITTED_WHOLE:
		break;
	}
	if ((c = clients_add(fd, uid, right)) == NULL) {
		admission_refuse(fd);
		return right;
	}
	c->limit = l;
	c->in = loop_watch(fd, on_input, c);
	c->out = loop_watch_write(fd, on_output, c);
	if (c->in == NULL || c->out == NULL)
		clients_drop(c);
	return right;
}

/*
 * Peers that may only read use the budget of readers, on either socket. On the
 * control socket they can delay the others only by the cost of the last turn.
 */
static void
on_connect(void *arg)
{
	struct listener *l = arg;
	enum right right = (enum right)(l - listeners);
	uint64_t before = loop_cpu();
	int fd, i;

	if (is_over_budget(l->charged)) {
		loop_pause(l->watch);
		l->pause = budget_time(loop_now());
	}
	l->charged = right;
	for (i = 0; i < ACCEPTS && l->pause == NEVER; i++) {
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1 && (errno == EMFILE || errno == ENFILE ||
		    errno == ENOBUFS || errno == ENOMEM)) {
			loop_pause(l->watch);
			l->pause = loop_now() + CONTROL_PAUSE;
		}
		if (fd == -1)
			break;
		if (admit(fd, right) == READS_ONLY)
			l->charged = READS_ONLY;
	}
	charge(l->charged, before);
	set_timer();
}

static int
make_sockets(const struct plan *p, struct err *e)
{
	mode_t mode = p->status_gid != (gid_t)-1 ? 0660 : 0600;

	listeners[CONTROLS].fd = rundir_socket("control", 0600, (gid_t)-1, e);
	if (listeners[CONTROLS].fd == -1)
		return -1;
	listeners[READS_ONLY].fd = rundir_socket("status", mode,
	    p->status_gid, e);
	return listeners[READS_ONLY].fd == -1 ? -1 : 0;
}

/* Those that another spawnd has passed, in its directory. */
static int
open_borrowed(struct plan *p, struct err *e)
{
	int fds[2];

	if (rundir_open(p, e) == -1) {
		control_close();
		return -1;
	}
	rundir_sockets(fds);
	listeners[CONTROLS].fd = fds[0];
	listeners[READS_ONLY].fd = fds[1];
	return 0;
}

int
control_open(struct plan *p, struct err *e)
{
	bool asked = p->control_own;

	admission_init();
	if (borrowed)
		return open_borrowed(p, e);
	if (rundir_open(p, e) == 0 && make_sockets(p, e) == 0) {
		rundir_done(p);
		return 0;
	}
	control_close();
	if (e->status == 0)
		return 0;
	/* A name that was asked for must not be replaced, either. */
	if (asked || p->conf->name != NULL)
		return -1;
	log_warn("%s (no control sockets%s)", e->text, OPT_HINT(p->conf,
	    control, "; --control names another place"));
	return 0;
}

static int
watch_listeners(struct err *e)
{
	size_t i;

	for (i = 0; i < NLISTENERS; i++) {
		struct listener *l = &listeners[i];

		if (l->fd == -1)
			continue;
		if ((l->watch = loop_watch(l->fd, on_connect, l)) == NULL)
			return err_set(e, EX_OSERR, "loop: out of memory");
	}
	return 0;
}

int
control_start(struct err *e)
{
	return borrowed ? 0 : watch_listeners(e);
}

void
control_borrow(void)
{
	borrowed = true;
}

int
control_adopt(struct err *e)
{
	borrowed = false;
	rundir_name();
	return watch_listeners(e);
}

void
control_disown(pid_t pid)
{
	size_t i;

	borrowed = true;
	rundir_give_back(pid);
	for (i = 0; i < NLISTENERS; i++) {
		listeners[i].pause = NEVER;
		if (listeners[i].watch != NULL)
			loop_pause(listeners[i].watch);
	}
}

void
control_changed(void)
{
	history_workers(loop_now(), pool_count(actor_pool(), SLOT_READY));
	if (TAILQ_EMPTY(clients_list()) || dialog_is_running())
		return;
	command_progress();
	set_timer();
}

void
control_notice(const struct pool_notice *n)
{
	if (n->what == NOTICE_RELOADED || n->what == NOTICE_RELOAD_FAILED)
		command_reloaded(n->what == NOTICE_RELOADED);
}

void
control_close(void)
{
	struct client *c;
	size_t i;

	for (i = 0; i < NLISTENERS; i++) {
		if (listeners[i].watch != NULL)
			loop_unwatch(listeners[i].watch);
		if (listeners[i].fd != -1)
			close(listeners[i].fd);
		listeners[i].watch = NULL;
		listeners[i].fd = -1;
	}
	if (borrowed || takeover_step() == TAKEOVER_GONE)
		rundir_leave();
	else
		rundir_remove();
	/* Whoever waits for the end may start the next one at once. */
	while ((c = TAILQ_FIRST(clients_list())) != NULL) {
		if (c->wait == WAIT_STOP) {
			if (lifecycle_left() > 0)
				proto_error(&c->answer, EX_UNAVAILABLE, "stop: "
				    "processes are left that could not be "
				    "ended (the log says how many)");
			else
				proto_done(&c->answer);
			send(c->fd, c->answer.buf + c->sent,
			    c->answer.len - c->sent, MSG_NOSIGNAL |
			    MSG_DONTWAIT);
		}
		clients_drop(c);
	}
}
