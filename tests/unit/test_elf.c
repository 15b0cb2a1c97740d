/* SPDX-License-Identifier: ISC */
/*
 * Reading ELF files that are whole, cut, damaged or made to hurt. Run it in a
 * build with sanitizers too: most of what could be wrong shows only there.
 */
#include "unit.h"

#include <elf.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/option.h"
#include "base/program.h"

#define ROUNDS		20000
#define BASE		0x400000

/* A program as a linker could have made it, with the parts at known places. */
struct image {
	Elf64_Ehdr	 eh;
	Elf64_Phdr	 ph[3];
	Elf64_Dyn	 dyn[8];
	char		 strings[128];
};

struct narrow {
	Elf32_Ehdr	 eh;
	Elf32_Phdr	 ph[3];
	Elf32_Dyn	 dyn[4];
	char		 strings[64];
};

enum { S_INTERP = 1, S_A = 7, S_B = 15, S_SELF = 23, S_RUN = 31, S_R = 36 };

static const char texts[] = "\0ld.so\0liba.so\0libb.so\0self.so\0/run\0/r";
static int file;

static void
fill_ident(unsigned char *ident, int class)
{
	const int one = 1;

	memcpy(ident, ELFMAG, SELFMAG);
	ident[EI_CLASS] = (unsigned char)class;
	ident[EI_DATA] = *(const char *)&one == 1 ? ELFDATA2LSB : ELFDATA2MSB;
	ident[EI_VERSION] = EV_CURRENT;
}

static void
make(struct image *m)
{
	const size_t strings = offsetof(struct image, strings);

	memset(m, 0, sizeof(*m));
	fill_ident(m->eh.e_ident, ELFCLASS64);
	m->eh.e_type = ET_DYN;
	m->eh.e_machine = EM_X86_64;
	m->eh.e_phoff = offsetof(struct image, ph);
	m->eh.e_phentsize = sizeof(Elf64_Phdr);
	m->eh.e_phnum = 3;
	m->ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_vaddr = BASE,
	    .p_filesz = sizeof(*m) };
	m->ph[1] = (Elf64_Phdr){ .p_type = PT_INTERP,
	    .p_offset = strings + S_INTERP, .p_filesz = sizeof("ld.so") };
	m->ph[2] = (Elf64_Phdr){ .p_type = PT_DYNAMIC,
	    .p_offset = offsetof(struct image, dyn),
	    .p_filesz = sizeof(m->dyn) };
	m->dyn[0] = (Elf64_Dyn){ DT_STRTAB, { BASE + strings } };
	m->dyn[1] = (Elf64_Dyn){ DT_STRSZ, { sizeof(m->strings) } };
	m->dyn[2] = (Elf64_Dyn){ DT_NEEDED, { S_A } };
	m->dyn[3] = (Elf64_Dyn){ DT_NEEDED, { S_B } };
	m->dyn[4] = (Elf64_Dyn){ DT_SONAME, { S_SELF } };
	m->dyn[5] = (Elf64_Dyn){ DT_RUNPATH, { S_RUN } };
	m->dyn[6] = (Elf64_Dyn){ DT_RPATH, { S_R } };
	memcpy(m->strings, texts, sizeof(texts));
}

static const char *
read_bytes(const void *bytes, size_t len, struct elf *e)
{
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(pwrite(file, bytes, len, 0), len);
	return elf_read(file, e);
}

/* Expects a refusal that leaves nothing to be freed. */
static void
refuse(const struct image *m, const char *why)
{
	struct elf e;
	const char *got = read_bytes(m, sizeof(*m), &e);

	assert_non_null(got);
	assert_has(got, why);
	assert_null(e.needed);
	assert_null(e.interp);
}

static void
names_are_read(void **state)
{
	struct image m;
	struct elf e;

	(void)state;
	make(&m);
	assert_null(read_bytes(&m, sizeof(m), &e));
	assert_true(e.wide);
	assert_int_equal(e.machine, EM_X86_64);
	assert_int_equal(e.type, ET_DYN);
	assert_string_equal(e.interp, "ld.so");
	assert_int_equal(e.nneeded, 2);
	assert_string_equal(e.needed[0], "liba.so");
	assert_string_equal(e.needed[1], "libb.so");
	assert_string_equal(e.soname, "self.so");
	assert_string_equal(e.runpath, "/run");
	assert_string_equal(e.rpath, "/r");
	elf_free(&e);
}

