/* SPDX-License-Identifier: ISC */
/*
 * The filter of the listen socket, run here by an interpreter of its own over
 * addresses at all boundaries, and shown to the kernel. What it should say is
 * told by comparing with one network after another.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/phases.h"
#include "privilege/filter.h"
#include "unit.h"

#define LIST_MAX	5000

static struct network list[LIST_MAX];
static size_t n;
static struct sock_filter program[FILTER_MAX];
static size_t length;
static unsigned int steps, most_steps;

/* The first bytes of a packet of IPv4 or IPv6. */
struct packet {
	uint8_t		 b[40];
};

static uint32_t
load(const struct packet *pk, uint32_t k, size_t size)
{
	uint32_t value = 0;
	size_t at = k - (uint32_t)SKF_NET_OFF;

	assert_true(k >= (uint32_t)SKF_NET_OFF);
	assert_true(at + size <= sizeof(pk->b));
	while (size-- > 0)
		value = value << 8 | pk->b[at++];
	return value;
}

/* As bpf(4) describes it, and no instruction that is not expected. */
static uint32_t
run(const struct packet *pk)
{
	const struct sock_filter *in;
	uint32_t a = 0, stored[4] = { 0 };
	unsigned int known = 0;		/* of them, a bit for each */
	size_t pc;
	bool yes;

	for (pc = 0, steps = 0;; pc++) {
		assert_true(pc < length);
		in = &program[pc];
		if (++steps > most_steps)
			most_steps = steps;
		switch (in->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = load(pk, in->k, 4);
			continue;
		case BPF_LD | BPF_B | BPF_ABS:
			a = load(pk, in->k, 1);
			continue;
		case BPF_ST:
			assert_true(in->k < NITEMS(stored));
			stored[in->k] = a;
			known |= 1U << in->k;
			continue;
		case BPF_LD | BPF_MEM:
			assert_true(in->k < NITEMS(stored) &&
			    (known & 1U << in->k) != 0);
			a = stored[in->k];
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= in->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += in->k;
			continue;
		case BPF_JMP | BPF_K | BPF_JEQ:
			yes = a == in->k;
			break;
		case BPF_JMP | BPF_K | BPF_JGE:
			yes = a >= in->k;
			break;
		case BPF_JMP | BPF_K | BPF_JGT:
			yes = a > in->k;
			break;
		case BPF_RET | BPF_K:
			return in->k;
		default:
			fail_msg("instruction %zu: %#x", pc, in->code);
			return 0;
		}
		pc += yes ? in->jt : in->jf;
	}
}

/* Has it the first bits of one of them? Bit by bit, unlike the filter. */
static bool
is_listed(const struct network *addr)
{
	unsigned int bit;
	size_t i;

	for (i = 0; i < n; i++) {
		if (list[i].family != addr->family)
			continue;
		for (bit = 0; bit < list[i].len; bit++) {
			if (((list[i].addr[bit / 8] ^ addr->addr[bit / 8]) >>
			    (7 - bit % 8)) & 1)
				break;
		}
		if (bit == list[i].len)
			return true;
	}
	return false;
}

static void
check(const struct network *addr)
{
	struct packet pk = { .b = { addr->family == AF_INET ? 0x45 : 0x6f } };
	bool ipv4 = addr->family == AF_INET;
	char text[NETWORK_SIZE];
	uint32_t result;

	/* The destination is in no list, the rest is as it may be. */
	memset(pk.b + 1, 0xa5, sizeof(pk.b) - 1);
	memcpy(pk.b + (ipv4 ? 12 : 8), addr->addr, ipv4 ? 4 : 16);
	result = run(&pk);
	if (result != (is_listed(addr) ? 0xffffffff : 0))
		fail_msg("%s: %#x of %zu networks", network_text(addr, text),
		    result, n);
}

static void
step(struct network *addr, int by)
{
	int i;

	for (i = addr->family == AF_INET ? 3 : 15; i >= 0; i--) {
		addr->addr[i] = (uint8_t)(addr->addr[i] + by);
		if (addr->addr[i] != (by > 0 ? 0 : 0xff))
			break;
	}
}

/* Around the first and the last address of a network. */
static void
check_edges(const struct network *net)
{
	struct network a = *net;
	unsigned int bits = net->family == AF_INET ? 32 : 128, bit;

	a.len = bits;
	check(&a);
	step(&a, -1);
	check(&a);
	step(&a, 1);
	step(&a, 1);
	check(&a);
	a = *net;
	a.len = bits;
	for (bit = net->len; bit < bits; bit++)
		a.addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	check(&a);
	step(&a, 1);
	check(&a);
	/* And what differs in one bit. */
	for (bit = 0; bit < bits; bit++) {
		a = *net;
		a.len = bits;
		a.addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		check(&a);
	}
}

static void
check_random(sa_family_t family)
{
	struct network a = { .family = family,
	    .len = family == AF_INET ? 32 : 128 };
	size_t i;

	for (i = 0; i < 16; i++)
		a.addr[i] = (uint8_t)(random() >> 8);
	check(&a);
}

static void
begin(void)
{
	n = 0;
	most_steps = 0;
}

static void
add(const char *text)
{
	char why[NETWORK_WHY];

	assert_true(n < LIST_MAX);
	if (network_parse(text, strlen(text), &list[n++], why) == -1)
		fail_msg("%s: %s", text, why);
}

/*
 * The kernel takes it, unless it is short of memory for sockets' filters, or
 * lets nobody but root have one, as some do.
 */
static void
check_kernel(void)
{
	struct sock_fprog p = { (uint16_t)length, program };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_not_equal(fd, -1);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) == -1)
		assert_true(errno == ENOMEM || (errno == EPERM &&
		    geteuid() != 0));
	close(fd);
}

