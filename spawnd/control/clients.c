/* SPDX-License-Identifier: ISC */
/*
 * The clients of the sockets. Each costs its own connection and nothing else:
 * what it sends and leaves unread is bounded, and it has a time for each.
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/units.h"
#include "control/server.h"
#include "observe/observe.h"
#include "proto/proto.h"

static struct client_list clients = TAILQ_HEAD_INITIALIZER(clients);
static const unsigned int places[] = {
	[CONTROLS] = CONTROL_CLIENTS, [READS_ONLY] = STATUS_CLIENTS };
static unsigned int taken[sizeof(places) / sizeof(places[0])];

struct client_list *
clients_list(void)
{
	return &clients;
}

void
clients_drop(struct client *c)
{
	taken[c->right]--;
	TAILQ_REMOVE(&clients, c, entry);
	if (c->in != NULL)
		loop_unwatch(c->in);
	if (c->out != NULL)
		loop_unwatch(c->out);
	close(c->fd);
	if (c->passed != -1)
		close(c->passed);
	status_free(c->status);
	proto_free(&c->answer);
	free(c);
}

uint64_t
clients_deadline(const struct client *c)
{
	uint64_t some = c->since + CONTROL_TAKE;
	uint64_t whole = c->began + CONTROL_WHOLE;

	if (c->throttled)
		return NEVER;
	if (c->takes && !c->commits && !c->answering)
		return c->takes_until;
	if (c->commits && !c->answering)
		return c->since + CONTROL_TAKE;
	if (c->answering && c->wait != WAIT_NO && c->sent == c->answer.len)
		return NEVER;
	if (c->answering)
		return min64(some, whole);
	if (c->input.len > 0)
		return c->line_since + CONTROL_LINE;
	return c->since + CONTROL_IDLE;
}

void
clients_answer(struct client *c)
{
	if (c->answering)
		return;
	c->answering = true;
	c->since = loop_now();
	loop_pause(c->in);
	loop_resume(c->out);
}

ssize_t
clients_send(struct client *c)
{
	ssize_t n = pass_send(c->fd, c->answer.buf + c->sent,
	    c->answer.len - c->sent, c->pass, c->npass);

	if (n > 0)
		c->npass = 0;
	return n;
}

bool
clients_send_all(struct client *c)
{
	ssize_t n = c->answer.failed ? -1 : clients_send(c);

	if (n == -1)
		return false;
	c->sent += (size_t)n;
	return c->sent == c->answer.len;
}

void
clients_more(struct client *c)
{
	/* All before was taken: the time for what is new begins. */
	if (c->sent == 0)
		c->since = c->began = loop_now();
	loop_resume(c->out);
}

bool
clients_has_left(const struct client *c)
{
	struct pollfd pfd = { .fd = c->fd };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR));
}

static unsigned int
count_clients(uid_t uid, enum right right)
{
	const struct client *c;
	unsigned int n = 0;

	TAILQ_FOREACH(c, &clients, entry)
		n += c->uid == uid && c->right == right;
	return n;
}

/*
 * Makes room where all places are taken. A client that has left is dropped
 * first. Otherwise the user with the most clients loses the one that has been
 * silent for longest. Returns false if there is no such client.
 */
static bool
make_place(uid_t uid, enum right right)
{
	unsigned int n, most = count_clients(uid, right) + 1;
	struct client *c, *victim = NULL;

	TAILQ_FOREACH(c, &clients, entry) {
		if (c->right == right && clients_has_left(c)) {
			clients_drop(c);
			return true;
		}
		n = count_clients(c->uid, right);
		if (c->right != right || n < most)
			continue;
		most = n;
		uid = c->uid;
	}
	TAILQ_FOREACH(c, &clients, entry) {
		if (c->right == right && c->uid == uid && !c->answering &&
		    !c->takes && (victim == NULL || c->since < victim->since))
			victim = c;
	}
	if (victim == NULL)
		return false;
	clients_drop(victim);
	return true;
}

struct client *
clients_add(int fd, uid_t uid, enum right right)
{
	struct client *c;

	if (taken[right] >= places[right] && !make_place(uid, right))
		return NULL;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	taken[right]++;
	TAILQ_INSERT_TAIL(&clients, c, entry);
	c->fd = fd;
	c->passed = -1;
	c->uid = uid;
	c->pid = observe_peer(fd);
	c->right = right;
	c->since = loop_now();
	c->input.buf = c->line;
	c->input.size = sizeof(c->line);
	return c;
}
