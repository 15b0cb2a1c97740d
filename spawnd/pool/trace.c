/* SPDX-License-Identifier: ISC */
/*
 * The ring of the last events and actions. It costs a pool the same however
 * many workers that has: an entry is a few stores, and a snapshot is bounded.
 */
#include <sys/wait.h>

#include <stddef.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"
#include "pool/snapshot.h"
#include "pool/trace.h"

#define MS	UINT64_C(1000)
#define WORD	20		/* the longest, with its NUL */

_Static_assert(sizeof(struct trace_entry) == 32, "256 of them are 8 kB");
_Static_assert(SLOT_NSTATES <= TRACE_NO_STATE, "4 bits for a state");

/*
 * How an entry is written: what its numbers, choice and flags are called. They
 * are arrays, as a pointer has to be written to when the program is loaded.
 */
struct form {
	char		 name[WORD];
	bool		 whole;		/* of the pool, not of a slot */
	bool		 ends;		/* b is a status of wait(2) */
	char		 a[WORD], b[WORD];
	char		 choice[WORD];
	char		 choices[6][WORD];
	char		 flags[10][WORD];
};

/* What a look found, of a process or of a whole worker. */
#define ACTIVITY	{ .a = "connection", \
	    .b = "age_ms", .choice = "holds", .choices = { \
	    [HOLDS_NOTHING] = "nothing", [HOLDS_QUIET] = "quiet", \
	    [HOLDS_BUSY] = "busy", [HOLDS_UNKNOWN] = "unknown" }, \
	    .flags = { "frozen", "catches", "threaded", "is_master", \
	    "is_event_loop", "sleeping", "active_since_last", \
	    "needs_door", "reads", "unseen" } }

static const struct form events[] = {
	[EV_NOFORK] = { .b = "error" },
	[EV_READINESS] = { .choice = "readiness", .choices = {
	    [READY_UNKNOWN] = "unknown", [READY_NO] = "no",
	    [READY_YES] = "yes", [READY_ASSUMED] = "assumed",
	    [READY_ELSEWHERE] = "elsewhere",
	    [READY_ELSEWHERE_YET] = "elsewhere_yet" } },
	[EV_ACTIVITY] = ACTIVITY,
	[EV_TREE] = ACTIVITY,
	[EV_EXIT] = { .ends = true, .choice = "moved",
	    .choices = { [MOVED_NO] = "no", [MOVED_YES] = "yes",
	    [MOVED_UNKNOWN] = "unknown" },
	    .flags = { "exec_failed", "cgi", "left", "cancelled" } },
	[EV_CANARY] = { .a = "connection", .flags = { "no_traffic" } },
	[EV_MEASURED] = { .a = "size" },
	[EV_SLOW_REQUEST] = { .b = "age_ms", .flags = { "slow" } },
	[EV_HELD] = { .a = "count", .b = "age_ms", .flags = { "known" } },
	[EV_DOOR] = { .choice = "door", .choices = {
	    [DOOR_CLOSING] = "closing", [DOOR_CLOSED] = "closed",
	    [DOOR_PAUSED] = "paused",
	    [DOOR_TIRED] = "tired", [DOOR_REFUSED] = "refused",
	    [DOOR_UNBEGUN] = "unbegun" } },
	[EV_ORPHAN] = { .whole = true },
	[EV_TARGET] = { .whole = true, .b = "workers" },
	[EV_QUEUE] = { .whole = true, .b = "depth",
	    .flags = { "known", "open" } },
	[EV_SHARED] = { .whole = true, .flags = { "shared" } },
	[EV_RELOAD] = { .whole = true },
	[EV_ANNOUNCE] = { .whole = true, .a = "delay" },
	[EV_RESUME] = { .whole = true },
	[EV_SATURATED] = { .whole = true },
	[EV_RELIEVED] = { .whole = true },
	[EV_STOP] = { .whole = true },
	[EV_STOP_FAST] = { .whole = true },
	[TRACE_TICK] = { .whole = true },
};

