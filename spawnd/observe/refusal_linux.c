/* SPDX-License-Identifier: ISC */
/* Why a worker cannot be traced although others can: the log says it once. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "observe/door.h"
#include "observe/end.h"
#include "observe/linux.h"

#define REASON_SIZE	128

static void
refusal_explain(pid_t pid, pid_t tid, int error, char why[REASON_SIZE])
{
	char status[4096], name[END_NAME], link[16];
	long tracer;

	if (proc_read_task(pid, tid, "status", status, sizeof(status)) <= 0)
		status[0] = '\0';
	if ((tracer = parse_field(status, "TracerPid")) > 0) {
		end_name((pid_t)tracer, name);
		snprintf(why, REASON_SIZE, "process %ld (%s) traces it",
		    tracer, name);
		return;
	}
	if (status[0] != '\0' && !parse_is_user(status, getuid())) {
		strlcpy(why, "it runs as another user", REASON_SIZE);
		return;
	}
	snprintf(link, sizeof(link), "%d/exe", (int)pid);
	if (error == EPERM && proc_readlink(link, name, sizeof(name)) == -1)
		strlcpy(why, "its user may not read its program, or it has "
		    "cleared its dumpable flag", REASON_SIZE);
	else
		strlcpy(why, strerror(error), REASON_SIZE);
}

void
refusal_note(pid_t pid, pid_t tid, int error)
{
	static bool said;
	char why[REASON_SIZE];

	if (said)
		return;
	said = true;
	refusal_explain(pid, tid, error, why);
	log_info("worker %d: cannot be kept from new connections: %s (such a "
	    "worker ends when it is seen idle; logged once)", (int)pid, why);
}
