/* SPDX-License-Identifier: ISC */
/*
 * A worker that was broken into. It serves like any other until it is told,
 * by QUERY_STRING, what to do with all that its user may do. The answer comes
 * first; it names the process in X-Pid.
 *
 *   siblings=N     sends signal N to the supervisor's other children
 *   parent=N       sends it to the supervisor
 *   group=N        sends it to the supervisor's process group
 *   all=N          sends it to every process it may
 *   hide=N         N children in sessions of their own that use the cpu, twice
 *                  forked: the supervisor becomes their parent
 *   serve=N        N such children that keep the listen socket and accept
 *   shut           shuts the listen socket down
 *   nonblock       makes it non-blocking
 *   backlog=N      listens on it again
 *   unfilter       takes its filter off, changes it, unlocks it; EPERM: none of
 *                  that was allowed
 *   flood=MS       writes to descriptor 2 as fast as it can
 *   deaf           ignores every signal, and outlives the supervisor
 *   stop           stops itself
 *   away           becomes the leader of a session of its own
 *   join           joins the supervisor's process group
 *   limit=NAME     lowers that limit of the supervisor to 0: nofile, fsize,
 *                  nproc, as, stack, or all of them; soft: only the soft
 *                  limit of descriptors
 *   slow           gives the supervisor the least of the cpu
 *   fds=N          opens N descriptors
 *   threads=N      starts N threads
 *   tree=N         forks N children that only wait
 *   trace=HOW      a child traces others, and never waits for them: of the
 *                  supervisor's other children or, with p, of this process
 *                  the first task (f), the others (o) or all (fo); x: they
 *                  are stopped once more at their exit; k: it keeps their
 *                  output open
 *   traceme        asks its parent to trace it; it is stopped by each signal
 *   dup            accepts on a duplicate of the listen socket from now on
 *   uring          accepts by io_uring from now on
 *   sulk           accepts nobody any more
 *   forks=MS       a child forks children that end at once, for so long
 *   hop=N          N children in a session of their own, each of which forks
 *                  the next and ends, for 20 seconds
 *   leave          exits 0
 *   control=HOW:PATH:COMMAND
 *                  sends a command, with "+" for a blank, to that socket;
 *                  its result is the status of the answer; HOW: s: itself; c:
 *                  a child does; o: an orphan, in a session of its own; g: on
 *                  a connection that a child has made, which is gone by then
 *   wait=MS        sleeps in epoll_wait and in recv with a timeout by turns;
 *                  its result is how often one of them was interrupted
 *
 * The result of each is a line "NAME ERRNO" of the answer where it is made
 * before that, and nothing else is said of it.
 *
 * With the argument "leaderless" its first thread ends before another serves;
 * with "threaded" it has two threads; with "doomed" it exits 3 at once, traced
 * by a child of its own.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <linux/filter.h>
#include <linux/io_uring.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <fcgiapp.h>

static pid_t supervisor;
static int listener;		/* where it accepts */

static int
result(int r)
{
	return r == -1 ? errno : 0;
}

static pid_t
parent_of(pid_t pid)
{
	char path[32], line[512], *s;
	int ppid = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return -1;
	if (fgets(line, sizeof(line), f) != NULL &&
	    (s = strrchr(line, ')')) != NULL)
		sscanf(s + 1, " %*c %d", &ppid);
	fclose(f);
	return ppid;
}

static int
signal_siblings(int signo)
{
	struct dirent *de;
	pid_t pid;
	DIR *d;
	int r = ESRCH;

	if ((d = opendir("/proc")) == NULL)
		return errno;
	while ((de = readdir(d)) != NULL) {
		pid = (pid_t)atoi(de->d_name);
		if (pid > 0 && pid != getpid() && parent_of(pid) == supervisor)
			r = result(kill(pid, signo));
	}
	closedir(d);
	return r;
}

/* Twice forked, in a session of its own: nobody's child any more. */
static int
hide(int n, int serves)
{
	pid_t pid;

	for (; n > 0; n--) {
		if ((pid = fork()) == -1)
			return errno;
		if (pid > 0) {
			waitpid(pid, NULL, 0);
			continue;
		}
		if (fork() != 0)
			_exit(0);
		setsid();
		prctl(PR_SET_PDEATHSIG, 0);
		if (serves) {
			for (;;)
				close(accept(0, NULL, NULL));
		}
		close(0);
		for (;;)
			(void)getppid();
	}
	return 0;
}

