/* SPDX-License-Identifier: ISC */
/*
 * Which web servers may connect to a TCP socket: those of --allow, else those
 * of FCGI_WEB_SERVER_ADDRS, by which libfcgi limits workers in the same way.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "config/phases.h"

#define VARIABLE	"FCGI_WEB_SERVER_ADDRS"
#define SHOWN		3	/* addresses of a list in one line */
#define CLIENTS_SIZE	(SHOWN * (NETWORK_SIZE + 2) + 32)

/* The variable that the workers will have, or NULL. */
static const char *
variable(const struct plan *p)
{
	const char *list = p->envp != NULL ? environ_get(p->envp, VARIABLE) :
	    NULL;

	return list != NULL && list[0] != '\0' ? list : NULL;
}

/* Is it ours to say who may connect? */
static bool
makes_tcp(const struct plan *p)
{
	return p->inherited == -1 && p->addr.ss_family != AF_UNIX;
}

/* The other programs that spawnd stands in for leave that to the workers. */
static bool
takes_variable(const struct plan *p)
{
	return p->conf->nallow == 0 && makes_tcp(p) && variable(p) != NULL &&
	    option_exists(p->conf, offsetof(struct conf, allow));
}

/* Can such a client reach the socket? */
static bool
is_usable(const struct plan *p, const struct network *n)
{
	return p->both_families || n->family == p->addr.ss_family;
}

