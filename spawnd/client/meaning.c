/* SPDX-License-Identifier: ISC */
/* What the words of an answer mean, for people. */
#include <stddef.h>
#include <string.h>

#include "client/client.h"

static const struct meaning {
	const char	*key;
	const char	*meaning;
	const char	*follows;	/* NULL: nothing that need be known */
} table[] = {
	{ "bounding_empty", "the bounding set is not empty", NULL },
	{ "confine_limits", "workers can limit or slow others", NULL },
	{ "confine_signals", "workers can signal or trace others",
	    "One that was broken into can end the rest" },
	{ "door", "busy workers get new connections until they end",
	    "A reload or stop under load may lose a request. To prevent that, "
	    "let spawnd use ptrace(2): see RETIRING in spawnd(8)" },
	{ "no_new_privs", "workers can run set-user-ID programs", NULL },
	{ "only_allowed", "hosts that --allow does not name can connect",
	    "A packet filter, or --allow, keeps the others away" },
	{ "proc", "processes cannot be looked at",
	    "A busy worker cannot be told from an idle one" },
	{ "proc_detached", "processes can be looked at only while /proc is "
	    "mounted", NULL },
	{ "queue", "the listen queue cannot be seen",
	    "Nobody knows whether connections wait, and -N has no effect" },
	{ "traced_ends", "ends of traced workers are not seen",
	    "A worker that another process traces may be replaced late" },
};

static const struct meaning *
find_meaning(const char *guarantee)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(table[i].key, guarantee) == 0)
			return &table[i];
	}
	return NULL;
}

const char *
reply_meaning(const char *guarantee)
{
	const struct meaning *m = find_meaning(guarantee);

	return m != NULL ? m->meaning : NULL;
}

const char *
reply_follows(const char *guarantee)
{
	const struct meaning *m = find_meaning(guarantee);

	return m != NULL ? m->follows : NULL;
}
