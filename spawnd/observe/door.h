/* SPDX-License-Identifier: ISC */
/*
 * What the files share that follow the calls of traced tasks on Linux, by
 * ptrace(2). Times are microseconds of loop_now().
 */
#ifndef OBSERVE_DOOR_H
#define OBSERVE_DOOR_H

#include <sys/types.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ptrace_syscall_info;

/* A call on a connection that has begun, until it returns. */
struct transfer {
	uint64_t	 inode;		/* of a socket; 0: it is none */
	bool		 writes;
	bool		 ends;		/* with the end of an answer */
	size_t		 size;		/* bytes to be written */
	uint64_t	 buffer;	/* that it reads to; 0: several */
	uint64_t	 polls;		/* the only one that it waits for */
};

/* What is known of a task's calls. */
enum following {
	TASK_SEIZED,	/* nothing yet: it was not stopped since */
	TASK_FOLLOWED,	/* it stops at each call */
	TASK_HELD,	/* it is stopped at the entry of accept */
	TASK_PAUSED,	/* and of what comes after an answer */
	TASK_SKIPS	/* its call is not carried out */
};

struct task {
	pid_t		 tid;
	enum following	 following;
	long		 call;		/* that it is held at, or skips */
	unsigned long	 argument;	/* the first of that */
	int		 error;		/* TASK_SKIPS: what it returns */
	bool		 interrupted;	/* and is about to stop */
	bool		 admitted;	/* its accept is being carried out */
	bool		 waits;		/* so is a read, or a wait for one */
	uint64_t	 since;		/* when its call began; 0: in none */
	uint64_t	 counted;	/* since then: */
	uint64_t	 stops;
	uint64_t	 cost;		/* usec that these took */
	uint64_t	 took;		/* all between entries and exits */
	uint64_t	 delay;		/* of it and us, before; 0: unknown */
	bool		 lingered;	/* so long that it may be ended */
	unsigned int	 hurried;	/* so often, once it was signalled */
	struct transfer	 transfer;
	struct door	*door;
	RB_ENTRY(task)	 by_tid;
	TAILQ_ENTRY(task) of_door;
};

TAILQ_HEAD(task_list, task);

/* A connection on which the process has been seen to write. */
struct talk {
	uint64_t	 inode;
	bool		 ended;		/* the answer was the last thing */
	bool		 fresh;		/* used after the stop signal */
	bool		 shut;		/* it writes no more */
	bool		 vain;		/* and its client is owed nothing */
	TAILQ_ENTRY(talk) of_door;
};

TAILQ_HEAD(talk_list, talk);

/* A process whose tasks are followed. */
struct door {
	pid_t		 pid;
	pid_t		 root;		/* the worker it belongs to */
	struct task_list tasks;
	struct talk_list talks;
	uint64_t	 allowed;	/* stops of a task, see door_allow() */
	bool		 open;		/* each task is let go at its stop */
	bool		 broken;	/* a task could not be followed */
	bool		 orphaned;	/* its worker is gone */
	bool		 polls;		/* it counts on that accept fails */
	bool		 drains;	/* what waits in the queue is let in */
	bool		 dry;		/* but there is nothing any more */
	bool		 pausing;	/* nobody waits for a request, nor is
					   let in */
	bool		 signalled;	/* and no request is read any more */
	bool		 answered;	/* since the last look */
	bool		 has_read;	/* perhaps a request, since then */
	bool		 heard;		/* it has got that signal */
	bool		 parted;	/* its worker had, and is gone */
	bool		 fresh;		/* something was read since then */
	unsigned int	 repeats;	/* so often all were told again */
	bool		 asked;		/* door_ask(): it comes to its exec */
	bool		 seize_stop;	/* from there until it is followed */
	RB_ENTRY(door)	 by_pid;
};

