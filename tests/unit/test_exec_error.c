/* SPDX-License-Identifier: ISC */
/* Why a program could not be executed, from files made for the purpose. */
#include <elf.h>
#include <errno.h>

#include "run/supervise.h"
#include "tmp.h"

#define PHDR_AT		sizeof(Elf64_Ehdr)
#define LOADER_AT	(PHDR_AT + 2 * sizeof(Elf64_Phdr))

#ifdef __aarch64__
#define MACHINE		EM_AARCH64
#else
#define MACHINE		EM_X86_64
#endif

static char said[512];

static const char *
explain(const char *path, int error)
{
	strcpy(said, "untouched");
	exec_error_explain(path, error, said, sizeof(said));
	return said;
}

static const char *
explain_text(const char *text, int error)
{
	return explain(tmp_file("app", text, strlen(text), 0755), error);
}

/* An ELF file for this very machine that names `loader`. */
static size_t
make_elf(unsigned char *buf, size_t size, const char *loader)
{
	const int one = 1;
	size_t length = strlen(loader) + 1;
	Elf64_Ehdr h = { .e_type = ET_EXEC, .e_machine = MACHINE,
	    .e_phoff = PHDR_AT, .e_phentsize = sizeof(Elf64_Phdr),
	    .e_phnum = 2 };
	Elf64_Phdr ph[2] = { { .p_type = PT_LOAD }, { .p_type = PT_INTERP,
	    .p_offset = LOADER_AT, .p_filesz = length } };

	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = *(const char *)&one ? ELFDATA2LSB : ELFDATA2MSB;
	assert_true(LOADER_AT + length <= size);
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + PHDR_AT, ph, sizeof(ph));
	memcpy(buf + LOADER_AT, loader, length);
	return LOADER_AT + length;
}

static size_t
make_elf32(unsigned char *buf, size_t size, const char *loader)
{
	const int one = 1;
	size_t at = sizeof(Elf32_Ehdr), length = strlen(loader) + 1;
	Elf32_Ehdr h = { .e_type = ET_EXEC, .e_machine = EM_386,
	    .e_phoff = sizeof(Elf32_Ehdr),
	    .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1 };
	Elf32_Phdr ph = { .p_type = PT_INTERP,
	    .p_offset = sizeof(h) + sizeof(ph),
	    .p_filesz = (Elf32_Word)length };

	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS32;
	h.e_ident[EI_DATA] = *(const char *)&one ? ELFDATA2LSB : ELFDATA2MSB;
	assert_true(at + sizeof(ph) + length <= size);
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + at, &ph, sizeof(ph));
	memcpy(buf + at + sizeof(ph), loader, length);
	return at + sizeof(ph) + length;
}

static void
a_missing_interpreter_is_named(void **arg)
{
	(void)arg;
	assert_string_equal(explain_text("#!/no/such/perl -w\n", ENOENT),
	    "the file exists, but its interpreter /no/such/perl does not");
	assert_has(explain_text("#! \t/no/such/perl\targ\n", ENOENT),
	    "/no/such/perl does not");
	assert_has(explain_text("#!/no/such/perl", ENOENT),
	    "/no/such/perl does not");
}

static void
a_script_from_elsewhere_has_cr_lf(void **arg)
{
	(void)arg;
	explain_text("#!/bin/sh\r\necho\r\n", ENOENT);
	assert_has(said, "its interpreter /bin/sh");
	assert_has(said, "CR LF");
}

static void
an_interpreter_that_cannot_be_executed(void **arg)
{
	char script[256];

	(void)arg;
	snprintf(script, sizeof(script), "#!%s\n", tmp_file("interp", "x", 1,
	    0644));
	assert_has(explain_text(script, EACCES), "interp cannot be executed");
}

static void
an_interpreter_that_is_there_is_no_reason(void **arg)
{
	(void)arg;
	assert_string_equal(explain_text("#!/bin/sh\n", ENOENT), "");
}

static void
a_missing_loader_is_named_with_a_way_out(void **arg)
{
	unsigned char buf[512];
	size_t n;

	(void)arg;
	n = make_elf(buf, sizeof(buf), "/no/such/ld.so");
	explain(tmp_file("app", buf, n, 0755), ENOENT);
	assert_string_equal(said, "the file exists, but its loader "
	    "/no/such/ld.so does not (link it statically, or copy its loader "
	    "and libraries into the jail)");
	n = make_elf32(buf, sizeof(buf), "/no/such/ld32.so");
	explain(tmp_file("app", buf, n, 0755), ENOENT);
	assert_has(said, "its loader /no/such/ld32.so does not");
}

