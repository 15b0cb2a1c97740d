/* SPDX-License-Identifier: ISC */
/*
 * -t: checks before anything is started. As root it reads only what the start
 * itself would use as root. The application's files are checked by a child
 * that has entered the real jail, which also shows which guarantees that jail
 * gives here.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "preflight/inspect.h"
#include "preflight/preflight.h"
#include "privilege/privilege.h"

#define LOOK_SECONDS	20	/* for the child, which is ended then */
#define REAP_MS		5000	/* from its report to its end */
#define REPORT_SIZE	65536	/* bytes of the child's report */
#define PROCESSES_MAX	8192	/* that are read */
#define NEIGHBOURS	4	/* processes of the user to name */

static const char letters[] = {
	[FINDING_ERROR] = 'E', [FINDING_WARNING] = 'W', [FINDING_NOTE] = 'N',
};

/*
 * A listening socket, to find out whether the kernel shows its queue. Linux
 * binds a unix socket without an address to an abstract name.
 */
static int
any_listener(void)
{
	struct sockaddr none = { .sa_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s != -1 && bind(s, &none, sizeof(none.sa_family)) == 0)
		listen(s, 1);
	return s;
}

/*
 * The child. It writes lines of a letter and text: G and which guarantees hold,
 * R, the number of one that does not, and why, the findings, and Z as the last.
 */
static void __attribute__((noreturn))
run_scout(struct plan *p, int fd)
{
	struct guarantees g = { 0 };
	struct findings f = { 0 };
	char held[GUARANTEES];
	struct err e;
	size_t i;
	int r, s;

	signal(SIGALRM, SIG_DFL);
	alarm(LOOK_SECONDS);
	s = p->inherited != -1 ? p->inherited : any_listener();
	if (s > STDIN_FILENO)
		dup2(s, STDIN_FILENO);
	observe_init(&g);
	if (jail_enter(p, &g, &e) == -1 || confine_enter(p, &g, &e) == -1)
		findings_add(&f, FINDING_ERROR, e.status, "%s", e.text);
	else
		inspect_run(p, &f);
	for (i = 0; i < GUARANTEES; i++)
		held[i] = guarantee_holds(&g, i) ? '1' : '0';
	r = dprintf(fd, "G%.*s\n", GUARANTEES, held);
	for (i = 0; i < GUARANTEES && r > 0; i++) {
		if (guarantee_why(&g, i) != NULL)
			r = dprintf(fd, "R%c%s\n", '0' + (int)i,
			    guarantee_why(&g, i));
	}
	for (i = 0; i < f.n && r > 0; i++)
		r = dprintf(fd, "%c%s\n", letters[f.list[i].level],
		    f.list[i].text);
	if (r > 0)
		dprintf(fd, "Z\n");
	_exit(0);
}

/* Reads to the end of file. Returns the length; -1: too long, or too late. */
static ssize_t
read_report(int fd, char *buf, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t now, end = loop_now() + (LOOK_SECONDS + 5) * USEC;
	size_t len = 0;
	ssize_t n;

	for (;;) {
		if ((now = loop_now()) >= end || len == size ||
		    poll(&pfd, 1, (int)((end - now) / 1000)) != 1)
			return -1;
		if ((n = read(fd, buf + len, size - len)) < 0)
			return -1;
		if (n == 0)
			return (ssize_t)len;
		len += (size_t)n;
	}
}

static void
take_report_line(const char *line, struct findings *f, struct guarantees *g)
{
	size_t i;

	if (line[0] == 'R' && line[1] >= '0' && line[1] < '0' + GUARANTEES)
		guarantee_set_why(g, (size_t)(line[1] - '0'), line + 2);
	if (line[0] == 'G' && strlen(line) == 1 + GUARANTEES) {
		for (i = 0; i < GUARANTEES; i++)
			guarantee_set(g, i, line[1 + i] == '1');
	}
	for (i = 0; i < sizeof(letters); i++) {
		if (line[0] == letters[i])
			findings_add(f, (enum finding_level)i, EX_CONFIG,
			    "%s", line + 1);
	}
}

