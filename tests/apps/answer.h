/* SPDX-License-Identifier: ISC */
/*
 * What the test workers have in common: how they answer a request, and how
 * they misbehave when told to.
 *
 * QUERY_STRING is a list of commands, carried out from left to right:
 *   token=T     sends it back as X-Token
 *   sleep=MS    sleeps before it answers
 *   hold        does so until SIGUSR2, for a minute at most
 *   crash       dies of SIGSEGV; abort: of SIGABRT
 *   exit=N      exits without an answer
 *   last=N      answers, then exits with N
 *   nonblock    sets O_NONBLOCK on the listen socket
 *   status=N    answers with that status of HTTP
 *   log=TEXT    writes a line to descriptor 2; stderr=TEXT: to FastCGI's
 *   pid         "pid N"; every answer has the header X-Pid, too
 *   env         "env NAME=VALUE" of the process; params: of the request
 *   facts       "NAME VALUE" of what the process can learn of itself, by
 *               system calls, as a jail has no /proc
 *   open=PATH   "open PATH 0" or the errno
 *   setuid=N    "setuid 0" or the errno
 *   dir         "cwd PATH"
 *   big=N       N times "x"
 *   stdin       "stdin LENGTH", then the body of the request (put it last)
 *
 * The arguments of the program are what it does before it serves:
 *   delay=MS    sleeps, in nanosleep, first
 *   never       pauses for ever instead; spin: uses cpu instead
 *   deaf        ignores SIGTERM and SIGUSR1
 *   usr1        exits 0 on SIGUSR1, ignores SIGTERM
 *   children=N  N children serve, the process itself only awaits them
 *   away        leaves the session and the process group
 *   say=TEXT    writes a line to descriptor 2
 *   failif=PATH exits 1 if there is such a file; zeroif=PATH: 0
 *   max=N       serves N requests, then exits 0
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <fcgiapp.h>

extern char **environ;

struct answer {
	char	token[128];
	int	status;		/* of HTTP */
	int	last;		/* status to exit with afterwards, or -1 */
	int	headers;	/* they are out */
};

static long answer_max;		/* requests to serve, 0: no end */

static void
answer_sleep(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		;
}

static sigjmp_buf answer_held;

static void
answer_let_go(int signo)
{
	siglongjmp(answer_held, signo);
}

static void
answer_hold(void)
{
	if (sigsetjmp(answer_held, 1) == 0) {
		signal(SIGUSR2, answer_let_go);
		answer_sleep(60000);
	}
	signal(SIGUSR2, SIG_IGN);
}

static void
answer_die(int signo)
{
	signal(signo, SIG_DFL);
	raise(signo);
	_exit(99);
}

static void
answer_line(const char *text)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) == -1)
		_exit(98);
}

static void
answer_headers(FCGX_Request *r, struct answer *a)
{
	if (a->headers)
		return;
	a->headers = 1;
	FCGX_FPrintF(r->out, "Status: %d\r\nContent-Type: text/plain\r\n"
	    "X-Pid: %d\r\nX-Token: %s\r\n\r\n", a->status, (int)getpid(),
	    a->token);
}

static void
answer_mask(FCGX_Request *r, const char *name, const sigset_t *set)
{
	int i;

	FCGX_FPrintF(r->out, "%s", name);
	for (i = 1; i <= 64; i++) {
		if (sigismember(set, i) == 1)
			FCGX_FPrintF(r->out, " %d", i);
	}
	FCGX_FPrintF(r->out, "\n");
}

