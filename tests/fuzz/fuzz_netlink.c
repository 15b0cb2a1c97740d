/* SPDX-License-Identifier: ISC */
/* What the kernel says in messages of netlink, and their attributes. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/unix_diag.h>

#include "fuzz.h"
#include "observe/sockets_linux.h"

static unsigned int sum;

static void
touch(const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t i;

	for (i = 0; i < len; i++)
		sum += p[i];
}

/* Touches all that a message says it has. */
static bool
take(const struct nlmsghdr *h, void *arg)
{
	const void *a;
	size_t len;
	int type;

	(void)arg;
	touch(NLMSG_DATA(h), h->nlmsg_len - NLMSG_LENGTH(0));
	for (type = UNIX_DIAG_NAME; type <= UNIX_DIAG_RQLEN; type++) {
		if ((a = diag_attribute(h, type, &len)) != NULL)
			touch(a, len);
	}
	return sum % 7 != 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netlink_answer a = { .sequence = 1, .take = take };
	void *buf;

	if (size == 0)
		return 0;
	/* Of its own memory, so that no byte beyond is read. */
	if ((buf = malloc(size)) == NULL)
		abort();
	memcpy(buf, data, size);
	sum = 0;
	netlink_parse(&a, buf, size);
	free(buf);
	return 0;
}
