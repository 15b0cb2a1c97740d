/* SPDX-License-Identifier: ISC */
/* Addresses and networks of web servers. */
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>

#include "base/network.h"
#include "unit.h"

static struct network net;
static char why[NETWORK_WHY], buf[NETWORK_SIZE];

static void
networks(void **arg)
{
	static const struct {
		const char	*text, *shown;
	} good[] = {
		{ "192.0.2.1", "192.0.2.1" }, { "192.0.2.1/32", "192.0.2.1" },
		{ "0.0.0.0", "0.0.0.0" }, { "0.0.0.0/0", "0.0.0.0/0" },
		{ "128.0.0.0/1", "128.0.0.0/1" },
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "10.1.2.254/31", "10.1.2.254/31" },
		{ "10.255.128.0/17", "10.255.128.0/17" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::", "::" }, { "::/0", "::/0" }, { "::1", "::1" },
		{ "::1/128", "::1" }, { "8000::/1", "8000::/1" },
		{ "2001:DB8::/32", "2001:db8::/32" },
		{ "2001:db8:0:8000::/49", "2001:db8:0:8000::/49" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127",
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127" },
		/* IPv4 is IPv4, however it is written. */
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::ffff:c000:201/128", "192.0.2.1" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8" },
		{ "::ffff:0.0.0.0/96", "0.0.0.0/0" },
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(good); i++) {
		if (network_parse(good[i].text, strlen(good[i].text), &net,
		    why) == -1)
			fail_msg("%s: %s", good[i].text, why);
		assert_string_equal(network_text(&net, buf), good[i].shown);
		assert_int_equal(net.family, strchr(good[i].shown, ':') !=
		    NULL ? AF_INET6 : AF_INET);
	}
}

/* The reason says what to write. */
static void
what_is_none(void **arg)
{
	static const struct {
		const char	*text, *why;
	} bad[] = {
		{ "web1", "not an IPv4 or IPv6 address, or ADDRESS/LENGTH "
		    "(names are not looked up)" },
		{ "", "not an IPv4" }, { "/", "not an IPv4" },
		{ "*", "not an IPv4" }, { "/8", "not an IPv4" },
		{ "10.0.0", "not an IPv4" }, { "010.0.0.1", "not an IPv4" },
		{ "10.0.0.256", "not an IPv4" }, { "10/8", "not an IPv4" },
		{ "10.0.0.1-10.0.0.9", "not an IPv4" },
		{ "fe80::1%lo", "not an IPv4" }, { ":::", "not an IPv4" },
		{ "1234567890123456789012345678901234567890123456789.1",
		    "not an IPv4" },
		{ "[::1]", "not an address alone (write ::1)" },
		{ "[::1]:80", "not an address alone (write ::1)" },
		{ "[::1]/128", "not an address alone (write ::1)" },
		{ "192.0.2.1:9000", "not an address alone (write 192.0.2.1)" },
		{ " 192.0.2.1", "not an address alone (write 192.0.2.1)" },
		{ "192.0.2.1 ", "not an address alone (write 192.0.2.1)" },
		{ "192.0.2.1/", "no length from 0 to 32" },
		{ "192.0.2.1/33", "no length from 0 to 32" },
		{ "0.0.0.0/-1", "no length from 0 to 32" },
		{ "0.0.0.0/+1", "no length from 0 to 32" },
		{ "10.0.0.0/08", "no length from 0 to 32" },
		{ "10.0.0.0/8 ", "no length from 0 to 32" },
		{ "10.0.0.0/8/8", "no length from 0 to 32" },
		{ "10.0.0.0/4294967304", "no length from 0 to 32" },
		{ "10.0.0.0/255.0.0.0", "no length from 0 to 32" },
		{ "::/129", "no length from 0 to 128" },
		{ "10.1.2.3/8", "has more bits than the length says (write "
		    "10.0.0.0/8 for the network, 10.1.2.3 for one address)" },
		{ "128.0.0.0/0", "(write 0.0.0.0/0 for" },
		{ "192.0.2.1/31", "(write 192.0.2.0/31 for" },
		{ "2001:db8::1/127", "(write 2001:db8::/127 for the network, "
		    "2001:db8::1 for one address)" },
		{ "::ffff:10.0.0.1/104", "(write 10.0.0.0/8 for the network, "
		    "::ffff:10.0.0.1 for one address)" },
		{ "::ffff:0.0.0.0/95", "(write ::fffe:0:0/95 for" },
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(bad); i++) {
		if (network_parse(bad[i].text, strlen(bad[i].text), &net,
		    why) == 0)
			fail_msg("%s is one", bad[i].text);
		assert_has(why, bad[i].why);
	}
}

