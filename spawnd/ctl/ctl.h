/* SPDX-License-Identifier: ISC */
/* What the files of spawnctl(1) share. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "base/base.h"
#include "client/client.h"

/* choose.c */
/*
 * Finds the pool that -p names or, if pool is NULL, the only one; with `all`
 * there may be several. service: the command has --all, which an error then
 * names. Returns 0, or -1 with *e set (64: there are several; 69: there is
 * none; 71; 77: none that we may ask); pools_free() frees *p in either case.
 */
int	 choose_find(struct pools *p, const char *pool, bool service,
	    bool all, struct err *e);
/*
 * Connects to the pool that -p names, or to the only one (pool is NULL); read:
 * the socket for reading will do. *t is for conn_close() afterwards, and needs
 * fd -1 before. Returns 0, or -1 with *e set (64, 69, 71, 75, 77).
 */
int	 choose_open(struct conn *t, const char *pool, bool read,
	    struct err *e);
/*
 * Prints a line for each pool, or the one that -p names; nothing if none runs.
 * A pool that does not answer has the reason in its line. Returns 0, or -1 with
 * *e set (69, 71, 74, 77).
 */
int	 choose_list(const char *pool, struct err *e);

/* diagnose.c */
/*
 * Each asks the pool on an open connection and writes what follows on standard
 * output. They return 0, or -1 with *e set as by conn_ask(), or to 74.
 */
/* What the pool did last, see writer_trace(). */
int	 diagnose_trace(struct conn *t, struct err *e);
/*
 * What is wrong with it right now. Also returns -1, with the status 1 and an
 * empty text, if something is: that was written.
 */
int	 diagnose_now(struct conn *t, struct err *e);
/*
 * How large it should be, as advise_write(). Fails with 76 if its spawnd is too
 * old to tell.
 */
int	 diagnose_size(struct conn *t, bool json, struct err *e);

/* advise.c */
/*
 * Writes how large the pool should be, in words or as JSON, from the answers to
 * "status full" and "load" in *a, and flushes f. Returns 0, or -1 with *e set
 * (71, 74).
 */
int	 advise_write(FILE *f, const struct reply *a, bool json,
	    struct err *e);

/* top_draw.c: one picture of it, without any system call */
struct frame {
	int		 rows, columns;	/* of the terminal */
	bool		 utf8;		/* it shows more than ASCII */
	int		 first;		/* index of the topmost worker */
};

/*
 * Draws at most v->rows lines of v->columns cells into buf, of `size` bytes,
 * from the answers to "status" and "history"; the lines end in newlines, but
 * for the last, and the text in a NUL. Returns its length without that.
 */
size_t	 top_draw_frame(const struct frame *v, const struct reply *status,
	    const struct reply *history, char *buf, size_t size);

/* top.c */
/*
 * Shows the pool, again each second, until q is pressed or a signal ends that.
 * Returns 0, or -1 with *e set as by conn_ask() (69 also without a terminal).
 */
int	 top_run(struct conn *t, struct err *e);

/* agent.c */
/*
 * Takes `word` of the command line if it is an option of "agent", with `next`,
 * the word behind it or NULL, if the value is there. Keeps pointers to both.
 * Returns how many words it took, 0: it is no such option, or -1 with *e set
 * (64, 71).
 */
int	 agent_option(const char *word, const char *next, struct err *e);
/* Returns the last such option that was given, for an error; or NULL. */
const char *agent_given(void);
/*
 * Tells a balancer how that pool is, or the only one (NULL): once on standard
 * output, or with --listen whoever asks, for ever. A pool that does not run or
 * answer is told, too, and is no error. Returns 0, or -1 with *e set (64, 69:
 * cannot listen; 71, 74, 76, 77).
 */
int	 agent_run(const char *which, struct err *e);

/* service.c */
/*
 * Has the script of the service files do `how` ("restart" or "diff") for a
 * pool, by its name; for the only one (pool is NULL); or with `all` for one
 * after another until one fails. self is argv[0]. Returns 0, or -1 with *e set
 * (64, 69, 71, 74, 77, the script's own status, or 70 if a signal has ended
 * it).
 */
int	 service_command(const char *self, const char *how, const char *pool,
	    bool all, struct err *e);

#endif
