/* SPDX-License-Identifier: ISC */
/* A status as JSON: an object for each kind of record, lists of workers. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"

/* Kinds with many records, and the names of their lists. */
static const char *const lists[][2] = {
	{ "worker", "worker" }, { "point", "history" },
	{ "failure", "failure" },
};

/* Keys whose values are text even if they look like a number or a truth. */
static const char *const texts[] = {
	"name", "version", "listen", "owner", "clients", "jail", "user",
	"application", "state", "why", "unseen", "what", "said",
};

static bool
is_text(const char *key)
{
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(texts[i], key) == 0)
			return true;
	}
	return false;
}

/*
 * JSON text is UTF-8; text that is not is escaped. So is DEL, which neither
 * JSON nor JSON_ENSURE_ASCII keeps from a terminal.
 */
static json_t *
make_text(const char *value)
{
	char buf[SHOW_SIZE];
	json_t *j = NULL;

	if (strchr(value, 0x7f) == NULL)
		j = json_string(value);
	if (j != NULL)
		return j;
	text_escape(buf, sizeof(buf), value, strlen(value), true);
	return json_string(buf);
}

static json_t *
make_value(const struct proto_record *r, int i)
{
	const char *s = r->fields[i].value;
	double n;

	if (is_text(r->fields[i].key))
		return make_text(s);
	if (proto_get_number(r, r->fields[i].key, &n)) {
		if (strchr(s, '.') != NULL)
			return json_real(n);
		if (n < 9007199254740992.0)
			return json_integer((json_int_t)n);
		return make_text(s);
	}
	if (strcmp(s, "yes") == 0 || strcmp(s, "no") == 0)
		return json_boolean(s[0] == 'y');
	return make_text(s);
}

static json_t *
make_object(const struct proto_record *r)
{
	json_t *j = json_object();
	int i;

	for (i = 0; j != NULL && i < r->n; i++) {
		/* The first of several fields with one key counts. */
		if (json_object_get(j, r->fields[i].key) != NULL)
			continue;
		if (json_object_set_new(j, r->fields[i].key,
		    make_value(r, i)) == -1) {
			json_decref(j);
			return NULL;
		}
	}
	return j;
}

static const char *
list_name(const char *kind)
{
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (strcmp(lists[i][0], kind) == 0)
			return lists[i][1];
	}
	return NULL;
}

static int
add_record(json_t *top, const struct proto_record *r)
{
	const char *name = list_name(r->kind);
	json_t *j;

	if (name == NULL) {
		if (json_object_get(top, r->kind) != NULL)
			return 0;
		return json_object_set_new(top, r->kind, make_object(r));
	}
	if ((j = json_object_get(top, name)) == NULL) {
		if (json_object_set_new(top, name, json_array()) == -1)
			return -1;
		j = json_object_get(top, name);
	}
	return json_array_append_new(j, make_object(r));
}

int
writer_json(FILE *f, const struct reply *a, struct err *e)
{
	json_t *top = json_object();
	int r = top == NULL ? -1 : 0;
	size_t i;

	if (r == 0)
		r = json_object_set_new(top, "protocol",
		    json_integer(PROTO_VERSION));
	for (i = 0; r == 0 && i < a->n; i++)
		r = add_record(top, &a->list[i]);
	if (r == -1) {
		json_decref(top);
		return err_set(e, EX_OSERR, "out of memory");
	}
	r = json_dumpf(top, f, JSON_INDENT(2) | JSON_ENSURE_ASCII |
	    JSON_REAL_PRECISION(12));
	json_decref(top);
	if (r == -1 || fputc('\n', f) == EOF || fflush(f) == EOF)
		return err_set(e, EX_IOERR, "cannot write");
	return 0;
}
