/* SPDX-License-Identifier: ISC */
/*
 * The pool under a clock of its own, over processes made of numbers: they
 * start, serve what waits in a queue, hang, hide, ignore signals and die, and
 * the pool is reloaded, sized and stopped in the middle of anything. What it
 * does is held against what really is. Each seed runs twice: both must agree.
 */
#include <inttypes.h>
#include <signal.h>

#include "pool.h"
#include "sim.h"

#define MS		UINT64_C(1000)
#define SLOTS		128
#define EVENTS		150
#define CALM		(600 * USEC)

struct proc {
	pid_t		 pid;		/* 0: none */
	bool		 catches, deaf, hidden, brittle, recycles, leads;
	bool		 told, stopped, slow, going;
	uint64_t	 pause;		/* from STOP until it has stopped */
	uint64_t	 ready_at, die_at, done_at, halt_at;
	uint64_t	 connection, began;
	uint64_t	 since;		/* retiring */
	int		 status;
};

struct world {
	struct sim	*sim;
	struct pool	*p;
	struct pool_conf conf;
	struct proc	 procs[SLOTS];
	pid_t		 pid;
	uint64_t	 now, arrival, mean, connection, hash, events;
	uint64_t	 stopped_at;
	unsigned int	 depth, left;
	bool		 calm, stopping, fast, closed, failed, done, said_left;
};

static struct world w;

static bool
chance(unsigned int n)
{
	return !w.calm && sim_random(w.sim) % n == 0;
}

static void
trace(const char *what, uint64_t a, uint64_t b)
{
	const char *c;

	for (c = what; *c != '\0'; c++)
		w.hash = (w.hash ^ (uint64_t)*c) * UINT64_C(0x100000001b3);
	w.hash = (w.hash ^ a) * UINT64_C(0x100000001b3);
	w.hash = (w.hash ^ b) * UINT64_C(0x100000001b3);
	w.hash = (w.hash ^ w.now) * UINT64_C(0x100000001b3);
	if (w.sim->verbose)
		printf("# %" PRIu64 " %s %" PRIu64 " %" PRIu64 "\n", w.now,
		    what, a, b);
}

static void
tell_pool(const struct pool_event *ev)
{
	w.events++;
	trace("event", ev->what, ev->slot);
	pool_event(w.p, ev, w.now);
}

static bool
is_free(const struct proc *p)
{
	return p->pid != 0 && !p->stopped && p->connection == 0 &&
	    p->ready_at <= w.now && p->die_at == NEVER &&
	    (!p->told || p->deaf);
}

static void
serve(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS && w.depth > 0; i++) {
		struct proc *p = &w.procs[i];

		if (!is_free(p) || p->leads)
			continue;
		w.depth--;
		p->connection = ++w.connection;
		p->began = w.now;
		p->done_at = chance(200) ? NEVER :
		    w.now + sim_exponential(w.sim, 20 * MS) + 1;
	}
}

static void
die(struct proc *p, int status)
{
	if (p->die_at == NEVER || status == SIGKILL) {
		p->status = status;
		p->die_at = w.now + sim_between(w.sim, 1, MS);
	}
}

/* It has met its stop signal, or meets it when it is continued. */
static void
heed(struct proc *p)
{
	if (p->stopped)
		return;
	if (!p->catches)
		die(p, w.conf.stop_signal);
	else if (!p->deaf && p->connection == 0)
		die(p, 0);
}

static void
do_spawn(unsigned int slot)
{
	struct pool_event ev = { .what = EV_SPAWNED, .slot = slot };
	struct proc *p = &w.procs[slot];
	unsigned int i, n = 0, untold = 0;

	for (i = 0; i < SLOTS; i++) {
		struct pool_worker x;

		n += pool_worker(w.p, i, &x) && !x.stray;
		untold += w.procs[i].pid != 0 && !w.procs[i].told &&
		    w.procs[i].die_at == NEVER;
	}
	if (p->pid != 0)
		sim_fail(w.sim, "slot %u has a process already", slot);
	if (n > pool_max(w.p) + 1)
		sim_fail(w.sim, "%u workers, %u may be, %u wanted", n,
		    pool_max(w.p), pool_target(w.p));
	n = pool_count(w.p, SLOT_SPAWNING) + pool_count(w.p, SLOT_STARTING) +
	    pool_count(w.p, SLOT_READY) + pool_count(w.p, SLOT_BACKOFF);
	if (pool_phase(w.p) == PHASE_UP && n > pool_target(w.p) + 1)
		sim_fail(w.sim, "%u stay, %u are wanted", n,
		    pool_target(w.p));
	if (w.stopping && (w.depth == 0 || untold > 0))
		sim_fail(w.sim, "spawned in a stop: %u wait, %u serve",
		    w.depth, untold);
	if (chance(15)) {
		ev.what = EV_NOFORK;
		ev.error = 11;
		tell_pool(&ev);
		return;
	}
	*p = (struct proc){ .pid = ev.pid = ++w.pid, .die_at = NEVER,
	    .done_at = NEVER, .halt_at = NEVER,
	    .catches = sim_random(w.sim) % 2, .deaf = chance(10),
	    .hidden = chance(10), .brittle = chance(4),
	    .recycles = chance(4), .leads = chance(12),
	    .pause = chance(5) ? 60 * MS : 10 };
	p->ready_at = w.now + sim_between(w.sim, 1, chance(6) ? 4 * USEC :
	    100 * MS);
	if (chance(12)) {
		p->status = chance(3) ? 0 : 1 << 8;
		p->die_at = w.now + sim_between(w.sim, 1, 50 * MS);
		p->ready_at = NEVER;
	}
	tell_pool(&ev);
}

