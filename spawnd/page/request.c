/* SPDX-License-Identifier: ISC */
/* What a web server's request asks for: a method, a path and a query. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "client/client.h"
#include "page/page.h"

bool
request_is_name(const char *s, size_t len)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] == '\0' || strchr(allowed, s[i]) == NULL)
			return false;
	}
	return len > 0 && len < NAME_SIZE && !(s[0] == '.' && (len == 1 ||
	    (len == 2 && s[1] == '.')));
}

/* Both parts of the path as one, without doubled slashes. */
static int
join_path(const struct params *p, char path[PAGE_PATH])
{
	const char *parts[] = { p->script, p->info }, *s;
	size_t i, n = 0;

	for (i = 0; i < 2; i++) {
		for (s = parts[i]; s != NULL && *s != '\0'; s++) {
			if (*s == '/' && n > 0 && path[n - 1] == '/')
				continue;
			if (n + 1 >= PAGE_PATH)
				return -1;
			path[n++] = *s;
		}
	}
	path[n] = '\0';
	return 0;
}

/* What is behind the prefix, or all of the path. */
static const char *
cut_prefix(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	while (len > 0 && prefix[len - 1] == '/')
		len--;
	if (strncmp(path, prefix, len) == 0 && (path[len] == '/' ||
	    path[len] == '\0'))
		path += len;
	return path[0] == '/' ? path + 1 : path;
}

/* "", "status", "ping", "POOL", or "POOL/" and one of the first three. */
static int
read_path(const char *path, struct request *r)
{
	const char *slash = strchr(path, '/');
	size_t len = slash != NULL ? (size_t)(slash - path) : strlen(path);

	if (slash != NULL || (path[0] != '\0' && strcmp(path, "status") != 0 &&
	    strcmp(path, "ping") != 0)) {
		if (!request_is_name(path, len))
			return -1;
		memcpy(r->pool, path, len);
		r->pool[len] = '\0';
		path += len;
	}
	r->what = PAGE_PEOPLE;
	if (r->pool[0] != '\0' && path[0] == '\0')
		r->what = PAGE_SLASH;
	path += path[0] == '/';
	if (strcmp(path, "status") == 0)
		r->what = PAGE_FPM;
	else if (strcmp(path, "ping") == 0)
		r->what = PAGE_PING;
	else if (path[0] != '\0')
		return -1;
	return 0;
}

static bool
is_word(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(s, word, len) == 0;
}

/* Which form of php-fpm's page goes before others; it is the last here. */
static const char *const fpm_forms[] = { "openmetrics", "json", "xml",
    "html" };

static int
rank_form(const char *name, size_t len)
{
	int i, n = (int)(sizeof(fpm_forms) / sizeof(fpm_forms[0]));

	for (i = n - 1; i >= 0 && !is_word(name, len, fpm_forms[i]); i--)
		continue;
	return i;
}

/* "sort=age", "sort=-age": anything else is not heeded. */
static void
read_sort(const char *value, size_t len, struct request *r)
{
	bool down = len > 0 && value[0] == '-';

	r->sort = workers_column(value + down, len - down);
	r->down = down;
}

/* Unknown words have no effect, as with php-fpm. */
static void
read_query(const char *query, struct request *r)
{
	const char *word = query != NULL ? query : "", *value;
	int form, best = -1;
	size_t len, all;

	for (; *word != '\0'; word += all + (word[all] == '&')) {
		all = strcspn(word, "&");
		len = strcspn(word, "&=");
		value = word + len + (word[len] == '=');
		if (is_word(word, len, "full"))
			r->full = true;
		else if (is_word(word, len, "sort"))
			read_sort(value, (size_t)(word + all - value), r);
		else if ((form = rank_form(word, len)) > best)
			best = form;
	}
	if (r->what == PAGE_FPM && best != -1) {
		r->form = fpm_forms[best];
		/* Its page for people is ours. */
		if (writer_fpm_form(r->form) == -1)
			r->what = PAGE_PEOPLE;
	} else if (r->what == PAGE_PEOPLE && best == 0)
		r->what = PAGE_OPENMETRICS;
	else if (r->what == PAGE_PEOPLE && best == 1)
		r->what = PAGE_JSON;
}

int
request_read(const struct params *p, const char *prefix, struct request *r,
    const char **why)
{
	char path[PAGE_PATH];

	*r = (struct request){ .form = "text", .sort = -1 };
	if (p->method == NULL || p->method[0] == '\0') {
		*why = "REQUEST_METHOD: not set by the web server";
		return 400;
	}
	r->head = strcmp(p->method, "HEAD") == 0;
	if (!r->head && strcmp(p->method, "GET") != 0) {
		*why = "only GET and HEAD are answered here";
		return 405;
	}
	/* Without a path every one would be the page, which is no ping. */
	if (p->script == NULL && p->info == NULL) {
		*why = "SCRIPT_NAME: not set by the web server";
		return 400;
	}
	if ((p->query != NULL && strlen(p->query) > PAGE_QUERY) ||
	    join_path(p, path) == -1) {
		*why = "the path or query is too long";
		return 414;
	}
	/* Its links lead on from the directory. */
	if (path[0] != '\0' && strcmp(path, prefix) == 0 &&
	    path[strlen(path) - 1] != '/') {
		r->what = PAGE_SLASH;
		return 200;
	}
	if (read_path(cut_prefix(path, prefix), r) == -1) {
		*why = "no such path (there are /, /status, /ping, /POOL/, "
		    "/POOL/status and /POOL/ping)";
		return 404;
	}
	read_query(p->query, r);
	return 200;
}
