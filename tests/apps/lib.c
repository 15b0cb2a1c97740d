/* SPDX-License-Identifier: ISC */
/* bare.c's answers by libfcgi; with an argument by so many threads. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <fcgiapp.h>

static pthread_mutex_t accepting = PTHREAD_MUTEX_INITIALIZER;

/* What was posted, from now on the caller's to free. */
static char *
posted(FCGX_Request *r, int *n)
{
	const char *length = FCGX_GetParam("CONTENT_LENGTH", r->envp);
	int want = length != NULL ? atoi(length) : 0;
	char *body = malloc((size_t)want + 1);

	*n = body != NULL ? FCGX_GetStr(body, want, r->in) : 0;
	/* It closes a kept connection that was not read to its end. */
	while (FCGX_GetChar(r->in) != EOF)
		continue;
	return body;
}

static void
answer(FCGX_Request *r)
{
	const char *query = FCGX_GetParam("QUERY_STRING", r->envp);
	char token[128] = "";
	unsigned int ms = 0, size = 0;
	char *body;
	int n;

	body = posted(r, &n);
	if (query != NULL)
		sscanf(query, "%127s %u %u", token, &ms, &size);
	if (ms > 0)
		usleep(ms * 1000);
	FCGX_FPrintF(r->out, "Status: 200 OK\r\nContent-Type: text/plain"
	    "\r\n\r\n%s %d\n", token, (int)getpid());
	while (size-- > 0)
		FCGX_PutChar('x', r->out);
	FCGX_PutStr(body, n, r->out);
	free(body);
}

static void *
serve(void *arg)
{
	FCGX_Request r;
	int rc;

	(void)arg;
	if (FCGX_InitRequest(&r, 0, 0) != 0)
		return NULL;
	for (;;) {
		pthread_mutex_lock(&accepting);
		rc = FCGX_Accept_r(&r);
		pthread_mutex_unlock(&accepting);
		if (rc < 0)
			return NULL;
		answer(&r);
		FCGX_Finish_r(&r);
	}
}

int
main(int argc, char *argv[])
{
	pthread_t thread;
	int i, n = argc > 1 ? atoi(argv[1]) : 1;

	if (FCGX_Init() != 0)
		return 1;
	for (i = 1; i < n; i++) {
		if (pthread_create(&thread, NULL, serve, NULL) != 0)
			return 1;
	}
	serve(NULL);
	return 0;
}
