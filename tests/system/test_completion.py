# SPDX-License-Identifier: ISC
"""Completion of spawnctl, in shells that somebody types into."""

import os
import pty
import re
import select
import shutil
import time

import pytest

import ctl as c
import harness as h

PLAIN_ONLY = True

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(
    __file__))))
SCRIPT = TOP + "/scripts/completion/spawnctl."
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])|\r|\x07|\x08")


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, argv, start):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, {**h.BASE_ENV, "TERM": "dumb",
                                      "PS1": "", "LC_ALL": "C.UTF-8"})
        self.type(start + "\necho re''ady\n")
        self.until("^ready|ready$")

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, *patterns, deadline=10):
        """Reads on until all patterns are there; all that was read."""
        text, end = "", time.monotonic() + deadline
        while not all(re.search(p, text, re.M) for p in patterns):
            ready, _, _ = select.select([self.fd], [], [],
                                        max(0, end - time.monotonic()))
            assert ready, text
            text += ESCAPES.sub("", os.read(self.fd, 65536).decode())
        return text

    def offers(self, line, *words):
        """Types a line and a tab or two, until these words are there."""
        self.type(line + "\t\t")
        text = self.until(*(rf"(^|[\s/]){w}([\s/]|$)" for w in words))
        self.type("\x15echo d''one\n")
        self.until("^done|done$")
        return text

    def end(self):
        os.close(self.fd)
        h.kill(self.pid)
        os.waitpid(self.pid, 0)


@pytest.fixture(params=["bash", "zsh"])
def shell(request, place):
    if request.param == "bash":
        s = Shell(["/bin/bash", "--norc", "-i"],
                  "bind 'set bell-style none'; "
                  "bind 'set completion-query-items 0'; "
                  "bind 'set page-completions off'; . " + SCRIPT + "bash")
    else:
        os.mkdir(f"{place}/f")
        shutil.copy(SCRIPT + "zsh", f"{place}/f/_spawnctl")
        s = Shell(["/usr/bin/zsh", "-f", "-i"],
                  f"fpath=({place}/f $fpath); autoload -Uz compinit; "
                  f"compinit -u -D; unsetopt beep menu_complete auto_menu; "
                  "LISTMAX=1000; PROMPT=")
    yield s
    s.end()


def test_commands_options_and_pools_are_offered(spawnd, place, shell):
    for n, name in enumerate(("first", "second")):
        spawnd("-s", f"{place}/{n}", "-u", "www", "-F", 1, "--name", name,
               "--", h.app("echo"))
    listed = set(re.findall(r"^  ([a-z-]+) ", c.ctl("-h").stdout, re.M))
    assert listed == {"list", "status", "explain", "advise", "top", "trace",
                      "ping", "wait-ready", "reload", "restart", "diff",
                      "scale", "log-reopen", "agent", "drain", "resume",
                      "stop"}
    shell.offers("spawnctl ", *listed)
    assert "reload" not in shell.offers("spawnctl st", "status", "stop")
    shell.offers("spawnctl rel", "reload")
    shell.offers("spawnctl status --", "--json", "--openmetrics", "--full")
    shell.offers("spawnctl advise --", "--json")
    shell.offers("spawnctl stop --n", "--now")
    shell.offers("spawnctl stop --d", "--drain")
    shell.offers("spawnctl agent --", "--listen", "--allow", "--each")
    shell.offers("spawnctl restart --a", "--all")
    shell.offers("spawnctl -p ", "first", "second")
    shell.offers("spawnctl -p fi", "first")
    shell.offers("spawnctl -p first st", "status", "stop")


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_every_command_and_option_is_named(name):
    usage = c.ctl("-h").stdout
    with open(SCRIPT + name) as f:
        text = f.read()
    for word in set(re.findall(r"^  ([a-z-]+) |(--[a-z]+)", usage, re.M)):
        assert (word[0] or word[1]) in text, word
