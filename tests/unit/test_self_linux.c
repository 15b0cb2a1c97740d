/* SPDX-License-Identifier: ISC */
/* What others see of the process. */
#include <sys/prctl.h>

#include <stdlib.h>

#include "base/base.h"
#include "unit.h"

#define WORDS	5

static char line[64];		/* as the kernel lays the arguments out */
static char *words[WORDS + 1];

/* Arguments that stand one behind the other, which then move. */
static void
make_room(const char *const list[WORDS])
{
	char *at = line;
	int i;

	memset(line, 'E', sizeof(line));	/* the environment */
	for (i = 0; i < WORDS && list[i] != NULL; i++) {
		words[i] = at;
		at = stpcpy(at, list[i]) + 1;
	}
	words[i] = NULL;
	self_make_room(i, words);
}

static int
free_words(void **arg)
{
	int i;

	(void)arg;
	for (i = 0; words[i] != NULL; i++)
		free(words[i]);
	return 0;
}

static const char *
comm(void)
{
	static char name[16];

	assert_int_equal(prctl(PR_GET_NAME, name, 0, 0, 0), 0);
	return name;
}

static void
name_process(const char *path, const char *more)
{
	self_name(path, strlen(path), more);
}

static void
path_and_rest_are_words(void **arg)
{
	static const char *const list[WORDS] = { "spawn-fcgi", "-s", "/run/s",
	    "/srv/app" };
	size_t i;

	(void)arg;
	make_room(list);
	assert_string_equal(words[0], "spawn-fcgi");
	assert_string_equal(words[3], "/srv/app");
	name_process("/srv/app", ": more");
	assert_memory_equal(line, "/srv/app\0: more", 16);
	for (i = 16; i < 30; i++)
		assert_int_equal(line[i], '\0');
	assert_int_equal(line[30], 'E');
	assert_string_equal(comm(), "app");
	assert_string_equal(words[3], "/srv/app");
}

/* Behind it stands the environment, which is not touched. */
static void
a_title_too_long_is_cut(void **arg)
{
	static const char *const list[WORDS] = { "", "/srv/app" };

	(void)arg;
	make_room(list);
	name_process("/srv/app", ": more");
	assert_memory_equal(line, "/srv/app\0\0EE", 12);
	name_process("/srv/application", "");
	assert_memory_equal(line, "/srv/appl\0EE", 12);
}

static void
the_name_is_cut_as_the_kernel_does_it(void **arg)
{
	(void)arg;
	name_process("/srv/application-of-fifteen", "");
	assert_string_equal(comm(), "application-of-");
	name_process("app", "");
	assert_string_equal(comm(), "app");
	self_name("/srv/app --with arguments", 8, "");
	assert_string_equal(comm(), "app");
}

static void
what_was_executed_is_known(void **arg)
{
	(void)arg;
	assert_non_null(self_executed());
	assert_has(self_executed(), "test_self_linux.unit");
}

static void
the_control_group_of_a_controller_is_found(void **arg)
{
	static const char text[] = "12:cpu,pids:/a:/b\n"
	    "3:devices:/\n"
	    "1:name=systemd:/user.slice\n"
	    "0::/two\n";
	static const struct {
		const char	*controller, *path;
	} cases[] = {
		{ "pids", "/a:/b" }, { "cpu", "/a:/b" }, { "devices", "/" },
		{ "name=systemd", "/user.slice" }, { "", "/two" },
		{ "pid", NULL }, { "systemd", NULL },
	};
	char *path;
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(cases); i++) {
		path = self_cgroup_in(text, cases[i].controller);
		if (cases[i].path == NULL)
			assert_null(path);
		else
			assert_string_equal(path, cases[i].path);
		free(path);
	}
	assert_null(self_cgroup_in("", ""));
	assert_null(self_cgroup_in("0::/cut", "pids"));
	assert_null(self_cgroup_in("junk\n:\n0:", "pids"));
}

#define TEST(f)	cmocka_unit_test_teardown(f, free_words)

static void
a_service_is_one_whatever_it_is_divided_into(void **arg)
{
	static const char *const groups[][2] = {
		{ "/system.slice/app.service", "/system.slice/app.service" },
		{ "/system.slice/app.service/.control",
		    "/system.slice/app.service" },
		{ "/system.slice/app.service/main/x",
		    "/system.slice/app.service" },
		{ "/user.slice/user@1.service/app.slice/a.service/.control",
		    "/user.slice/user@1.service/app.slice/a.service" },
		{ "/system.slice/docker-1.scope/init", "/system.slice/"
		    "docker-1.scope" },
		{ "/a.service.d/x", "/a.service.d/x" },
		{ "/.service/x", "/.service/x" },
		{ "/", "/" }, { "", "" },
	};
	char path[80];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(groups); i++) {
		snprintf(path, sizeof(path), "%s", groups[i][0]);
		self_cut_cgroup(path);
		assert_string_equal(path, groups[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(path_and_rest_are_words),
		TEST(a_title_too_long_is_cut),
		cmocka_unit_test(the_name_is_cut_as_the_kernel_does_it),
		cmocka_unit_test(a_service_is_one_whatever_it_is_divided_into),
		cmocka_unit_test(what_was_executed_is_known),
		cmocka_unit_test(the_control_group_of_a_controller_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
