/* SPDX-License-Identifier: ISC */
/* A worker whose threads all wait in accept, while main waits for them. */
#include <pthread.h>

#include "answer.h"

#define NTHREADS	4

static void *
serve(void *arg)
{
	FCGX_Request r;

	(void)arg;
	if (FCGX_InitRequest(&r, 0, 0) != 0)
		exit(1);
	while (FCGX_Accept_r(&r) >= 0)
		answer_request(&r);
	return NULL;
}

int
main(int argc, char *argv[])
{
	pthread_t t[NTHREADS];
	int i;

	answer_setup(argc, argv);
	if (FCGX_Init() != 0)
		return 1;
	for (i = 0; i < NTHREADS; i++) {
		if (pthread_create(&t[i], NULL, serve, NULL) != 0)
			return 1;
	}
	for (i = 0; i < NTHREADS; i++)
		pthread_join(t[i], NULL);
	return 0;
}
