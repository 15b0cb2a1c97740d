/* SPDX-License-Identifier: ISC */
/* What is said of the way in, by what the system shows: that is the test's. */
#include "base/base.h"
#include "config/config.h"
#include "observe/listener.h"
#include "observe/observe.h"
#include "privilege/privilege.h"
#include "run/run.h"
#include "run/supervise.h"
#include "unit.h"

/* NOLINTBEGIN(*reserved-identifier,cert-dcl*): the linker's names */
bool __wrap_actor_stops(void);
enum deaf __wrap_listener_deaf(void);
enum socketfile_state __wrap_socketfile_look(const struct plan *);

static enum socketfile_state file;
static enum deaf deaf;
static bool stops;
static unsigned int looks;

bool
__wrap_actor_stops(void)
{
	return stops;
}

enum deaf
__wrap_listener_deaf(void)
{
	looks++;
	return deaf;
}

enum socketfile_state
__wrap_socketfile_look(const struct plan *p)
{
	(void)p;
	looks++;
	return file;
}
/* NOLINTEND(*reserved-identifier,cert-dcl*) */

/* The pool listens on TCP; returns what keeps clients away. */
static const char *
fault_of(enum socketfile_state of_file, enum deaf of_socket)
{
	static struct plan plan = { .inherited = -1, .socket_name = "tcp:1",
	    .addr.ss_family = AF_INET };
	struct err e;

	assert_int_equal(entry_init(&plan, &e), 0);
	file = of_file;
	deaf = of_socket;
	stops = false;
	return entry_fault();
}

static void
tcp_that_cannot_be_seen_is_not_known(void **arg)
{
	(void)arg;
	assert_null(fault_of(SOCKETFILE_NONE, DEAF_UNKNOWN));
	assert_false(entry_is_known());
	assert_string_equal(entry_unseen(), "what its holders do to it");
	assert_null(fault_of(SOCKETFILE_NONE, DEAF_NO));
	assert_true(entry_is_known());
	assert_null(entry_unseen());
}

static void
a_file_that_is_there_is_known(void **arg)
{
	(void)arg;
	assert_null(fault_of(SOCKETFILE_THERE, DEAF_UNKNOWN));
	assert_true(entry_is_known());
	assert_null(fault_of(SOCKETFILE_UNKNOWN, DEAF_NO));
	assert_false(entry_is_known());
}

static void
all_questions_are_answered_by_one_look(void **arg)
{
	(void)arg;
	looks = 0;
	assert_non_null(fault_of(SOCKETFILE_NONE, DEAF_FILTER));
	entry_is_known();
	entry_unseen();
	assert_int_equal(looks, 2);	/* at the file and at the socket */
	assert_null(fault_of(SOCKETFILE_NONE, DEAF_NO));
}

static void
a_stop_is_not_looked_at(void **arg)
{
	(void)arg;
	assert_null(fault_of(SOCKETFILE_NONE, DEAF_UNKNOWN));
	stops = true;
	looks = 0;
	deaf = DEAF_TTL;
	assert_null(entry_fault());
	assert_null(entry_unseen());
	assert_int_equal(looks, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_that_cannot_be_seen_is_not_known),
		cmocka_unit_test(a_file_that_is_there_is_known),
		cmocka_unit_test(all_questions_are_answered_by_one_look),
		cmocka_unit_test(a_stop_is_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
