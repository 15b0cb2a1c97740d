/* SPDX-License-Identifier: ISC */
/*
 * The plan as lines "key: value", all that a command line can change, so that
 * it can be compared with that of a pool which runs. What may be a secret is
 * there as a digest.
 */
#include <sys/stat.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "config/config.h"
#include "config/describe.h"

#define VALUE_MAX	300	/* bytes, escaped; of a longer one there is a
				   digest */

static struct stat binary;	/* our own file, as it was executed */

static uint64_t
digest(uint64_t sum, const char *s)
{
	for (; *s != '\0'; s++)
		sum = (sum ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return sum;
}

/* Is it too long for a record, where it is escaped? */
static bool
is_long(const char *s)
{
	size_t n = 0;

	for (; *s != '\0' && n <= VALUE_MAX; s++)
		n += *s > ' ' && *s < 0x7f && *s != '\\' ? 1 : 4;
	return n > VALUE_MAX;
}

static char *
make_digest(const char *text)
{
	uint64_t sum = digest(UINT64_C(0xcbf29ce484222325), text);
	char *s;

	return asprintf(&s, "#%016" PRIx64, sum) == -1 ? NULL : s;
}

char *
facts_short(const char *text)
{
	return is_long(text) ? make_digest(text) : strdup(text);
}

/* A key keeps its first word. */
static char *
short_key(const char *key)
{
	size_t word = strcspn(key, " ");
	char *rest, *s;

	if (!is_long(key))
		return strdup(key);
	if ((rest = make_digest(key)) == NULL ||
	    asprintf(&s, "%.*s %s", (int)word, key, rest) == -1)
		s = NULL;
	free(rest);
	return s;
}

/* Takes value, malloc'd; NULL: there was no memory. */
static int
fact_take(struct facts *f, const char *key, char *value, bool hidden)
{
	struct fact *list;
	char *whole;

	list = value == NULL ? NULL : reallocarray(f->list, f->n + 1,
	    sizeof(*list));
	if (list == NULL) {
		free(value);
		return -1;
	}
	f->list = list;
	list[f->n] = (struct fact){ .value = value, .hidden = hidden };
	if (hidden || is_long(value)) {
		list[f->n].hidden = true;
		whole = value;
		list[f->n].value = make_digest(whole);
		free(whole);
		if (list[f->n].value == NULL)
			return -1;
	}
	if ((list[f->n].key = short_key(key)) == NULL) {
		free(list[f->n].value);
		return -1;
	}
	f->n++;
	return 0;
}

static int __attribute__((format(printf, 3, 4)))
fact_format(struct facts *f, const char *key, const char *fmt, ...)
{
	char *value;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&value, fmt, ap);
	va_end(ap);
	return fact_take(f, key, r == -1 ? NULL : value, false);
}

static int
fact_text(struct facts *f, const char *key, const char *text)
{
	return fact_format(f, key, "%s", text != NULL ? text : "");
}

static int
fact_number(struct facts *f, const char *key, long long n)
{
	return fact_format(f, key, "%lld", n);
}

/* Appends a word to a text, malloc'd or NULL at first. */
static char *
append(char *text, const char *word)
{
	char *longer = NULL;

	if (word != NULL && asprintf(&longer, "%s%s%s", text != NULL ? text :
	    "", text != NULL ? " " : "", word) == -1)
		longer = NULL;
	free(text);
	return longer;
}

static int
describe_program(const struct plan *p, struct facts *f)
{
	char *text = NULL, *word;
	size_t i;

	for (i = 0; p->argv[i] != NULL && (i == 0 || text != NULL); i++) {
		word = text_quote(p->argv[i]);
		text = append(text, word);
		free(word);
	}
	return fact_take(f, "application", text, false);
}

static int
describe_groups(const struct ident *id, struct facts *f)
{
	char *text = strdup(id->group), number[32];
	int i;

	for (i = 0; i < id->ngroups && text != NULL; i++) {
		snprintf(number, sizeof(number), "%u", id->groups[i]);
		text = append(text, number);
	}
	return fact_take(f, "groups", text, false);
}

static int
describe_allow(const struct plan *p, struct facts *f)
{
	char *text = strdup(p->only_allowed ? "only" : ""), one[NETWORK_SIZE];
	size_t i;

	for (i = 0; p->only_allowed && i < p->nallow && text != NULL; i++)
		text = append(text, network_text(&p->allow[i], one));
	return fact_take(f, "web servers", text, false);
}

static int
describe_environment(const struct plan *p, const bool *shown,
    struct facts *f)
{
	int r = shown == NULL ? -1 : 0;
	char *key;
	size_t i, len;

	for (i = 0; r == 0 && p->envp[i] != NULL; i++) {
		len = strcspn(p->envp[i], "=");
		if (asprintf(&key, "environment %.*s", (int)len,
		    p->envp[i]) == -1) {
			r = -1;
			break;
		}
		r = fact_take(f, key, strdup(p->envp[i] + len +
		    (p->envp[i][len] == '=')), !shown[i]);
		free(key);
	}
	return r;
}

