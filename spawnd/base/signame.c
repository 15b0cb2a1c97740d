/* SPDX-License-Identifier: ISC */
/* The names of the signals that all systems have. */
#include <sys/wait.h>

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "base/units.h"

static const struct {
	int		 number;
	const char	*name;
} names[] = {
	{ SIGHUP, "HUP" },	{ SIGINT, "INT" },	{ SIGQUIT, "QUIT" },
	{ SIGILL, "ILL" },	{ SIGTRAP, "TRAP" },	{ SIGABRT, "ABRT" },
	{ SIGBUS, "BUS" },	{ SIGFPE, "FPE" },	{ SIGKILL, "KILL" },
	{ SIGUSR1, "USR1" },	{ SIGSEGV, "SEGV" },	{ SIGUSR2, "USR2" },
	{ SIGPIPE, "PIPE" },	{ SIGALRM, "ALRM" },	{ SIGTERM, "TERM" },
	{ SIGCHLD, "CHLD" },	{ SIGCONT, "CONT" },	{ SIGSTOP, "STOP" },
	{ SIGTSTP, "TSTP" },	{ SIGTTIN, "TTIN" },	{ SIGTTOU, "TTOU" },
	{ SIGURG, "URG" },	{ SIGXCPU, "XCPU" },	{ SIGXFSZ, "XFSZ" },
	{ SIGVTALRM, "VTALRM" }, { SIGPROF, "PROF" },	{ SIGWINCH, "WINCH" },
	{ SIGIO, "IO" },	{ SIGSYS, "SYS" },
};

#define NNAMES	(sizeof(names) / sizeof(names[0]))

int
signame_number(const char *name)
{
	const char *why;
	size_t i;
	int n;

	if (isdigit((unsigned char)name[0])) {
		n = (int)strtonum(name, 1, NSIG - 1, &why);
		return why == NULL ? n : -1;
	}
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (i = 0; i < NNAMES; i++) {
		if (strcasecmp(name, names[i].name) == 0)
			return names[i].number;
	}
	return -1;
}

const char *
signame_name(int signo)
{
	size_t i;

	for (i = 0; i < NNAMES; i++) {
		if (names[i].number == signo)
			return names[i].name;
	}
	return NULL;
}

void
signame_wait_status(int status, char *buf, size_t size)
{
	const char *name;

	if (status == STATUS_UNKNOWN) {
		strlcpy(buf, "ended, its status is unknown", size);
		return;
	}
	if (WIFEXITED(status)) {
		snprintf(buf, size, "exited with status %d",
		    WEXITSTATUS(status));
		return;
	}
	name = signame_name(WTERMSIG(status));
	if (name != NULL)
		snprintf(buf, size, "was killed by SIG%s%s", name,
		    WCOREDUMP(status) ? " (core dumped)" : "");
	else
		snprintf(buf, size, "was killed by signal %d%s",
		    WTERMSIG(status), WCOREDUMP(status) ?
		    " (core dumped)" : "");
}
