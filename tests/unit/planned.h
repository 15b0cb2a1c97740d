/* SPDX-License-Identifier: ISC */
/* A plan made of a command line, as root and without. */
#ifndef PLANNED_H
#define PLANNED_H

#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "tmp.h"
#include "words.h"

#define NOBODY	60123		/* most likely without passwd entry */
#define ID	"60123"

static struct plan p;

/* Nothing in the daemon does this: its plan lasts. */
static inline void
plan_free(void)
{
	size_t i;

	if (p.jail_fd != -1)
		close(p.jail_fd);
	if (p.cwd_fd != -1)
		close(p.cwd_fd);
	if (p.argv != NULL) {
		free(p.conf->command != NULL ? p.argv[2] : p.argv[0]);
		free(p.argv);
	}
	for (i = 0; p.envp != NULL && p.envp[i] != NULL; i++)
		free(p.envp[i]);
	free(p.envp);
	free(p.jail);
	free(p.socket_dir);
	free(p.socket_file);
	free(p.socket_name);
	free(p.socket_owner);
	free(p.allow);
	free(p.clients);
	free(p.chdir);
	free(p.pidfile);
	free(p.control);
	free(p.log);
	free(p.ident.groups);
	free(p.ident.user);
	free(p.ident.group);
	free(p.ident.home);
	free(p.ident.shell);
	memset(&p, 0, sizeof(p));
	p.jail_fd = -1;
	p.cwd_fd = -1;
}

/* Tear-down of a test. */
static inline int
plan_forget(void **arg)
{
	(void)arg;
	if (p.conf != NULL) {
		plan_free();
		options_free(&c);
	}
	unsetenv("PHP_FCGI_CHILDREN");
	return 0;
}

/* Makes the plan; the first error that was found, if any, is left in e. */
static inline int
plan_first_error(void)
{
	struct findings f = { NULL, 0 };
	const struct finding *error;

	plan_make(&p, &c, -1, &f);
	if ((error = findings_error(&f)) != NULL)
		err_set(&e, error->status, "%s", error->text);
	findings_free(&f);
	return error != NULL ? -1 : 0;
}

/*
 * Plans for the words. As root -u and -g, which are required there, come
 * first; what the words say wins.
 */
static inline int
plan_words(const char *const *list)
{
	static const char *const ids[] = { "-u" ID, "-g" ID, NULL };
	int n = 1;

	if (p.conf != NULL) {
		plan_free();
		options_free(&c);
	}
	words[0] = (char *)"spawnd";
	if (geteuid() == 0)
		n = words_add(n, ids);
	n = words_add(n, list);
	memset(&e, 0, sizeof(e));
	if (options_parse(&c, n, words, &e) == -1)
		fail_msg("options: %s", e.text);
	return plan_first_error();
}

#define plan(...)	plan_words((const char *const[]){ __VA_ARGS__, NULL })

/* The same, which has to work. */
#define planned(...) do {						\
	if (plan(__VA_ARGS__) == -1)					\
		fail_msg("plan: %s", e.text);				\
} while (0)

/* The same, which must not, with this status. */
#define refused(want, ...) do {						\
	assert_int_equal(plan(__VA_ARGS__), -1);			\
	assert_int_equal(e.status, (want));				\
} while (0)

#define TEST(f)	cmocka_unit_test_teardown(f, plan_forget)

#endif