/* Returns true if the report is whole. */
static bool
take_report(char *report, size_t len, struct findings *f,
    struct guarantees *g)
{
	char *line, *end;

	for (line = report; (end = memchr(line, '\n', len)) != NULL;
	    line = end + 1) {
		*end = '\0';
		len -= (size_t)(end - line) + 1;
		if (strcmp(line, "Z") == 0)
			return true;
		take_report_line(line, f, g);
	}
	return false;
}

/* Returns true with *g filled if the child's report is whole. */
static bool
send_scout(struct plan *p, struct findings *f, struct guarantees *g)
{
	static char report[REPORT_SIZE];
	char why[64];
	int fds[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(fds) == -1 || (pid = fork()) == -1) {
		findings_add(f, FINDING_ERROR, EX_OSERR, "test: fork: %s",
		    strerror(errno));
		return false;
	}
	if (pid == 0) {
		close(fds[0]);
		run_scout(p, fds[1]);
	}
	close(fds[1]);
	if ((n = read_report(fds[0], report, sizeof(report))) == -1)
		kill(pid, SIGKILL);
	close(fds[0]);
	end_await(pid, &status, REAP_MS);
	if (n != -1 && take_report(report, (size_t)n, f, g) &&
	    WIFEXITED(status))
		return true;
	signame_wait_status(status, why, sizeof(why));
	findings_add(f, FINDING_ERROR, EX_CONFIG, "test: the process that "
	    "looked at the application's files %s (is one of them hostile, "
	    "or on a file system that hangs?)", n == -1 ?
	    "reported too much or did not finish" : why);
	return false;
}

/* Sends a child into the jail, or notes what cannot be checked without. */
static bool
check_inside(struct plan *p, struct findings *f, struct guarantees *g)
{
	const char *why = NULL;

	if (!p->root && p->needs_root)
		why = "only root can become another user or enter a jail";
	else if (p->ident.user == NULL)
		why = "the user is not known";
	else if (p->jail != NULL && p->jail_fd == -1)
		why = "the jail cannot be entered";
	if (why == NULL)
		return send_scout(p, f, g);
	findings_add(f, FINDING_NOTE, 0, "not checked: the application and "
	    "its files, the working directory: %s", why);
	if (!p->root)
		findings_add(f, FINDING_NOTE, 0, "not checked: whether "
		    "limits, priority and owners may be set: as this plan "
		    "stands, only root can start it");
	return false;
}

/* A process, by its /proc/PID/status. */
struct process {
	int		 pid, parent;
	unsigned int	 uid;
	bool		 spawnd;
	char		 name[32];
};

static bool
read_process(int pid, struct process *q)
{
	char path[64], buf[2048];
	const char *parent, *uid;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	parent = strstr(buf, "\nPPid:");
	uid = strstr(buf, "\nUid:");
	if (strncmp(buf, "Name:\t", 6) != 0 || parent == NULL || uid == NULL)
		return false;
	q->pid = pid;
	q->parent = atoi(parent + 6);
	q->uid = (unsigned int)strtoul(uid + 5, NULL, 10);
	buf[6 + strcspn(buf + 6, "\n")] = '\0';
	strlcpy(q->name, buf + 6, sizeof(q->name));
	q->spawnd = strcmp(q->name, "spawnd") == 0;
	return true;
}

/* Is q a supervisor, or does it descend from one? */
static bool
in_pool(const struct process *list, size_t n, const struct process *q)
{
	int depth;
	size_t i;

	for (depth = 0; depth < 16 && !q->spawnd; depth++) {
		for (i = 0; i < n && list[i].pid != q->parent; i++)
			continue;
		if (i == n)
			return false;
		q = &list[i];
	}
	return q->spawnd;
}

