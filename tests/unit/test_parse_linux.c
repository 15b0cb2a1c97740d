/* SPDX-License-Identifier: ISC */
/* The kernel's texts and messages about the workers, whole and mutilated. */
#include <sys/syscall.h>

#include <linux/netlink.h>
#include <linux/unix_diag.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "observe/linux.h"
#include "observe/sockets_linux.h"
#include "unit.h"

static struct call
call_of(long number, const char *fd, const char *stack)
{
	char text[256];

	snprintf(text, sizeof(text), "%ld %s 0x7ffd 0x0 0x0 0x0 0x0 %s "
	    "0x7f00dead\n", number, fd, stack);
	return parse_call(text);
}

#define STACK	"0x7ffd12345678"

static void
calls_are_told_by_their_numbers(void **arg)
{
	(void)arg;
	assert_int_equal(call_of(SYS_accept4, "0x0", STACK).kind, CALL_ACCEPT);
	assert_int_equal(call_of(SYS_accept4, "0x0", STACK).fd, 0);
	assert_int_equal(call_of(SYS_accept4, "0x1f", STACK).fd, 31);
	assert_int_equal(call_of(SYS_recvfrom, "0x5", STACK).kind, CALL_READ);
	assert_int_equal(call_of(SYS_ppoll, "0x0", STACK).kind, CALL_POLL);
	assert_int_equal(call_of(SYS_epoll_pwait, "0x4", STACK).kind,
	    CALL_EPOLL);
	assert_int_equal(call_of(SYS_futex, "0x0", STACK).kind, CALL_FUTEX);
	assert_int_equal(call_of(SYS_sendmsg, "0x5", STACK).kind, CALL_WRITE);
	assert_int_equal(call_of(99999, "0x0", STACK).kind, CALL_OTHER);
	assert_int_equal(call_of(SYS_restart_syscall, "0x0", STACK).kind,
	    CALL_UNCLEAR);
#ifdef SYS_io_uring_enter
	assert_int_equal(call_of(SYS_io_uring_enter, "0x4", STACK).kind,
	    CALL_UNCLEAR);
#endif
}

static struct call
wait_of(long number, const char *args)
{
	char text[256];

	snprintf(text, sizeof(text), "%ld %s " STACK " 0x7f00dead\n", number,
	    args);
	return parse_call(text);
}

static void
the_set_of_a_poll_is_told_with_its_limit(void **arg)
{
	struct call c;

	(void)arg;
	c = wait_of(SYS_ppoll, "0x7ffd10 0x3 0x0 0x0 0x8 0x0");
	assert_true(c.set == 0x7ffd10 && c.n == 3 && !c.bits && c.endless);
	c = wait_of(SYS_ppoll, "0x7ffd10 0x3 0x7ffd80 0x0 0x8 0x0");
	assert_false(c.endless);
	c = wait_of(SYS_pselect6, "0x8 0x7ffd20 0x7ffd30 0x0 0x0 0x0");
	assert_true(c.set == 0x7ffd20 && c.n == 8 && c.bits && c.endless);
	c = wait_of(SYS_pselect6, "0x0 0x0 0x0 0x0 0x7ffd40 0x0");
	assert_true(c.set == 0 && c.n == 0 && c.bits && !c.endless);
#ifdef SYS_poll
	c = wait_of(SYS_poll, "0x7ffd10 0x1 0xffffffff 0x0 0x0 0x0");
	assert_true(c.kind == CALL_POLL && c.endless);
	c = wait_of(SYS_poll, "0x7ffd10 0x1 0x1388 0x0 0x0 0x0");
	assert_false(c.endless);
#endif
}

/* The fourth argument of an epoll: a number, whose upper half is noise. */
static bool
is_endless(long number, const char *limit)
{
	char text[256];

	snprintf(text, sizeof(text), "%ld 0x4 0x7ffd 0x10 %s 0x0 0x8 " STACK
	    " 0x7f00dead\n", number, limit);
	return parse_call(text).endless;
}

