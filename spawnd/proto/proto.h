/* SPDX-License-Identifier: ISC */
/*
 * The protocol of the control sockets, the same code at both ends. It makes no
 * system call but for memory. A command is a line of words. Its answer begins
 * with "spawnd VERSION", goes on with records, one a line, and ends with
 * "end"; or, at any place, with the line "error STATUS text", with a status of
 * sysexits.h. A record is its kind and fields, as in
 *
 *	worker slot=0 pid=4711 state=ready age=12.345
 *
 * Within a value a blank, a backslash or a control byte is \xNN. A reader
 * ignores kinds and keys that it does not know. A value that the daemon does
 * not know is left out.
 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTO_VERSION	1
#define PROTO_COMMAND	256	/* bytes of a command, with its newline */
#define PROTO_WORDS	4	/* words of a command */
#define PROTO_LINE	2048	/* bytes of a line, with its newline */
#define PROTO_VALUE	320	/* bytes of a value, escaped */
#define PROTO_FIELDS	64	/* fields of a record */
#define PROTO_KIND	32	/* bytes of a kind or key, with the NUL */

/* Bytes received, to be cut into lines; the caller owns the memory. */
struct proto_input {
	char		*buf;
	size_t		 size;		/* of buf: the longest line */
	size_t		 len;		/* bytes in it */
	bool		 eof;		/* no more will come */
};

enum proto_got {
	PROTO_NONE,			/* no whole line yet */
	PROTO_GOT,
	PROTO_LONG,			/* the line is longer than the buffer,
					   and stays there */
	PROTO_JUNK			/* the line has a control byte that is
					   no tab; it is gone */
};

/* An answer that is being written; begins as { 0 }. */
struct proto_output {
	char		*buf;		/* malloc'd as needed */
	size_t		 len;
	size_t		 size;
	size_t		 line;		/* where its last line begins */
	bool		 failed;	/* there was no memory */
};

/* One line of an answer, parsed; the strings point into that line. */
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
 * Moves the next line of the input to `line`, which has room for in->size
 * bytes, without its newline and a carriage return before that, and with a NUL.
 * At the end of the input (in->eof) the rest counts as a line too.
 */
enum proto_got proto_next(struct proto_input *in, char *line);
/*
 * Splits a command at blanks and tabs, in place, so that words[] point into
 * it. Returns the number of words, or -1 if there are more than `max`.
 */
int	 proto_words(char *line, char *words[], int max);
/*
 * Parses "N" (both bounds) or "N-M", with 0 <= N <= M <= max. Returns 0 with
 * *from and *to set, or -1.
 */
int	 proto_range(const char *s, unsigned int max, unsigned int *from,
	    unsigned int *to);

/*
 * These add to an answer. Without memory they set o->failed and do nothing from
 * then on. A kind or a key is a constant of a-z, 0-9, _ and -, shorter than
 * PROTO_KIND.
 */
/* Begins the answer with "spawnd VERSION". */
void	 proto_hello(struct proto_output *o);
/* Begins a record, which proto_end() ends. */
void	 proto_begin(struct proto_output *o, const char *kind);
/*
 * Add a field. A text is escaped, and cut before the first byte with which it
 * would be longer than PROTO_VALUE bytes.
 */
void	 proto_text(struct proto_output *o, const char *key,
	    const char *value);
void	 proto_number(struct proto_output *o, const char *key,
	    uint64_t value);
/* Microseconds, written as seconds with three decimals. */
void	 proto_time(struct proto_output *o, const char *key, uint64_t usec);
/* "yes" or "no". */
void	 proto_truth(struct proto_output *o, const char *key, bool value);
/* Ends a record; one longer than PROTO_LINE is dropped. */
void	 proto_end(struct proto_output *o);
/*
 * Ends the answer, with "end" or with an error: a status of sysexits.h and a
 * text, which is escaped and cut at the length of a line.
 */
void	 proto_done(struct proto_output *o);
void	 proto_error(struct proto_output *o, int status, const char *text);
/* Frees the text, not *o, which can be written to again. */
void	 proto_free(struct proto_output *o);

/*
 * Parses a line without its newline as a record, in place: the record's strings
 * point into it. The caller has set r->fields. Returns 0, or -1 if it is not
 * one. An "error" line becomes a record with the fields "status" and "text".
 */
int	 proto_parse(char *line, struct proto_record *r);
/* Returns the value of the first field of that key, of *r, or NULL. */
const char *proto_get(const struct proto_record *r, const char *key);
/* Is there a field of that key, and has the first one that value? */
bool	 proto_is(const struct proto_record *r, const char *key,
	    const char *value);
/*
 * Sets *value to a field's number, of digits and perhaps decimals. Returns
 * false, with *value as it was, if the field is missing or no such number.
 */
bool	 proto_get_number(const struct proto_record *r, const char *key,
	    double *value);

#endif
