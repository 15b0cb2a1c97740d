/* SPDX-License-Identifier: ISC */
/*
 * What a worker goes through between its making and its program. From the
 * first line of child_run() on it is a process of its own, but in our memory,
 * in which we go on meanwhile. So it makes only raw calls, writes to nothing
 * but its own stack and its exec_failure, and reads only what stays as it is
 * until spawner.c knows that it has left: the plan, what is static here, and
 * its own struct child.
 */
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/raw.h"
#include "config/config.h"
#include "observe/observe.h"
#include "privilege/privilege.h"
#include "run/supervise.h"

static const struct plan *plan;
static struct rlimit open_files;	/* of a worker */

/* The limit r as the option changes it. */
static struct rlimit
apply_limit(const struct limit *l, struct rlimit r)
{
	r.rlim_cur = l->value.rlim_cur;
	if (l->has_hard)
		r.rlim_max = l->value.rlim_max;
	else if (r.rlim_max < r.rlim_cur)
		r.rlim_max = r.rlim_cur;
	return r;
}

/*
 * Takes what needs root while we are root: raised hard limits, and a better
 * priority, which then is the supervisor's too.
 */
static int
raise_limits(const struct conf *c, struct err *e)
{
	struct rlimit now, want;
	size_t i;

	for (i = 0; i < c->nlimits; i++) {
		const struct limit *l = &c->limits[i];

		if (l->resource == RLIMIT_NOFILE)
			open_files = apply_limit(l, open_files);
		if (getrlimit(l->resource, &now) == -1)
			return err_set(e, EX_OSERR, "--rlimit: %s: %s",
			    l->name, strerror(errno));
		want = apply_limit(l, now);
		if (want.rlim_max <= now.rlim_max)
			continue;
		now.rlim_max = want.rlim_max;
		if (setrlimit(l->resource, &now) == -1)
			return err_set(e, err_status(errno, EX_OSERR),
			    "--rlimit: %s: %s", l->name, strerror(errno));
	}
	if (c->nice_given && c->nice < getpriority(PRIO_PROCESS, 0) &&
	    setpriority(PRIO_PROCESS, 0, c->nice) == -1)
		return err_set(e, err_status(errno, EX_OSERR),
		    "--nice: %d: %s", c->nice, strerror(errno));
	return 0;
}

int
child_init(const struct plan *p, rlim_t files, rlim_t *got, struct err *e)
{
	struct rlimit r;

	plan = p;
	if (getrlimit(RLIMIT_NOFILE, &open_files) == -1)
		return err_set(e, EX_OSERR, "getrlimit: %s",
		    strerror(errno));
	r = open_files;
	if (r.rlim_cur < files)
		r.rlim_cur = files < r.rlim_max ? files : r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		return err_set(e, EX_OSERR, "setrlimit: %s",
		    strerror(errno));
	*got = r.rlim_cur;
	return raise_limits(p->conf, e);
}

static void __attribute__((noreturn))
child_fail(const struct child *c, enum exec_step step, int error)
{
	c->failure->step = (int)step;
	c->failure->error = error > 0 ? error : EINVAL;
	raw_exit(127);
}

static void
apply_limits(const struct child *child)
{
	const struct conf *c = plan->conf;
	struct rlimit r;
	size_t i;
	int n;

	/* Not lowered before this: it could not be raised again. */
	if ((n = raw_limit(RLIMIT_NOFILE, &open_files, NULL)) < 0)
		child_fail(child, STEP_LIMIT, -n);
	for (i = 0; i < c->nlimits; i++) {
		const struct limit *l = &c->limits[i];

		if (l->resource == RLIMIT_NOFILE)
			continue;
		if ((n = raw_limit(l->resource, NULL, &r)) < 0)
			child_fail(child, STEP_LIMIT, -n);
		r = apply_limit(l, r);
		if ((n = raw_limit(l->resource, &r, NULL)) < 0)
			child_fail(child, STEP_LIMIT, -n);
	}
	if (c->nice_given && (n = raw_nice(c->nice)) < 0)
		child_fail(child, STEP_NICE, -n);
}

static void
attach_output(const struct child *c)
{
	int n;

	if (plan->conf->worker_log == WORKER_LOG_INHERIT)
		return;
	if ((n = raw_dup2(c->output, STDOUT_FILENO)) < 0 ||
	    (n = raw_dup2(c->output, STDERR_FILENO)) < 0)
		child_fail(c, STEP_PARENT, -n);
}

void
child_run(const struct child *c)
{
	int n;

	raw_setpgid(0, 0);
	if (jail_tie(c->parent) < 0)
		raw_exit(127);
	if ((n = terminal_leave()) < 0)
		child_fail(c, STEP_TERMINAL, -n);
	if (plan->conf->umask != UMASK_KEEP)
		raw_umask((mode_t)plan->conf->umask);
	apply_limits(c);
	if ((n = confine_child()) < 0)
		child_fail(c, STEP_CONFINE, -n);
	if (c->shares && (n = raw_own_files(1 + (c->output < STDERR_FILENO ?
	    STDERR_FILENO : c->output))) < 0)
		child_fail(c, STEP_PARENT, -n);
	attach_output(c);
	if (plan->cwd_fd == -1 && (n = raw_chdir(plan->chdir)) < 0)
		child_fail(c, STEP_CHDIR, -n);
	if (c->door && (n = door_ask()) < 0)
		child_fail(c, STEP_DOOR, -n);
	/* All are blocked until here: the handlers are the loop's. */
	raw_reset_signals();
	child_fail(c, STEP_EXEC, -raw_exec(plan->argv[0], plan->argv,
	    plan->envp));
}