static void
wait_without_a_time_limit_is_told(void **arg)
{
	(void)arg;
	assert_true(is_endless(SYS_epoll_pwait, "0xffffffff"));
	assert_true(is_endless(SYS_epoll_pwait, "0xffffffffffffffff"));
	assert_true(is_endless(SYS_epoll_pwait, "0xe95f"));	/* libev's */
	assert_false(is_endless(SYS_epoll_pwait, "0x7530"));
	assert_false(is_endless(SYS_epoll_pwait, "0x0"));
#ifdef SYS_futex
	assert_true(is_endless(SYS_futex, "0x0"));
	assert_false(is_endless(SYS_futex, "0x7ffd80000000"));
#endif
#ifdef SYS_epoll_pwait2
	assert_true(is_endless(SYS_epoll_pwait2, "0x0"));
	assert_false(is_endless(SYS_epoll_pwait2, "0x7ffd80000000"));
#endif
}

static void
watched_descriptors_are_known_by_their_inodes(void **arg)
{
	uint64_t inode = 0;
	uint32_t events = 0;
	int fd = 0;

	(void)arg;
	assert_true(parse_watched("tfd:        5 events: 80000019 data: "
	    "ffffffffffffffff  pos:0 ino:1f2e3d sdev:9\n", &fd, &inode,
	    &events));
	assert_int_equal(fd, 5);
	assert_int_equal(inode, 0x1f2e3d);
	assert_int_equal(events, 0x80000019);
	assert_false(parse_watched("pos:\t0\n", &fd, &inode, &events));
	/* Of an old kernel. */
	assert_false(parse_watched("tfd:        5 events:       19 data: 5\n",
	    &fd, &inode, &events));
}

static void
call_of_a_32_bit_program_is_not_known(void **arg)
{
	struct call c = call_of(SYS_accept4, "0x0", "0xffffd120");

	(void)arg;
	if (sizeof(long) == 8)
		assert_int_equal(c.kind, CALL_FOREIGN);
}

static void
what_is_no_call_is_none(void **arg)
{
	struct call c = call_of(SYS_accept4, "0xffffffffffffffff", STACK);
	static const char *const texts[] = { "", "running\n",
	    "-1 0x7ffd12345678 0x7f00dead\n", "288\n", "288 0x0", "x",
	    "288 0x0 0x0 0x0 0x0 0x0 0x0\n" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(texts); i++) {
		if (parse_call(texts[i]).kind != CALL_NONE)
			fail_msg("'%s' was taken", texts[i]);
	}
	/* A descriptor that can be none. */
	assert_int_equal(c.fd, -1);
}

static void
name_of_a_program_does_not_hide_its_state(void **arg)
{
	char state = '?';
	uint64_t ticks = 0;

	(void)arg;
	assert_int_equal(parse_stat("7 (a) S 1) T 1 7 7 0 -1 4194304 1 2 3 4 "
	    "11 31 0 0 20", &state, &ticks), 0);
	assert_int_equal(state, 'T');
	assert_int_equal(ticks, 42);
	assert_int_equal(parse_stat("7 (app) R 1 7 7 0 -1 4194308 1 2 3 4 "
	    "11 31 0 0 20", &state, &ticks), 0);
	assert_int_equal(state, 'X');
}

static void
stat_that_is_cut_off_is_none(void **arg)
{
	static const char whole[] = "7 (app) S 1 7 7 0 -1 4194304 1 2 3 4 11 "
	    "31 0";
	char part[sizeof(whole)], state;
	uint64_t ticks;
	size_t n;

	(void)arg;
	for (n = 0; strncmp(whole + n, "31", 2) != 0; n++) {
		memcpy(part, whole, n);
		part[n] = '\0';
		if (parse_stat(part, &state, &ticks) == 0)
			fail_msg("'%s' was taken", part);
	}
}

