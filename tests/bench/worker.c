/* SPDX-License-Identifier: ISC */
/*
 * bare.c as a worker that is measured. Its environment may name a file of
 * struct accepts, in which it notes itself right before its first accept, and
 * a number of requests after which it exits 0.
 */
#define main bare_main
#include "../apps/bare.c"
#undef main

#include "accepts.h"

static void
note(const char *path)
{
	struct accepts *a = accepts_map(path);
	unsigned int n;

	if (a == NULL)
		exit(2);
	n = atomic_fetch_add(&a->claimed, 1);
	a->pids[n % ACCEPTS_MAX] = getpid();
	atomic_fetch_add(&a->ready, 1);
	syscall(SYS_futex, &a->ready, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int
main(void)
{
	const char *path = getenv("BENCH_ACCEPTS");
	const char *max = getenv("BENCH_MAX");
	long left = max != NULL ? atol(max) : 0;
	int fd;

	if (path != NULL)
		note(path);
	while ((fd = accept(STDIN_FILENO, NULL, NULL)) != -1) {
		serve(fd);
		close(fd);
		if (left > 0 && --left == 0)
			return 0;
	}
	return 1;
}
