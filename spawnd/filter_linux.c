/* SPDX-License-Identifier: ISC */
/* What a listening TCP socket lets in, on Linux: a filter in the kernel. */
#include <sys/socket.h>

#include <linux/filter.h>

#include "spawnd.h"

#define TCP_FLAGS	13		/* their offset in a TCP header */
#define SYN		0x02
#define ACK		0x10

int
filter_new(int fd)
{
	/* The packet begins with its TCP header here. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]), .filter = code,
	};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
	    sizeof(program));
}
