/* SPDX-License-Identifier: ISC */
/*
 * The terminal of top: the alternate screen, one write per picture, and the
 * terminal restored at the end, however that comes.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "base/base.h"
#include "client/client.h"
#include "ctl/ctl.h"

#define PERIOD		1000		/* ms from one picture to the next */
#define ROWS_MAX	300
#define COLUMNS_MAX	500
#define FRAME_SIZE	(ROWS_MAX * (4 * COLUMNS_MAX + 8))
#define DEFAULT_ROWS	24
#define DEFAULT_COLUMNS	80

#define SCREEN_ENTER	"\033[?1049h\033[?25l\033[H\033[2J"
#define SCREEN_LEAVE	"\033[?25h\033[?1049l"

static struct frame view;
static struct termios before;
static volatile sig_atomic_t resized, ended;

static void
on_signal(int signo)
{
	if (signo == SIGWINCH)
		resized = 1;
	else
		ended = signo;
}

static void
put_screen(const char *s, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(STDOUT_FILENO, s, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			ended = SIGHUP;		/* the terminal has gone */
			return;
		}
		s += n;
		len -= (size_t)n;
	}
}

static int
enter_screen(struct err *e)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM,
	    SIGWINCH };
	struct sigaction sa = { .sa_handler = on_signal };
	struct termios raw;
	size_t i;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
	    tcgetattr(STDIN_FILENO, &before) == -1)
		return err_set(e, EX_UNAVAILABLE, "top: needs a terminal "
		    "(status does not)");
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	signal(SIGTSTP, SIG_IGN);
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) == -1)
		return err_set(e, EX_OSERR, "top: %s", strerror(errno));
	put_screen(SCREEN_ENTER, strlen(SCREEN_ENTER));
	return 0;
}

static void
leave_screen(void)
{
	put_screen(SCREEN_LEAVE, strlen(SCREEN_LEAVE));
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

static void
measure_screen(void)
{
	struct winsize w = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == -1 || w.ws_row == 0 ||
	    w.ws_col == 0) {
		w.ws_row = DEFAULT_ROWS;
		w.ws_col = DEFAULT_COLUMNS;
	}
	view.rows = w.ws_row > ROWS_MAX ? ROWS_MAX : w.ws_row;
	view.columns = w.ws_col > COLUMNS_MAX ? COLUMNS_MAX : w.ws_col;
}

/* Overwrites the last picture, without clearing the screen before. */
static void
show_picture(const struct reply *status, const struct reply *history,
    char *text, char *screen)
{
	size_t i, len, n;

	len = top_draw_frame(&view, status, history, text, FRAME_SIZE);
	n = strlcpy(screen, "\033[H", 2 * FRAME_SIZE);
	for (i = 0; i < len; i++) {
		if (text[i] == '\n') {
			memcpy(screen + n, "\033[K\r\n", 5);
			n += 5;
		} else
			screen[n++] = text[i];
	}
	memcpy(screen + n, "\033[K\033[J", 6);
	put_screen(screen, n + 6);
}

/* Handles the keys that were pressed. Returns false at the end. */
static bool
take_keys(void)
{
	char keys[64];
	ssize_t i, n;

	n = read(STDIN_FILENO, keys, sizeof(keys));
	if (n == 0 || (n == -1 && errno != EINTR && errno != EAGAIN))
		return false;		/* the terminal has gone */
	for (i = 0; i < n; i++) {
		if (keys[i] == 'q' || keys[i] == 'Q')
			return false;
		/* The arrows end in A and B, behind ESC and [. */
		if (keys[i] == 'j' || keys[i] == 'B')
			view.first++;
		else if ((keys[i] == 'k' || keys[i] == 'A') &&
		    view.first > 0)
			view.first--;
	}
	return true;
}

/* Waits until the next picture is due. Returns false at the end. */
static bool
pause_until(long long when)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	long long left;
	int r;

	while (ended == 0 && resized == 0) {
		left = when - conn_clock();
		if (left <= 0)
			return true;
		r = poll(&pfd, 1, (int)left);
		if (r == 0)
			return true;
		if (r > 0)
			return take_keys();
	}
	return ended == 0;
}

/* Handles keys and signals while the daemon does not answer. */
static bool
gives_up(struct conn *t)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };

	(void)t;
	if (ended == 0 && poll(&pfd, 1, 0) > 0 && !take_keys())
		ended = SIGQUIT;
	return ended != 0;
}

static int
ask_pool(struct conn *t, struct reply *status, struct reply *history,
    struct err *e)
{
	reply_free(status);
	reply_free(history);
	if (conn_ask(t, "status", status, e) == -1)
		return -1;
	return conn_ask(t, "history", history, e);
}

static int
run_view(struct conn *t, char *text, char *screen, struct err *e)
{
	struct reply status = { NULL, 0 }, history = { NULL, 0 };
	long long due = conn_clock();
	int r = 0;

	view.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	t->gives_up = gives_up;
	for (;;) {
		if (conn_clock() >= due) {
			r = ask_pool(t, &status, &history, e);
			if (ended != 0)
				r = 0;
			if (r == -1 || ended != 0)
				break;
			due = conn_clock() + PERIOD;
		}
		resized = 0;
		measure_screen();
		show_picture(&status, &history, text, screen);
		if (!pause_until(due))
			break;
	}
	reply_free(&status);
	reply_free(&history);
	return r;
}

int
top_run(struct conn *t, struct err *e)
{
	char *text = malloc(FRAME_SIZE), *screen = malloc(2 * FRAME_SIZE);
	int r;

	setlocale(LC_CTYPE, "");
	if (text == NULL || screen == NULL)
		r = err_set(e, EX_OSERR, "out of memory");
	else if ((r = enter_screen(e)) == 0) {
		r = run_view(t, text, screen, e);
		leave_screen();
	}
	free(text);
	free(screen);
	return r;
}