/* Notes processes of the workers' user: they can signal each other. */
static void
note_neighbours(const struct plan *p, struct findings *f)
{
	struct process *list = calloc(PROCESSES_MAX, sizeof(*list));
	char text[ERR_SIZE / 2] = "";
	struct dirent *de;
	size_t i, n = 0, found = 0;
	DIR *d = opendir("/proc");

	while (list != NULL && d != NULL && n < PROCESSES_MAX &&
	    (de = readdir(d)) != NULL) {
		if (isdigit((unsigned char)de->d_name[0]) &&
		    read_process(atoi(de->d_name), &list[n]))
			n++;
	}
	if (d != NULL)
		closedir(d);
	for (i = 0; i < n; i++) {
		size_t len = strlen(text);

		if (list[i].uid != p->ident.uid || in_pool(list, n, &list[i]))
			continue;
		if (++found <= NEIGHBOURS)
			snprintf(text + len, sizeof(text) - len, "%s%s (%d)",
			    len > 0 ? ", " : "", list[i].name, list[i].pid);
	}
	if (found > 0)
		findings_add(f, FINDING_NOTE, 0, "user: %s: other processes "
		    "run as this user too: %s%s (they can end the workers, "
		    "and unconfined workers can end them; give the pool a "
		    "user of its own)",
		    p->ident.user, text, found > NEIGHBOURS ? ", ..." : "");
	free(list);
}

/* What that one leaves open. */
static const char *
find_reserve(const struct plan *p, const struct guarantees *g, size_t i)
{
	if (guarantee_at(i)->at != offsetof(struct guarantees, proc) ||
	    !g->proc || p->jail == NULL)
		return "";
	return g->proc_detached ? ", from within the jail only" :
	    ", but that leaves a way out of the supervisor's own jail";
}

static void
print_guarantees(const struct plan *p, const struct guarantees *g, bool known)
{
	const char *why;
	size_t i;

	if (!known) {
		puts("guarantees: not checked");
		return;
	}
	puts("guarantees: no capabilities: yes");
	for (i = 0; i < GUARANTEES; i++) {
		if (guarantee_at(i)->text == NULL)
			continue;
		printf("guarantees: %s: %s%s", guarantee_at(i)->text,
		    guarantee_holds(g, i) ? "yes" : "no",
		    find_reserve(p, g, i));
		if ((why = guarantee_why(g, i)) != NULL)
			printf(" (%s)", why);
		putchar('\n');
	}
}

/* Prints one kind of finding. Returns how many there are. */
static unsigned int
print_findings(const struct findings *f, enum finding_level level,
    const char *name)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < f->n; i++) {
		if (f->list[i].level != level)
			continue;
		n++;
		printf("%s: %s\n", name, f->list[i].text);
	}
	return n;
}

int
preflight_run(struct plan *p, struct findings *f, bool strict)
{
	const struct finding *first = findings_error(f);
	int status = first != NULL ? first->status : EX_CONFIG;
	struct guarantees g = { 0 };
	unsigned int errors, warnings;
	bool known, listed;

	fflush(stdout);
	listed = presocket_check(p, f);
	prefiles_check(p, f);
	exposure_check_files(p, f);
	if (!plan_watches(p))
		findings_add(f, FINDING_NOTE, 0, "open files: %llu would be "
		    "needed to see the end of each worker that another "
		    "process traces, the limit is %llu (raise it: ulimit "
		    "-Hn, LimitNOFILE=)", (unsigned long long)p->files,
		    (unsigned long long)p->files_max);
	if (p->root && p->ident.change && p->ident.user != NULL)
		note_neighbours(p, f);
	if (observe_untried() != NULL)
		findings_add(f, FINDING_NOTE, 0, "this system: %s: compiled "
		    "for it, and not yet run there", observe_untried());
	known = check_inside(p, f, &g);
	g.ends = g.ends && plan_watches(p);
	preprint_plan(p, listed);
	print_guarantees(p, &g, known);
	errors = print_findings(f, FINDING_ERROR, "error");
	warnings = print_findings(f, FINDING_WARNING, "warning");
	print_findings(f, FINDING_NOTE, "note");
	if (errors + warnings == 0)
		puts("spawnd: configuration ok");
	else
		printf("spawnd: %u error%s, %u warning%s\n", errors,
		    errors == 1 ? "" : "s", warnings,
		    warnings == 1 ? "" : "s");
	if (fflush(stdout) == EOF)
		return EX_IOERR;
	return errors > 0 || (strict && warnings > 0) ? status : 0;
}
