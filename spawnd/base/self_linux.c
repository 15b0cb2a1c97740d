/* SPDX-License-Identifier: ISC */
/* The program that we are, and the name that others see us by. */
#include <sys/auxv.h>
#include <sys/prctl.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

/*
 * What /proc/PID/cmdline shows is the memory that held our arguments, up to a
 * last byte that has to stay zero: otherwise the kernel shows no more than a
 * string.
 */
static char *room;
static size_t room_size;

const char *
self_executed(void)
{
	return (const char *)getauxval(AT_EXECFN);
}

/* Is "one,two" a list, up to a colon, with that word? Or empty, as that? */
static bool
has_word(const char *list, const char *word)
{
	size_t n, len = strlen(word);

	for (;; list += n + 1) {
		n = strcspn(list, ",:");
		if (n == len && strncmp(list, word, n) == 0)
			return true;
		if (list[n] != ',')
			return false;
	}
}

char *
self_cgroup_in(const char *text, const char *controller)
{
	const char *list, *path;

	for (; *text != '\0'; text += strspn(text, "\n")) {
		list = strchr(text, ':');
		path = list != NULL ? strstr(list + 1, ":/") : NULL;
		text += strcspn(text, "\n");
		if (path != NULL && path < text &&
		    has_word(list + 1, controller))
			return strndup(path + 1, (size_t)(text - path - 1));
	}
	return NULL;
}

static bool
ends_in(const char *s, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && memcmp(s + len - n, end, n) == 0;
}

/* What a service is delegated it divides, and a reload has a part of it. */
void
self_cut_cgroup(char *path)
{
	char *s = path, *cut = NULL;
	size_t len;

	while (*s != '\0') {
		len = strcspn(s, "/");
		if (ends_in(s, len, ".service") || ends_in(s, len, ".scope"))
			cut = s + len;
		s += len + (s[len] == '/');
	}
	if (cut != NULL)
		*cut = '\0';
}

char *
self_cgroup(void)
{
	char buf[4096], *path;
	ssize_t n;
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);

	n = fd == -1 ? -1 : read(fd, buf, sizeof(buf) - 1);
	if (fd != -1)
		close(fd);
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	/* The hierarchy that systemd has for itself, or the only one. */
	if ((path = self_cgroup_in(buf, "name=systemd")) == NULL)
		path = self_cgroup_in(buf, "");
	if (path != NULL)
		self_cut_cgroup(path);
	return path;
}

/* Copies the arguments of one process, which stand one behind the other. */
static bool
move_arguments(int argc, char *argv[])
{
	char *copy;
	int i;

	for (i = 0; i < argc; i++) {
		if ((copy = strdup(argv[i])) == NULL)
			return false;
		argv[i] = copy;
	}
	return true;
}

void
self_make_room(int argc, char *argv[])
{
	char *first = argv[0], *end = first;
	int i;

	for (i = 0; i < argc && argv[i] == end; i++)
		end += strlen(end) + 1;
	if (argc > 0 && i == argc && move_arguments(argc, argv)) {
		room = first;
		room_size = (size_t)(end - first);
	}
}

void
self_name(const char *path, size_t len, const char *more)
{
	const char *base = memrchr(path, '/', len);
	char comm[16];
	size_t n;

	base = base != NULL ? base + 1 : path;
	n = len - (size_t)(base - path);
	n = n < sizeof(comm) ? n : sizeof(comm) - 1;
	memcpy(comm, base, n);
	comm[n] = '\0';
	prctl(PR_SET_NAME, comm, 0, 0, 0);
	if (room == NULL)
		return;
	/* A word each, as the arguments of a program are. */
	memset(room, 0, room_size);
	n = len < room_size ? len : room_size - 1;
	memcpy(room, path, n);
	if (n + 1 < room_size)
		strlcpy(room + n + 1, more, room_size - n - 1);
}