static const struct form actions[] = {
	[POOL_SPAWN] = { .name = "spawn" },
	[POOL_CHECK_READY] = { .name = "check_ready", .b = "age_ms" },
	[POOL_CHECK_ACTIVITY] = { .name = "check_activity" },
	[POOL_CHECK_TREE] = { .name = "check_tree" },
	[POOL_SIGNAL] = { .name = "signal", .b = "signal",
	    .flags = { "whole" } },
	[POOL_ADOPT] = { .name = "adopt" },
	[POOL_MEASURE_SIZE] = { .name = "measure_size" },
	[POOL_CHECK_CANARY] = { .name = "check_canary" },
	[POOL_CHECK_REQUEST] = { .name = "check_request" },
	[POOL_CHECK_HELD] = { .name = "check_held", .flags = { "whole" } },
	[POOL_KILL_HOLDER] = { .name = "kill_holder" },
	[POOL_REFUSE] = { .name = "refuse", .whole = true },
	[POOL_SHUT] = { .name = "shut", .whole = true },
	[POOL_QUEUE] = { .name = "queue", .whole = true },
	[POOL_DOOR_CLOSE] = { .name = "door_close", .flags = { "drains" } },
	[POOL_DOOR_CHECK] = { .name = "door_check", .b = "stops",
	    .flags = { "lasts" } },
	[POOL_DOOR_PAUSE] = { .name = "door_pause" },
	[POOL_DOOR_GO_ON] = { .name = "door_go_on" },
	[POOL_DOOR_SIGNAL] = { .name = "door_signal", .b = "signal" },
	[POOL_DOOR_OPEN] = { .name = "door_open" },
};

static const struct form notices[] = {
	[NOTICE_READY] = { .name = "ready", .whole = true, .b = "ready" },
	[NOTICE_FAILED] = { .name = "failed", .whole = true, .choice = "why",
	    .choices = { [FAILED_EXEC] = "exec", [FAILED_TRIES] = "tries",
	    [FAILED_TIME] = "time" } },
	[NOTICE_DUE] = { .name = "due", .whole = true },
	[NOTICE_DONE] = { .name = "done", .whole = true },
	[NOTICE_EXIT] = { .name = "exit", .ends = true, .a = "delay",
	    .flags = { "exec_failed", "was_ready" } },
	[NOTICE_NOFORK] = { .name = "nofork", .b = "error", .a = "delay" },
	[NOTICE_START_TIMEOUT] = { .name = "start_timeout" },
	[NOTICE_ELSEWHERE] = { .name = "elsewhere" },
	[NOTICE_KILLED_IDLE] = { .name = "killed_idle" },
	[NOTICE_KILLED_BUSY] = { .name = "killed_busy", .a = "count",
	    .b = "age_ms", .flags = { "known" } },
	[NOTICE_TOLD_BUSY] = { .name = "told_busy", .a = "count",
	    .b = "age_ms" },
	[NOTICE_GROWN] = { .name = "grown", .a = "size" },
	[NOTICE_TOO_SMALL] = { .name = "too_small", .whole = true,
	    .a = "delay" },
	[NOTICE_REQUEST_TIMEOUT] = { .name = "request_timeout",
	    .a = "holder", .b = "age_ms" },
	[NOTICE_QUEUE_ABANDONED] = { .name = "queue_abandoned",
	    .whole = true, .b = "count" },
	[NOTICE_RELOADED] = { .name = "reloaded", .whole = true },
	[NOTICE_RELOAD_FAILED] = { .name = "reload_failed", .ends = true,
	    .a = "error", .flags = { "exec_failed", "was_ready" } },
	[NOTICE_NEVER] = { .name = "never", .a = "state", .b = "event" },
	[NOTICE_OVERFLOW] = { .name = "overflow", .whole = true },
};

#define LENGTH(list)	(sizeof(list) / sizeof((list)[0]))

_Static_assert(LENGTH(events) == TRACE_TICK + 1, "a name for each event");
_Static_assert(LENGTH(actions) == POOL_NOTICE, "and each action");
_Static_assert(LENGTH(notices) == NOTICE_OVERFLOW + 1, "and notice");

