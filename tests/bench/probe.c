/* SPDX-License-Identifier: ISC */
/*
 * Takes the times that a script is too slow for, in microseconds. ACCEPTS is
 * the file the workers note themselves in, "-" where they do not; the
 * workers' processes are those that were noted last.
 *
 *   probe start ACCEPTS SOCKET SCRIPT WORKERS COMMAND [ARGUMENT...]
 *	starts a manager, in the background; prints its pid, the time to the
 *	first answer and to the last of WORKERS that accepts:
 *	"pid N answer_us N accept_us N"
 *   probe kill ACCEPTS WORKERS TIMES PAUSE
 *	ends one of WORKERS with SIGKILL, awaits the next that accepts, pauses
 *	for PAUSE ms, and so on; prints a line for each
 *   probe killall ACCEPTS WORKERS
 *	ends all of them, awaits as many; prints the time
 *   probe killpid SOCKET SCRIPT PID
 *	ends a process and awaits the first answer after that
 *   probe ask SOCKET CALLS [PID]
 *	a request that makes so many system calls, with PID while that process
 *	stops, which is sent SIGTERM once it serves; prints its time
 *   probe burst SOCKET CLIENTS MS SCRIPT
 *	that many requests of MS at once; prints a line for each, and the kind
 *	of those that failed
 *   probe calls TIMES FILE
 *	as a worker: writes to FILE how many nanoseconds a call takes of which
 *	the filter of confined workers reads an argument, and waits
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "../apps/ask.h"
#include "accepts.h"

#define CLIENTS_MAX	1024
#define PATIENCE	(60 * 1000000UL)	/* usec */

static bool
await(const struct accepts *a, unsigned int n, uint64_t began)
{
	struct timespec second = { .tv_sec = 1 };
	unsigned int ready;

	while ((int)((ready = atomic_load(&a->ready)) - n) < 0) {
		if (now() - began > PATIENCE)
			return false;
		syscall(SYS_futex, &a->ready, FUTEX_WAIT, ready, &second,
		    NULL, 0);
	}
	return true;
}

static struct accepts *
map(const char *path)
{
	struct accepts *a = accepts_map(path);

	if (a == NULL) {
		perror(path);
		exit(71);
	}
	return a;
}

static pid_t
nth_last(const struct accepts *a, unsigned int n)
{
	return a->pids[(atomic_load(&a->ready) - n) % ACCEPTS_MAX];
}

static int
start(char *argv[])
{
	struct accepts *a = argv[0][0] != '-' ? map(argv[0]) : NULL;
	unsigned int n = (unsigned int)atoi(argv[3]);
	uint64_t began = now(), answered;
	int status;
	pid_t pid;

	script = argv[2];
	if (a != NULL)
		n += atomic_load(&a->ready);
	if (parse(argv[1]) == -1 || (pid = fork()) == -1)
		return 71;
	if (pid == 0) {
		setsid();
		prctl(PR_SET_TIMERSLACK, 0, 0, 0, 0);
		/* Only the results are for whoever reads ours. */
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execv(argv[4], argv + 4);
		_exit(127);
	}
	/* A manager may try its socket first, and close it again. */
	while (ask("start", "start 0 0") != ANSWERED) {
		if (now() - began > PATIENCE ||
		    (waitpid(pid, &status, WNOHANG) == pid && status != 0))
			return 75;
		usleep(20);
	}
	answered = now() - began;
	if (a != NULL && !await(a, n, began))
		return 75;
	printf("pid %d answer_us %lu accept_us %lu\n", (int)pid,
	    (unsigned long)answered, (unsigned long)(now() - began));
	return 0;
}

static int
kill_one(char *argv[])
{
	struct accepts *a = map(argv[0]);
	unsigned int workers = (unsigned int)atoi(argv[1]), n;
	int times = atoi(argv[2]);
	uint64_t began;

	for (; times > 0; times--) {
		usleep((useconds_t)atoi(argv[3]) * 1000);
		n = atomic_load(&a->ready);
		began = now();
		/* The one that has been there longest. */
		kill(nth_last(a, workers), SIGKILL);
		if (!await(a, n + 1, began))
			return 75;
		printf("%lu\n", (unsigned long)(now() - began));
	}
	return 0;
}