static int
flood(int ms)
{
	static char block[65536];
	struct timespec t;
	long until;

	memset(block, 'f', sizeof(block));
	block[sizeof(block) - 1] = '\n';
	clock_gettime(CLOCK_MONOTONIC, &t);
	until = t.tv_sec * 1000 + t.tv_nsec / 1000000 + ms;
	do {
		if (write(STDERR_FILENO, block, sizeof(block)) == -1)
			return errno;
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < until);
	return 0;
}

static int
be_deaf(void)
{
	int signo;

	for (signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, 0);
	return 0;
}

static int
limit(const char *name)
{
	static const struct {
		const char	*name;
		int		 resource;
	} limits[] = {
		{ "nofile", RLIMIT_NOFILE }, { "fsize", RLIMIT_FSIZE },
		{ "nproc", RLIMIT_NPROC }, { "as", RLIMIT_AS },
		{ "stack", RLIMIT_STACK },
	};
	struct rlimit none = { 0, 0 }, files;
	int r = ENOENT;
	size_t i;

	if (strcmp(name, "soft") == 0 && prlimit(supervisor, RLIMIT_NOFILE,
	    NULL, &files) == 0) {
		files.rlim_cur = 5;
		return result(prlimit(supervisor, RLIMIT_NOFILE, &files,
		    NULL));
	}
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (strcmp(name, limits[i].name) == 0 ||
		    strcmp(name, "all") == 0)
			r = result(prlimit(supervisor,
			    limits[i].resource, &none, NULL));
	}
	return r;
}

static int
slow(void)
{
	struct sched_param none = { .sched_priority = 0 };

	setpriority(PRIO_PROCESS, (id_t)supervisor, 19);
	return result(sched_setscheduler(supervisor, SCHED_IDLE, &none));
}

static int
open_fds(int n)
{
	struct rlimit r = { 65536, 65536 };

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	for (; n > 0; n--) {
		if (dup(STDERR_FILENO) == -1)
			return errno;
	}
	return 0;
}

static void *
idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* Traces tasks of a process as trace= says; returns an errno. */
static int
seize(pid_t pid, const char *how)
{
	long opts = strchr(how, 'x') != NULL ? PTRACE_O_TRACEEXIT : 0;
	struct dirent *de;
	char path[64];
	pid_t tid;
	DIR *d;
	int r = ESRCH;

	snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)pid);
	if (strchr(how, 'k') != NULL && open(path, O_WRONLY) == -1)
		return errno;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	if ((d = opendir(path)) == NULL)
		return errno;
	while ((de = readdir(d)) != NULL) {
		tid = (pid_t)atoi(de->d_name);
		if (tid > 0 && strchr(how, tid == pid ? 'f' : 'o') != NULL)
			r = result((int)ptrace(PTRACE_SEIZE, tid, NULL,
			    opts));
	}
	closedir(d);
	return r;
}

static int
seize_siblings(pid_t me, const char *how)
{
	struct dirent *de;
	pid_t pid;
	DIR *d;
	int r = ESRCH;

	if ((d = opendir("/proc")) == NULL)
		return errno;
	while ((de = readdir(d)) != NULL) {
		pid = (pid_t)atoi(de->d_name);
		if (pid > 0 && pid != me && parent_of(pid) == supervisor &&
		    (r = seize(pid, how)) != 0)
			break;
	}
	closedir(d);
	return r;
}

static int
trace(const char *how)
{
	pid_t me = getpid();
	int ends[2], r = EIO;

	if (pipe(ends) == -1)
		return errno;
	switch (fork()) {
	case -1:
		return errno;
	case 0:
		close(0);
		r = strchr(how, 'p') != NULL ? seize(me, how) :
		    seize_siblings(me, how);
		if (write(ends[1], &r, sizeof(r)) == -1)
			_exit(1);
		/* Whose output it has must not be told from its own. */
		close(1);
		close(2);
		idle(NULL);
	}
	if (read(ends[0], &r, sizeof(r)) != sizeof(r))
		r = EIO;
	close(ends[0]);
	close(ends[1]);
	return r;
}

