/* SPDX-License-Identifier: ISC */
/*
 * Another spawnd takes over from us: our side. Its own is in successor.c. It
 * is a client of root or of whoever started us, and asks on one connection:
 *
 *	plan		what we are, and why we would refuse; gets the listen
 *			socket, to look at it
 *	takeover 1 S P	gets all else that is handed over: the control sockets,
 *			the locks of the directory and of the pidfile, the
 *			manager's socket, and the end of a pipe that closes with
 *			our life. Both pools serve from here on, for S seconds
 *			at most. P is its pid.
 *	commit PID	its pool is ready: we accept no client any more, and the
 *			manager gets its pid
 *	done		the name is its own: we end our workers when their
 *			requests are done, and leave the socket as it is
 *
 * If its connection closes before "done" we take everything back, and go on as
 * if nothing had been. If we die before it, it has all it needs without us.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "config/describe.h"
#include "control/control.h"
#include "control/server.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "pool/pool.h"
#include "privilege/privilege.h"
#include "proto/proto.h"
#include "run/run.h"

#define STOPPING	"the pool is stopping"
#define SECONDS_MAX	(TIMEOUT_MAX + START_SPARE)	/* to be ready */

static const struct plan *plan;
static bool *shown;		/* see env_shown() */
static char *cgroup;
static enum takeover stage;
static pid_t taker;		/* the client, for the log */
static int life[2] = { -1, -1 };

void
takeover_init(const struct plan *p)
{
	char *path = self_cgroup();

	plan = p;
	if (path != NULL)
		cgroup = facts_short(path);
	free(path);
	/* Our environment is scrubbed; the rest can wait until it is asked. */
	shown = env_shown(p);
}

/* Our parent, if it is a service manager that watches us by our pid. */
static bool
parent_follows(char name[END_NAME])
{
	end_name(getppid(), name);
	/* What /proc hides from us is another user's, as systemd is. */
	return sdnotify_socket() != -1 && (name[0] == '\0' ||
	    strcmp(name, "systemd") == 0);
}

/* Why nobody can take over from us, or NULL. */
static const char *
find_refusal(void)
{
	static char why[ERR_SIZE / 2];
	char name[END_NAME];

	if (getpid() == 1)
		return "it is process 1, and the container ends with it "
		    "(replace the container)";
	if (parent_follows(name) || (!plan->conf->foreground &&
	    sdnotify_socket() == -1))
		return NULL;
	snprintf(why, sizeof(why), "it is watched by pid %d (%s), which would "
	    "take the end of this process for the end of the pool (restart it "
	    "there, with a listen socket that is passed in)", (int)getppid(),
	    name[0] != '\0' ? name : "unknown");
	return why;
}

static void
give(struct client *c, const char *key, int fd)
{
	if (fd == -1)
		return;
	proto_number(&c->answer, key, (uint64_t)c->npass);
	c->pass[c->npass++] = fd;
}

void
takeover_plan(struct client *c, const char *word)
{
	struct proto_output *o = &c->answer;
	const char *why = find_refusal();
	struct facts facts;
	size_t i;

	(void)word;
	proto_begin(o, "self");
	proto_text(o, "takeover", TAKEOVER_VERSION);
	proto_text(o, "name", plan->name);
	proto_number(o, "pid", (uint64_t)getpid());
	proto_text(o, "version", SPAWND_VERSION);
	proto_truth(o, "inherited", plan->inherited != -1);
	proto_truth(o, "polls", !listen_is_blocking());
	proto_truth(o, "managed", sdnotify_socket() != -1);
	if (cgroup != NULL)
		proto_text(o, "cgroup", cgroup);
	if (why != NULL)
		proto_text(o, "refuses", why);
	give(c, "listener", STDIN_FILENO);
	proto_end(o);
	if (plan_describe(plan, shown, &facts) == -1) {
		proto_error(o, EX_OSERR, "out of memory");
		return;
	}
	for (i = 0; i < facts.n; i++) {
		proto_begin(o, "fact");
		proto_text(o, "key", facts.list[i].key);
		proto_text(o, "value", facts.list[i].value);
		proto_truth(o, "hidden", facts.list[i].hidden);
		proto_end(o);
	}
	facts_free(&facts);
	proto_done(o);
}

/* Returns why it cannot begin now, or NULL. */
static const char *
find_hindrance(void)
{
	static char why[ERR_SIZE / 2];
	const char *refusal = takeover_refusal();
	pid_t other = neighbour_before();

	if (refusal != NULL)
		return refusal;
	if (draining_is_on())
		return draining_text();
	if (takeover_step() != TAKEOVER_NONE) {
		snprintf(why, sizeof(why), "pid %d is about to take over",
		    (int)taker);
		return why;
	}
	if (other == 0)
		other = neighbour_late();
	/* A third one could not tell the workers of that from its own user. */
	if (other != 0 && !plan->root) {
		snprintf(why, sizeof(why), "pid %d, another spawnd of this "
		    "pool, still ends its requests", (int)other);
		return why;
	}
	return pool_phase(actor_pool()) == PHASE_START ?
	    "the pool is starting" : NULL;
}

/* The pipe that closes with our life; nobody else has its other end. */
static int
begin_life(void)
{
	return life[0] != -1 ? 0 : pipe2(life, O_CLOEXEC);
}

/* A number of its words, or `otherwise` if there is none; -1: it is none. */
static long long
read_more(const struct client *c, int i, long long most, long long otherwise)
{
	const char *why = NULL;
	long long n;

	if (i >= c->nmore)
		return otherwise;
	n = strtonum(c->more[i], 1, most, &why);
	return why != NULL ? -1 : n;
}

