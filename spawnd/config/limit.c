/* SPDX-License-Identifier: ISC */
/* --rlimit: NAME=SOFT[:HARD]. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "base/base.h"
#include "config/config.h"

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

/* Parses a limit of len bytes: digits with K, M or G, or "infinity". */
static int
parse_limit(const char *s, size_t len, rlim_t *value)
{
	static const char units[] = "KMG";
	char digits[24];
	const char *unit, *why;
	unsigned int shift = 0;
	long long n;

	if (len == strlen("infinity") && strncmp(s, "infinity", len) == 0) {
		*value = RLIM_INFINITY;
		return 0;
	}
	if (len == 0 || len >= sizeof(digits) || !isdigit((unsigned char)*s))
		return -1;
	memcpy(digits, s, len);
	digits[len] = '\0';
	unit = strchr(units, digits[len - 1]);
	if (unit != NULL) {
		shift = 10 * (unsigned int)(unit - units + 1);
		digits[len - 1] = '\0';
	}
	n = strtonum(digits, 0, INT64_MAX >> shift, &why);
	*value = (rlim_t)n << shift;
	return why == NULL ? 0 : -1;
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
		return err_set(e, EX_USAGE, "%s: %s: not a limit (as core cpu "
		    "data fsize memlock nofile nproc or stack, then =SOFT or "
		    "=SOFT:HARD)", opt, val);
	v = val + name + 1;
	soft = strcspn(v, ":");
	l->has_hard = v[soft] == ':';
	if (parse_limit(v, soft, &l->value.rlim_cur) == -1 ||
	    (l->has_hard && parse_limit(v + soft + 1, strlen(v + soft + 1),
	    &l->value.rlim_max) == -1))
		return err_set(e, EX_USAGE, "%s: %s: not a value (digits, "
		    "then K, M, G or nothing; or infinity)", opt, val);
	if (l->resource == RLIMIT_NOFILE && l->value.rlim_cur < 3)
		return err_set(e, EX_USAGE, "%s: %s: a worker has 3 open "
		    "files from the start", opt, val);
	if (l->has_hard && l->value.rlim_cur > l->value.rlim_max)
		return err_set(e, EX_USAGE, "%s: %s: the soft limit is above "
		    "the hard one", opt, val);
	return 0;
}

_Static_assert(sizeof(resources) / sizeof(resources[0]) <= RLIMITS_MAX,
    "every resource has its place in struct conf");
