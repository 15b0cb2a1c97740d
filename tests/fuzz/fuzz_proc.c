/* SPDX-License-Identifier: ISC */
/* What the kernel says in files of /proc, where workers choose names. */
#include "fuzz.h"
#include "observe/linux.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), state;
	uint64_t ticks, pages, inode;
	uint32_t events;
	pid_t list[8];
	int n = 0, status, fd;

	parse_call(text);
	parse_stat(text, &state, &ticks);
	parse_state(text);
	if (parse_exit(text, &status) == 0 && (status < 0 || status > 0xffff))
		abort();
	if (parse_field(text, "TracerPid") > INT_MAX)
		abort();
	parse_usage(text, &ticks, &pages);
	parse_pss(text);
	if (parse_pids(text, list, &n, 8) > size || n > 8)
		abort();
	while (n-- > 0) {
		if (list[n] <= 0)
			abort();
	}
	parse_caught(text, 15);
	parse_watched(text, &fd, &inode, &events);
	free(text);
	return 0;
}
