/* SPDX-License-Identifier: ISC */
/* The commands of clients: one table, with the right that each needs. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "control/control.h"
#include "control/server.h"
#include "pool/pool.h"
#include "proto/proto.h"
#include "run/run.h"

#define PROGRESS	(USEC / 10)	/* between two lines of it */
#define REFUSALS	(60 * USEC)	/* between two that are logged */
#define NOT_SECONDS	"not a number of seconds, from 0 to 86400"

_Static_assert(TIMEOUT_MAX == 86400, "as the message says");

struct command {
	const char	*name;
	enum right	 right;		/* that it needs */
	int		 min, max;	/* words behind the name, 0 to 3 */
	void		(*run)(struct client *, const char *word);
	const char	*words;		/* as help shows them */
};

static void
cmd_fail(struct client *c, int status, const char *why)
{
	proto_error(&c->answer, status, why);
}

/* A client that may only read. */
static void
refuse_change(struct client *c, const struct command *cmd)
{
	static uint64_t again;

	if (c->limit.why == NULL) {
		cmd_fail(c, EX_NOPERM, "this socket is for reading (the other "
		    "is called control)");
		return;
	}
	cmd_fail(c, c->limit.status, c->limit.why);
	if (loop_now() < again)
		return;
	again = loop_now() + REFUSALS;
	log_warn("control: %s: refused to pid %d: %s", cmd->name, (int)c->pid,
	    c->limit.why);
}

/* Who asked for a change. */
static void
log_asker(const struct client *c, const char *what)
{
	log_info("%s: asked for by uid %u, pid %d", what, c->uid,
	    (int)c->pid);
}

static void
cmd_ping(struct client *c, const char *word)
{
	const char *fault = status_serves() ? entry_fault() : NULL;

	(void)word;
	if (fault != NULL) {
		proto_begin(&c->answer, "listener");
		proto_truth(&c->answer, "reachable", false);
		proto_end(&c->answer);
		cmd_fail(c, EX_UNAVAILABLE, fault);
	} else if (draining_is_on())
		cmd_fail(c, EX_TEMPFAIL, draining_text());
	else if (status_serves()) {
		proto_begin(&c->answer, "ping");
		proto_text(&c->answer, "state", status_state());
		proto_end(&c->answer);
		proto_done(&c->answer);
	} else if (pool_phase(actor_pool()) == PHASE_START)
		cmd_fail(c, EX_TEMPFAIL, "the pool is starting");
	else if (pool_phase(actor_pool()) == PHASE_UP)
		cmd_fail(c, EX_UNAVAILABLE, "no worker is ready");
	else
		cmd_fail(c, EX_UNAVAILABLE, takeover_refusal());
}

static void
cmd_status(struct client *c, const char *word)
{
	bool private = c->right == CONTROLS && c->limit.why == NULL;
	enum status_depth depth = word == NULL ? STATUS_WORKERS :
	    strcmp(word, "full") == 0 ? STATUS_FULL : STATUS_BRIEF;

	if (depth == STATUS_BRIEF && strcmp(word, "brief") != 0)
		cmd_fail(c, EX_USAGE, "status: only brief or full may follow");
	else if ((c->status = status_begin(depth, private)) == NULL)
		cmd_fail(c, EX_OSERR, "out of memory");
}

static void
cmd_history(struct client *c, const char *word)
{
	(void)word;
	status_write_history(loop_now(), &c->answer);
	proto_done(&c->answer);
}

static void
cmd_load(struct client *c, const char *word)
{
	(void)word;
	if (autoscale_ledger() != NULL)
		ledger_records_write(autoscale_ledger(), &c->answer);
	proto_done(&c->answer);
}

static void
cmd_trace(struct client *c, const char *word)
{
	(void)word;
	trace_records_write(loop_now(), &c->answer);
	proto_done(&c->answer);
}

static bool
refuse_stopping(struct client *c)
{
	const char *why = takeover_refusal();

	if (why != NULL)
		cmd_fail(c, EX_TEMPFAIL, why);
	return why != NULL;
}

static void
cmd_reload(struct client *c, const char *word)
{
	(void)word;
	if (refuse_stopping(c))
		return;
	log_asker(c, "reload");
	c->wait = WAIT_RELOAD;
	c->progress = UINT_MAX;
	lifecycle_reload();
}

