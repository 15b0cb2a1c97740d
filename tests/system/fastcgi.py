# SPDX-License-Identifier: ISC
"""FastCGI, the web server's side: a request, a connection, a load."""

import collections
import errno
import os
import select
import socket
import struct
import threading
import time

from deadline import PATIENCE, REQUEST_DEADLINE


RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
_BEGIN, _ABORT, _END, _PARAMS, _STDIN, _STDOUT, _STDERR = range(1, 8)

_KINDS = {
    errno.ECONNREFUSED: "refused", errno.ENOENT: "missing",
    errno.EACCES: "denied", errno.EAGAIN: "full", errno.EPIPE: "closed",
    errno.ECONNRESET: "reset", errno.ETIMEDOUT: "timeout",
}


def free_port():
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fill(path):
    """Connects to a unix socket until its queue is full; returns these
    connections, which wait to be accepted."""
    waiting = []
    while True:
        c = socket.socket(socket.AF_UNIX)
        c.setblocking(False)
        try:
            c.connect(path)
        except BlockingIOError:
            c.close()
            return waiting
        waiting.append(c)
        assert len(waiting) < 10000, "the queue has no end"


class FcgiError(Exception):
    def __init__(self, kind, text=""):
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind


class Answer:
    def __init__(self, stdout, stderr, app_status):
        self.stderr = stderr
        self.app_status = app_status
        self.status = 200
        self.headers = {}
        head, sep, self.body = stdout.partition(b"\r\n\r\n")
        if not sep:
            head, sep, self.body = stdout.partition(b"\n\n")
        if not sep:
            raise FcgiError("protocol", f"no end of headers: {stdout[:200]!r}")
        for line in head.decode(errors="replace").splitlines():
            name, colon, value = line.partition(":")
            if not colon:
                raise FcgiError("protocol", f"header {line!r}")
            self.headers[name.strip().lower()] = value.strip()
        if "status" in self.headers:
            self.status = int(self.headers["status"].split()[0])

    @property
    def text(self):
        return self.body.decode(errors="replace")

    @property
    def facts(self):
        found = collections.defaultdict(list)
        for line in self.text.splitlines():
            name, _, value = line.partition(" ")
            found[name].append(value)
        return found

    def fact(self, name):
        """The only value of a fact."""
        values = self.facts[name]
        assert len(values) == 1, f"{name}: {values} in {self.text!r}"
        return values[0]


def _record(kind, data, ident=1):
    pad = -len(data) % 8
    return struct.pack(">BBHHBx", 1, kind, ident, len(data), pad) + data \
        + bytes(pad)


def _stream(kind, data):
    parts = [_record(kind, data[i:i + 65528])
             for i in range(0, len(data), 65528)]
    return b"".join(parts) + _record(kind, b"")


def _length(n):
    return bytes([n]) if n < 128 else struct.pack(">I", n | 1 << 31)


def _pairs(params):
    out = []
    for name, value in params.items():
        n, v = os.fsencode(name), os.fsencode(str(value))
        out += [_length(len(n)), _length(len(v)), n, v]
    return b"".join(out)


