/* SPDX-License-Identifier: ISC */
/*
 * Resource limits of a worker, from a root that may raise them and an
 * ordinary user afterwards. Who may do so is the test's own to say: it stands
 * in for the kernel, so that it does not matter who runs it.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "config/phases.h"
#include "run/supervise.h"
#include "unit.h"

#define SOFT	256
#define HARD	512

/* Shared, since a child of the sanitizers' build has memory of its own. */
struct limits {
	struct rlimit	 of[RLIM_NLIMITS];
	bool		 root;			/* hard limits can be raised */
};

static struct limits *limits;

/* NOLINTBEGIN(*reserved-identifier,cert-dcl*): the linker's name */
int	 __wrap_getrlimit(int resource, struct rlimit *r);
int	 __wrap_setrlimit(int resource, const struct rlimit *r);

int
__wrap_getrlimit(int resource, struct rlimit *r)
{
	*r = limits->of[resource];
	return 0;
}

int
__wrap_setrlimit(int resource, const struct rlimit *r)
{
	struct rlimit *now = &limits->of[resource];

	errno = r->rlim_cur > r->rlim_max ? EINVAL : EPERM;
	if (r->rlim_cur > r->rlim_max ||
	    (r->rlim_max > now->rlim_max && !limits->root))
		return -1;
	*now = *r;
	return 0;
}

/* As a child does it that is not its program yet. */
int __wrap_raw_limit(int resource, const struct rlimit *set,
    struct rlimit *get);

int
__wrap_raw_limit(int resource, const struct rlimit *set, struct rlimit *get)
{
	if (get != NULL)
		getrlimit(resource, get);
	return set != NULL && setrlimit(resource, set) == -1 ? -errno : 0;
}
/* NOLINTEND(*reserved-identifier,cert-dcl*) */

static const char *const names[] = { "as", "core", "cpu", "data", "fsize",
    "memlock", "nofile", "nproc", "stack" };

/* The option's value, and what becomes of SOFT and HARD. */
static const struct row {
	const char	*value;
	rlim_t		 soft, hard;
} rows[] = {
	{ "100", 100, HARD },
	{ "512", 512, HARD },
	{ "1000", 1000, 1000 },
	{ "100:200", 100, 200 },
	{ "100:512", 100, 512 },
	{ "100:2000", 100, 2000 },
	{ "512:2000", 512, 2000 },
	{ "1000:2000", 1000, 2000 },
	{ "2000:2000", 2000, 2000 },
	{ "1000:infinity", 1000, RLIM_INFINITY },
	{ "infinity", RLIM_INFINITY, RLIM_INFINITY },
};

/* Starts one worker with the limits of c, as far as its program. */
static void
run_worker(const struct conf *c)
{
	char program[] = "/bin/true";
	char *argv[] = { program, NULL };
	char *envp[] = { NULL };
	struct plan p = { .conf = c, .cwd_fd = STDIN_FILENO, .argv = argv,
	    .envp = envp };
	int slot, status;
	bool stopped;
	struct err e;

	loop_block_signals();
	limits->root = true;
	if (worker_init(&p, 1, &e) == -1)
		_exit(1);
	limits->root = false;
	if (worker_spawn(0, 0, STDOUT_FILENO, false) == -1)
		_exit(2);
	while (worker_reap(&slot, &status, &stopped) == 0)
		usleep(1000);
	_exit(worker_failure(0) != NULL ? 3 : 0);
}

/* The memory of one is not the next one's. */
static int
try(const struct conf *c)
{
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (pid == 0)
		run_worker(c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
inherit(void)
{
	size_t i;

	for (i = 0; i < RLIM_NLIMITS; i++)
		limits->of[i] = (struct rlimit){ SOFT, HARD };
}

static struct conf
plain(void)
{
	return (struct conf){ .umask = UMASK_KEEP,
	    .worker_log = WORKER_LOG_INHERIT };
}

static void
check(const char *name, const struct row *row)
{
	struct conf c = plain();
	const struct rlimit *r;
	char value[64];
	struct err e;
	int status;

	snprintf(value, sizeof(value), "%s=%s", name, row->value);
	assert_int_equal(limit_parse("--rlimit", value, &c.limits[0], &e), 0);
	c.nlimits = 1;
	inherit();
	status = try(&c);
	r = &limits->of[c.limits[0].resource];
	if (status != 0 || r->rlim_cur != row->soft ||
	    r->rlim_max != row->hard)
		fail_msg("%s: status %d, %llu:%llu", value, status,
		    (unsigned long long)r->rlim_cur,
		    (unsigned long long)r->rlim_max);
}

static void
root_may_raise_any_limit_of_its_workers(void **arg)
{
	size_t i, j;

	(void)arg;
	for (i = 0; i < NITEMS(names); i++) {
		for (j = 0; j < NITEMS(rows); j++)
			check(names[i], &rows[j]);
	}
}

/* The supervisor may have taken more. */
static void
without_the_option_a_worker_has_what_we_had(void **arg)
{
	struct conf c = plain();

	(void)arg;
	inherit();
	limits->of[RLIMIT_NOFILE] = (struct rlimit){ 10, HARD };
	assert_int_equal(try(&c), 0);
	assert_int_equal(limits->of[RLIMIT_NOFILE].rlim_cur, 10);
	assert_int_equal(limits->of[RLIMIT_NOFILE].rlim_max, HARD);
}

static int
set_up(void **arg)
{
	(void)arg;
	limits = mmap(NULL, sizeof(*limits), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return limits == MAP_FAILED ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_may_raise_any_limit_of_its_workers),
		cmocka_unit_test(without_the_option_a_worker_has_what_we_had),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
