/* SPDX-License-Identifier: ISC */
/* Each test has one answer, and what was written of it. */
#ifndef ONE_REPLY_H
#define ONE_REPLY_H

#include "replies.h"

static struct reply a;

static int
begin(void **arg)
{
	(void)arg;
	a = (struct reply){ NULL, 0 };
	return setenv("TZ", "UTC", 1);
}

static int
end(void **arg)
{
	(void)arg;
	reply_free(&a);
	free(shown);
	shown = NULL;
	return 0;
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)

#endif