static void
cpu_and_memory_stand_where_they_stand(void **arg)
{
	static const char whole[] = "7 (a) S 1) S 1 7 7 0 -1 4194304 1 2 3 4 "
	    "11 31 5 6 20 0 1 0 12345 8192000 321 18446744073709551615";
	char part[sizeof(whole)];
	uint64_t ticks = 0, pages = 0;
	size_t n;

	(void)arg;
	assert_int_equal(parse_usage(whole, &ticks, &pages), 0);
	assert_int_equal(ticks, 42);
	assert_int_equal(pages, 321);
	for (n = 0; strncmp(whole + n, "321", 3) != 0; n++) {
		memcpy(part, whole, n);
		part[n] = '\0';
		if (parse_usage(part, &ticks, &pages) == 0)
			fail_msg("'%s' was taken", part);
	}
	assert_int_equal(parse_pss("0-1 ---p [rollup]\nRss:  9 kB\nPss:   3 "
	    "kB\nPss_Dirty: 7 kB\n"), 3072);
	assert_int_equal(parse_pss("0-1 [rollup]\nPss_Dirty: 7 kB\n"), 0);
}

static void
state_of_a_zombie_is_told_from_that_of_one_about_to_end(void **arg)
{
	char state;
	uint64_t ticks;

	(void)arg;
	assert_int_equal(parse_state("7 (a) S 1) Z 1 7 7 0 -1 4194308 1"),
	    'Z');
	assert_int_equal(parse_state("7 (app) S 1 7 7 0 -1 4194308 1"), 'S');
	assert_int_equal(parse_state("7 (app) t 1 7 7 0 -1 4194304 1"), 't');
	assert_int_equal(parse_state("7 (app) t 1 7 7 0 -1 4195328 1"),
	    STATE_HELD);
	assert_int_equal(parse_state("7 (app)"), 0);
	assert_int_equal(parse_state(""), 0);
	assert_int_equal(parse_stat("7 (app) Z 1 7 7 0 -1 4194308 1 2 3 4 5 6",
	    &state, &ticks), 0);
	assert_int_equal(state, 'X');
	assert_int_equal(parse_stat("7 (app) t 1 7 7 0 -1 4195328 1 2 3 4 5 6",
	    &state, &ticks), 0);
	assert_int_equal(state, 'X');
}

static void
status_of_an_end_is_the_last_field(void **arg)
{
	static const char stat[] = "23795 (k) 1) Z 23794 23768 15627 0 -1 "
	    "4228172 15 0 0 0 0 0 0 0 20 0 1 0 81204 0 0 "
	    "18446744073709551615 0 0 0 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 0 0 "
	    "0 0 0 0 0 768\n";
	char *part;
	size_t len;
	int status = -7;

	(void)arg;
	assert_int_equal(parse_exit(stat, &status), 0);
	assert_int_equal(status, 768);
	assert_int_equal(parse_started(stat), 81204);
	assert_int_equal(parse_started("23795 (k) 1) Z 23794 23768"), 0);
	status = -7;
	for (len = 0; len < sizeof(stat) - 5; len++) {
		assert_non_null(part = strndup(stat, len));
		assert_int_equal(parse_exit(part, &status), -1);
		free(part);
	}
	assert_int_equal(status, -7);
}

static void
fields_of_a_status_are_found_by_their_names(void **arg)
{
	/* The first is what the program calls itself. */
	static const char text[] = "Name:\tTracerPid:\t9\nTgid:\t7\n"
	    "XTracerPid:\t8\nTracerPid:\t12\nUid:\t-\n";

	(void)arg;
	assert_int_equal(parse_field(text, "TracerPid"), 12);
	assert_int_equal(parse_field(text, "Tgid"), 7);
	assert_int_equal(parse_field(text, "Uid"), -1);
	assert_int_equal(parse_field(text, "PPid"), -1);
	assert_int_equal(parse_field("", "PPid"), -1);
}

