/* SPDX-License-Identifier: ISC */
/* A command line, a word a line. */
#include "fuzz.h"
#include "spawnd.h"

#define WORDS	64

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), *rest = text;
	char *words[WORDS + 1] = { "spawnd" };
	struct conf c;
	struct err e;
	int n = 1;

	while (n < WORDS && (words[n] = strsep(&rest, "\n")) != NULL)
		n++;
	words[n] = NULL;
	options_parse(&c, n, words, &e);
	options_free(&c);
	free(text);
	return 0;
}
