/* SPDX-License-Identifier: ISC */
/*
 * A worker that never waits in accept: it polls a non-blocking listen
 * socket, as event-driven programs do.
 */
#include <poll.h>

#include "answer.h"

int
main(int argc, char *argv[])
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	FCGX_Request r;

	answer_setup(argc, argv);
	if (FCGX_Init() != 0)
		return 1;
	for (;;) {
		/* Each time: spawnd clears the flag for all at every start. */
		if (fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK) == -1)
			return 1;
		if (poll(&p, 1, -1) == -1 && errno != EINTR)
			return 1;
		/* Others may have been faster, so a failure means nothing. */
		if (FCGX_InitRequest(&r, 0, 0) != 0)
			return 1;
		if (FCGX_Accept_r(&r) >= 0)
			answer_request(&r);
		FCGX_Free(&r, 1);
	}
}
