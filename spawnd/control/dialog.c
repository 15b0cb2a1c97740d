/* SPDX-License-Identifier: ISC */
/* What a client sends is read, and its answer written, a piece at a time. */
#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "control/server.h"
#include "proto/proto.h"

#define AHEAD	16384		/* bytes of an answer, still unsent */

static bool running;		/* a command is being carried out */

static void
refuse_input(struct client *c, const char *why)
{
	proto_hello(&c->answer);
	proto_error(&c->answer, EX_USAGE, why);
	c->closing = true;
	clients_answer(c);
}

/* Carries out what has arrived. Returns false if the client is to go. */
static bool
run_input(struct client *c)
{
	char line[PROTO_COMMAND];

	switch (proto_next(&c->input, line)) {
	case PROTO_NONE:
		return !c->input.eof;
	case PROTO_LONG:
		refuse_input(c, "a command has at most 255 bytes");
		break;
	case PROTO_JUNK:
		refuse_input(c, "a command is a line of words (help lists "
		    "them)");
		break;
	case PROTO_GOT:
		running = true;
		command_run(c, line);
		running = false;
		break;
	}
	return true;
}

/* Reads, with a descriptor that may come along. */
static ssize_t
read_input(struct client *c)
{
	size_t n = c->right == CONTROLS ? 1 : 0;
	int fd = -1;
	ssize_t len;

	len = pass_receive(c->fd, c->line + c->input.len,
	    sizeof(c->line) - c->input.len, &fd, &n);
	if (n > 0) {
		if (c->passed != -1)
			close(c->passed);
		c->passed = fd;
	}
	return len;
}

bool
dialog_read(struct client *c)
{
	ssize_t n = read_input(c);

	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	if (n > 0 && c->input.len == 0)
		c->line_since = loop_now();
	if (n > 0) {
		c->input.len += (size_t)n;
		c->began = loop_now();
	}
	c->input.eof = n == 0;
	return run_input(c);
}

/* Goes on with a long answer. */
static void
continue_status(struct client *c)
{
	if (status_step(c->status, &c->answer))
		return;
	proto_done(&c->answer);
	status_free(c->status);
	c->status = NULL;
}

/* All is sent: what comes next. Returns false if the client is to go. */
static bool
answered(struct client *c)
{
	proto_free(&c->answer);
	c->sent = 0;
	loop_pause(c->out);
	if (c->wait != WAIT_NO)
		return true;
	if (c->closing)
		return false;
	c->answering = false;
	c->since = c->line_since = loop_now();
	loop_resume(c->in);
	return run_input(c);
}

bool
dialog_write(struct client *c)
{
	ssize_t n;

	if (c->status != NULL && c->answer.len - c->sent < AHEAD)
		continue_status(c);
	if (c->answer.failed)
		return false;
	n = clients_send(c);
	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	c->since = loop_now();
	c->sent += (size_t)n;
	if (c->sent < c->answer.len)
		return true;
	if (c->status == NULL)
		return answered(c);
	c->answer.len = c->sent = 0;
	c->began = c->since;
	return true;
}

bool
dialog_is_running(void)
{
	return running;
}