static void
pids_are_read_over_the_end_of_a_part(void **arg)
{
	pid_t list[4];
	int n = 0;

	(void)arg;
	assert_int_equal(parse_pids("12 34 5", list, &n, 4), 6);
	assert_int_equal(n, 2);
	assert_int_equal(list[1], 34);
	assert_int_equal(parse_pids("56 ", list, &n, 4), 3);
	assert_int_equal(list[2], 56);
	assert_int_equal(parse_pids("78 90 ", list, &n, 4), 3);
	assert_int_equal(n, 4);
}

static void
what_is_no_pid_ends_the_list(void **arg)
{
	static const char *const texts[] = { "", " ", "x ", "0 ", "-5 ",
	    "99999999999999999999 ", "12", "12\n" };
	pid_t list[4];
	size_t i;
	int n;

	(void)arg;
	for (i = 0; i < NITEMS(texts); i++) {
		n = 0;
		if (parse_pids(texts[i], list, &n, 4) != 0 || n != 0)
			fail_msg("'%s' was taken", texts[i]);
	}
}

static void
masks_are_found_by_their_names(void **arg)
{
	static const char text[] = "Name:\tSigPnd:\nSigPnd:\t0000000000000001\n"
	    "ShdPnd:\t8000000000004000\nSigBlk:\t0\n";

	(void)arg;
	assert_int_equal(parse_mask(text, "SigPnd"), 1);
	assert_int_equal(parse_mask(text, "ShdPnd"), 0x8000000000004000);
	assert_int_equal(parse_mask(text, "SigBlk"), 0);
	assert_int_equal(parse_mask(text, "SigCgt"), 0);
	assert_int_equal(parse_mask("SigPnd:\t1\n", "SigPnd"), 0);
}

/* A program of another user that has kept one of our ids is another's. */
static void
whose_a_process_is_all_four_ids_tell(void **arg)
{
	(void)arg;
	assert_true(parse_is_user("Name:\tx\nUid:\t33\t33\t33\t33\n", 33));
	assert_false(parse_is_user("Name:\tx\nUid:\t33\t0\t0\t0\n", 33));
	assert_false(parse_is_user("Name:\tx\nUid:\t33\t33\t0\t33\n", 33));
	assert_false(parse_is_user("Name:\tx\nUid:\t33\t33\n", 33));
	assert_false(parse_is_user("", 33));
}

static void
caught_signals_are_bits_of_a_mask(void **arg)
{
	static const char text[] = "Name:\tapp\nSigIgn:\t0000000000004000\n"
	    "SigCgt:\t8000000000004201\nCapInh:\t0\n";

	(void)arg;
	assert_true(parse_caught(text, SIGTERM));
	assert_true(parse_caught(text, SIGHUP));
	assert_true(parse_caught(text, SIGUSR1));
	assert_true(parse_caught(text, 64));
	assert_false(parse_caught(text, SIGINT));
	assert_false(parse_caught(text, 0));
	assert_false(parse_caught(text, 65));
	assert_false(parse_caught("SigCgt:\tffffffffffffffff\n", SIGTERM));
	assert_false(parse_caught("", SIGTERM));
}

static void
who_traces_and_whose_it_is(void **arg)
{
	static const char text[] = "Name:\tx\\nUid:\t9 9 9 9\nPid:\t7\n"
	    "TracerPid:\t4711\nUid:\t1000\t0\t33\t34\nGid:\t5\t5\t5\t5\n";

	(void)arg;
	assert_int_equal(parse_field(text, "TracerPid"), 4711);
	assert_int_equal(parse_field("Name:\tx\nTracerPid:\t0\n",
	    "TracerPid"), 0);
	assert_int_equal(parse_field("TracerPid:\t1", "TracerPid"), -1);
	assert_int_equal(parse_field("", "TracerPid"), -1);
	assert_true(parse_has_uid(text, 1000));
	assert_true(parse_has_uid(text, 0));
	assert_true(parse_has_uid(text, 33));
	assert_true(parse_has_uid(text, 34));
	assert_false(parse_has_uid(text, 5));
	assert_false(parse_has_uid(text, 9));
	/* Unknown is not another's. */
	assert_true(parse_has_uid("Name:\tx\nUid:\t1\t1\n", 5));
	assert_true(parse_has_uid("", 5));
}

