/* SPDX-License-Identifier: ISC */
/* Addresses for -a and -p: literals only. */
#include <netinet/in.h>

#include <arpa/inet.h>

#include "config/phases.h"
#include "unit.h"

static struct sockaddr_storage ss;

static void
check_ipv4(const char *address, int port, in_addr_t want)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;

	assert_int_equal(address_parse(address, port, &ss), sizeof(*in));
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(ntohs(in->sin_port), port);
	assert_int_equal(ntohl(in->sin_addr.s_addr), want);
}

static void
ipv4_literals(void **arg)
{
	(void)arg;
	check_ipv4("127.0.0.1", 9000, 0x7f000001);
	check_ipv4("0.0.0.0", 1, 0);
	check_ipv4("255.255.255.255", 65535, 0xffffffff);
}

static void
check_ipv6(const char *address, int port, const unsigned char want[16])
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;

	assert_int_equal(address_parse(address, port, &ss), sizeof(*in6));
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_int_equal(ntohs(in6->sin6_port), port);
	assert_memory_equal(&in6->sin6_addr, want, 16);
	assert_int_equal(in6->sin6_scope_id, 0);
}

static void
ipv6_literals(void **arg)
{
	static const unsigned char any[16] = { 0 };
	static const unsigned char loopback[16] = { [15] = 1 };
	static const unsigned char documentation[16] = { 0x20, 0x01, 0x0d,
	    0xb8, [15] = 0x42 };

	(void)arg;
	check_ipv6("::", 80, any);
	check_ipv6("::1", 65535, loopback);
	check_ipv6("2001:db8::42", 9000, documentation);
	check_ipv6("2001:DB8:0:0:0:0:0:42", 9000, documentation);
}

static void
an_ipv4_address_as_ipv6_stays_ipv6(void **arg)
{
	static const unsigned char mapped[16] = { [10] = 0xff, [11] = 0xff,
	    [12] = 127, [15] = 1 };

	(void)arg;
	check_ipv6("::ffff:127.0.0.1", 9000, mapped);
}

/* Nothing of an earlier address is left over. */
static void
everything_else_is_zeroed(void **arg)
{
	const unsigned char *bytes = (const unsigned char *)&ss;
	size_t i;

	(void)arg;
	memset(&ss, 0xff, sizeof(ss));
	assert_int_not_equal(address_parse("127.0.0.1", 9000, &ss), 0);
	for (i = sizeof(struct sockaddr_in); i < sizeof(ss); i++)
		assert_int_equal(bytes[i], 0);
}

static void
what_is_no_literal_is_refused(void **arg)
{
	static const char *const bad[] = { "", "localhost", "127.1",
	    "127.0.0.256", "127.0.0.1.1", "127.0.0.01x", " 127.0.0.1",
	    "127.0.0.1 ", "127.0.0.1:80", "0x7f.0.0.1", "2130706433",
	    "[::1]", "::1%lo", "fe80::1%1", ":::", "1::2::3", "::g",
	    "2001:db8", "1:2:3:4:5:6:7:8:9", "*", "/run/x.sock" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(bad); i++) {
		if (address_parse(bad[i], 80, &ss) != 0)
			fail_msg("'%s' was taken", bad[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_literals),
		cmocka_unit_test(ipv6_literals),
		cmocka_unit_test(an_ipv4_address_as_ipv6_stays_ipv6),
		cmocka_unit_test(everything_else_is_zeroed),
		cmocka_unit_test(what_is_no_literal_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
