/* SPDX-License-Identifier: ISC */
/* Each form in full: no key, no figure and no escape may be another. */
#include <jansson.h>

#include "one_reply.h"

#define BAD	"pool name=<a&b>\\x22\\x5c state=up\n"

static void
fpm_as_text(void **arg)
{
	(void)arg;
	answers_add(&a, POOL LOAD WORKERS);
	show(writer_fpm(f, &a, "text", true, &e));
	assert_string_equal(shown,
	    "pool:                 php\n"
	    "process manager:      dynamic\n"
	    "start time:           14/Nov/2023:22:13:20 +0000\n"
	    "start since:          93784\n"
	    "listen queue:         3\n"
	    "max listen queue:     17\n"
	    "listen queue len:     1024\n"
	    "idle processes:       1\n"
	    "active processes:     1\n"
	    "total processes:      2\n"
	    "max active processes: 2\n"
	    "\n************************\n"
	    "pid:                  11\n"
	    "state:                Running\n"
	    "start time:           16/Nov/2023:00:16:19 +0000\n"
	    "start since:          5\n"
	    "request duration:     750000\n"
	    "\n************************\n"
	    "pid:                  12\n"
	    "state:                Idle\n"
	    "start time:           16/Nov/2023:00:15:20 +0000\n"
	    "start since:          65\n");
}

static void
fpm_as_json(void **arg)
{
	json_t *j;

	(void)arg;
	answers_add(&a, "count saturations=4\n" POOL LOAD WORKERS);
	show(writer_fpm(f, &a, "json", true, &e));
	assert_string_equal(shown, "{\"pool\":\"php\",\"process manager\":"
	    "\"dynamic\",\"start time\":1700000000,\"start since\":93784,"
	    "\"listen queue\":3,\"max listen queue\":17,\"listen queue len\":"
	    "1024,\"idle processes\":1,\"active processes\":1,"
	    "\"total processes\":2,\"max active processes\":2,"
	    "\"max children reached\":4,\"processes\":["
	    "{\"pid\":11,\"state\":\"Running\",\"start time\":1700093779,"
	    "\"start since\":5,\"request duration\":750000},"
	    "{\"pid\":12,\"state\":\"Idle\",\"start time\":1700093720,"
	    "\"start since\":65}]}\n");
	reply_free(&a);
	answers_add(&a, BAD);
	show(writer_fpm(f, &a, "json", true, &e));
	assert_non_null(j = json_loads(shown, 0, NULL));
	assert_string_equal(json_string_value(json_object_get(j, "pool")),
	    "<a&b>\"\\");
	json_decref(j);
}

static void
fpm_as_xml(void **arg)
{
	(void)arg;
	answers_add(&a, POOL LOAD WORKERS);
	show(writer_fpm(f, &a, "xml", true, &e));
	assert_string_equal(shown, "<?xml version=\"1.0\" ?>\n<status>\n"
	    "<pool>php</pool>\n<process-manager>dynamic</process-manager>\n"
	    "<start-time>1700000000</start-time>\n"
	    "<start-since>93784</start-since>\n"
	    "<listen-queue>3</listen-queue>\n"
	    "<max-listen-queue>17</max-listen-queue>\n"
	    "<listen-queue-len>1024</listen-queue-len>\n"
	    "<idle-processes>1</idle-processes>\n"
	    "<active-processes>1</active-processes>\n"
	    "<total-processes>2</total-processes>\n"
	    "<max-active-processes>2</max-active-processes>\n"
	    "<processes>\n"
	    "<process>\n<pid>11</pid>\n<state>Running</state>\n"
	    "<start-time>1700093779</start-time>\n"
	    "<start-since>5</start-since>\n"
	    "<request-duration>750000</request-duration>\n</process>\n"
	    "<process>\n<pid>12</pid>\n<state>Idle</state>\n"
	    "<start-time>1700093720</start-time>\n"
	    "<start-since>65</start-since>\n</process>\n"
	    "</processes>\n</status>\n");
	reply_free(&a);
	answers_add(&a, BAD);
	show(writer_fpm(f, &a, "xml", false, &e));
	assert_has(shown, "<pool>&#60;a&#38;b&#62;\"\\</pool>\n");
}

static void
fpm_as_openmetrics(void **arg)
{
	static const char *const keys[][3] = {
		{ "start_since", "start since", "93784" },
		{ "listen_queue", "listen queue", "3" },
		{ "max_listen_queue", "max listen queue", "17" },
		{ "listen_queue_length", "listen queue len", "1024" },
		{ "idle_processes", "idle processes", "1" },
		{ "active_processes", "active processes", "1" },
		{ "total_processes", "total processes", "2" },
		{ "max_active_processes", "max active processes", "2" },
		{ "max_children_reached", "max children reached", "4" },
	};
	char want[4096];
	size_t i, n;

	(void)arg;
	answers_add(&a, "count saturations=4\n" POOL LOAD WORKERS);
	show(writer_fpm(f, &a, "openmetrics", true, &e));
	n = (size_t)snprintf(want, sizeof(want), "# HELP phpfpm_up Whether "
	    "the pool was reached.\n# TYPE phpfpm_up gauge\nphpfpm_up 1\n");
	for (i = 0; i < NITEMS(keys); i++)
		n += (size_t)snprintf(want + n, sizeof(want) - n,
		    "# HELP phpfpm_%s As %s of the status page.\n"
		    "# TYPE phpfpm_%s gauge\nphpfpm_%s %s\n", keys[i][0],
		    keys[i][1], keys[i][0], keys[i][0], keys[i][2]);
	strlcat(want, "# EOF\n", sizeof(want));
	assert_string_equal(shown, want);
}

