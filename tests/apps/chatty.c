/* SPDX-License-Identifier: ISC */
/*
 * A worker that talks. It serves like echo (answer.h), after it has carried
 * out the commands of the request's parameter SAY, a list like QUERY_STRING:
 *   bytes       a line of every byte value but the newline, between < and >
 *   line=N      a line of N bytes, 0123456789012...
 *   out=TEXT    a line to descriptor 1
 *   part=TEXT   TEXT without a newline
 *   flood=N     N lines of 100 bytes, each with its number
 *   chunks=N*M  N lines of M bytes, each with its number
 *   hold=SEC    leaves a process that holds descriptors 1 and 2 so long
 *   later=TEXT  leaves one that writes a line when the worker has ended
 */
#include "answer.h"

static void
say(const char *text, size_t len)
{
	ssize_t n;

	for (; len > 0; text += n, len -= (size_t)n) {
		n = write(STDERR_FILENO, text, len);
		if (n == -1 && errno == EINTR)
			n = 0;
		else if (n == -1)
			_exit(98);
	}
}

static void
say_bytes(void)
{
	char line[260];
	size_t n = 0;
	int c;

	line[n++] = '<';
	for (c = 0; c < 256; c++) {
		if (c != '\n')
			line[n++] = (char)c;
	}
	line[n++] = '>';
	line[n++] = '\n';
	say(line, n);
}

static char *
room(size_t size)
{
	char *s = malloc(size + 32);

	if (s == NULL)
		_exit(97);
	return s;
}

static void
say_line(size_t len)
{
	char *line = room(len);
	size_t i;

	for (i = 0; i < len; i++)
		line[i] = (char)('0' + i % 10);
	line[len] = '\n';
	say(line, len + 1);
	free(line);
}

/* count lines of size bytes with the newline, many to a write if short. */
static void
say_lines(long count, size_t size)
{
	size_t batch = size < 16384 ? 16384 / size : 1;
	char *buf = room(batch * size), head[32];
	size_t i, n;
	long serial = 0;

	while (serial < count) {
		for (i = 0; i < batch && serial < count; i++) {
			n = (size_t)snprintf(head, sizeof(head), "#%ld ",
			    ++serial);
			memset(buf + i * size, 'x', size);
			memcpy(buf + i * size, head, n);
			buf[(i + 1) * size - 1] = '\n';
		}
		say(buf, i * size);
	}
	free(buf);
}

static void
hold(unsigned int sec, const char *text)
{
	pid_t worker = getpid(), pid = fork();

	if (pid == -1)
		_exit(96);
	if (pid > 0)
		return;
	/* Neither the listen socket nor the connection is its own. */
	closefrom(STDERR_FILENO + 1);
	close(STDIN_FILENO);
	signal(SIGALRM, SIG_DFL);
	alarm(sec);
	while (text == NULL || getppid() == worker)
		answer_sleep(10);
	answer_line(text);
	_exit(0);
}

static void
carry_out(const char *cmd, const char *val)
{
	const char *size = strchr(val, '*');
	long n = atol(val);

	if (strcmp(cmd, "bytes") == 0)
		say_bytes();
	else if (strcmp(cmd, "line") == 0)
		say_line((size_t)n);
	else if (strcmp(cmd, "part") == 0)
		say(val, strlen(val));
	else if (strcmp(cmd, "flood") == 0)
		say_lines(n, 100);
	else if (strcmp(cmd, "chunks") == 0 && size != NULL)
		say_lines(n, (size_t)atol(size + 1));
	else if (strcmp(cmd, "hold") == 0)
		hold((unsigned int)n, NULL);
	else if (strcmp(cmd, "later") == 0)
		hold(30, val);
	else if (strcmp(cmd, "out") == 0)
		dprintf(STDOUT_FILENO, "%s\n", val);
	else
		_exit(95);
}

static void
talk(const char *commands)
{
	char *copy, *cmd, *rest, *val;
	static char none[] = "";

	if ((copy = strdup(commands)) == NULL)
		_exit(97);
	for (cmd = strtok_r(copy, "&", &rest); cmd != NULL;
	    cmd = strtok_r(NULL, "&", &rest)) {
		if ((val = strchr(cmd, '=')) != NULL)
			*val++ = '\0';
		else
			val = none;
		carry_out(cmd, val);
	}
	free(copy);
}

int
main(int argc, char *argv[])
{
	FCGX_Request r;
	const char *commands;

	answer_setup(argc, argv);
	if (FCGX_Init() != 0 || FCGX_InitRequest(&r, 0, 0) != 0)
		return 1;
	while (FCGX_Accept_r(&r) >= 0) {
		commands = FCGX_GetParam("SAY", r.envp);
		if (commands != NULL)
			talk(commands);
		answer_request(&r);
	}
	return 0;
}
