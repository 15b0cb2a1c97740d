/* SPDX-License-Identifier: ISC */
/* Which of our names a start means. */
#include "base/base.h"
#include "config/alias.h"
#include "config/config.h"
#include "tmp.h"

static void
the_file_that_was_executed_decides(void **arg)
{
	static const struct {
		const char *executed, *argv0, *name;
	} starts[] = {
		{ "/usr/bin/spawn-fcgi", "/usr/bin/php-cgi", "spawn-fcgi" },
		{ "/usr/bin/spawn-fcgi", "kfcgi", "spawn-fcgi" },
		{ "/usr/bin/spawn-fcgi", "", "spawn-fcgi" },
		{ "/usr/bin/spawn-fcgi", NULL, "spawn-fcgi" },
		{ "multiwatch", "app", "multiwatch" },
		{ "./kfcgi", "app", "kfcgi" },
		{ "/usr/sbin/spawnd", "spawn-fcgi", "spawnd" },
		{ "/dev/fd/3/spawn-fcgi", "app", "spawn-fcgi" },
		{ "/opt/multiwatch/spawnd", "multiwatch", "spawnd" },
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(starts); i++)
		assert_string_equal(compat_name(starts[i].executed,
		    starts[i].argv0), starts[i].name);
}

static void
else_argv0_does(void **arg)
{
	static const struct {
		const char *executed, *argv0, *name;
	} starts[] = {
		{ NULL, "/usr/bin/spawn-fcgi", "spawn-fcgi" },
		{ NULL, "spawnd", "spawnd" },
		{ NULL, "app", "spawnd" },
		{ NULL, NULL, "spawnd" },
		{ "/dev/fd/3", "multiwatch", "multiwatch" },
		{ "/lib/ld-musl-x86_64.so.1", "/usr/bin/kfcgi", "kfcgi" },
		{ "/nowhere/spawn-fcgi.old", "spawn-fcgi.old", "spawnd" },
		{ "/nowhere/spawn-fcgi/", "", "spawnd" },
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(starts); i++)
		assert_string_equal(compat_name(starts[i].executed,
		    starts[i].argv0), starts[i].name);
}

static const char *
make_link(const char *target, const char *name)
{
	const char *path = tmp_path(name);

	assert_int_equal(symlink(target, path), 0);
	return path;
}

static void
else_the_links_do(void **arg)
{
	const char *path;

	(void)arg;
	make_link("/usr/local/sbin/spawnd", "spawn-fcgi");
	path = make_link("spawn-fcgi", "relative");
	assert_string_equal(compat_name(path, "app"), "spawn-fcgi");
	path = make_link(path, "absolute");
	assert_string_equal(compat_name(path, path), "spawn-fcgi");
	/* The first that is known, not the last. */
	path = make_link("kfcgi", "first");
	make_link("spawn-fcgi", "kfcgi");
	assert_string_equal(compat_name(path, path), "kfcgi");
	assert_string_equal(compat_name(path, "multiwatch"), "multiwatch");
	path = make_link("spawnd", "own");
	assert_string_equal(compat_name(path, path), "spawnd");
	assert_string_equal(compat_name(make_link("loop", "loop"), "app"),
	    "spawnd");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_that_was_executed_decides),
		cmocka_unit_test(else_argv0_does),
		cmocka_unit_test(else_the_links_do),
	};

	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