static const struct form *
form_of(const struct trace_entry *t)
{
	switch (t->kind) {
	case TRACE_EVENT:
		return &events[t->what];
	case TRACE_ACTION:
		return &actions[t->what];
	default:
		return &notices[t->what];
	}
}

const char *
trace_event_name(unsigned int what)
{
	return what == TRACE_TICK ? "tick" : pool_event_name(what);
}

static uint32_t
to_ms(uint64_t usec)
{
	return usec / MS < UINT32_MAX ? (uint32_t)(usec / MS) : UINT32_MAX;
}

/* The next entry of the ring, about a slot or, with NULL, the pool. */
static struct trace_entry *
add(struct pool *p, enum trace_kind kind, unsigned int what,
    const struct slot *s)
{
	struct trace *r = &p->trace;
	struct trace_entry *t = &r->entries[r->n++ % TRACE_ENTRIES];

	*t = (struct trace_entry){ .time = r->now, .slot = TRACE_NO_SLOT,
	    .kind = kind & 3, .what = what & 63, .from = TRACE_NO_STATE,
	    .to = TRACE_NO_STATE };
	if (s != NULL && !form_of(t)->whole) {
		t->slot = (uint32_t)(s - p->slots);
		t->pid = s->pid;
		t->from = s->state & 15;
	}
	return t;
}

static void
take_activity(struct trace_entry *t, const struct activity *x)
{
	t->choice = x->holds & 7;
	t->a = x->connection;
	t->b = to_ms(x->age);
	t->flags = (x->frozen | x->catches << 1 | x->threaded << 2 |
	    x->is_master << 3 | x->is_event_loop << 4 | x->sleeping << 5 |
	    x->active_since_last << 6 | x->needs_door << 7 |
	    x->reads << 8 | x->unseen << 9) & 1023;
}

static void
take_held(struct trace_entry *t, const struct held_requests *h)
{
	t->pid = h->holder;
	t->a = h->count;
	t->b = to_ms(h->age);
	t->flags = h->known;
}

static void
take_event(struct trace_entry *t, const struct pool_event *ev)
{
	switch (ev->what) {
	case EV_SPAWNED:
	case EV_ORPHAN:
		t->pid = ev->pid;
		break;
	case EV_NOFORK:
		t->b = (uint32_t)ev->error;
		break;
	case EV_READINESS:
		t->choice = ev->readiness & 7;
		break;
	case EV_ACTIVITY:
	case EV_TREE:
		take_activity(t, &ev->activity);
		break;
	case EV_EXIT:
		t->b = (uint32_t)ev->status;
		t->choice = ev->moved & 7;
		t->flags = (ev->exec_failed | (ev->cause == CAUSE_CGI) << 1 |
		    (ev->cause == CAUSE_LEFT) << 2 | ev->cancelled << 3) & 255;
		break;
	case EV_CANARY:
		t->a = ev->activity.connection;
		t->flags = ev->no_traffic;
		break;
	case EV_MEASURED:
		t->a = ev->size;
		break;
	case EV_SLOW_REQUEST:
		t->pid = ev->request.pid;
		t->b = to_ms(ev->request.age);
		t->flags = ev->request.slow;
		break;
	case EV_HELD:
		take_held(t, &ev->held);
		break;
	case EV_DOOR:
		t->choice = ev->door & 7;
		break;
	case EV_TARGET:
		t->b = ev->workers;
		break;
	case EV_ANNOUNCE:
		t->a = ev->delay;
		break;
	case EV_SHARED:
		t->flags = ev->shared;
		break;
	case EV_QUEUE:
		t->b = ev->queue.depth;
		t->flags = (ev->queue.known | ev->queue.open << 1) & 255;
		break;
	default:
		break;
	}
}

