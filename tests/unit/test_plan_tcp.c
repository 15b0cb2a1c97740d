/* SPDX-License-Identifier: ISC */
/* From -a and -p to the address that is listened on, and its name. */
#include <sys/socket.h>

#include <netinet/in.h>

#include "planned.h"

static void
tcp_addresses(void **arg)
{
	(void)arg;
	planned("-p9000", "/app");
	assert_string_equal(p.socket_name, "tcp:127.0.0.1:9000");
	assert_int_equal(p.addr.ss_family, AF_INET);
	assert_int_equal(p.addrlen, sizeof(struct sockaddr_in));
	assert_null(p.socket_dir);
	assert_null(p.socket_owner);
	assert_null(p.jail);
	planned("-p9000", "-a::1", "/app");
	assert_string_equal(p.socket_name, "tcp:[::1]:9000");
	assert_int_equal(p.addr.ss_family, AF_INET6);
}

/* Is there IPv6, and does a socket of it take IPv4 if told to? */
static bool
have_both(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
	bool both = fd != -1 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
	    &off, sizeof(off)) == 0;

	if (fd != -1)
		close(fd);
	return both;
}

static void
a_star_is_both_families(void **arg)
{
	const struct sockaddr_in6 *in6 = (const void *)&p.addr;

	(void)arg;
	if (!have_both())
		skip();
	planned("-p9000", "-a", "*", "/app");
	assert_string_equal(p.socket_name, "tcp:*:9000");
	assert_int_equal(p.addr.ss_family, AF_INET6);
	assert_true(IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr));
	assert_int_equal(ntohs(in6->sin6_port), 9000);
	assert_true(p.both_families);
	planned("-p9000", "-a::", "/app");
	assert_string_equal(p.socket_name, "tcp:[::]:9000");
	assert_false(p.both_families);
	planned("-p9000", "-a0.0.0.0", "/app");
	assert_string_equal(p.socket_name, "tcp:0.0.0.0:9000");
	assert_false(p.both_families);
}

/* What to write instead is said, by the option that was used. */
static void
brackets_and_ports_do_not_belong_to_an_address(void **arg)
{
	static const struct {
		const char	*address, *line;
	} bad[] = {
		{ "[::]", "-a: [::]: brackets are not allowed (write ::)" },
		{ "[::1]", "-a: [::1]: brackets are not allowed (write ::1)" },
		{ "[127.0.0.1]", "brackets are not allowed (write 127.0.0.1)" },
		{ "[*]", "brackets are not allowed (write *)" },
		{ "[::1]:80", "-a: [::1]:80: has a port, for which there is "
		    "-p (write -a ::1)" },
		{ "127.0.0.1:9000", "has a port, for which there is -p "
		    "(write -a 127.0.0.1)" },
		{ "*:9000", "-a: *:9000: has a port, for which there is -p "
		    "(write -a *)" },
		{ "[", "-a: [: not an IPv4 or IPv6 address" },
		{ "[]", "-a: []: not an IPv4 or IPv6 address" },
		{ "[]:1", "not an IPv4 or IPv6 address" },
		{ "[::", "-a: [::: brackets are not allowed (write ::)" },
		{ "[lo]", "not an IPv4 or IPv6 address" },
		{ "[::1]x", "not an IPv4 or IPv6 address" },
		{ "localhost:9000", "not an IPv4 or IPv6 address" },
		{ "**", "not an IPv4 or IPv6 address" },
		{ "::1%lo", "not an IPv4 or IPv6 address" },
		{ ":80", "not an IPv4 or IPv6 address" },
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(bad); i++) {
		refused(EX_USAGE, "-p9000", "-a", bad[i].address, "/app");
		assert_has(e.text, bad[i].line);
	}
	refused(EX_USAGE, "--port=9000", "--address=[::1]:80", "/app");
	assert_has(e.text, "--address: [::1]:80: has a port, for which there "
	    "is --port (write --address ::1)");
}

static void
an_address_that_is_a_name(void **arg)
{
	(void)arg;
	refused(EX_USAGE, "-p9000", "-a", "localhost", "/app");
	assert_has(e.text, "-a: localhost: not an IPv4 or IPv6 address");
}

static const struct CMUnitTest tests[] = {
	TEST(tcp_addresses),
	TEST(a_star_is_both_families),
	TEST(brackets_and_ports_do_not_belong_to_an_address),
	TEST(an_address_that_is_a_name),
};

int
main(void)
{
	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