static void
cmd_scale(struct client *c, const char *word)
{
	unsigned int min, max, most = pool_max(actor_pool());
	char why[ERR_SIZE];
	struct err e;

	if (refuse_stopping(c))
		return;
	if (proto_range(word, most, &min, &max) == -1) {
		snprintf(why, sizeof(why), "scale: N or N-M, from 0 to %u",
		    most);
		cmd_fail(c, EX_USAGE, why);
		return;
	}
	log_asker(c, "scale");
	if (autoscale_bounds(min, max, &e) == -1) {
		cmd_fail(c, e.status, e.text);
		return;
	}
	proto_begin(&c->answer, "scaled");
	proto_number(&c->answer, "min", min);
	proto_number(&c->answer, "max", max);
	proto_number(&c->answer, "target", pool_target(actor_pool()));
	proto_end(&c->answer);
	proto_done(&c->answer);
}

static unsigned int
count_all(void)
{
	const struct pool *p = actor_pool();

	return pool_slots(p) - pool_count(p, SLOT_EMPTY);
}

static void
put_progress(struct client *c, const char *what, unsigned int n,
    unsigned int of)
{
	c->progress = n;
	proto_begin(&c->answer, "progress");
	proto_number(&c->answer, what, n);
	proto_number(&c->answer, "of", of);
	proto_end(&c->answer);
}

/* Sets *delay. Returns 0, or -1: it is no number of seconds. */
static int
read_delay(const char *word, uint64_t *delay)
{
	const char *why = NULL;
	long long n = strtonum(word, 0, TIMEOUT_MAX, &why);

	*delay = (uint64_t)n * USEC;
	return why != NULL ? -1 : 0;
}

static bool
refuse_draining(struct client *c)
{
	const char *why = draining_hindrance();

	if (refuse_stopping(c))
		return true;
	if (why != NULL)
		cmd_fail(c, EX_TEMPFAIL, why);
	return why != NULL;
}

static void
put_draining(struct client *c)
{
	uint64_t left = draining_left();

	proto_begin(&c->answer, "draining");
	if (left != NEVER)
		proto_time(&c->answer, "stops_in", left);
	proto_end(&c->answer);
}

static void
cmd_drain(struct client *c, const char *word)
{
	uint64_t delay = NEVER;

	if (word != NULL && read_delay(word, &delay) == -1) {
		cmd_fail(c, EX_USAGE, "drain: " NOT_SECONDS);
		return;
	}
	if (refuse_draining(c))
		return;
	log_asker(c, "drain");
	draining_begin(delay);
	put_draining(c);
	proto_done(&c->answer);
}

static void
cmd_resume(struct client *c, const char *word)
{
	struct client *other;

	(void)word;
	if (refuse_stopping(c))
		return;
	log_asker(c, "resume");
	draining_resume();
	proto_done(&c->answer);
	TAILQ_FOREACH(other, clients_list(), entry) {
		if (other->wait != WAIT_STOP)
			continue;
		other->wait = WAIT_NO;
		cmd_fail(other, EX_TEMPFAIL, "the stop was taken back "
		    "(resume)");
		clients_more(other);
	}
}

/* Announces it, and has the client wait for its end. */
static void
stop_later(struct client *c)
{
	uint64_t delay;

	if (c->nmore != 1 || read_delay(c->more[0], &delay) == -1) {
		cmd_fail(c, EX_USAGE, "stop: drain: " NOT_SECONDS);
		return;
	}
	if (refuse_draining(c))
		return;
	log_asker(c, "stop after a drain");
	c->wait = WAIT_STOP;
	c->progress = UINT_MAX;
	draining_begin(delay);
	put_draining(c);
}

static void
cmd_stop(struct client *c, const char *word)
{
	bool now = word != NULL && strcmp(word, "now") == 0;

	if (word != NULL && strcmp(word, "drain") == 0) {
		stop_later(c);
		return;
	}
	if (word != NULL && (!now || c->nmore > 0)) {
		cmd_fail(c, EX_USAGE, "stop: only now or drain may follow");
		return;
	}
	/* It would not be a stop of the pool that has the name. */
	if (takeover_is_done()) {
		refuse_stopping(c);
		return;
	}
	log_asker(c, now ? "stop now" : "stop");
	c->wait = WAIT_STOP;
	c->progress_of = count_all();
	put_progress(c, "left", c->progress_of, c->progress_of);
	/* Only a second signal makes it a fast stop: this client waits. */
	if (now || !actor_stops())
		lifecycle_stop(now);
}

static void
cmd_log_reopen(struct client *c, const char *word)
{
	int fd = c->passed;
	struct err e;

	(void)word;
	c->passed = -1;
	if (fd != -1 && c->uid != 0 && !log_has_name_of(fd)) {
		close(fd);
		cmd_fail(c, EX_NOPERM, "only root may pass another file than "
		    "that of --log");
		return;
	}
	if (fd != -1)
		log_asker(c, "log-reopen of a file that is passed");
	if (log_reopen(fd, &e) == -1)
		cmd_fail(c, e.status, e.text);
	else
		proto_done(&c->answer);
}