static void
take_notice(struct trace_entry *t, const struct pool_notice *n)
{
	switch (n->what) {
	case NOTICE_READY:
		t->b = n->ready;
		break;
	case NOTICE_FAILED:
		t->choice = n->why & 7;
		break;
	case NOTICE_EXIT:
	case NOTICE_RELOAD_FAILED:
		t->a = n->what == NOTICE_EXIT ? n->delay : (uint64_t)n->error;
		t->b = (uint32_t)n->status;
		t->flags = (n->exec_failed | n->was_ready << 1) & 255;
		break;
	case NOTICE_NOFORK:
		t->a = n->delay;
		t->b = (uint32_t)n->error;
		break;
	case NOTICE_KILLED_BUSY:
	case NOTICE_TOLD_BUSY:
		t->a = n->count;
		t->b = to_ms(n->age);
		t->flags = n->known;
		break;
	case NOTICE_GROWN:
		t->a = n->size;
		break;
	case NOTICE_TOO_SMALL:
		t->a = n->delay;
		break;
	case NOTICE_REQUEST_TIMEOUT:
		t->a = (uint64_t)n->holder;
		t->b = to_ms(n->age);
		break;
	case NOTICE_QUEUE_ABANDONED:
		t->b = n->count;
		break;
	case NOTICE_NEVER:
		t->a = n->state;
		t->b = n->event;
		break;
	default:
		break;
	}
	/* The slot may be empty by now. */
	if (n->pid != 0)
		t->pid = n->pid;
}

static bool
is_of_slot(const struct pool *p, const struct pool_event *ev)
{
	return ev->what < EV_NSLOT && ev->slot < p->nslots;
}

/* A snapshot every half turn, so that the other half has one before it. */
static void
snapshot(struct pool *p)
{
	struct trace *r = &p->trace;

	if (p->queued > 0 ||
	    r->n - r->snapshots[r->newest].at < TRACE_ENTRIES / 2)
		return;
	r->newest = !r->newest;
	snapshot_take(p, &r->snapshots[r->newest], r->n, r->now);
}

void
trace_event(struct pool *p, const struct pool_event *ev, uint64_t now)
{
	p->trace.now = now;
	snapshot(p);
	if (ev == NULL)
		add(p, TRACE_EVENT, TRACE_TICK, NULL);
	else
		take_event(add(p, TRACE_EVENT, ev->what, is_of_slot(p, ev) ?
		    &p->slots[ev->slot] : NULL), ev);
}

void
trace_event_done(struct pool *p, const struct pool_event *ev)
{
	struct trace *r = &p->trace;

	if (is_of_slot(p, ev))
		r->entries[(r->n - 1) % TRACE_ENTRIES].to =
		    p->slots[ev->slot].state & 15;
}

void
trace_action(struct pool *p, const struct pool_action *a)
{
	struct trace_entry *t;

	if (a->what == POOL_NOTICE) {
		/* An event that cannot be may have named no slot. */
		t = add(p, TRACE_NOTICE, a->notice.what,
		    a->notice.slot < p->nslots ? &p->slots[a->notice.slot] :
		    NULL);
		take_notice(t, &a->notice);
		return;
	}
	t = add(p, TRACE_ACTION, a->what, &p->slots[a->slot]);
	if (a->what == POOL_CHECK_READY)
		t->b = to_ms(a->age);
	else if (a->what == POOL_SIGNAL || a->what == POOL_DOOR_SIGNAL)
		t->b = (uint32_t)a->signo;
	else if (a->what == POOL_DOOR_CHECK)
		t->b = a->stops == NEVER ? 0 : (uint32_t)a->stops;
	if (a->what == POOL_ADOPT || a->what == POOL_KILL_HOLDER)
		t->pid = a->pid;
	t->flags = a->whole || a->drains ||
	    (a->what == POOL_DOOR_CHECK && a->stops == NEVER);
}

static void
add_status(struct trace_item *item, int status)
{
	if (status == STATUS_UNKNOWN)
		snapshot_word(item, "ended", "unknown");
	else if (WIFEXITED(status))
		snapshot_number(item, "exited", (uint64_t)WEXITSTATUS(status));
	else
		snapshot_number(item, "killed", (uint64_t)WTERMSIG(status));
}

