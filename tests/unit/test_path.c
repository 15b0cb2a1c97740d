/* SPDX-License-Identifier: ISC */
/*
 * The walk to a directory below another root directory, as any user: what
 * root alone refuses needs root.
 */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "base/path.h"
#include "tmp.h"

static int root = -1;

/* outside/ and jail/, with jail/a/b/ in it. */
static int
make(void **arg)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	if (tmp_make(arg) == -1 || mkdir(tmp_path("outside"), 0755) == -1 ||
	    mkdir(tmp_path("jail"), 0755) == -1 ||
	    mkdir(tmp_path("jail/a"), 0755) == -1 ||
	    mkdir(tmp_path("jail/a/b"), 0755) == -1)
		return -1;
	root = open(tmp_path("jail"), flags);
	return root == -1 ? -1 : 0;
}

static int
unmake(void **arg)
{
	static const char *const links[] = { "jail/link", "jail/a/link" };
	size_t i;

	for (i = 0; i < NITEMS(links); i++)
		unlink(tmp_path(links[i]));
	close(root);
	rmdir(tmp_path("jail/a/b"));
	rmdir(tmp_path("jail/a"));
	return tmp_remove(arg);
}

static void
leads_to(const char *path, const char *where)
{
	struct stat got, want;
	int fd = path_open_dir(root, path);

	if (fd == -1)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fstat(fd, &got), 0);
	assert_int_equal(stat(tmp_path(where), &want), 0);
	if (got.st_ino != want.st_ino || got.st_dev != want.st_dev)
		fail_msg("%s is not %s", path, where);
	close(fd);
}

static void
fails(const char *path, int error)
{
	errno = 0;
	assert_int_equal(path_open_dir(root, path), -1);
	assert_int_equal(errno, error);
}

static void
link_to(const char *target, const char *name)
{
	unlink(tmp_path(name));
	assert_int_equal(symlink(target, tmp_path(name)), 0);
}

static void
names_are_below_the_root(void **arg)
{
	(void)arg;
	leads_to("/", "jail");
	leads_to("", "jail");
	leads_to("/a/b", "jail/a/b");
	leads_to("a//./b/", "jail/a/b");
	fails("/outside", ENOENT);
}

static void
nothing_leads_above_it(void **arg)
{
	(void)arg;
	leads_to("..", "jail");
	leads_to("/../../a", "jail/a");
	fails("/../outside", ENOENT);
	leads_to("/a/b/../..", "jail");
	leads_to("/a/../../a/b/..", "jail/a");
}

static void
links_are_as_a_jailed_process_finds_them(void **arg)
{
	(void)arg;
	link_to("/a/b", "jail/link");
	leads_to("/link", "jail/a/b");
	leads_to("/link/..", "jail/a");
	link_to("../../../outside", "jail/a/link");
	fails("/a/link", ENOENT);
	link_to("../link/../b", "jail/a/link");
	leads_to("/a/link", "jail/a/b");
}

static void
links_to_each_other_end(void **arg)
{
	(void)arg;
	link_to("a/link", "jail/link");
	link_to("/link", "jail/a/link");
	fails("/link", ELOOP);
	fails("/a/link/b", ELOOP);
}

static void
what_is_no_directory_is_an_error(void **arg)
{
	char deep[PATH_MAX] = "";
	size_t i;

	(void)arg;
	tmp_file("jail/a/file", "x", 1, 0644);
	fails("/a/file", ENOTDIR);
	fails("/a/file/b", ENOTDIR);
	unlink(tmp_path("jail/a/file"));
	for (i = 0; i + 3 < sizeof(deep); i += 2)
		memcpy(deep + i, "a/", 3);
	fails(deep, ENOENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_below_the_root),
		cmocka_unit_test(nothing_leads_above_it),
		cmocka_unit_test(links_are_as_a_jailed_process_finds_them),
		cmocka_unit_test(links_to_each_other_end),
		cmocka_unit_test(what_is_no_directory_is_an_error),
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
