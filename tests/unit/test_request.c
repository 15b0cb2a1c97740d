/* SPDX-License-Identifier: ISC */
/* What spawnd-status takes a web server's request for. */
#include "base/base.h"
#include "client/client.h"
#include "page/page.h"
#include "unit.h"

static struct request r;
static const char *why;

/* Reads a GET. Returns the status. */
static int
get(const char *script, const char *info, const char *query)
{
	struct params p = { "GET", script, info, query };

	return request_read(&p, "/spawnd", &r, &why);
}

static void
each_path_is_what_it_says(void **arg)
{
	static const struct {
		const char	*path;
		enum page_what	 what;
		const char	*pool;
	} paths[] = {
		{ "/", PAGE_PEOPLE, "" }, { "", PAGE_PEOPLE, "" },
		{ "/status", PAGE_FPM, "" }, { "/ping", PAGE_PING, "" },
		{ "/php/", PAGE_PEOPLE, "php" }, { "/php", PAGE_SLASH, "php" },
		{ "/php/status", PAGE_FPM, "php" },
		{ "/php/ping", PAGE_PING, "php" },
		{ "/status/", PAGE_PEOPLE, "status" },
		{ "/status/status", PAGE_FPM, "status" },
		{ "/spawnd/", PAGE_PEOPLE, "" }, { "/spawnd", PAGE_SLASH, "" },
		{ "/spawnd/php/ping", PAGE_PING, "php" },
		{ "/spawnd/spawnd/ping", PAGE_PING, "spawnd" },
		{ "/spawndx/ping", PAGE_PING, "spawndx" },
		{ "//a.b-c_2//ping", PAGE_PING, "a.b-c_2" },
		{ "/abcdefghijklmnopqrstuvwxyz012345/ping", PAGE_PING,
		    "abcdefghijklmnopqrstuvwxyz012345" },
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(paths); i++) {
		assert_int_equal(get(paths[i].path, NULL, NULL), 200);
		assert_int_equal(r.what, paths[i].what);
		assert_string_equal(r.pool, paths[i].pool);
	}
}

static void
a_path_may_come_in_two_parts(void **arg)
{
	(void)arg;
	assert_int_equal(get("/spawnd", "/php/status", ""), 200);
	assert_int_equal(r.what, PAGE_FPM);
	assert_string_equal(r.pool, "php");
	assert_int_equal(get("", "/php/ping", NULL), 200);
	assert_int_equal(r.what, PAGE_PING);
	assert_int_equal(get("/", "/", NULL), 200);
	assert_int_equal(r.what, PAGE_PEOPLE);
}

static void
no_other_path_is_there(void **arg)
{
	static const char *const paths[] = { "/../", "/./ping", "/a b/",
	    "/php/x", "/php/status/", "/php/status/x", "/php//x", "/%70hp/",
	    "/favicon.ico/x", "/p\303\244/", "/a\nb/", "/a\\b/ping",
	    "/abcdefghijklmnopqrstuvwxyz0123456/ping", "/<b>/" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(paths); i++)
		assert_int_equal(get(paths[i], NULL, NULL), 404);
}

static void
only_get_and_head_are_answered(void **arg)
{
	static const char *const methods[] = { "POST", "get", "OPTIONS",
	    "PUT", "GETX" };
	struct params p = { NULL, "/none/of/them", "", "" };
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(methods); i++) {
		p.method = methods[i];
		assert_int_equal(request_read(&p, "/", &r, &why), 405);
	}
	p.script = "/ping";
	p.method = "HEAD";
	assert_int_equal(request_read(&p, "/", &r, &why), 200);
	assert_true(r.head);
	p.method = NULL;
	assert_int_equal(request_read(&p, "/", &r, &why), 400);
	p.method = "";
	assert_int_equal(request_read(&p, "/", &r, &why), 400);
}

static void
without_a_path_nothing_is_the_page(void **arg)
{
	(void)arg;
	assert_int_equal(get(NULL, NULL, "json"), 400);
	assert_has(why, "SCRIPT_NAME");
}

static void
what_is_too_long_is_refused(void **arg)
{
	char query[PAGE_QUERY + 2], path[PAGE_PATH + 1];

	(void)arg;
	memset(query, 'a', sizeof(query));
	query[PAGE_QUERY + 1] = '\0';
	assert_int_equal(get("/", NULL, query), 414);
	query[PAGE_QUERY] = '\0';
	assert_int_equal(get("/", NULL, query), 200);
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[PAGE_PATH] = '\0';
	assert_int_equal(get(path, NULL, NULL), 414);
	path[PAGE_PATH - 1] = '\0';
	assert_int_equal(get(path, NULL, NULL), 404);
	assert_int_equal(get(path, "/ping", NULL), 414);
}

static void
a_query_chooses_the_form(void **arg)
{
	static const struct {
		const char	*path, *query;
		enum page_what	 what;
		const char	*form;
		bool		 full;
	} queries[] = {
		{ "/", "json", PAGE_JSON, "text", false },
		{ "/", "json=1&full", PAGE_JSON, "text", true },
		{ "/php/", "openmetrics&full=", PAGE_OPENMETRICS, "text",
		    true },
		{ "/", "xml", PAGE_PEOPLE, "text", false },
		{ "/", "jsonx&&=&", PAGE_PEOPLE, "text", false },
		{ "/status", "json&full", PAGE_FPM, "json", true },
		{ "/status", "full&xml", PAGE_FPM, "xml", true },
		{ "/status", "auto=1&openmetrics", PAGE_FPM, "openmetrics",
		    false },
		{ "/status", "json&xml", PAGE_FPM, "xml", false },
		{ "/status", "html&json", PAGE_PEOPLE, "html", false },
		{ "/status", "", PAGE_FPM, "text", false },
		{ "/ping", "json", PAGE_PING, "text", false },
		{ "/php", "json", PAGE_SLASH, "text", false },
	};
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(queries); i++) {
		assert_int_equal(get(queries[i].path, NULL, queries[i].query),
		    200);
		assert_int_equal(r.what, queries[i].what);
		assert_string_equal(r.form, queries[i].form);
		assert_int_equal(r.full, queries[i].full);
	}
}

static void
workers_are_sorted_by_what_they_have(void **arg)
{
	(void)arg;
	get("/", NULL, "sort=age");
	assert_int_equal(r.sort, workers_column("age", 3));
	assert_true(r.sort > 0 && !r.down);
	get("/", NULL, "x&sort=-age&y");
	assert_int_equal(r.sort, workers_column("age", 3));
	assert_true(r.down);
	get("/", NULL, "sort=ages");
	assert_int_equal(r.sort, -1);
	get("/", NULL, "sort=-");
	assert_int_equal(r.sort, -1);
	get("/", NULL, "sort");
	assert_int_equal(r.sort, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_is_what_it_says),
		cmocka_unit_test(a_path_may_come_in_two_parts),
		cmocka_unit_test(no_other_path_is_there),
		cmocka_unit_test(only_get_and_head_are_answered),
		cmocka_unit_test(without_a_path_nothing_is_the_page),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(a_query_chooses_the_form),
		cmocka_unit_test(workers_are_sorted_by_what_they_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