static void
fpm_tells_how_the_pool_is_managed(void **arg)
{
	static const char *const pools[][2] = {
		{ "pool min=0 max=0", "static" },
		{ "pool min=3 max=3", "static" },
		{ "pool min=0 max=3", "ondemand" },
		{ "pool min=1 max=3", "dynamic" },
	};
	char want[64];
	size_t i;

	(void)arg;
	for (i = 0; i < NITEMS(pools); i++) {
		answers_add(&a, pools[i][0]);
		show(writer_fpm(f, &a, "text", false, &e));
		snprintf(want, sizeof(want), "process manager:      %s\n",
		    pools[i][1]);
		assert_has(shown, want);
		reply_free(&a);
	}
}

/* Every figure has a value of its own. */
#define ALL								\
	"pool name=p\\x22q version=1.5 state=up started=101 uptime=102.250 " \
	"listen=unix:/s target=103 min=104 max=105\n"			\
	"workers total=106 starting=107 ready=108 retiring=109 "	\
	"stopping=110 backoff=111\n"					\
	"count started=112 recycled=113 crashed=114 failed=115 "	\
	"retired=116 killed=117 lost=118 timed_out=119 aged=120 "	\
	"grown=121 reloads=122 reloads_failed=123 saturations=124 "	\
	"saturated=125.500\n"						\
	"guarantees proc=yes queue=no\n"				\
	"queue now=126 limit=127 peak=128\n"				\
	"connections now=129 peak=130 left=143\n"			\
	"worker slot=7 pid=9 age=131.000 ready_after=132.000 "		\
	"connections=133 busy=134.000 processes=135 cpu=136.000 rss=137 " \
	"pss=138\n"							\
	"sum busy=139 idle=140 processes=141 rss=142\n"

/* Name, type, unit, labels behind the pool, value. */
static const char *const metrics[][5] = {
	{ "up", "gauge", "", "", "1" },
	{ "pool_info", "gauge", "",
	    ",version=\"1.5\",listen=\"unix:/s\",state=\"up\"", "1" },
	{ "workers", "gauge", "", ",state=\"starting\"", "107" },
	{ "", "", "", ",state=\"ready\"", "108" },
	{ "", "", "", ",state=\"retiring\"", "109" },
	{ "", "", "", ",state=\"stopping\"", "110" },
	{ "", "", "", ",state=\"backoff\"", "111" },
	{ "guarantee", "gauge", "", ",name=\"proc\"", "1" },
	{ "", "", "", ",name=\"queue\"", "0" },
	{ "uptime_seconds", "gauge", "seconds", "", "102.250" },
	{ "start_time_seconds", "gauge", "seconds", "", "101" },
	{ "workers_wanted", "gauge", "", "", "103" },
	{ "workers_min", "gauge", "", "", "104" },
	{ "workers_max", "gauge", "", "", "105" },
	{ "workers_busy", "gauge", "", "", "139" },
	{ "workers_idle", "gauge", "", "", "140" },
	{ "queue_connections", "gauge", "", "", "126" },
	{ "queue_connections_peak", "gauge", "", "", "128" },
	{ "queue_connections_limit", "gauge", "", "", "127" },
	{ "connections", "gauge", "", "", "129" },
	{ "connections_peak", "gauge", "", "", "130" },
	{ "connections_left", "gauge", "", "", "143" },
	{ "processes", "gauge", "", "", "141" },
	{ "resident_memory_bytes", "gauge", "bytes", "", "142" },
	{ "started", "counter", "", "", "112" },
	{ "recycled", "counter", "", "", "113" },
	{ "crashed", "counter", "", "", "114" },
	{ "failed_starts", "counter", "", "", "115" },
	{ "retired", "counter", "", "", "116" },
	{ "killed", "counter", "", "", "117" },
	{ "lost", "counter", "", "", "118" },
	{ "timed_out", "counter", "", "", "119" },
	{ "aged", "counter", "", "", "120" },
	{ "grown", "counter", "", "", "121" },
	{ "reloads", "counter", "", "", "122" },
	{ "failed_reloads", "counter", "", "", "123" },
	{ "saturations", "counter", "", "", "124" },
	{ "saturated_seconds", "counter", "seconds", "", "125.500" },
	{ "worker_age_seconds", "gauge", "seconds", "7", "131.000" },
	{ "worker_start_seconds", "gauge", "seconds", "7",
	    "132.000" },
	{ "worker_connections", "gauge", "", "7", "133" },
	{ "worker_busy_seconds", "gauge", "seconds", "7", "134.000" },
	{ "worker_processes", "gauge", "", "7", "135" },
	{ "worker_cpu_seconds", "gauge", "seconds", "7", "136.000" },
	{ "worker_resident_memory_bytes", "gauge", "bytes", "7",
	    "137" },
	{ "worker_proportional_memory_bytes", "gauge", "bytes", "7",
	    "138" },
};

