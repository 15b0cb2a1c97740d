/* SPDX-License-Identifier: ISC */
/* Why a file could not be executed, read from its first bytes. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/program.h"
#include "run/supervise.h"

static void
explain_script(const struct script *s, char *buf, size_t size)
{
	if (s->interp[0] == '\0')
		strlcpy(buf, "its #! line names no interpreter", size);
	else if (access(s->interp, F_OK) == -1)
		snprintf(buf, size, "the file exists, but its interpreter %s "
		    "does not%s", s->interp, s->crlf ?
		    " (its lines end in CR LF)" : "");
	else if (access(s->interp, X_OK) == -1)
		snprintf(buf, size, "its interpreter %s cannot be executed",
		    s->interp);
}

static void
explain_elf(int fd, int error, char *buf, size_t size)
{
	struct elf e;
	const char *why = elf_read(fd, &e);

	if (why == NULL)
		why = elf_unfit(&e, buf, size);
	if (error == ENOEXEC && why == NULL)
		strlcpy(buf, "the kernel does not run it, although it is built "
		    "for this machine", size);
	else if (error == ENOEXEC && why != buf)
		strlcpy(buf, why, size);
	else if (error == ENOENT && e.interp != NULL &&
	    access(e.interp, F_OK) == -1)
		snprintf(buf, size, "the file exists, but its loader %s does "
		    "not (link it statically, or copy its loader and libraries "
		    "into the jail)", e.interp);
	elf_free(&e);
}

/* The file is there and may be executed; what is wrong inside it? */
static void
explain_contents(int fd, int error, char *buf, size_t size)
{
	struct script s;

	switch (script_read(fd, &s)) {
	case SCRIPT_LINES:
		explain_script(&s, buf, size);
		break;
	case SCRIPT_ELF:
		explain_elf(fd, error, buf, size);
		break;
	default:
		if (error == ENOEXEC)
			strlcpy(buf, "it is neither a program nor a script "
			    "with a #! line", size);
	}
}

void
exec_error_explain(const char *path, int error, char *buf, size_t size)
{
	struct stat st;
	int fd;

	buf[0] = '\0';
	if (stat(path, &st) == -1) {
		if (errno == EACCES)
			strlcpy(buf, "a directory on the way to it may not "
			    "be searched", size);
		return;
	}
	if (!S_ISREG(st.st_mode)) {
		strlcpy(buf, S_ISDIR(st.st_mode) ? "it is a directory" :
		    "it is not a regular file", size);
		return;
	}
	if (error == EACCES && access(path, X_OK) == -1) {
		snprintf(buf, size, "it is not executable for this user "
		    "(mode %04o)", (unsigned int)st.st_mode & 07777);
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return;
	explain_contents(fd, error, buf, size);
	close(fd);
	if (buf[0] == '\0' && error == EACCES)
		strlcpy(buf, "it may lie on a file system mounted noexec",
		    size);
}