static struct exam
examine(const struct proc *p)
{
	struct exam x = { .catches = p->catches, .leads = p->leads,
	    .frozen = p->stopped && p->halt_at == NEVER,
	    .connection = p->connection, .waits = is_free(p) || p->stopped };

	x.holds = p->hidden ? HOLDS_UNKNOWN : p->connection != 0 ?
	    HOLDS_BUSY : HOLDS_NOTHING;
	x.age = p->connection != 0 ? w.now - p->began : 0;
	return x;
}

static void
check_signal(unsigned int slot, const struct proc *p, int signo)
{
	uint64_t limit = w.conf.stop_timeout;
	unsigned int i;

	if (p->pid == 0)
		sim_fail(w.sim, "signal %d, slot %u: no process", signo,
		    slot);
	for (i = 0; signo == SIGSTOP && i < SLOTS; i++) {
		if (w.procs[i].pid != 0 && w.procs[i].stopped)
			sim_fail(w.sim, "two are stopped");
	}
	if (w.fast || signo == SIGCONT || p->connection == 0 || p->slow ||
	    p->die_at != NEVER)
		return;
	if (signo == SIGSTOP)
		sim_fail(w.sim, "slot %u is busy and is stopped", slot);
	else if (signo != SIGKILL && !p->catches)
		sim_fail(w.sim, "slot %u is busy and is told", slot);
	else if (signo == SIGKILL && w.now < p->since + limit &&
	    (!w.stopping || w.now < w.stopped_at + limit))
		sim_fail(w.sim, "slot %u is busy and is killed, after %"
		    PRIu64 " of %" PRIu64, slot, w.now - p->since, limit);
}

static void
do_signal(unsigned int slot, int signo)
{
	struct proc *p = &w.procs[slot];

	trace("signal", slot, (uint64_t)signo);
	check_signal(slot, p, signo);
	if (signo == SIGKILL) {
		p->stopped = false;
		p->halt_at = NEVER;
		die(p, SIGKILL);
	} else if (signo == SIGSTOP) {
		p->stopped = true;
		p->halt_at = w.now + p->pause;
	} else if (signo == SIGCONT) {
		p->stopped = false;
		p->halt_at = NEVER;
		if (p->told)
			heed(p);
	} else {
		p->told = true;
		heed(p);
	}
}

static void
do_notice(const struct pool_notice *n)
{
	trace("notice", n->what, n->slot);
	if (n->what == NOTICE_SLOW)
		w.procs[n->slot].slow = true;
	else if (n->what == NOTICE_FAILED)
		w.failed = w.fast = w.stopping = true;
	else if (n->what == NOTICE_DONE)
		w.done = true;
	else if (n->what == NOTICE_LEFT) {
		w.said_left = true;
		w.left = n->count;
	}
}

static void
do_shut(void)
{
	unsigned int i;

	w.closed = true;
	for (i = 0; i < SLOTS; i++) {
		if (is_free(&w.procs[i]) && w.procs[i].brittle)
			die(&w.procs[i], 1 << 8);
	}
}

