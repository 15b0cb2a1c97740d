/* SPDX-License-Identifier: ISC */
/* The workers' environment: what passes, what is set, and what never is. */
#include <sysexits.h>

#include "base/base.h"
#include "config/phases.h"
#include "tmp.h"

static struct conf c;
static struct ident id;
static struct err e;
static struct env_rule rules[8];
static char **envp;

/* A user without passwd entry, and no -e, --env-file or -C. */
static int
fresh(void **arg)
{
	(void)arg;
	memset(&e, 0, sizeof(e));
	c = (struct conf){ .php_children = -1, .env = rules };
	id = (struct ident){ .uid = 1234, .gid = 1234 };
	envp = NULL;
	return 0;
}

static int
forget(void **arg)
{
	size_t i;

	(void)arg;
	for (i = 0; envp != NULL && envp[i] != NULL; i++)
		free(envp[i]);
	free(envp);
	return 0;
}

static void
rule(unsigned int kind, const char *text)
{
	rules[c.nenv].kind = kind;
	rules[c.nenv++].text = text;
}

#define FROM(...)	((char *const[]){ __VA_ARGS__, NULL })
#define W(s)		((char *)(s))

static bool
build(char *const *from)
{
	forget(NULL);
	envp = env_build(&c, &id, from, &e);
	return envp != NULL;
}

#define assert_var(name, value) \
	assert_string_equal(environ_get(envp, (name)), (value))
#define assert_no_var(name)	assert_null(environ_get(envp, (name)))

/* Builds from an env-file with these contents. */
static bool
build_file(const void *data, size_t size, mode_t mode)
{
	rule(ENV_FILE, tmp_file("env", data, size, mode));
	return build(NULL);
}

#define LINES(s)	(s), sizeof(s) - 1

static void
there_is_always_a_path(void **arg)
{
	(void)arg;
	assert_true(build(NULL));
	assert_var("PATH", "/usr/local/bin:/usr/bin:/bin");
	assert_true(build(FROM(W("PATH=/opt"))));
	assert_var("PATH", "/opt");
}

static void
the_allowlist_passes(void **arg)
{
	static const char *const names[] = { "PATH", "TZ", "TMPDIR", "LANG",
	    "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "PHPRC",
	    "PHP_INI_SCAN_DIR", "PHP_FCGI_CHILDREN",
	    "PHP_FCGI_MAX_REQUESTS", "FCGI_WEB_SERVER_ADDRS" };
	char var[64];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(names); i++) {
		snprintf(var, sizeof(var), "%s=v%zu", names[i], i);
		assert_true(build(FROM(var)));
		assert_var(names[i], strchr(var, '=') + 1);
	}
}

static void
nothing_else_passes(void **arg)
{
	static const char *const others[] = { "LD_PRELOAD=x", "IFS=x",
	    "SECRET=x", "PATHX=x", "XPATH=x", "LC=x", "path=x", "USER=x",
	    "LOGNAME=x", "SHELL=x", "HOME=x", "SSH_AUTH_SOCK=x",
	    "PHP_FCGI_CHILDRENS=x", "LANGUAGE=x" };
	size_t i, j;

	(void)arg;
	for (i = 0; i < NITEMS(others); i++) {
		assert_true(build(FROM(W(others[i]))));
		for (j = 0; envp[j] != NULL; j++)
			assert_string_not_equal(envp[j], others[i]);
	}
}

static void
entries_that_are_no_assignments_are_dropped(void **arg)
{
	(void)arg;
	rule(ENV_PASS, "*");
	assert_true(build(FROM(W("PATH"), W("=x"), W(""), W("A=1"))));
	assert_var("PATH", DEFAULT_PATH);
	assert_var("A", "1");
	assert_int_equal(envp[0] != NULL && envp[1] != NULL &&
	    envp[2] != NULL && envp[3] == NULL, true);
}

static void
a_user_brings_name_home_and_shell(void **arg)
{
	(void)arg;
	id.user = W("www");
	id.home = W("/var/www");
	id.shell = W("/sbin/nologin");
	assert_true(build(FROM(W("HOME=/root"), W("USER=root"))));
	assert_var("USER", "www");
	assert_var("LOGNAME", "www");
	assert_var("HOME", "/var/www");
	assert_var("SHELL", "/sbin/nologin");
}

