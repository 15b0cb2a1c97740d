/* SPDX-License-Identifier: ISC */
/*
 * The sample application of scripts/demo.sh: a page that says which worker
 * answered, as whom, and how many requests it has served so far.
 */
#include <sys/types.h>

#include <unistd.h>

#include <fcgiapp.h>

static const char *
param(const FCGX_Request *r, const char *name)
{
	const char *value = FCGX_GetParam(name, r->envp);

	return value != NULL ? value : "-";
}

int
main(void)
{
	FCGX_Request r;
	unsigned long served = 0;

	if (FCGX_Init() != 0 || FCGX_InitRequest(&r, 0, 0) != 0)
		return 1;
	while (FCGX_Accept_r(&r) >= 0) {
		/* Plain text: what the client sent cannot become markup. */
		FCGX_FPrintF(r.out,
		    "Content-Type: text/plain; charset=utf-8\r\n"
		    "X-Content-Type-Options: nosniff\r\n\r\n"
		    "Hello from a worker of spawnd.\n\n"
		    "request    %s %s\n"
		    "worker     pid %ld, child of %ld\n"
		    "runs as    uid %ld, gid %ld\n"
		    "served     %lu\n",
		    param(&r, "REQUEST_METHOD"), param(&r, "REQUEST_URI"),
		    (long)getpid(), (long)getppid(),
		    (long)getuid(), (long)getgid(), ++served);
	}
	return 0;
}
