/* SPDX-License-Identifier: ISC */
/*
 * The pool under a clock of its own, over the processes of world.h: they
 * start, serve what waits in a queue, hang, hide, ignore signals and die, and
 * the pool is reloaded, sized and stopped in the middle of anything. What it
 * does is held against what really is. Each seed runs twice: both must agree.
 *
 *	make sim SIM="-n 1000"			1000 seeds of each case
 *	make sim SIM="-v -k CASE -s SEED"	one, with all that happens
 *	make sim TRACE=FILE			no world, but a recorded trace
 *	make graph				what the slots went through
 *
 * mutate.sh plants bugs in the pool and shows that each is found here.
 */
#include "act.h"
#include "graph.h"
#include "replay.h"

#define EVENTS		150
#define CALM		(600 * USEC)
#define DRAWN_SEEDS	300

static void
tell(struct pool_event ev)
{
	tell_pool(&ev);
	act();
	check_always();
}

/* Somebody is found whose leader is gone. */
static void
report(struct proc *p)
{
	p->report_at = w.now + 50 * MS;
	if (!p->job || w.stopping)
		tell((struct pool_event){ .what = EV_ORPHAN, .pid = p->pid });
	/* Nobody is to open its door again. */
	if (p->pid != 0)
		p->shut_at = NEVER;
}

static void
report_all(void)
{
	unsigned int i;

	for (i = SLOTS; i < PROCS; i++) {
		if (w.procs[i].pid != 0 && w.procs[i].report_at != NEVER)
			report(&w.procs[i]);
	}
}

/* Its leader starts another, which is not ready before its own program is. */
static void
child_dies(struct proc *p)
{
	pid_t leader = p->leader;
	unsigned int i;

	p->pid = 0;
	for (i = 0; i < SLOTS && leader != 0; i++) {
		const struct proc *l = &w.procs[i];

		if (l->pid == leader && !l->term_sent && l->die_at == NEVER &&
		    !p->job)
			proc_child(leader, max64(l->ready_at,
			    w.now + sim_between(w.sim, 1, MS)));
	}
}

/*
 * A reload's new worker ends it if it was never seen to serve and leaves in any
 * way but with 0, or shows what is wrong with it. A mere 0 may be a request.
 */
static void
tell_exit(const struct pool_event *ev, const struct proc *p)
{
	const struct slot *s = &w.p->slots[ev->slot];
	uint64_t failed = pool_counts(w.p)->reloads_failed;
	bool new = pool_reloading(w.p) && !p->excused && !p->seen &&
	    s->generation == w.p->generation &&
	    (s->state == SLOT_STARTING || s->state == SLOT_READY);
	bool ends = ev->status != 0 || (ev->cause != CAUSE_UNKNOWN &&
	    s->state == SLOT_STARTING);
	bool first = !ends && s->state == SLOT_STARTING &&
	    w.p->unseen + 1 < POOL_UNSEEN;

	tell_pool(ev);
	if (new && ends && pool_counts(w.p)->reloads_failed == failed)
		sim_fail(w.sim, "slot %u has failed, not the reload",
		    ev->slot);
	if (new && first && pool_counts(w.p)->reloads_failed != failed)
		sim_fail(w.sim, "slot %u may have served, the reload failed",
		    ev->slot);
	act();
	check_always();
}

static void
worker_dies(unsigned int slot)
{
	struct proc *p = &w.procs[slot], old = *p;
	struct pool_event ev = { .what = EV_EXIT, .slot = slot,
	    .status = p->status };
	unsigned int i;

	ev.moved = w.blind ? MOVED_UNKNOWN : connections(p) > 0 ? MOVED_YES :
	    MOVED_NO;
	if (pool_wants_cause(w.p, slot))
		ev.cause = p->cause;
	for (i = SLOTS; i < PROCS; i++) {
		if (!is_child_of(&w.procs[i], p->pid))
			continue;
		w.procs[i].leader = 0;
		w.procs[i].report_at = w.now + sim_between(w.sim, 1, 50 * MS);
	}
	/* The last one is not gone before the pool knows of the others. */
	if (w.stopping &&
	    pool_count(w.p, SLOT_EMPTY) + 1 >= pool_slots(w.p))
		report_all();
	if (p->pid == w.sharing)
		w.free_at = w.now;
	p->pid = 0;
	p->stopped = false;
	tell_exit(&ev, &old);
}

