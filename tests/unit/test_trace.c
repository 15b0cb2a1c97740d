/* SPDX-License-Identifier: ISC */
/* The ring of the last events and actions: its order, its size, its names. */
#include "bed.h"
#include "pool/snapshot.h"
#include "pool/trace.h"

#define KB	1024

/* A value of an item as text; "" if there is none. */
static const char *
get(const struct trace_item *item, const char *key)
{
	static char text[24];
	unsigned int i;

	for (i = 0; i < item->n; i++) {
		if (strcmp(item->values[i].key, key) != 0)
			continue;
		if (item->values[i].word != NULL)
			return item->values[i].word;
		snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)item->values[i].number);
		return text;
	}
	return "";
}

static const char *
get_head(const struct bed *b, const char *key)
{
	struct trace_cursor c = { 0 };
	static struct trace_item item;

	assert_true(trace_next(b->p, &c, &item));
	assert_string_equal(item.kind, "trace");
	return get(&item, key);
}

/* The entry with that number, as "event exit 0 ready>spawning". */
static const char *
entry(const struct bed *b, unsigned int i)
{
	static char text[128];
	struct trace_item item;
	size_t len;

	assert_true(i < trace_count(b->p));
	trace_entry(b->p, i, &item);
	len = (size_t)snprintf(text, sizeof(text), "%s %s", item.kind,
	    get(&item, "what"));
	if (get(&item, "slot")[0] != '\0')
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %s",
		    get(&item, "slot"));
	if (get(&item, "from")[0] != '\0') {
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %s>",
		    get(&item, "from"));
		snprintf(text + len, sizeof(text) - len, "%s",
		    get(&item, "to"));
	}
	return text;
}

/* Entries of whole items of a trace, and how many are behind a "pool". */
static unsigned int
count(const struct bed *b, unsigned int *behind)
{
	struct trace_cursor c = { 0 };
	struct trace_item item;
	unsigned int n = 0;
	bool begun = false;

	*behind = 0;
	while (trace_next(b->p, &c, &item)) {
		begun |= strcmp(item.kind, "pool") == 0;
		if (get(&item, "time")[0] == '\0')
			continue;
		n++;
		*behind += begun;
	}
	assert_false(trace_next(b->p, &c, &item));
	return n;
}

static void
has_events_and_actions_in_their_order(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int n = trace_count(b->p);

	(void)arg;
	assert_string_equal(entry(b, 0), "action spawn 0");
	assert_string_equal(entry(b, 1), "event spawned 0 spawning>starting");
	bed_exit(b, 0, 0);
	assert_string_equal(entry(b, n), "event exit 0 ready>spawning");
	assert_string_equal(entry(b, n + 1), "action spawn 0");
	assert_string_equal(entry(b, n + 2),
	    "event spawned 0 spawning>starting");
	assert_int_equal(trace_count(b->p), n + 3);
	bed_free(b);
}

static void
names_the_process_that_is_gone(void **arg)
{
	struct bed *b = bed_ready(1);
	struct pool_worker w;
	struct trace_item item;
	unsigned int n = trace_count(b->p);
	char pid[16];

	(void)arg;
	assert_true(pool_worker(b->p, 0, &w));
	bed_exit(b, 0, 3);
	trace_entry(b->p, n, &item);
	snprintf(pid, sizeof(pid), "%d", (int)w.pid);
	assert_string_equal(get(&item, "pid"), pid);
	assert_string_equal(get(&item, "exited"), "3");
	assert_string_equal(get(&item, "moved"), "no");
	trace_entry(b->p, n + 1, &item);
	assert_string_equal(item.kind, "notice");
	assert_string_equal(get(&item, "pid"), pid);
	assert_string_equal(get(&item, "was_ready"), "yes");
	bed_free(b);
}

static void
keeps_the_last_256(void **arg)
{
	struct bed *b = bed_ready(1);
	unsigned int i, n = trace_count(b->p), behind;

	(void)arg;
	assert_string_equal(get_head(b, "replay"), "start");
	for (i = n; i < TRACE_ENTRIES; i++)
		bed_tell(b, EV_MEASURED);
	assert_int_equal(trace_count(b->p), TRACE_ENTRIES);
	assert_string_equal(get_head(b, "replay"), "start");
	assert_string_equal(entry(b, 0), "action spawn 0");
	bed_tell(b, EV_STOP);
	assert_int_equal(trace_count(b->p), TRACE_ENTRIES);
	assert_string_equal(get_head(b, "replay"), "snapshot");
	assert_string_not_equal(entry(b, 0), "action spawn 0");
	assert_int_equal(count(b, &behind), TRACE_ENTRIES);
	bed_free(b);
}

static void
is_never_without_half_of_it_behind_a_snapshot(void **arg)
{
	struct bed *b = bed_ready(2);
	unsigned int i, behind;

	(void)arg;
	for (i = 0; i < 3 * TRACE_ENTRIES; i++) {
		bed_tell(b, EV_MEASURED);
		assert_int_equal(count(b, &behind), trace_count(b->p));
		if (strcmp(get_head(b, "replay"), "start") != 0)
			assert_true(behind >= TRACE_ENTRIES / 2);
		else
			assert_int_equal(behind, 0);
	}
	bed_free(b);
}

static void
is_readable_where_the_pool_is_too_large_for_a_snapshot(void **arg)
{
	static const unsigned int sizes[] = { 50, 250 };
	unsigned int i, k, behind;

	(void)arg;
	for (k = 0; k < NITEMS(sizes); k++) {
		struct bed *b = bed_ready(sizes[k]);

		for (i = 0; i < 2 * TRACE_ENTRIES; i++)
			bed_tell(b, EV_MEASURED);
		assert_string_equal(get_head(b, "replay"),
		    k == 0 ? "snapshot" : "never");
		assert_int_equal(count(b, &behind), TRACE_ENTRIES);
		bed_free(b);
	}
}

static void
has_a_name_for_all_there_is(void **arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < SLOT_NSTATES; i++)
		assert_non_null(pool_state_name(i));
	for (i = 0; i <= TRACE_TICK; i++)
		assert_non_null(trace_event_name(i));
}

static void
is_small(void **arg)
{
	(void)arg;
	assert_true(sizeof(struct trace) <= 16 * KB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_events_and_actions_in_their_order),
		cmocka_unit_test(names_the_process_that_is_gone),
		cmocka_unit_test(keeps_the_last_256),
		cmocka_unit_test(is_never_without_half_of_it_behind_a_snapshot),
		cmocka_unit_test(
		    is_readable_where_the_pool_is_too_large_for_a_snapshot),
		cmocka_unit_test(has_a_name_for_all_there_is),
		cmocka_unit_test(is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
