/* SPDX-License-Identifier: ISC */
/* An --env-file. */
#include <sys/mman.h>
#include <sys/stat.h>

#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "base/base.h"
#include "config/phases.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];
	struct env_rule rule = { ENV_FILE, path };
	struct conf c = { .env = &rule, .nenv = 1 };
	struct ident id = { .uid = 1, .gid = 1 };
	char **env, *none[] = { NULL };
	struct err e;
	size_t i;

	if (fd == -1) {
		fd = memfd_create("env", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (fd == -1 || fchmod(fd, 0600) == -1)
			abort();
	}
	if (ftruncate(fd, 0) == -1 || pwrite(fd, data, size, 0) !=
	    (ssize_t)size)
		abort();
	if ((env = env_build(&c, &id, none, &e)) == NULL)
		return 0;
	for (i = 0; env[i] != NULL; i++) {
		if (env_forbidden(env[i], strcspn(env[i], "=")))
			abort();
		free(env[i]);
	}
	free(env);
	return 0;
}