static void
a_number_without_entry_brings_a_home_only(void **arg)
{
	(void)arg;
	id.user = W("1234");
	assert_true(build(FROM(W("USER=root"), W("SHELL=/bin/sh"))));
	assert_var("HOME", "/");
	assert_no_var("USER");
	assert_no_var("LOGNAME");
	assert_no_var("SHELL");
}

static void
names_can_be_let_through(void **arg)
{
	(void)arg;
	rule(ENV_PASS, "DB_HOST");
	assert_true(build(FROM(W("DB_HOST=db"), W("DB_PASS=x"))));
	assert_var("DB_HOST", "db");
	assert_no_var("DB_PASS");
}

static void
a_name_that_is_not_there_is_no_error(void **arg)
{
	(void)arg;
	rule(ENV_PASS, "DB_HOST");
	assert_true(build(FROM(W("A=1"))));
	assert_no_var("DB_HOST");
}

static void
patterns_let_many_through(void **arg)
{
	(void)arg;
	rule(ENV_PASS, "DB_*");
	rule(ENV_PASS, "?X");
	rule(ENV_PASS, "[ab]1");
	assert_true(build(FROM(W("DB_HOST=db"), W("DB_=x"), W("DBA=x"),
	    W("AX=1"), W("AAX=1"), W("a1=1"), W("c1=1"))));
	assert_var("DB_HOST", "db");
	assert_var("DB_", "x");
	assert_no_var("DBA");
	assert_var("AX", "1");
	assert_no_var("AAX");
	assert_var("a1", "1");
	assert_no_var("c1");
}

static void
forbidden_names_never_pass_not_even_by_pattern(void **arg)
{
	(void)arg;
	rule(ENV_PASS, "*");
	assert_true(build(FROM(W("LISTEN_FDS=1"), W("LISTEN_PID=2"),
	    W("LISTEN_FDNAMES=x"), W("NOTIFY_SOCKET=/x"),
	    W("WATCHDOG_USEC=1"), W("WATCHDOG_PID=1"), W("MAINPID=1"),
	    W("FCGI_LISTENSOCK_DESCRIPTORS=0"), W("A=1"))));
	assert_no_var("LISTEN_FDS");
	assert_no_var("LISTEN_PID");
	assert_no_var("LISTEN_FDNAMES");
	assert_no_var("NOTIFY_SOCKET");
	assert_no_var("WATCHDOG_USEC");
	assert_no_var("WATCHDOG_PID");
	assert_no_var("MAINPID");
	assert_no_var("FCGI_LISTENSOCK_DESCRIPTORS");
	assert_var("A", "1");
}

static void
forbidden_is_the_name_not_its_beginning(void **arg)
{
	(void)arg;
	assert_true(env_forbidden("LISTEN_FDS", 10));
	assert_true(env_forbidden("LISTEN_FDS=3", 10));
	assert_true(env_forbidden("MAINPID", 7));
	assert_false(env_forbidden("MAINPIDS", 8));
	assert_false(env_forbidden("LISTEN", 6));
	assert_false(env_forbidden("XNOTIFY_SOCKET", 14));
}

static void
names_are_checked(void **arg)
{
	(void)arg;
	assert_true(env_name_ok("_a9", 3));
	assert_true(env_name_ok("A=1", 1));
	assert_false(env_name_ok("", 0));
	assert_false(env_name_ok("9a", 2));
	assert_false(env_name_ok("a-b", 3));
	assert_false(env_name_ok("a b", 3));
	assert_false(env_name_ok("\xc3\xa9", 2));
}

static void
a_name_is_found_only_whole(void **arg)
{
	(void)arg;
	assert_string_equal(environ_get(FROM(W("AB=1"), W("A=2")), "A"), "2");
	assert_null(environ_get(FROM(W("AB=1"), W("A")), "A"));
	assert_null(environ_get(NULL, "A"));
}

static void
later_options_win(void **arg)
{
	(void)arg;
	rule(ENV_SET, "A=1");
	rule(ENV_PASS, "A");
	rule(ENV_SET, "B=2");
	rule(ENV_SET, "B=3");
	assert_true(build(FROM(W("A=own"))));
	assert_var("A", "own");
	assert_var("B", "3");
	rules[1] = (struct env_rule){ ENV_SET, "A=2" };
	assert_true(build(FROM(W("A=own"))));
	assert_var("A", "2");
}

