/* SPDX-License-Identifier: ISC */
/*
 * The last five minutes of a pool: workers and busy ones in one plot, the
 * queue in another below it, each with an axis of its own, whose unit stands
 * above its numbers. The plots are SVG that is stretched to the width there
 * is; their labels are text of the page beside them, so that they can be read
 * at any width.
 */
#include <stdio.h>

#include "client/client.h"
#include "page/page.h"

#define HEIGHT	100		/* of a plot, in units of its own */

struct series {
	const char	*name;		/* of its class */
	const char	*label;
	double		 seconds[HISTORY_SECONDS];
};

/* The next of 1, 2, 5, 10, 20 ... that is not below the most. */
static double
round_up(double most)
{
	static const double steps[] = { 2, 2.5, 2 };
	double top = 1;
	int i;

	for (i = 0; top < most && i < 60; i++)
		top *= steps[i % 3];
	return top;
}

static double
find_most(const struct series *s, double most)
{
	int i;

	for (i = 0; i < HISTORY_SECONDS; i++)
		most = s->seconds[i] > most ? s->seconds[i] : most;
	return most;
}

/* An area of steps; where nothing is known there is a gap. */
static void
draw_area(FILE *f, const struct series *s, double top)
{
	double last = -1, now;
	int x;

	fprintf(f, "<path class=\"%s\" d=\"", s->name);
	for (x = 0; x < HISTORY_SECONDS; x++) {
		now = s->seconds[HISTORY_SECONDS - 1 - x];
		if (now == last)
			continue;
		if (last >= 0)
			fprintf(f, "H%d", x);
		else
			fprintf(f, "M%d %d", x, HEIGHT);
		if (now >= 0)
			fprintf(f, "V%.1f", HEIGHT - now / top * HEIGHT);
		else
			fprintf(f, "V%dZ", HEIGHT);
		last = now;
	}
	if (last >= 0)
		fprintf(f, "H%dV%dZ", x, HEIGHT);
	fputs("\"/>", f);
}

/* The unit of the axis below it, and what is drawn along that. */
static void
draw_legend(FILE *f, const struct series *list, int n, const char *unit)
{
	int i;

	fprintf(f, "<div class=\"unit\"><span>%s</span>", unit);
	for (i = 0; i < n; i++)
		fprintf(f, "<span><span class=\"key %s\"></span> %s</span>",
		    list[i].name, list[i].label);
	fputs("</div>\n", f);
}

static void
draw_plot(FILE *f, const char *kind, const struct series *list, int n,
    const char *unit)
{
	double top = 1;
	int i;

	for (i = 0; i < n; i++)
		top = find_most(&list[i], top);
	top = round_up(top);
	draw_legend(f, list, n, unit);
	fprintf(f, "<div class=\"plot %s\"><div class=\"y\"><span>%.0f</span>"
	    "<span>0</span></div><svg viewBox=\"0 0 %d %d\" "
	    "preserveAspectRatio=\"none\" role=\"img\"><title>%s: ", kind, top,
	    HISTORY_SECONDS, HEIGHT, unit);
	for (i = 0; i < n; i++)
		fprintf(f, "%s, ", list[i].label);
	fprintf(f, "up to %.0f, in the last five minutes</title>", top);
	for (i = 0; i < n; i++)
		draw_area(f, &list[i], top);
	for (i = 60; i < HISTORY_SECONDS; i += 60)
		fprintf(f, "<path class=\"grid\" d=\"M%d 0V%d\"/>", i, HEIGHT);
	fprintf(f, "<path class=\"grid\" d=\"M0 %dH%d\"/></svg></div>\n",
	    HEIGHT / 2, HISTORY_SECONDS);
}

/* A busy child or worker of most programs serves one connection. */
void
chart_write(FILE *f, const struct reply *a, const char *name)
{
	double children = reply_value(a, "pool", "children", 0);
	struct series workers[] = { { .name = "ready", .label = "ready" },
	    { .name = "busy", .label = "busy (connections served)" } };
	struct series queue = { .name = "queue", .label = "waiting" };
	int i;

	timeline_seconds(a, "workers", NULL, workers[0].seconds);
	timeline_seconds(a, "busy", "busy_peak", workers[1].seconds);
	timeline_seconds(a, "queue", "queue_peak", queue.seconds);
	for (i = 0; children > 0 && i < HISTORY_SECONDS; i++)
		workers[0].seconds[i] *= workers[0].seconds[i] > 0 ? children :
		    1;
	fputs("<figure class=\"chart\"><figcaption class=\"hidden\">", f);
	html_text(f, name);
	fputs(": the last five minutes</figcaption>\n", f);
	draw_plot(f, "high", workers, 2, children > 0 ? "children" :
	    "workers");
	draw_plot(f, "low", &queue, 1, "connections");
	/* With signs of minus; on a phone there is no room for more words. */
	fputs("<div class=\"x\"><span>\342\210\2225 min</span>"
	    "<span>\342\210\2224</span><span>\342\210\2223</span>"
	    "<span>\342\210\2222</span><span>\342\210\2221</span>"
	    "<span>now</span></div></figure>\n", f);
}
