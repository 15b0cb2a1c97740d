/* SPDX-License-Identifier: ISC */
/*
 * Questions to sock_diag(7) and their answers. An answer that is not whole is
 * none.
 */
#include <sys/socket.h>
#include <sys/time.h>

#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "observe/linux.h"
#include "observe/sockets_linux.h"

#define REPLY_SIZE	32768	/* one message of the kernel's, at least */
#define TRIES		3	/* at a receive that was interrupted */

static int netlink = -1;
static uint32_t sequence;
static bool dirty;		/* an answer was not read to its end */

int
netlink_open(void)
{
	struct timeval patience = { .tv_usec = 100000 };

	if (netlink != -1)
		return 0;
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
	    NETLINK_SOCK_DIAG);
	if (netlink == -1)
		return -1;
	/* The kernel answers within the request; this is for the case. */
	setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	return 0;
}

static int
error_of(const struct nlmsghdr *h)
{
	int error;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(error)))
		return EINVAL;
	memcpy(&error, NLMSG_DATA(h), sizeof(error));
	return error <= 0 && error > INT_MIN ? -error : EINVAL;
}

const void *
netlink_next(const void *p, size_t len, size_t *left)
{
	size_t step = NLMSG_ALIGN(len);

	if (step >= *left)
		return NULL;
	*left -= step;
	return (const char *)p + step;
}

void
netlink_parse(struct netlink_answer *a, const void *buf, size_t len)
{
	const struct nlmsghdr *h;
	int error;

	for (h = buf; h != NULL && NLMSG_OK(h, len) && !a->done;
	    h = netlink_next(h, h->nlmsg_len, &len)) {
		if (h->nlmsg_seq != a->sequence)
			continue;
		error = 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			/* Nobody has asked for word of a success. */
			error = error_of(h) != 0 ? error_of(h) : EINVAL;
		else if (h->nlmsg_type == NLMSG_DONE &&
		    h->nlmsg_len > NLMSG_LENGTH(0))
			error = error_of(h);
		if (error == 0 && (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
			error = EINTR;
		if (error != 0)
			a->error = error;
		a->done = h->nlmsg_type == NLMSG_DONE ||
		    h->nlmsg_type == NLMSG_ERROR ||
		    (h->nlmsg_flags & NLM_F_MULTI) == 0;
		if (h->nlmsg_type >= NLMSG_MIN_TYPE && !a->enough)
			a->enough = !a->take(h, a->arg);
	}
}

/* Reads the answer. Returns 0, or -1 with errno set: it is not whole. */
static int
receive_part(struct netlink_answer *a)
{
	static _Alignas(struct nlmsghdr) char buf[REPLY_SIZE];
	ssize_t len;
	int tries = 0;

	dirty = true;
	while (!a->done) {
		len = recv(netlink, buf, sizeof(buf), MSG_TRUNC);
		if (len == -1 && errno == EINTR && ++tries < TRIES)
			continue;
		if (len == -1)
			return -1;
		if (len == 0 || (size_t)len > sizeof(buf)) {
			errno = EMSGSIZE;
			return -1;
		}
		netlink_parse(a, buf, (size_t)len);
	}
	dirty = false;
	errno = a->error;
	return a->error == 0 ? 0 : -1;
}

/*
 * What was left of an answer goes first: the kernel makes no second dump
 * before the first is read. There is less than that many parts of one.
 */
static void
clean(void)
{
	char c;
	int i;

	for (i = 0; dirty && i < 1000; i++) {
		if (recv(netlink, &c, sizeof(c), MSG_DONTWAIT) == -1 &&
		    errno != ENOBUFS && errno != EINTR)
			break;
	}
}

int
netlink_ask(const void *body, size_t size, bool dump, netlink_taker *take,
    void *arg)
{
	struct {
		struct nlmsghdr	 h;
		char		 body[128];
	} request;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct netlink_answer a = { .take = take, .arg = arg };
	size_t len = NLMSG_LENGTH(size);

	if (netlink == -1) {
		errno = EBADF;
		return -1;
	}
	clean();
	memset(&request, 0, sizeof(request));
	request.h.nlmsg_len = (uint32_t)len;
	request.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request.h.nlmsg_flags = NLM_F_REQUEST;
	if (dump)
		request.h.nlmsg_flags |= NLM_F_DUMP;
	request.h.nlmsg_seq = a.sequence = ++sequence;
	memcpy(request.body, body, size);
	if (sendto(netlink, &request, len, 0, (struct sockaddr *)&kernel,
	    sizeof(kernel)) != (ssize_t)len)
		return -1;
	return receive_part(&a);
}