/* What is due of one process by now. */
static void
process_due(unsigned int i)
{
	struct proc *p = &w.procs[i];
	unsigned int k;

	if (p->die_at <= w.now) {
		if (i < SLOTS)
			worker_dies(i);
		else
			child_dies(p);
	} else if (p->halt_at <= w.now) {
		p->halt_at = NEVER;
		tell((struct pool_event){ .what = EV_FROZEN, .slot = i });
	} else if (p->report_at <= w.now)
		report(p);
	else {
		for (k = 0; k < CONNS && runs(p); k++) {
			if (p->c[k].id != 0 && p->c[k].until <= w.now)
				conn_due(p, &p->c[k]);
		}
	}
}

static uint64_t
next_time(uint64_t end)
{
	uint64_t t = pool_deadline(w.p), n;
	unsigned int i;

	if (w.arrival < t && !w.closed)
		t = w.arrival;
	if (w.nqueue > 0 && w.free_at < t)
		t = w.free_at;
	for (i = 0; i < w.end; i = after(i)) {
		if (w.procs[i].pid == 0)
			continue;
		n = proc_next(&w.procs[i]);
		if (n < t)
			t = n;
	}
	return t < end ? t : end;
}

static void stop(bool fast);

static void
pass(uint64_t usec)
{
	uint64_t end = w.now + usec, t;
	unsigned int i, still = 0;

	while (w.now < end && !w.sim->failed && !w.done) {
		t = next_time(end);
		still = t > w.now ? 0 : still + 1;
		if (still > 10000)
			sim_fail(w.sim, "the clock stands still");
		if (t > w.now)
			w.now = t;
		if (w.arrival <= w.now && !w.closed) {
			w.depth++;
			w.arrival = w.now + 1 +
			    sim_exponential(w.sim, w.mean);
		}
		for (i = 0; i < w.end; i = after(i)) {
			if (w.procs[i].pid != 0)
				process_due(i);
		}
		serve();
		fail_accepts();
		if (may_start()) {
			act();
			check_always();
		}
		if (pool_deadline(w.p) <= w.now) {
			pool_tick(w.p, w.now);
			w.events++;
			act();
			check_always();
			if (w.due)
				stop(false);
		}
	}
}

/* Another pool takes over by the same socket, or has wanted to. */
static void
share(void)
{
	if (!chance(3))
		return;
	tell((struct pool_event){ .what = EV_SHARED, .shared = true });
	w.shared = !chance(3);
	if (!w.shared)
		tell((struct pool_event){ .what = EV_SHARED });
	w.conf.drains = w.conf.drains && !w.shared;
}

static void
stop(bool fast)
{
	if (!w.stopping) {
		w.stopped_at = w.now;
		share();
	} else if (chance(4))
		tell((struct pool_event){ .what = EV_SHARED,
		    .shared = chance(2) });
	w.fast |= fast || w.stopping;
	w.stopping = true;
	if (w.open && !w.calm)
		w.mean = sim_between(w.sim, MS, 20 * MS);
	report_all();
	w.announced = w.due = false;
	tell((struct pool_event){ .what = fast ? EV_STOP_FAST : EV_STOP });
}

/* Without a time it is due when it is taken back, or the stop comes. */
static void
announce(void)
{
	struct pool_event ev = { .what = EV_ANNOUNCE, .delay = NEVER };

	if (chance(2))
		ev.delay = sim_between(w.sim, 0, 5 * USEC);
	if (pool_phase(w.p) == PHASE_UP) {
		w.announced = true;
		w.due_at = ev.delay == NEVER ? NEVER : w.now + ev.delay;
	}
	tell(ev);
}

static void
resume(void)
{
	w.announced = false;
	tell((struct pool_event){ .what = EV_RESUME });
}

static void
random_change(struct proc *p)
{
	if (p->pid == 0)
		return;
	if (sim_random(w.sim) % 3 == 0) {
		p->hidden = chance(2);
		p->was_hidden |= p->hidden;
	} else if (!p->stopped) {
		lose(p);
		/* One that was traced may not have told how. */
		die(p, p->pid % 3 == 0 ? STATUS_UNKNOWN : SIGSEGV);
	}
}

/* Fewer are wanted, just when there is one more to replace an old one. */
static void
one_fewer(void)
{
	unsigned int n = pool_target(w.p);

	if (n > 0 && pool_count(w.p, SLOT_READY) == n &&
	    pool_count(w.p, SLOT_STARTING) > 0)
		tell((struct pool_event){ .what = EV_TARGET,
		    .workers = n - 1 });
}

