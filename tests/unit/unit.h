/* SPDX-License-Identifier: ISC */
/* What every unit test includes, in the order cmocka.h asks for. */
#ifndef UNIT_H
#define UNIT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* Fails unless `part` stands somewhere in `text`. */
#define assert_has(text, part) do {					\
	const char *text_ = (text);					\
									\
	if (strstr(text_, (part)) == NULL)				\
		fail_msg("\"%s\" is not in \"%s\"", (part), text_);	\
} while (0)

#define assert_has_not(text, part) do {					\
	const char *text_ = (text);					\
									\
	if (strstr(text_, (part)) != NULL)				\
		fail_msg("\"%s\" is in \"%s\"", (part), text_);		\
} while (0)

/* As assert_in_range() of cmocka, which its version 2 calls deprecated. */
#define assert_between(number, from, to) do {				\
	const intmax_t number_ = (intmax_t)(number);			\
									\
	if (number_ < (intmax_t)(from) || number_ > (intmax_t)(to))	\
		fail_msg("%jd is not from %jd to %jd", number_,		\
		    (intmax_t)(from), (intmax_t)(to));			\
} while (0)

#endif
