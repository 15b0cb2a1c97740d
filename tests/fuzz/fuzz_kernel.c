/* SPDX-License-Identifier: ISC */
/* What the kernel says, in files of /proc and in messages of netlink. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "fuzz.h"
#include "spawnd.h"

/* Touches all that a message says it has. */
static bool
take(const struct nlmsghdr *h, void *arg)
{
	const unsigned char *p = NLMSG_DATA(h);
	size_t i, len = h->nlmsg_len - NLMSG_LENGTH(0);

	for (i = 0; i < len; i++)
		*(unsigned int *)arg += p[i];
	return *(unsigned int *)arg % 7 != 0;
}

static void
netlink(const uint8_t *data, size_t size)
{
	unsigned int sum = 0;
	struct netlink_answer a = { .sequence = 1, .take = take, .arg = &sum };
	void *buf = malloc(size);

	memcpy(buf, data, size);
	netlink_parse(&a, buf, size);
	free(buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), state;
	uint64_t ticks;
	pid_t list[8];
	int n = 0;

	parse_call(text);
	parse_stat(text, &state, &ticks);
	parse_pids(text, list, &n, 8);
	if (n > 8)
		abort();
	parse_caught(text, 15);
	if (size > 0)
		netlink(data, size);
	free(text);
	return 0;
}