/* A datagram that is put together. */
struct datagram {
	_Alignas(struct nlmsghdr) char bytes[1024];
	size_t		 len;
};

static void
add(struct datagram *d, int type, int flags, unsigned int seq,
    const void *body, size_t size)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(d->bytes + d->len);

	memset(h, 0, sizeof(*h));
	h->nlmsg_len = (unsigned int)NLMSG_LENGTH(size);
	h->nlmsg_type = (unsigned short)type;
	h->nlmsg_flags = (unsigned short)flags;
	h->nlmsg_seq = seq;
	if (size > 0)
		memcpy(NLMSG_DATA(h), body, size);
	d->len += NLMSG_SPACE(size);
}

static bool
count(const struct nlmsghdr *h, void *arg)
{
	int *n = arg;

	(void)h;
	return ++*n < 3;
}

#define SEQ	7
#define DIAG	20	/* SOCK_DIAG_BY_FAMILY */

static void
parse(const struct datagram *d, struct netlink_answer *a, int *n)
{
	*n = 0;
	*a = (struct netlink_answer){ .sequence = SEQ, .take = count,
	    .arg = n };
	netlink_parse(a, d->bytes, d->len);
}

static void
dump_ends_with_its_last_message(void **arg)
{
	struct datagram d = { .len = 0 };
	struct netlink_answer a;
	int i, n, zero = 0;

	(void)arg;
	for (i = 0; i < 5; i++)
		add(&d, DIAG, NLM_F_MULTI, SEQ, "body", 4);
	parse(&d, &a, &n);
	assert_false(a.done);
	assert_int_equal(n, 3);		/* it wanted no more */
	add(&d, NLMSG_DONE, NLM_F_MULTI, SEQ, &zero, sizeof(zero));
	parse(&d, &a, &n);
	assert_true(a.done);
	assert_int_equal(a.error, 0);
}

static void
single_answer_is_all(void **arg)
{
	struct datagram d = { .len = 0 };
	struct netlink_answer a;
	int n;

	(void)arg;
	add(&d, DIAG, 0, SEQ, "body", 4);
	parse(&d, &a, &n);
	assert_true(a.done);
	assert_int_equal(a.error, 0);
	assert_int_equal(n, 1);
}

static void
answer_to_another_question_is_left_out(void **arg)
{
	struct datagram d = { .len = 0 };
	struct netlink_answer a;
	int n, error = -EBUSY;

	(void)arg;
	add(&d, DIAG, NLM_F_MULTI, SEQ - 1, "body", 4);
	add(&d, NLMSG_DONE, NLM_F_MULTI, SEQ - 1, NULL, 0);
	add(&d, NLMSG_ERROR, 0, SEQ - 1, &error, sizeof(error));
	parse(&d, &a, &n);
	assert_false(a.done);
	assert_int_equal(a.error, 0);
	assert_int_equal(n, 0);
}