/* Those that are answered at once. */
static void
do_asked(const struct pool_action *a)
{
	struct proc *p = &w.procs[a->slot];
	struct pool_event ev = { .slot = a->slot };

	if (a->what == POOL_LOOK) {
		ev.what = EV_LOOKED;
		ev.look = p->ready_at <= w.now ? LOOK_READY :
		    p->hidden ? LOOK_UNKNOWN : LOOK_NO;
	} else if (a->what == POOL_EXAMINE) {
		ev.what = EV_EXAMINED;
		ev.exam = examine(p);
	} else if (a->what == POOL_MEASURE_SIZE) {
		ev.what = EV_MEASURED;
		ev.size = chance(8) ? 2 * w.conf.max_rss : 1;
	} else if (a->what == POOL_PROVE) {
		ev.what = EV_PROVED;
		ev.exam.connection = p->connection;
	} else if (a->what == POOL_OVERDUE_LOOK) {
		ev.what = EV_OVERDUE;
		ev.overdue.age = w.now - p->began;
		ev.overdue.pid = p->pid;
		ev.overdue.late = p->connection != 0 &&
		    ev.overdue.age > w.conf.request_timeout;
	} else {
		ev.what = EV_QUEUE;
		ev.queue.known = true;
		ev.queue.depth = w.depth;
	}
	tell_pool(&ev);
}

static void
act(void)
{
	struct pool_action a;

	while (pool_next(w.p, &a)) {
		trace("action", a.what, a.slot);
		if (a.what == POOL_SPAWN)
			do_spawn(a.slot);
		else if (a.what == POOL_SIGNAL)
			do_signal(a.slot, a.signo);
		else if (a.what == POOL_SIGNAL_HOLDER) {
			if (w.procs[a.slot].pid != a.pid)
				sim_fail(w.sim, "no holder");
			w.procs[a.slot].slow = true;
			do_signal(a.slot, a.signo);
		} else if (a.what == POOL_ADOPT)
			w.procs[a.slot] = (struct proc){ .pid = a.pid,
			    .die_at = NEVER, .done_at = NEVER,
			    .halt_at = NEVER, .pause = 10 };
		else if (a.what == POOL_NOTICE)
			do_notice(&a.notice);
		else if (a.what == POOL_SHUT)
			do_shut();
		else if (a.what == POOL_REFUSE)
			w.closed = true;
		else
			do_asked(&a);
	}
}

static void
check_always(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		struct proc *p = &w.procs[i];
		enum slot_state s;

		if (p->pid == 0)
			continue;
		if ((s = pool_state(w.p, i)) == SLOT_READY)
			p->since = 0;
		else if (s >= SLOT_RETIRING && p->since == 0)
			p->since = w.now;
		if (s == SLOT_EMPTY || s == SLOT_BACKOFF)
			sim_fail(w.sim, "slot %u: a process is lost", i);
		if (p->stopped && s != SLOT_FREEZING)
			sim_fail(w.sim, "slot %u is left stopped", i);
	}
	if (pool_deadline(w.p) == NEVER && !w.done &&
	    (pool_count(w.p, SLOT_STARTING) > 0 ||
	    pool_count(w.p, SLOT_RETIRING) > 0 ||
	    pool_count(w.p, SLOT_STOPPING) > 0 ||
	    pool_count(w.p, SLOT_BACKOFF) > 0))
		sim_fail(w.sim, "a deadline is lost");
}

static void
tell(struct pool_event ev)
{
	tell_pool(&ev);
	act();
	check_always();
}

/* What is due of one process by now. */
static void
process_due(unsigned int slot)
{
	struct proc *p = &w.procs[slot];
	struct pool_event ev = { .what = EV_EXIT, .slot = slot };

	if (p->die_at <= w.now) {
		ev.status = p->status;
		ev.moved = p->connection != 0 ? MOVED_YES : MOVED_NO;
		p->pid = 0;
		p->stopped = false;
		p->die_at = p->done_at = p->halt_at = NEVER;
		tell(ev);
		return;
	}
	if (p->halt_at <= w.now) {
		p->halt_at = NEVER;
		ev.what = EV_HALTED;
		tell(ev);
	} else if (p->done_at <= w.now && !p->stopped) {
		p->done_at = NEVER;
		p->connection = 0;
		if (p->told)
			heed(p);
		else if (p->recycles && chance(20))
			die(p, 0);
	}
}

static uint64_t
next_time(uint64_t end)
{
	uint64_t t = pool_deadline(w.p);
	unsigned int i;

	if (w.arrival < t && !w.closed)
		t = w.arrival;
	for (i = 0; i < SLOTS; i++) {
		const struct proc *p = &w.procs[i];

		if (p->pid == 0)
			continue;
		if (p->die_at < t)
			t = p->die_at;
		if (p->halt_at < t)
			t = p->halt_at;
		if (p->done_at < t && !p->stopped)
			t = p->done_at;
		if (w.depth > 0 && p->ready_at > w.now && p->ready_at < t)
			t = p->ready_at;
	}
	return t < end ? t : end;
}

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
		for (i = 0; i < SLOTS; i++) {
			if (w.procs[i].pid != 0)
				process_due(i);
		}
		serve();
		if (pool_deadline(w.p) <= w.now) {
			pool_tick(w.p, w.now);
			w.events++;
			act();
			check_always();
		}
	}
}

