/* SPDX-License-Identifier: ISC */
/*
 * What no manager can beat: a parent that forks, execs and waits.
 *
 *   limit SOCKET WORKERS PROGRAM [ARGUMENT...]
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
spawn(char *argv[])
{
	if (fork() == 0) {
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
	for (i = 0; i < atoi(argv[2]); i++)
		spawn(argv + 3);
	while (wait(NULL) != -1)
		spawn(argv + 3);
	return 0;
}
