/* SPDX-License-Identifier: ISC */
/* Why a file could not be executed, read from its first bytes. */
#include <sys/stat.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run/run.h"

#define HEAD_SIZE	4096
#define INTERP_SIZE	256

static const struct {
	unsigned int	 number;
	const char	*name;
} machines[] = {
	{ EM_386, "i386" },	{ EM_X86_64, "x86-64" },
	{ EM_ARM, "ARM" },	{ EM_AARCH64, "AArch64" },
	{ EM_PPC64, "PowerPC64" }, { EM_RISCV, "RISC-V" },
	{ EM_S390, "S/390" },	{ EM_MIPS, "MIPS" },
};

/* What is needed of a program's headers, whatever its word size. */
struct header {
	uint64_t	 table;		/* offset of the program headers */
	size_t		 entry, count;
	unsigned int	 machine;
	bool		 wide;		/* 64 bits */
};

static ssize_t
read_at(int fd, void *buf, size_t size, uint64_t offset)
{
	if (offset > INT32_MAX)
		return -1;
	return pread(fd, buf, size, (off_t)offset);
}

static int
native_order(void)
{
	const int one = 1;

	return *(const char *)&one == 1 ? ELFDATA2LSB : ELFDATA2MSB;
}

static int
read_header(const char *head, size_t len, struct header *h)
{
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;

	if (len < sizeof(narrow) || memcmp(head, ELFMAG, SELFMAG) != 0 ||
	    head[EI_DATA] != native_order())
		return -1;
	h->wide = head[EI_CLASS] == ELFCLASS64;
	if (h->wide && len >= sizeof(wide)) {
		memcpy(&wide, head, sizeof(wide));
		h->table = wide.e_phoff;
		h->entry = wide.e_phentsize;
		h->count = wide.e_phnum;
		h->machine = wide.e_machine;
	} else {
		memcpy(&narrow, head, sizeof(narrow));
		h->table = narrow.e_phoff;
		h->entry = narrow.e_phentsize;
		h->count = narrow.e_phnum;
		h->machine = narrow.e_machine;
	}
	return 0;
}

/* The loader that a dynamic program names. Returns 0, or -1: none. */
static int
find_loader(int fd, const struct header *h, char *loader, size_t size)
{
	Elf64_Phdr wide;
	Elf32_Phdr narrow;
	uint64_t offset, length;
	size_t i;
	ssize_t n;

	for (i = 0; i < h->count && i < 64; i++) {
		uint64_t at = h->table + i * h->entry;

		if (h->wide) {
			if (read_at(fd, &wide, sizeof(wide), at) !=
			    (ssize_t)sizeof(wide))
				return -1;
			if (wide.p_type != PT_INTERP)
				continue;
			offset = wide.p_offset;
			length = wide.p_filesz;
		} else {
			if (read_at(fd, &narrow, sizeof(narrow), at) !=
			    (ssize_t)sizeof(narrow))
				return -1;
			if (narrow.p_type != PT_INTERP)
				continue;
			offset = narrow.p_offset;
			length = narrow.p_filesz;
		}
		if (length >= size)
			return -1;
		n = read_at(fd, loader, (size_t)length, offset);
		if (n <= 0)
			return -1;
		loader[n] = '\0';
		return 0;
	}
	return -1;
}

/* The interpreter of a #! line. Returns 0, or -1: there is none. */
static int
find_interpreter(const char *head, size_t len, char *interp, size_t size)
{
	size_t start = 2, n;

	if (len < 3 || memcmp(head, "#!", 2) != 0)
		return -1;
	while (start < len && (head[start] == ' ' || head[start] == '\t'))
		start++;
	for (n = 0; start + n < len && n + 1 < size; n++) {
		if (strchr(" \t\n", head[start + n]) != NULL)
			break;
		interp[n] = head[start + n];
	}
	interp[n] = '\0';
	return n > 0 ? 0 : -1;
}

static void
explain_machine(const struct header *h, char *buf, size_t size)
{
	size_t i;

	for (i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (machines[i].number == h->machine) {
			snprintf(buf, size, "it is built for %s (not this "
			    "machine, or the file is damaged)",
			    machines[i].name);
			return;
		}
	}
	snprintf(buf, size, "it is built for another machine (ELF number %u)",
	    h->machine);
}

/* What begins like a program, or not even that. */
static const char *
explain_head(const char *head, size_t n)
{
	if (n < SELFMAG || memcmp(head, ELFMAG, SELFMAG) != 0)
		return "it is neither a program nor a script with a #! line";
	if (n > EI_DATA && head[EI_DATA] != native_order())
		return "it is built for another machine (other byte order)";
	return "it is a program cut short";
}

/* The file is there and may be executed; what is wrong inside it? */
static void
explain_contents(int fd, int error, char *buf, size_t size)
{
	char head[HEAD_SIZE], other[INTERP_SIZE];
	struct header h;
	ssize_t n;

	if ((n = pread(fd, head, sizeof(head), 0)) < 0)
		return;
	if (find_interpreter(head, (size_t)n, other, sizeof(other)) == 0) {
		if (access(other, F_OK) == -1)
			snprintf(buf, size, "the file exists, its "
			    "interpreter %s does not%s", other,
			    strchr(other, '\r') != NULL ? " (its lines end "
			    "in CR LF)" : "");
		else if (access(other, X_OK) == -1)
			snprintf(buf, size, "its interpreter %s cannot be "
			    "executed", other);
		return;
	}
	if (read_header(head, (size_t)n, &h) == -1) {
		if (error == ENOEXEC)
			strlcpy(buf, explain_head(head, (size_t)n), size);
		return;
	}
	if (error == ENOEXEC)
		explain_machine(&h, buf, size);
	else if (error == ENOENT && find_loader(fd, &h, other,
	    sizeof(other)) == 0 && access(other, F_OK) == -1)
		snprintf(buf, size, "the file exists, its loader %s does "
		    "not: link it statically or copy its libraries into the "
		    "jail", other);
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