static void
answer_facts(FCGX_Request *r)
{
	gid_t groups[64];
	uid_t u[3];
	gid_t g[3];
	sigset_t set;
	struct sigaction sa;
	struct rlimit lim;
	struct stat st;
	mode_t mask;
	int i, n;

	getresuid(&u[0], &u[1], &u[2]);
	getresgid(&g[0], &g[1], &g[2]);
	FCGX_FPrintF(r->out, "uid %d %d %d\n", (int)u[0], (int)u[1],
	    (int)u[2]);
	FCGX_FPrintF(r->out, "gid %d %d %d\n", (int)g[0], (int)g[1],
	    (int)g[2]);
	n = getgroups(64, groups);
	FCGX_FPrintF(r->out, "groups");
	for (i = 0; i < n; i++)
		FCGX_FPrintF(r->out, " %d", (int)groups[i]);
	FCGX_FPrintF(r->out, "\nnnp %d\n",
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	for (i = n = 0; i < 64; i++)
		n += prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
	FCGX_FPrintF(r->out, "bounding %d\n", n);
	FCGX_FPrintF(r->out, "pgrp %d\nsession %d\nppid %d\n",
	    (int)getpgrp(), (int)getsid(0), (int)getppid());
	mask = umask(0);
	umask(mask);
	FCGX_FPrintF(r->out, "umask %03o\n", (unsigned int)mask);
	FCGX_FPrintF(r->out, "nice %d\n", getpriority(PRIO_PROCESS, 0));
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0)
		FCGX_FPrintF(r->out, "nofile %d %d\n", (int)lim.rlim_cur,
		    (int)lim.rlim_max);
	sigprocmask(SIG_SETMASK, NULL, &set);
	answer_mask(r, "blocked", &set);
	sigemptyset(&set);
	for (i = 1; i <= 64; i++) {
		if (sigaction(i, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			sigaddset(&set, i);
	}
	answer_mask(r, "ignored", &set);
	FCGX_FPrintF(r->out, "fds");
	for (i = 0; i < 1024; i++) {
		/* The connection is the application's own. */
		if (fstat(i, &st) == 0 && i != r->ipcFd)
			FCGX_FPrintF(r->out, " %d", i);
	}
	FCGX_FPrintF(r->out, "\nlistener_flags %d\n",
	    fcntl(0, F_GETFL) & O_NONBLOCK ? 1 : 0);
	if (stat("/", &st) == 0)
		FCGX_FPrintF(r->out, "root %d\n", (int)st.st_ino);
}

static void
answer_list(FCGX_Request *r, const char *name, char **list)
{
	for (; list != NULL && *list != NULL; list++)
		FCGX_FPrintF(r->out, "%s %s\n", name, *list);
}

static void
answer_fill(FCGX_Request *r, long n)
{
	static const char block[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	const long size = (long)sizeof(block) - 1;

	for (; n > 0; n -= size)
		FCGX_PutStr(block, (int)(n < size ? n : size), r->out);
}

static void
answer_stdin(FCGX_Request *r)
{
	const char *len = FCGX_GetParam("CONTENT_LENGTH", r->envp);
	long left = len != NULL ? atol(len) : 0;
	char buf[8192];
	int n;

	FCGX_FPrintF(r->out, "stdin %d\n", (int)left);
	while (left > 0) {
		n = FCGX_GetStr(buf, left < (long)sizeof(buf) ? (int)left :
		    (int)sizeof(buf), r->in);
		if (n <= 0)
			break;
		FCGX_PutStr(buf, n, r->out);
		left -= n;
	}
}

/* The commands that write no body; returns 0 if it is another. */
static int
answer_early(FCGX_Request *r, struct answer *a, const char *cmd,
    const char *val)
{
	if (strcmp(cmd, "token") == 0)
		snprintf(a->token, sizeof(a->token), "%s", val);
	else if (strcmp(cmd, "sleep") == 0)
		answer_sleep(atol(val));
	else if (strcmp(cmd, "hold") == 0)
		answer_hold();
	else if (strcmp(cmd, "crash") == 0)
		answer_die(SIGSEGV);
	else if (strcmp(cmd, "abort") == 0)
		answer_die(SIGABRT);
	else if (strcmp(cmd, "exit") == 0)
		_exit(atoi(val));
	else if (strcmp(cmd, "last") == 0)
		a->last = atoi(val);
	else if (strcmp(cmd, "nonblock") == 0)
		fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
	else if (strcmp(cmd, "status") == 0)
		a->status = atoi(val);
	else if (strcmp(cmd, "log") == 0)
		answer_line(val);
	else if (strcmp(cmd, "stderr") == 0)
		FCGX_FPrintF(r->err, "%s\n", val);
	else
		return 0;
	return 1;
}

static void
answer_late(FCGX_Request *r, const char *cmd, const char *val)
{
	char cwd[4096];
	int fd;

	if (strcmp(cmd, "pid") == 0)
		FCGX_FPrintF(r->out, "pid %d\n", (int)getpid());
	else if (strcmp(cmd, "env") == 0)
		answer_list(r, "env", environ);
	else if (strcmp(cmd, "params") == 0)
		answer_list(r, "param", r->envp);
	else if (strcmp(cmd, "facts") == 0)
		answer_facts(r);
	else if (strcmp(cmd, "open") == 0) {
		fd = open(val, O_RDONLY | O_CLOEXEC);
		FCGX_FPrintF(r->out, "open %s %d\n", val,
		    fd == -1 ? errno : 0);
		if (fd != -1)
			close(fd);
	} else if (strcmp(cmd, "setuid") == 0)
		FCGX_FPrintF(r->out, "setuid %d\n",
		    setuid((uid_t)atoi(val)) == -1 ? errno : 0);
	else if (strcmp(cmd, "dir") == 0)
		FCGX_FPrintF(r->out, "cwd %s\n",
		    getcwd(cwd, sizeof(cwd)) != NULL ? cwd : "?");
	else if (strcmp(cmd, "big") == 0)
		answer_fill(r, atol(val));
	else if (strcmp(cmd, "stdin") == 0)
		answer_stdin(r);
	else if (cmd[0] != '\0')
		FCGX_FPrintF(r->out, "unknown %s\n", cmd);
}

/* Answers a request that was accepted, and finishes it. */
static void
answer_request(FCGX_Request *r)
{
	struct answer a = { "", 200, -1, 0 };
	const char *query = FCGX_GetParam("QUERY_STRING", r->envp);
	char *copy, *cmd, *rest, *val;
	static char none[] = "";

	if ((copy = strdup(query != NULL ? query : "")) == NULL)
		_exit(97);
	for (cmd = strtok_r(copy, "&", &rest); cmd != NULL;
	    cmd = strtok_r(NULL, "&", &rest)) {
		val = strchr(cmd, '=');
		if (val != NULL)
			*val++ = '\0';
		else
			val = none;
		if (answer_early(r, &a, cmd, val))
			continue;
		answer_headers(r, &a);
		answer_late(r, cmd, val);
	}
	answer_headers(r, &a);
	free(copy);
	FCGX_Finish_r(r);
	if (a.last != -1)
		_exit(a.last);
	if (answer_max > 0 && --answer_max == 0)
		exit(0);
}

static void
answer_quit(int signo)
{
	(void)signo;
	_exit(0);
}

/* Forks children that serve, and does not return in their parent. */
static void
answer_fork(int n)
{
	pid_t pid;

	for (; n > 0; n--) {
		if ((pid = fork()) == -1)
			_exit(96);
		if (pid == 0)
			return;
	}
	while (wait(NULL) != -1 || errno == EINTR)
		;
	exit(0);
}

/* Carries out the program's arguments. */
static void
answer_setup(int argc, char *argv[])
{
	char *cmd, *val;
	static char none[] = "";
	int i;

	/*
	 * libfcgi catches SIGTERM, and spins for ever if that comes just
	 * after an accept, so it must be done before we say what we want.
	 */
	if (argc < 2 || strcmp(argv[1], "never") != 0) {
		if (FCGX_Init() != 0)
			exit(1);
		signal(SIGTERM, SIG_DFL);
	}
	for (i = 1; i < argc; i++) {
		cmd = argv[i];
		if ((val = strchr(cmd, '=')) != NULL)
			*val++ = '\0';
		else
			val = none;
		if (strcmp(cmd, "delay") == 0)
			answer_sleep(atol(val));
		else if (strcmp(cmd, "never") == 0)
			for (;;)
				pause();
		else if (strcmp(cmd, "spin") == 0)
			for (;;)
				(void)getppid();
		else if (strcmp(cmd, "deaf") == 0) {
			signal(SIGTERM, SIG_IGN);
			signal(SIGUSR1, SIG_IGN);
		} else if (strcmp(cmd, "usr1") == 0) {
			signal(SIGTERM, SIG_IGN);
			signal(SIGUSR1, answer_quit);
		} else if (strcmp(cmd, "children") == 0)
			answer_fork(atoi(val));
		else if (strcmp(cmd, "away") == 0)
			(void)setsid();
		else if (strcmp(cmd, "say") == 0)
			answer_line(val);
		else if (strcmp(cmd, "failif") == 0) {
			if (access(val, F_OK) == 0)
				exit(1);
		} else if (strcmp(cmd, "zeroif") == 0) {
			if (access(val, F_OK) == 0)
				exit(0);
		} else if (strcmp(cmd, "max") == 0)
			answer_max = atol(val);
		else {
			answer_line(cmd);
			exit(64);
		}
	}
}

#endif