static int
describe_limits(const struct conf *c, struct facts *f)
{
	char key[40];
	size_t i;
	int r = 0;

	for (i = 0; i < c->nlimits && r == 0; i++) {
		const struct limit *l = &c->limits[i];

		snprintf(key, sizeof(key), "rlimit %s", l->name);
		r = l->has_hard ? fact_format(f, key, "%llu:%llu",
		    (unsigned long long)l->value.rlim_cur,
		    (unsigned long long)l->value.rlim_max) :
		    fact_format(f, key, "%llu",
		    (unsigned long long)l->value.rlim_cur);
	}
	return r;
}

const char *
plan_log(const struct plan *p, const char **facility, const char **form)
{
	static const char *const forms[] = {
		[WORKER_LOG_PREFIX] = "prefix", [WORKER_LOG_RAW] = "raw",
		[WORKER_LOG_NONE] = "none", [WORKER_LOG_INHERIT] = "inherit",
	};
	const struct conf *c = p->conf;
	const char *to = p->log != NULL ? p->log : c->log != NULL ? c->log :
	    c->foreground ? "stderr" : "syslog";

	*facility = strcmp(to, "syslog") == 0 ? c->facility : NULL;
	*form = forms[c->worker_log];
	return to;
}

static int
describe_log(const struct plan *p, struct facts *f)
{
	const char *form, *facility, *to = plan_log(p, &facility, &form);

	if (fact_text(f, "log", to) == -1 ||
	    fact_text(f, "worker log", form) == -1)
		return -1;
	return facility == NULL ? 0 :
	    fact_text(f, "syslog facility", facility);
}

static int
describe_times(const struct conf *c, struct facts *f)
{
	const char *name = signame_name(c->stop_signal);

	if (fact_number(f, "start timeout", c->start_timeout) == -1 ||
	    fact_number(f, "stop timeout", c->stop_timeout) == -1 ||
	    fact_number(f, "drain", c->drain) == -1 ||
	    fact_number(f, "keep idle", c->keep_idle) == -1 ||
	    fact_number(f, "max age", c->max_age) == -1 ||
	    fact_format(f, "max rss", "%" PRIu64, c->max_rss) == -1 ||
	    fact_number(f, "request timeout", c->request_timeout) == -1 ||
	    fact_number(f, "reload surge", c->reload_surge) == -1)
		return -1;
	return name != NULL ? fact_text(f, "stop signal", name) :
	    fact_number(f, "stop signal", c->stop_signal);
}

static int
describe_socket(const struct plan *p, struct facts *f)
{
	if (fact_text(f, "socket", p->socket_name) == -1 ||
	    fact_text(f, "owner", p->socket_owner) == -1 ||
	    describe_allow(p, f) == -1)
		return -1;
	return p->inherited != -1 ? 0 : fact_number(f, "backlog", p->backlog);
}

static int
describe_rest(const struct plan *p, struct facts *f)
{
	const struct conf *c = p->conf;

	if (fact_text(f, "pidfile", p->pidfile) == -1 ||
	    fact_text(f, "status group", c->status_group) == -1 ||
	    fact_format(f, "umask", "%03o", (unsigned int)c->umask) == -1 ||
	    fact_text(f, "no new privileges", c->no_new_privs ? "yes" :
	    "no") == -1)
		return -1;
	if (c->nice_given && fact_number(f, "nice", c->nice) == -1)
		return -1;
	return fact_text(f, "confine", c->confine ? "yes" : "no");
}

void
describe_begin(void)
{
	const char *path = self_executed();

	/* The link leads to the file itself, whatever its path is by now. */
	if (stat("/proc/self/exe", &binary) == -1 &&
	    (path == NULL || stat(path, &binary) == -1))
		memset(&binary, 0, sizeof(binary));
}

int
plan_describe(const struct plan *p, const bool *shown, struct facts *f)
{
	const struct conf *c = p->conf;

	*f = (struct facts){ NULL, 0 };
	if (fact_format(f, "spawnd", "%s (file %llu, of %lld)", SPAWND_VERSION,
	    (unsigned long long)binary.st_ino,
	    (long long)binary.st_mtime) == 0 &&
	    describe_program(p, f) == 0 &&
	    fact_text(f, "user", p->ident.user) == 0 &&
	    describe_groups(&p->ident, f) == 0 &&
	    fact_text(f, "jail", p->jail) == 0 &&
	    fact_text(f, "working directory", p->chdir) == 0 &&
	    describe_socket(p, f) == 0 &&
	    fact_number(f, "workers", p->workers) == 0 &&
	    fact_number(f, "most workers", p->max_workers) == 0 &&
	    fact_number(f, "idle timeout", c->idle_timeout) == 0 &&
	    describe_environment(p, shown, f) == 0 &&
	    describe_limits(c, f) == 0 &&
	    describe_times(c, f) == 0 && describe_log(p, f) == 0 &&
	    describe_rest(p, f) == 0)
		return 0;
	facts_free(f);
	return -1;
}

const struct fact *
facts_find(const struct facts *f, const char *key)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		if (strcmp(f->list[i].key, key) == 0)
			return &f->list[i];
	}
	return NULL;
}

void
facts_free(struct facts *f)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		free(f->list[i].key);
		free(f->list[i].value);
	}
	free(f->list);
	*f = (struct facts){ NULL, 0 };
}
