/* SPDX-License-Identifier: ISC */
/* spawnctl: shows and controls pools through their control sockets. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "client/client.h"
#include "ctl/ctl.h"
#include "proto/proto.h"

#define READY_PAUSE	50		/* ms between two looks of wait-ready */

enum status_form { TABLE, JSON, OPENMETRICS, FPM };

/* What the command line asks for. */
static struct {
	const char	*self;		/* as we were called */
	const char	*pool;
	enum status_form form;
	const char	*fpm;
	bool		 full;
	bool		 now;
	const char	*drain;		/* seconds before a stop */
	bool		 all;
	char		**words;	/* behind the command */
	int		 nwords;
} opt;

struct command {
	const char	*name;
	int		 min, max;	/* words behind it */
	bool		 read;		/* the socket for reading will do */
	bool		 status;	/* it takes the options of status */
	int		(*run)(struct conn *, struct err *);
	const char	*help;
};

static int
ctl_status(struct conn *t, struct err *e)
{
	struct reply a = { NULL, 0 };
	int r;

	r = conn_ask(t, opt.full ? "status full" : "status", &a, e);
	if (r == 0 && opt.form == JSON)
		r = conn_ask(t, "history", &a, e);
	if (r == 0) {
		switch (opt.form) {
		case TABLE:
			r = writer_table(stdout, &a, e);
			break;
		case JSON:
			r = writer_json(stdout, &a, e);
			break;
		case OPENMETRICS:
			r = writer_openmetrics(stdout, &a, opt.full, e);
			break;
		case FPM:
			r = writer_fpm(stdout, &a, opt.fpm, opt.full, e);
			break;
		}
	}
	reply_free(&a);
	return r;
}

static int
ctl_advise(struct conn *t, struct err *e)
{
	return diagnose_size(t, opt.form == JSON, e);
}

/* Sends a command whose answer has nothing to show. */
static int
ask_only(struct conn *t, const char *command, struct err *e)
{
	struct reply a = { NULL, 0 };
	int r = conn_ask(t, command, &a, e);

	reply_free(&a);
	return r;
}

/* *cut_off: the pool is up, but clients cannot get to it. No wait helps. */
static int
ask_ping(struct conn *t, bool *cut_off, struct err *e)
{
	struct reply a = { NULL, 0 };
	int r = conn_ask(t, "ping", &a, e);

	*cut_off = r == -1 && reply_find(&a, "listener")->n > 0;
	reply_free(&a);
	return r;
}

static int
ctl_ping(struct conn *t, struct err *e)
{
	bool cut_off;

	return ask_ping(t, &cut_off, e);
}

/* Shows progress on standard error, on a terminal in one line. */
static void
show_progress(const struct proto_record *r)
{
	char text[SHOW_SIZE];
	bool tty = isatty(STDERR_FILENO);
	bool left = proto_get(r, "left") != NULL;

	if (strcmp(r->kind, "draining") == 0)
		fprintf(stderr, "%sdraining for %s s%s", tty ? "\r\033[K" :
		    "", reply_show(r, "stops_in", text), tty ? "" : "\n");
	if (strcmp(r->kind, "progress") != 0)
		return;
	fprintf(stderr, "%s%s of ", tty ? "\r\033[K" : "",
	    reply_show(r, left ? "left" : "new", text));
	fprintf(stderr, "%s workers %s%s", reply_show(r, "of", text),
	    left ? "left" : "new", tty ? "" : "\n");
}

/*
 * An outcome may take a day, but a worker of the pool may have stopped its
 * supervisor: while nothing comes that is asked every few seconds, whether it
 * answers at all.
 */
static bool
await_gives_up(struct conn *waits)
{
	struct reply a = { NULL, 0 };
	struct conn t;
	struct err e;
	bool deaf;

	if (conn_clock() - waits->asked < CONN_TIMEOUT)
		return false;
	if (conn_open(&t, waits->dir, false, &e) == -1)
		deaf = e.status == EX_TEMPFAIL;
	else {
		deaf = conn_ask(&t, "ping", &a, &e) == -1 && !t.greeted &&
		    e.status == EX_TEMPFAIL;
		conn_close(&t);
		reply_free(&a);
	}
	waits->asked = conn_clock();
	return deaf;
}

/*
 * Sends a command and waits for its outcome, however long that takes, for as
 * long as the pool lives.
 */
