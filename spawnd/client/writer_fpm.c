/* SPDX-License-Identifier: ISC */
/*
 * A status in the form of php-fpm's status page, for monitors that read that.
 * Values that only php-fpm has, such as requests, are left out. The page is a
 * JSON object whose members keep their order; the other forms are derived
 * from it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"

enum fpm_form { TEXT, JSON, XML, OPENMETRICS };

static void
add_text(json_t *page, const char *key, const char *text)
{
	json_object_set_new(page, key, json_string(text));
}

static void
add_number(json_t *page, const char *key, double n)
{
	char digits[400];

	/* Unlike a cast this rounds, and copes with any number. */
	snprintf(digits, sizeof(digits), "%.0f", n);
	json_object_set_new(page, key, json_integer(strtoll(digits, NULL,
	    10)));
}

/* Adds a number if it is known. */
static void
add_known(json_t *page, const char *key, const struct reply *a,
    const char *kind, const char *field)
{
	double n;

	if (reply_number(a, kind, field, &n))
		add_number(page, key, n);
}

/*
 * The peak of a figure that is known. Some monitors take the first line that
 * has "listen queue:" anywhere in it: a peak alone would be read as the figure.
 */
static void
add_peak(json_t *page, const char *key, const struct reply *a,
    const char *kind)
{
	double n;

	if (reply_number(a, kind, "now", &n))
		add_known(page, key, a, kind, "peak");
}

/*
 * The processes that serve: the workers or, where php-cgi has children, those;
 * each holds one connection.
 */
static double
count_processes(const struct reply *a)
{
	double children = reply_value(a, "pool", "children", 0);

	return reply_value(a, "workers", "total", 0) *
	    (children > 0 ? children : 1);
}

static void
add_processes(json_t *page, const struct reply *a)
{
	double total = count_processes(a), active;

	if (reply_number(a, "connections", "now", &active)) {
		active = active < total ? active : total;
		add_number(page, "idle processes", total - active);
		add_number(page, "active processes", active);
	}
	add_number(page, "total processes", total);
	add_peak(page, "max active processes", a, "connections");
	add_known(page, "max children reached", a, "count", "saturations");
}

static void
fill_pool(json_t *page, const struct reply *a)
{
	double min = reply_value(a, "pool", "min", 0);
	double max = reply_value(a, "pool", "max", 0);
	char name[SHOW_SIZE];

	add_text(page, "pool", reply_show(reply_find(a, "pool"), "name",
	    name));
	add_text(page, "process manager", min == max ? "static" :
	    min == 0 ? "ondemand" : "dynamic");
	add_number(page, "start time", reply_value(a, "pool", "started", 0));
	add_number(page, "start since", reply_value(a, "pool", "uptime", 0));
	add_known(page, "listen queue", a, "queue", "now");
	add_peak(page, "max listen queue", a, "queue");
	add_known(page, "listen queue len", a, "queue", "limit");
	add_processes(page, a);
}

static void
fill_worker(json_t *page, const struct reply *a,
    const struct proto_record *r)
{
	double now = reply_value(a, "pool", "started", 0) +
	    reply_value(a, "pool", "uptime", 0);
	double pid = 0, age = 0, n, most;

	proto_get_number(r, "pid", &pid);
	add_number(page, "pid", pid);
	if (proto_get_number(r, "connections", &n))
		add_text(page, "state", n > 0 ? "Running" : "Idle");
	proto_get_number(r, "age", &age);
	add_number(page, "start time", now - age);
	add_number(page, "start since", age);
	if (reply_busy_span(r, &n, &most))
		add_number(page, "request duration", n * 1e6);
}

/* Writes one line of the text; a time has a form of its own. */
static void
put_fpm_line(FILE *f, const char *key, const json_t *value)
{
	time_t t = (time_t)json_integer_value(value);
	struct tm tm;
	char when[64];

	fprintf(f, "%s:%*s", key, (int)(21 - strlen(key)), "");
	if (json_is_string(value))
		fprintf(f, "%s\n", json_string_value(value));
	else if (strcmp(key, "start time") != 0)
		fprintf(f, "%lld\n", (long long)json_integer_value(value));
	else if (localtime_r(&t, &tm) != NULL && strftime(when, sizeof(when),
	    "%d/%b/%Y:%H:%M:%S %z", &tm) > 0)
		fprintf(f, "%s\n", when);
	else
		fputs("-\n", f);
}

