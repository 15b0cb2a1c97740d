/* SPDX-License-Identifier: ISC */
/* describe.c: the plan as lines, to be compared with that of another spawnd. */
#ifndef CONFIG_DESCRIBE_H
#define CONFIG_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct fact {
	char		*key;		/* what it is, in plain words */
	char		*value;		/* "" : nothing */
	bool		 hidden;	/* the value is a secret's digest */
};
struct facts {
	struct fact	*list;
	size_t		 n;
};
/* Notes our executable file; to be called before the jail. */
void	 describe_begin(void);
/*
 * Fills *f with all that a command line can change. Of a value that may be a
 * secret, or is too long for a record, it has a digest. shown is what
 * env_shown() has returned. Returns 0, or -1 without memory. facts_free() frees
 * them.
 */
int	 plan_describe(const struct plan *p, const bool *shown,
	    struct facts *f);
void	 facts_free(struct facts *f);
/*
 * Where the log goes: a path, "stderr" or "syslog"; *facility is NULL but for
 * that. *form: of the workers' output in it.
 */
const char *plan_log(const struct plan *p, const char **facility,
	    const char **form);
/* Returns the one of that key, or NULL. */
const struct fact *facts_find(const struct facts *f, const char *key);
/*
 * Returns a text as a record can have it, malloc'd: one that is too long is
 * "#" and its digest. NULL without memory.
 */
char	*facts_short(const char *text);

#endif
