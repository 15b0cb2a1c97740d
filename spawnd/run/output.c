/* SPDX-License-Identifier: ISC */
/*
 * The workers' output. Each worker writes to a pipe of its own, which is read
 * a slice at a time: a full pipe slows a flood down first, and lines that are
 * still too many are dropped and counted. Memory is used only for a line that
 * is not complete yet.
 */
#include <sys/queue.h>
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "config/config.h"
#include "privilege/privilege.h"
#include "run/supervise.h"

#define SLICE		65536			/* bytes read in a TICK */
#define TICK		UINT64_C(10000)		/* usec */
#define BURST		(1 << 20)		/* bytes logged at once */
#define RATE		(256 << 10)		/* and in a second */
#define PREFIX_LINE	8192			/* longer ones are split */
#define RAW_LINE	65536
#define ENDED_LEAST	16			/* pipes of ended workers */
#define TAIL_SIZE	1024
#define HEADER_LINES	8			/* may be those of CGI */
#define WORDS		200			/* bytes of a last line */

struct stream {
	int		 fd;
	pid_t		 pid;
	int		 slot;			/* -1: its worker has ended */
	struct loop_watch *watch;
	bool		 paused;
	unsigned int	 lines;			/* so far, up to HEADER_LINES */
	char		*part;			/* an incomplete line */
	size_t		 len;
	int64_t		 budget;		/* bytes that may be logged */
	uint64_t	 filled_at;		/* when it last was */
	size_t		 slice;			/* bytes read in this tick */
	uint64_t	 slice_at;		/* when that began */
	char		*words;			/* its last line; NULL: none */
	unsigned long	 dropped;		/* lines, not logged yet */
	uint64_t	 logged_at;		/* when they last were */
	TAILQ_ENTRY(stream) entry;
};

TAILQ_HEAD(stream_list, stream);

static struct stream_list streams = TAILQ_HEAD_INITIALIZER(streams);
static struct stream **by_slot;
static bool *cgi_by_slot;		/* its worker wrote a CGI header */
static unsigned int nended;
static unsigned int ended_max;		/* as descriptors allow */
static enum worker_log mode;
static size_t longest;
static uint64_t next_tick = NEVER;
static bool dropping;		/* nobody reads the log */
static char *tail;		/* during the start: whole lines */
static size_t tail_len;
static pid_t ended_pid;		/* who has ended, or closed its output, last */
static char ended_words[WORDS];	/* and what it wrote last */

int
output_init(unsigned int n, unsigned int workers, enum worker_log how,
    struct err *e)
{
	struct rlimit r;

	mode = how;
	longest = how == WORKER_LOG_RAW ? RAW_LINE : PREFIX_LINE;
	by_slot = calloc(n, sizeof(struct stream *));
	cgi_by_slot = calloc(n, sizeof(*cgi_by_slot));
	tail = calloc(1, TAIL_SIZE);
	if (by_slot == NULL || cgi_by_slot == NULL || tail == NULL)
		return err_set(e, EX_OSERR, "output: out of memory");
	/* Each worker may leave a process behind that serves on. */
	ended_max = ENDED_LEAST;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 &&
	    r.rlim_cur >= (rlim_t)n * 2 + FDS_RESERVED)
		ended_max += workers;
	return 0;
}

const char *
output_tail(void)
{
	return tail != NULL ? tail : "";
}

const char *
output_words(unsigned int slot, pid_t pid)
{
	const struct stream *s = by_slot[slot];

	if (s != NULL && s->pid == pid)
		return s->words != NULL ? s->words : "";
	return pid == ended_pid ? ended_words : "";
}

static void
keep_words(struct stream *s, const char *line, size_t len)
{
	size_t i;

	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	if (len == 0)
		return;		/* the one before says more */
	if (len >= WORDS)
		len = WORDS - 1;
	/* Most workers never write a line. */
	if (s->words == NULL && (s->words = malloc(WORDS)) == NULL)
		return;
	memcpy(s->words, line, len);
	for (i = 0; i < len; i++) {
		if (s->words[i] == '\0')
			s->words[i] = '?';
	}
	s->words[len] = '\0';
}

