/* SPDX-License-Identifier: ISC */
/* Command lines as tables, of spawnd and of the programs it stands in for. */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "base/base.h"
#include "config/config.h"

struct option {
	int		 flag;		/* 0: it has a long name only */
	const char	*name;		/* NULL: it has a letter only */
	const char	*arg;		/* what the help calls its value; NULL:
					   it has none; "[...": it may */
	int		(*set)(struct conf *, const struct option *,
			    const char *, const char *, struct err *);
	size_t		 member;	/* where option_* puts the value; 0:
					   messages need no spelling of it */
	int		 min, max;	/* of option_number, inclusive */
	const char	*help;
};

struct options {
	const struct option *list;
	size_t		 n;
	bool		 anywhere;	/* options may follow operands */
	const char	*usage;
};

/*
 * Sets what an option of a table says. It gets the option as it was spelled
 * and its value, a word of argv that *c may keep; NULL if it has none. Returns
 * 0, or -1 with *e set (64, 71).
 */
typedef int setter(struct conf *, const struct option *, const char *,
    const char *, struct err *);

#define MEMBER(m)	offsetof(struct conf, m)

/* option.c */
/*
 * Parses a command line by a table. c->argv becomes the operands, within argv,
 * whose words may be reordered for that. Returns 0, or -1 with *e set (64, 71).
 */
int	 option_parse(struct conf *c, const struct options *os, int argc,
	    char *argv[], struct err *e);
/*
 * Checks what holds for every name of the program: there is an application,
 * and not more than one socket. Returns 0, or -1 with *e set (64).
 */
int	 option_check(const struct conf *c, const struct options *os,
	    struct err *e);
/* Has messages spell the option that sets this member as `as`. */
void	 option_call(struct conf *c, size_t member, const char *as);
/* The same for all options of a table: by letter, else by long name. */
void	 option_call_all(struct conf *c, const struct options *os);
/*
 * Marks all options that *c can spell so far as another program's, so that
 * option_exists() is false of them until one is called anew.
 */
void	 option_borrow(struct conf *c);
/*
 * Prints usage and options on standard output. Returns 0, or -1 on a write
 * error.
 */
int	 option_help(const struct options *os);
/*
 * Functions for the entries of a table. They put a string that is not empty,
 * true, a number from min to max, a mode up to 0777, yes or no, or a signal
 * that may ask a worker to stop into a member of *c, which is a const char *,
 * bool or int. They return 0, or -1 with *e set (64).
 */
setter	 option_string, option_true, option_number, option_octal,
	    option_yesno, option_signal;

/* options.c: those of spawnd itself */
/* Sets *c to what holds without any option. */
void	 options_defaults(struct conf *c);
/*
 * Parses a command line into *c. Pure but for memory. Returns 0, or -1 with
 * *e set (64; 71 for no memory).
 */
int	 options_parse(struct conf *c, int argc, char *argv[], struct err *e);
/* Prints usage and options, as option_help(). */
int	 options_help(void);
/* Frees what options_parse() has allocated. */
void	 options_free(struct conf *c);

/* A program that spawnd stands in for when it is started by its name. */
struct compat {
	const char	*name;
	struct options	 options;
	/* Changes options_defaults(), before the command line is parsed. */
	void		(*defaults)(struct conf *);
	/* Completes it afterwards; or NULL. Returns 0, or -1 with *e set (64,
	   71). */
	int		(*finish)(struct conf *, struct err *);
};

/* compat_*.c */
extern const struct compat compat_spawn_fcgi, compat_kfcgi, compat_multiwatch;

#endif
