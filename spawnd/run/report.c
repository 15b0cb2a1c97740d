/* SPDX-License-Identifier: ISC */
/* The pool's notices and state, in words. */
#include <sys/wait.h>

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/units.h"
#include "config/alias.h"
#include "config/config.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "observe/usage.h"
#include "pool/pool.h"
#include "run/supervise.h"

static const char *
seconds(uint64_t usec, char buf[32])
{
	snprintf(buf, 32, "%" PRIu64 ".%02u s", usec / USEC,
	    (unsigned int)(usec % USEC / 10000));
	return buf;
}

int
report_exitcode(const struct conf *c, const struct exec_failure *f, int status)
{
	if (!c->worker_status || (f != NULL && f->step != STEP_EXEC))
		return compat_exitcode(c, EX_UNAVAILABLE);
	if (f != NULL)
		return f->error;
	/* The start has failed, even if the worker exited with 0. */
	return WIFEXITED(status) && WEXITSTATUS(status) != 0 ?
	    WEXITSTATUS(status) : 1;
}

const char *
report_slow(const struct conf *c, pid_t pid, char buf[SLOW_SIZE])
{
	snprintf(buf, SLOW_SIZE, "%s%s",
	    OPT_HINT(c, start_timeout, " (--start-timeout)"),
	    pid != 0 && observe_listens(pid) ? ": it listens on another "
	    "socket (its listen socket is descriptor 0)" : "");
	return buf;
}

/* A path of the jail is often given as it is outside. */
static void
explain_jail(const struct plan *p, const char *path, char *buf, size_t size)
{
	size_t len = p->jail != NULL ? strlen(p->jail) : 0;

	if (len > 1 && strncmp(path, p->jail, len) == 0 && path[len] == '/')
		snprintf(buf, size, "paths are as seen inside the jail: try "
		    "%s", path + len);
}

void
report_exec(const struct plan *p, const struct exec_failure *f, char *buf,
    size_t size)
{
	static const char *const steps[] = {
		[STEP_PARENT] = "start",
		[STEP_TERMINAL] = "leave the terminal for",
		[STEP_LIMIT] = "--rlimit",
		[STEP_NICE] = "--nice", [STEP_CONFINE] = "--confine",
		[STEP_CHDIR] = "chdir", [STEP_DOOR] = "ptrace",
		[STEP_EXEC] = "exec",
	};
	const char *what = f->step == STEP_CHDIR ? p->chdir : p->argv[0];
	char why[512] = "";

	/* Nobody looks at a file that has kept its worker waiting. */
	if (f->step == STEP_LATE) {
		snprintf(buf, size, "exec %s%s%s: killed: not done after %d s "
		    "(its file system hangs, or another process has stopped it "
		    "or holds a lease on the file)", what,
		    p->jail != NULL ? " in " : "",
		    p->jail != NULL ? p->jail : "", EXEC_TIME);
		return;
	}
	if (f->step == STEP_EXEC)
		exec_error_explain(p->argv[0], f->error, why, sizeof(why));
	if (why[0] == '\0' && f->error == ENOENT)
		explain_jail(p, what, why, sizeof(why));
	snprintf(buf, size, "%s %s%s%s: %s%s%s%s", steps[f->step], what,
	    p->jail != NULL ? " in " : "", p->jail != NULL ? p->jail : "",
	    strerror(f->error), why[0] != '\0' ? ": " : "", why,
	    p->jail_reason);
}

void
report_ready(const struct plan *p, unsigned int ready, char *buf, size_t size)
{
	char count[32] = "", most[32] = "", children[48] = "";
	char owner[320] = "";
	char jail[512] = "";

	if (ready < (unsigned int)p->workers)
		snprintf(count, sizeof(count), "%u of ", ready);
	if (p->max_workers > 0)
		snprintf(most, sizeof(most), " (of at most %u)",
		    p->max_workers);
	if (p->children > 0)
		snprintf(children, sizeof(children), " x (%d children + 1)",
		    p->children);
	if (p->socket_owner != NULL)
		snprintf(owner, sizeof(owner), " (%s)", p->socket_owner);
	else if (p->clients != NULL)
		snprintf(owner, sizeof(owner), " (only for %s; others see a "
		    "time-out)", p->clients);
	if (p->jail != NULL)
		snprintf(jail, sizeof(jail), ", jail %s", p->jail);
	snprintf(buf, size, "%s%d worker%s%s%s ready on %s%s%s, uid %u, pid %d",
	    count, p->workers, p->workers == 1 ? "" : "s", children, most,
	    p->socket_name, owner, jail, p->ident.uid, (int)getpid());
}

