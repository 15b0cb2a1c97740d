/* SPDX-License-Identifier: ISC */
/*
 * spawnd-status: pools for people and monitors, by a web server. A request
 * (request.c) is about the pools that the responder knows (gather.c); the
 * answer (answer.c) is one of the client's writers or the page for people
 * (page.c and what it consists of). responder.c alone knows FastCGI. Whoever
 * asks is not trusted, nor are the pools: all text is escaped where it is
 * written, and a pool that does not answer costs its own row.
 */
#ifndef PAGE_PAGE_H
#define PAGE_PAGE_H

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "base/base.h"
#include "client/client.h"

#define PAGE_PREFIX	"/spawnd"	/* of the paths, by default */
#define PAGE_QUERY	2048		/* bytes of a query */
#define PAGE_PATH	1024		/* and of a path */
#define PAGE_ROWS	500		/* workers, and more are counted */
#define PAGE_EVENTS	30		/* that are shown */
#define NONCE_SIZE	33		/* with the NUL */

/* What a request is for. */
enum page_what {
	PAGE_PEOPLE,			/* the page, of a pool or of all */
	PAGE_JSON,
	PAGE_OPENMETRICS,
	PAGE_FPM,			/* php-fpm's status page */
	PAGE_PING,			/* php-fpm's ping */
	PAGE_SLASH			/* a page, but for the last slash */
};

/* A request as the web server passed it on; NULL for what it did not. */
struct params {
	const char	*method;
	const char	*script;	/* SCRIPT_NAME, decoded as PATH_INFO */
	const char	*info;
	const char	*query;
};

struct request {
	enum page_what	 what;
	bool		 head;		/* without a body */
	char		 pool[NAME_SIZE];	/* "": not named */
	const char	*form;		/* of writer_fpm() */
	bool		 full;
	int		 sort;		/* a column of the workers, or -1 */
	bool		 down;		/* in descending order */
};

/* A pool as it was last seen. */
struct view {
	char		*name;		/* by which we know it, as in paths */
	char		*dir;		/* of its sockets; NULL: unknown */
	bool		 named;		/* on the command line */
	bool		 fixed;		/* dir, too */
	bool		 found;		/* at the last look around */
	bool		 up;		/* it has answered all, or may yet */
	unsigned int	 answers;	/* that it has given */
	time_t		 seen;		/* when it last did; 0: never */
	struct err	 err;		/* if it is not up: why */
	struct conn	 conn;
	struct reply	 status;	/* with the history */
	struct reply	 trace;
};

/* An answer; answer_free() frees it. */
struct answer {
	int		 status;	/* of HTTP */
	const char	*type;		/* of its contents */
	char		 location[NAME_SIZE + 1]; /* relative; "": none */
	char		 nonce[NONCE_SIZE];	/* "": it has no style */
	char		*body;		/* malloc'd; NULL: there is none */
	size_t		 len;		/* of that, in bytes */
};

/* What the page is made of. */
struct picture {
	const struct view *list;
	size_t		 n;
	size_t		 denied;	/* so many more refuse us */
	const struct request *request;
	const char	*nonce;
	time_t		 now;
};

/* request.c */
/*
 * Reads a request. prefix is cut from the path if that begins with it. Returns
 * 200 with *r set, or another status of HTTP (400, 404, 405, 414) with the
 * reason in *why, a constant.
 */
int	 request_read(const struct params *p, const char *prefix,
	    struct request *r, const char **why);
/* May a pool have the name of len bytes at s? */
bool	 request_is_name(const char *s, size_t len);

/* gather.c */
/*
 * Adds a pool of the command line, "NAME", "PATH" or "NAME=PATH"; once there is
 * one, no others are answered for. Returns 0, or -1 with *e set (64, 71).
 */
int	 gather_name(const char *word, struct err *e);
/*
 * Asks the pool that r->pool names, or with "" all that may be read, for what
 * the request is to show (a ping: whether it can serve), within two seconds.
 * Returns the pools, which last until the next call; sets *n to how many, and
 * *denied to how many refuse us. A name that no pool has is a pool that does
 * not answer. Returns NULL with *e set (71) without memory. Pools that have
 * gone are remembered for an hour, those of the command line for good.
 */
struct view *gather_pools(const struct request *r, size_t *n, size_t *denied,
	    struct err *e);

/* answer.c */
/*
 * These fill *a, which needs no contents, for answer_free(). What fails becomes
 * an answer with its status, such as 500; without any memory, one without body.
 */
/* Makes the answer to a request of a web server. */
void	 answer_make(const struct params *p, const char *prefix,
	    struct answer *a);
/* Makes the answer from what gather_pools() returned; 503: no pool is up. */
void	 answer_pools(const struct request *r, const struct view *list,
	    size_t n, size_t denied, struct answer *a);
/*
 * Makes an answer of plain text: the text alone if status is 200, else with the
 * name of the status above it.
 */
void	 answer_text(struct answer *a, int status, const char *text);
/* Returns the name of a status of HTTP, a constant. */
const char *answer_reason(int status);
void	 answer_free(struct answer *a);

/*
 * All below write to f; an error is left for ferror(3), and text of others is
 * escaped.
 */
/* page.c: the whole page; it is well-formed XML, too. */
void	 page_write(FILE *f, const struct picture *p);

/* row.c: a pool in the table of pools, and what is said of one alone */
/* The heads of the table's columns. */
void	 row_heads(FILE *f);
/* Its rows in it. link: its name leads to its own page. */
void	 row_pool(FILE *f, const struct view *v, time_t now, bool link);
/* Sections: what the pool is, and what is guaranteed there. */
void	 row_facts(FILE *f, const struct view *v);
void	 row_guarantees(FILE *f, const struct view *v);

/*
 * chart.c: the last minutes, drawn from the answers to "status" and "history";
 * name is the pool's, for those who cannot see it
 */
void	 chart_write(FILE *f, const struct reply *a, const char *name);

/* workers.c: the table of workers */
/* Returns the number of the column with that key, of len bytes, or -1. */
int	 workers_column(const char *name, size_t len);
/* The table, sorted by that column (-1: not), down: in descending order. */
void	 workers_write(FILE *f, const struct view *v, int sort, bool down);

/* events.c: what a pool's trace tells, in words */
/* A section with the last PAGE_EVENTS of it, latest first. */
void	 events_write(FILE *f, const struct reply *trace);
/*
 * Writes what a record of a trace means to buf, of `size` bytes. Returns false
 * if it is nothing to show.
 */
bool	 events_describe(const struct proto_record *r, char *buf, size_t size);

/* html.c */
/*
 * Writes text, escaped for a page, where it may stand in an attribute, too. It
 * is cut at SHOW_SIZE bytes.
 */
void	 html_text(FILE *f, const char *s);
/* Writes a value of a record so; "-" if there is none. */
void	 html_value(FILE *f, const struct proto_record *r, const char *key);
/* Writes a number of a record without decimals; "?" if it is not known. */
void	 html_count(FILE *f, const struct reply *a, const char *kind,
	    const char *key);
/* Writes a moment as "2026-11-29 14:02:11 +0100", in our time zone. */
void	 html_time(FILE *f, time_t t);

/* style.c: what the page looks like, and how it is kept up to date */
extern const char style_sheet[], style_script[];

#endif