static int
allow_network(struct plan *p, const struct network *n, struct err *e)
{
	struct network *list;

	if (!is_usable(p, n))
		return 0;
	list = reallocarray(p->allow, p->nallow + 1, sizeof(*list));
	if (list == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	p->allow = list;
	list[p->nallow++] = *n;
	return 0;
}

/* An entry of the variable; blanks around it are the workers' affair. */
struct entry {
	const char	*text;
	size_t		 len;
	bool		 blank;		/* before it */
};

/* Finds the next one that is not empty, *at behind the last one. */
static bool
next_entry(const char **at, struct entry *en)
{
	const char *s = *at + strspn(*at, ",");

	en->blank = isspace((unsigned char)*s);
	while (isspace((unsigned char)*s))
		s++;
	en->text = s;
	en->len = strcspn(s, ",");
	*at = s + en->len;
	while (en->len > 0 && isspace((unsigned char)s[en->len - 1]))
		en->len--;
	return en->len > 0 || **at != '\0';
}

static int
allow_variable(struct plan *p, struct err *e)
{
	const char *at = variable(p);
	char why[NETWORK_WHY];
	struct entry en;
	struct network n;

	while (next_entry(&at, &en)) {
		if (network_parse(en.text, en.len, &n, why) == 0 &&
		    allow_network(p, &n, e) == -1)
			return -1;
	}
	return 0;
}

static int
allow_option(struct plan *p, struct err *e)
{
	const struct conf *c = p->conf;
	size_t i;

	if (!makes_tcp(p))
		return err_set(e, EX_USAGE, "--allow: %s is not a TCP socket "
		    "(%s, %s and %s say who may connect to it)", p->socket_name,
		    OPT(c, socket_user), OPT(c, socket_group),
		    OPT(c, socket_mode));
	for (i = 0; i < c->nallow; i++) {
		if (allow_network(p, &c->allow[i], e) == -1)
			return -1;
	}
	if (p->nallow == 0)
		return err_set(e, EX_USAGE, "--allow: names no %s address: "
		    "nobody could connect to %s",
		    p->addr.ss_family == AF_INET ? "IPv4" : "IPv6",
		    p->socket_name);
	return 0;
}

/* As the start and the status name them, in a few words. */
static char *
name_clients(const struct plan *p)
{
	char buf[CLIENTS_SIZE] = "", text[NETWORK_SIZE];
	size_t i, len = 0;

	for (i = 0; i < p->nallow && i < SHOWN; i++) {
		snprintf(buf + len, sizeof(buf) - len, "%s%s",
		    i > 0 ? ", " : "", network_text(&p->allow[i], text));
		len = strlen(buf);
	}
	if (p->nallow > SHOWN)
		snprintf(buf + len, sizeof(buf) - len, " and %zu more",
		    p->nallow - SHOWN);
	return strdup(len > 0 ? buf : "nobody");
}

int
plan_allow(struct plan *p, struct err *e)
{
	if (p->conf->nallow > 0) {
		if (allow_option(p, e) == -1)
			return -1;
	} else if (!takes_variable(p))
		return 0;
	else if (allow_variable(p, e) == -1)
		return -1;
	p->only_allowed = true;
	p->nallow = network_sort(p->allow, p->nallow);
	if ((p->clients = name_clients(p)) == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	return 0;
}

/* Entries that the kernel, or a worker with libfcgi, does not let in. */
static void
check_entries(const struct plan *p, struct findings *f)
{
	const char *at = variable(p);
	char why[NETWORK_WHY];
	struct entry en;
	struct network n;

	while (next_entry(&at, &en)) {
		if (network_parse(en.text, en.len, &n, why) == -1)
			findings_add(f, FINDING_WARNING, EX_CONFIG,
			    VARIABLE ": %.*s: %s; it is left out",
			    NETWORK_SHOWN(en.len), en.text, why);
		else if (n.family == AF_INET && (en.blank ||
		    memchr(en.text, '/', en.len) != NULL ||
		    memchr(en.text, ':', en.len) != NULL))
			findings_add(f, FINDING_WARNING, EX_CONFIG,
			    VARIABLE ": %.*s: workers with libfcgi do not let "
			    "it in: they know IPv4 addresses without a blank "
			    "before them (--allow has networks)",
			    NETWORK_SHOWN(en.len), en.text);
	}
	if (p->nallow == 0)
		findings_add(f, FINDING_WARNING, EX_CONFIG, VARIABLE ": has no "
		    "address that can reach %s: it lets nobody in (unset it, "
		    "or give --allow)", p->socket_name);
}

/* The variable where nothing of ours keeps others away. */
static void
check_unheeded(const struct plan *p, struct findings *f)
{
	bool ours = option_exists(p->conf, offsetof(struct conf, allow));

	if (ours && p->addr.ss_family == AF_UNIX)
		findings_add(f, FINDING_WARNING, EX_CONFIG,
		    VARIABLE ": %.200s: has no effect on %s: its clients have "
		    "no addresses", variable(p), p->socket_name);
	else if (p->addr.ss_family == AF_INET6)
		findings_add(f, FINDING_WARNING, EX_CONFIG,
		    VARIABLE ": %.200s: has no effect on %s: libfcgi checks "
		    "clients of IPv4 sockets only, and lets all others in "
		    "(use a packet filter)", variable(p), p->socket_name);
	else if (ours)
		findings_add(f, FINDING_WARNING, EX_CONFIG,
		    VARIABLE ": %.200s: only workers with libfcgi heed it on "
		    "%s, which was passed in (use a packet filter)",
		    variable(p), p->socket_name);
}

void
plan_allow_check(const struct plan *p, struct findings *f)
{
	const struct conf *c = p->conf;
	size_t i, n = 0;

	if (takes_variable(p))
		check_entries(p, f);
	else if (variable(p) != NULL && c->nallow == 0)
		check_unheeded(p, f);
	else if (variable(p) != NULL)
		findings_add(f, FINDING_NOTE, 0, VARIABLE ": only --allow "
		    "says who can connect (workers with libfcgi also refuse "
		    "clients that the variable does not name)");
	for (i = 0; i < c->nallow && p->only_allowed; i++)
		n += !is_usable(p, &c->allow[i]);
	if (n > 0)
		findings_add(f, FINDING_NOTE, 0, "--allow: %zu of %zu "
		    "addresses cannot reach %s, which is %s alone", n,
		    c->nallow, p->socket_name, p->addr.ss_family == AF_INET ?
		    "IPv4" : "IPv6");
}