static void
a_loader_that_is_there_is_no_reason(void **arg)
{
	unsigned char buf[512];
	size_t n;

	(void)arg;
	n = make_elf(buf, sizeof(buf), "/bin/sh");
	assert_string_equal(explain(tmp_file("app", buf, n, 0755), ENOENT),
	    "");
}

static void
another_machine_is_named(void **arg)
{
	unsigned char buf[512];
	Elf64_Ehdr h;
	size_t n;

	(void)arg;
	n = make_elf(buf, sizeof(buf), "/bin/sh");
	memcpy(&h, buf, sizeof(h));
	h.e_machine = EM_RISCV;
	memcpy(buf, &h, sizeof(h));
	assert_string_equal(explain(tmp_file("app", buf, n, 0755), ENOEXEC),
	    "it is built for RISC-V (ELF number 243), not for this machine");
	h.e_machine = 0x1234;
	memcpy(buf, &h, sizeof(h));
	assert_has(explain(tmp_file("app", buf, n, 0755), ENOEXEC),
	    "another machine (ELF number 4660)");
}

static void
another_byte_order_is_another_machine(void **arg)
{
	unsigned char buf[512];
	size_t n;

	(void)arg;
	n = make_elf(buf, sizeof(buf), "/bin/sh");
	buf[EI_DATA] = (unsigned char)(ELFDATA2LSB + ELFDATA2MSB -
	    buf[EI_DATA]);
	assert_has(explain(tmp_file("app", buf, n, 0755), ENOEXEC),
	    "a machine of the other byte order");
}

/* It is cut short within its header: that says nothing of the machine. */
static void
a_cut_header_is_not_called_another_machine(void **arg)
{
	unsigned char buf[512];

	(void)arg;
	make_elf(buf, sizeof(buf), "/bin/sh");
	explain(tmp_file("app", buf, 40, 0755), ENOEXEC);
	assert_has_not(said, "another machine");
}

static void
neither_program_nor_script(void **arg)
{
	(void)arg;
	assert_has(explain_text("echo hello\n", ENOEXEC), "neither a program");
	assert_has(explain_text("", ENOEXEC), "neither a program");
	assert_has(explain_text("#!", ENOEXEC), "names no interpreter");
	assert_has(explain_text("#! \n", ENOEXEC), "names no interpreter");
}

static void
a_directory(void **arg)
{
	(void)arg;
	assert_string_equal(explain(tmp_dir, EACCES), "it is a directory");
}

static void
neither_file_nor_directory(void **arg)
{
	(void)arg;
	assert_string_equal(explain("/dev/null", EACCES),
	    "it is not a regular file");
	assert_int_equal(mkfifo(tmp_path("fifo"), 0755), 0);
	alarm(5);
	assert_string_equal(explain(tmp_path("fifo"), EACCES),
	    "it is not a regular file");
	alarm(0);
}

static void
not_executable(void **arg)
{
	(void)arg;
	assert_string_equal(explain(tmp_file("app", "#!/bin/sh\n", 10, 0644),
	    EACCES), "it is not executable for this user (mode 0644)");
}

static void
executable_but_not_allowed_may_be_noexec(void **arg)
{
	(void)arg;
	assert_has(explain_text("#!/bin/sh\n", EACCES), "noexec");
}

static void
what_is_not_there_needs_no_words(void **arg)
{
	(void)arg;
	assert_string_equal(explain(tmp_path("nothing"), ENOENT), "");
}

static void
truncated_headers_are_survived(void **arg)
{
	unsigned char buf[512];
	size_t n, cut;

	(void)arg;
	n = make_elf(buf, sizeof(buf), "/no/such/ld.so");
	for (cut = 0; cut <= n; cut++) {
		explain(tmp_file("app", buf, cut, 0755), ENOENT);
		assert_true(strlen(said) < sizeof(said));
		explain(tmp_file("app", buf, cut, 0755), ENOEXEC);
		assert_string_not_equal(said, "untouched");
		assert_string_not_equal(said, "");
	}
}