static void
stop(bool fast)
{
	if (!w.stopping)
		w.stopped_at = w.now;
	w.fast |= fast || w.stopping;
	w.stopping = true;
	tell((struct pool_event){ .what = fast ? EV_STOP_FAST : EV_STOP });
}

static void
random_event(void)
{
	unsigned int slot = (unsigned int)sim_between(w.sim, 0, 8);
	struct proc *p = &w.procs[slot];

	switch (sim_random(w.sim) % 12) {
	case 0:
	case 1:
		if (p->pid != 0 && !p->stopped)
			die(p, SIGSEGV);
		break;
	case 2:
		tell((struct pool_event){ .what = EV_RELOAD });
		break;
	case 3:
		tell((struct pool_event){ .what = EV_TARGET, .workers =
		    (unsigned int)sim_between(w.sim, 0, w.conf.max) });
		break;
	case 4:
		tell((struct pool_event){ .what = EV_STRAY,
		    .pid = ++w.pid });
		break;
	case 5:
		w.mean = sim_between(w.sim, 2 * MS, USEC);
		break;
	case 6:
		if (p->pid != 0)
			p->hidden = chance(2);
		break;
	default:
		break;
	}
	pass(sim_between(w.sim, 1, chance(4) ? 5 * USEC : 100 * MS));
}

/* Nothing goes wrong any more: what was stuck goes on. */
static void
calm_down(void)
{
	uint64_t end = w.now + CALM;
	unsigned int i;

	w.calm = true;
	w.mean = USEC;
	for (i = 0; i < SLOTS; i++) {
		struct proc *p = &w.procs[i];

		p->hidden = p->deaf = false;
		if (p->connection != 0 && p->done_at == NEVER)
			p->done_at = w.now + MS;
	}
	while (w.now < end && !w.sim->failed && !w.failed) {
		pass(USEC);
		if (pool_count(w.p, SLOT_READY) == pool_target(w.p) &&
		    pool_count(w.p, SLOT_EMPTY) ==
		    pool_slots(w.p) - pool_target(w.p))
			return;
	}
	if (!w.failed)
		sim_fail(w.sim, "%u of %u are ready",
		    pool_count(w.p, SLOT_READY), pool_target(w.p));
}

static void
setup(struct sim *s)
{
	w = (struct world){ .sim = s, .now = 1000 * USEC, .pid = 100,
	    .mean = 20 * MS, .hash = UINT64_C(0xcbf29ce484222325) };
	w.arrival = w.now + MS;
	w.conf = (struct pool_conf){ .stop_signal = SIGTERM,
	    .workers = (unsigned int)sim_between(s, 0, 6), .max = 8,
	    .drains = sim_random(s) % 2,
	    .proof = sim_random(s) % 2 ? POOL_PROOF : 0,
	    .max_age = chance(3) ? 10 * USEC : 0,
	    .max_rss = chance(3) ? 1000 : 0,
	    .request_timeout = chance(3) ? 3 * USEC : 0,
	    .start_timeout = sim_between(s, 1, 10) * USEC,
	    .stop_timeout = sim_between(s, 1, 10) * USEC, .seed = s->random };
	if ((w.p = pool_new(&w.conf, w.now)) == NULL)
		abort();
	act();
}

static void
check_end(void)
{
	pass(w.conf.stop_timeout + 5 * USEC);
	if (!w.done)
		sim_fail(w.sim, "the stop does not end");
	if (w.conf.drains && !w.fast && w.done && w.depth != w.left)
		sim_fail(w.sim, "%u are left, %u are said to be", w.depth,
		    w.left);
}

static uint64_t
run_once(struct sim *s, bool calm)
{
	unsigned int i;

	setup(s);
	for (i = 0; i < EVENTS && !s->failed && !w.failed; i++)
		random_event();
	if (calm && !w.failed)
		calm_down();
	if (!w.failed)
		stop(chance(4));
	if (chance(4)) {
		pass(sim_between(s, 1, USEC));
		if (!w.done)
			stop(false);
	}
	check_end();
	pool_free(w.p);
	snprintf(s->said, sizeof(s->said), "%" PRIu64 " events", w.events);
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

int
main(int argc, char *argv[])
{
	return sim_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
