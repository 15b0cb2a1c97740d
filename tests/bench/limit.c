/* SPDX-License-Identifier: ISC */
/*
 * What no manager can beat: a parent that forks, execs and waits. SIGTERM goes
 * to all of its process group, which is its own, and ends it when they have.
 *
 *   limit SOCKET WORKERS PROGRAM [ARGUMENT...]
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t over;

static void
on_term(int signo)
{
	over = 1;
	signal(signo, SIG_IGN);
	kill(0, signo);
}

static void
spawn(char *argv[])
{
	if (fork() == 0) {
		signal(SIGTERM, SIG_DFL);
		execv(argv[0], argv);
		_exit(127);
	}
}

int
main(int argc, char *argv[])
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, i;

	if (argc < 4 || strlen(argv[1]) >= sizeof(un.sun_path)) {
		fprintf(stderr, "usage: limit SOCKET WORKERS PROGRAM "
		    "[ARGUMENT...]\n");
		return 64;
	}
	memcpy(un.sun_path, argv[1], strlen(argv[1]));
	close(STDIN_FILENO);
	if ((fd = socket(AF_UNIX, SOCK_STREAM, 0)) != STDIN_FILENO ||
	    bind(fd, (struct sockaddr *)&un, sizeof(un)) == -1 ||
	    listen(fd, 1024) == -1) {
		perror("limit");
		return 71;
	}
	signal(SIGTERM, on_term);
	for (i = 0; i < atoi(argv[2]); i++)
		spawn(argv + 3);
	while (wait(NULL) != -1) {
		if (!over)
			spawn(argv + 3);
	}
	return 0;
}
