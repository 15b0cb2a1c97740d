/* SPDX-License-Identifier: ISC */
/* A command line to parse, as the tests write it: words, then NULL. */
#ifndef WORDS_H
#define WORDS_H

#include "base/base.h"
#include "config/alias.h"
#include "config/option.h"
#include "unit.h"

#define WORDS	32

static struct conf c;
static struct err e;
static char *words[WORDS];

/* Puts words behind the n that are there. Returns how many there are then. */
static inline int
words_add(int n, const char *const *list)
{
	for (; *list != NULL; list++) {
		assert_true(n < WORDS - 1);
		words[n++] = (char *)*list;
	}
	words[n] = NULL;
	return n;
}

/* Parses "spawnd" and the words. */
static inline int
words_parse(const char *const *list)
{
	words[0] = (char *)"spawnd";
	memset(&e, 0, sizeof(e));
	return options_parse(&c, words_add(1, list), words, &e);
}

#define parse(...)	words_parse((const char *const[]){ __VA_ARGS__ })

/* Tear-down of a test. */
static inline int
words_forget(void **arg)
{
	(void)arg;
	options_free(&c);
	return 0;
}

#endif