static int
kill_all(char *argv[])
{
	struct accepts *a = map(argv[0]);
	unsigned int workers = (unsigned int)atoi(argv[1]), i;
	unsigned int n = atomic_load(&a->ready);
	uint64_t began = now();

	for (i = 0; i < workers; i++)
		kill(a->pids[(n - 1 - i) % ACCEPTS_MAX], SIGKILL);
	if (!await(a, n + workers, began))
		return 75;
	printf("%lu\n", (unsigned long)(now() - began));
	return 0;
}

static int
kill_pid(char *argv[])
{
	uint64_t began;

	script = argv[1];
	if (parse(argv[0]) == -1)
		return 64;
	began = now();
	kill((pid_t)atoi(argv[2]), SIGKILL);
	/* The dying process may take a connection along. */
	while (ask("kill", "kill 0 0") != ANSWERED) {
		if (now() - began > PATIENCE)
			return 75;
	}
	printf("%lu\n", (unsigned long)(now() - began));
	return 0;
}

static int
ask_one(char *argv[])
{
	char query[64];
	uint64_t began;

	snprintf(query, sizeof(query), "ask 0 0 %s", argv[1]);
	if (parse(argv[0]) == -1)
		return 64;
	/* Not by a timer's signal: that would end our calls. */
	if (argv[2] != NULL && fork() == 0) {
		usleep(2000);
		kill((pid_t)atoi(argv[2]), SIGTERM);
		_exit(0);
	}
	began = now();
	if (ask("ask", query) != ANSWERED)
		return 75;
	printf("%lu\n", (unsigned long)(now() - began));
	return 0;
}

static pthread_barrier_t barrier;
static enum kind kinds[CLIENTS_MAX];
static uint64_t times[CLIENTS_MAX];

static void *
one_of_many(void *arg)
{
	int i = (int)(intptr_t)arg;
	char query[64];
	uint64_t began;

	snprintf(query, sizeof(query), "burst %u 0", ms);
	pthread_barrier_wait(&barrier);
	began = now();
	kinds[i] = ask("burst", query);
	times[i] = now() - began;
	return NULL;
}

static int
burst(char *argv[])
{
	static pthread_t threads[CLIENTS_MAX];
	int i, clients = atoi(argv[1]);

	ms = (unsigned int)atoi(argv[2]);
	script = argv[3];
	if (parse(argv[0]) == -1 || clients < 1 || clients > CLIENTS_MAX ||
	    pthread_barrier_init(&barrier, NULL, (unsigned int)clients) != 0)
		return 64;
	for (i = 0; i < clients; i++) {
		if (pthread_create(&threads[i], NULL, one_of_many,
		    (void *)(intptr_t)i) != 0)
			return 71;
	}
	for (i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < clients; i++) {
		if (kinds[i] == ANSWERED)
			printf("%lu\n", (unsigned long)times[i]);
		else
			printf("failed %d\n", (int)kinds[i]);
	}
	return 0;
}

/* usec of so many calls about its own limit. */
static uint64_t
loop_of_calls(unsigned long n)
{
	struct rlimit r;
	uint64_t began = now();

	while (n-- > 0)
		syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &r);
	return now() - began;
}

/* The best of ten: what is more is somebody else's. */
static int
calls(char *argv[])
{
	unsigned long n = strtoul(argv[0], NULL, 10);
	uint64_t took, least = UINT64_MAX;
	FILE *f;
	int i;

	for (i = 0; i < 10; i++) {
		took = loop_of_calls(n);
		least = took < least ? took : least;
	}
	if (n == 0 || (f = fopen(argv[1], "w")) == NULL)
		return 73;
	fprintf(f, "%.2f\n", (double)least * 1000 / (double)n);
	fclose(f);
	for (;;)
		pause();
}

int
main(int argc, char *argv[])
{
	static const struct {
		const char	*name;
		int		 least;		/* arguments */
		int		(*run)(char **);
	} commands[] = {
		{ "start", 5, start }, { "kill", 4, kill_one },
		{ "killall", 2, kill_all }, { "killpid", 3, kill_pid },
		{ "ask", 2, ask_one }, { "burst", 4, burst },
		{ "calls", 2, calls },
	};
	size_t i;

	/* Short sleeps are to be short. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (argc >= 2 + commands[i].least &&
		    strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argv + 2);
	}
	fprintf(stderr, "usage: probe start|kill|killall|killpid|ask|burst|"
	    "calls ...\n");
	return 64;
}
