/* SPDX-License-Identifier: ISC */
/* What a reader finds in a file that holds a pid, at each moment. */
#include "base/base.h"
#include "tmp.h"

/* NOLINTBEGIN(*reserved-identifier,cert-dcl*): the linker's names */
int __real_ftruncate(int, off_t);
int __wrap_ftruncate(int, off_t);

static char found[32];		/* by a reader, before that call */

static void
look(int fd)
{
	ssize_t n = pread(fd, found, sizeof(found) - 1, 0);

	found[n > 0 ? n : 0] = '\0';
}

int
__wrap_ftruncate(int fd, off_t len)
{
	look(fd);
	return __real_ftruncate(fd, len);
}
/* NOLINTEND(*reserved-identifier,cert-dcl*) */

/* A file with that text in it. */
static int
file_with(const char *text)
{
	char path[sizeof(tmp_dir) + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/pid", tmp_dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

/* A number, and nothing but the ends of lines behind it. */
static void
assert_one(const char *number)
{
	size_t len = strlen(number);

	assert_memory_equal(found, number, len);
	assert_int_equal(found[len], '\n');
	assert_int_equal(strspn(found + len, "\n"), strlen(found + len));
}

static void
a_shorter_pid_leaves_no_second_one(void **arg)
{
	static const char *const before[] = { "12345\n", "1234567\n", "88\n",
	    "88", "", "99999999999999" };
	size_t i;
	int fd;

	(void)arg;
	for (i = 0; i < NITEMS(before); i++) {
		fd = file_with(before[i]);
		look(fd);
		assert_int_equal(pidlock_rewrite(fd, 7), 0);
		if (strlen(before[i]) > 2)
			assert_one("7");
		look(fd);
		assert_string_equal(found, "7\n");
		assert_true(pidlock_holds(fd, 7));
		close(fd);
	}
}

static void
a_longer_pid_is_whole(void **arg)
{
	int fd = file_with("7\n");

	(void)arg;
	assert_true(pidlock_holds(fd, 7));
	assert_int_equal(pidlock_rewrite(fd, 4194304), 0);
	look(fd);
	assert_string_equal(found, "4194304\n");
	assert_true(pidlock_holds(fd, 4194304));
	assert_false(pidlock_holds(fd, 419430));
	assert_false(pidlock_holds(fd, 7));
	assert_true(pidlock_is_pid(fd));
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shorter_pid_leaves_no_second_one),
		cmocka_unit_test(a_longer_pid_is_whole),
	};

	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