/* task_linux.c: the tasks, one stop after the other */
/* Returns the task that is followed by that id, or NULL. */
struct task *task_find(pid_t tid);
/* Adds a task to a door. Returns it, or NULL without memory. */
struct task *task_add(struct door *d, pid_t tid);
/* Forgets a task that is gone, and frees it. */
void	 task_drop(struct task *t);
/* Lets a stopped task go on to its next stop, with that signal; 0: none. */
void	 task_go_on(struct task *t, int signo);
/* Restarts the call of a held or paused one. */
void	 task_restart(struct task *t);
/*
 * Attaches to a task by PTRACE_SEIZE, with door_key(). Returns 0, or -1 with
 * errno set.
 */
int	 task_attach(pid_t tid, long options);
/*
 * Follows a task of the door. Returns 0, also if it has ended meanwhile, or
 * -1: it cannot be followed.
 */
int	 task_seize(struct door *d, pid_t tid);
/* Interrupts a task if its program does not notice that. */
void	 task_interrupt(struct task *t);
/*
 * A task of a worker that was signalled need not wait: it reads the end of its
 * connection, or the call fails with EINTR, as if it had met the signal itself.
 * Returns false if that was done often enough.
 */
bool	 task_hears(struct task *t);
/*
 * Does it wait for its client to close a connection that is over, and has done
 * so for a while? If it is interrupted it goes on as if the client had.
 */
bool	 task_stops_lingering(struct task *t);
/* Has a held or paused task a signal to deal with? */
bool	 task_is_signalled(const struct task *t);
/*
 * It has stopped, with that si_status of waitid(2). It may be gone then, if its
 * door is open.
 */
void	 task_stopped(struct task *t, int status);

/* Is that si_status the stop of all its process, by a signal? */
bool	 task_is_stop(int status);

/* door_ask_linux.c: a worker that stops before its program begins */
/*
 * It has stopped after its exec, or for a signal before. In the first case it
 * is followed from then on, or let go if its door is open.
 */
void	 ask_stopped(struct door *d, int status);
/* Is that the stop in which it was seized? It goes on. To be asked once. */
bool	 ask_seize_stop(struct door *d, int status);

/* refusal_linux.c: logs, once, why (errno) a task could not be traced */
void	 refusal_note(pid_t pid, pid_t tid, int error);

/* toll_linux.c: what it costs to be followed */
/* It is counted anew. */
void	 toll_forget(struct task *t);
/* A call of the task has returned. */
void	 toll_count(struct task *t);
/*
 * Had a task more stops than allowed, that took too much of its time? To be
 * called every tenth of a second, or more often.
 */
bool	 toll_check(struct door *d);
/* Can it be left alone for a while, without harm to whom it serves? */
bool	 toll_may_rest(const struct door *d);

/* served_linux.c: which connections are between two requests */
/* A call of the task has begun, or returned. */
void	 served_entry(struct task *t, const struct ptrace_syscall_info *i);
void	 served_exit(struct task *t, const struct ptrace_syscall_info *i);
/* Has the process answered, and on each connection it was seen to write on? */
bool	 served_all(const struct door *d);
/* Is it a call that would read the next request of a connection? */
bool	 served_reads(const struct task *t);
/*
 * Does it wait for the other end of a connection, or of all, on which it has
 * said that it writes no more?
 */
bool	 served_lingers(const struct task *t);
/*
 * Does it so in vain? It was signalled between two requests: what comes now is
 * another one, which is to be left unread, so that its client hears of that.
 */
bool	 served_is_vain(const struct task *t);
/* Is there nothing that its client has not got, or it has not read? */
bool	 served_is_received(const struct task *t);
/*
 * It would read from a connection, and was signalled between two requests of
 * it. Has none begun since? What comes now is left unread, as above.
 */
bool	 served_is_between(const struct task *t);
/* Is the answer the last thing that the process did on that connection? */
bool	 served_is_over(const struct door *d, uint64_t inode);
void	 served_forget(struct door *d);

#endif