static void cmd_help(struct client *, const char *);

static const struct command commands[] = {
	{ "help", READS_ONLY, 0, 0, cmd_help, "" },
	{ "ping", READS_ONLY, 0, 0, cmd_ping, "" },
	{ "status", READS_ONLY, 0, 1, cmd_status, "[brief | full]" },
	{ "history", READS_ONLY, 0, 0, cmd_history, "" },
	{ "load", READS_ONLY, 0, 0, cmd_load, "" },
	{ "trace", READS_ONLY, 0, 0, cmd_trace, "" },
	{ "reload", CONTROLS, 0, 0, cmd_reload, "" },
	{ "scale", CONTROLS, 1, 1, cmd_scale, "N[-M]" },
	{ "drain", CONTROLS, 0, 1, cmd_drain, "[SECONDS]" },
	{ "resume", CONTROLS, 0, 0, cmd_resume, "" },
	{ "stop", CONTROLS, 0, 2, cmd_stop, "[now | drain SECONDS]" },
	{ "log-reopen", CONTROLS, 0, 0, cmd_log_reopen, "" },
	{ "plan", CONTROLS, 0, 0, takeover_plan, "" },
	{ "takeover", CONTROLS, 1, 3, takeover_begin,
	    "VERSION [SECONDS [PID]]" },
	{ "commit", CONTROLS, 1, 1, takeover_commit, "PID" },
	{ "done", CONTROLS, 0, 0, takeover_end, "" },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void
cmd_help(struct client *c, const char *word)
{
	size_t i;

	(void)word;
	for (i = 0; i < NCOMMANDS; i++) {
		if (commands[i].right < c->right)
			continue;
		proto_begin(&c->answer, "command");
		proto_text(&c->answer, "name", commands[i].name);
		if (commands[i].words[0] != '\0')
			proto_text(&c->answer, "words", commands[i].words);
		proto_end(&c->answer);
	}
	proto_done(&c->answer);
}

static const struct command *
command_named(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

void
command_run(struct client *c, char *line)
{
	char *words[PROTO_WORDS];
	int n = proto_words(line, words, PROTO_WORDS);
	const struct command *cmd = n > 0 ? command_named(words[0]) : NULL;

	proto_hello(&c->answer);
	if (cmd == NULL)
		cmd_fail(c, EX_USAGE, "no such command (help lists them)");
	else if (cmd->right < c->right)
		refuse_change(c, cmd);
	else if (n - 1 < cmd->min || n - 1 > cmd->max)
		cmd_fail(c, EX_USAGE, "wrong number of words (help lists "
		    "them)");
	else {
		c->more = words + 2;
		c->nmore = n > 2 ? n - 2 : 0;
		cmd->run(c, n > 1 ? words[1] : NULL);
		c->more = NULL;
		c->nmore = 0;
	}
	clients_answer(c);
}

/* How many workers of the last reload are ready? */
static unsigned int
count_new(void)
{
	const struct pool *p = actor_pool();
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
write_progress(struct client *c, uint64_t now)
{
	bool reload = c->wait == WAIT_RELOAD;
	unsigned int n = reload ? count_new() : count_all();

	c->progress_at = now;
	if (n == c->progress)
		return;
	/* One that waited for the stop begins now. */
	if (c->progress == UINT_MAX && !reload)
		c->progress_of = n;
	put_progress(c, reload ? "new" : "left", n, reload ?
	    pool_target(actor_pool()) : c->progress_of);
	clients_more(c);
}

void
command_progress(void)
{
	uint64_t now = loop_now();
	struct client *c;

	TAILQ_FOREACH(c, clients_list(), entry) {
		if (c->wait == WAIT_NO ||
		    (c->wait == WAIT_STOP && !actor_stops()))
			continue;
		if (c->wait == WAIT_RELOAD && refuse_stopping(c)) {
			c->wait = WAIT_NO;
			clients_more(c);
		} else if (c->sent == c->answer.len &&
		    now - c->progress_at >= PROGRESS)
			write_progress(c, now);
	}
}

void
command_reloaded(bool done)
{
	struct client *c;

	TAILQ_FOREACH(c, clients_list(), entry) {
		if (c->wait != WAIT_RELOAD)
			continue;
		c->wait = WAIT_NO;
		if (done)
			proto_done(&c->answer);
		else
			cmd_fail(c, EX_UNAVAILABLE, "reload: the new "
			    "workers failed, the old ones stay (the log says "
			    "why)");
		clients_more(c);
	}
}