static void
put_fpm_name(FILE *f, const char *key, char blank)
{
	for (; *key != '\0'; key++)
		fputc(*key == ' ' ? blank : *key, f);
}

static void
put_element(FILE *f, const char *key, const json_t *value)
{
	const char *s = json_string_value(value);

	fputc('<', f);
	put_fpm_name(f, key, '-');
	fputc('>', f);
	if (s == NULL)
		fprintf(f, "%lld", (long long)json_integer_value(value));
	for (; s != NULL && *s != '\0'; s++) {
		if (*s == '<' || *s == '>' || *s == '&')
			fprintf(f, "&#%d;", *s);
		else
			fputc(*s, f);
	}
	fputs("</", f);
	put_fpm_name(f, key, '-');
	fputs(">\n", f);
}

/* Writes the members of a page, and those of each worker in it. */
static void
put_members(FILE *f, json_t *page, bool xml)
{
	json_t *value, *worker;
	const char *key;
	size_t i;

	json_object_foreach(page, key, value) {
		if (!json_is_array(value)) {
			(xml ? put_element : put_fpm_line)(f, key, value);
			continue;
		}
		fputs(xml ? "<processes>\n" : "", f);
		json_array_foreach(value, i, worker) {
			fputs(xml ? "<process>\n" :
			    "\n************************\n", f);
			put_members(f, worker, xml);
			fputs(xml ? "</process>\n" : "", f);
		}
		fputs(xml ? "</processes>\n" : "", f);
	}
}

/* Only numbers of the pool become metrics. */
static void
put_metrics(FILE *f, json_t *page)
{
	const char *key, *name;
	json_t *value;

	json_object_foreach(page, key, value) {
		if (!json_is_integer(value) || strcmp(key, "start time") == 0)
			continue;
		/* OpenMetrics differs from the other forms. */
		name = strcmp(key, "listen queue len") == 0 ?
		    "listen queue length" : key;
		fputs("# HELP phpfpm_", f);
		put_fpm_name(f, name, '_');
		fprintf(f, " As %s of the status page.\n# TYPE phpfpm_", key);
		put_fpm_name(f, name, '_');
		fputs(" gauge\nphpfpm_", f);
		put_fpm_name(f, name, '_');
		fprintf(f, " %lld\n", (long long)json_integer_value(value));
	}
}

static void
put_page(FILE *f, json_t *page, enum fpm_form form)
{
	switch (form) {
	case TEXT:
		put_members(f, page, false);
		break;
	case JSON:
		json_dumpf(page, f, JSON_COMPACT | JSON_PRESERVE_ORDER);
		fputc('\n', f);
		break;
	case XML:
		fputs("<?xml version=\"1.0\" ?>\n<status>\n", f);
		put_members(f, page, true);
		fputs("</status>\n", f);
		break;
	case OPENMETRICS:
		fputs("# HELP phpfpm_up Whether the pool was reached.\n"
		    "# TYPE phpfpm_up gauge\nphpfpm_up 1\n", f);
		put_metrics(f, page);
		fputs("# EOF\n", f);
		break;
	}
}

/* The workers that run, a page each. */
static json_t *
make_workers(const struct reply *a)
{
	json_t *list = json_array(), *page;
	const struct proto_record *r;
	size_t i = 0;

	while ((r = reply_next(a, "worker", &i)) != NULL) {
		if (proto_get(r, "pid") == NULL)
			continue;
		page = json_object();
		fill_worker(page, a, r);
		json_array_append_new(list, page);
	}
	return list;
}

int
writer_fpm_form(const char *name)
{
	static const char *const names[] = {
		[TEXT] = "text", [JSON] = "json", [XML] = "xml",
		[OPENMETRICS] = "openmetrics",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			return (int)i;
	}
	return -1;
}

int
writer_fpm(FILE *f, const struct reply *a, const char *name, bool full,
    struct err *e)
{
	int form = writer_fpm_form(name);
	json_t *page;

	if (form == -1)
		return err_set(e, EX_USAGE, "%s", name);
	if ((page = json_object()) == NULL)
		return err_set(e, EX_OSERR, "out of memory");
	fill_pool(page, a);
	if (full)
		json_object_set_new(page, "processes", make_workers(a));
	put_page(f, page, (enum fpm_form)form);
	json_decref(page);
	return fflush(f) == EOF || ferror(f) ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}
