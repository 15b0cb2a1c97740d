/* SPDX-License-Identifier: ISC */
/*
 * From the command line to the plan: what is the same with rights and
 * without. As root every test runs twice, the second time as nobody.
 */
#include <sys/un.h>

#include <grp.h>

#include "planned.h"

static void
a_relative_socket_path_is_made_absolute(void **arg)
{
	char *cwd = getcwd(NULL, 0), *where = NULL;

	(void)arg;
	assert_non_null(cwd);
	assert_int_equal(chdir(tmp_dir), 0);
	planned("-s", "run/a.sock", "/app");
	assert_int_equal(chdir(cwd), 0);
	free(cwd);
	assert_int_equal(p.addr.ss_family, AF_UNIX);
	assert_has(p.socket_dir, tmp_dir);
	assert_string_equal(p.socket_dir + strlen(p.socket_dir) - 4, "/run");
	assert_string_equal(p.socket_file, "a.sock");
	assert_int_not_equal(asprintf(&where, "unix:%s/a.sock",
	    p.socket_dir), -1);
	assert_string_equal(p.socket_name, where);
	free(where);
}

static void
a_socket_in_the_root_directory(void **arg)
{
	(void)arg;
	planned("-s", "/a.sock", "/app");
	assert_string_equal(p.socket_dir, "/");
	assert_string_equal(p.socket_file, "a.sock");
	assert_string_equal(p.socket_name, "unix:/a.sock");
	assert_false(p.socket_in_jail);
	assert_null(p.jail);
	assert_int_equal(p.jail_fd, -1);
}

static void
an_absolute_socket_path_stays(void **arg)
{
	(void)arg;
	planned("-s", "/run/app/a.sock", "/app");
	assert_string_equal(p.socket_dir, "/run/app");
	assert_string_equal(p.socket_name, "unix:/run/app/a.sock");
}

/* With the NUL it must fit: 107 bytes here. */
static void
a_socket_path_too_long_for_an_address(void **arg)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

	(void)arg;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 2] = '\0';
	planned("-s", path, "/app");
	path[sizeof(path) - 2] = 'x';
	path[sizeof(path) - 1] = '\0';
	refused(EX_USAGE, "-s", path, "/app");
	assert_has(e.text, "-s: /xxx");
	assert_has(e.text, "longer than 107 bytes");
}

static void
a_socket_path_that_names_no_file(void **arg)
{
	static const char *const paths[] = { "/run/", "/", "/run/.",
	    "/run/..", ".", ".." };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(paths); i++) {
		refused(EX_USAGE, "-s", paths[i], "/app");
		assert_has(e.text, "-s: ");
		assert_has(e.text, "does not name a file");
	}
}

/* However it was typed: the name of a socket is what others compare. */
static void
a_path_is_shown_with_single_slashes(void **arg)
{
	(void)arg;
	planned("-s//run///a.sock", "/app");
	assert_string_equal(p.socket_name, "unix:/run/a.sock");
	assert_string_equal(p.socket_dir, "/run");
	planned("-s//a.sock", "-P//run//pid", "//app");
	assert_string_equal(p.socket_name, "unix:/a.sock");
	assert_string_equal(p.pidfile, "/run/pid");
	/* As it was typed: others may look for it. */
	assert_string_equal(p.argv[0], "//app");
}

static void
the_socket_has_mode_0660_unless_told_otherwise(void **arg)
{
	(void)arg;
	planned("-s/a", "/app");
	assert_int_equal(p.socket_mode, 0660);
	assert_has(p.socket_owner, " 0660");
	planned("-s/a", "-M7", "/app");
	assert_int_equal(p.socket_mode, 07);
	assert_has(p.socket_owner, " 0007");
}

static void
a_relative_program_is_made_absolute(void **arg)
{
	char *cwd = getcwd(NULL, 0);

	(void)arg;
	assert_non_null(cwd);
	planned("-p1", "./bin/app", "-x", "y");
	assert_true(strncmp(p.argv[0], cwd, strlen(cwd)) == 0);
	assert_has(p.argv[0], "/./bin/app");
	assert_string_equal(p.argv[1], "-x");
	assert_string_equal(p.argv[2], "y");
	assert_null(p.argv[3]);
	free(cwd);
}