static void
narrow_files_are_read(void **state)
{
	const size_t strings = offsetof(struct narrow, strings);
	struct narrow m = { .eh = { .e_type = ET_EXEC, .e_machine = EM_386,
	    .e_phoff = offsetof(struct narrow, ph),
	    .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 3 } };
	struct elf e;

	(void)state;
	fill_ident(m.eh.e_ident, ELFCLASS32);
	m.ph[0] = (Elf32_Phdr){ .p_type = PT_LOAD, .p_vaddr = BASE,
	    .p_filesz = sizeof(m) };
	m.ph[1] = (Elf32_Phdr){ .p_type = PT_INTERP,
	    .p_offset = (Elf32_Off)strings + S_INTERP, .p_filesz = 6 };
	m.ph[2] = (Elf32_Phdr){ .p_type = PT_DYNAMIC,
	    .p_offset = offsetof(struct narrow, dyn),
	    .p_filesz = sizeof(m.dyn) };
	m.dyn[0] = (Elf32_Dyn){ DT_NEEDED, { S_B } };
	m.dyn[1] = (Elf32_Dyn){ DT_STRTAB, { BASE + (Elf32_Word)strings } };
	m.dyn[2] = (Elf32_Dyn){ DT_STRSZ, { sizeof(m.strings) } };
	memcpy(m.strings, texts, sizeof(texts));
	assert_null(read_bytes(&m, sizeof(m), &e));
	assert_false(e.wide);
	assert_int_equal(e.machine, EM_386);
	assert_string_equal(e.interp, "ld.so");
	assert_int_equal(e.nneeded, 1);
	assert_string_equal(e.needed[0], "libb.so");
	elf_free(&e);
}

static void
every_shorter_file_is_refused(void **state)
{
	struct image m;
	struct elf e;
	size_t n;

	(void)state;
	make(&m);
	for (n = 0; n < sizeof(m); n++)
		assert_non_null(read_bytes(&m, n, &e));
}

static void
other_files_are_named(void **state)
{
	struct image m;
	struct elf e;

	(void)state;
	assert_has(read_bytes("#!/bin/sh\nexit\n1234", 19, &e), "not an ELF");
	assert_has(read_bytes("", 0, &e), "not an ELF");
	make(&m);
	m.eh.e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
	refuse(&m, "other byte order");
	make(&m);
	m.eh.e_ident[EI_CLASS] = 3;
	refuse(&m, "damaged");
}

static void
counts_have_limits(void **state)
{
	struct image m;

	(void)state;
	make(&m);
	m.eh.e_phnum = 0;
	refuse(&m, "no program headers");
	make(&m);
	m.eh.e_phnum = 65535;
	refuse(&m, "damaged");
	make(&m);
	m.eh.e_phentsize = 1;
	refuse(&m, "damaged");
	make(&m);
	m.ph[2].p_filesz = UINT64_MAX;
	refuse(&m, "damaged");
}

/* More libraries than a program can want, behind an ordinary image. */
static void
libraries_have_a_limit(void **state)
{
	struct {
		struct image	 m;
		Elf64_Dyn	 dyn[600];
	} big;
	struct elf e;
	size_t i;

	(void)state;
	memset(&big, 0, sizeof(big));
	make(&big.m);
	for (i = 0; i < NITEMS(big.dyn); i++)
		big.dyn[i] = (Elf64_Dyn){ DT_NEEDED, { S_A } };
	big.dyn[0] = big.m.dyn[0];
	big.dyn[1] = big.m.dyn[1];
	big.m.ph[2].p_offset = sizeof(big.m);
	big.m.ph[2].p_filesz = sizeof(big.dyn);
	assert_has(read_bytes(&big, sizeof(big), &e), "too many libraries");
	big.m.ph[2].p_filesz = 500 * sizeof(Elf64_Dyn);
	assert_null(read_bytes(&big, sizeof(big), &e));
	assert_int_equal(e.nneeded, 498);
	elf_free(&e);
}

static void
offsets_do_not_wrap(void **state)
{
	struct image m;

	(void)state;
	make(&m);
	m.eh.e_phoff = UINT64_MAX - sizeof(Elf64_Phdr) + 1;
	refuse(&m, "cut off");
	make(&m);
	m.ph[0].p_offset = UINT64_MAX;
	refuse(&m, "cut off");
	make(&m);
	m.ph[1].p_offset = UINT64_MAX - 1;
	refuse(&m, "loader is damaged");
	make(&m);
	m.ph[2].p_offset = UINT64_MAX - 15;
	refuse(&m, "cut off");
	make(&m);
	m.dyn[0].d_un.d_val = UINT64_MAX;
	refuse(&m, "damaged");
	make(&m);
	m.dyn[2].d_un.d_val = UINT64_MAX;
	refuse(&m, "damaged");
}

