/* SPDX-License-Identifier: ISC */
/* What the words of an answer mean, for people. */
#include <stddef.h>
#include <string.h>

#include "client/client.h"

const char *
reply_meaning(const char *guarantee)
{
	static const struct {
		const char	*key;
		const char	*meaning;
	} table[] = {
		{ "bounding_empty", "the bounding set is not empty" },
		{ "confine_limits", "workers can limit or slow others" },
		{ "confine_signals", "workers can signal or trace others" },
		{ "door", "busy workers get new connections until they end" },
		{ "no_new_privs", "workers can run set-user-ID programs" },
		{ "only_allowed", "more hosts than --allow can connect" },
		{ "proc", "processes cannot be looked at" },
		{ "proc_detached", "processes can be looked at only while "
		    "/proc is mounted" },
		{ "queue", "the listen queue cannot be seen" },
		{ "traced_ends", "ends of traced workers are not seen" },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(table[i].key, guarantee) == 0)
			return table[i].meaning;
	}
	return NULL;
}
