/* SPDX-License-Identifier: ISC */
/*
 * From the command line to the plan: what only root may ask for, and what
 * root must. As root both halves run, the second as nobody.
 */
#include <grp.h>
#include <pwd.h>

#include "planned.h"

static void
we_stay_who_we_are(void **arg)
{
	(void)arg;
	planned("-s/a", "/app");
	assert_false(p.root);
	assert_false(p.ident.change);
	assert_int_equal(p.ident.uid, geteuid());
	assert_int_equal(p.ident.gid, getegid());
	assert_int_equal(p.socket_uid, geteuid());
	assert_int_equal(p.socket_gid, getegid());
}

static void
options_that_need_root_are_named_all_at_once(void **arg)
{
	(void)arg;
	refused(EX_NOPERM, "-s/a", "-S", "-c/x", "-uwww", "-gwww", "-Uwww",
	    "/app");
	assert_has(e.text, "-c, -S, -u, -g, -U: only root");
	refused(EX_NOPERM, "-p1", "-u", "www", "/app");
	assert_true(strncmp(e.text, "-u: only root", 13) == 0);
}

/* Whom it names is us, with the groups that group(5) says, if any does. */
static void
our_own_names_need_no_root(void **arg)
{
	char uid[16], gid[16];

	(void)arg;
	if (getpwuid(geteuid()) != NULL || getgroups(0, NULL) != 0)
		skip();
	snprintf(uid, sizeof(uid), "%u", geteuid());
	snprintf(gid, sizeof(gid), "%u", getegid());
	planned("-s/a", "-u", uid, "-g", gid, "-U", uid, "-G", gid, "/app");
	assert_false(p.ident.change);
	assert_false(p.needs_root);
	assert_int_equal(p.ident.uid, geteuid());
	assert_int_equal(p.socket_uid, geteuid());
	planned("-s/a", "-g", gid, "/app");
	planned("-s/a", "-S", "-U", uid, "/app");
	assert_false(p.socket_in_jail);
	/* All of this is still somebody else's. */
	setprogname("spawnd");
	refused(EX_NOPERM, "-s/a", "-u", uid, "-g", "60124", "/app");
	assert_has(e.text, "-u, -g: only root may ask for this (start spawnd "
	    "as root, or leave it out)");
	refused(EX_NOPERM, "-s/a", "-g", "60124", "/app");
	assert_has(e.text, "-g: only root");
	refused(EX_NOPERM, "-s/a", "-u60124", "-g", gid, "/app");
	refused(EX_NOPERM, "-s/a", "-u", uid, "-U60124", "/app");
	assert_true(strncmp(e.text, "-U: only root", 13) == 0);
	refused(EX_NOPERM, "-s/a", "-U", uid, "-G60124", "/app");
	assert_has(e.text, "-G: 60124: you are not in this group");
	refused(EX_NOPERM, "-s/a", "-S", "-c/", "-u", uid, "-g", gid, "/app");
	assert_true(strncmp(e.text, "-c, -S: only root", 17) == 0);
}

/* Of the plan of root whoever tests it is told what root would do. */
static void
a_test_tells_own_names_from_others(void **arg)
{
	(void)arg;
	planned("-t", "-s/a", "-Uroot", "/app");
	assert_true(p.needs_root);
	planned("-t", "-s/a", "/app");
	assert_false(p.needs_root);
}

static void
the_default_jail_needs_root(void **arg)
{
	(void)arg;
	refused(EX_NOPERM, "/app");
	assert_has(e.text, "chroot: /var/www: only root");
	assert_has(e.text, "(neither -s nor -p given: jail /var/www)");
}

static void
a_group_we_are_not_in_needs_root(void **arg)
{
	char own[16];

	(void)arg;
	refused(EX_NOPERM, "-s/a", "-G", "60124", "/app");
	assert_has(e.text, "-G: 60124: you are not in this group");
	snprintf(own, sizeof(own), "%u", getegid());
	planned("-s/a", "-G", own, "/app");
	assert_int_equal(p.socket_gid, getegid());
}

static void
limits_above_the_hard_one_need_root(void **arg)
{
	struct rlimit old, low;

	(void)arg;
	assert_int_equal(getrlimit(RLIMIT_CORE, &old), 0);
	low = old;
	if (low.rlim_max > 4096)
		low.rlim_max = 4096;
	low.rlim_cur = low.rlim_max;
	/* There is no way back up, but nothing here needs a core file. */
	assert_int_equal(setrlimit(RLIMIT_CORE, &low), 0);
	refused(EX_NOPERM, "-p1", "--rlimit", "core=8K", "/app");
	assert_has(e.text, "--rlimit: core: only root");
	refused(EX_NOPERM, "-p1", "--rlimit", "core=1:infinity", "/app");
	planned("-p1", "--rlimit", "core=0:0", "/app");
}

