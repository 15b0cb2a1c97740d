/* SPDX-License-Identifier: ISC */
/* --rlimit: NAME=SOFT[:HARD]. */
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "base/base.h"
#include "config/phases.h"

static const struct {
	const char	*name;
	int		 resource;
} resources[] = {
	{ "as", RLIMIT_AS },		{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },		{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },	{ "memlock", RLIMIT_MEMLOCK },
	{ "nofile", RLIMIT_NOFILE },	{ "nproc", RLIMIT_NPROC },
	{ "stack", RLIMIT_STACK },
};

/* The len bytes at s: a size, or "infinity". */
static int
parse_limit(const char *s, size_t len, rlim_t *value)
{
	uint64_t n;

	if (len == strlen("infinity") && strncmp(s, "infinity", len) == 0) {
		*value = RLIM_INFINITY;
		return 0;
	}
	if (text_size(s, len, &n) == -1)
		return -1;
	*value = n;
	return 0;
}

int
limit_parse(const char *opt, const char *val, struct limit *l, struct err *e)
{
	const size_t n = sizeof(resources) / sizeof(resources[0]);
	size_t name = strcspn(val, "="), soft, i;
	const char *v;

	memset(l, 0, sizeof(*l));
	l->resource = -1;
	for (i = 0; i < n; i++) {
		if (strlen(resources[i].name) == name &&
		    strncasecmp(val, resources[i].name, name) == 0) {
			l->resource = resources[i].resource;
			l->name = resources[i].name;
		}
	}
	if (l->resource == -1 || val[name] != '=')
		return err_set(e, EX_USAGE, "%s: %s: not a limit (one of as, "
		    "core, cpu, data, fsize, memlock, nofile, nproc and stack, "
		    "then =SOFT or =SOFT:HARD)", opt, val);
	v = val + name + 1;
	soft = strcspn(v, ":");
	l->has_hard = v[soft] == ':';
	if (parse_limit(v, soft, &l->value.rlim_cur) == -1 ||
	    (l->has_hard && parse_limit(v + soft + 1, strlen(v + soft + 1),
	    &l->value.rlim_max) == -1))
		return err_set(e, EX_USAGE, "%s: %s: not a value (digits, "
		    "then K, M, G or nothing; or infinity)", opt, val);
	if (l->resource == RLIMIT_NOFILE && l->value.rlim_cur < 3)
		return err_set(e, EX_USAGE, "%s: %s: a worker starts with 3 "
		    "open files", opt, val);
	if (l->has_hard && l->value.rlim_cur > l->value.rlim_max)
		return err_set(e, EX_USAGE, "%s: %s: the soft limit is above "
		    "the hard one", opt, val);
	return 0;
}

_Static_assert(sizeof(resources) / sizeof(resources[0]) <= RLIMITS_MAX,
    "every resource has its place in struct conf");
