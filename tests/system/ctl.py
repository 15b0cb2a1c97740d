# SPDX-License-Identifier: ISC
"""
What the tests of the control sockets share.

    SPAWNCTL            the client under test
    ctl(*args)          runs it: .status .stdout .stderr
    pool(name)          the directory of a pool's sockets
    ask(path, command)  the answer's lines, by a socket; Raw(path) for more
    records(lines)      [(kind, {key: value})]
    figures(name)       {kind: {key: value}}, and "worker": a list
    lines_in(f)         (name, {label: value}, value) of OpenMetrics text,
                        read as strictly as its standard is
"""

import os
import re
import socket
import subprocess

import harness as h

SPAWNCTL = os.path.join(os.path.dirname(h.SPAWND), "spawnctl")


def ctl(*args, user=None, env=None, deadline=20, **kw):
    p = subprocess.run([SPAWNCTL, *map(str, args)],
                       env={**h.BASE_ENV, **h.sanitizer_env(), **(env or {})},
                       preexec_fn=h.become_user(user) if user else None,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=deadline * h.PATIENCE,
                       **kw)
    return h.Result(p.returncode, p.stdout.decode(errors="replace"),
                    p.stderr.decode(errors="replace"))


def pool(name):
    return f"/run/spawnd/{name}"


class Raw:
    """A connection of one's own to a socket."""

    def __init__(self, path, deadline=10, connect=None):
        self.sock = connect(path) if connect else socket.socket(socket.AF_UNIX)
        self.sock.settimeout(deadline * h.PATIENCE)
        try:
            if not connect:
                self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise
        self.buf = b""

    def send(self, data):
        self.sock.sendall(data)

    def line(self):
        while b"\n" not in self.buf:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self.buf)
            self.buf += data
        line, _, self.buf = self.buf.partition(b"\n")
        return line.decode()

    def answer(self):
        lines = []
        while True:
            lines.append(self.line())
            if lines[-1] == "end" or lines[-1].startswith("error "):
                return lines

    def ask(self, command):
        self.send(command.encode() + b"\n")
        return self.answer()

    def closed(self):
        """Reads to the end; True if it comes."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def ask(path, command):
    with Raw(path) as c:
        return c.ask(command)


def records(lines):
    assert lines[0] == "spawnd 1" and lines[-1] == "end", lines
    found = []
    for line in lines[1:-1]:
        kind, *fields = line.split(" ")
        found.append((kind, dict(f.split("=", 1) for f in fields)))
    return found


def figures(name, command="status"):
    found = {"worker": []}
    for kind, fields in records(ask(pool(name) + "/control", command)):
        if kind == "worker":
            found["worker"].append(fields)
        else:
            found[kind] = fields
    return found


_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? (\S+)$" % _NAME)
_LABEL = re.compile(r'(%s)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)' % _NAME)


def _labels(text):
    found, at = {}, 0
    while at < len(text):
        m = _LABEL.match(text, at)
        assert m and m.group(1) not in found, text
        found[m.group(1)] = m.group(2)
        at = m.end()
    return found


def openmetrics(text):
    """Checks types, units, order and end; returns the samples."""
    assert text.endswith("\n# EOF\n"), text[-20:]
    lines = text[:-1].split("\n")[:-1]
    family = kind = None
    seen, samples = set(), []
    for line in lines:
        if line.startswith("# "):
            what, name, value = line[2:].split(" ", 2)
            if name != family:
                assert name not in seen, name
                family, kind, said = name, None, set()
                seen.add(name)
            assert what in ("TYPE", "UNIT", "HELP") and what not in said, line
            said.add(what)
            if what == "TYPE":
                kind = value
                assert kind in ("gauge", "counter"), line
                assert not name.endswith("_total"), name
            elif what == "UNIT":
                assert name.endswith("_" + value), line
            continue
        m = _SAMPLE.match(line)
        assert m, line
        assert kind and said >= {"TYPE", "HELP"}, line
        want = family + ("_total" if kind == "counter" else "")
        assert m.group(1) == want, line
        labels = _labels(m.group(2) or "")
        assert float(m.group(3)) >= 0, line
        key = (m.group(1), tuple(sorted(labels.items())))
        assert key not in seen, line
        seen.add(key)
        samples.append((m.group(1), labels, float(m.group(3))))
    return samples


def serves(path, deadline=5):
    """A request is answered."""
    assert h.request(path, "pid", deadline=deadline).status == 200
