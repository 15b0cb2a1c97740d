/* SPDX-License-Identifier: ISC */
/* A command line, a word a line; the first is the name it is started by. */
#include "fuzz.h"
#include "base/base.h"
#include "config/alias.h"
#include "config/option.h"

#define WORDS	64

/* spawn-fcgi's makes a relative path one of its own. */
static void
free_path(const struct conf *c, const char *text, size_t size)
{
	if (c->argc > 0 && (c->argv[0] < text || c->argv[0] > text + size))
		free(c->argv[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), *rest = text;
	char *words[WORDS + 1];
	struct conf c;
	struct err e;
	int n = 0;

	while (n < WORDS && (words[n] = strsep(&rest, "\n")) != NULL)
		n++;
	words[n] = NULL;
	if (compat_parse(&c, n, words, &e) == 0)
		free_path(&c, text, size);
	else if (e.status == 0 || e.text[0] == '\0')
		abort();
	options_free(&c);
	free(text);
	return 0;
}
