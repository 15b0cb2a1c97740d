/* SPDX-License-Identifier: ISC */
/* Descriptors that are passed over a unix socket. */
#include <sys/socket.h>

#include <string.h>
#include <unistd.h>

#include "base/base.h"

/* Room for them, aligned. */
union passage {
	struct cmsghdr	 h;
	char		 buf[CMSG_SPACE(PASSED_MAX * sizeof(int))];
};

ssize_t
pass_send(int sock, const void *text, size_t len, const int *fds, size_t n)
{
	union passage u;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text,
	    .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n > 0) {
		memset(&u, 0, sizeof(u));
		m.msg_control = u.buf;
		m.msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int));
		u.h.cmsg_level = SOL_SOCKET;
		u.h.cmsg_type = SCM_RIGHTS;
		u.h.cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&u.h), fds, n * sizeof(int));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Of what has come in a message, up to max are taken, and the rest closed. */
static size_t
keep_passed(struct msghdr *m, int *fds, size_t max)
{
	struct cmsghdr *h;
	size_t i, n = 0;
	int fd;

	for (h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		    i++) {
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int),
			    sizeof(int));
			if (n < max)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

ssize_t
pass_receive(int sock, void *text, size_t size, int *fds, size_t *n)
{
	union passage u;
	struct iovec iov = { .iov_base = text, .iov_len = size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t max = *n;
	ssize_t len;

	*n = 0;
	/* CMSG_SPACE() would let one in for which there is no room. */
	if (max > 0) {
		m.msg_control = u.buf;
		m.msg_controllen = (socklen_t)CMSG_LEN(max * sizeof(int));
	}
	len = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	if (len != -1 && max > 0)
		*n = keep_passed(&m, fds, max);
	return len;
}
