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

/* All records of an answer; begins as { NULL, 0 }. reply_free() frees them. */
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
	long long	 until;		/* ms of the monotonic clock */
	int		 passed[PASSED_MAX];	/* descriptors that came */
	int		 npassed;	/* -1: none is taken */
	bool		 (*gives_up)(struct conn *); /* in a wait; or NULL */
	long long	 asked;		/* gives_up()'s own, in ms */
	char		 buf[PROTO_LINE];
	char		 line[PROTO_LINE];
	struct proto_input input;
	struct proto_field fields[PROTO_FIELDS];
};

/* A pool that was found. */
struct found {
	char		*dir;
	char		*name;
};

struct pools {
	struct found	*list;
	size_t		 n;
	size_t		 denied;	/* so many more refuse us */
};

/*
 * find.c: the directories that pools' are in; own is XDG_RUNTIME_DIR, or NULL.
 */
/* Lists, malloc'd, our own and root's that are there. Returns how many. */
int	 find_places(const char *own, char *list[FIND_PLACES]);
/*
 * The one of them with a pool of that name, the first where one runs. Returns
 * malloc'd memory, or NULL: none has it.
 */
char	*find_place(const char *name, const char *own);
/* Is it a directory that only root and we can change? */
bool	 find_is_trusted(const char *path);
/* A pool's may be of any user, who answers for it. */
bool	 find_is_directory(const char *path);

/* pools.c: how pools are found */
/*
 * Finds the pool that `which` names (a name, or a path of a directory or
 * socket), or with NULL all pools that run. Returns 0 with *p filled, or -1
 * with *e set (69, 71).
 */
int	 pools_find(const char *which, struct pools *p, struct err *e);
void	 pools_free(struct pools *p);
/*
 * The path of a pool's log, which a start by the same user has recorded in the
 * pool's directory, open as `at`; dir is its path. Returns malloc'd memory, or
 * NULL with *e set (78) where there is no record that can be trusted.
 */
char	*pools_log(int at, const char *dir, struct err *e);
/*
 * Opens or creates a log as the daemon would. Returns a descriptor, which the
 * caller closes, or -1 with *e set (73, 77).
 */
int	 pools_open_log(const char *path, struct err *e);

/* conn.c: a connection to one daemon */
/*
 * Connects to a pool's control socket or, where that fails and `read` is set,
 * to its status socket, which cannot change anything. dir is the directory of
 * both, or a socket itself. Returns 0, or -1 with *e set (69, 71, 75, 77).
 */
int	 conn_open(struct conn *t, const char *dir, bool read, struct err *e);
void	 conn_close(struct conn *t);
/*
 * Sends a command, and a copy of the descriptor fd unless that is -1. Returns
 * 0, or -1 with *e set (64, 69, 71, 75).
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
/* Sends a command and adds the answer to *a. Returns 0, or -1 with *e set. */
int	 conn_ask(struct conn *t, const char *command, struct reply *a,
	    struct err *e);
/* From now on no wait, nor a whole answer, takes longer than that. */
void	 conn_hurry(long long ms);
/* Milliseconds of the monotonic clock. */
long long conn_clock(void);

/* reply.c: the records of an answer */
/* Adds a copy of a record. Returns 0, or -1 with *e set (71, 76). */
int	 reply_add(struct reply *a, const struct proto_record *r,
	    struct err *e);
void	 reply_free(struct reply *a);
/* Returns the first record of a kind, or one without fields; never NULL. */
const struct proto_record *reply_find(const struct reply *a,
	    const char *kind);
/* Returns the next record of a kind from index *i on, and moves *i; or NULL. */
const struct proto_record *reply_next(const struct reply *a,
	    const char *kind, size_t *i);
/* Reads a number of the first record of a kind; false if it has none. */
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
 * Returns a value as a cell of a table: a number by `format` (reply_span() or
 * reply_size()), unless that is NULL; other text as by reply_cut(); "-" if
 * there is none.
 */
const char *reply_cell(const struct proto_record *r, const char *key,
	    const char *(*format)(double, char[32]), char buf[CELL_SIZE]);
/*
 * How long a worker has been busy, as a cell: ">5.20 s" if its connection may
 * be much older; if it was seen for the first time just now "<0.80 s", the time
 * since a look without it, or "?" if that was long ago.
 */
const char *reply_busy(const struct proto_record *r, char buf[CELL_SIZE]);
/* Is a stop announced? *due: the seconds until it comes; -1: nobody knows. */
bool	 reply_drains(const struct reply *a, double *due);
/* Returns a worker's state, with "busy" or "idle" in place of "ready". */
const char *reply_state(const struct proto_record *r, char buf[STATE_SIZE]);
/* What it means that this guarantee does not hold; NULL for a newer one. */
const char *reply_meaning(const char *guarantee);
/* What follows from that, as a sentence; NULL: nothing that need be known. */
const char *reply_follows(const char *guarantee);
/* Format seconds as "12.3 s", "4:05" or "3 d 4:05", bytes as "13M". */
const char *reply_span(double seconds, char buf[32]);
const char *reply_size(double bytes, char buf[32]);
/* Writes a paragraph, in lines that break at blanks. */
void	 reply_wrap(FILE *f, const char *text);

/* timeline.c: the answer to "history" */
/*
 * Fills in a figure of each of the last seconds, latest first; -1: unknown.
 * `key` is the field of a point that holds until the next point; `peak` the
 * most within its second, or NULL.
 */
void	 timeline_seconds(const struct reply *a, const char *key,
	    const char *peak, double seconds[HISTORY_SECONDS]);
/*
 * For how many seconds a figure has been at least `least` without a break, as
 * far as the points tell; -1: it is not so now. *whole: that is as far back as
 * they go, so it may be longer.
 */
double	 timeline_lasts(const struct reply *a, const char *key, double least,
	    bool *whole);

/*
 * writer_*.c: each writes the answer to "status" in one form; `full` adds the
 * workers. They flush f, and return 0, or -1 with *e set (64, 71, 74).
 */
int	 writer_table(FILE *f, const struct reply *a, struct err *e);
int	 writer_json(FILE *f, const struct reply *a, struct err *e);
int	 writer_openmetrics(FILE *f, const struct reply *a, bool full,
	    struct err *e);
/* The same of n pools in one text. One of which nothing is known is not up. */
int	 writer_openmetrics_all(FILE *f, const struct reply *const list[],
	    size_t n, bool full, struct err *e);
/*
 * The forms of php-fpm's status page: "text", "json", "xml" or "openmetrics".
 * writer_fpm_form() returns -1 for any other name.
 */
int	 writer_fpm_form(const char *name);
int	 writer_fpm(FILE *f, const struct reply *a, const char *form,
	    bool full, struct err *e);
/*
 * explain.c: writes what is wrong right now, a paragraph for each fault, from
 * the answers to "status" and "history"; *wrong: there is one. Then what does
 * not hold on this system. Returns 0, or -1 with *e set (74).
 */
int	 explain_write(FILE *f, const struct reply *a, bool *wrong,
	    struct err *e);

/* Writes the answer to "trace", for people and for make sim TRACE=FILE. */
int	 writer_trace(FILE *f, const struct reply *a, struct err *e);

#endif
