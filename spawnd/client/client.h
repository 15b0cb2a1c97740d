/* SPDX-License-Identifier: ISC */
/*
 * What every client of the control sockets needs: to find pools (find.c,
 * pools.c), to ask one (conn.c), to read its answer (reply.c) and to write that
 * down (writer_*.c). The daemon is never trusted: it may belong to another
 * user, so sizes and times are limited, and text is escaped before it is shown.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdio.h>

#include "base/base.h"
#include "proto/proto.h"

#define REPLY_RECORDS	100000		/* of one answer */
#define CONN_TIMEOUT	10000		/* ms from one record to the next */
#define CONN_WHOLE	60000		/* ms for a whole answer */
#define READY_TIMEOUT	60		/* s, of wait-ready */
#define POOLS_MAX	1000
#define FIND_PLACES	6		/* four of a user, and two of root */
#define STATE_SIZE	20		/* of a state as it is shown */
#define CELL_SIZE	41		/* of a cell of a table */
#define SHOW_SIZE	(4 * PROTO_LINE) /* of a value as it is shown */
#define HISTORY_SECONDS	300		/* that are drawn */

/*
 * All records of an answer, in their order; begins as { NULL, 0 }. reply_free()
 * frees them.
 */
struct reply {
	struct proto_record *list;
	size_t		 n;
};

/* A connection to a daemon. */
struct conn {
	int		 fd;		/* -1: none */
	int		 at;		/* the socket's directory, with fd */
	char		*dir;		/* the path that it was opened by */
	bool		 greeted;	/* "spawnd VERSION" has come */
	long long	 until;		/* the answer's end, by conn_clock() */
	bool		 late;		/* that has passed without one */
	int		 passed[PASSED_MAX];	/* descriptors that came, which
						   the caller closes */
	int		 npassed;	/* how many; -1: none is taken */
	bool		 (*gives_up)(struct conn *); /* in a wait; or NULL */
	long long	 asked;		/* gives_up()'s own, in ms */
	char		 buf[PROTO_LINE];
	char		 line[PROTO_LINE];
	struct proto_input input;
	struct proto_field fields[PROTO_FIELDS];
};

/* A pool that was found. */
struct found {
	char		*dir;		/* that of its sockets, or a socket */
	char		*name;		/* as it was found, or asked for */
};

/* By name; pools_free() frees them. */
struct pools {
	struct found	*list;
	size_t		 n;
	size_t		 denied;	/* so many more refuse us */
};

/*
 * find.c: the places of path_place(), directories in which pools have theirs;
 * own is XDG_RUNTIME_DIR, or NULL.
 */
/*
 * Fills list with the places of our own and of root's that are there, each
 * malloc'd. Returns how many.
 */
int	 find_places(const char *own, char *list[FIND_PLACES]);
/*
 * Returns the place, malloc'd, that has a pool of that name: the first where
 * one runs, else the first where one has left its directory; NULL: none has.
 */
char	*find_place(const char *name, const char *own);
/* Is it a directory, not a link, that only root and we can change? */
bool	 find_is_trusted(const char *path);
/* Is it a directory, not a link? Of a pool any user may own it. */
bool	 find_is_directory(const char *path);

/* pools.c: how pools are found */
/*
 * Finds the pool that `which` names (a name, or a path with a slash, of a
 * directory or socket), or with NULL all pools that run, at most POOLS_MAX. A
 * path is taken as it is. Returns 0, or -1 with *e set (69, 71). Either way
 * pools_free() may be called.
 */
int	 pools_find(const char *which, struct pools *p, struct err *e);
/* Frees what is in *p, and leaves it empty. */
void	 pools_free(struct pools *p);
/*
 * Returns the path of a pool's log, malloc'd. A start by our own user has
 * recorded it in the pool's directory, which is open as `at`; dir is the
 * directory's path, for the error. Returns NULL with *e set (71; 78: there is
 * no record that can be trusted).
 */
char	*pools_log(int at, const char *dir, struct err *e);
/*
 * Opens or creates a log for appending, as the daemon would (see
 * path_open_append()). Returns a close-on-exec descriptor, which the caller
 * closes, or -1 with *e set (73, 77).
 */
