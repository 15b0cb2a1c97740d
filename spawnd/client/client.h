/* SPDX-License-Identifier: ISC */
/* The client's map: spawnctl(1). What the daemon says is never trusted. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdio.h>

#include "base/base.h"
#include "proto/proto.h"

#define REPLY_RECORDS	100000		/* of one answer */
#define CONN_TIMEOUT	10000		/* ms without a word */
#define CONN_WHOLE	60000		/* ms for an answer that is no wait */
#define READY_TIMEOUT	60		/* s of wait-ready */
#define POOLS_MAX	1000
#define STATE_SIZE	20		/* of a state as it is shown */
#define SHOW_SIZE	(4 * PROTO_LINE) /* of a value as it is shown */

/* All records of an answer. */
struct reply {
	struct proto_record *list;
	size_t		 n;
};

/* A connection to a daemon. */
struct conn {
	int		 fd;		/* -1: none */
	bool		 greeted;	/* it has said which version */
	long long	 until;		/* ms of the monotonic clock */
	bool		 (*gives_up)(void); /* asked while waiting; or NULL */
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
	size_t		 denied;	/* others, that we may not ask */
};

/* pools.c: where pools are */
/*
 * Finds the pool that `which` names (a name, a directory or a socket), or,
 * with NULL, all that are there. Returns 0, or -1 with *e set (69, 64, 71).
 */
int	 pools_find(const char *which, struct pools *p, struct err *e);
void	 pools_free(struct pools *p);
/*
 * The path of a pool's log, as its own user has left it in the directory.
 * Returns malloc'd memory, or NULL with *e set: there is none to be trusted.
 */
char	*pools_log(const char *dir, struct err *e);
/* Opens a log as the daemon would. Returns a descriptor or -1 with *e set. */
int	 pools_open_log(const char *path, struct err *e);

/* conn.c: one daemon */
/*
 * Connects to a pool's control socket, or, where that may not be and `read`
 * will do, to its status socket. Returns 0, or -1 with *e set (69, 77).
 */
int	 conn_open(struct conn *t, const char *dir, bool read, struct err *e);
void	 conn_close(struct conn *t);
/* Sends a command, with a descriptor unless that is -1. */
int	 conn_send(struct conn *t, const char *command, int fd, struct err *e);
/*
 * The next record of the answer; it lasts until the next call. With `patient`
 * it may take any time. Returns 1, 0 at the end, or -1 with *e set: what the
 * daemon refused, or 76 for what is no answer.
 */
int	 conn_next(struct conn *t, bool patient, struct proto_record *r,
	    struct err *e);
/* Sends a command and collects the answer. Returns 0, or -1 with *e set. */
int	 conn_ask(struct conn *t, const char *command, struct reply *a,
	    struct err *e);
/* Milliseconds of the monotonic clock. */
long long conn_clock(void);

/* reply.c: what is in one */
/* Copies a record. Returns 0, or -1 with *e set (71, 76). */
int	 reply_add(struct reply *a, const struct proto_record *r,
	    struct err *e);
void	 reply_free(struct reply *a);
/* The first record of a kind; one without fields if there is none. */
const struct proto_record *reply_find(const struct reply *a,
	    const char *kind);
/* The next record of a kind from *i on, which is moved; NULL: no more. */
const struct proto_record *reply_next(const struct reply *a,
	    const char *kind, size_t *i);
/* A number of the first record of a kind; false: it is not known. */
bool	 reply_number(const struct reply *a, const char *kind,
	    const char *key, double *value);
/* The same, or `otherwise`. */
double	 reply_value(const struct reply *a, const char *kind,
	    const char *key, double otherwise);
/* A value made harmless for a terminal, "" if there is none. */
const char *reply_show(const struct proto_record *r, const char *key,
	    char buf[SHOW_SIZE]);
/* The same, as many whole characters as fit into `size` bytes. */
const char *reply_cut(const struct proto_record *r, const char *key,
	    char *buf, size_t size);
/* The state of a worker; of one that is ready whether it is busy. */
const char *reply_state(const struct proto_record *r, char buf[STATE_SIZE]);
/* Seconds as "12.3 s", "4:05", "3 d 4:05"; bytes as "13.4M". */
const char *reply_span(double seconds, char buf[32]);
const char *reply_size(double bytes, char buf[32]);

/* writer_*.c: a status in each form. They return 0, or -1 with *e set. */
int	 writer_table(FILE *f, const struct reply *a, struct err *e);
int	 writer_json(FILE *f, const struct reply *a, struct err *e);
int	 writer_openmetrics(FILE *f, const struct reply *a, bool full,
	    struct err *e);
/* php-fpm's forms, "text", "json", "xml" and "openmetrics"; -1: none. */
int	 writer_fpm_form(const char *name);
int	 writer_fpm(FILE *f, const struct reply *a, const char *form,
	    bool full, struct err *e);
/* What the command trace answers, for people and for make sim TRACE=FILE. */
int	 writer_trace(FILE *f, const struct reply *a, struct err *e);

#endif
