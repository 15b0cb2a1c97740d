/* SPDX-License-Identifier: ISC */
/* describe.c: the plan as lines, to be compared with that of another spawnd. */
#ifndef CONFIG_DESCRIBE_H
#define CONFIG_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct fact {
	char		*key;		/* what it is, in plain words */
	char		*value;		/* "": nothing */
	bool		 hidden;	/* the value is a digest */
};
struct facts {
	struct fact	*list;
	size_t		 n;
};
/*
 * Notes our executable file, so that another version of it is a difference; to
 * be called before the jail.
 */
void	 describe_begin(void);
/*
 * Fills *f with all that a command line can change, for facts_free() to free.
 * Of a value that may be a secret, or is too long for a record, it has a
 * digest. shown is what env_shown() has returned. Returns 0, or -1 without
 * memory (with shown NULL, too), and *f is empty.
 */
int	 plan_describe(const struct plan *p, const bool *shown,
	    struct facts *f);
void	 facts_free(struct facts *f);
/*
 * Returns where the log goes: a path, "stderr" or "syslog". Sets *facility to
 * syslog's, or NULL for the first two, and *form to the word of --worker-log.
 * All are the plan's or constant.
 */
const char *plan_log(const struct plan *p, const char **facility,
	    const char **form);
/* Returns the fact with that key, which still belongs to *f, or NULL. */
const struct fact *facts_find(const struct facts *f, const char *key);
/*
 * Returns a text as a record can have it, malloc'd: one with more than 300
 * bytes, once they are escaped, becomes "#" and its digest, 16 hexadecimal
 * digits. NULL without memory.
 */
char	*facts_short(const char *text);

#endif
