/* SPDX-License-Identifier: ISC */
/*
 * A parent as many programs have one: it starts N times PROGRAM, which serve,
 * and serves nobody itself. It passes TERM on to them at once, and ends when
 * they have.
 *
 *   prefork N PROGRAM [ARGUMENT...]
 */
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHILDREN_MAX	64

static pid_t children[CHILDREN_MAX];
static volatile sig_atomic_t over;

static void
pass_on(int signo)
{
	int i;

	over = 1;
	for (i = 0; i < CHILDREN_MAX; i++) {
		if (children[i] > 0)
			kill(children[i], signo);
	}
}

static void
start(int i, char *argv[])
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Told just now: nobody would tell this one. */
	if (!over && (children[i] = fork()) == 0) {
		signal(SIGTERM, SIG_DFL);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		execv(argv[0], argv);
		_exit(127);
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int
main(int argc, char *argv[])
{
	int i, n = argc > 2 ? atoi(argv[1]) : 0;
	pid_t pid;

	if (n < 1 || n > CHILDREN_MAX) {
		fprintf(stderr, "usage: prefork N PROGRAM [ARGUMENT...]\n");
		return 64;
	}
	signal(SIGTERM, pass_on);
	for (i = 0; i < n; i++)
		start(i, argv + 2);
	while ((pid = wait(NULL)) != -1 || errno == EINTR) {
		for (i = 0; pid > 0 && i < n; i++) {
			if (children[i] != pid)
				continue;
			children[i] = 0;
			if (!over)
				start(i, argv + 2);
		}
	}
	return 0;
}