static int
await_outcome(struct conn *t, const char *command, struct err *e)
{
	struct proto_record r;
	bool shown = false;
	int more;

	if (conn_send(t, command, -1, e) == -1)
		return -1;
	t->asked = conn_clock();
	t->gives_up = await_gives_up;
	while ((more = conn_next(t, true, &r, e)) == 1) {
		show_progress(&r);
		shown = true;
	}
	t->gives_up = NULL;
	if (shown && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	return more;
}

static int
ctl_reload(struct conn *t, struct err *e)
{
	return await_outcome(t, "reload", e);
}

static int
ctl_stop(struct conn *t, struct err *e)
{
	char line[64];

	if (opt.drain == NULL)
		return await_outcome(t, opt.now ? "stop now" : "stop", e);
	snprintf(line, sizeof(line), "stop drain %s", opt.drain);
	return await_outcome(t, line, e);
}

static int
ctl_drain(struct conn *t, struct err *e)
{
	char line[64];

	snprintf(line, sizeof(line), "drain %s", opt.nwords == 1 ?
	    opt.words[0] : "");
	return ask_only(t, line, e);
}

static int
ctl_resume(struct conn *t, struct err *e)
{
	return ask_only(t, "resume", e);
}

static int
ctl_scale(struct conn *t, struct err *e)
{
	unsigned int from, to;
	char line[64];

	proto_range(opt.words[0], WORKERS_MAX, &from, &to);
	snprintf(line, sizeof(line), "scale %u-%u", from, to);
	return ask_only(t, line, e);
}

/* Opens the log for a daemon that cannot, and passes it on. */
static int
pass_log(struct conn *t, const char *path, struct err *e)
{
	struct proto_record r;
	int fd, more;

	if ((fd = pools_open_log(path, e)) == -1)
		return -1;
	more = conn_send(t, "log-reopen", fd, e);
	while (more != -1 && (more = conn_next(t, false, &r, e)) == 1)
		continue;
	close(fd);
	return more;
}

static int
ctl_log_reopen(struct conn *t, struct err *e)
{
	char *path;
	int r;

	if (opt.nwords == 1)
		return pass_log(t, opt.words[0], e);
	r = ask_only(t, "log-reopen", e);
	/* The daemon is not asked for the path: it could name any file. */
	if (r == 0 || (e->status != EX_CANTCREAT && e->status != EX_NOPERM))
		return r;
	if ((path = pools_log(t->at, t->dir, e)) == NULL)
		return -1;
	r = pass_log(t, path, e);
	free(path);
	return r;
}

/* Waits until the pool is there and serves, or the time is over. */
static int
ctl_wait_ready(struct err *e)
{
	long long until, seconds = READY_TIMEOUT;
	const char *why = NULL;
	struct conn t = { .fd = -1 };
	bool cut_off;
	int r;

	if (opt.nwords == 1)
		seconds = strtonum(opt.words[0], 0, TIMEOUT_MAX, &why);
	if (why != NULL)
		return err_set(e, EX_USAGE, "wait-ready: %s: %s (a number of "
		    "seconds)", opt.words[0], why);
	until = conn_clock() + seconds * 1000;
	for (;;) {
		cut_off = false;
		r = choose_open(&t, opt.pool, true, e);
		if (r == 0)
			r = ask_ping(&t, &cut_off, e);
		conn_close(&t);
		if (r == 0 || cut_off || (e->status != EX_UNAVAILABLE &&
		    e->status != EX_TEMPFAIL))
			return r;
		if (conn_clock() >= until)
			break;
		poll(NULL, 0, READY_PAUSE);
	}
	e->status = EX_TEMPFAIL;
	return -1;
}

static const struct command table[] = {
	{ "list", 0, 0, true, false, NULL, "list the pools on this machine" },
	{ "status", 0, 0, true, true, ctl_status, "show a pool and its load" },
	{ "explain", 0, 0, true, false, diagnose_now, "say what is wrong, and "
	    "what to do" },
	{ "advise", 0, 0, true, false, ctl_advise, "[--json] say how large it "
	    "should be" },
	{ "top", 0, 0, true, false, top_run, "the same, live" },
	{ "trace", 0, 0, true, false, diagnose_trace, "show what it did last" },
	{ "ping", 0, 0, true, false, ctl_ping, "check that it can serve" },
	{ "wait-ready", 0, 1, true, false, NULL, "[SEC] wait until it can" },
	{ "reload", 0, 0, false, false, ctl_reload,
	    "replace the workers, one by one" },
	{ "restart", 0, 0, true, false, NULL,
	    "take over with its service file; --all: each" },
	{ "diff", 0, 0, true, false, NULL, "show what that would change" },
	{ "scale", 1, 1, false, false, ctl_scale,
	    "N[-M] set the number of workers" },
	{ "log-reopen", 0, 1, false, false, ctl_log_reopen,
	    "[FILE] reopen the log, as FILE" },
	{ "agent", 0, 0, true, false, NULL,
	    "tell a balancer how it is, or --listen ADDR:PORT" },
	{ "drain", 0, 1, false, false, ctl_drain,
	    "[SEC] announce a stop, and serve on until then" },
	{ "resume", 0, 0, false, false, ctl_resume, "take that back" },
	{ "stop", 0, 0, false, false, ctl_stop,
	    "end it after its requests; --now: at once" },
	{ NULL, 0, 0, false, false, NULL, NULL },
};

static const struct command *
find_command(const char *name)
{
	const struct command *c;

	for (c = table; name != NULL && c->name != NULL; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static int
print_usage(void)
{
	const struct command *c;

	puts("usage: spawnctl [-p NAME|PATH] command [argument]\n");
	for (c = table; c->name != NULL; c++)
		printf("  %-12s %s\n", c->name, c->help);
	puts("\n  -p, --pool NAME|PATH   which pool (the only one)\n"
	    "  status --json          as JSON\n"
	    "  status --openmetrics   for Prometheus\n"
	    "  status --fpm[=text|json|xml|openmetrics]\n"
	    "                         as php-fpm's status page\n"
	    "  status --full          with pss, and metrics of each worker\n"
	    "  stop --now             without waiting for requests\n"
	    "  stop --drain SEC       announced, and SEC later\n"
	    "  agent --listen ADDR:PORT\n"
	    "        --allow ADDR[/LEN],...  as a server, for balancers\n"
	    "        --each N         connections of a worker (1)\n"
	    "  restart --all          one pool after another\n"
	    "  -v, --version          print the version\n"
	    "  -h, --help             print this");
	return fflush(stdout) == EOF ? EX_IOERR : 0;
}

/* Takes a long option of a command. Returns 0, or -1 if it is none. */
static int
take_option(const char *word)
{
	if (strcmp(word, "--json") == 0)
		opt.form = JSON;
	else if (strcmp(word, "--openmetrics") == 0)
		opt.form = OPENMETRICS;
	else if (strcmp(word, "--fpm") == 0 ||
	    strncmp(word, "--fpm=", 6) == 0) {
		opt.form = FPM;
		opt.fpm = word[5] == '=' ? word + 6 : "text";
	} else if (strcmp(word, "--full") == 0)
		opt.full = true;
	else if (strcmp(word, "--now") == 0)
		opt.now = true;
	else if (strcmp(word, "--all") == 0)
		opt.all = true;
	else
		return -1;
	return 0;
}

/* Separates words and options. Returns 0, or -1 with *e set. */
static int
parse_words(int argc, char *argv[], struct err *e)
{
	const char *word;
	int i, n;

	opt.self = argc > 0 ? argv[0] : "";
	opt.words = calloc((size_t)argc + 1, sizeof(*opt.words));
	if (opt.words == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	for (i = 1; i < argc; i++) {
		word = argv[i];
		if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
			exit(print_usage());
		if (strcmp(word, "-v") == 0 ||
		    strcmp(word, "--version") == 0) {
			puts("spawnctl " SPAWND_VERSION);
			exit(fflush(stdout) == EOF ? EX_IOERR : 0);
		}
		if (strncmp(word, "--pool=", 7) == 0)
			opt.pool = word + 7;
		else if (strcmp(word, "-p") == 0 ||
		    strcmp(word, "--pool") == 0) {
			if ((opt.pool = argv[++i]) == NULL)
				return err_set(e, EX_USAGE, "-p: needs a "
				    "value (NAME or PATH)");
		} else if (strncmp(word, "-p", 2) == 0)
			opt.pool = word + 2;
		else if (strncmp(word, "--drain=", 8) == 0)
			opt.drain = word + 8;
		else if (strcmp(word, "--drain") == 0) {
			if ((opt.drain = argv[++i]) == NULL)
				return err_set(e, EX_USAGE, "--drain: needs a "
				    "value (seconds)");
		}
		else if (word[0] != '-')
			opt.words[opt.nwords++] = argv[i];
		else if ((n = agent_option(word, argv[i + 1], e)) != 0) {
			if (n == -1)
				return -1;
			i += n - 1;
		} else if (take_option(word) == -1)
			return err_set(e, EX_USAGE, "%s: no such option (-h "
			    "lists them)", word);
	}
	return 0;
}

/* Is it about the service files? */
static bool
is_service(const struct command *c)
{
	return strcmp(c->name, "restart") == 0 || strcmp(c->name, "diff") == 0;
}

/* Is it a number of seconds, if it is there at all? */
static int
check_seconds(const char *what, const char *word, struct err *e)
{
	const char *why = NULL;

	if (word != NULL)
		strtonum(word, 0, TIMEOUT_MAX, &why);
	return why == NULL ? 0 : err_set(e, EX_USAGE, "%s: %s: must be a "
	    "number of seconds, from 0 to %d", what, word, TIMEOUT_MAX);
}

/* Checks the words and options of drain and stop. */
static int
check_drain(const struct command *c, struct err *e)
{
	if (opt.drain != NULL && strcmp(c->name, "stop") != 0)
		return err_set(e, EX_USAGE, "--drain: only stop takes it");
	if (opt.drain != NULL && opt.now)
		return err_set(e, EX_USAGE, "--drain: does not go with --now");
	if (check_seconds("--drain", opt.drain, e) == -1)
		return -1;
	return strcmp(c->name, "drain") != 0 ? 0 :
	    check_seconds("drain", opt.words[0], e);
}

/* Checks which options and words go with the command. */
static int
check_words(const struct command *c, struct err *e)
{
	unsigned int from, to;
	bool json = opt.form == JSON && strcmp(c->name, "advise") == 0;

	if (!c->status && ((opt.form != TABLE && !json) || opt.full))
		return err_set(e, EX_USAGE, "%s: takes none of the options of "
		    "status", c->name);
	if (opt.form == FPM && writer_fpm_form(opt.fpm) == -1)
		return err_set(e, EX_USAGE, "--fpm: %s: must be text, json, "
		    "xml or openmetrics", opt.fpm);
	if (agent_given() != NULL && strcmp(c->name, "agent") != 0)
		return err_set(e, EX_USAGE, "%s: only agent takes it",
		    agent_given());
	if (opt.now && strcmp(c->name, "stop") != 0)
		return err_set(e, EX_USAGE, "--now: only stop takes it");
	if (opt.all && (!is_service(c) || opt.pool != NULL))
		return err_set(e, EX_USAGE, "--all: only restart and diff take "
		    "it, without -p");
	if (opt.nwords < c->min || opt.nwords > c->max)
		return err_set(e, EX_USAGE, "%s: wrong number of words (-h "
		    "lists them)", c->name);
	if (strcmp(c->name, "scale") == 0 && proto_range(opt.words[0],
	    WORKERS_MAX, &from, &to) == -1)
		return err_set(e, EX_USAGE, "scale: %s: must be N or N-M, "
		    "from 0 to %d", opt.words[0], WORKERS_MAX);
	if (opt.pool != NULL && opt.pool[0] == '\0')
		return err_set(e, EX_USAGE, "-p: must not be empty");
	return check_drain(c, e);
}

static int
run_words(struct err *e)
{
	const struct command *c;
	struct conn t = { .fd = -1 };
	int r;

	if (opt.nwords == 0)
		return err_set(e, EX_USAGE, "no command given (-h lists "
		    "them)");
	if ((c = find_command(opt.words[0])) == NULL)
		return err_set(e, EX_USAGE, "%s: no such command (-h lists "
		    "them)", opt.words[0]);
	opt.words++;
	opt.nwords--;
	if (check_words(c, e) == -1)
		return -1;
	if (strcmp(c->name, "list") == 0)
		return choose_list(opt.pool, e);
	if (is_service(c))
		return service_command(opt.self, c->name, opt.pool, opt.all,
		    e);
	if (strcmp(c->name, "wait-ready") == 0)
		return ctl_wait_ready(e);
	if (strcmp(c->name, "agent") == 0)
		return agent_run(opt.pool, e);
	if ((r = choose_open(&t, opt.pool, c->read, e)) == 0)
		r = c->run(&t, e);
	conn_close(&t);
	return r;
}

int
main(int argc, char *argv[])
{
	struct err e = { 0, "" };

	signal(SIGPIPE, SIG_IGN);
	if (parse_words(argc, argv, &e) == -1 || run_words(&e) == -1) {
		if (e.text[0] != '\0')
			fprintf(stderr, "spawnctl: %s\n", e.text);
		return e.status;
	}
	return 0;
}