static const char *const causes[] = {
	[CAUSE_UNKNOWN] = "",
	[CAUSE_CGI] = ": it answered as a CGI program (which needs fcgiwrap)",
	[CAUSE_LEFT] = ": it left a process behind (a worker has to stay in "
	    "the foreground)",
	[CAUSE_ELSEWHERE] = ": it waited for connections of another socket "
	    "(its listen socket is descriptor 0)",
};

static const char *
describe_status(const struct pool_notice *n, char buf[64])
{
	/* Its own end was not its own. */
	if (n->cause == CAUSE_ELSEWHERE)
		return "was stopped";
	signame_wait_status(n->status, buf, 64);
	return buf;
}

void
report_end(const struct pool_notice *n, char *buf, size_t size)
{
	char status[64];

	snprintf(buf, size, "%s%s", describe_status(n, status),
	    causes[n->cause]);
}

/* "exited with status 1 after 0.20 s" or why it never was the program. */
static void
describe_exit(const struct plan *p, const struct pool_notice *n,
    const struct exec_failure *f, char *buf, size_t size)
{
	char status[64], age[32];

	if (n->exec_failed && f != NULL) {
		report_exec(p, f, buf, size);
		return;
	}
	snprintf(buf, size, "%s after %s%s%s", describe_status(n, status),
	    seconds(n->age, age), n->was_ready ? "" :
	    ", before it was ready", causes[n->cause]);
}

/*
 * A program that does nothing and ends with status 0 does so each second, for
 * ever: the log has the eighth, 16th, 32nd ... of them in a row.
 */
static bool
is_worth_a_line(const struct pool_notice *n)
{
	return n->was_ready || n->exec_failed || n->status != 0 ||
	    (n->failures & (n->failures - 1)) == 0;
}

static void
report_exit(const struct plan *p, const struct pool_notice *n,
    const struct exec_failure *f)
{
	char what[ERR_SIZE], next[96] = "", delay[32];

	describe_exit(p, n, f, what, sizeof(what));
	if (n->delay > 0 && n->was_ready)
		snprintf(next, sizeof(next), " (too many of late; next start "
		    "in %s)", seconds(n->delay, delay));
	else if (n->delay > 0)
		snprintf(next, sizeof(next), " (failure %u in a row; next "
		    "start in %s)", n->failures, seconds(n->delay, delay));
	failures_note(FAILURE_WORKER, n->pid, what,
	    output_words(n->slot, n->pid));
	if (is_worth_a_line(n))
		log_warn("worker %d: %s%s", (int)n->pid, what, next);
}

static void
report_unready(const struct plan *p, const struct pool_notice *n)
{
	/* One that is in our memory still has our sockets. */
	pid_t pid = spawner_shares(n->slot) ? 0 : n->pid;
	char slow[SLOW_SIZE], delay[32], what[ERR_SIZE];

	report_slow(p->conf, pid, slow);
	if (n->what == NOTICE_START_TIMEOUT)
		snprintf(what, sizeof(what), "was not ready within %d s%s",
		    p->conf->start_timeout, slow);
	else
		snprintf(what, sizeof(what), "waited for connections of "
		    "another socket (its listen socket is descriptor 0)");
	if (n->what == NOTICE_START_TIMEOUT || n->delay == 0)
		failures_note(FAILURE_WORKER, n->pid, what,
		    output_words(n->slot, n->pid));
	if (n->what == NOTICE_ELSEWHERE && n->delay != 0)
		log_warn("worker %d: so far it waits for connections of "
		    "another socket (its listen socket is descriptor 0; it is "
		    "stopped unless it is ready in %s)", (int)n->pid,
		    seconds(n->delay, delay));
	else if (n->what == NOTICE_ELSEWHERE)
		log_warn("worker %d: stopped: it waits for connections of "
		    "another socket (its listen socket is descriptor 0)",
		    (int)n->pid);
	else
		log_warn("worker %d: stopped: not ready within %d s%s",
		    (int)n->pid, p->conf->start_timeout, slow);
}

