/* SPDX-License-Identifier: ISC */
/* Prints the plan as "key: value" lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "config/config.h"
#include "config/describe.h"
#include "preflight/inspect.h"

static void
print_text(const char *text)
{
	text_print(stdout, text, strlen(text));
}

static void
print_value(const char *key, const char *value)
{
	if (value == NULL)
		return;
	printf("%s: ", key);
	print_text(value);
	putchar('\n');
}

static void
print_application(const struct plan *p)
{
	size_t i;

	if (p->argv == NULL || p->argv[0] == NULL)
		return;
	fputs("application:", stdout);
	for (i = 0; p->argv[i] != NULL; i++) {
		char *word = text_quote(p->argv[i]);

		putchar(' ');
		print_text(word != NULL ? word : p->argv[i]);
		free(word);
	}
	putchar('\n');
}

static void
print_user(const struct ident *id)
{
	int i;

	if (id->user == NULL || id->group == NULL)
		return;
	fputs("user: ", stdout);
	print_text(id->user);
	printf(" (uid %u), group ", id->uid);
	print_text(id->group);
	printf(" (gid %u), groups", id->gid);
	for (i = 0; i < id->ngroups; i++)
		printf(" %u", id->groups[i]);
	puts(id->ngroups == 0 ? " none" : "");
}

/* All of them: who is missing here will see no answer. */
static void
print_clients(const struct plan *p)
{
	char text[NETWORK_SIZE];
	size_t i;

	puts(p->nallow > 0 ? "web servers:" : "web servers: none");
	for (i = 0; i < p->nallow; i++)
		printf("\t%s\n", network_text(&p->allow[i], text));
}

static void
print_pool(const struct plan *p)
{
	if (p->workers == 0 && p->max_workers == 0)
		return;
	printf("workers: %d", p->workers);
	if (p->max_workers > 0)
		printf(" to %u%s", p->max_workers, p->workers == 0 ?
		    " on demand" : "");
	if (p->children > 0)
		printf(" x (%d children + 1)", p->children);
	if (p->surge > 0)
		printf("\nreload: %u at a time\n", p->surge);
	else
		puts("\nreload: a quarter at a time");
}

static void
print_limit(const char *key, rlim_t value)
{
	if (value == RLIM_INFINITY)
		printf("%sinfinity", key);
	else
		printf("%s%llu", key, (unsigned long long)value);
}

static void
print_limits(const struct conf *c)
{
	size_t i;

	fputs("limits:", stdout);
	for (i = 0; i < c->nlimits; i++) {
		const struct limit *l = &c->limits[i];

		printf(" %s", l->name);
		print_limit("=", l->value.rlim_cur);
		if (l->has_hard)
			print_limit(":", l->value.rlim_max);
	}
	puts(c->nlimits == 0 ? " as they are" : "");
	if (c->nice_given)
		printf("nice: %d\n", c->nice);
	printf("umask: %03o\n", (unsigned int)c->umask);
}

static void
print_stop(const struct conf *c)
{
	const char *name = signame_name(c->stop_signal);

	printf("start timeout: %d s\n", c->start_timeout);
	if (c->drain > 0)
		printf("drain: %d s\n", c->drain);
	if (name != NULL)
		printf("stop: SIG%s", name);
	else
		printf("stop: signal %d", c->stop_signal);
	printf(", SIGKILL after %d s\n", c->stop_timeout);
}

static void
print_log(const struct plan *p)
{
	const char *facility, *form;

	print_value("log", plan_log(p, &facility, &form));
	print_value("syslog facility", facility);
	print_value("worker log", form);
}

static void
print_control(const struct plan *p)
{
	print_value("control", p->control != NULL ? p->control : "none");
	if (p->control != NULL && !p->control_own)
		printf("\tin it: %s\n", p->name);
	print_value("status group", p->conf->status_group);
}

/* What is printed may end in a ticket: of a possible secret only the name. */
static void
print_environment(const struct plan *p)
{
	bool *shown;
	size_t i;

	if (p->envp == NULL)
		return;
	puts("environment:");
	shown = env_shown(p);
	for (i = 0; p->envp[i] != NULL; i++) {
		putchar('\t');
		if (shown != NULL && shown[i])
			print_text(p->envp[i]);
		else {
			text_print(stdout, p->envp[i],
			    strcspn(p->envp[i], "="));
			fputs(" (its value is not shown)", stdout);
		}
		putchar('\n');
	}
	free(shown);
}

void
preprint_plan(const struct plan *p, bool listed)
{
	const struct conf *c = p->conf;

	print_value("name", p->name);
	print_application(p);
	print_user(&p->ident);
	print_value("jail", p->jail != NULL ? p->jail : "none");
	print_value("working directory", p->chdir);
	print_value("socket", p->socket_name);
	print_value("owner", p->socket_owner);
	if (listed)
		print_clients(p);
	if (p->inherited == -1)
		printf("backlog: %d\n", p->backlog);
	print_pool(p);
	print_environment(p);
	print_limits(c);
	print_stop(c);
	print_log(p);
	print_control(p);
	print_value("pidfile", p->pidfile);
	printf("no new privileges: %s\n", c->no_new_privs ? "yes" : "no");
	printf("confine: %s\n", c->confine ? "yes" : "no");
}
