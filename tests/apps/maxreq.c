/* SPDX-License-Identifier: ISC */
/* A worker that exits 0 after PHP_FCGI_MAX_REQUESTS requests, as PHP does. */
#include "answer.h"

int
main(int argc, char *argv[])
{
	const char *max = getenv("PHP_FCGI_MAX_REQUESTS");
	FCGX_Request r;

	answer_setup(argc, argv);
	if (max != NULL)
		answer_max = atol(max);
	if (FCGX_Init() != 0 || FCGX_InitRequest(&r, 0, 0) != 0)
		return 1;
	while (FCGX_Accept_r(&r) >= 0)
		answer_request(&r);
	return 0;
}
