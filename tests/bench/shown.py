# SPDX-License-Identifier: ISC
"""What the page of spawnd-status takes."""

import contextlib
import os
import socket
import statistics
import struct
import subprocess
import time

import managers
from managers import Pool, cpu_ns

COST = {"ms": ("ms", "lower"),
        "percent": ("% of a core, the responder", "lower"),
        "pools_percent": ("% of a core, all supervisors", "lower")}
BEGIN, END, PARAMS, STDIN = 1, 3, 4, 5      # records of FastCGI


def record(kind, content=b""):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def view(path):
    """How long the page takes; fails if it is no page."""
    params = b"".join(bytes([len(k), len(v)]) + k + v for k, v in (
        (b"REQUEST_METHOD", b"GET"), (b"SCRIPT_NAME", b"/")))
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(record(BEGIN, b"\0\1\0\0\0\0\0\0") + record(PARAMS, params) +
                  record(PARAMS) + record(STDIN))
        with s.makefile("rb") as f:
            text = f.read()
    took = time.monotonic() - began
    if b"Status: 200" not in text or b"</html>" not in text:
        raise RuntimeError(f"no page: {text[:300]}")
    return took * 1e3


@contextlib.contextmanager
def responder(pools):
    """Shows these; yields its socket and its pid."""
    program = os.path.join(os.path.dirname(managers.SPAWND), "spawnd-status")
    if not os.path.exists(program):
        raise managers.Missing("spawnd-status")
    path = f"{pools[0].place}/page"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(16)
        popen = subprocess.Popen(
            [program, *(f"p{i}={pool.place}/control"
                        for i, pool in enumerate(pools))], stdin=s)
    try:
        yield path, popen.pid
    finally:
        popen.kill()
        popen.wait()


def page(case, quick):
    """Looked at once a second, when there is a history to draw."""
    _, manager, job = case
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(Pool(manager, job))
                 for _ in range(job.options["pools"])]
        path, pid = stack.enter_context(responder(pools))
        time.sleep(1 if quick else 10)
        took, began = [], time.monotonic()
        before = cpu_ns(pid), sum(p.cpu_ns() for p in pools)
        for i in range(2 if quick else 10):
            time.sleep(max(0, began + i - time.monotonic()))
            took.append(view(path))
        time.sleep(max(0, began + len(took) - time.monotonic()))
        used = cpu_ns(pid) - before[0], \
            sum(p.cpu_ns() for p in pools) - before[1]
    return {"ms": statistics.median(took),
            "percent": used[0] / 1e7 / len(took),
            "pools_percent": used[1] / 1e7 / len(took)}