static void
extreme_offsets_are_survived(void **arg)
{
	static const uint64_t values[] = { 0, 1, 63, 64, 0x7fffffff,
	    0x80000000, 0xffffffff, 0x7fffffffffffffff, UINT64_MAX };
	unsigned char buf[512];
	Elf64_Ehdr h;
	Elf64_Phdr ph;
	size_t n, i;

	(void)arg;
	for (i = 0; i < NITEMS(values); i++) {
		n = make_elf(buf, sizeof(buf), "/no/such/ld.so");
		memcpy(&h, buf, sizeof(h));
		h.e_phoff = values[i];
		h.e_phentsize = (Elf64_Half)values[i];
		h.e_phnum = 0xffff;
		memcpy(buf, &h, sizeof(h));
		explain(tmp_file("app", buf, n, 0755), ENOENT);
		n = make_elf(buf, sizeof(buf), "/no/such/ld.so");
		memcpy(&ph, buf + PHDR_AT + sizeof(ph), sizeof(ph));
		ph.p_offset = values[i];
		memcpy(buf + PHDR_AT + sizeof(ph), &ph, sizeof(ph));
		explain(tmp_file("app", buf, n, 0755), ENOENT);
		ph.p_offset = LOADER_AT;
		ph.p_filesz = values[i];
		memcpy(buf + PHDR_AT + sizeof(ph), &ph, sizeof(ph));
		explain(tmp_file("app", buf, n, 0755), ENOENT);
		assert_true(strlen(said) < sizeof(said));
	}
}

/* What is said stays within its buffer and ends, whatever is in the file. */
static void
garbage_is_survived(void **arg)
{
	static const int errors[] = { ENOENT, ENOEXEC, EACCES };
	unsigned char buf[512];
	uint64_t x = 88172645463325252u;
	unsigned int i, j;
	size_t n;
	char small[24];
	int fd;

	(void)arg;
	fd = open(tmp_path("app"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0755);
	assert_int_not_equal(fd, -1);
	for (i = 0; i < 5000; i++) {
		n = i % 3 == 0 ? make_elf32(buf, sizeof(buf), "/no/ld.so") :
		    make_elf(buf, sizeof(buf), "/no/such/ld.so");
		for (j = 0; j < 1 + i % 8; j++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			buf[(x >> 8) % n] = (unsigned char)x;
		}
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, buf, n - (x >> 40) % n, 0),
		    (ssize_t)(n - (x >> 40) % n));
		memset(small, 'g', sizeof(small));
		exec_error_explain(tmp_path("app"), errors[i % 3], small,
		    sizeof(small) - 4);
		assert_non_null(memchr(small, '\0', sizeof(small) - 4));
		assert_memory_equal(small + sizeof(small) - 4, "gggg", 4);
	}
	close(fd);
}

static void
a_very_long_interpreter_is_cut(void **arg)
{
	static char script[5000];

	(void)arg;
	memset(script, 'x', sizeof(script));
	script[0] = '#';
	script[1] = '!';
	script[2] = '/';
	explain(tmp_file("app", script, sizeof(script), 0755), ENOENT);
	assert_has(said, "its interpreter /xxx");
	assert_true(strlen(said) < 400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_interpreter_is_named),
		cmocka_unit_test(a_script_from_elsewhere_has_cr_lf),
		cmocka_unit_test(an_interpreter_that_cannot_be_executed),
		cmocka_unit_test(an_interpreter_that_is_there_is_no_reason),
		cmocka_unit_test(a_missing_loader_is_named_with_a_way_out),
		cmocka_unit_test(a_loader_that_is_there_is_no_reason),
		cmocka_unit_test(another_machine_is_named),
		cmocka_unit_test(another_byte_order_is_another_machine),
		cmocka_unit_test(a_cut_header_is_not_called_another_machine),
		cmocka_unit_test(neither_program_nor_script),
		cmocka_unit_test(a_directory),
		cmocka_unit_test(neither_file_nor_directory),
		cmocka_unit_test(not_executable),
		cmocka_unit_test(executable_but_not_allowed_may_be_noexec),
		cmocka_unit_test(what_is_not_there_needs_no_words),
		cmocka_unit_test(truncated_headers_are_survived),
		cmocka_unit_test(extreme_offsets_are_survived),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(a_very_long_interpreter_is_cut),
	};

	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
