/* SPDX-License-Identifier: ISC */
/*
 * Reads the headers of ELF files: the machine, the loader and the libraries.
 * The file may be anything: nothing is mapped (it could be truncated while we
 * read), every offset goes through pread(2), and every count and length has a
 * limit.
 */
#include <sys/stat.h>
#include <sys/utsname.h>

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/program.h"

#define PHDR_MAX	64	/* program headers */
#define DYN_MAX		4096	/* entries of the dynamic section */
#define NEEDED_MAX	512	/* libraries of one file */
#define STRING_SIZE	1024	/* of a name in it, with the NUL */

static const struct {
	unsigned int	 number;
	const char	*name;
	const char	*uname;		/* how uname(3) begins */
	unsigned int	 also;		/* runs on the same kernel */
} machines[] = {
	{ EM_X86_64, "x86-64", "x86_64", EM_386 },
	{ EM_X86_64, "x86-64", "amd64", EM_386 },
	{ EM_386, "i386", "i386", EM_X86_64 },	/* or setarch(8) says so */
	{ EM_386, "i386", "i686", EM_X86_64 },
	{ EM_AARCH64, "AArch64", "aarch64", EM_ARM },
	{ EM_AARCH64, "AArch64", "arm64", EM_ARM },
	{ EM_ARM, "ARM", "arm", EM_AARCH64 },
	{ EM_PPC64, "PowerPC64", "ppc64", EM_PPC },
	{ EM_PPC, "PowerPC", "ppc", EM_NONE },
	{ EM_RISCV, "RISC-V", "riscv", EM_NONE },
	{ EM_S390, "S/390", "s390", EM_NONE },
	{ EM_MIPS, "MIPS", "mips", EM_NONE },
	{ EM_SPARCV9, "SPARC", "sparc64", EM_SPARC },
};

#define NMACHINES	(sizeof(machines) / sizeof(machines[0]))

/* A file while it is read. */
struct reader {
	int		 fd;
	uint64_t	 size;
	struct elf	*elf;
	Elf64_Phdr	 phdr[PHDR_MAX];
	size_t		 nphdr;
	Elf64_Dyn	*dyn;
	size_t		 ndyn;
	uint64_t	 strings, strings_len;	/* its offset in the file */
};

static bool
get(const struct reader *r, void *buf, size_t len, uint64_t offset)
{
	if (offset > r->size || len > r->size - offset)
		return false;
	return pread(r->fd, buf, len, (off_t)offset) == (ssize_t)len;
}

/* A string of at most `room` bytes in the file; malloc'd, or NULL. */
static char *
get_string(const struct reader *r, uint64_t offset, uint64_t room)
{
	char buf[STRING_SIZE];
	size_t len = sizeof(buf);

	if (offset > r->size)
		return NULL;
	if (len > room)
		len = (size_t)room;
	if (len > r->size - offset)
		len = (size_t)(r->size - offset);
	if (!get(r, buf, len, offset) || memchr(buf, '\0', len) == NULL)
		return NULL;
	return strdup(buf);
}

static void
widen(const Elf32_Phdr *n, Elf64_Phdr *w)
{
	w->p_type = n->p_type;
	w->p_offset = n->p_offset;
	w->p_vaddr = n->p_vaddr;
	w->p_filesz = n->p_filesz;
}

/* Returns NULL, or what is wrong. */
static const char *
read_phdrs(struct reader *r, uint64_t table, size_t entry, size_t count)
{
	size_t want = r->elf->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	Elf32_Phdr narrow = { 0 };
	size_t i;

	if (count == 0)
		return "it has no program headers";
	if (entry != want || count > PHDR_MAX)
		return "its program headers are damaged";
	for (i = 0; i < count; i++) {
		uint64_t at = table + i * entry;

		if (at < table || !get(r, r->elf->wide ?
		    (void *)&r->phdr[i] : &narrow, entry, at))
			return "it is cut off";
		if (!r->elf->wide)
			widen(&narrow, &r->phdr[i]);
	}
	r->nphdr = count;
	return NULL;
}