static void
every_kind_of_error_spoils_the_answer(void **arg)
{
	static const struct {
		int	 type, flags, value, error;
	} cases[] = {
		{ NLMSG_ERROR, 0, -ENOENT, ENOENT },
		{ NLMSG_ERROR, 0, -EBUSY, EBUSY },
		{ NLMSG_ERROR, 0, 0, EINVAL },
		{ NLMSG_ERROR, 0, 5, EINVAL },
		{ NLMSG_DONE, NLM_F_MULTI, -ENOMEM, ENOMEM },
		{ NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 0, EINTR },
	};
	struct netlink_answer a;
	size_t i;
	int n;

	(void)arg;
	for (i = 0; i < NITEMS(cases); i++) {
		struct datagram d = { .len = 0 };

		add(&d, cases[i].type, cases[i].flags, SEQ, &cases[i].value,
		    sizeof(cases[i].value));
		parse(&d, &a, &n);
		assert_true(a.done);
		assert_int_equal(a.error, cases[i].error);
		assert_int_equal(n, 0);
	}
}

static void
interrupted_dump_is_read_to_its_end(void **arg)
{
	struct datagram d = { .len = 0 };
	struct netlink_answer a;
	int n, zero = 0;

	(void)arg;
	add(&d, DIAG, NLM_F_MULTI | NLM_F_DUMP_INTR, SEQ, "body", 4);
	parse(&d, &a, &n);
	assert_false(a.done);
	add(&d, NLMSG_DONE, NLM_F_MULTI, SEQ, &zero, sizeof(zero));
	parse(&d, &a, &n);
	assert_true(a.done);
	assert_int_equal(a.error, EINTR);
}

static void
datagram_that_is_cut_off_takes_nobody_too_far(void **arg)
{
	struct datagram d = { .len = 0 };
	struct netlink_answer a;
	size_t whole, len;
	char *copy;
	int n, zero = 0;

	(void)arg;
	add(&d, DIAG, NLM_F_MULTI, SEQ, "a body", 6);
	whole = d.len;
	add(&d, NLMSG_DONE, NLM_F_MULTI, SEQ, &zero, sizeof(zero));
	for (len = 0; len < d.len; len++) {
		/* In memory of that size, for a checker to see. */
		assert_non_null(copy = malloc(len + 1));
		memcpy(copy, d.bytes, len);
		n = 0;
		a = (struct netlink_answer){ .sequence = SEQ, .take = count,
		    .arg = &n };
		netlink_parse(&a, copy, len);
		free(copy);
		assert_false(a.done);
		assert_int_equal(n, len >= whole - 2 ? 1 : 0);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_told_by_their_numbers),
		cmocka_unit_test(the_set_of_a_poll_is_told_with_its_limit),
		cmocka_unit_test(wait_without_a_time_limit_is_told),
		cmocka_unit_test(watched_descriptors_are_known_by_their_inodes),
		cmocka_unit_test(call_of_a_32_bit_program_is_not_known),
		cmocka_unit_test(what_is_no_call_is_none),
		cmocka_unit_test(name_of_a_program_does_not_hide_its_state),
		cmocka_unit_test(stat_that_is_cut_off_is_none),
		cmocka_unit_test(cpu_and_memory_stand_where_they_stand),
		cmocka_unit_test(
		    state_of_a_zombie_is_told_from_that_of_one_about_to_end),
		cmocka_unit_test(status_of_an_end_is_the_last_field),
		cmocka_unit_test(fields_of_a_status_are_found_by_their_names),
		cmocka_unit_test(pids_are_read_over_the_end_of_a_part),
		cmocka_unit_test(what_is_no_pid_ends_the_list),
		cmocka_unit_test(masks_are_found_by_their_names),
		cmocka_unit_test(whose_a_process_is_all_four_ids_tell),
		cmocka_unit_test(caught_signals_are_bits_of_a_mask),
		cmocka_unit_test(who_traces_and_whose_it_is),
		cmocka_unit_test(dump_ends_with_its_last_message),
		cmocka_unit_test(single_answer_is_all),
		cmocka_unit_test(answer_to_another_question_is_left_out),
		cmocka_unit_test(every_kind_of_error_spoils_the_answer),
		cmocka_unit_test(interrupted_dump_is_read_to_its_end),
		cmocka_unit_test(datagram_that_is_cut_off_takes_nobody_too_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