void
takeover_begin(struct client *c, const char *word)
{
	struct proto_output *o = &c->answer;
	const char *why;
	long long seconds = read_more(c, 0, SECONDS_MAX,
	    SECONDS_MAX);
	long long pid = read_more(c, 1, INT32_MAX, 0);
	int fds[2];

	if (strcmp(word, TAKEOVER_VERSION) != 0)
		proto_error(o, EX_USAGE, "takeover: only version "
		    TAKEOVER_VERSION " is known");
	else if (seconds == -1 || pid == -1)
		proto_error(o, EX_USAGE, "takeover: not a number of seconds, "
		    "or a pid");
	else if ((why = find_refusal()) != NULL)
		proto_error(o, EX_UNAVAILABLE, why);
	else if ((why = find_hindrance()) != NULL)
		proto_error(o, EX_TEMPFAIL, why);
	else if (begin_life() == -1)
		proto_error(o, EX_OSERR, strerror(errno));
	else {
		rundir_sockets(fds);
		stage = TAKEOVER_GIVEN;
		taker = c->pid;
		c->takes = true;
		c->takes_until = loop_now() + (uint64_t)seconds * USEC;
		neighbour_follows((pid_t)pid);
		proto_begin(o, "passed");
		give(c, "control", fds[0]);
		give(c, "status", fds[1]);
		give(c, "lock", rundir_lock());
		proto_truth(o, "made", rundir_is_made());
		give(c, "life", life[0]);
		give(c, "pidfile", pidfile_descriptor());
		give(c, "named", socketfile_named());
		if (sdnotify_socket() != -1) {
			give(c, "manager", sdnotify_socket());
			proto_number(o, "watchdog", sdnotify_watchdog());
		}
		proto_end(o);
		proto_done(o);
		log_info("take-over: begun by uid %u, pid %d", c->uid,
		    (int)c->pid);
	}
}

void
takeover_commit(struct client *c, const char *word)
{
	const char *why = NULL;
	long long pid = strtonum(word, 1, INT32_MAX, &why);

	if (!c->takes || stage != TAKEOVER_GIVEN || why != NULL) {
		proto_error(&c->answer, EX_USAGE, "commit: follows takeover, "
		    "with a pid");
		return;
	}
	if (actor_stops()) {
		proto_error(&c->answer, EX_TEMPFAIL, STOPPING);
		return;
	}
	stage = TAKEOVER_HELD;
	taker = (pid_t)pid;
	c->commits = true;
	sdnotify_send("MAINPID=%d", (int)pid);
	sdnotify_is_main(false);
	proto_done(&c->answer);
}

/* Our pid is in the files, whoever was there meanwhile. */
static void
name_ours(void)
{
	rundir_name();
	pidfile_name();
}

void
takeover_end(struct client *c, const char *word)
{
	(void)word;
	if (!c->takes || stage != TAKEOVER_HELD) {
		proto_error(&c->answer, EX_USAGE, "done: follows commit");
		return;
	}
	if (actor_stops()) {
		proto_error(&c->answer, EX_TEMPFAIL, STOPPING);
		return;
	}
	/* One that has died or given up meanwhile leaves the pool to us. */
	proto_done(&c->answer);
	if (clients_has_left(c) || !clients_send_all(c)) {
		shutdown(c->fd, SHUT_RDWR);
		return;
	}
	stage = TAKEOVER_GONE;
	c->takes = c->commits = false;
	log_info("take-over: pid %d serves from now on: our workers end when "
	    "their requests are done", (int)taker);
	lifecycle_leave();
}

static bool
is_connected(void)
{
	struct client *c;

	TAILQ_FOREACH(c, clients_list(), entry) {
		if (c->takes)
			return true;
	}
	return false;
}

/* The other has gone: all is ours again. */
static void
take_back(void)
{
	if (stage == TAKEOVER_HELD) {
		sdnotify_is_main(true);
		sdnotify_send("MAINPID=%d", (int)getpid());
		if (actor_stops())
			lifecycle_send_stop();
		name_ours();
	}
	stage = TAKEOVER_NONE;
	neighbour_gave_up();
	if (!actor_stops())
		log_warn("take-over: pid %d has given up: the pool goes on as "
		    "before", (int)taker);
}

/*
 * We stop: nobody takes over any more, nor takes our end for a death. That is
 * the next answer, behind one that is still being sent.
 */
static void
hang_up(void)
{
	struct client *c;

	TAILQ_FOREACH(c, clients_list(), entry) {
		if (!c->takes || clients_has_left(c))
			continue;
		if (c->status == NULL) {
			proto_hello(&c->answer);
			proto_error(&c->answer, EX_TEMPFAIL, STOPPING);
			clients_send_all(c);
		}
		shutdown(c->fd, SHUT_RDWR);
	}
}

const char *
takeover_refusal(void)
{
	static char why[ERR_SIZE / 4];

	if (takeover_step() != TAKEOVER_GONE)
		return actor_stops() ? STOPPING : NULL;
	snprintf(why, sizeof(why), "pid %d has taken over and serves now (ask "
	    "again)", (int)taker);
	return why;
}

bool
takeover_is_done(void)
{
	return stage == TAKEOVER_GONE;
}

enum takeover
takeover_step(void)
{
	if ((stage == TAKEOVER_GIVEN || stage == TAKEOVER_HELD) &&
	    actor_stops())
		hang_up();
	if ((stage == TAKEOVER_GIVEN || stage == TAKEOVER_HELD) &&
	    !is_connected())
		take_back();
	return stage;
}