static void
report_request_timeout(const struct plan *p, const struct pool_notice *n)
{
	char holder[32] = "", age[32], what[128];

	if (n->holder != n->pid)
		snprintf(holder, sizeof(holder), "its process %d ",
		    (int)n->holder);
	snprintf(what, sizeof(what), "served one request for %s",
	    seconds(n->age, age));
	failures_note(FAILURE_TIMEOUT, n->pid, what, "");
	log_warn("worker %d: killed: %shas served one request for %s, more "
	    "than %d s (--request-timeout)", (int)n->pid, holder,
	    seconds(n->age, age), p->conf->request_timeout);
}

/* "lost 2 requests, the oldest held by its process 14 for 31.20 s" */
static void
describe_lost(const struct pool_notice *n, char *buf, size_t size)
{
	char age[32], holder[32] = "";

	if (n->holder == 0) {
		strlcpy(buf, "perhaps lost a request, which cannot be seen",
		    size);
		return;
	}
	if (n->holder != n->pid)
		snprintf(holder, sizeof(holder), "by its process %d ",
		    (int)n->holder);
	snprintf(buf, size, "%slost %u request%s, %sheld %sfor %s",
	    n->known ? "" : "perhaps ", n->count, n->count == 1 ? "" : "s",
	    n->count == 1 ? "" : "the oldest ", holder,
	    seconds(n->age, age));
}

static void
report_lost(const struct plan *p, const struct pool_notice *n)
{
	char lost[128];

	describe_lost(n, lost, sizeof(lost));
	failures_note(FAILURE_LOST, n->pid, lost, "");
	if (n->what == NOTICE_TOLD_BUSY)
		log_warn("worker %d: ended by its stop signal shortly before "
		    "--stop-timeout, %s", (int)n->pid, lost);
	else if (n->delay != 0)
		log_warn("worker %d: killed: still running after a fast stop, "
		    "%s", (int)n->pid, lost);
	else
		log_warn("worker %d: killed: still running after %d s "
		    "(--stop-timeout), %s", (int)n->pid,
		    p->conf->stop_timeout, lost);
}

static void
report_worker(const struct pool_worker *w, uint64_t now)
{
	static const char *const states[SLOT_NSTATES] = {
		[SLOT_SPAWNING] = "being started",
		[SLOT_STARTING] = "starting",
		[SLOT_READY] = "ready", [SLOT_RETIRING] = "retiring",
		[SLOT_FREEZING] = "retiring", [SLOT_DOOR] = "retiring",
		[SLOT_STOPPING] = "stopping", [SLOT_KILLED] = "killed",
	};
	bool ended = !spawner_shares(w->slot) && end_reached(w->pid);
	char age[32];

	if (w->state == SLOT_BACKOFF)
		log_info("status: slot %u: next start in %s", w->slot,
		    seconds(w->due > now ? w->due - now : 0, age));
	else
		log_info("status: worker %d: %s%s, for %s", (int)w->pid,
		    ended ? "ended" : states[w->state],
		    w->orphan ? ", left behind" : "",
		    seconds(now - w->spawned, age));
}

void
report_pool(const struct pool *pool, uint64_t now)
{
	const struct pool_counts *c = pool_counts(pool);
	struct pool_worker w;
	unsigned int i, n = 0;
	struct queue q;
	char depth[16] = "unknown";

	observe_waiting(false, &q);
	if (q.known)
		snprintf(depth, sizeof(depth), "%u", q.depth);
	log_info("status: %u of %u workers ready, %u starting, queue %s; "
	    "started %" PRIu64 ", recycled %" PRIu64 ", crashed %" PRIu64
	    ", failed %" PRIu64 ", retired %" PRIu64 ", killed %" PRIu64
	    ", lost %" PRIu64, pool_count(pool, SLOT_READY),
	    pool_target(pool), pool_count(pool, SLOT_STARTING), depth,
	    c->started, c->recycled, c->crashed, c->failed, c->retired,
	    c->killed, c->lost);
	for (i = 0; i < pool_slots(pool) && n < STATUS_LINES; i++) {
		if (!pool_worker(pool, i, &w))
			continue;
		report_worker(&w, now);
		n++;
	}
	report_trace(pool, now);
}