/* Keeps the last lines until the start is over. */
static void
keep_tail(const char *line, size_t len)
{
	size_t i, drop;

	if (tail == NULL)
		return;
	if (!daemonize_starting()) {
		free(tail);
		tail = NULL;
		return;
	}
	if (len > TAIL_SIZE / 2 - 2)
		len = TAIL_SIZE / 2 - 2;
	while (tail_len + len + 2 > TAIL_SIZE) {
		drop = strcspn(tail, "\n") + 1;
		tail_len -= drop;
		memmove(tail, tail + drop, tail_len + 1);
	}
	for (i = 0; i < len; i++, tail_len++) {
		tail[tail_len] = line[i];
		if (line[i] == '\0')
			tail[tail_len] = '?';
	}
	tail[tail_len++] = '\n';
	tail[tail_len] = '\0';
}

static void
log_dropped(struct stream *s, uint64_t now)
{
	/* Not while nobody reads: the count would be lost with the line. */
	if (s->dropped == 0 || now - s->logged_at < USEC || dropping)
		return;
	log_warn("worker %d: %lu lines of its output dropped, it writes too "
	    "fast", (int)s->pid, s->dropped);
	s->dropped = 0;
	s->logged_at = now;
}

/* Does it begin with one of the fields that a CGI program must answer with? */
static bool
is_cgi_header(const char *line, size_t len)
{
	static const char *const fields[] = { "Content-Type:", "Status:",
	    "Location:" };
	size_t i, n;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		n = strlen(fields[i]);
		if (len > n && strncasecmp(line, fields[i], n) == 0)
			return true;
	}
	return false;
}

/* One line, or a part of one that is too long. */
static void
log_line(struct stream *s, const char *line, size_t len, bool split,
    uint64_t now)
{
	int64_t more = (int64_t)((now - s->filled_at) * RATE / USEC);

	if (s->lines < HEADER_LINES && s->slot != -1) {
		s->lines++;
		cgi_by_slot[s->slot] |= is_cgi_header(line, len);
	}
	keep_words(s, line, len);
	if (more > 0) {
		s->budget = s->budget + more > BURST ? BURST :
		    s->budget + more;
		s->filled_at = now;
	}
	if (s->budget <= 0 || dropping) {
		s->dropped++;
		return;
	}
	keep_tail(line, len);
	/* As many bytes as it takes in the log, with prefix and escapes. */
	s->budget -= (int64_t)log_worker(s->pid, line, len, split,
	    mode == WORKER_LOG_RAW);
}

/* Keeps what has no newline yet; without memory it becomes a line. */
static void
keep_part(struct stream *s, const char *text, size_t len, uint64_t now)
{
	char *part;

	if (len == 0)
		return;
	if ((part = realloc(s->part, s->len + len)) == NULL) {
		log_line(s, text, len, true, now);
		return;
	}
	s->part = part;
	memcpy(s->part + s->len, text, len);
	s->len += len;
}

static void
flush_part(struct stream *s, bool split, uint64_t now)
{
	if (s->len > 0)
		log_line(s, s->part, s->len, split, now);
	free(s->part);
	s->part = NULL;
	s->len = 0;
}

/* Cuts text into lines, the first of which may have begun before. */
static void
split_lines(struct stream *s, const char *text, size_t len, uint64_t now)
{
	const char *newline;
	size_t n, room;

	while (len > 0) {
		newline = memchr(text, '\n', len);
		n = newline != NULL ? (size_t)(newline - text) : len;
		room = longest - s->len;
		if (n > room) {
			keep_part(s, text, room, now);
			flush_part(s, true, now);
			text += room;
			len -= room;
			continue;
		}
		if (newline == NULL) {
			keep_part(s, text, n, now);
			return;
		}
		if (s->len > 0) {
			keep_part(s, text, n, now);
			flush_part(s, false, now);
		} else
			log_line(s, text, n, false, now);
		text += n + 1;
		len -= n + 1;
	}
}

static void
note_end(const struct stream *s)
{
	ended_pid = s->pid;
	strlcpy(ended_words, s->words != NULL ? s->words : "",
	    sizeof(ended_words));
}

static void
stream_free(struct stream *s)
{
	flush_part(s, false, loop_now());
	if (s->slot != -1)
		note_end(s);
	s->logged_at = 0;
	log_dropped(s, loop_now());
	log_lost(s->dropped);	/* logged once somebody reads again */
	loop_unwatch(s->watch);
	close(s->fd);
	if (s->slot == -1)
		nended--;
	else
		by_slot[s->slot] = NULL;
	TAILQ_REMOVE(&streams, s, entry);
	free(s->words);
	free(s);
}

static void on_tick(void);

