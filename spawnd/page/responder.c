/* SPDX-License-Identifier: ISC */
/*
 * spawnd-status: answers the FastCGI requests of a web server, one after
 * another. All that knows FastCGI is here.
 */
#include <fcgiapp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/base.h"
#include "page/page.h"

static const char *prefix = PAGE_PREFIX;

static void
print_help(void)
{
	puts("usage: spawnd-status [--prefix PATH] [NAME|[NAME=]PATH ...]\n\n"
	    "Started by spawnd, it shows these pools, or all that it may "
	    "read, to a web\nserver.\n\n"
	    "  --prefix PATH   what the paths begin with (" PAGE_PREFIX ")\n"
	    "  -v, --version   print the version\n"
	    "  -h, --help      print this");
	exit(fflush(stdout) == EOF ? EX_IOERR : 0);
}

/* Returns 0, or -1 with *e set. */
static int
read_words(char *argv[], struct err *e)
{
	const char *word;

	while ((word = *argv++) != NULL) {
		if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
			print_help();
		if (strcmp(word, "-v") == 0 ||
		    strcmp(word, "--version") == 0) {
			puts("spawnd-status " SPAWND_VERSION);
			exit(fflush(stdout) == EOF ? EX_IOERR : 0);
		}
		if (strncmp(word, "--prefix=", 9) == 0)
			prefix = word + 9;
		else if (strcmp(word, "--prefix") == 0) {
			if ((prefix = *argv) == NULL)
				return err_set(e, EX_USAGE, "--prefix: needs "
				    "a value (a path of the web server)");
			argv++;
		} else if (word[0] == '-')
			return err_set(e, EX_USAGE, "%s: no such option (-h "
			    "lists them)", word);
		else if (gather_name(word, e) == -1)
			return -1;
	}
	if (prefix[0] != '/' || (prefix[1] != '\0' &&
	    !request_is_name(strrchr(prefix, '/') + 1, strlen(strrchr(prefix,
	    '/') + 1))))
		return err_set(e, EX_USAGE, "--prefix: %s: must begin with a "
		    "slash and end with a word (A-Z a-z 0-9 . _ -)", prefix);
	return 0;
}

static void
send_head(FCGX_Stream *out, const struct answer *a)
{
	FCGX_FPrintF(out, "Status: %d %s\r\nContent-Type: %s\r\n"
	    "Content-Length: %lu\r\nCache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: no-referrer\r\n", a->status,
	    answer_reason(a->status), a->type, (unsigned long)a->len);
	if (a->status == 405)
		FCGX_PutS("Allow: GET, HEAD\r\n", out);
	if (a->location[0] != '\0')
		FCGX_FPrintF(out, "Location: %s\r\n", a->location);
	FCGX_PutS("Content-Security-Policy: default-src 'none'; "
	    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
	    out);
	if (a->nonce[0] != '\0')
		FCGX_FPrintF(out, "; connect-src 'self'; style-src "
		    "'nonce-%s'; script-src 'nonce-%s'", a->nonce, a->nonce);
	FCGX_PutS("\r\n\r\n", out);
}

static void
serve(FCGX_Request *r)
{
	struct params p = {
		.method = FCGX_GetParam("REQUEST_METHOD", r->envp),
		.script = FCGX_GetParam("SCRIPT_NAME", r->envp),
		.info = FCGX_GetParam("PATH_INFO", r->envp),
		.query = FCGX_GetParam("QUERY_STRING", r->envp),
	};
	struct answer a;

	answer_make(&p, prefix, &a);
	send_head(r->out, &a);
	/* An answer to HEAD with a body breaks some web servers. */
	if (a.body != NULL && (p.method == NULL || strcmp(p.method, "HEAD") !=
	    0))
		FCGX_PutStr(a.body, (int)a.len, r->out);
	answer_free(&a);
}

int
main(int argc, char *argv[])
{
	struct err e = { 0, "" };
	FCGX_Request r;

	signal(SIGPIPE, SIG_IGN);
	tzset();
	if (argc > 0 && read_words(argv + 1, &e) == -1) {
		fprintf(stderr, "spawnd-status: %s\n", e.text);
		return e.status;
	}
	if (FCGX_IsCGI()) {
		fprintf(stderr, "spawnd-status: standard input is no listen "
		    "socket: spawnd starts it (see spawnd-status(8))\n");
		return EX_USAGE;
	}
	if (FCGX_Init() != 0 || FCGX_InitRequest(&r, 0, 0) != 0) {
		fprintf(stderr, "spawnd-status: out of memory\n");
		return EX_OSERR;
	}
	while (FCGX_Accept_r(&r) >= 0) {
		serve(&r);
		FCGX_Finish_r(&r);
	}
	fprintf(stderr, "spawnd-status: no connections are accepted any "
	    "more\n");
	return EX_OSERR;
}
