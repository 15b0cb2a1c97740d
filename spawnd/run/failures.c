/* SPDX-License-Identifier: ISC */
/* What went wrong last, of each kind, for whoever asks what is wrong now. */
#include <string.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "run/supervise.h"

#define RECENT		(60 * USEC)
#define TIMES		16		/* that are remembered of a kind */

struct kept {
	struct failure	 last;		/* at 0: there was none */
	uint64_t	 times[TIMES];	/* a ring */
	unsigned int	 next;
};

static struct kept kept[FAILURES];

void
failures_note(enum failure_kind kind, pid_t pid, const char *what,
    const char *said)
{
	struct kept *k = &kept[kind];

	k->last.at = loop_now();
	k->last.pid = pid;
	strlcpy(k->last.what, what, sizeof(k->last.what));
	strlcpy(k->last.said, said, sizeof(k->last.said));
	k->times[k->next++ % TIMES] = k->last.at;
}

void
failures_over(enum failure_kind kind)
{
	kept[kind].last.at = 0;
}

const struct failure *
failures_last(enum failure_kind kind)
{
	return kept[kind].last.at != 0 ? &kept[kind].last : NULL;
}

unsigned int
failures_recent(enum failure_kind kind)
{
	uint64_t now = loop_now();
	unsigned int i, n = 0;

	for (i = 0; i < TIMES; i++) {
		n += kept[kind].times[i] != 0 &&
		    now - kept[kind].times[i] < RECENT;
	}
	return n;
}

const char *
failures_name(enum failure_kind kind)
{
	static const char *const names[FAILURES] = {
		[FAILURE_WORKER] = "worker", [FAILURE_RELOAD] = "reload",
		[FAILURE_LOST] = "lost", [FAILURE_TIMEOUT] = "timeout",
		[FAILURE_SIZE] = "size",
	};

	return names[kind];
}
