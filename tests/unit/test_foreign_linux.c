/* SPDX-License-Identifier: ISC */
/*
 * Connections that sock_diag(7) does not show, by a copy of the descriptor. We
 * are the worker ourselves here, and have the listen socket as descriptor 0.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/sockets_linux.h"
#include "unit.h"

static int client, served;	/* the two ends of a connection */
static uint64_t taken_for;	/* what `served` is seen as; 0: what it is */

static int trees, copies;	/* how often they were asked for */
static int refusal;		/* errno of each copy; 0: none */
static bool filtered;		/* whatever it is of */

/* NOLINTBEGIN(*reserved-identifier,cert-dcl*): the linker's names */
int	 __real_proc_socket_at(int dir, const char *name, uint64_t *inode);
int	 __wrap_proc_socket_at(int dir, const char *name, uint64_t *inode);

int
__wrap_proc_socket_at(int dir, const char *name, uint64_t *inode)
{
	int result = __real_proc_socket_at(dir, name, inode);

	if (taken_for != 0)
		*inode = atoi(name) == served ? taken_for : 0;
	return result;
}

int	 __real_proc_tree(pid_t pid, pid_t *list, int max);
int	 __wrap_proc_tree(pid_t pid, pid_t *list, int max);

int
__wrap_proc_tree(pid_t pid, pid_t *list, int max)
{
	trees++;
	return __real_proc_tree(pid, list, max);
}

long	 __real_syscall(long nr, long a, long b, long c, long d, long e);
long	 __wrap_syscall(long nr, long a, long b, long c, long d, long e);

long
__wrap_syscall(long nr, long a, long b, long c, long d, long e)
{
	if (nr != SYS_pidfd_getfd)
		return __real_syscall(nr, a, b, c, d, e);
	copies += (int)a >= 0;
	if (refusal == 0 || ((int)a < 0 && !filtered))
		return __real_syscall(nr, a, b, c, d, e);
	errno = refusal;
	return -1;
}
/* NOLINTEND(*reserved-identifier,cert-dcl*) */

static uint64_t
inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static int
connect_both(void **arg)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sun);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool detached;

	(void)arg;
	/* With no more than a family, the kernel gives it an abstract name. */
	if (dup2(fd, STDIN_FILENO) == -1 || bind(fd, (struct sockaddr *)&sun,
	    sizeof(sun.sun_family)) == -1 || listen(fd, 1) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sun, &len) == -1)
		return -1;
	close(fd);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(client, (struct sockaddr *)&sun, len) == -1)
		return -1;
	served = accept4(STDIN_FILENO, NULL, NULL, SOCK_CLOEXEC);
	taken_for = 0;
	trees = copies = refusal = 0;
	filtered = false;
	return served != -1 && proc_open(&detached) == 0 ? 0 : -1;
}

static int
close_both(void **arg)
{
	(void)arg;
	close(client);
	close(served);
	return 0;
}

static bool
is_accepted(uint64_t inode)
{
	struct foreign f = { .pid = getpid() };
	uint32_t unread;
	bool alive;

	return foreign_accepted(&f, inode, &unread, &alive);
}

static void
an_accepted_one_is_found(void **arg)
{
	(void)arg;
	assert_true(is_accepted(inode_of(served)));
	assert_false(is_accepted(inode_of(client)));
}

/* Between the look at its name and the copy another was opened there. */
static void
a_descriptor_used_again_is_another_socket(void **arg)
{
	(void)arg;
	taken_for = inode_of(client);
	assert_false(is_accepted(taken_for));
	taken_for = 0;
	assert_true(is_accepted(inode_of(served)));
}

static void
a_look_finds_the_descendants_once(void **arg)
{
	struct foreign f = { .pid = getpid() };
	uint32_t unread;
	bool alive;

	(void)arg;
	assert_false(foreign_accepted(&f, 1, &unread, &alive));
	assert_false(foreign_accepted(&f, 2, &unread, &alive));
	assert_int_equal(trees, 1);
}

static void
a_process_that_refuses_is_not_asked_again(void **arg)
{
	(void)arg;
	refusal = EPERM;
	assert_false(is_accepted(inode_of(served)));
	assert_false(is_accepted(inode_of(served)));
	assert_int_equal(copies, 1);
	refusal = 0;	/* of another socket */
	assert_false(is_accepted(inode_of(client)));
	assert_int_equal(copies, 2);
}

/* The last one: it is remembered for good. */
static void
a_filter_is_not_asked_again(void **arg)
{
	(void)arg;
	refusal = EPERM;
	filtered = true;
	assert_false(is_accepted(inode_of(served)));
	assert_false(is_accepted(inode_of(client)));
	assert_int_equal(copies, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_accepted_one_is_found,
		    connect_both, close_both),
		cmocka_unit_test_setup_teardown(
		    a_descriptor_used_again_is_another_socket, connect_both,
		    close_both),
		cmocka_unit_test_setup_teardown(
		    a_look_finds_the_descendants_once, connect_both,
		    close_both),
		cmocka_unit_test_setup_teardown(
		    a_process_that_refuses_is_not_asked_again, connect_both,
		    close_both),
		cmocka_unit_test_setup_teardown(a_filter_is_not_asked_again,
		    connect_both, close_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