static void
names_end_within_their_table(void **state)
{
	struct image m;

	(void)state;
	make(&m);
	m.ph[1].p_filesz = 3;
	refuse(&m, "loader is damaged");
	make(&m);
	m.dyn[1].d_un.d_val = S_B + 2;
	refuse(&m, "damaged");
	make(&m);
	m.dyn[1].d_un.d_val = S_A - 1;
	refuse(&m, "damaged");
	make(&m);
	memset(m.strings + S_A, 'x', sizeof(m.strings) - S_A);
	refuse(&m, "damaged");
}

static void
nothing_counts_behind_the_last_entry(void **state)
{
	struct image m;
	struct elf e;

	(void)state;
	make(&m);
	m.dyn[3].d_tag = DT_NULL;
	assert_null(read_bytes(&m, sizeof(m), &e));
	assert_int_equal(e.nneeded, 1);
	assert_null(e.soname);
	elf_free(&e);
}

static void
repeated_entries_leak_nothing(void **state)
{
	struct image m;
	struct elf e;

	(void)state;
	make(&m);
	m.dyn[4].d_tag = m.dyn[6].d_tag = DT_RUNPATH;
	assert_null(read_bytes(&m, sizeof(m), &e));
	assert_string_equal(e.runpath, "/r");
	elf_free(&e);
	make(&m);
	m.ph[1] = m.ph[2];
	refuse(&m, "damaged");
}

/* A generator of its own: the same files on every system. */
static uint32_t
next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void
damaged_files_do_no_harm(void **state)
{
	static const unsigned char edges[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint32_t seed = 20260131;
	unsigned int i, j, good = 0;
	unsigned char bytes[sizeof(struct image)];
	struct image m;
	struct elf e;

	(void)state;
	make(&m);
	for (i = 0; i < ROUNDS; i++) {
		memcpy(bytes, &m, sizeof(m));
		for (j = 1 + next_random(&seed) % 6; j > 0; j--) {
			uint32_t r = next_random(&seed);

			bytes[next_random(&seed) % sizeof(bytes)] =
			    r & 1 ? edges[(r >> 8) % NITEMS(edges)] :
			    (unsigned char)(r >> 8);
		}
		if (read_bytes(bytes, sizeof(bytes), &e) != NULL)
			continue;
		good++;
		assert_non_null(e.needed);
		elf_free(&e);
	}
	/* Else the damage was too great, or none. */
	assert_between(good, ROUNDS / 20, ROUNDS - ROUNDS / 20);
}

static void
this_program_is_read(void **state)
{
	FILE *f = fopen("/proc/self/exe", "re");
	struct elf e;
	char why[128];
	size_t i;
	bool libc = false;

	(void)state;
	if (f == NULL)
		skip();
	assert_null(elf_read(fileno(f), &e));
	fclose(f);
	assert_null(elf_unfit(&e, why, sizeof(why)));
	assert_int_equal(e.wide, sizeof(void *) == 8);
	assert_non_null(e.interp);
	for (i = 0; i < e.nneeded; i++)
		libc = libc || strncmp(e.needed[i], "libc.", 5) == 0;
	assert_true(libc);
	elf_free(&e);
	e.machine = EM_68K;
	assert_has(elf_unfit(&e, why, sizeof(why)), "not for this machine");
}

static int
open_file(void **state)
{
	FILE *f = tmpfile();

	(void)state;
	file = f != NULL ? fileno(f) : -1;
	return f == NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read),
		cmocka_unit_test(narrow_files_are_read),
		cmocka_unit_test(every_shorter_file_is_refused),
		cmocka_unit_test(other_files_are_named),
		cmocka_unit_test(counts_have_limits),
		cmocka_unit_test(libraries_have_a_limit),
		cmocka_unit_test(offsets_do_not_wrap),
		cmocka_unit_test(names_end_within_their_table),
		cmocka_unit_test(nothing_counts_behind_the_last_entry),
		cmocka_unit_test(repeated_entries_leak_nothing),
		cmocka_unit_test(damaged_files_do_no_harm),
		cmocka_unit_test(this_program_is_read),
	};

	return cmocka_run_group_tests(tests, open_file, NULL);
}