static const char *
read_header(struct reader *r)
{
	const int one = 1;
	const int order = *(const char *)&one == 1 ? ELFDATA2LSB :
	    ELFDATA2MSB;
	unsigned char ident[EI_NIDENT];
	Elf64_Ehdr w;
	Elf32_Ehdr n;

	if (!get(r, ident, sizeof(ident), 0) ||
	    memcmp(ident, ELFMAG, SELFMAG) != 0)
		return "it is not an ELF file";
	if (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)
		return "its header is damaged";
	if (ident[EI_DATA] != order)
		return "it is built for a machine of the other byte order";
	r->elf->wide = ident[EI_CLASS] == ELFCLASS64;
	if (r->elf->wide) {
		if (!get(r, &w, sizeof(w), 0))
			return "it is cut off";
		r->elf->machine = w.e_machine;
		r->elf->type = w.e_type;
		return read_phdrs(r, w.e_phoff, w.e_phentsize, w.e_phnum);
	}
	if (!get(r, &n, sizeof(n), 0))
		return "it is cut off";
	r->elf->machine = n.e_machine;
	r->elf->type = n.e_type;
	return read_phdrs(r, n.e_phoff, n.e_phentsize, n.e_phnum);
}

static const char *
read_dynamic(struct reader *r, const Elf64_Phdr *ph)
{
	size_t entry = r->elf->wide ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
	uint64_t count = ph->p_filesz / entry;
	Elf32_Dyn narrow = { 0 };
	size_t i;

	if (r->dyn != NULL || count > DYN_MAX)
		return "its dynamic section is damaged";
	r->dyn = calloc((size_t)count + 1, sizeof(*r->dyn));
	if (r->dyn == NULL)
		return "out of memory";
	for (i = 0; i < count; i++) {
		uint64_t at = ph->p_offset + i * entry;

		if (at < ph->p_offset || !get(r, r->elf->wide ?
		    (void *)&r->dyn[i] : &narrow, entry, at))
			return "it is cut off";
		if (!r->elf->wide) {
			r->dyn[i].d_tag = narrow.d_tag;
			r->dyn[i].d_un.d_val = narrow.d_un.d_val;
		}
		if (r->dyn[i].d_tag == DT_NULL)
			break;
	}
	r->ndyn = i;
	return NULL;
}

/* The offset in the file of an address in the running program. */
static bool
find_offset(const struct reader *r, uint64_t addr, uint64_t *offset)
{
	size_t i;

	for (i = 0; i < r->nphdr; i++) {
		const Elf64_Phdr *ph = &r->phdr[i];

		if (ph->p_type == PT_LOAD && addr >= ph->p_vaddr &&
		    addr - ph->p_vaddr < ph->p_filesz) {
			*offset = ph->p_offset + (addr - ph->p_vaddr);
			return *offset >= ph->p_offset;
		}
	}
	return false;
}

static const char *
find_strings(struct reader *r)
{
	uint64_t addr = 0;
	size_t i;

	for (i = 0; i < r->ndyn; i++) {
		if (r->dyn[i].d_tag == DT_STRTAB)
			addr = r->dyn[i].d_un.d_val;
		else if (r->dyn[i].d_tag == DT_STRSZ)
			r->strings_len = r->dyn[i].d_un.d_val;
	}
	if (!find_offset(r, addr, &r->strings))
		return "its dynamic section is damaged";
	return NULL;
}

static const char *
set_string(const struct reader *r, char **s, uint64_t value)
{
	uint64_t offset = r->strings + value;

	free(*s);
	*s = NULL;
	if (value < r->strings_len && offset >= r->strings)
		*s = get_string(r, offset, r->strings_len - value);
	return *s == NULL ? "its dynamic section is damaged" : NULL;
}