int	 pools_open_log(const char *path, struct err *e);

/* conn.c: a connection to one daemon */
/*
 * Connects to a pool's control socket or, where that fails and `read` is set,
 * to its status socket, which cannot change anything. dir is the directory of
 * both, or a socket itself. *t needs no contents; either way it is one for
 * conn_close() afterwards. Returns 0, or -1 with *e set (69: no pool runs
 * there, 71, 75, 77).
 */
int	 conn_open(struct conn *t, const char *dir, bool read, struct err *e);
/* Closes it, if it is open. */
void	 conn_close(struct conn *t);
/*
 * Sends a command without its newline, and a copy of the descriptor fd unless
 * that is -1. Returns 0, or -1 with *e set (64: it is too long, 69, 71, 75).
 */
int	 conn_send(struct conn *t, const char *command, int fd, struct err *e);
/*
 * Reads the next record of the answer into *r, where it lasts until the next
 * call. Waits CONN_TIMEOUT for it, or with `patient` for ever. Returns 1, 0 at
 * the end, or -1 with *e set: the daemon's own error, or 69, 71, 75, or 76 for
 * an answer that breaks the protocol.
 */
int	 conn_next(struct conn *t, bool patient, struct proto_record *r,
	    struct err *e);
/*
 * Sends a command and adds the records of its answer to *a, also those that
 * came before an error; the caller calls reply_free(). Returns 0, or -1 with *e
 * set: the daemon's own error, or 64, 69, 71, 75, 76, as by conn_send() and
 * conn_next().
 */
int	 conn_ask(struct conn *t, const char *command, struct reply *a,
	    struct err *e);
/*
 * From now on, of all connections, no wait lasts longer than that, nor does a
 * whole answer.
 */
void	 conn_hurry(long long ms);
/*
 * From now on conn_open() does not wait where a pool's queue of connections is
 * full, but fails (75).
 */
void	 conn_queue_never(void);
/*
 * For a caller that has set t->until to 0, after conn_next() has returned -1:
 * has it failed only because what came so far is read, so that it may be called
 * again once poll(2) says that more has come?
 */
bool	 conn_lacks_more(const struct conn *t);
/* Returns milliseconds of CLOCK_MONOTONIC. */
long long conn_clock(void);

/* reply.c: the records of an answer */
/*
 * Adds a copy of a record. Returns 0, or -1 with *e set (71; 76: there are
 * REPLY_RECORDS already).
 */
int	 reply_add(struct reply *a, const struct proto_record *r,
	    struct err *e);
/* Frees the records, and leaves *a empty. */
void	 reply_free(struct reply *a);
/*
 * Returns the first record of a kind, which belongs to *a, or one without
 * fields; never NULL.
 */
const struct proto_record *reply_find(const struct reply *a,
	    const char *kind);
/*
 * Returns the next record of a kind from index *i on, 0 at first, and moves *i
 * behind it; or NULL.
 */
const struct proto_record *reply_next(const struct reply *a,
	    const char *kind, size_t *i);
/*
 * Sets *value to a number of the first record of a kind. Returns false, with
 * *value as it was, if there is none.
 */
bool	 reply_number(const struct reply *a, const char *kind,
	    const char *key, double *value);
/* Returns that number, or `otherwise` if there is none. */
double	 reply_value(const struct reply *a, const char *kind,
	    const char *key, double otherwise);
/* Returns a value in buf, escaped to be shown; "" if there is none. */
const char *reply_show(const struct proto_record *r, const char *key,
	    char buf[SHOW_SIZE]);
/* Does the same, but cuts it to the characters that fit into `size` bytes. */
const char *reply_cut(const struct proto_record *r, const char *key,
	    char *buf, size_t size);
/*
 * Returns a value as a cell of a table, in buf or constant: a number by
 * `format` (reply_span() or reply_size()), unless that is NULL; other text as
 * by reply_cut(); "-" if there is none.
 */