static void
options_win_over_everything(void **arg)
{
	(void)arg;
	id.user = W("www");
	id.home = W("/var/www");
	id.shell = W("/bin/sh");
	c.php_children = 3;
	rule(ENV_SET, "PATH=/x");
	rule(ENV_SET, "HOME=/x");
	rule(ENV_SET, "PHP_FCGI_CHILDREN=5");
	assert_true(build(FROM(W("PATH=/own"))));
	assert_var("PATH", "/x");
	assert_var("HOME", "/x");
	assert_var("PHP_FCGI_CHILDREN", "5");
}

static void
php_children_win_over_the_callers(void **arg)
{
	(void)arg;
	c.php_children = 0;
	assert_true(build(FROM(W("PHP_FCGI_CHILDREN=9"))));
	assert_var("PHP_FCGI_CHILDREN", "0");
}

static void
every_name_is_there_once(void **arg)
{
	size_t i, n = 0;

	(void)arg;
	rule(ENV_SET, "PATH=/a");
	rule(ENV_PASS, "PATH");
	assert_true(build(FROM(W("PATH=/b"), W("PATH=/c"))));
	for (i = 0; envp[i] != NULL; i++)
		n += strncmp(envp[i], "PATH=", 5) == 0;
	assert_int_equal(n, 1);
}

static void
a_file_sets_variables(void **arg)
{
	(void)arg;
	assert_true(build_file(LINES("# comment\n\nA=1\n  B=x y \n \t\n"
	    "\t# C=1\nD=\"q\" # no comment\nE=\nF=a=b\nLAST=end"), 0644));
	assert_var("A", "1");
	assert_var("B", "x y ");
	assert_no_var("C");
	assert_var("D", "\"q\" # no comment");
	assert_var("E", "");
	assert_var("F", "a=b");
	assert_var("LAST", "end");
}

static void
an_empty_file_is_fine(void **arg)
{
	(void)arg;
	assert_true(build_file("", 0, 0600));
	assert_var("PATH", DEFAULT_PATH);
}

static void
a_later_one_takes_the_place_of_the_first(void **arg)
{
	(void)arg;
	rule(ENV_SET, "A=1");
	rule(ENV_SET, "AB=2");
	rule(ENV_SET, "C=3");
	rule(ENV_SET, "A=4");
	rule(ENV_SET, "HOME=/5");
	rule(ENV_SET, "A=6");
	assert_true(build(NULL));
	assert_string_equal(envp[0], "PATH=/usr/local/bin:/usr/bin:/bin");
	assert_string_equal(envp[1], "HOME=/5");
	assert_string_equal(envp[2], "A=6");
	assert_string_equal(envp[3], "AB=2");
	assert_string_equal(envp[4], "C=3");
	assert_null(envp[5]);
}

static void
a_file_has_its_place_in_the_order(void **arg)
{
	(void)arg;
	rule(ENV_SET, "A=before");
	rule(ENV_SET, "B=before");
	rule(ENV_FILE, tmp_file("env", LINES("A=file\nB=file\nA=again\n"),
	    0600));
	rule(ENV_SET, "B=after");
	assert_true(build(NULL));
	assert_var("A", "again");
	assert_var("B", "after");
}

static void
bad_lines_are_named_by_number(void **arg)
{
	static const struct {
		const char	*lines, *number;
	} bad[] = {
		{ "A=1\nnonsense\n", ":2:" }, { "=1\n", ":1:" },
		{ "\n\n1A=2\n", ":3:" }, { "A B=1\n", ":1:" },
		{ "export A=1\n", ":1:" }, { "A =1", ":1:" },
		{ "A=1\nLISTEN_FDS=1\n", ":2:" },
		{ "#\nNOTIFY_SOCKET=/x", ":2:" }, { "*=1", ":1:" },
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(bad); i++) {
		c.nenv = 0;
		if (build_file(bad[i].lines, strlen(bad[i].lines), 0600))
			fail_msg("taken: %s", bad[i].lines);
		assert_int_equal(e.status, EX_CONFIG);
		assert_has(e.text, "--env-file: ");
		assert_has(e.text, rules[0].text);
		assert_has(e.text, bad[i].number);
	}
}

