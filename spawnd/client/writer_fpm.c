/* SPDX-License-Identifier: ISC */
/*
 * A status in the words of php-fpm's status page, for monitors that read
 * that. What only php-fpm can know, such as requests, is left out.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"

#define ITEMS_MAX	16

enum form { TEXT, JSON, XML, OPENMETRICS };

/* One line of it. */
struct item {
	const char	*key;		/* as text and JSON have it */
	const char	*text;		/* NULL: it is a number */
	double		 number;
	bool		 time;		/* of seconds since the epoch */
};

struct page {
	struct item	 items[ITEMS_MAX];
	size_t		 n;
};

static void
add_text(struct page *p, const char *key, const char *text)
{
	p->items[p->n++] = (struct item){ key, text, 0, false };
}

static void
add_number(struct page *p, const char *key, double number)
{
	p->items[p->n++] = (struct item){ key, NULL, number, false };
}

static void
add_time(struct page *p, double when)
{
	p->items[p->n++] = (struct item){ "start time", NULL, when, true };
}

/* What is not known is not added. */
static void
add_known(struct page *p, const char *key, const struct reply *a,
    const char *kind, const char *field)
{
	double n;

	if (reply_number(a, kind, field, &n))
		add_number(p, key, n);
}

/*
 * Processes that serve: with children of php-cgi's own those, which it starts
 * beside itself; each holds one connection.
 */
static double
count_processes(const struct reply *a)
{
	double children = reply_value(a, "pool", "children", 0);

	return reply_value(a, "workers", "total", 0) *
	    (children > 0 ? children : 1);
}

static void
add_processes(struct page *p, const struct reply *a)
{
	double total = count_processes(a), active;

	if (reply_number(a, "connections", "now", &active)) {
		active = active < total ? active : total;
		add_number(p, "idle processes", total - active);
		add_number(p, "active processes", active);
	}
	add_number(p, "total processes", total);
	add_known(p, "max active processes", a, "connections", "peak");
	add_known(p, "max children reached", a, "count", "saturations");
}

static void
fill_pool(struct page *p, const struct reply *a, char name[SHOW_SIZE])
{
	double min = reply_value(a, "pool", "min", 0);
	double max = reply_value(a, "pool", "max", 0);

	p->n = 0;
	add_text(p, "pool", reply_show(reply_find(a, "pool"), "name",
	    name));
	add_text(p, "process manager", min == max ? "static" :
	    min == 0 ? "ondemand" : "dynamic");
	add_time(p, reply_value(a, "pool", "started", 0));
	add_number(p, "start since", reply_value(a, "pool", "uptime", 0));
	add_known(p, "listen queue", a, "queue", "now");
	add_known(p, "max listen queue", a, "queue", "peak");
	add_known(p, "listen queue len", a, "queue", "limit");
	add_processes(p, a);
}

static void
fill_worker(struct page *p, const struct reply *a,
    const struct proto_record *r)
{
	double now = reply_value(a, "pool", "started", 0) +
	    reply_value(a, "pool", "uptime", 0);
	double pid = 0, age = 0, n;

	p->n = 0;
	proto_get_number(r, "pid", &pid);
	add_number(p, "pid", pid);
	if (proto_get_number(r, "connections", &n))
		add_text(p, "state", n > 0 ? "Running" : "Idle");
	proto_get_number(r, "age", &age);
	add_time(p, now - age);
	add_number(p, "start since", age);
	if (proto_get_number(r, "busy", &n))
		add_number(p, "request duration", n * 1e6);
}

static void
put_text(FILE *f, const struct item *i)
{
	char when[64];
	time_t t = (time_t)i->number;
	struct tm tm;

	fprintf(f, "%s:%*s", i->key, (int)(21 - strlen(i->key)), "");
	if (i->text != NULL)
		fprintf(f, "%s\n", i->text);
	else if (!i->time)
		fprintf(f, "%.0f\n", i->number);
	else if (localtime_r(&t, &tm) != NULL && strftime(when, sizeof(when),
	    "%d/%b/%Y:%H:%M:%S %z", &tm) > 0)
		fprintf(f, "%s\n", when);
	else
		fputs("-\n", f);
}