static int
start_threads(int n)
{
	pthread_attr_t small;
	pthread_t t;
	int r = 0;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	for (; n > 0 && r == 0; n--)
		r = pthread_create(&t, &small, idle, NULL);
	return r;
}

/* Whoever still held the listen socket would count as one that serves. */
static int
plant_tree(int n)
{
	int ends[2];
	char none;

	if (pipe(ends) == -1)
		return errno;
	for (; n > 0; n--) {
		switch (fork()) {
		case -1:
			return errno;
		case 0:
			close(0);
			close(ends[0]);
			close(ends[1]);
			idle(NULL);
		}
	}
	close(ends[1]);
	while (read(ends[0], &none, 1) == -1 && errno == EINTR)
		continue;
	close(ends[0]);
	return 0;
}

/* One ring, of one entry. */
static struct {
	int		 fd;
	unsigned int	*sq_tail, *sq_array, *cq_head, *cq_tail;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
} ring = { .fd = -1 };

static void *
ring_map(size_t size, off_t what)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, ring.fd, what);
}

static int
ring_open(void)
{
	struct io_uring_params p = { 0 };
	char *sq, *cq;

	if ((ring.fd = (int)syscall(SYS_io_uring_setup, 1, &p)) == -1)
		return errno;
	sq = ring_map(p.sq_off.array + p.sq_entries * sizeof(unsigned int),
	    IORING_OFF_SQ_RING);
	cq = ring_map(p.cq_off.cqes + p.cq_entries * sizeof(*ring.cqe),
	    IORING_OFF_CQ_RING);
	ring.sqe = ring_map(sizeof(*ring.sqe), IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || ring.sqe == MAP_FAILED)
		return errno;
	ring.sq_tail = (unsigned int *)(void *)(sq + p.sq_off.tail);
	ring.sq_array = (unsigned int *)(void *)(sq + p.sq_off.array);
	ring.cq_head = (unsigned int *)(void *)(cq + p.cq_off.head);
	ring.cq_tail = (unsigned int *)(void *)(cq + p.cq_off.tail);
	ring.cqe = (struct io_uring_cqe *)(void *)(cq + p.cq_off.cqes);
	return 0;
}

/* A connection by way of the ring, or -1. */
static int
ring_accept(void)
{
	unsigned int head = *ring.cq_head;

	memset(ring.sqe, 0, sizeof(*ring.sqe));
	ring.sqe->opcode = IORING_OP_ACCEPT;
	ring.sqe->fd = listener;
	ring.sq_array[0] = 0;
	__atomic_fetch_add(ring.sq_tail, 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0);
	while (__atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == head)
		syscall(SYS_io_uring_enter, ring.fd, 0, 1,
		    IORING_ENTER_GETEVENTS, NULL, 0);
	/* Of two completions, which are all there can be. */
	head = ring.cqe[head & 1].res < 0 ? UINT_MAX :
	    (unsigned int)ring.cqe[head & 1].res;
	__atomic_fetch_add(ring.cq_head, 1, __ATOMIC_RELEASE);
	return (int)head;
}

static int
fork_on(int ms)
{
	switch (fork()) {
	case -1:
		return errno;
	case 0:
		close(0);
		signal(SIGCHLD, SIG_IGN);
		for (; ms > 0; ms--) {
			if (fork() == 0)
				_exit(0);
			usleep(1000);
		}
		_exit(0);
	}
	return 0;
}

static int
hop(int n)
{
	time_t until = time(NULL) + 20;

	for (; n > 0; n--) {
		switch (fork()) {
		case -1:
			return errno;
		case 0:
			close(0);
			setsid();
			while (time(NULL) < until) {
				if (fork() > 0)
					_exit(0);
			}
			_exit(0);
		}
	}
	return 0;
}

static int
wait_in_turns(int ms)
{
	struct timeval patience = { .tv_usec = 20000 };
	int ep = epoll_create1(0), pair[2], n = 0;
	struct epoll_event ev;
	char c;

	if (ep == -1 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1)
		return -1;
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	for (; ms > 0; ms -= 40) {
		if (epoll_wait(ep, &ev, 1, 20) == -1)
			n++;
		if (recv(pair[0], &c, 1, 0) == -1 && errno != EAGAIN)
			n++;
	}
	close(pair[0]);
	close(pair[1]);
	close(ep);
	return n;
}

