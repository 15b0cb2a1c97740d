/* SPDX-License-Identifier: ISC */
/*
 * What is spoken on the control sockets, the same code at both ends. It is
 * pure but for memory. A command is a line of words. Its answer begins with
 * "spawnd VERSION", goes on with records, one a line, and ends with "end"; or,
 * at any place, with the line "error STATUS text". A record is its kind and
 * fields, as in
 *
 *	worker slot=0 pid=4711 state=ready age=12.345
 *
 * Within a value a blank, a backslash and any control byte is \xNN. Who reads
 * ignores kinds and keys it does not know; what is not known is left out.
 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTO_VERSION	1
#define PROTO_COMMAND	256	/* bytes of a command's line, with its end */
#define PROTO_WORDS	4	/* of a command */
#define PROTO_LINE	2048	/* bytes of an answer's line, with its end */
#define PROTO_VALUE	320	/* of them for a value, as it is written */
#define PROTO_FIELDS	64	/* of a record */
#define PROTO_KIND	32	/* bytes of a kind or key, with the NUL */

/* Bytes that arrive, to be cut into lines; the caller owns the memory. */
struct proto_input {
	char		*buf;
	size_t		 size;		/* of the longest line, with its end */
	size_t		 len;
	bool		 eof;		/* no more will come */
};

enum proto_got {
	PROTO_NONE,			/* no whole line yet */
	PROTO_GOT,
	PROTO_LONG,			/* it would not fit: give it up */
	PROTO_JUNK			/* it has a NUL or control byte */
};

/* An answer as it is written. */
struct proto_output {
	char		*buf;		/* malloc'd as needed */
	size_t		 len;
	size_t		 size;
	size_t		 line;		/* where its last line begins */
	bool		 failed;	/* there was no memory */
};

/* One line of an answer as it is read; it points into that line. */
struct proto_field {
	const char	*key;
	const char	*value;
};

struct proto_record {
	const char	*kind;
	int		 n;
	struct proto_field *fields;	/* the caller's, of PROTO_FIELDS */
};

/*
 * Takes the next line out of the input, without its end, into `line`, which
 * has room for in->size bytes. At the end of the input what is left is a line
 * too. A carriage return before the newline is dropped.
 */
enum proto_got proto_next(struct proto_input *in, char *line);
/*
 * Splits a command at its blanks, in place. Returns how many words it has, 0
 * if there is none, or -1 if there are more than `max`.
 */
int	 proto_words(char *line, char *words[], int max);
/*
 * A range "N" or "N-M" of numbers from 0 to max. Returns 0 with *from and
 * *to set, or -1.
 */
int	 proto_range(const char *s, unsigned int max, unsigned int *from,
	    unsigned int *to);

/* Begins an answer, a record, a field; each record is to be ended. */
void	 proto_hello(struct proto_output *o);
void	 proto_begin(struct proto_output *o, const char *kind);
/* A longer value is cut. */
void	 proto_text(struct proto_output *o, const char *key,
	    const char *value);
void	 proto_number(struct proto_output *o, const char *key,
	    uint64_t value);
/* Microseconds, written as seconds with three decimals. */
void	 proto_time(struct proto_output *o, const char *key, uint64_t usec);
/* "yes" or "no". */
void	 proto_truth(struct proto_output *o, const char *key, bool value);
void	 proto_end(struct proto_output *o);
/* The lines that end an answer. */
void	 proto_done(struct proto_output *o);
void	 proto_error(struct proto_output *o, int status, const char *text);
void	 proto_free(struct proto_output *o);

/*
 * Reads a line as a record, in place. Returns 0, or -1 if it is none. An
 * "error" has its status and text as fields of these names.
 */
int	 proto_parse(char *line, struct proto_record *r);
/* A field's value, or NULL. */
const char *proto_get(const struct proto_record *r, const char *key);
/* A field that is a number, of seconds or of things; false: it is not. */
bool	 proto_get_number(const struct proto_record *r, const char *key,
	    double *value);

#endif
