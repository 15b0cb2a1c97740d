/* SPDX-License-Identifier: ISC */
/*
 * Which TCP connections are those of the listen socket, when others listen on
 * the same port.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdlib.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/observe.h"
#include "observe/sockets_linux.h"
#include "pool/pool.h"
#include "unit.h"

#define OURS		2	/* connections to our listen socket */
#define THEIRS		3	/* and to the other one */

static struct sockaddr_storage there;
static uint16_t port;

static socklen_t
name(const char *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&there;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&there;

	memset(&there, 0, sizeof(there));
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = port;
		return sizeof(*in);
	}
	assert_int_equal(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = port;
	return sizeof(*in6);
}

/* The first one gets any port, the next one the same. */
static int
listen_on(const char *address, bool shares)
{
	socklen_t len = name(address);
	int fd = socket(there.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, off = 0;

	assert_int_not_equal(fd, -1);
	if (shares)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
		    sizeof(on)), 0);
	if (there.ss_family == AF_INET6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
		    &off, sizeof(off)), 0);
	if (bind(fd, (struct sockaddr *)&there, len) == -1)
		fail_msg("%s: cannot be bound to", address);
	assert_int_equal(listen(fd, 16), 0);
	len = sizeof(there);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&there, &len), 0);
	port = ((struct sockaddr_in *)&there)->sin_port;
	return fd;
}

/* A client, which is returned, and unless that is NULL whoever accepts it. */
static int
connect_to(const char *address, int listener, int *accepted)
{
	socklen_t len = name(address);
	int fd = socket(there.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_not_equal(fd, -1);
	if (connect(fd, (struct sockaddr *)&there, len) == -1)
		fail_msg("%s: cannot be connected to", address);
	if (accepted == NULL)
		return fd;
	*accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_not_equal(*accepted, -1);
	return fd;
}

static uint64_t
inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* Two who listen on one port, and where clients have to go to reach each. */
static const struct pair {
	const char	*ours, *to_ours;
	const char	*theirs, *to_theirs;
	bool		 shares;	/* else the kernel allows no such two */
} pairs[] = {
	{ "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2", false },
	{ "::1", "::1", "127.0.0.1", "127.0.0.1", false },
	{ "127.0.0.1", "127.0.0.1", "::1", "::1", false },
	{ "::1", "::1", "::ffff:127.0.0.1", "127.0.0.1", false },
	{ "::ffff:127.0.0.1", "127.0.0.1", "::1", "::1", false },
	{ "::ffff:127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2", false },
	{ "0.0.0.0", "127.0.0.1", "127.0.0.2", "127.0.0.2", true },
	{ "127.0.0.2", "127.0.0.2", "0.0.0.0", "127.0.0.1", true },
	{ "::", "127.0.0.1", "127.0.0.2", "127.0.0.2", true },
	{ "::", "127.0.0.1", "::1", "::1", true },
	{ "::", "::1", "::ffff:127.0.0.1", "127.0.0.1", true },
	{ "::1", "::1", "::", "127.0.0.1", true },
	{ "::ffff:127.0.0.1", "127.0.0.1", "::", "::1", true },
	{ "::ffff:0.0.0.0", "127.0.0.1", "::1", "::1", true },
};

static void
check_pair(const struct pair *p)
{
	int clients[OURS + THEIRS], accepted[OURS + THEIRS], ours, theirs, i;
	uint64_t inodes[OURS + THEIRS], *all = NULL;
	struct accepted what;

	port = 0;
	ours = listen_on(p->ours, p->shares);
	theirs = listen_on(p->theirs, p->shares);
	assert_int_equal(diag_open(ours), 0);
	for (i = 0; i < OURS + THEIRS; i++) {
		clients[i] = i < OURS ?
		    connect_to(p->to_ours, ours, &accepted[i]) :
		    connect_to(p->to_theirs, theirs, &accepted[i]);
		inodes[i] = inode_of(accepted[i]);
	}
	if ((i = diag_connections(&all)) != OURS)
		fail_msg("%s beside %s: %d connections", p->ours, p->theirs,
		    i);
	free(all);
	assert_int_equal(diag_accepted(0, inodes, OURS + THEIRS, &what), OURS);
	for (i = 0; i < OURS; i++)
		assert_true(proc_is_among(inode_of(accepted[i]), inodes,
		    OURS));
	for (i = 0; i < OURS + THEIRS; i++) {
		close(clients[i]);
		close(accepted[i]);
	}
	close(ours);
	close(theirs);
}

static void
connections_of_another_address_are_not_ours(void **arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(pairs); i++)
		check_pair(&pairs[i]);
}

