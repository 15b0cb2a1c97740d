/* SPDX-License-Identifier: ISC */
/* Answers as a daemon would have written them, for what shows them. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stdlib.h>

#include "base/base.h"
#include "client/client.h"
#include "proto/proto.h"
#include "unit.h"

static struct err e;
static char *shown;

/* Adds lines, each one record. */
static inline void
answers_add(struct reply *a, const char *lines)
{
	struct proto_field fields[PROTO_FIELDS];
	struct proto_record r = { .fields = fields };
	char *copy = strdup(lines), *rest = copy, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '\0')
			continue;
		assert_int_equal(proto_parse(line, &r), 0);
		assert_int_equal(reply_add(a, &r, &e), 0);
	}
	free(copy);
}

#define POOL								\
	"pool name=php pid=7 version=0.1 state=up started=1700000000 "	\
	"uptime=93784.500 listen=unix:/run/x.sock "			\
	"owner=www:www\\x200660 user=_app application=/bin/php "	\
	"target=2 min=2 max=4 children=0 future=1\n"			\
	"workers total=2 starting=0 ready=2 retiring=0 stopping=0 "	\
	"backoff=1\n"							\
	"count started=12 recycled=3 crashed=1 failed=0 retired=0 "	\
	"killed=0 lost=0 reloads=2 reloads_failed=0 saturated=1.500\n"	\
	"guarantees proc=yes proc_detached=no queue=yes\n"
#define LOAD								\
	"queue now=3 limit=1024 peak=17\n"				\
	"connections now=1 peak=2\n"
#define WORKERS								\
	"worker slot=0 state=ready pid=11 age=5.250 ready_after=0.010 "	\
	"connections=1 busy=0.750 processes=2 cpu=0.120 rss=14155776\n"	\
	"worker slot=1 state=ready pid=12 age=65.000 ready_after=0.004 " \
	"connections=0 processes=1 cpu=1.120 rss=1048576 pss=4096 "	\
	"pss_age=2.000\n"						\
	"worker slot=2 state=backoff start_in=3.200\n"			\
	"sum busy=1 idle=1 processes=3 cpu=1.240 rss=15204352\n"

/* Collects what `call`, which uses f, writes, in `shown`. */
#define show(call) do {							\
	size_t size_;							\
	FILE *f;							\
									\
	free(shown);							\
	assert_non_null(f = open_memstream(&shown, &size_));		\
	assert_int_equal(call, 0);					\
	fclose(f);							\
} while (0)

/* Runs a program on what was shown. Returns its exit status. */
static inline int
answers_pipe(const char *command)
{
	FILE *p = popen(command, "w");	/* NOLINT(cert-env33-c): ours */

	assert_non_null(p);
	fputs(shown, p);
	return pclose(p);
}

#endif