static void
openmetrics_in_full(void **arg)
{
	const char *name = "", *total = "";
	char *rest, *line, want[256];
	size_t i;

	(void)arg;
	answers_add(&a, ALL);
	show(writer_openmetrics(f, &a, true, &e));
	rest = shown;
	for (i = 0; i < NITEMS(metrics); i++) {
		if (metrics[i][0][0] != '\0') {
			name = metrics[i][0];
			total = metrics[i][1][0] == 'c' ? "_total" : "";
			snprintf(want, sizeof(want), "# TYPE spawnd_%s %s",
			    name, metrics[i][1]);
			assert_string_equal(strsep(&rest, "\n"), want);
			snprintf(want, sizeof(want), "# UNIT spawnd_%s %s",
			    name, metrics[i][2]);
			if (metrics[i][2][0] != '\0')
				assert_string_equal(strsep(&rest, "\n"),
				    want);
			snprintf(want, sizeof(want), "# HELP spawnd_%s ",
			    name);
			line = strsep(&rest, "\n");
			assert_int_equal(strncmp(line, want, strlen(want)),
			    0);
			assert_int_equal(line[strlen(line) - 1], '.');
		}
		snprintf(want, sizeof(want), "spawnd_%s%s{pool=\"p\\\"q\"%s} "
		    "%s", name, total, strcmp(metrics[i][3], "7") == 0 ?
		    ",slot=\"7\"" : metrics[i][3], metrics[i][4]);
		assert_string_equal(strsep(&rest, "\n"), want);
	}
	assert_string_equal(rest, "# EOF\n");
}

static void
the_table_in_full(void **arg)
{
	(void)arg;
	answers_add(&a, POOL LOAD WORKERS "worker slot=3 state=ready pid=13 "
	    "orphan=yes connections=1\n");
	show(writer_table(f, &a, &e));
	assert_string_equal(shown,
	    "php: up for 1 d 2:03, pid 7, spawnd 0.1\n"
	    "  listens      unix:/run/x.sock (www:www 0660)\n"
	    "  application  /bin/php as _app\n"
	    "  workers      2 of 2 (2 to 4) ready: 1 busy, 1 idle, "
	    "1 backoff\n"
	    "  queue        3 of 1024 (peak 17)\n"
	    "  connections  1 (peak 2)\n"
	    "  so far       started 12 recycled 3 crashed 1 reloads 2 "
	    "saturated for 1.50 s\n"
	    "  not in force proc_detached: processes can be looked at "
	    "only while /proc is mounted\n"
	    "\n"
	    "  SLOT     PID STATE            AGE READY-IN  BUSY-FOR CONNS "
	    "PROCS      CPU    RSS    PSS   OF-AGO\n"
	    "     0      11 busy          5.25 s   0.01 s    0.75 s     1 "
	    "    2   0.12 s    14M      -        -\n"
	    "     1      12 idle            1:05   0.00 s         -     0 "
	    "    1   1.12 s   1.0M   4.0K   2.00 s\n"
	    "     2       - backoff       3.20 s        -         -     - "
	    "    -        -      -      -        -\n"
	    "     3      13 busy*              -        -         ?     1 "
	    "    -        -      -      -        -\n");
	reply_free(&a);
	answers_add(&a, "pool name=x state=up jail=/j user=u "
	    "application=/a min=3 max=3 target=3\nworkers ready=2 starting=1 "
	    "retiring=2 stopping=3\ncount started=0 crashed=0\n"
	    "guarantees a=yes b=no c=no\nworker slot=0 state=ready\n");
	show(writer_table(f, &a, &e));
	assert_has(shown, "  application  /a as u in /j\n");
	assert_has(shown, "  workers      2 of 3 ready: ? busy, ? idle, "
	    "1 starting, 2 retiring, 3 stopping\n");
	assert_has(shown, "  so far       started 0 saturated ?\n");
	assert_has(shown, "  not in force b\n  not in force c\n");
	assert_has(shown, "CPU    RSS\n     0       - ready ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fpm_as_text),
		TEST(fpm_as_json),
		TEST(fpm_as_xml),
		TEST(fpm_as_openmetrics),
		TEST(fpm_tells_how_the_pool_is_managed),
		TEST(openmetrics_in_full),
		TEST(the_table_in_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
