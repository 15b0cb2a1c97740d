# SPDX-License-Identifier: ISC
"""No request is lost and none answered wrongly, by pairs of what matrix.py
combines; test_matrix_ends.py has the other half, test_soak.py all of it. And
that the load generator would see it."""

import signal
import socket
import struct
import threading

import pytest

import harness as h
import matrix

LONG = True
PLAIN_ONLY = True       # what it shows is nothing that sanitizers see

REQUESTS = 200


@pytest.mark.parametrize("cell", matrix.pairs("reload", "scale"),
                         ids=matrix.name)
def test_nothing_is_lost(spawnd, place, cell):
    matrix.run(spawnd, place, cell, REQUESTS)


# The controls

def start(spawnd, place, program):
    argv, options, script = matrix.PROGRAMS[program]
    return spawnd("-s", f"{place}/sock", "-u", "www", *options, "--",
                  *argv), script


def test_killed_workers_are_noticed(spawnd, place):
    s, _ = start(spawnd, place, "bare")
    with matrix.Load(f"{place}/sock", enough=100) as load:
        h.wait_for(load.enough, 20, s.log)
        before = s.workers()
        for pid in before:
            h.kill(pid)
        s.wait_workers(4, other_than=before)
        found = load.end()
    # Each of them was in a request.
    assert matrix.lost(found) >= 3, found
    assert found["wrong"] == found["late"] == 0, found


def test_half_bodies_are_noticed(spawnd, place):
    """libfcgi takes a read that a signal ends for the end of the body, and
    answers what it has, with status 200."""
    s, _ = start(spawnd, place, "libfcgi")
    with matrix.Load(f"{place}/sock", ms=0) as load:
        def noticed():
            for pid in s.workers():
                h.kill(pid, signal.SIGTERM)
            return "wrong:" in load.errors()
        # Its first failures are told at once.
        h.wait_for(noticed, 30, s.log)
        found = load.end()
    assert found["wrong"] > 0, found


def record(kind, data):
    return struct.pack(">BBHHBx", 1, kind, 1, len(data), 0) + data


class Liar:
    """Serves one connection after another in the given ways."""

    def __init__(self, path, ways):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.ways, self.served = ways, 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        for n, way in enumerate(self.ways, 1):
            c, _ = self.listener.accept()
            if n == len(self.ways):
                self.listener.close()   # the next is to be refused
            with c:
                getattr(self, way)(c)
            self.served += 1

    def request(self, c):
        """Reads one; its token and its body."""
        data, body, token = b"", b"", b""

        def take(n):
            nonlocal data
            while len(data) < n:
                more = c.recv(65536)
                assert more
                data += more
            found, data = data[:n], data[n:]
            return found
        while True:
            _, kind, _, n, pad = struct.unpack(">BBHHBx", take(8))
            part = take(n + pad)
            if kind == 4 and b"QUERY_STRING" in part:
                token = part.partition(b"QUERY_STRING")[2].split(b" ")[0]
            if kind == 5 and n == 0:
                return token, body
            body += part if kind == 5 else b""

    def answer(self, c, token, body, end=True):
        text = b"\r\n\r\n" + token + b" 1\n" + body
        for at in range(0, len(text), 65535):
            c.sendall(record(6, text[at:at + 65535]))
        if end:
            c.sendall(record(3, bytes(8)))

    def good(self, c):
        self.answer(c, *self.request(c))

    def reset(self, c):
        c.recv(1)

    def eof(self, c):
        self.request(c)

    def short(self, c):
        self.answer(c, *self.request(c), end=False)

    def cut(self, c):
        token, body = self.request(c)
        self.answer(c, token, body[:-1])

    def long(self, c):
        token, body = self.request(c)
        self.answer(c, token, body + b"x")

    def other(self, c):
        token, body = self.request(c)
        self.answer(c, token, body[:-1] + bytes([body[-1] ^ 1]))

    def foreign(self, c):
        _, body = self.request(c)
        self.answer(c, b"t0", body)

    def bad(self, c):
        """A whole answer, of another kind."""
        self.request(c)
        c.sendall(record(6, b"Status: 502 Bad Gateway\r\n\r\n502") +
                  record(3, bytes(8)))

    def stale(self, c):
        """A good answer, and the next request is not read."""
        self.good(c)
        c.recv(1)


FAILURES = {"good": "answered", "reset": "reset", "eof": "eof",
            "short": "short", "cut": "wrong", "long": "wrong",
            "other": "wrong", "foreign": "wrong", "bad": "wrong"}


def test_each_failure_has_its_name(place):
    liar = Liar(f"{place}/sock", list(FAILURES))
    with matrix.Load(f"{place}/sock", clients=1, till_refused=True) as load:
        h.wait_for(lambda: load.popen.poll() is not None, 20, "its end")
        found = load.end()
    assert liar.served == len(FAILURES)
    want = {kind: list(FAILURES.values()).count(kind)
            for kind in FAILURES.values()}
    assert {kind: found[kind] for kind in want} == want, found
    assert found["refused"] == 1 and found["late"] == 0, found


def test_kept_connection_that_nobody_read_from_is_no_failure(place):
    liar = Liar(f"{place}/sock", ["stale", "good", "eof"])
    with matrix.Load(f"{place}/sock", clients=0, kept=1,
                     till_refused=True) as load:
        h.wait_for(lambda: load.popen.poll() is not None, 20, "its end")
        found = load.end()
    assert liar.served == 3
    assert (found["answered"], found["stale"], found["eof"],
            found["refused"]) == (2, 1, 1, 1), found
