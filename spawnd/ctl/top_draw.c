/* SPDX-License-Identifier: ISC */
/* Draws one picture of top: lines of a known width, no escape sequences. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "client/client.h"
#include "ctl/ctl.h"
#include "proto/proto.h"

#define SPAN		HISTORY_SECONDS
#define HEAD		7		/* lines above the workers */

struct paper {
	char		*buf;
	size_t		 size, len;
	int		 columns, cells;	/* of this line */
	int		 rows, row;
};

/* Characters from U+1000 on count as wide: a cell too many does no harm. */
static int
width_of(const char *s, size_t len)
{
	return len >= 3 && (unsigned char)*s >= 0xe1 &&
	    strncmp(s, "\xe2\x96", 2) != 0 ? 2 : 1;
}

/* Text that is valid UTF-8 and has no control characters. */
static void
paper_put(struct paper *p, const char *s)
{
	size_t len;
	int cells;

	for (; *s != '\0'; s += len) {
		if ((len = text_utf8(s, strlen(s))) == 0)
			return;
		cells = width_of(s, len);
		if (p->cells + cells > p->columns ||
		    p->len + len + 2 > p->size)
			return;
		memcpy(p->buf + p->len, s, len);
		p->len += len;
		p->cells += cells;
	}
}

static void paper_format(struct paper *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
paper_format(struct paper *p, const char *fmt, ...)
{
	char text[SHOW_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	paper_put(p, text);
}

/* Ends a line. Returns false if there is no room for another. */
static bool
paper_next(struct paper *p)
{
	p->row++;
	p->cells = 0;
	if (p->row >= p->rows || p->len + 2 > p->size)
		return false;
	p->buf[p->len++] = '\n';
	return true;
}

static void
draw_title(struct paper *p, const struct reply *a)
{
	const struct proto_record *r = reply_find(a, "pool");
	char text[SHOW_SIZE], span[32];

	paper_format(p, "%.*s  ", NAME_SIZE, reply_show(r, "name", text));
	paper_put(p, reply_show(r, "state", text));
	paper_format(p, " %s  pid %s  ", reply_span(reply_value(a, "pool",
	    "uptime", 0), span), reply_show(r, "pid", text));
	paper_put(p, reply_show(r, "listen", text));
}

/* A bar of `width` cells, `part` of `whole` of it full. */
static void
draw_bar(struct paper *p, const struct frame *v, double part, double whole,
    int width)
{
	int i, full;

	full = whole > 0 ? (int)(part / whole * width + 0.5) : 0;
	/* Some is never shown as none, and not full never as full. */
	if (part > 0 && full == 0)
		full = 1;
	if (part < whole && full >= width)
		full = width - 1;
	paper_put(p, "[");
	for (i = 0; i < width; i++)
		paper_put(p, i >= full ? "." : v->utf8 ? "\xe2\x96\x88" : "#");
	paper_put(p, "]");
}

/* Connections and the processes that could hold one. */
static void
draw_workers(struct paper *p, const struct frame *v, const struct reply *a)
{
	double children = reply_value(a, "pool", "children", 0);
	double total = reply_value(a, "workers", "ready", 0), busy;
	double min = reply_value(a, "pool", "min", 0);
	double max = reply_value(a, "pool", "max", 0);
	bool known = reply_number(a, "sum", "busy", &busy);

	if (children > 0) {
		known = reply_number(a, "connections", "now", &busy);
		total *= children;
	}
	paper_put(p, "busy   ");
	if (!known) {
		paper_format(p, "? of %.0f", total);
		return;
	}
	draw_bar(p, v, busy, total, p->columns - 32);
	paper_format(p, " %.0f of %.0f", busy, total);
	if (min < max)
		paper_format(p, " (%.0f-%.0f)", min, max);
}

static void
draw_spark(struct paper *p, const struct frame *v, const double *seconds,
    int width)
{
	static const char ascii[] = " .:-=+*#%@";
	char block[4] = "\xe2\x96\x81";
	double most = 1, high;
	int i, s, from, to;

	for (s = 0; s < SPAN; s++)
		most = seconds[s] > most ? seconds[s] : most;
	for (i = 0; i < width; i++) {
		from = SPAN - SPAN * (i + 1) / width;
		to = SPAN - SPAN * i / width;
		high = -1;
		for (s = from; s < to || s == from; s++)
			high = s < SPAN && seconds[s] > high ? seconds[s] :
			    high;
		if (high <= 0)
			paper_put(p, high < 0 ? " " : "_");
		else if (v->utf8) {
			block[2] = (char)(0x81 + (int)(high / most * 7));
			paper_put(p, block);
		} else
			paper_format(p, "%c", ascii[1 + (int)(high / most *
			    8)]);
	}
}

static void
draw_queue(struct paper *p, const struct frame *v, const struct reply *a,
    const struct reply *history)
{
	double seconds[SPAN], now;
	char x[24] = "?";

	timeline_seconds(history, "queue", "queue_peak", seconds);
	if (reply_number(a, "queue", "now", &now))
		snprintf(x, sizeof(x), "%.0f", now);
	paper_put(p, "queue  [");
	draw_spark(p, v, seconds, p->columns - 32);
	paper_format(p, "] %s, peak %.0f of %.0f", x, reply_value(a, "queue",
	    "peak", 0), reply_value(a, "queue", "limit", 0));
}

static void
draw_counts(struct paper *p, const struct reply *a)
{
	static const char *const keys[] = { "started", "recycled", "crashed",
	    "failed", "retired", "killed", "lost", "saturated" };
	size_t i;
	double n;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (reply_number(a, "count", keys[i], &n) &&
		    (n > 0 || i == 0))
			paper_format(p, "%s%s %.0f", i > 0 ? "  " : "",
			    keys[i], n);
	}
}

/* Busy workers come first, those busy for longest at the top. */
static int
compare_workers(const void *a, const void *b)
{
	const struct proto_record *x = *(const struct proto_record *const *)a;
	const struct proto_record *y = *(const struct proto_record *const *)b;
	double p = -1, q = -1;

	proto_get_number(x, "busy", &p);
	proto_get_number(y, "busy", &q);
	if (p != q)
		return p > q ? -1 : 1;
	return (x > y) - (x < y);
}

static void
draw_cell(struct paper *p, const struct proto_record *r, const char *key,
    int width, const char *(*format)(double, char[32]))
{
	char text[CELL_SIZE];

	paper_format(p, " %*s", width, reply_cell(r, key, format, text));
}

static void
draw_worker(struct paper *p, const struct proto_record *r)
{
	char state[STATE_SIZE], busy[CELL_SIZE];

	draw_cell(p, r, "slot", 5, NULL);
	draw_cell(p, r, "pid", 7, NULL);
	paper_format(p, " %-9s", reply_state(r, state));
	draw_cell(p, r, "age", 10, reply_span);
	paper_format(p, " %9s", reply_busy(r, busy));
	draw_cell(p, r, "connections", 5, NULL);
	draw_cell(p, r, "processes", 5, NULL);
	draw_cell(p, r, "cpu", 9, reply_span);
	draw_cell(p, r, "rss", 6, reply_size);
}

static void
draw_list(struct paper *p, const struct frame *v, const struct reply *a)
{
	const struct proto_record **list, *r;
	int n = 0, i, room = p->rows - p->row - 1, first;
	size_t at = 0;

	/* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers it is */
	if ((list = calloc(a->n + 1, sizeof(*list))) == NULL)
		return;
	while ((r = reply_next(a, "worker", &at)) != NULL)
		list[n++] = r;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression) */
	qsort(list, (size_t)n, sizeof(*list), compare_workers);
	first = v->first > n - room ? n - room : v->first;
	first = first < 0 ? 0 : first;
	for (i = first; i < n && i < first + room; i++) {
		draw_worker(p, list[i]);
		paper_next(p);
	}
	for (; i < first + room; i++)
		paper_next(p);
	if (n > room)
		paper_format(p, "q quit, j k scroll: %d to %d of %d",
		    first + 1, first + room, n);
	else
		paper_put(p, "q quit");
	free(list);
}

size_t
top_draw_frame(const struct frame *v, const struct reply *status,
    const struct reply *history, char *buf, size_t size)
{
	struct paper p = { .buf = buf, .size = size, .columns = v->columns,
	    .rows = v->rows };

	draw_title(&p, status);
	if (paper_next(&p))
		draw_workers(&p, v, status);
	if (paper_next(&p))
		draw_queue(&p, v, status, history);
	if (paper_next(&p))
		draw_counts(&p, status);
	if (paper_next(&p) && paper_next(&p))
		paper_format(&p, " %5s %7s %-9s %10s %9s %5s %5s %9s %6s",
		    "SLOT", "PID", "STATE", "AGE", "BUSY-FOR", "CONNS",
		    "PROCS", "CPU", "RSS");
	if (v->rows > HEAD && paper_next(&p))
		draw_list(&p, v, status);
	p.buf[p.len] = '\0';
	return p.len;
}
