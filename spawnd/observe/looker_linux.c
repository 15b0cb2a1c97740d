/* SPDX-License-Identifier: ISC */
/*
 * The looker: a child of the supervisor, forked at first need. It reads those
 * files of /proc whose owner can make the reader wait. The supervisor waits
 * 20 ms for an answer. On a loaded host, or about a large process, the answer
 * may come later; until then nothing else is asked. A looker that has not
 * answered after 5 s is killed and given up. Nothing waits for its end, since
 * not even KILL ends every wait.
 *
 * The looker reads what takes a lock that the owner can hold for ever, or what
 * asks a file system that the owner has chosen: fdinfo/N of an epoll (its
 * mutex), smaps_rollup (the memory map), mem, fd/N followed (statx).
 *
 * The supervisor itself reads the rest. Of that, statm, status, schedstat, task
 * and task/T/children take spin locks, RCU or a lock of the whole system that
 * nothing sleeps with. Two waits are left here, and both need a file system
 * that does not answer. An exec closes files while it holds a lock that stat,
 * syscall and the names of fd/N take (seen on Linux 6.18; syscall always took
 * it); KILL ends that. And a process that lists a directory of /proc into
 * memory mapped from a file can make other readers of that directory wait;
 * KILL may not end that.
 */
#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "observe/linux.h"
#include "observe/looker.h"

/* What the looker sends back. */
struct reply {
	uint32_t	 sequence;	/* of the question */
	bool		 known;
	uint64_t	 value;
};

#define CHILDREN	(LOOKER_MAX + 1)
#define LOOKER_NAME	"spawnd: looker"

enum result { RESULT_REPLY, RESULT_NONE, RESULT_ENDED };

/* What is asked, and what follows if there is no answer. */
static const struct {
	looker_answer	*answer;
	const char	*unknown;
} kinds[] = {
	[LOOKER_KEEPALIVE] = { keepalive_find, "counts as busy" },
	[LOOKER_PSS] = { usage_find_pss, "has no known pss" },
	[LOOKER_LISTENS] = { listens_find, "is ready once it sleeps" },
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == LOOKER_NWHAT,
    "an answer for each question");

static pid_t looker;			/* 0: there is none */
static int channel = -1;		/* to it */
static struct looker_question question;	/* the last one */
static uint64_t asked_at;
static bool late;			/* its answer is still due */
static uint64_t made_at, spent;
static unsigned int lost;
/* Lookers not reaped yet. One that was given up may stay for ever. */
static pid_t children[CHILDREN];

uint64_t
looker_wait(unsigned int nlost, uint64_t made, uint64_t now)
{
	if (nlost >= LOOKER_MAX)
		return NEVER;
	if (made == 0 || now - made >= LOOKER_PAUSE)
		return 0;
	return made + LOOKER_PAUSE - now;
}

static pid_t *
find_child(pid_t pid)
{
	int i = 0;

	while (i < CHILDREN && children[i] != pid)
		i++;
	return i < CHILDREN ? &children[i] : NULL;
}

bool
looker_is(pid_t pid)
{
	return find_child(pid) != NULL;
}

uint64_t
looker_spent(void)
{
	return spent;
}

static bool
send_question(struct looker_question *q)
{
	return pass_send(channel, q, sizeof(*q), &q->memory, q->memory != 0) ==
	    sizeof(*q);
}

/* The descriptor with it has another number here. */
static bool
receive_question(struct looker_question *q)
{
	size_t n = 1;
	int fd = 0;

	if (pass_receive(STDIN_FILENO, q, sizeof(*q), &fd, &n) != sizeof(*q))
		return false;
	q->memory = fd;
	return true;
}

/* The looker's side, until the supervisor closes its end. */
static void __attribute__((noreturn))
serve_questions(void)
{
	struct looker_question q;
	struct reply r;

	while (receive_question(&q)) {
		r = (struct reply){ .sequence = q.sequence };
		r.known = kinds[q.what].answer(&q, &r.value);
		if (q.memory > 0)
			close(q.memory);
		if (send(STDIN_FILENO, &r, sizeof(r), MSG_NOSIGNAL) == -1)
			break;
	}
	_exit(0);
}

/*
 * All signals stay blocked: the handlers are the loop's, and a signal to the
 * whole process group is not meant for us. Files opened later get numbers from
 * 2 on and are read only, so no library writes a complaint into one.
 */
static void __attribute__((noreturn))
become_looker(int fd, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1 ||
	    getppid() != parent ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    dup2(fd, STDIN_FILENO) == -1 || proc_move(STDOUT_FILENO) == -1)
		_exit(1);
	closefrom(STDERR_FILENO);
	self_name(LOOKER_NAME, sizeof(LOOKER_NAME) - 1, "");
	serve_questions();
}

static void
forget_looker(void)
{
	close(channel);
	channel = -1;
	looker = 0;
	late = false;
}

/*
 * Kills the looker without waiting for it; observe_reaped() hears of its end.
 * asked: its answer is due.
 */