/* A socket that listens is no connection, though a worker may have it. */
static void
another_listener_is_no_connection(void **arg)
{
	uint64_t inodes[2], *all = NULL;
	struct accepted what;
	int ours, theirs;

	(void)arg;
	port = 0;
	ours = listen_on("127.0.0.1", false);
	theirs = listen_on("127.0.0.2", false);
	assert_int_equal(diag_open(ours), 0);
	inodes[0] = inode_of(theirs);
	inodes[1] = inode_of(ours);
	assert_int_equal(diag_connections(&all), 0);
	assert_int_equal(diag_accepted(0, inodes, 2, &what), 0);
	free(all);
	close(ours);
	close(theirs);
}

/* All that can be said is who has one of them. */
static void
of_a_shared_address_nothing_is_counted(void **arg)
{
	uint64_t inode, *all = NULL;
	struct accepted what;
	int ours, theirs, client, accepted;

	(void)arg;
	port = 0;
	ours = listen_on("127.0.0.1", true);
	assert_int_equal(diag_open(ours), 0);
	client = connect_to("127.0.0.1", ours, &accepted);
	inode = inode_of(accepted);
	assert_int_equal(diag_connections(&all), 1);
	free(all);
	theirs = listen_on("127.0.0.1", true);
	assert_int_equal(diag_connections(&all), -1);
	assert_int_equal(diag_accepted(0, &inode, 1, &what), 1);
	close(theirs);
	close(accepted);
	close(client);
	close(ours);
}

/* Of a socket for both families: who waits, by either, and who no longer. */
static void
check_queue(const char *first, const char *second)
{
	int ours, saved = dup(STDIN_FILENO), clients[2], accepted;
	unsigned int depth, limit;
	uint64_t mark;

	port = 0;
	ours = listen_on("::", false);
	assert_int_not_equal(dup2(ours, STDIN_FILENO), -1);
	assert_int_equal(diag_open(ours), 0);
	assert_int_equal(observe_mark(), 0);
	clients[0] = connect_to(first, -1, NULL);
	clients[1] = connect_to(second, -1, NULL);
	assert_int_equal(observe_queue(&depth, &limit), 0);
	assert_int_equal(depth, 2);
	assert_int_equal(limit, 16);
	mark = observe_mark();
	assert_int_not_equal(mark, MARK_UNKNOWN);
	assert_int_equal(observe_moved(mark), MOVED_NO);
	accepted = accept4(ours, NULL, NULL, SOCK_CLOEXEC);
	assert_int_not_equal(accepted, -1);
	assert_int_equal(observe_moved(mark), MOVED_YES);
	assert_int_equal(observe_queue(&depth, &limit), 0);
	assert_int_equal(depth, 1);
	close(accepted);
	mark = observe_mark();
	close(accept4(ours, NULL, NULL, SOCK_CLOEXEC));
	assert_int_equal(observe_moved(mark), MOVED_YES);
	close(clients[0]);
	close(clients[1]);
	close(ours);
	assert_int_not_equal(dup2(saved, STDIN_FILENO), -1);
	close(saved);
}

static void
a_queue_of_both_families_is_seen_to_move(void **arg)
{
	(void)arg;
	check_queue("127.0.0.1", "::1");
	check_queue("::1", "127.0.0.1");
	check_queue("127.0.0.1", "127.0.0.2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_of_another_address_are_not_ours),
		cmocka_unit_test(another_listener_is_no_connection),
		cmocka_unit_test(of_a_shared_address_nothing_is_counted),
		cmocka_unit_test(a_queue_of_both_families_is_seen_to_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