static const char *
take_dynamic(struct reader *r)
{
	struct elf *e = r->elf;
	const char *why = NULL;
	size_t i;

	if (r->ndyn > 0 && (why = find_strings(r)) != NULL)
		return why;
	e->needed = calloc(NEEDED_MAX, sizeof(char *));
	if (e->needed == NULL)
		return "out of memory";
	for (i = 0; i < r->ndyn && why == NULL; i++) {
		uint64_t value = r->dyn[i].d_un.d_val;

		switch (r->dyn[i].d_tag) {
		case DT_NEEDED:
			if (e->nneeded == NEEDED_MAX)
				return "it wants too many libraries";
			why = set_string(r, &e->needed[e->nneeded++], value);
			break;
		case DT_SONAME:
			why = set_string(r, &e->soname, value);
			break;
		case DT_RPATH:
			why = set_string(r, &e->rpath, value);
			break;
		case DT_RUNPATH:
			why = set_string(r, &e->runpath, value);
			break;
		case DT_FLAGS_1:
			e->nodefault = (value & DF_1_NODEFLIB) != 0;
			break;
		}
	}
	return why;
}

static const char *
read_segments(struct reader *r)
{
	const char *why;
	size_t i;

	for (i = 0; i < r->nphdr; i++) {
		const Elf64_Phdr *ph = &r->phdr[i];

		if (ph->p_type == PT_LOAD && (ph->p_offset > r->size ||
		    ph->p_filesz > r->size - ph->p_offset))
			return "it is cut off";
		if (ph->p_type == PT_INTERP && r->elf->interp == NULL) {
			r->elf->interp = get_string(r, ph->p_offset,
			    ph->p_filesz);
			if (r->elf->interp == NULL)
				return "the name of its loader is damaged";
		}
		if (ph->p_type == PT_DYNAMIC &&
		    (why = read_dynamic(r, ph)) != NULL)
			return why;
	}
	return take_dynamic(r);
}

const char *
elf_read(int fd, struct elf *e)
{
	struct reader r = { .fd = fd, .elf = e };
	const char *why;
	struct stat st;

	memset(e, 0, sizeof(*e));
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return "it is not a regular file";
	r.size = (uint64_t)st.st_size;
	if ((why = read_header(&r)) == NULL)
		why = read_segments(&r);
	free(r.dyn);
	if (why != NULL)
		elf_free(e);
	return why;
}

void
elf_free(struct elf *e)
{
	size_t i;

	for (i = 0; i < e->nneeded; i++)
		free(e->needed[i]);
	free(e->needed);
	free(e->interp);
	free(e->soname);
	free(e->rpath);
	free(e->runpath);
	memset(e, 0, sizeof(*e));
}

/* The name of a machine number. */
static const char *
machine_name(unsigned int machine)
{
	size_t i;

	for (i = 0; i < NMACHINES; i++) {
		if (machines[i].number == machine)
			return machines[i].name;
	}
	return "another machine";
}

/* Could this kernel run programs for that machine? True if unknown. */
static bool
machine_is_ours(unsigned int machine)
{
	struct utsname u;
	size_t i;

	if (uname(&u) == -1)
		return true;
	for (i = 0; i < NMACHINES; i++) {
		if (strncmp(u.machine, machines[i].uname,
		    strlen(machines[i].uname)) == 0)
			return machine == machines[i].number ||
			    machine == machines[i].also;
	}
	return true;
}

const char *
elf_unfit(const struct elf *e, char *buf, size_t size)
{
	if (!machine_is_ours(e->machine)) {
		snprintf(buf, size, "it is built for %s (ELF number %u), not "
		    "for this machine", machine_name(e->machine), e->machine);
		return buf;
	}
	if (e->type != ET_EXEC && e->type != ET_DYN)
		return "it is an ELF file, but not a program";
	return NULL;
}