static void
give_up_looker(const char *why, bool asked)
{
	char whom[64] = "";
	int pid = (int)looker;
	uint64_t wait;

	if (looker_is(looker))
		kill(looker, SIGKILL);
	forget_looker();
	lost++;
	if (asked)
		snprintf(whom, sizeof(whom), ", so process %d %s",
		    (int)question.pid, kinds[question.what].unknown);
	wait = looker_wait(lost, made_at, loop_now());
	if (wait != NEVER)
		log_warn("looker %d: %s%s (a new looker may start in %u s)",
		    pid, why, whom, (unsigned int)((wait + USEC - 1) / USEC));
	else
		log_warn("looker %d: %s%s (it was the last of %d: until spawnd "
		    "is restarted, it takes an event loop that sleeps for "
		    "ready and one with an open connection for busy, and pss "
		    "is unknown)", pid,
		    why, whom, LOOKER_MAX);
}

/* Waits for the answer to the last question; drops older answers. */
static enum result
receive_reply(struct reply *r, uint64_t until)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	uint64_t now;
	ssize_t n;

	for (;;) {
		n = recv(channel, r, sizeof(*r), MSG_DONTWAIT);
		if (n == sizeof(*r) && r->sequence == question.sequence)
			return RESULT_REPLY;
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			return RESULT_ENDED;
		if ((now = loop_now()) >= until)
			return RESULT_NONE;
		if (n == -1)
			poll(&p, 1, (int)((until - now + 999) / 1000));
	}
}

static void on_looker_time(void);

/* Acts on the result of a wait. Returns true if the answer has come. */
static bool
conclude(enum result result)
{
	uint64_t give_up_at = asked_at + LOOKER_PATIENCE;

	late = result == RESULT_NONE;
	if (result == RESULT_ENDED)
		give_up_looker("ended before it answered", true);
	else if (late && loop_now() >= give_up_at)
		give_up_looker("killed: it did not answer in time", true);
	else if (late)
		loop_timer(TIMER_LOOKER, give_up_at, on_looker_time);
	return result == RESULT_REPLY;
}

/* An answer is long overdue, or the last question long ago. */
static void
on_looker_time(void)
{
	uint64_t due = asked_at + LOOKER_IDLE;
	struct reply r;

	if (late)
		conclude(receive_reply(&r, 0));
	if (looker == 0 || late)
		return;
	if (loop_now() < due)
		loop_timer(TIMER_LOOKER, due, on_looker_time);
	else
		forget_looker();	/* it ends by that */
}

/* Returns the pid of a new one, or -1 with errno set. */
static pid_t
fork_looker(void)
{
	pid_t parent = getpid(), pid;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1)
		return -1;
	loop_block_signals();
	if ((pid = fork()) == 0)
		become_looker(ends[1], parent);
	loop_unblock_signals();
	close(ends[1]);
	channel = ends[0];
	if (pid == -1)
		forget_looker();
	return pid;
}

static void
make_looker(uint64_t now)
{
	pid_t pid, *child = find_child(0);

	if (child == NULL || looker_wait(lost, made_at, now) != 0)
		return;
	made_at = now;
	if ((pid = fork_looker()) == -1) {
		log_warn("looker: cannot start: %s (spawnd takes an event loop "
		    "that sleeps for ready and one with an open connection for "
		    "busy, and pss is unknown; it is tried again in %u s at "
		    "the earliest)",
		    strerror(errno),
		    (unsigned int)(LOOKER_PAUSE / USEC));
		return;
	}
	*child = looker = pid;
	loop_timer(TIMER_LOOKER, now + LOOKER_IDLE, on_looker_time);
}

static bool
ask_looker(const struct looker_question *q, uint64_t now, struct reply *r)
{
	enum result result = RESULT_ENDED;
	uint32_t last = question.sequence;

	/* The answer to the last question may be there by now. */
	if (late && !conclude(receive_reply(r, now)))
		return false;
	if (looker == 0)
		make_looker(now);
	if (looker == 0)
		return false;
	question = *q;
	question.sequence = last + 1;
	asked_at = loop_now();
	if (send_question(&question))
		result = receive_reply(r, asked_at + LOOKER_TIME);
	return conclude(result);
}

bool
looker_ask(const struct looker_question *q, uint64_t *value)
{
	uint64_t now = loop_now();
	struct reply r;
	bool known = ask_looker(q, now, &r) && r.known;

	spent += loop_now() - now;
	if (known)
		*value = r.value;
	return known;
}

void
observe_reaped(pid_t pid)
{
	pid_t *child = find_child(pid);

	if (child == NULL)
		return;
	*child = 0;
	if (pid == looker)
		give_up_looker(late ? "ended before it answered" :
		    "was ended by somebody else", late);
}

void
observe_close(void)
{
	struct pollfd p = { .fd = channel };

	if (looker == 0)
		return;
	kill(looker, SIGKILL);
	poll(&p, 1, (int)(LOOKER_TIME / 1000));	/* its end is closed then */
	forget_looker();
}
