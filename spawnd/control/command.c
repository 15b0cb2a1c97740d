/* SPDX-License-Identifier: ISC */
/* What clients may ask for: one table, with the right that each needs. */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "control/control.h"
#include "control/server.h"
#include "pool/pool.h"
#include "proto/proto.h"
#include "run/run.h"

#define PROGRESS	(USEC / 10)	/* between two lines of it */

struct command {
	const char	*name;
	enum right	 right;		/* the least */
	int		 min, max;	/* words behind the name */
	void		(*run)(struct client *, int, char **);
	const char	*words;		/* and what they are */
};

static void
fail(struct client *c, int status, const char *why)
{
	proto_error(&c->answer, status, why);
}

/* What changes something says who wanted it. */
static void
say(const struct client *c, const char *what)
{
	log_info("%s: asked for by uid %u, pid %d", what, c->uid,
	    (int)c->pid);
}

static void
run_ping(struct client *c, int n, char **words)
{
	(void)n;
	(void)words;
	if (status_serves()) {
		proto_begin(&c->answer, "ping");
		proto_text(&c->answer, "state", status_state());
		proto_end(&c->answer);
		proto_done(&c->answer);
	} else if (pool_phase(supervise_pool()) == PHASE_START)
		fail(c, EX_TEMPFAIL, "the pool is starting");
	else if (pool_phase(supervise_pool()) == PHASE_UP)
		fail(c, EX_UNAVAILABLE, "no worker is ready");
	else
		fail(c, EX_UNAVAILABLE, "the pool is stopping");
}

static void
run_status(struct client *c, int n, char **words)
{
	if (n == 1 && strcmp(words[0], "full") != 0)
		fail(c, EX_USAGE, "status: only full may follow");
	else if ((c->status = status_begin(n == 1)) == NULL)
		fail(c, EX_OSERR, "out of memory");
}

static void
run_history(struct client *c, int n, char **words)
{
	(void)n;
	(void)words;
	status_write_history(loop_now(), &c->answer);
	proto_done(&c->answer);
}

static void
run_trace(struct client *c, int n, char **words)
{
	(void)n;
	(void)words;
	trace_records_write(loop_now(), &c->answer);
	proto_done(&c->answer);
}

static bool
refuse_stopping(struct client *c)
{
	if (pool_phase(supervise_pool()) < PHASE_STOP)
		return false;
	fail(c, EX_TEMPFAIL, "the pool is stopping");
	return true;
}

static void
run_reload(struct client *c, int n, char **words)
{
	(void)n;
	(void)words;
	if (refuse_stopping(c))
		return;
	say(c, "reload");
	c->wait = WAIT_RELOAD;
	c->told = UINT_MAX;
	supervise_reload();
}

static void
run_scale(struct client *c, int n, char **words)
{
	unsigned int min, max, most = pool_max(supervise_pool());
	char why[ERR_SIZE];
	struct err e;

	(void)n;
	if (refuse_stopping(c))
		return;
	if (proto_range(words[0], most, &min, &max) == -1) {
		snprintf(why, sizeof(why), "scale: N or N-M, from 0 to %u",
		    most);
		fail(c, EX_USAGE, why);
		return;
	}
	say(c, "scale");
	if (adapt_bounds(min, max, &e) == -1) {
		fail(c, e.status, e.text);
		return;
	}
	proto_begin(&c->answer, "scaled");
	proto_number(&c->answer, "min", min);
	proto_number(&c->answer, "max", max);
	proto_number(&c->answer, "target", pool_target(supervise_pool()));
	proto_end(&c->answer);
	proto_done(&c->answer);
}

static void
run_stop(struct client *c, int n, char **words)
{
	if (n == 1 && strcmp(words[0], "now") != 0) {
		fail(c, EX_USAGE, "stop: only now may follow");
		return;
	}
	say(c, n == 1 ? "stop now" : "stop");
	c->wait = WAIT_STOP;
	c->told = UINT_MAX;
	/* Who comes second waits along; only signals count. */
	if (n == 1 || pool_phase(supervise_pool()) < PHASE_STOP)
		supervise_stop(n == 1);
}

static void
run_log_reopen(struct client *c, int n, char **words)
{
	int fd = c->passed;
	struct err e;

	(void)n;
	(void)words;
	c->passed = -1;
	if (log_reopen(fd, &e) == -1)
		fail(c, e.status, e.text);
	else
		proto_done(&c->answer);
}