static void
random_event(void)
{
	struct proc *p;

	switch (sim_random(w.sim) % 12) {
	case 0:
	case 1:
		random_change(&w.procs[sim_between(w.sim, 0, 8)]);
		break;
	case 2:
		tell((struct pool_event){ .what = EV_RELOAD });
		break;
	case 3:
		tell((struct pool_event){ .what = EV_TARGET, .workers =
		    (unsigned int)sim_between(w.sim, 0, w.conf.max) });
		break;
	case 4:
		if ((p = proc_child(0, w.now)) != NULL)
			report(p);
		break;
	case 5:
		w.mean = sim_between(w.sim, 2 * MS, USEC);
		break;
	case 6:
		random_change(&w.procs[SLOTS + sim_between(w.sim, 0, 8)]);
		break;
	case 7:
	case 8:
		one_fewer();
		break;
	case 9:
		if (chance(10))
			announce();
		else if (chance(2))
			resume();
		break;
	default:
		break;
	}
	pass(sim_between(w.sim, 1, chance(4) ? 5 * USEC : 100 * MS));
}

/* What the pool has noted of this must be what it does again. */
static void
check_trace(void)
{
	struct proto_output o = { 0 };
	struct trace_cursor c = { 0 };
	struct replay r = { 0 };
	struct trace_item item;

	while (r.status == 0 && trace_next(w.p, &c, &item)) {
		o.len = 0;
		replay_write(&item, &o);
		if (o.failed)
			abort();
		o.buf[o.len - 1] = '\0';
		replay_line(&r, o.buf);
	}
	if (r.status == 0)
		replay_line(&r, "end");
	proto_free(&o);
	replay_over(&r);
	if (r.status != 0 && w.sim->verbose)
		printf("# trace: %s\n", r.why);
	if (r.status != 0)
		sim_fail(w.sim, "trace: line %u: %.*s", r.line,
		    (int)strcspn(r.why, "\n"), r.why);
}

/* What was stuck goes on. */
static void
loosen(void)
{
	unsigned int i, k;

	for (i = 0; i < PROCS; i++) {
		struct proc *p = &w.procs[i];

		p->hidden = p->deaf = p->brittle = false;
		p->pause = 10;
		for (k = 0; k < CONNS; k++) {
			if (p->c[k].until == NEVER)
				p->c[k].until = w.now + MS;
		}
	}
}

/* The pool is as it should be, and nothing is on its way. */
static bool
is_fit(void)
{
	return !pool_reloading(w.p) &&
	    pool_count(w.p, SLOT_READY) == pool_target(w.p) &&
	    pool_count(w.p, SLOT_EMPTY) ==
	    pool_slots(w.p) - pool_target(w.p);
}

static void
check_ages(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS && w.conf.max_age != 0; i++) {
		struct pool_worker x;

		if (pool_worker(w.p, i, &x) && x.ready != 0 &&
		    w.now - x.ready > 2 * w.conf.max_age)
			sim_fail(w.sim, "slot %u is too old", i);
	}
}

/* Nothing goes wrong any more. */
static void
calm_down(void)
{
	uint64_t end = w.now + CALM;

	w.calm = true;
	w.blind = false;
	w.mean = USEC;
	loosen();
	while (w.now < end && !w.sim->failed && !is_fit())
		pass(USEC);
	if (!is_fit())
		sim_fail(w.sim, "%u of %u are ready%s",
		    pool_count(w.p, SLOT_READY), pool_target(w.p),
		    pool_reloading(w.p) ? ", the reload does not end" : "");
	pass(2 * w.conf.max_age + 30 * USEC);
	check_ages();
}

