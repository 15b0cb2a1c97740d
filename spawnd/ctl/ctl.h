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
 * names. Returns 0, or -1 with *e set (64, 69,
 * 71, 77); pools_free() frees *p in either case.
 */
int	 choose_find(struct pools *p, const char *pool, bool service,
	    bool all, struct err *e);
/*
 * Connects to the pool that -p names, or to the only one (pool is NULL); read:
 * the socket for reading will do. Returns 0, or -1 with *e set (64, 69, 75, 77,
 * and what conn_open() sets).
 */
int	 choose_open(struct conn *t, const char *pool, bool read,
	    struct err *e);
/*
 * Prints a line for each pool, or the one that -p names. Returns 0, or -1 with
 * *e set (69, 74, 77).
 */
int	 choose_list(const char *pool, struct err *e);

/* diagnose.c */
/* Writes what the pool did last. Returns 0, or -1 with *e set. */
int	 diagnose_trace(struct conn *t, struct err *e);
/*
 * Asks for, and writes, what is wrong with the pool right now, or how large it
 * should be. Returns 0, or -1 with *e set; its text is empty, and the status 1,
 * if something is wrong and that was written.
 */
int	 diagnose_now(struct conn *t, struct err *e);
int	 diagnose_size(struct conn *t, bool json, struct err *e);

/* advise.c */
/*
 * Writes how large the pool should be, in words or as JSON, from the answers to
 * "status full" and "load". Returns 0, or -1 with *e set (71, 74).
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
 * from the answers to "status" and "history". Returns the length of the text.
 */
size_t	 top_draw_frame(const struct frame *v, const struct reply *status,
	    const struct reply *history, char *buf, size_t size);

/* top.c */
/* Shows the pool until q is pressed. Returns 0, or -1 with *e set (69, 71). */
int	 top_run(struct conn *t, struct err *e);

/* agent.c */
/*
 * Takes one of its options, with the word behind it if its value is there.
 * Returns how many words that were, 0: it is none of them, or -1 with *e set
 * (64, 71).
 */
int	 agent_option(const char *word, const char *next, struct err *e);
/* One of them that was given, or NULL. */
const char *agent_given(void);
/*
 * Answers a balancer how that pool is, or the only one (NULL): once, or with
 * --listen for ever. Returns 0, or -1 with *e set (64, 69, 71, 74, 77).
 */
int	 agent_run(const char *which, struct err *e);

/* service.c */
/*
 * Has the script of the service files do that ("restart" or "diff") for a pool,
 * the only one (pool is NULL), or one after another until one fails. self is
 * argv[0]. Returns 0, or -1 with *e set (64, 69, 71, 74, 77, or the script's
 * own status).
 */
int	 service_command(const char *self, const char *how, const char *pool,
	    bool all, struct err *e);

#endif