static void
report_size(const struct pool_notice *n)
{
	char delay[32];

	if (n->what == NOTICE_GROWN)
		log_info("worker %d: replaced: has grown to %" PRIu64 " MB "
		    "(--max-rss)", (int)n->pid, n->size >> 20);
	else {
		failures_note(FAILURE_SIZE, 0, "workers exceed --max-rss as "
		    "soon as they serve", "");
		log_warn("--max-rss: workers exceed it as soon as they serve "
		    "(each is replaced at most once in %s)",
		    seconds(n->delay, delay));
	}
}

static void
report_nofork(const struct pool_notice *n)
{
	char what[ERR_SIZE], reason[REASON_SIZE], delay[32];

	report_reason(n, reason);
	snprintf(what, sizeof(what), "could not be started: %s: %s",
	    n->failed, reason);
	failures_note(FAILURE_WORKER, 0, what, "");
	log_warn("%s: %s (next try in %s)", n->failed, reason,
	    seconds(n->delay, delay));
}

static void
report_left(const struct pool_notice *n)
{
	log_warn("stop: %u connection%s still waited, and %s not served",
	    n->count, n->count == 1 ? "" : "s",
	    n->count == 1 ? "was" : "were");
}

static void
report_bug(const struct pool_notice *n)
{
	if (n->what == NOTICE_NEVER)
		log_warn("pool: slot %u: event %s cannot happen in state %s "
		    "and is ignored (a bug: please report it)", n->slot,
		    pool_event_name(n->event), pool_state_name(n->state));
	else
		log_warn("pool: an action was dropped: too many were queued "
		    "(a bug: please report it)");
}

const char *
report_reason(const struct pool_notice *n, char buf[REASON_SIZE])
{
	size_t len = strlcpy(buf, strerror(n->error), REASON_SIZE);

	if (n->error == EAGAIN && len < REASON_SIZE)
		usage_forks(buf + len, REASON_SIZE - len);
	return buf;
}

void
report_notice(const struct plan *p, const struct pool_notice *n,
    const struct exec_failure *f)
{
	char what[ERR_SIZE], reason[REASON_SIZE];

	switch (n->what) {
	case NOTICE_EXIT:
		report_exit(p, n, f);
		break;
	case NOTICE_NOFORK:
		report_nofork(n);
		break;
	case NOTICE_START_TIMEOUT:
	case NOTICE_ELSEWHERE:
		report_unready(p, n);
		break;
	case NOTICE_KILLED_IDLE:
		log_warn("worker %d: killed: still running after its stop "
		    "signal", (int)n->pid);
		break;
	case NOTICE_KILLED_BUSY:
	case NOTICE_TOLD_BUSY:
		report_lost(p, n);
		break;
	case NOTICE_GROWN:
	case NOTICE_TOO_SMALL:
		report_size(n);
		break;
	case NOTICE_REQUEST_TIMEOUT:
		report_request_timeout(p, n);
		break;
	case NOTICE_QUEUE_ABANDONED:
		report_left(n);
		break;
	case NOTICE_RELOADED:
		failures_over(FAILURE_RELOAD);
		log_info("reload: all workers are new");
		break;
	case NOTICE_RELOAD_FAILED:
		if (n->error != 0)
			snprintf(what, sizeof(what), "%s: %s", n->failed,
			    report_reason(n, reason));
		else
			describe_exit(p, n, f, what, sizeof(what));
		failures_note(FAILURE_RELOAD, n->pid, what,
		    output_words(n->slot, n->pid));
		log_warn("reload: failed: new worker: %s (the old workers "
		    "stay)", what);
		break;
	case NOTICE_NEVER:
	case NOTICE_OVERFLOW:
		report_bug(n);
		break;
	case NOTICE_READY:
	case NOTICE_FAILED:
	case NOTICE_DUE:
	case NOTICE_DONE:
		break;		/* lifecycle.c's own */
	}
}