static void
a_nul_byte_in_a_file_is_refused(void **arg)
{
	(void)arg;
	assert_false(build_file(LINES("A=1\nB=x\0y\nC=1\n"), 0600));
	assert_int_equal(e.status, EX_CONFIG);
	assert_has(e.text, ":2: contains a NUL byte");
}

static void
a_secret_is_not_shown_in_an_error(void **arg)
{
	(void)arg;
	assert_false(build_file(LINES("PASS WORD=hunter2\n"), 0600));
	assert_has_not(e.text, "hunter2");
}

static void
a_file_others_may_write_is_refused(void **arg)
{
	static const mode_t modes[] = { 0620, 0602, 0666 };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(modes); i++) {
		c.nenv = 0;
		assert_false(build_file(LINES("A=1\n"), modes[i]));
		assert_int_equal(e.status, EX_CONFIG);
		assert_has(e.text, "group or others may write it");
	}
}

static void
a_file_may_be_64_kb_large_and_no_larger(void **arg)
{
	static char data[ENV_FILE_SIZE + 1];

	(void)arg;
	memset(data, 'x', sizeof(data));
	data[0] = 'A';
	data[1] = '=';
	assert_true(build_file(data, ENV_FILE_SIZE, 0600));
	assert_int_equal(strlen(environ_get(envp, "A")), ENV_FILE_SIZE - 2);
	assert_false(build_file(data, ENV_FILE_SIZE + 1, 0600));
	assert_int_equal(e.status, EX_CONFIG);
	assert_has(e.text, "larger than 65536 bytes");
}

static void
a_missing_file_is_named(void **arg)
{
	(void)arg;
	rule(ENV_FILE, tmp_path("missing"));
	assert_false(build(NULL));
	assert_int_equal(e.status, EX_NOINPUT);
	assert_has(e.text, tmp_path("missing"));
	assert_has(e.text, "No such file");
}

static void
only_a_regular_file_will_do(void **arg)
{
	(void)arg;
	rule(ENV_FILE, tmp_dir);
	assert_false(build(NULL));
	assert_int_equal(e.status, EX_CONFIG);
	assert_has(e.text, "not a regular file");
	rules[0].text = "/dev/null";
	assert_false(build(NULL));
	assert_has(e.text, "not a regular file");
}

/* Nobody writes into it: an open that waits would never come back. */
static void
a_fifo_does_not_hold_up_the_start(void **arg)
{
	(void)arg;
	assert_int_equal(mkfifo(tmp_path("fifo"), 0600), 0);
	rule(ENV_FILE, tmp_path("fifo"));
	alarm(5);
	assert_false(build(NULL));
	alarm(0);
	assert_int_equal(e.status, EX_CONFIG);
	assert_has(e.text, "not a regular file");
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, fresh, forget)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(there_is_always_a_path),
		TEST(the_allowlist_passes),
		TEST(nothing_else_passes),
		TEST(entries_that_are_no_assignments_are_dropped),
		TEST(a_user_brings_name_home_and_shell),
		TEST(a_number_without_entry_brings_a_home_only),
		TEST(names_can_be_let_through),
		TEST(a_name_that_is_not_there_is_no_error),
		TEST(patterns_let_many_through),
		TEST(forbidden_names_never_pass_not_even_by_pattern),
		TEST(forbidden_is_the_name_not_its_beginning),
		TEST(names_are_checked),
		TEST(a_name_is_found_only_whole),
		TEST(later_options_win),
		TEST(options_win_over_everything),
		TEST(php_children_win_over_the_callers),
		TEST(every_name_is_there_once),
		TEST(a_file_sets_variables),
		TEST(an_empty_file_is_fine),
		TEST(a_later_one_takes_the_place_of_the_first),
		TEST(a_file_has_its_place_in_the_order),
		TEST(bad_lines_are_named_by_number),
		TEST(a_nul_byte_in_a_file_is_refused),
		TEST(a_secret_is_not_shown_in_an_error),
		TEST(a_file_others_may_write_is_refused),
		TEST(a_file_may_be_64_kb_large_and_no_larger),
		TEST(a_missing_file_is_named),
		TEST(only_a_regular_file_will_do),
		TEST(a_fifo_does_not_hold_up_the_start),
	};

	return cmocka_run_group_tests(tests, tmp_make, tmp_remove);
}