def request_bytes(query, stdin=b""):
    """A request as it goes over the wire."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        c = Connection.__new__(Connection)
        c.sock = ours
        c.send(query, stdin)
        return theirs.recv(65536)


class Connection:
    """A connection to a FastCGI application."""

    def __init__(self, addr, deadline=REQUEST_DEADLINE):
        self.deadline = deadline
        self.buf = b""
        tcp = not isinstance(addr, (str, bytes))
        family = socket.AF_UNIX if not tcp else \
            socket.AF_INET6 if ":" in addr[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(deadline * PATIENCE)
        try:
            self.sock.connect(addr)
        except (TimeoutError, OSError) as e:
            self.sock.close()
            raise self._error(e) from None
        self.sock.setblocking(False)

    @staticmethod
    def _error(e):
        if isinstance(e, TimeoutError):
            return FcgiError("timeout", str(e))
        return FcgiError(_KINDS.get(e.errno, f"errno {e.errno}"), str(e))

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def request(self, query="", stdin=b"", params=None, role=RESPONDER,
                keep=False):
        self.send(query, stdin, params, role, keep)
        return self.receive()

    def send(self, query="", stdin=b"", params=None, role=RESPONDER,
             keep=False):
        """Queues a request; receive() sends what the socket does not take."""
        env = {
            "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1",
            "REQUEST_METHOD": "POST" if stdin else "GET",
            "SCRIPT_NAME": "/test", "REQUEST_URI": f"/test?{query}",
            "QUERY_STRING": query, "CONTENT_LENGTH": len(stdin),
        }
        env.update(params or {})    # None: without it
        env = {name: v for name, v in env.items() if v is not None}
        self.out = _record(_BEGIN, struct.pack(">HB5x", role, int(keep))) \
            + _stream(_PARAMS, _pairs(env))
        if role != AUTHORIZER:
            self.out += _stream(_STDIN, stdin)
        self._write()

    def _write(self):
        try:
            while self.out:
                self.out = self.out[self.sock.send(self.out[:262144]):]
        except BlockingIOError:
            pass
        except OSError as e:
            # The answer may have come all the same; receive() decides.
            if e.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise self._error(e) from None
            self.out = b""

    def receive(self):
        end = time.monotonic() + self.deadline * PATIENCE
        stdout, stderr = [], []
        while True:
            kind, data = self._next(end)
            if kind == _STDOUT:
                stdout.append(data)
            elif kind == _STDERR:
                stderr.append(data)
            elif kind == _END:
                app_status, protocol = struct.unpack(">IB3x", data)
                if protocol:
                    raise FcgiError("protocol", f"status {protocol}")
                return Answer(b"".join(stdout), b"".join(stderr), app_status)
            else:
                raise FcgiError("protocol", f"record of type {kind}")

    def _next(self, end):
        while True:
            if len(self.buf) >= 8:
                version, kind, _, size, pad = struct.unpack(
                    ">BBHHBx", self.buf[:8])
                if version != 1:
                    raise FcgiError("protocol", f"version {version}")
                if len(self.buf) >= 8 + size + pad:
                    data = self.buf[8:8 + size]
                    self.buf = self.buf[8 + size + pad:]
                    return kind, data
            self._more(end)

    def _more(self, end):
        left = end - time.monotonic()
        writers = [self.sock] if self.out else []
        if left <= 0:
            raise FcgiError("timeout", f"{self.deadline} s")
        r, w, _ = select.select([self.sock], writers, [], left)
        if w:
            self._write()
        if not r:
            return
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError as e:
            raise self._error(e) from None
        if not data:
            raise FcgiError("closed", "before the end of the answer")
        self.buf += data


def request(addr, query="", deadline=REQUEST_DEADLINE, **kw):
    with Connection(addr, deadline) as c:
        return c.request(query, **kw)


# Load

def all_answer(addr, workers):
    """Does each of so many connections at once have a worker of its own?"""
    held = []
    try:
        for _ in range(workers):
            c = Connection(addr, 1)
            held.append(c)
            c.send("sleep=100")
        return len({c.receive().headers["x-pid"] for c in held}) == workers
    except FcgiError:
        return False
    finally:
        for c in held:
            c.close()


class Load:
    """
    `threads` threads send one request after another, each on a connection of
    its own unless keep, at `rate` requests a second in all (None: as fast as
    they can), until stop() or `count` requests in all. A request is never
    repeated. Its answer must carry its token and have the length asked for.
    """

    def __init__(self, addr, threads=4, rate=None, count=None, size=100,
                 query="", deadline=REQUEST_DEADLINE):
        self.addr, self.size, self.query = addr, size, query
        self.count, self.deadline = count, deadline
        self.interval = threads / rate if rate else 0
        self.sent = self.connected = self.answered = 0
        self.failed = collections.Counter()
        self.errors = []            # the first texts
        self.pids = collections.Counter()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,),
                                          daemon=True)
                         for n in range(threads)]

    def start(self):
        for t in self._threads:
            t.start()
        return self

    def stop(self):
        self._stop.set()
        return self.join()

    def join(self):
        for t in self._threads:
            t.join(self.deadline * PATIENCE + 60)
            assert not t.is_alive(), "a thread of the load hangs"
        assert self.sent == self.answered + sum(self.failed.values())
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def _take(self):
        with self._lock:
            if self._stop.is_set() or \
                    (self.count is not None and self.sent >= self.count):
                return None
            self.sent += 1
            return self.sent

    def _run(self, number):
        due = time.monotonic() + number * self.interval / len(self._threads)
        while True:
            if self.interval:
                if self._stop.wait(max(0, due - time.monotonic())):
                    return
                due += self.interval
            serial = self._take()
            if serial is None:
                return
            self._one(f"t{number}x{serial}x{os.getpid()}")

    def _one(self, token):
        query = f"token={token}&pid&{self.query}&big={self.size}"
        try:
            with Connection(self.addr, self.deadline) as c:
                with self._lock:
                    self.connected += 1
                answer = c.request(query)
            self.check(answer, token)
        except FcgiError as e:
            with self._lock:
                self.failed[e.kind] += 1
                if len(self.errors) < 10:
                    self.errors.append(str(e))
        else:
            with self._lock:
                self.answered += 1
                self.pids[int(answer.headers["x-pid"])] += 1

    def check(self, answer, token):
        if answer.headers.get("x-token") != token:
            raise FcgiError("token", f"{answer.headers} instead of {token}")
        if answer.status != 200:
            raise FcgiError("status", str(answer.status))
        filler = answer.body.rpartition(b"\n")[2]
        if filler != b"x" * self.size:
            raise FcgiError("length", f"{len(filler)} not {self.size}")

    def __str__(self):
        return f"sent {self.sent} = answered {self.answered} + failed " \
               f"{dict(self.failed)} {self.errors}"