static void
setup(struct sim *s)
{
	w = (struct world){ .sim = s, .used = 1, .end = SLOTS,
	    .now = 1000 * USEC, .pid = 100,
	    .mean = 20 * MS, .hash = UINT64_C(0xcbf29ce484222325) };
	w.arrival = w.now + MS;
	w.blind = chance(8);
	w.blinks = chance(4);
	w.open = chance(3);
	w.conf = (struct pool_conf){ .stop_signal = SIGTERM,
	    .workers = (unsigned int)sim_between(s, 0, 6), .max = 8,
	    .surge = (unsigned int)sim_between(s, 0, 4),
	    .processes = chance(3) ? 9 : 0,
	    .drains = sim_random(s) % 2, .door = s->random >> 7 & 1,
	    .set_id = (s->random >> 8 & 7) == 0,
	    .canary = sim_random(s) % 2 ? POOL_CANARY : 0,
	    .max_age = chance(3) ? 10 * USEC : 0,
	    .max_rss = chance(3) ? 1000 : 0,
	    .request_timeout = chance(3) ? 3 * USEC : 0,
	    .start_timeout = sim_between(s, 1, 10) * USEC,
	    .stop_timeout = sim_between(s, 1, 10) * USEC, .seed = s->random };
	if ((w.p = pool_new(&w.conf, w.now)) == NULL)
		abort();
	if (pool_slots(w.p) > SLOTS)
		abort();
	graph_begin(w.p);
	act();
	check_always();
}

static void
check_end(void)
{
	unsigned int i;

	pass(w.conf.stop_timeout + 5 * USEC);
	if (!w.done)
		sim_fail(w.sim, "the stop does not end");
	for (i = 0; i < PROCS && w.done; i++) {
		if (w.procs[i].pid != 0)
			sim_fail(w.sim, "process %d is left",
			    (int)w.procs[i].pid);
	}
	if (w.conf.drains && !w.fast && !w.unsure && w.depth != w.left)
		sim_fail(w.sim, "%u are left, %u are said to be", w.depth,
		    w.left);
}

/* A stop when nothing goes wrong: all that waits or is served is answered. */
static void
stop_calmly(void)
{
	uint64_t lost = w.lost;

	w.depth = (unsigned int)sim_between(w.sim, 0,
	    w.conf.stop_timeout / USEC * 10);
	stop(false);
	check_end();
	if (w.lost != lost)
		sim_fail(w.sim, "%" PRIu64 " requests are lost",
		    w.lost - lost);
	if (w.conf.drains && w.depth > 0)
		sim_fail(w.sim, "%u connections are left", w.depth);
}

static void
stop_anyhow(struct sim *s)
{
	/* Who waits then must be served by one that is yet to start. */
	if (chance(4) && !w.failed) {
		tell((struct pool_event){ .what = EV_TARGET, .workers = 0 });
		pass(sim_between(s, 1, 2 * w.conf.stop_timeout));
	}
	if (!w.failed)
		stop(chance(4));
	if (chance(4)) {
		pass(sim_between(s, 1, USEC));
		if (!w.done)
			stop(false);
	}
	check_end();
}

static uint64_t
run_once(struct sim *s, bool calm)
{
	unsigned int i;

	setup(s);
	for (i = 0; i < EVENTS && !s->failed && !w.failed && !w.stopping;
	    i++) {
		random_event();
		if (i % 10 == 0)
			check_trace();
	}
	if (w.stopping && !w.failed)
		check_end();
	else if (calm && !w.failed && !s->failed) {
		resume();
		calm_down();
		stop_calmly();
	} else
		stop_anyhow(s);
	check_trace();
	pool_free(w.p);
	snprintf(s->said, sizeof(s->said), "%" PRIu64 " events, %" PRIu64
	    " requests lost", w.events, w.lost);
	return w.hash;
}

static void
run(struct sim *s, bool calm)
{
	uint64_t seed = s->random, hash = run_once(s, calm);

	if (s->failed)
		return;
	s->random = seed;
	if (run_once(s, calm) != hash)
		sim_fail(s, "two runs differ");
}

static void
stop_in_the_middle(struct sim *s)
{
	run(s, false);
}

static void
calm_again(struct sim *s)
{
	run(s, true);
}

static const struct sim_case cases[] = {
	{ "stop", stop_in_the_middle },
	{ "calm", calm_again },
};

/* What all that the simulation can do makes the slots go through. */
static int
draw(void)
{
	struct sim s;
	uint64_t i;
	size_t k;

	for (i = 1; i <= DRAWN_SEEDS; i++) {
		for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
			s = (struct sim){ .random = i };
			cases[k].run(&s);
			if (s.failed)
				return 1;
		}
	}
	graph_print();
	return 0;
}

int
main(int argc, char *argv[])
{
	if (argc == 3 && strcmp(argv[1], "-t") == 0)
		return replay_file(argv[2]);
	if (argc == 2 && strcmp(argv[1], "--graph") == 0)
		return draw();
	return sim_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