static void
a_command_goes_through_the_shell(void **arg)
{
	(void)arg;
	planned("-p1", "-f", "/bin/app -x $Y");
	assert_string_equal(p.argv[0], "/bin/sh");
	assert_string_equal(p.argv[1], "-c");
	assert_string_equal(p.argv[2], "exec /bin/app -x $Y");
	assert_null(p.argv[3]);
}

static void
workers_live_in_the_root_directory_unless_told_otherwise(void **arg)
{
	(void)arg;
	planned("-p1", "/app");
	assert_string_equal(p.chdir, "/");
	planned("-p1", "-d/srv", "/app");
	assert_string_equal(p.chdir, "/srv");
	planned("-p1", "-dsrv", "/app");
	assert_int_equal(p.chdir[0], '/');
	assert_string_equal(p.chdir + strlen(p.chdir) - 4, "/srv");
}

static const char *
name_of(const char *option, const char *value)
{
	if (option != NULL)
		planned("-p1", option, value);
	else
		planned("-p1", "--", value);
	return p.name;
}

static void
names_are_made_of_the_application(void **arg)
{
	(void)arg;
	assert_string_equal(name_of(NULL, "/fcgi-bin/app"), "app");
	assert_string_equal(name_of(NULL, "./app-1.2_x"), "app-1.2_x");
	assert_string_equal(name_of(NULL, "/bin/a b;c"), "a_b_c");
	assert_string_equal(name_of(NULL, "/bin/app//"), "app");
	assert_string_equal(name_of(NULL, "/bin/caf\xc3\xa9"), "caf__");
	assert_string_equal(name_of(NULL,
	    "/a-name-much-longer-than-a-name-may-be"),
	    "a-name-much-longer-than-a-name-m");
	assert_string_equal(name_of(NULL, "/"), "spawnd");
	assert_string_equal(name_of(NULL, "/x/.."), "spawnd");
	assert_string_equal(name_of(NULL, "./."), "spawnd");
}

static void
names_are_made_of_commands_too(void **arg)
{
	(void)arg;
	assert_string_equal(name_of("-f", "/usr/bin/php-cgi -b x/y"),
	    "php-cgi");
	assert_string_equal(name_of("-f", "app"), "app");
	assert_string_equal(name_of("-f", "app\tx"), "app");
	assert_string_equal(name_of("-f", "  "), "spawnd");
	assert_string_equal(name_of("-f", " \t/bin/app -x"), "app");
	assert_string_equal(name_of("-f", "\napp/ x"), "app");
	assert_string_equal(name_of("-f", "$APP"), "_APP");
}

static void
a_name_that_is_given_wins(void **arg)
{
	(void)arg;
	planned("-p1", "--name", "blog", "/app");
	assert_string_equal(p.name, "blog");
}

static void
four_workers_unless_told_otherwise(void **arg)
{
	(void)arg;
	planned("-p1", "/app");
	assert_int_equal(p.workers, 4);
	assert_int_equal(p.children, 0);
	planned("-p1", "-F7", "/app");
	assert_int_equal(p.workers, 7);
}

static void
one_worker_where_php_has_children(void **arg)
{
	(void)arg;
	planned("-p1", "-C3", "/app");
	assert_int_equal(p.workers, 1);
	assert_int_equal(p.children, 3);
	assert_string_equal(environ_get(p.envp, "PHP_FCGI_CHILDREN"), "3");
	planned("-p1", "-C3", "-F2", "/app");
	assert_int_equal(p.workers, 2);
	planned("-p1", "-C0", "/app");
	assert_int_equal(p.workers, 4);
	planned("-p1", "-e", "PHP_FCGI_CHILDREN=5", "/app");
	assert_int_equal(p.workers, 1);
	assert_int_equal(p.children, 5);
}

static void
the_callers_php_children_count_too(void **arg)
{
	(void)arg;
	assert_int_equal(setenv("PHP_FCGI_CHILDREN", "2", 1), 0);
	planned("-p1", "/app");
	assert_int_equal(p.workers, 1);
	assert_int_equal(p.children, 2);
	planned("-p1", "-C0", "/app");
	assert_int_equal(p.workers, 4);
	assert_int_equal(setenv("PHP_FCGI_CHILDREN", "", 1), 0);
	planned("-p1", "/app");
	assert_int_equal(p.workers, 4);
}

