/* SPDX-License-Identifier: ISC */
/*
 * A recorded trace (pool/trace.h) passed to a pool once more: each event at
 * its time, and each action held against what the pool hands out now. What
 * must hold of any pool, whatever its processes do, is checked after each.
 *
 * A file has what "spawnctl trace" prints: a record a line, as proto.h has it.
 * Two words may stand before a record, of how long ago it was.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/units.h"
#include "pool/pool.h"
#include "pool/slot.h"
#include "pool/snapshot.h"
#include "pool/trace.h"
#include "proto/proto.h"

#define REPLAY_DIFFERS	1
#define REPLAY_WORKERS	100000	/* more are not to be believed */

struct replay {
	struct pool	*p;		/* NULL: it has not begun */
	struct pool_conf conf;
	uint64_t	 began, queued;
	bool		 by_snapshot, headed, configured, ended;
	unsigned int	 line;
	unsigned int	 entries;	/* that were replayed */
	int		 status;	/* why it is over; 0: it is not */
	char		 why[2 * PROTO_LINE];
};

static inline int replay_fail(struct replay *r, int status, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

/* The first reason counts. */
static inline int
replay_fail(struct replay *r, int status, const char *fmt, ...)
{
	va_list ap;

	if (r->status != 0)
		return -1;
	r->status = status;
	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
	return -1;
}

/* An item as the line that the control socket would answer. */
static inline void
replay_write(const struct trace_item *item, struct proto_output *o)
{
	unsigned int i;

	proto_begin(o, item->kind);
	for (i = 0; i < item->n; i++) {
		const struct trace_value *v = &item->values[i];

		if (v->word != NULL)
			proto_text(o, v->key, v->word);
		else
			proto_number(o, v->key, v->number);
	}
	proto_end(o);
}

/* A number that must be there. */
static inline int
replay_number(struct replay *r, const struct proto_record *rec,
    const char *key, uint64_t max, uint64_t *value)
{
	const char *s = proto_get(rec, key);
	char *end = NULL;

	errno = 0;
	*value = s != NULL && *s >= '0' && *s <= '9' ?
	    strtoull(s, &end, 10) : 0;
	if (end == NULL || *end != '\0' || errno != 0 || *value > max)
		return replay_fail(r, EX_DATAERR, "%s: %s: must be a number "
		    "from 0 to %" PRIu64, rec->kind, key, max);
	return 0;
}

/* A word that must be one of n. */
static inline int
replay_word(struct replay *r, const struct proto_record *rec, const char *key,
    const char *const *words, unsigned int n)
{
	const char *s = proto_get(rec, key);
	unsigned int i;

	for (i = 0; s != NULL && i < n; i++) {
		if (strcmp(s, words[i]) == 0)
			return (int)i;
	}
	return replay_fail(r, EX_DATAERR, "%s: %s: %s: no such word",
	    rec->kind, key, s != NULL ? s : "");
}

static inline bool
replay_flag(const struct proto_record *rec, const char *key)
{
	return proto_get(rec, key) != NULL;
}

static inline int
replay_state(struct replay *r, const struct proto_record *rec,
    const char *key)
{
	const char *names[SLOT_NSTATES];
	unsigned int i;

	for (i = 0; i < SLOT_NSTATES; i++)
		names[i] = pool_state_name((enum slot_state)i);
	return replay_word(r, rec, key, names, SLOT_NSTATES);
}

/* Puts a field of a record where it belongs. */
static inline int
replay_set(struct replay *r, const struct proto_record *rec,
    const struct snapshot_field *f, void *object)
{
	char *at = (char *)object + f->offset;
	uint64_t value = NEVER, max = f->size == 1 ? 1 : f->size == 4 ?
	    UINT32_MAX : UINT64_MAX;
	const struct slot *s;
	uint32_t word;
	int state;

	if (f->type == FIELD_STATE) {
		state = replay_state(r, rec, f->name);
		if (state == -1)
			return -1;
		value = (uint64_t)state;
	} else if ((f->type != FIELD_TIME ||
	    strcmp(proto_get(rec, f->name), "never") != 0) &&
	    replay_number(r, rec, f->name, f->type == FIELD_SLOT ?
	    r->p->nslots - 1 : max, &value) == -1)
		return -1;
	if (f->type == FIELD_SLOT) {
		s = &r->p->slots[value];
		memcpy(at, &s, f->size);
	} else if (f->size == 1)
		*at = (char)value;
	else if (f->size == 4) {
		word = (uint32_t)value;
		memcpy(at, &word, sizeof(word));
	} else
		memcpy(at, &value, sizeof(value));
	return 0;
}

/* All fields of a record but `other`. */
static inline int
replay_set_all(struct replay *r, const struct proto_record *rec,
    const struct snapshot_field *fields, void *object, const char *other)
{
	const struct snapshot_field *f;
	int i;

	for (i = 0; i < rec->n; i++) {
		const char *key = rec->fields[i].key;

		if (other != NULL && strcmp(key, other) == 0)
			continue;
		f = fields;
		while (f->name[0] != '\0' && strcmp(f->name, key) != 0)
			f++;
		if (f->name[0] == '\0')
			return replay_fail(r, EX_DATAERR, "%s: %s: no such "
			    "field", rec->kind, key);
		if (replay_set(r, rec, f, object) == -1)
			return -1;
	}
	return 0;
}

static inline void
replay_begin(struct replay *r)
{
	if ((r->p = pool_new(&r->conf, r->began)) == NULL)
		abort();
}

static inline int
replay_head(struct replay *r, const struct proto_record *rec)
{
	static const char *const ways[] = { "start", "snapshot", "never" };
	uint64_t format;
	int way;

	if (r->headed)
		return replay_fail(r, EX_DATAERR, "trace: a second one");
	if (replay_number(r, rec, "format", UINT32_MAX, &format) == -1 ||
	    replay_number(r, rec, "queued", UINT32_MAX, &r->queued) == -1 ||
	    (way = replay_word(r, rec, "replay", ways, 3)) == -1)
		return -1;
	if (format != TRACE_FORMAT)
		return replay_fail(r, EX_DATAERR, "trace: of format %" PRIu64
		    ", %d is known", format, TRACE_FORMAT);
	if (way == 2)
		return replay_fail(r, EX_DATAERR, "trace: cannot be replayed "
		    "(its start is lost, and the pool was too large for a "
		    "snapshot)");
	r->by_snapshot = way == 1;
	r->headed = true;
	return 0;
}

static inline int
replay_conf(struct replay *r, const struct proto_record *rec)
{
	if (r->configured)
		return replay_fail(r, EX_DATAERR, "conf: a second one");
	if (replay_number(r, rec, "began", UINT64_MAX, &r->began) == -1 ||
	    replay_set_all(r, rec, snapshot_conf, &r->conf, "began") == -1)
		return -1;
	if (r->conf.max > REPLAY_WORKERS || r->conf.surge > REPLAY_WORKERS ||
	    r->conf.workers > r->conf.max)
		return replay_fail(r, EX_DATAERR, "conf: too many workers");
	r->configured = true;
	if (!r->by_snapshot)
		replay_begin(r);
	return 0;
}

/* A pool without any slots in use, to be filled by the lines that follow. */
static inline int
replay_pool(struct replay *r, const struct proto_record *rec)
{
	struct pool *p, old;
	unsigned int i;

	if (r->p != NULL)
		return replay_fail(r, EX_DATAERR, "pool: the replay has begun");
	replay_begin(r);
	p = r->p;
	old = *p;
	memset(p->slots, 0, p->nslots * sizeof(*p->slots));
	memset(p, 0, sizeof(*p));
	p->conf = old.conf;
	p->slots = old.slots;
	p->nslots = old.nslots;
	p->actions = old.actions;
	p->nactions = old.nactions;
	RB_INIT(&p->times);
	for (i = 0; i < SLOT_NSTATES; i++)
		TAILQ_INIT(&p->lists[i]);
	p->count[SLOT_EMPTY] = p->nslots;
	if (replay_set_all(r, rec, snapshot_pool, p, NULL) == -1)
		return -1;
	if (p->nused > p->nslots || p->phase > PHASE_DONE)
		return replay_fail(r, EX_DATAERR, "pool: makes no sense");
	return 0;
}

static inline int
replay_slot(struct replay *r, const struct proto_record *rec)
{
	uint64_t number, deadline;
	struct slot *s;

	if (r->p == NULL || r->entries > 0)
		return replay_fail(r, EX_DATAERR, "slot: not where the replay "
		    "begins");
	if (replay_number(r, rec, "slot", r->p->nslots - 1, &number) == -1)
		return -1;
	s = &r->p->slots[number];
	if (s->by_state.tqe_prev != NULL || number >= r->p->nused)
		return replay_fail(r, EX_DATAERR, "slot: %" PRIu64 ": twice, "
		    "or not used", number);
	if (replay_set_all(r, rec, snapshot_slot, s, "slot") == -1)
		return -1;
	TAILQ_INSERT_TAIL(&r->p->lists[s->state], s, by_state);
	r->p->count[SLOT_EMPTY]--;
	r->p->count[s->state]++;
	deadline = s->deadline;
	s->deadline = NEVER;
	slot_deadline(r->p, s, deadline);
	return 0;
}

/* What a worker's end was. */
static inline int
replay_status(struct replay *r, const struct proto_record *rec, int *status)
{
	uint64_t n = 0;

	*status = STATUS_UNKNOWN;
	if (replay_flag(rec, "ended"))
		return 0;
	if (replay_flag(rec, "exited")) {
		if (replay_number(r, rec, "exited", 255, &n) == -1)
			return -1;
		*status = (int)n << 8;
		return 0;
	}
	if (replay_number(r, rec, "killed", 126, &n) == -1)
		return -1;
	*status = (int)n;
	return 0;
}

static inline int
replay_activity(struct replay *r, const struct proto_record *rec,
    struct activity *x)
{
	static const char *const holds[] = { [HOLDS_NOTHING] = "nothing",
	    [HOLDS_QUIET] = "quiet", [HOLDS_BUSY] = "busy",
	    [HOLDS_UNKNOWN] = "unknown" };
	uint64_t age;
	int n;

	if ((n = replay_word(r, rec, "holds", holds, 4)) == -1 ||
	    replay_number(r, rec, "connection", UINT64_MAX,
	    &x->connection) == -1 ||
	    replay_number(r, rec, "age_ms", UINT32_MAX, &age) == -1)
		return -1;
	x->holds = n;
	x->age = age * 1000;
	x->frozen = replay_flag(rec, "frozen");
	x->catches = replay_flag(rec, "catches");
	x->threaded = replay_flag(rec, "threaded");
	x->is_master = replay_flag(rec, "is_master");
	x->is_event_loop = replay_flag(rec, "is_event_loop");
	x->sleeping = replay_flag(rec, "sleeping");
	x->active_since_last = replay_flag(rec, "active_since_last");
	x->needs_door = replay_flag(rec, "needs_door");
	x->reads = replay_flag(rec, "reads");
	x->unseen = replay_flag(rec, "unseen");
	return 0;
}

static inline int
replay_held(struct replay *r, const struct proto_record *rec, pid_t holder,
    struct held_requests *h)
{
	uint64_t count, age;

	if (replay_number(r, rec, "count", UINT32_MAX, &count) == -1 ||
	    replay_number(r, rec, "age_ms", UINT32_MAX, &age) == -1)
		return -1;
	*h = (struct held_requests){ .count = (unsigned int)count,
	    .known = replay_flag(rec, "known"), .holder = holder,
	    .age = age * 1000 };
	return 0;
}

static inline int
replay_exit(struct replay *r, const struct proto_record *rec,
    struct pool_event *ev)
{
	static const char *const moves[] = { [MOVED_NO] = "no",
	    [MOVED_YES] = "yes", [MOVED_UNKNOWN] = "unknown" };
	int word = replay_word(r, rec, "moved", moves, 3);

	ev->moved = (enum moved)word;
	ev->exec_failed = replay_flag(rec, "exec_failed");
	ev->cancelled = replay_flag(rec, "cancelled");
	ev->cause = replay_flag(rec, "cgi") ? CAUSE_CGI :
	    replay_flag(rec, "left") ? CAUSE_LEFT : CAUSE_UNKNOWN;
	return word == -1 ? -1 : replay_status(r, rec, &ev->status);
}

/* What an event of a slot brings along. */
static inline int
replay_of_slot(struct replay *r, const struct proto_record *rec,
    struct pool_event *ev)
{
	static const char *const looks[] = { [READY_NO] = "no",
	    [READY_YES] = "yes", [READY_UNKNOWN] = "unknown",
	    [READY_ASSUMED] = "assumed", [READY_ELSEWHERE] = "elsewhere",
	    [READY_ELSEWHERE_YET] = "elsewhere_yet" };
	static const char *const doors[] = { [DOOR_CLOSING] = "closing",
	    [DOOR_CLOSED] = "closed", [DOOR_PAUSED] = "paused",
	    [DOOR_TIRED] = "tired",
	    [DOOR_REFUSED] = "refused", [DOOR_UNBEGUN] = "unbegun" };
	uint64_t n = 0;
	int word = 0, failed = 0;

	switch (ev->what) {
	case EV_NOFORK:
		failed = replay_number(r, rec, "error", INT32_MAX, &n);
		ev->error = (int)n;
		break;
	case EV_READINESS:
		word = replay_word(r, rec, "readiness", looks,
		    sizeof(looks) / sizeof(looks[0]));
		ev->readiness = (enum readiness)word;
		break;
	case EV_ACTIVITY:
	case EV_TREE:
		failed = replay_activity(r, rec, &ev->activity);
		break;
	case EV_EXIT:
		failed = replay_exit(r, rec, ev);
		break;
	case EV_CANARY:
		failed = replay_number(r, rec, "connection", UINT64_MAX,
		    &ev->activity.connection);
		ev->no_traffic = replay_flag(rec, "no_traffic");
		break;
	case EV_MEASURED:
		failed = replay_number(r, rec, "size", UINT64_MAX, &ev->size);
		break;
	case EV_SLOW_REQUEST:
		failed = replay_number(r, rec, "age_ms", UINT32_MAX, &n);
		ev->request = (struct slow_request){ .age = n * 1000,
		    .slow = replay_flag(rec, "slow"), .pid = ev->pid };
		break;
	case EV_HELD:
		failed = replay_held(r, rec, ev->pid, &ev->held);
		break;
	case EV_DOOR:
		word = replay_word(r, rec, "door", doors,
		    sizeof(doors) / sizeof(doors[0]));
		ev->door = (enum door_state)word;
		break;
	default:
		break;
	}
	return failed == -1 || word == -1 ? -1 : 0;
}

static inline int
replay_of_pool(struct replay *r, const struct proto_record *rec,
    struct pool_event *ev)
{
	uint64_t n = 0;
	int failed = 0;

	if (ev->what == EV_TARGET) {
		failed = replay_number(r, rec, "workers", REPLAY_WORKERS, &n);
		ev->workers = (unsigned int)n;
	} else if (ev->what == EV_QUEUE) {
		failed = replay_number(r, rec, "depth", UINT32_MAX, &n);
		ev->queue = (struct queue){ .known = replay_flag(rec, "known"),
		    .open = replay_flag(rec, "open"),
		    .depth = (unsigned int)n };
	} else if (ev->what == EV_ANNOUNCE)
		failed = replay_number(r, rec, "delay", UINT64_MAX,
		    &ev->delay);
	else if (ev->what == EV_SHARED)
		ev->shared = replay_flag(rec, "shared");
	return failed;
}

/* Reads an event; a tick has *tick set. */
static inline int
replay_read(struct replay *r, const struct proto_record *rec,
    struct pool_event *ev, uint64_t *now, bool *tick)
{
	const char *names[TRACE_TICK + 1];
	uint64_t n;
	unsigned int i;
	int what;

	*tick = false;
	for (i = 0; i <= TRACE_TICK; i++)
		names[i] = trace_event_name(i);
	if (replay_number(r, rec, "time", INT64_MAX, now) == -1 ||
	    (what = replay_word(r, rec, "what", names, TRACE_TICK + 1)) == -1)
		return -1;
	if (*now < r->p->trace.now)
		return replay_fail(r, EX_DATAERR, "event: time goes back");
	if (what == EV_TIMER || what == EV_END || what == EV_NSLOT)
		return replay_fail(r, EX_DATAERR, "event: what: %s: is the "
		    "pool's own", names[what]);
	*tick = what == TRACE_TICK;
	ev->what = *tick ? EV_RELOAD : what;
	if (replay_flag(rec, "pid")) {
		if (replay_number(r, rec, "pid", INT32_MAX, &n) == -1)
			return -1;
		ev->pid = (pid_t)n;
	}
	if (what > EV_NSLOT)
		return replay_of_pool(r, rec, ev);
	if (replay_number(r, rec, "slot", r->p->nslots - 1, &n) == -1)
		return -1;
	ev->slot = (unsigned int)n;
	return replay_of_slot(r, rec, ev);
}

/* What must hold of the slots, whatever happens to their processes. */
static inline int
replay_check_slots(struct replay *r)
{
	const struct pool *p = r->p;
	unsigned int i, leaving = 0, orphans = 0, expired = 0, oversize = 0;
	unsigned int active = 0, surge = 0, outgoing = 0;

	for (i = 0; i < p->nslots; i++) {
		const struct slot *s = &p->slots[i];

		if (s->state >= SLOT_STARTING && s->state <= SLOT_KILLED &&
		    s->pid <= 0)
			return replay_fail(r, REPLAY_DIFFERS, "slot %u is %s "
			    "and has no process", i, pool_state_name(s->state));
		active += s->state != SLOT_EMPTY;
		leaving += s->retiring_for_good;
		orphans += s->orphan;
		surge += replace_is_surge(s);
		outgoing += replace_is_outgoing(s);
		expired += s->expired != EXPIRED_NOT;
		oversize += s->expired == EXPIRED_SIZE;
	}
	if (active != p->nslots - p->count[SLOT_EMPTY] ||
	    leaving != p->nretiring || orphans != p->norphans ||
	    surge != p->nsurge || outgoing != p->noutgoing ||
	    expired != p->nexpired || oversize != p->noversize)
		return replay_fail(r, REPLAY_DIFFERS, "the pool has miscounted "
		    "its slots");
	return 0;
}

static inline int
replay_check(struct replay *r)
{
	const struct pool *p = r->p;

	if (pool_active(p) - p->norphans > p->conf.processes)
		return replay_fail(r, REPLAY_DIFFERS, "%u workers, %u may be",
		    pool_active(p) - p->norphans, p->conf.max);
	if (p->count[SLOT_FREEZING] > 1 ||
	    (p->count[SLOT_FREEZING] == 1) != (p->frozen != NULL))
		return replay_fail(r, REPLAY_DIFFERS, "%u are stopped",
		    p->count[SLOT_FREEZING]);
	if (p->phase == PHASE_DONE && pool_active(p) > 0)
		return replay_fail(r, REPLAY_DIFFERS, "the pool is done, and "
		    "has %u workers", pool_active(p));
	return replay_check_slots(r);
}

/* Holds the line against what the pool has just noted itself. */
static inline int
replay_compare(struct replay *r, const char *line, bool handed)
{
	struct proto_output o = { 0 };
	struct trace_item item;

	if (!handed)
		return replay_fail(r, REPLAY_DIFFERS, "differs\n  recorded  "
		    "%s\n  replayed  nothing", line);
	trace_entry(r->p, trace_count(r->p) - 1, &item);
	replay_write(&item, &o);
	if (o.failed)
		abort();
	o.buf[o.len - 1] = '\0';
	if (strcmp(o.buf, line) != 0)
		replay_fail(r, REPLAY_DIFFERS, "differs\n  recorded  %s\n"
		    "  replayed  %s", line, o.buf);
	proto_free(&o);
	r->entries++;
	return r->status != 0 ? -1 : replay_check(r);
}

static inline int
replay_event(struct replay *r, const struct proto_record *rec,
    const char *line)
{
	struct pool_event ev = { .what = EV_RELOAD };
	struct pool_action a;
	uint64_t now;
	bool tick;

	if (replay_read(r, rec, &ev, &now, &tick) == -1)
		return -1;
	/* The pool relies on its actions being taken. */
	if (r->p->queued > r->p->nactions / 2 + POOL_ACTIVITY_CHECKS) {
		pool_next(r->p, &a);
		return replay_compare(r, line, true);
	}
	if (tick)
		pool_tick(r->p, now);
	else
		pool_event(r->p, &ev, now);
	return replay_compare(r, line, true);
}

static inline int
replay_end(struct replay *r)
{
	if (r->p == NULL)
		return replay_fail(r, EX_DATAERR, "end: nothing was replayed");
	r->ended = true;
	if (r->p->queued != r->queued)
		return replay_fail(r, REPLAY_DIFFERS, "%" PRIu64 " actions "
		    "were left, and %u are now", r->queued, r->p->queued);
	return 0;
}

static inline int
replay_record(struct replay *r, const struct proto_record *rec,
    const char *line)
{
	struct pool_action a;

	if (r->ended)
		return replay_fail(r, EX_DATAERR, "something behind the end");
	if (strcmp(rec->kind, "trace") == 0)
		return replay_head(r, rec);
	if (!r->headed)
		return replay_fail(r, EX_DATAERR, "does not begin as a trace");
	if (strcmp(rec->kind, "conf") == 0)
		return replay_conf(r, rec);
	if (!r->configured)
		return replay_fail(r, EX_DATAERR, "%s: before conf", rec->kind);
	if (strcmp(rec->kind, "end") == 0)
		return replay_end(r);
	if (strcmp(rec->kind, "pool") == 0)
		return replay_pool(r, rec);
	if (strcmp(rec->kind, "slot") == 0)
		return replay_slot(r, rec);
	if (strcmp(rec->kind, "event") != 0 &&
	    strcmp(rec->kind, "action") != 0 &&
	    strcmp(rec->kind, "notice") != 0)
		return replay_fail(r, EX_DATAERR, "%s: no such record",
		    rec->kind);
	if (r->p == NULL)
		return 0;	/* before the snapshot */
	if (strcmp(rec->kind, "event") == 0)
		return replay_event(r, rec, line);
	return replay_compare(r, line, pool_next(r->p, &a));
}

/* Goes on with one line, without its newline. Returns 0, or -1: it is over. */
static inline int
replay_line(struct replay *r, const char *line)
{
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record rec = { .fields = fields };
	char copy[PROTO_LINE];
	unsigned int words;

	r->line++;
	line += strspn(line, " ");
	for (words = 0; words < 2 && (*line == '-' ||
	    (*line >= '0' && *line <= '9')); words++) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	if (snprintf(copy, sizeof(copy), "%s", line) >= (int)sizeof(copy))
		return replay_fail(r, EX_DATAERR, "too long");
	if (proto_parse(copy, &rec) == -1)
		return replay_fail(r, EX_DATAERR, "is no record");
	return replay_record(r, &rec, line);
}

static inline void
replay_over(struct replay *r)
{
	if (!r->ended)
		replay_fail(r, EX_DATAERR, "ends too early");
	pool_free(r->p);
	r->p = NULL;
}

/* Replays a file, and says how that went. Returns an exit status. */
static inline int
replay_file(const char *path)
{
	struct replay r = { 0 };
	char line[2 * PROTO_LINE];
	FILE *f;

	if ((f = fopen(path, "r")) == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return EX_NOINPUT;
	}
	while (r.status == 0 && fgets(line, sizeof(line), f) != NULL) {
		if (strchr(line, '\n') == NULL) {
			r.line++;
			replay_fail(&r, EX_DATAERR, "ends in the middle");
		} else {
			line[strcspn(line, "\n")] = '\0';
			replay_line(&r, line);
		}
	}
	fclose(f);
	replay_over(&r);
	if (r.status != 0)
		fprintf(stderr, "%s:%u: %s\n", path, r.line, r.why);
	else
		printf("%s: %u entries, replayed without a difference\n", path,
		    r.entries);
	return r.status;
}

#endif