const char *reply_cell(const struct proto_record *r, const char *key,
	    const char *(*format)(double, char[32]), char buf[CELL_SIZE]);
/*
 * Sets how many seconds the worker of a record has been busy, at least and at
 * most. Returns false if it is not busy, or if nobody knows: its connection was
 * seen for the first time just now, long after the look before.
 */
bool	 reply_busy_span(const struct proto_record *r, double *least,
	    double *most);
/*
 * Returns, as reply_cell(), how long a worker has been busy: ">5.20 s" if its
 * connection may be much older; if that was seen for the first time just now
 * "<0.80 s", the time since a look without it, or "?" if that was long ago; "-"
 * if it is idle.
 */
const char *reply_busy(const struct proto_record *r, char buf[CELL_SIZE]);
/* Is a stop announced? *due: the seconds until it comes; -1: nobody knows. */
bool	 reply_drains(const struct reply *a, double *due);
/*
 * Returns a worker's state in buf, with "busy" or "idle" in place of "ready"
 * where its connections are known.
 */
const char *reply_state(const struct proto_record *r, char buf[STATE_SIZE]);
/*
 * Returns what it means that the guarantee of that key does not hold, a
 * constant; NULL for one that is not known.
 */
const char *reply_meaning(const char *guarantee);
/* Returns what follows from that, as a sentence; NULL: nothing of note. */
const char *reply_follows(const char *guarantee);
/*
 * Write seconds to buf as "12.3 s", "4:05" (minutes) or "3 d 4:05" (hours), or
 * bytes in powers of 1024 as "13M". They return buf.
 */
const char *reply_span(double seconds, char buf[32]);
const char *reply_size(double bytes, char buf[32]);
/* Writes a paragraph, in lines of at most 78 bytes that break at blanks. */
void	 reply_wrap(FILE *f, const char *text);

/* timeline.c: the answer to "history" */
/*
 * Fills `seconds` with a figure for each of the last HISTORY_SECONDS, latest
 * first; -1: unknown. `key` is the field of a point that holds until the next
 * point; `peak` the one with the most within its second, or NULL.
 */
void	 timeline_seconds(const struct reply *a, const char *key,
	    const char *peak, double seconds[HISTORY_SECONDS]);
/*
 * Returns for how many seconds a figure has been at least `least` without a
 * break, as far as the points tell; -1: it is not so now. Sets *whole if the
 * points go no further back, so that it may be longer.
 */
double	 timeline_lasts(const struct reply *a, const char *key, double least,
	    bool *whole);

/*
 * writer_*.c: each writes the answer to "status" in one form; `full` adds the
 * workers. They flush f, and return 0, or -1 with *e set (71, 74).
 */
int	 writer_table(FILE *f, const struct reply *a, struct err *e);
int	 writer_json(FILE *f, const struct reply *a, struct err *e);
int	 writer_openmetrics(FILE *f, const struct reply *a, bool full,
	    struct err *e);
/*
 * The same of n pools in one text. An empty reply is that of a pool that has
 * not answered.
 */
int	 writer_openmetrics_all(FILE *f, const struct reply *const list[],
	    size_t n, bool full, struct err *e);
/*
 * The forms of php-fpm's status page: "text", "json", "xml" or "openmetrics".
 * writer_fpm_form() returns -1 for any other name, for which writer_fpm() fails
 * (64).
 */
int	 writer_fpm_form(const char *name);
int	 writer_fpm(FILE *f, const struct reply *a, const char *form,
	    bool full, struct err *e);
/*
 * explain.c: writes what is wrong right now, a paragraph for each fault, from
 * the answers to "status" and "history" in one reply; then what does not hold
 * on the pool's system. Sets *wrong if there is a fault, flushes f, and returns
 * 0, or -1 with *e set (74).
 */
int	 explain_write(FILE *f, const struct reply *a, bool *wrong,
	    struct err *e);

/*
 * writer_trace.c: writes the answer to "trace", for people and for make sim
 * TRACE=FILE, and flushes f. Returns 0, or -1 with *e set (74).
 */
int	 writer_trace(FILE *f, const struct reply *a, struct err *e);

#endif
