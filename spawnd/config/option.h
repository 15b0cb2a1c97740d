/* SPDX-License-Identifier: ISC */
/* Command lines as tables: of spawnd, and of the other names it has. */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "base/base.h"
#include "config/config.h"

struct option {
	int		 flag;		/* 0: it has a long name only */
	const char	*name;		/* NULL: it has a letter only */
	const char	*arg;		/* what the help calls it; NULL: none */
	int		(*set)(struct conf *, const struct option *,
			    const char *, const char *, struct err *);
	size_t		 member;	/* where option_* puts the value */
	int		 min, max;	/* of option_number */
	const char	*help;
};

struct options {
	const struct option *list;
	size_t		 n;
	bool		 anywhere;	/* behind operands, too, until -- */
	const char	*usage;
};

typedef int setter(struct conf *, const struct option *, const char *,
    const char *, struct err *);

#define MEMBER(m)	offsetof(struct conf, m)

/* option.c */
/*
 * Reads a command line by a table. The operands are left in c->argv, which
 * is a part of argv, whose words may be moved for it; after -h and -v nothing
 * more is asked of them. Returns 0, or -1 with *e set (64).
 */
int	 option_parse(struct conf *c, const struct options *os, int argc,
	    char *argv[], struct err *e);
/*
 * Checks what holds for every name of the program: there is an application,
 * and one socket. Returns 0, or -1 with *e set (64).
 */
int	 option_check(const struct conf *c, const struct options *os,
	    struct err *e);
/* From now on that is what messages call the option of this member. */
void	 option_call(struct conf *c, size_t member, const char *as);
/* The same for all of a table: by their letters, or else their names. */
void	 option_call_all(struct conf *c, const struct options *os);
/* Prints usage and options. Returns 0, or -1 when it could not be written. */
int	 option_help(const struct options *os);
/*
 * What a table's entries call, with the option as it was spelled and its
 * value: these put a string, true, a number from min to max, a mode, yes or
 * no, or a signal that may ask a worker to stop into a member of *c. They
 * return 0, or -1 with *e set (64).
 */
setter	 option_string, option_true, option_number, option_octal,
	    option_yesno, option_signal;

/* One of the other names of the program: a file of its own for each. */
struct compat {
	const char	*name;
	struct options	 options;
	/* What differs from options_defaults(), before the command line. */
	void		(*defaults)(struct conf *);
	/* What follows from it; or NULL. Returns 0, or -1 with *e (64, 71). */
	int		(*finish)(struct conf *, struct err *);
};

/* compat_*.c */
extern const struct compat compat_spawn_fcgi, compat_kfcgi, compat_multiwatch;

#endif