static void
add_slot(struct trace_item *item, const struct trace_entry *t)
{
	if (t->slot != TRACE_NO_SLOT)
		snapshot_number(item, "slot", t->slot);
	if (t->pid > 0)
		snapshot_number(item, "pid", (uint64_t)t->pid);
	if (t->to != TRACE_NO_STATE) {
		snapshot_word(item, "from", pool_state_name(t->from));
		snapshot_word(item, "to", pool_state_name(t->to));
	} else if (t->from != TRACE_NO_STATE)
		snapshot_word(item, "state", pool_state_name(t->from));
}

static void
write_entry(const struct trace_entry *t, struct trace_item *item)
{
	static const char *const kinds[] = { [TRACE_EVENT] = "event",
	    [TRACE_ACTION] = "action", [TRACE_NOTICE] = "notice" };
	const struct form *f = form_of(t);
	unsigned int i;

	*item = (struct trace_item){ .kind = kinds[t->kind] };
	snapshot_number(item, "time", t->time);
	snapshot_word(item, "what", t->kind == TRACE_EVENT ?
	    trace_event_name(t->what) : f->name);
	add_slot(item, t);
	if (f->choice[0] != '\0')
		snapshot_word(item, f->choice, f->choices[t->choice]);
	if (f->ends)
		add_status(item, (int)t->b);
	if (f->b[0] != '\0')
		snapshot_number(item, f->b, t->b);
	if (f->a[0] != '\0')
		snapshot_number(item, f->a, t->a);
	for (i = 0; i < LENGTH(f->flags) && f->flags[i][0] != '\0'; i++) {
		if (t->flags >> i & 1)
			snapshot_word(item, f->flags[i], "yes");
	}
}

static uint64_t
oldest(const struct trace *r)
{
	return r->n > TRACE_ENTRIES ? r->n - TRACE_ENTRIES : 0;
}

unsigned int
trace_count(const struct pool *p)
{
	return (unsigned int)(p->trace.n - oldest(&p->trace));
}

void
trace_entry(const struct pool *p, unsigned int i, struct trace_item *item)
{
	const struct trace *r = &p->trace;

	write_entry(&r->entries[(oldest(r) + i) % TRACE_ENTRIES], item);
}

/* Where a replay that cannot be from the start begins, or NULL. */
static const struct trace_snapshot *
find_snapshot(const struct trace *r)
{
	const struct trace_snapshot *s = &r->snapshots[!r->newest];

	if (oldest(r) == 0)
		return NULL;
	if (s->len > 0 && s->at >= oldest(r))
		return s;
	s = &r->snapshots[r->newest];
	return s->len > 0 && s->at >= oldest(r) ? s : NULL;
}

static void
write_head(const struct pool *p, struct trace_item *item)
{
	const struct trace *r = &p->trace;

	*item = (struct trace_item){ .kind = "trace" };
	snapshot_number(item, "format", TRACE_FORMAT);
	snapshot_number(item, "entries", trace_count(p));
	snapshot_number(item, "lost", oldest(r));
	snapshot_number(item, "queued", p->queued);
	snapshot_word(item, "replay", oldest(r) == 0 ? "start" :
	    find_snapshot(r) != NULL ? "snapshot" : "never");
}

static void
write_conf(const struct pool *p, struct trace_item *item)
{
	const struct snapshot_field *f;

	*item = (struct trace_item){ .kind = "conf" };
	snapshot_number(item, "began", p->trace.began);
	for (f = snapshot_conf; f->name[0] != '\0'; f++)
		snapshot_add(f, snapshot_get(p, f, &p->conf), item);
}

bool
trace_next(const struct pool *p, struct trace_cursor *c,
    struct trace_item *item)
{
	const struct trace *r = &p->trace;
	const struct trace_snapshot *s = find_snapshot(r);

	switch (c->part) {
	case 0:
		c->part = 1;
		write_head(p, item);
		return true;
	case 1:
		c->part = 2;
		c->next = oldest(r);
		write_conf(p, item);
		return true;
	case 2:
		if (s != NULL && c->next == s->at && snapshot_next(s, c, item))
			return true;
		if (c->next == r->n)
			break;
		write_entry(&r->entries[c->next++ % TRACE_ENTRIES], item);
		return true;
	}
	c->part = 3;
	return false;
}