/* The earliest of the ticks that were asked for. */
static void
tick_at(uint64_t when)
{
	if (when >= next_tick)
		return;
	next_tick = when;
	loop_timer(TIMER_OUTPUT, when, on_tick);
}

static void
stream_pause(struct stream *s, uint64_t now)
{
	s->paused = true;
	loop_pause(s->watch);
	tick_at(now + TICK);
}

/* A slow reader of the log holds the workers up, but a dead one does not. */
static bool
is_unread(void)
{
	return !log_ready() && log_stuck();
}

/*
 * Reads at most a slice, if the log takes it or `anyway`. Returns false at the
 * end of the pipe.
 */
static bool
read_slice(struct stream *s, bool anyway)
{
	static char buf[SLICE];
	uint64_t now = loop_now();
	ssize_t n;

	if (now - s->slice_at >= TICK) {
		s->slice_at = now;
		s->slice = 0;
	}
	dropping = is_unread();
	if (!anyway && (s->slice >= SLICE || (!log_ready() && !dropping))) {
		stream_pause(s, now);
		return true;
	}
	n = read(s->fd, buf, sizeof(buf));
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		return false;
	if (n > 0) {
		split_lines(s, buf, (size_t)n, now);
		log_dropped(s, now);
	}
	s->slice += n > 0 ? (size_t)n : 0;
	if (s->dropped > 0)
		tick_at(now + USEC);
	return true;
}

static void
on_worker_output(void *arg)
{
	struct stream *s = arg;
	int slot = s->slot;

	if (read_slice(s, false))
		return;
	stream_free(s);
	/* Few workers close it before they end. */
	if (slot != -1)
		suspects_add((unsigned int)slot, false);
}

/* A new tick: each stream may read another slice. */
static void
on_tick(void)
{
	uint64_t now = loop_now();
	struct stream *s;

	next_tick = NEVER;
	dropping = is_unread();
	TAILQ_FOREACH(s, &streams, entry) {
		log_dropped(s, now);
		if (s->dropped > 0)
			tick_at(now + USEC);
		if (!s->paused)
			continue;
		s->paused = false;
		loop_resume(s->watch);
	}
}

/* A stream that reads from fd, or NULL with errno set. */
static struct stream *
stream_new(int fd)
{
	struct stream *s = calloc(1, sizeof(*s));
	int error;

	if (s == NULL)
		return NULL;
	if ((s->watch = loop_watch(fd, on_worker_output, s)) == NULL) {
		error = errno;
		free(s);
		errno = error;
		return NULL;
	}
	s->fd = fd;
	return s;
}

int
output_pipe(unsigned int slot, const char **failed)
{
	struct stream *s;
	int fds[2], error;

	cgi_by_slot[slot] = false;
	if (mode == WORKER_LOG_NONE || mode == WORKER_LOG_INHERIT)
		return daemonize_null();
	if (pipe2(fds, O_CLOEXEC) == -1) {
		*failed = "pipe";
		return -1;
	}
	fds[0] = worker_aside(fds[0]);
	/* Only our end: a worker's write has to wait. */
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	if ((s = stream_new(fds[0])) == NULL) {
		error = errno;
		*failed = "output";
		close(fds[0]);
		close(fds[1]);
		errno = error;
		return -1;
	}
	s->slot = (int)slot;
	s->budget = BURST;
	s->filled_at = loop_now();
	TAILQ_INSERT_TAIL(&streams, s, entry);
	by_slot[slot] = s;
	return fds[1];
}

int
output_start(unsigned int slot, int output, pid_t pid)
{
	struct stream *s = by_slot[slot];

	if (s == NULL)
		return -1;
	s->pid = pid;
	if (pid != -1)
		return output;
	close(output);
	stream_free(s);
	return -1;
}

bool
output_is_cgi(unsigned int slot)
{
	return cgi_by_slot[slot];
}

void
output_end(unsigned int slot)
{
	struct stream *s = by_slot[slot];

	if (s == NULL)
		return;
	/* A pipe holds no more than this, unless a process still writes. */
	if (!read_slice(s, true)) {
		stream_free(s);
		return;
	}
	flush_part(s, false, loop_now());
	note_end(s);
	by_slot[slot] = NULL;
	s->slot = -1;
	nended++;
	if (nended <= ended_max)
		return;
	TAILQ_FOREACH(s, &streams, entry) {
		if (s->slot == -1)
			break;
	}
	if (s != NULL)
		stream_free(s);
}
