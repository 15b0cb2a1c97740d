/* SPDX-License-Identifier: ISC */
/*
 * Whose turn it is to be stopped, so that it cannot accept while it is looked
 * at: one at a time is, and the others that are idle wait in a queue.
 */
#include <signal.h>
#include <stddef.h>

#include "base/units.h"
#include "pool/drain.h"
#include "pool/pool.h"
#include "pool/slot.h"

static bool
has_next(const struct pool *p)
{
	const struct slot *next = p->freeze_next;

	return next != NULL && next->freeze_queued &&
	    next->state == SLOT_RETIRING;
}

bool
freeze_has_turn(const struct pool *p, const struct slot *s)
{
	return p->frozen == NULL && (!has_next(p) || p->freeze_next == s);
}

/*
 * It hears when it is the next: freeze_wake(). Its timer is for the case that
 * it does not, and slow in a crowd.
 */
void
freeze_queue(struct pool *p, struct slot *s, uint64_t now)
{
	uint64_t pause = min64(POOL_ACTIVITY_LAST * (1 +
	    p->count[SLOT_RETIRING] / POOL_ACTIVITY_CHECKS),
	    POOL_QUEUED_LAST);

	s->freeze_queued = true;
	if (p->frozen == NULL && !has_next(p)) {
		p->freeze_next = s;
		pause = POOL_ACTIVITY_FIRST;
	}
	slot_enter(p, s, SLOT_RETIRING,
	    min64(slot_later(now, pause), s->end_by));
}

/* If nobody is stopped, who waits for that is looked at now; one is not. */
static void
wake_next(struct pool *p, const struct slot *but)
{
	struct slot *s;

	if (p->frozen != NULL)
		return;
	if (!has_next(p)) {
		TAILQ_FOREACH(s, &p->lists[SLOT_RETIRING], by_state) {
			if (s->freeze_queued && s != but)
				break;
		}
		p->freeze_next = s;
	}
	if (p->freeze_next != NULL)
		slot_deadline(p, p->freeze_next, 0);
}

void
freeze_wake(struct pool *p)
{
	wake_next(p, NULL);
}

void
freeze_begin(struct pool *p, struct slot *s, uint64_t now)
{
	p->frozen = s;
	s->thaw_by = slot_later(now, POOL_FREEZE);
	slot_signal(p, s, SIGSTOP, false);
	slot_enter(p, s, SLOT_FREEZING, slot_later(now, POOL_ACTIVITY_FIRST));
}

void
freeze_forget(struct pool *p, const struct slot *s)
{
	bool was_next = p->freeze_next == s;

	if (was_next)
		p->freeze_next = NULL;
	if (p->frozen == s) {
		p->frozen = NULL;
		drain_thawed(p);
	} else if (!was_next)
		return;
	wake_next(p, s);
}