static void run_help(struct client *, int, char **);

static const struct command table[] = {
	{ "help", READS_ONLY, 0, 0, run_help, "" },
	{ "ping", READS_ONLY, 0, 0, run_ping, "" },
	{ "status", READS_ONLY, 0, 1, run_status, "[full]" },
	{ "history", READS_ONLY, 0, 0, run_history, "" },
	{ "trace", READS_ONLY, 0, 0, run_trace, "" },
	{ "reload", CONTROLS, 0, 0, run_reload, "" },
	{ "scale", CONTROLS, 1, 1, run_scale, "N[-M]" },
	{ "stop", CONTROLS, 0, 1, run_stop, "[now]" },
	{ "log-reopen", CONTROLS, 0, 0, run_log_reopen, "" },
};

#define NCOMMANDS	(sizeof(table) / sizeof(table[0]))

static void
run_help(struct client *c, int n, char **words)
{
	size_t i;

	(void)n;
	(void)words;
	for (i = 0; i < NCOMMANDS; i++) {
		if (table[i].right < c->right)
			continue;
		proto_begin(&c->answer, "command");
		proto_text(&c->answer, "name", table[i].name);
		if (table[i].words[0] != '\0')
			proto_text(&c->answer, "words", table[i].words);
		proto_end(&c->answer);
	}
	proto_done(&c->answer);
}

static const struct command *
find(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++) {
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	}
	return NULL;
}

void
command_run(struct client *c, char *line)
{
	char *words[PROTO_WORDS];
	int n = proto_words(line, words, PROTO_WORDS);
	const struct command *cmd = n > 0 ? find(words[0]) : NULL;

	proto_hello(&c->answer);
	if (cmd == NULL)
		fail(c, EX_USAGE, "no such command (help lists them)");
	else if (cmd->right < c->right)
		fail(c, EX_NOPERM, "this socket is for reading (the other is "
		    "called control)");
	else if (n - 1 < cmd->min || n - 1 > cmd->max)
		fail(c, EX_USAGE, "wrong number of words (help lists them)");
	else
		cmd->run(c, n - 1, words + 1);
	control_answer(c);
}

bool
command_left(const struct client *c)
{
	struct pollfd pfd = { .fd = c->fd };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR));
}

/* How many workers are there that the last reload has started? */
static unsigned int
count_new(void)
{
	const struct pool *p = supervise_pool();
	unsigned int i, n = 0, generation = 0;
	struct pool_worker w;

	for (i = 0; i < pool_slots(p); i++) {
		if (!pool_worker(p, i, &w) || w.orphan)
			continue;
		if (w.generation > generation) {
			generation = w.generation;
			n = 0;
		}
		n += w.generation == generation && w.state == SLOT_READY;
	}
	return n;
}

static void
tell(struct client *c, uint64_t now)
{
	const struct pool *p = supervise_pool();
	unsigned int n = c->wait == WAIT_RELOAD ? count_new() :
	    pool_slots(p) - pool_count(p, SLOT_EMPTY);

	c->told_at = now;
	if (n == c->told)
		return;
	c->told = n;
	proto_begin(&c->answer, "progress");
	proto_number(&c->answer, c->wait == WAIT_RELOAD ? "new" : "left", n);
	if (c->wait == WAIT_RELOAD)
		proto_number(&c->answer, "of", pool_target(p));
	proto_end(&c->answer);
	control_more(c);
}

void
command_progress(void)
{
	bool over = pool_phase(supervise_pool()) >= PHASE_STOP;
	uint64_t now = loop_now();
	struct client *c;

	TAILQ_FOREACH(c, control_clients(), entry) {
		if (c->wait == WAIT_NO)
			continue;
		if (c->wait == WAIT_RELOAD && over) {
			c->wait = WAIT_NO;
			fail(c, EX_TEMPFAIL, "reload: the pool is stopping");
			control_more(c);
		} else if (c->sent == c->answer.len &&
		    now - c->told_at >= PROGRESS)
			tell(c, now);
	}
}

void
command_reloaded(bool done)
{
	struct client *c;

	TAILQ_FOREACH(c, control_clients(), entry) {
		if (c->wait != WAIT_RELOAD)
			continue;
		c->wait = WAIT_NO;
		if (done)
			proto_done(&c->answer);
		else
			fail(c, EX_UNAVAILABLE, "reload: the new workers "
			    "failed, the old ones stay (the log says why)");
		control_more(c);
	}
}
