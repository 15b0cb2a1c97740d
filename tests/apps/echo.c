/* SPDX-License-Identifier: ISC */
/* A worker that takes one connection at a time; answer.h has its commands. */
#include "answer.h"

int
main(int argc, char *argv[])
{
	FCGX_Request r;

	answer_setup(argc, argv);
	if (FCGX_Init() != 0 || FCGX_InitRequest(&r, 0, 0) != 0)
		return 1;
	while (FCGX_Accept_r(&r) >= 0)
		answer_request(&r);
	return 0;
}