static void
a_better_priority_needs_root(void **arg)
{
	(void)arg;
	refused(EX_NOPERM, "-p1", "--nice", "-20", "/app");
	assert_has(e.text, "--nice: -20: only root");
	planned("-p1", "--nice", "19", "/app");
}

static void
root_has_to_name_a_user(void **arg)
{
	char *argv[] = { (char *)"spawnd", (char *)"-p1", (char *)"/app",
	    NULL };

	(void)arg;
	assert_int_equal(options_parse(&c, 3, argv, &e), 0);
	assert_int_equal(plan_first_error(), -1);
	assert_int_equal(e.status, EX_USAGE);
	assert_has(e.text, "-u: is required as root");
}

static void
nobody_may_become_root(void **arg)
{
	(void)arg;
	refused(EX_USAGE, "-p1", "-u0", "/app");
	assert_has(e.text, "-u: 0: has uid 0");
	refused(EX_USAGE, "-p1", "-uroot", "/app");
	refused(EX_USAGE, "-p1", "-g0", "/app");
	assert_has(e.text, "-g: 0: has gid 0");
	refused(EX_USAGE, "-p1", "-groot", "/app");
}

static void
users_and_groups_that_do_not_exist(void **arg)
{
	(void)arg;
	refused(EX_NOUSER, "-p1", "-uno such user", "/app");
	assert_has(e.text, "-u: no such user: no such user");
	refused(EX_NOUSER, "-p1", "-gno-such", "/app");
	assert_has(e.text, "-g: no-such: no such group");
	refused(EX_NOUSER, "-s/a", "-Uno-such", "/app");
	assert_has(e.text, "-U: no-such: no such user");
	refused(EX_NOUSER, "-s/a", "-Gno-such", "/app");
	assert_has(e.text, "-G: no-such: no such group");
}

/* -1 means "no change" to the kernel: nobody may ask for it. */
static void
an_id_of_minus_one_is_none(void **arg)
{
	(void)arg;
	refused(EX_NOUSER, "-p1", "-u4294967295", "/app");
	refused(EX_NOUSER, "-p1", "-u-1", "/app");
	refused(EX_NOUSER, "-p1", "-g4294967295", "/app");
	refused(EX_NOUSER, "-p1", "-u4294967296", "/app");
}

static void
a_number_without_passwd_entry(void **arg)
{
	(void)arg;
	planned("-p1", "/app");
	assert_true(p.root);
	assert_true(p.ident.change);
	assert_int_equal(p.ident.uid, NOBODY);
	assert_int_equal(p.ident.gid, NOBODY);
	assert_int_equal(p.ident.ngroups, 1);
	assert_int_equal(p.ident.groups[0], NOBODY);
	assert_string_equal(p.ident.user, ID);
	assert_null(p.ident.home);
	assert_string_equal(environ_get(p.envp, "HOME"), "/");
	assert_null(environ_get(p.envp, "USER"));
}

static void
the_socket_is_the_workers_unless_told_otherwise(void **arg)
{
	(void)arg;
	planned("-s/a", "/app");
	assert_int_equal(p.socket_uid, NOBODY);
	assert_int_equal(p.socket_gid, NOBODY);
	assert_string_equal(p.socket_owner, ID ":" ID " 0660");
	planned("-s/a", "-U60200", "-G60201", "/app");
	assert_int_equal(p.socket_uid, 60200);
	assert_int_equal(p.socket_gid, 60201);
	/* A number without entry has no primary group: -g's it is. */
	planned("-s/a", "-U60200", "/app");
	assert_int_equal(p.socket_gid, NOBODY);
	planned("-s/a", "-Uroot", "/app");
	assert_int_equal(p.socket_uid, 0);
	assert_int_equal(p.socket_gid, 0);
}

static void
paths_in_a_jail_start_at_its_root(void **arg)
{
	char where[256];

	(void)arg;
	planned("-c", tmp_dir, "-s", "run/a.sock", "-dhtdocs", "bin/app");
	assert_string_equal(p.jail, tmp_dir);
	assert_int_not_equal(p.jail_fd, -1);
	assert_true(p.socket_in_jail);
	assert_string_equal(p.socket_dir, "/run");
	snprintf(where, sizeof(where), "unix:%s/run/a.sock", tmp_dir);
	assert_string_equal(p.socket_name, where);
	assert_string_equal(p.argv[0], "/bin/app");
	assert_string_equal(p.chdir, "/htdocs");
	assert_string_equal(p.jail_reason, "");
}