static void
put_json(FILE *f, const struct item *i, bool first)
{
	const char *s;

	fprintf(f, "%s\"%s\":", first ? "" : ",", i->key);
	if (i->text == NULL) {
		fprintf(f, "%.0f", i->number);
		return;
	}
	/* Control characters are shown already. */
	fputc('"', f);
	for (s = i->text; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

static void
put_name(FILE *f, const char *key, char blank)
{
	for (; *key != '\0'; key++)
		fputc(*key == ' ' ? blank : *key, f);
}

static void
put_xml(FILE *f, const struct item *i)
{
	const char *s;

	fputc('<', f);
	put_name(f, i->key, '-');
	fputc('>', f);
	if (i->text == NULL)
		fprintf(f, "%.0f", i->number);
	for (s = i->text; s != NULL && *s != '\0'; s++) {
		if (*s == '<' || *s == '>' || *s == '&')
			fprintf(f, "&#%d;", *s);
		else
			fputc(*s, f);
	}
	fputs("</", f);
	put_name(f, i->key, '-');
	fputs(">\n", f);
}

/* Names in which OpenMetrics differs from the other forms. */
static const char *
metric(const char *key)
{
	return strcmp(key, "listen queue len") == 0 ? "listen queue length" :
	    key;
}

static void
put_metric(FILE *f, const struct item *i)
{
	if (i->text != NULL || i->time)
		return;
	fputs("# HELP phpfpm_", f);
	put_name(f, metric(i->key), '_');
	fprintf(f, " As %s of the status page.\n# TYPE phpfpm_",
	    i->key);
	put_name(f, metric(i->key), '_');
	fputs(" gauge\nphpfpm_", f);
	put_name(f, metric(i->key), '_');
	fprintf(f, " %.0f\n", i->number);
}

static void
put_page(FILE *f, const struct page *p, enum form form)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		switch (form) {
		case TEXT:
			put_text(f, &p->items[i]);
			break;
		case JSON:
			put_json(f, &p->items[i], i == 0);
			break;
		case XML:
			put_xml(f, &p->items[i]);
			break;
		case OPENMETRICS:
			put_metric(f, &p->items[i]);
			break;
		}
	}
}

static void
put_workers(FILE *f, const struct reply *a, enum form form)
{
	static const char *const before[] = {
		[TEXT] = "\n************************\n", [JSON] = "{",
		[XML] = "<process>\n",
	};
	static const char *const after[] = {
		[TEXT] = "", [JSON] = "}", [XML] = "</process>\n",
	};
	const struct proto_record *r;
	struct page page;
	bool first = true;
	size_t i = 0;

	while ((r = reply_next(a, "worker", &i)) != NULL) {
		if (proto_get(r, "pid") == NULL)
			continue;
		if (!first && form == JSON)
			fputc(',', f);
		first = false;
		fill_worker(&page, a, r);
		fputs(before[form], f);
		put_page(f, &page, form);
		fputs(after[form], f);
	}
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
	static const char *const begin[] = {
		[TEXT] = "", [JSON] = "{",
		[XML] = "<?xml version=\"1.0\" ?>\n<status>\n",
		[OPENMETRICS] = ("# HELP phpfpm_up Whether the pool was "
		    "reached.\n# TYPE phpfpm_up gauge\nphpfpm_up 1\n"),
	};
	static const char *const list[][2] = {
		[TEXT] = { "", "" }, [JSON] = { ",\"processes\":[", "]" },
		[XML] = { "<processes>\n", "</processes>\n" },
	};
	static const char *const end[] = {
		[TEXT] = "", [JSON] = "}\n", [XML] = "</status>\n",
		[OPENMETRICS] = "# EOF\n",
	};
	int form = writer_fpm_form(name);
	char pool[SHOW_SIZE];
	struct page page;

	if (form == -1)
		return err_set(e, EX_USAGE, "%s", name);
	fill_pool(&page, a, pool);
	fputs(begin[form], f);
	put_page(f, &page, (enum form)form);
	if (full && form != OPENMETRICS) {
		fputs(list[form][0], f);
		put_workers(f, a, (enum form)form);
		fputs(list[form][1], f);
	}
	fputs(end[form], f);
	return fflush(f) == EOF || ferror(f) ? err_set(e, EX_IOERR,
	    "cannot write") : 0;
}