static void
check_all(void)
{
	size_t i;

	n = network_sort(list, n);
	length = filter_build(list, n, program);
	assert_int_not_equal(length, 0);
	check_kernel();
	for (i = 0; i < n; i++)
		check_edges(&list[i]);
	for (i = 0; i < 1000; i++)
		check_random(i % 2 ? AF_INET : AF_INET6);
}

static void
each_length_of_both_families(void **arg)
{
	char text[NETWORK_SIZE];
	struct network net;
	unsigned int len, i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		for (len = 0; len <= (i ? 128U : 32U); len++) {
			begin();
			snprintf(text, sizeof(text), "%s/%u", i ? "::" :
			    "0.0.0.0", len);
			add(text);
			check_all();
			/* The same length with all its bits set. */
			net = list[0];
			memset(net.addr, 0xff, len / 8);
			if (len % 8 != 0)
				net.addr[len / 8] = (uint8_t)(0xff00 >>
				    len % 8);
			n = 0;
			list[n++] = net;
			check_all();
		}
	}
}

static void
nobody_is_let_in_by_an_empty_list(void **arg)
{
	(void)arg;
	begin();
	check_all();
}

/* Whatever the network header is of, it is no IP. */
static void
other_versions_are_dropped(void **arg)
{
	struct packet pk;
	unsigned int version;

	(void)arg;
	begin();
	add("0.0.0.0/0");
	add("::/0");
	check_all();
	memset(&pk, 0, sizeof(pk));
	for (version = 0; version < 16; version++) {
		pk.b[0] = (uint8_t)(version << 4 | 5);
		assert_int_equal(run(&pk), version == 4 || version == 6 ?
		    0xffffffff : 0);
	}
}

/* Words of IPv6 that are equal, neighbours, and at either end. */
static void
some_that_are_close_to_each_other(void **arg)
{
	static const char *const some[] = { "::", "::1", "::2", "0:0:0:1::",
	    "2001:db8::/64", "2001:db8:0:1::/80", "2001:db8:0:1:1::",
	    "2001:db8:0:2::1", "2001:db8:0:2::1:0:0/96", "2001:db8:8000::/33",
	    "2001:db9::1", "2001:dba::/31", "fe80::/10", "ffff::",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0", "0.0.0.2",
	    "127.255.255.255", "128.0.0.0", "128.0.0.2/31", "192.0.2.0/24",
	    "192.0.3.0/25", "255.255.255.255" };
	size_t i;

	(void)arg;
	begin();
	for (i = 0; i < NITEMS(some); i++)
		add(some[i]);
	check_all();
}

static void
random_network(sa_family_t family, unsigned int least, unsigned int most)
{
	struct network *net = &list[n++];
	size_t i;

	assert_true(n <= LIST_MAX);
	net->family = family;
	memset(net->addr, 0, 16);
	for (i = 0; i < (family == AF_INET ? 4 : 16); i++)
		net->addr[i] = (uint8_t)(random() >> 8);
	net->len = least + (unsigned int)random() % (most - least + 1);
	for (i = net->len; i < 128; i++)
		net->addr[i / 8] &= (uint8_t)(0xff7f >> i % 8);
}

static void
lists_of_any_kind(void **arg)
{
	unsigned int round, i, most;

	(void)arg;
	for (round = 0; round < 60; round++) {
		srandom(round);
		begin();
		most = 1 + (unsigned int)random() % 200;
		for (i = 0; i < most; i++) {
			random_network(AF_INET, 1, 32);
			random_network(AF_INET6, 1, 128);
			if (round % 2 == 0)	/* many have words in common */
				list[n - 1].addr[0] = list[n - 2].addr[0] = 0;
		}
		check_all();
	}
}

/* Each would need its own 128 bits compared: the longest there is. */
static void
five_hundred_addresses_fit(void **arg)
{
	unsigned int i;

	(void)arg;
	begin();
	srandom(500);
	for (i = 0; i < 500; i++)
		random_network(AF_INET6, 128, 128);
	check_all();
	assert_true(length > 3500);
	/* The way to one does not grow with the list. */
	assert_true(most_steps < 60);
	begin();
	for (i = 0; i < 500; i++)
		random_network(AF_INET, 24, 32);
	check_all();
	assert_true(most_steps < 40);
}

/* As many as fit of what was added, which is too much. */
static void
check_most(size_t least)
{
	n = network_sort(list, n);
	assert_int_equal(filter_build(list, n, program), 0);
	while (filter_build(list, n, program) == 0)
		n--;
	assert_true(n > least);
	check_all();
	assert_true(length <= FILTER_MAX && length > FILTER_MAX - 16);
}

static void
too_many_are_none(void **arg)
{
	(void)arg;
	begin();
	srandom(5000);
	while (n < LIST_MAX)
		random_network(AF_INET, 32, 32);
	check_most(3000);
	begin();
	while (n < 1000)
		random_network(AF_INET6, 128, 128);
	check_most(500);
	begin();
	while (n < 500)
		random_network(AF_INET6, 1, 128);
	while (n < LIST_MAX)
		random_network(AF_INET, 1, 32);
	n = network_sort(list, n);
	/* Leaves some of both: IPv4 comes first. */
	while (filter_build(list, n, program) == 0)
		memmove(list, list + 1, --n * sizeof(*list));
	check_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_length_of_both_families),
		cmocka_unit_test(nobody_is_let_in_by_an_empty_list),
		cmocka_unit_test(other_versions_are_dropped),
		cmocka_unit_test(some_that_are_close_to_each_other),
		cmocka_unit_test(lists_of_any_kind),
		cmocka_unit_test(five_hundred_addresses_fit),
		cmocka_unit_test(too_many_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
