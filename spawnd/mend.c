/* SPDX-License-Identifier: ISC */
/*
 * What others of our user have done to the workers or to us, who all may send
 * each other signals and lower each other's limits: mended where that can be.
 */
#include <sys/resource.h>

#include <signal.h>
#include <stdio.h>

#include "spawnd.h"

#define STOPPED_PAUSE	UINT64_C(100000)	/* usec, to continue them */

/* Without these no worker can be started any more. */
static const struct {
	int		 resource;
	const char	*name;
} needed[] = {
	{ RLIMIT_NOFILE, "nofile" },
	{ RLIMIT_NPROC, "nproc" },
	{ RLIMIT_AS, "as" },
	{ RLIMIT_DATA, "data" },
	{ RLIMIT_STACK, "stack" },
};

static struct rlimit at_first[sizeof(needed) / sizeof(needed[0])];

void
mend_init(void)
{
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		getrlimit(needed[i].resource, &at_first[i]);
}

/* Raises again what can be; returns the name of one that cannot be. */
static const char *
find_lowered(void)
{
	struct rlimit r;
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (getrlimit(needed[i].resource, &r) == -1)
			continue;
		if (r.rlim_max < at_first[i].rlim_max)
			return needed[i].name;
		if (r.rlim_cur < at_first[i].rlim_cur)
			setrlimit(needed[i].resource, &at_first[i]);
	}
	return NULL;
}

/* Nobody can raise a hard limit again without a right. */
static void
on_crippled(void)
{
	const char *name = find_lowered();
	char why[ERR_SIZE];

	if (name == NULL)
		return;
	snprintf(why, sizeof(why), "limits: %s: has been lowered by a worker "
	    "or another process of this user, and no worker can be started",
	    name);
	supervise_end(why);
}

void
mend_no_spawn(void)
{
	/* Not from within what the pool wants done. */
	if (find_lowered() != NULL)
		loop_timer(TIMER_CRIPPLED, loop_now(), on_crippled);
}

/* Who stops them over and over costs us no more than that. */
static void
go_on(void)
{
	const struct pool *pool = supervise_pool();
	unsigned int i, n = pool_slots(pool);

	for (i = 0; i < n; i++) {
		if (!worker_sight(i)->halted || worker_pid(i) == 0)
			continue;
		worker_sight(i)->halted = false;
		if (pool_state(pool, i) == SLOT_FREEZING)
			continue;	/* the pool will continue it */
		log_warn("worker %d: was stopped by somebody else; it is "
		    "continued", (int)worker_pid(i));
		worker_signal(i, SIGCONT, false);
	}
}

void
mend_stopped(unsigned int slot)
{
	static uint64_t when;

	if (pool_state(supervise_pool(), slot) == SLOT_FREEZING)
		return;		/* that was us */
	worker_sight(slot)->halted = true;
	if (when <= loop_now()) {
		when = loop_now() + STOPPED_PAUSE;
		loop_timer(TIMER_STOPPED, when, go_on);
	}
}