static void
slashes_behind_a_jail_are_not_shown(void **arg)
{
	char jail[256], where[256];

	(void)arg;
	planned("-c/", "-s/run/a.sock", "/app");
	assert_string_equal(p.socket_name, "unix:/run/a.sock");
	assert_string_equal(p.jail, "/");
	planned("-c//", "-srun//a.sock", "/app");
	assert_string_equal(p.socket_name, "unix:/run/a.sock");
	assert_string_equal(p.jail, "/");
	snprintf(jail, sizeof(jail), "%s//", tmp_dir);
	planned("-c", jail, "/app");
	assert_string_equal(p.jail, tmp_dir);
	snprintf(where, sizeof(where), "unix:%s/run/httpd.sock", tmp_dir);
	assert_string_equal(p.socket_name, where);
}

static void
a_socket_before_the_jail_is_outside(void **arg)
{
	(void)arg;
	planned("-c", tmp_dir, "-S", "-s/run/a.sock", "/app");
	assert_false(p.socket_in_jail);
	assert_string_equal(p.socket_name, "unix:/run/a.sock");
}

static void
a_jail_alone_has_the_default_socket(void **arg)
{
	(void)arg;
	planned("-c", tmp_dir, "/app");
	assert_string_equal(p.socket_dir, "/run");
	assert_string_equal(p.socket_file, "httpd.sock");
	assert_true(p.socket_in_jail);
	assert_string_equal(p.jail_reason, "");
}

static void
a_jail_that_is_not_there(void **arg)
{
	(void)arg;
	refused(EX_CONFIG, "-c", tmp_path("none"), "-s/a", "/app");
	assert_has(e.text, "chroot: ");
	assert_has(e.text, "No such file");
	refused(EX_CONFIG, "-c", tmp_file("file", "", 0, 0755), "-s/a",
	    "/app");
	assert_has(e.text, "Not a directory");
}

static void
neither_socket_nor_port_means_the_default_jail(void **arg)
{
	(void)arg;
	if (plan("/app") == -1) {
		assert_int_equal(e.status, EX_CONFIG);
		assert_has(e.text, "chroot: /var/www: ");
		assert_has(e.text, "(neither -s nor -p given: jail "
		    "/var/www)");
	} else {
		assert_string_equal(p.jail, "/var/www");
		assert_string_equal(p.socket_name,
		    "unix:/var/www/run/httpd.sock");
		assert_string_equal(p.jail_reason,
		    " (neither -s nor -p given: jail /var/www)");
	}
}

static void
root_may_raise_limits_and_priority(void **arg)
{
	(void)arg;
	planned("-p1", "--nice=-20", "--rlimit=core=infinity:infinity",
	    "/app");
}

static const struct CMUnitTest without_root[] = {
	TEST(we_stay_who_we_are),
	TEST(options_that_need_root_are_named_all_at_once),
	TEST(our_own_names_need_no_root),
	TEST(a_test_tells_own_names_from_others),
	TEST(the_default_jail_needs_root),
	TEST(a_group_we_are_not_in_needs_root),
	TEST(limits_above_the_hard_one_need_root),
	TEST(a_better_priority_needs_root),
};

static const struct CMUnitTest with_root[] = {
	TEST(root_has_to_name_a_user),
	TEST(nobody_may_become_root),
	TEST(users_and_groups_that_do_not_exist),
	TEST(an_id_of_minus_one_is_none),
	TEST(a_number_without_passwd_entry),
	TEST(the_socket_is_the_workers_unless_told_otherwise),
	TEST(paths_in_a_jail_start_at_its_root),
	TEST(slashes_behind_a_jail_are_not_shown),
	TEST(a_socket_before_the_jail_is_outside),
	TEST(a_jail_alone_has_the_default_socket),
	TEST(a_jail_that_is_not_there),
	TEST(neither_socket_nor_port_means_the_default_jail),
	TEST(root_may_raise_limits_and_priority),
};

int
main(void)
{
	int failed = 0;

	if (geteuid() == 0) {
		failed += cmocka_run_group_tests(with_root, tmp_make,
		    tmp_remove);
		/* Where it can be searched by anybody. */
		if (chdir("/") == -1 || setgroups(0, NULL) == -1 ||
		    setgid(NOBODY) == -1 || setuid(NOBODY) == -1)
			return 1;
	}
	failed += cmocka_run_group_tests(without_root, tmp_make, tmp_remove);
	return failed == 0 ? 0 : 1;
}
