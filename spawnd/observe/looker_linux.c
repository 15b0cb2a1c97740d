/* SPDX-License-Identifier: ISC */
/*
 * The looker: a child of the supervisor, made when it is first needed, that
 * reads those files of /proc whose owner can make the reader wait. The
 * supervisor waits 20 ms for an answer. On a loaded host, or about a large
 * process, that may come later, and until then nothing else is asked; but one
 * that has none after 5 s is killed and given up, and never waited for: not
 * even KILL ends every wait.
 *
 * Through the looker goes what takes a lock that its owner can hold for ever,
 * or asks a file system that its owner has chosen: fdinfo/N of an epoll (its
 * mutex), smaps_rollup (the memory map), fd/N followed (statx).
 *
 * The supervisor itself reads the rest, which takes spin locks, RCU or a lock
 * of the whole system that nobody sleeps with: statm, status, schedstat, task,
 * task/T/children and, with a wait at an exec, stat, syscall and the names of
 * fd/N; it writes oom_score_adj. Two waits are left here, and both take a file
 * system that does not answer: an exec closes files with a lock held that those
 * three take (seen on Linux 6.18; syscall always did, and that only an ancestor
 * may read where Yama is), which KILL ends; and a directory of /proc waits for
 * whoever lists it into memory that is a file, which KILL may not end.
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

enum result { RESULT_REPLY, RESULT_NONE, RESULT_ENDED };

/* What is asked, and what follows if there is no answer. */
static const struct {
	looker_answer	*answer;
	const char	*unknown;
} kinds[] = {
	[LOOKER_QUIET] = { quiet_find, "counts as busy" },
	[LOOKER_PSS] = { usage_find_pss, "has no known pss" },
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == LOOKER_NWHAT,
    "an answer for each question");

static pid_t looker;			/* 0: there is none */
static int channel = -1;		/* to it */
static struct looker_question question;	/* the last one */
static uint64_t asked_at;
static bool late;			/* it has not been answered yet */
static uint64_t made_at, spent;
static unsigned int lost;
/* Those that were not reaped yet. One given up may never be. */
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
find(pid_t pid)
{
	int i = 0;

	while (i < CHILDREN && children[i] != pid)
		i++;
	return i < CHILDREN ? &children[i] : NULL;
}

bool
looker_is(pid_t pid)
{
	return find(pid) != NULL;
}

uint64_t
looker_spent(void)
{
	return spent;
}

/* The looker's side, until the supervisor closes its end. */
static void __attribute__((noreturn))
serve(void)
{
	struct looker_question q;
	struct reply r;

	while (recv(STDIN_FILENO, &q, sizeof(q), 0) == sizeof(q)) {
		r = (struct reply){ .sequence = q.sequence };
		r.known = kinds[q.what].answer(&q, &r.value);
		if (send(STDIN_FILENO, &r, sizeof(r), MSG_NOSIGNAL) == -1)
			break;
	}
	_exit(0);
}

/*
 * All signals stay blocked: one to our whole process group is not meant for
 * us, and the handlers are the loop's. What is opened later gets a number
 * from 2 on and is read only, so that no library's complaint goes astray.
 */
static void __attribute__((noreturn))
become(int fd, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1 ||
	    getppid() != parent ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    dup2(fd, STDIN_FILENO) == -1 || proc_move(STDOUT_FILENO) == -1)
		_exit(1);
	closefrom(STDERR_FILENO);
	prctl(PR_SET_NAME, "spawnd: looker", 0, 0, 0);
	setproctitle("-spawnd: looker");
	serve();
}

static void
forget(void)
{
	close(channel);
	channel = -1;
	looker = 0;
	late = false;
}

/*
 * It is not waited for, but reaped whenever it ends, see looker_reaped().
 * asked: it owes an answer.
 */
static void
give_up(const char *why, bool asked)
{
	char whom[64] = "";
	int pid = (int)looker;
	uint64_t wait;

	if (looker_is(looker))
		kill(looker, SIGKILL);
	forget();
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
		    "is restarted, event loops with an open connection count "
		    "as busy and pss is unknown)", pid, why, whom, LOOKER_MAX);
}

/* Waits for the answer to the last question, all others are dropped. */
static enum result
receive(struct reply *r, uint64_t until)
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

static void on_time(void);

/* What follows from a wait for the answer. Returns true if it is there. */
static bool
conclude(enum result result)
{
	uint64_t give_up_at = asked_at + LOOKER_PATIENCE;

	late = result == RESULT_NONE;
	if (result == RESULT_ENDED)
		give_up("ended before it answered", true);
	else if (late && loop_now() >= give_up_at)
		give_up("killed: it did not answer in time", true);
	else if (late)
		loop_timer(TIMER_LOOKER, give_up_at, on_time);
	return result == RESULT_REPLY;
}

/* It owes an answer for long, or nobody has asked for long. */
static void
on_time(void)
{
	uint64_t due = asked_at + LOOKER_IDLE;
	struct reply r;

	if (late)
		conclude(receive(&r, 0));
	if (looker == 0 || late)
		return;
	if (loop_now() < due)
		loop_timer(TIMER_LOOKER, due, on_time);
	else
		forget();	/* it ends by that */
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
		become(ends[1], parent);
	loop_unblock_signals();
	close(ends[1]);
	channel = ends[0];
	if (pid == -1)
		forget();
	return pid;
}

static void
make(uint64_t now)
{
	pid_t pid, *child = find(0);

	if (child == NULL || looker_wait(lost, made_at, now) != 0)
		return;
	made_at = now;
	if ((pid = fork_looker()) == -1) {
		log_warn("looker: cannot start: %s (event loops with an open "
		    "connection count as busy and pss is unknown; it is tried "
		    "again in %u s at the earliest)", strerror(errno),
		    (unsigned int)(LOOKER_PAUSE / USEC));
		return;
	}
	*child = looker = pid;
	loop_timer(TIMER_LOOKER, now + LOOKER_IDLE, on_time);
}

static bool
ask(const struct looker_question *q, uint64_t now, struct reply *r)
{
	enum result result = RESULT_ENDED;
	uint32_t last = question.sequence;

	/* The answer to the last question may be there by now. */
	if (late && !conclude(receive(r, now)))
		return false;
	if (looker == 0)
		make(now);
	if (looker == 0)
		return false;
	question = *q;
	question.sequence = last + 1;
	asked_at = loop_now();
	if (send(channel, &question, sizeof(question), MSG_DONTWAIT |
	    MSG_NOSIGNAL) == sizeof(question))
		result = receive(r, asked_at + LOOKER_TIME);
	return conclude(result);
}

bool
looker_ask(const struct looker_question *q, uint64_t *value)
{
	uint64_t now = loop_now();
	struct reply r;
	bool known = ask(q, now, &r) && r.known;

	spent += loop_now() - now;
	if (known)
		*value = r.value;
	return known;
}

void
looker_reaped(pid_t pid)
{
	pid_t *child = find(pid);

	if (child == NULL)
		return;
	*child = 0;
	if (pid == looker)
		give_up(late ? "ended before it answered" :
		    "was ended by somebody else", late);
}

void
looker_close(void)
{
	struct pollfd p = { .fd = channel };

	if (looker == 0)
		return;
	kill(looker, SIGKILL);
	poll(&p, 1, (int)(LOOKER_TIME / 1000));	/* its end is closed then */
	forget();
}