static void
what_is_behind_it_is_not_looked_at(void **arg)
{
	(void)arg;
	assert_int_equal(network_parse("10.0.0.0/8,x", 10, &net, why), 0);
	assert_string_equal(network_text(&net, buf), "10.0.0.0/8");
	assert_int_equal(network_parse("10.0.0.1,x", 8, &net, why), 0);
	assert_string_equal(network_text(&net, buf), "10.0.0.1");
	assert_int_equal(network_parse("10.0.0.1/8", 8, &net, why), 0);
}

static struct network list[16];
static size_t n;

static void
add(const char *text)
{
	if (network_parse(text, strlen(text), &list[n++], why) == -1)
		fail_msg("%s: %s", text, why);
}

/* IPv4 comes first, and what is in another network is left out. */
static void
a_list_is_sorted(void **arg)
{
	static const char *const unsorted[] = { "::1", "10.2.0.0/16",
	    "2001:db8::/32", "10.0.0.1", "10.2.3.4", "::1/128", "10.0.0.1",
	    "2001:db8:ffff::/48", "9.0.0.0/8", "::/127", "10.2.0.0/15",
	    "2001:db9::" };
	static const char *const sorted[] = { "9.0.0.0/8", "10.0.0.1",
	    "10.2.0.0/15", "::/127", "2001:db8::/32", "2001:db9::" };
	size_t i;

	(void)arg;
	for (n = 0, i = 0; i < NITEMS(unsorted); i++)
		add(unsorted[i]);
	n = network_sort(list, n);
	assert_int_equal(n, NITEMS(sorted));
	for (i = 0; i < n; i++)
		assert_string_equal(network_text(&list[i], buf), sorted[i]);
	assert_int_equal(network_sort(list, 0), 0);
}

/* 0.0.0.0/0 has no address of IPv6 in it, nor the reverse. */
static void
everything_is_everything_of_a_family(void **arg)
{
	(void)arg;
	n = 0;
	add("::1");
	add("10.0.0.1");
	add("0.0.0.0/0");
	n = network_sort(list, n);
	assert_int_equal(n, 2);
	assert_string_equal(network_text(&list[0], buf), "0.0.0.0/0");
	assert_string_equal(network_text(&list[1], buf), "::1");
}

/* The address of a client: IPv4 in IPv6's form is IPv4. */
static struct network
client(const char *text)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
	struct network one;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		ss.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		ss.ss_family = AF_INET6;
	network_of(&ss, &one);
	return one;
}

static void
a_client_is_in_the_list_or_is_not(void **arg)
{
	static const struct {
		const char	*client;
		bool		 held;
	} tests[] = {
		{ "10.0.0.7", true }, { "10.0.1.7", false },
		{ "::ffff:10.0.0.7", true }, { "192.0.2.1", true },
		{ "192.0.2.2", false }, { "2001:db8::7", true },
		{ "2001:db9::7", false }, { "a unix socket", false },
	};
	struct network one;
	size_t i;

	(void)arg;
	n = 0;
	add("10.0.0.0/24");
	add("192.0.2.1");
	add("2001:db8::/32");
	for (i = 0; i < NITEMS(tests); i++) {
		one = client(tests[i].client);
		assert_int_equal(network_holds(list, n, &one), tests[i].held);
	}
	one = client("10.0.0.7");
	assert_false(network_holds(list, 0, &one));
	assert_string_equal(network_text(&one, buf), "10.0.0.7");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks),
		cmocka_unit_test(what_is_none),
		cmocka_unit_test(what_is_behind_it_is_not_looked_at),
		cmocka_unit_test(a_list_is_sorted),
		cmocka_unit_test(everything_is_everything_of_a_family),
		cmocka_unit_test(a_client_is_in_the_list_or_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