static void
php_children_that_are_no_number(void **arg)
{
	(void)arg;
	refused(EX_USAGE, "-p1", "-e", "PHP_FCGI_CHILDREN=many", "/app");
	assert_has(e.text, "PHP_FCGI_CHILDREN: many: ");
}

/* At most 256. There is no way back up, but nothing here needs more. */
static unsigned int
lower_open_files(void)
{
	struct rlimit r;
	unsigned int n;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	n = r.rlim_max > 256 ? 256 : (unsigned int)r.rlim_max;
	r.rlim_cur = r.rlim_max = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
	return n;
}

static void
more_workers_than_open_files_allow(void **arg)
{
	char most[8], more[8];
	unsigned int n = lower_open_files();

	(void)arg;
	snprintf(most, sizeof(most), "%u", n - FDS_RESERVED);
	snprintf(more, sizeof(more), "%u", n - FDS_RESERVED + 1);
	planned("-p1", "-F", most, "/app");
	refused(EX_CONFIG, "-p1", "-F", more, "/app");
	assert_has(e.text, "-F: ");
	assert_has(e.text, "open files, the limit is ");
	assert_has(e.text, more);
}

/* One more than there are workers is among the reserved ones. */
static void
a_reload_starts_no_more_than_open_files_allow(void **arg)
{
	unsigned int left = lower_open_files() - FDS_RESERVED + 1;
	char workers[8], surge[8];

	(void)arg;
	planned("-p1", "-F20", "--reload-surge=9", "/app");
	assert_int_equal(p.surge, 9);
	assert_int_equal(p.room, left - 1);
	assert_int_equal(p.processes, left);
	snprintf(workers, sizeof(workers), "%u", left - 7);
	planned("-p1", "-F", workers, "/app");
	assert_int_equal(p.surge, 0);
	assert_int_equal(p.processes, left);
	planned("-p1", "-F", workers, "--reload-surge=7", "/app");
	assert_int_equal(p.surge, 7);
	snprintf(surge, sizeof(surge), "%u", left - 20 + 1);
	refused(EX_CONFIG, "-p1", "-F1", "-N20", "--reload-surge", surge,
	    "/app");
	assert_has(e.text, "--reload-surge: ");
	assert_has(e.text, "open files, the limit is ");
}

static void
a_bad_env_file_is_found(void **arg)
{
	(void)arg;
	refused(EX_CONFIG, "-p1", "--env-file", tmp_file("env", "bad\n", 4,
	    0600), "/app");
	assert_has(e.text, ":1: ");
}

static void
nothing_is_created(void **arg)
{
	struct stat st;

	(void)arg;
	planned("-s", tmp_path("sock"), "/app");
	assert_int_equal(lstat(tmp_path("sock"), &st), -1);
}

static const struct CMUnitTest tests[] = {
	TEST(a_relative_socket_path_is_made_absolute),
	TEST(a_socket_in_the_root_directory),
	TEST(an_absolute_socket_path_stays),
	TEST(a_socket_path_too_long_for_an_address),
	TEST(a_socket_path_that_names_no_file),
	TEST(a_path_is_shown_with_single_slashes),
	TEST(the_socket_has_mode_0660_unless_told_otherwise),
	TEST(a_relative_program_is_made_absolute),
	TEST(a_command_goes_through_the_shell),
	TEST(workers_live_in_the_root_directory_unless_told_otherwise),
	TEST(names_are_made_of_the_application),
	TEST(names_are_made_of_commands_too),
	TEST(a_name_that_is_given_wins),
	TEST(four_workers_unless_told_otherwise),
	TEST(one_worker_where_php_has_children),
	TEST(the_callers_php_children_count_too),
	TEST(php_children_that_are_no_number),
	TEST(more_workers_than_open_files_allow),
	TEST(a_reload_starts_no_more_than_open_files_allow),
	TEST(a_bad_env_file_is_found),
	TEST(nothing_is_created),
};

int
main(void)
{
	int failed = 0;

	if (geteuid() == 0) {
		failed += cmocka_run_group_tests(tests, tmp_make,
		    tmp_remove);
		/* Where it can be searched by anybody. */
		if (chdir("/") == -1 || setgroups(0, NULL) == -1 ||
		    setgid(NOBODY) == -1 || setuid(NOBODY) == -1)
			return 1;
	}
	failed += cmocka_run_group_tests(tests, tmp_make, tmp_remove);
	return failed == 0 ? 0 : 1;
}