static int
connect_to(int fd, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	strncpy(un.sun_path, path, sizeof(un.sun_path) - 1);
	return connect(fd, (struct sockaddr *)&un, sizeof(un));
}

/* Sends a command. Returns the status of the answer. */
static int
command(int fd, const char *text)
{
	char line[256], answer[4096];
	size_t len = 0, i;
	ssize_t n;
	char *s;

	snprintf(line, sizeof(line), "%s\n", text);
	for (i = 0; line[i] != '\0'; i++) {
		if (line[i] == '+')
			line[i] = ' ';
	}
	if (write(fd, line, strlen(line)) == -1)
		return errno;
	while (len < sizeof(answer) - 1 &&
	    (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0) {
		len += (size_t)n;
		answer[len] = '\0';
		if ((s = strstr(answer, "error ")) != NULL)
			return atoi(s + 6);
		if (strstr(answer, "\nend\n") != NULL)
			return 0;
	}
	return EPIPE;
}

static int
control(const char *val)
{
	char copy[512], *how, *path, *text;
	int ends[2], fd, r = EIO;

	snprintf(copy, sizeof(copy), "%s", val);
	how = strtok(copy, ":");
	path = strtok(NULL, ":");
	text = strtok(NULL, ":");
	if (text == NULL || pipe(ends) == -1 ||
	    (fd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1)
		return EINVAL;
	if (how[0] == 's' || fork() == 0) {
		if (how[0] == 'o') {
			if (fork() != 0)
				_exit(0);
			setsid();
			while (getppid() != supervisor)
				usleep(1000);
		}
		r = connect_to(fd, path) == -1 ? errno : how[0] == 'g' ? 0 :
		    command(fd, text);
		if (write(ends[1], &r, sizeof(r)) == -1 || how[0] != 's')
			_exit(0);
	}
	if (read(ends[0], &r, sizeof(r)) != sizeof(r))
		r = EIO;
	if (how[0] != 's')
		wait(NULL);
	if (how[0] == 'g' && r == 0)
		r = command(fd, text);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	return r;
}

static int
unfilter(void)
{
	struct sock_filter all = { BPF_RET | BPF_K, 0, 0, 0xffffffff };
	struct sock_fprog program = { 1, &all };
	int off = 0;

	if (setsockopt(0, SOL_SOCKET, SO_ATTACH_FILTER, &program,
	    sizeof(program)) == 0 || errno != EPERM)
		return 0;
	if (setsockopt(0, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof(off)) ==
	    0 || errno != EPERM)
		return 0;
	return result(setsockopt(0, SOL_SOCKET, SO_DETACH_FILTER, &off,
	    sizeof(off)));
}

static int
act(const char *cmd, const char *val)
{
	int n = atoi(val);

	if (strcmp(cmd, "siblings") == 0)
		return signal_siblings(n);
	if (strcmp(cmd, "parent") == 0)
		return result(kill(supervisor, n));
	if (strcmp(cmd, "group") == 0)
		return result(kill(-getpgid(supervisor), n));
	if (strcmp(cmd, "all") == 0)
		return result(kill(-1, n));
	if (strcmp(cmd, "hide") == 0 || strcmp(cmd, "serve") == 0)
		return hide(n, cmd[0] == 's');
	if (strcmp(cmd, "shut") == 0)
		return result(shutdown(0, SHUT_RDWR));
	if (strcmp(cmd, "nonblock") == 0)
		return result(fcntl(0, F_SETFL, O_NONBLOCK));
	if (strcmp(cmd, "backlog") == 0 || strcmp(cmd, "unfilter") == 0)
		return cmd[0] == 'u' ? unfilter() : result(listen(0, n));
	if (strcmp(cmd, "flood") == 0)
		return flood(n);
	if (strcmp(cmd, "deaf") == 0)
		return be_deaf();
	if (strcmp(cmd, "stop") == 0)
		return result(raise(SIGSTOP));
	if (strcmp(cmd, "away") == 0)
		return result(setpgid(0, getpgid(supervisor)) == 0 ?
		    setsid() : -1);
	if (strcmp(cmd, "join") == 0)
		return result(setpgid(0, getpgid(supervisor)));
	if (strcmp(cmd, "limit") == 0)
		return limit(val);
	if (strcmp(cmd, "slow") == 0)
		return slow();
	if (strcmp(cmd, "fds") == 0)
		return open_fds(n);
	if (strcmp(cmd, "threads") == 0)
		return start_threads(n);
	if (strcmp(cmd, "tree") == 0)
		return plant_tree(n);
	if (strcmp(cmd, "trace") == 0)
		return trace(val);
	if (strcmp(cmd, "traceme") == 0)
		return result((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	if (strcmp(cmd, "dup") == 0)
		return (listener = dup(0)) == -1 ? errno : 0;
	if (strcmp(cmd, "uring") == 0)
		return ring_open();
	if (strcmp(cmd, "sulk") == 0)
		idle(NULL);
	if (strcmp(cmd, "forks") == 0 || strcmp(cmd, "hop") == 0)
		return cmd[0] == 'h' ? hop(n) : fork_on(n);
	if (strcmp(cmd, "leave") == 0)
		exit(0);
	if (strcmp(cmd, "control") == 0)
		return control(val);
	return strcmp(cmd, "wait") == 0 ? wait_in_turns(n) : EINVAL;
}

/* What leaves the worker unable to answer comes after the answer. */
static int
comes_late(const char *cmd)
{
	static const char *const late[] = { "siblings", "parent", "group",
	    "all", "shut", "flood", "stop", "leave", "sulk" };
	size_t i;

	for (i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		if (strcmp(cmd, late[i]) == 0)
			return 1;
	}
	return 0;
}

static void
sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static void
each(char *query, FCGX_Request *r, int late)
{
	char *cmd, *rest, *val;
	static char none[] = "";

	for (cmd = strtok_r(query, "&", &rest); cmd != NULL;
	    cmd = strtok_r(NULL, "&", &rest)) {
		if ((val = strchr(cmd, '=')) != NULL)
			*val++ = '\0';
		else
			val = none;
		if (strcmp(cmd, "token") == 0 || strcmp(cmd, "pid") == 0 ||
		    strcmp(cmd, "big") == 0 || cmd[0] == '\0')
			continue;
		if (strcmp(cmd, "sleep") == 0) {
			if (!late)
				sleep_ms(atoi(val));
		} else if (comes_late(cmd) != late)
			continue;
		else if (late)
			act(cmd, val);
		else
			FCGX_FPrintF(r->out, "%s %d\n", cmd, act(cmd, val));
	}
}

static void *
serve(void *arg)
{
	FCGX_Request r;
	const char *query;
	char early[512], later[512];

	FCGX_InitRequest(&r, 0, 0);
	for (;;) {
		r.listen_sock = listener;
		/* It accepts only where it has no connection kept open. */
		if (ring.fd != -1) {
			if ((r.ipcFd = ring_accept()) == -1)
				continue;
			r.keepConnection = 1;
		}
		if (FCGX_Accept_r(&r) != 0)
			break;
		query = FCGX_GetParam("QUERY_STRING", r.envp);
		snprintf(early, sizeof(early), "%s", query ? query : "");
		memcpy(later, early, sizeof(later));
		FCGX_FPrintF(r.out, "Content-Type: text/plain\r\n"
		    "X-Pid: %d\r\n\r\n", (int)getpid());
		each(early, &r, 0);
		FCGX_Finish_r(&r);
		each(later, &r, 1);
	}
	return arg;
}

int
main(int argc, char *argv[])
{
	pthread_t t;

	supervisor = getppid();
	/* As where no yama keeps processes of one user from that. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (FCGX_Init() != 0)
		return 1;
	signal(SIGTERM, SIG_DFL);
	if (argc > 1 && strcmp(argv[1], "doomed") == 0)
		return trace("pf") == 0 ? 3 : 4;
	if (argc > 1 && strcmp(argv[1], "threaded") == 0 &&
	    start_threads(1) != 0)
		return 1;
	if (argc > 1 && strcmp(argv[1], "leaderless") == 0) {
		if (pthread_create(&t, NULL, serve, NULL) != 0)
			return 1;
		pthread_exit(NULL);
	}
	serve(NULL);
	return 1;
}
