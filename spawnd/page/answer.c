/* SPDX-License-Identifier: ISC */
/* The answer to a request: its status, its type and its text. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "client/client.h"
#include "page/page.h"

#define TEXT	"text/plain; charset=utf-8"
#define HTML	"text/html; charset=utf-8"
#define JSON	"application/json"
#define METRICS	"application/openmetrics-text; version=1.0.0; charset=utf-8"

const char *
answer_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 301:
		return "Moved Permanently";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 414:
		return "URI Too Long";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

void
answer_free(struct answer *a)
{
	free(a->body);
	a->body = NULL;
	a->len = 0;
}

void
answer_text(struct answer *a, int status, const char *text)
{
	char buf[ERR_SIZE];

	*a = (struct answer){ .status = status, .type = TEXT };
	text_escape(buf, sizeof(buf), text, strlen(text), true);
	/*
	 * A ping's answer is its word and nothing else. What went wrong does
	 * not begin with "KEY: VALUE": who reads php-fpm's page without a look
	 * at the status takes that for a page.
	 */
	if ((status == 200 ? asprintf(&a->body, "%s", buf) : asprintf(&a->body,
	    "%s\n%s\n", answer_reason(status), buf)) == -1)
		a->body = NULL;
	a->len = a->body != NULL ? strlen(a->body) : 0;
}

static void
make_nonce(char nonce[NONCE_SIZE])
{
	unsigned char bytes[(NONCE_SIZE - 1) / 2];
	size_t i;

	arc4random_buf(bytes, sizeof(bytes));
	for (i = 0; i < sizeof(bytes); i++)
		snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
}

/* All pools as JSON: each as it is alone, in a list. */
static int
write_pools(FILE *f, const struct view *list, size_t n, struct err *e)
{
	size_t i;

	fputs("{\"pools\": [\n", f);
	for (i = 0; i < n; i++) {
		if (i > 0)
			fputc(',', f);
		if (writer_json(f, &list[i].status, e) == -1)
			return -1;
	}
	fputs("]}\n", f);
	return 0;
}

static int
write_metrics(FILE *f, const struct view *list, size_t n, bool full,
    struct err *e)
{
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers it is */
	const struct reply **all = calloc(n + 1, sizeof(*all));
	size_t i;
	int r;

	if (all == NULL)
		return -1;
	for (i = 0; i < n; i++)
		all[i] = &list[i].status;
	r = writer_openmetrics_all(f, all, n, full, e);
	free(all);
	return r;
}

static const char *
fpm_type(const char *form)
{
	if (strcmp(form, "json") == 0)
		return JSON;
	if (strcmp(form, "xml") == 0)
		return "text/xml; charset=utf-8";
	return strcmp(form, "openmetrics") == 0 ? METRICS : TEXT;
}

/* The body of an answer. Returns 0, or -1: it could not be made. */
static int
write_body(FILE *f, const struct request *r, const struct view *list,
    size_t n, size_t denied, struct answer *a)
{
	struct picture p = { list, n, denied, r, a->nonce, time(NULL) };
	struct err e;

	switch (r->what) {
	case PAGE_JSON:
		a->type = JSON;
		return r->pool[0] != '\0' ? writer_json(f, &list[0].status,
		    &e) : write_pools(f, list, n, &e);
	case PAGE_OPENMETRICS:
		a->type = METRICS;
		return write_metrics(f, list, n, r->full, &e);
	case PAGE_FPM:
		a->type = fpm_type(r->form);
		return writer_fpm(f, &list[0].status, r->form, r->full, &e);
	default:
		a->type = HTML;
		make_nonce(a->nonce);
		page_write(f, &p);
		return 0;
	}
}

/* Of php-fpm's paths: a pool that cannot be shown is no page. */
static bool
refuse_fpm(const struct request *r, const struct view *list, size_t n,
    struct answer *a)
{
	if (r->what != PAGE_FPM && r->what != PAGE_PING)
		return false;
	if (n == 0)
		answer_text(a, 503, "no pool runs here that may be read");
	else if (n > 1)
		answer_text(a, 404, "several pools run here: name one, as in "
		    "/POOL/status or /POOL/ping");
	else if (!list[0].up)
		answer_text(a, 503, list[0].err.text);
	else if (r->what == PAGE_PING)
		answer_text(a, 200, "pong");
	else
		return false;
	return true;
}

void
answer_pools(const struct request *r, const struct view *list, size_t n,
    size_t denied, struct answer *a)
{
	size_t i, up = 0;
	FILE *f;
	int bad;

	for (i = 0; i < n; i++)
		up += list[i].up;
	if (refuse_fpm(r, list, n, a))
		return;
	*a = (struct answer){ .status = up > 0 ? 200 : 503, .type = TEXT };
	if ((f = open_memstream(&a->body, &a->len)) == NULL) {
		answer_text(a, 500, "out of memory");
		return;
	}
	bad = write_body(f, r, list, n, denied, a) == -1 || ferror(f);
	if (fclose(f) == EOF || bad) {
		answer_free(a);
		answer_text(a, 500, "out of memory");
	}
}

/* There is such a page, behind a slash. */
static void
add_slash(struct answer *a, const char *name)
{
	answer_text(a, 301, "it is there, with a slash at the end");
	snprintf(a->location, sizeof(a->location), "%.*s/", NAME_SIZE - 1,
	    name);
}

void
answer_make(const struct params *p, const char *prefix, struct answer *a)
{
	const char *why, *slash = strrchr(prefix, '/');
	const struct view *list;
	struct request r;
	size_t n, denied;
	struct err e;
	int status = request_read(p, prefix, &r, &why);

	if (status != 200) {
		answer_text(a, status, why);
	} else if (r.what == PAGE_SLASH && r.pool[0] == '\0') {
		add_slash(a, slash != NULL ? slash + 1 : prefix);
	} else if ((list = gather_pools(&r, &n, &denied, &e)) == NULL) {
		answer_text(a, 500, e.text);
	} else if (r.what != PAGE_SLASH) {
		answer_pools(&r, list, n, denied, a);
	} else if (!list[0].up) {
		answer_text(a, 404, "no such path, and no pool of this name");
	} else
		add_slash(a, list[0].name);
}
