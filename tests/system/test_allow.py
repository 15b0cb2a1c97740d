# SPDX-License-Identifier: ISC
"""Only the web servers of --allow, or of FCGI_WEB_SERVER_ADDRS, get a
connection; nobody else gets as much as an answer, and no worker can change
that."""

import contextlib
import ctypes
import errno
import json
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys

import pytest

import harness as h
from ctl import ctl, figures
from test_drain import crowd, waiting
from test_families import PARENT, SETSOCKOPT
from test_retire import busy

EX_USAGE, EX_OSERR, EX_CONFIG = 64, 71, 78
SO_ATTACH_FILTER, SO_LOCK_FILTER = 26, 44
VARIABLE = "FCGI_WEB_SERVER_ADDRS"
# Of IPv4 all of 127.0.0.0/8 is here; of IPv6 these are.
HERE6 = ["2001:db8::1", "2001:db8::2", "2001:db8:1::1", "2001:db8:1:1::1",
         "2001:db8:2::1"]


@pytest.fixture(autouse=True, scope="module")
def addresses():
    with contextlib.ExitStack() as stack:
        for a in HERE6:
            subprocess.run(["ip", "addr", "add", f"{a}/128", "dev", "lo",
                            "nodad"], check=True)
            stack.callback(subprocess.run, ["ip", "addr", "del", f"{a}/128",
                                            "dev", "lo"], check=True)
        yield


OPTMEM = "/proc/sys/net/core/optmem_max"


def has_memory():
    """May a filter have the memory of the longest list?"""
    text = struct.pack("HBBI", 0x00, 0, 0, 0) * 4095 + \
        struct.pack("HBBI", 0x06, 0, 0, 0)
    buf = ctypes.create_string_buffer(text, len(text))
    with socket.socket() as s:
        try:
            s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                         struct.pack("HP", 4096, ctypes.addressof(buf)))
        except OSError as e:
            assert e.errno == errno.ENOMEM
            return False
    return True


@pytest.fixture(params=[131072, 20480], ids=["much", "little"])
def memory(request):
    """Is it as much as Linux gives it since 6.7, or as little as before? Until
    6.8 only the machine has this figure: then it stays, whatever it is."""
    if not os.path.exists(OPTMEM):
        yield has_memory()
        return
    before = h.read(OPTMEM)
    try:
        with open(OPTMEM, "w", encoding="ascii") as f:
            f.write(str(request.param))
        assert has_memory() == (request.param == 131072)
        yield has_memory()
    finally:
        with open(OPTMEM, "wb") as f:
            f.write(before)


def client(source, port, to=None):
    """A socket at that address that has begun to connect."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    s = socket.socket(family)
    s.setblocking(False)
    # What is left of it must not keep a later pool from its port.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((source, 0))
    to = to or ("::1" if family == socket.AF_INET6 else "127.0.0.1")
    assert s.connect_ex((to, port)) == errno.EINPROGRESS
    return s


def fate(s, seconds):
    """What became of it: "in", "refused", or no answer."""
    if not select.select([], [s], [], seconds)[1]:
        return "no answer"
    error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return {0: "in", errno.ECONNREFUSED: "refused"}[error]


def check(port, inside, outside, to=None):
    """Who is inside gets in, and when that is so, who is outside has begun to
    connect before and has heard nothing."""
    with contextlib.ExitStack() as stack:
        out = {a: stack.enter_context(client(a, port, to)) for a in outside}
        for a in inside:
            with client(a, port, to) as s:
                assert fate(s, 10) == "in", a
        # Within a host no packet is on its way for so long.
        if not inside:
            h.pass_time(0.1)
        for a, s in out.items():
            assert fate(s, 0) == "no answer", a


def request(port, source, query="pid"):
    """As h.request(), from that address."""
    c = h.Connection.__new__(h.Connection)
    c.sock, c.deadline, c.buf, c.out = client(source, port), 10, b"", b""
    assert fate(c.sock, 10) == "in"
    with c:
        return c.request(query)


def pool(spawnd, port, *options, app="echo", workers=2, **kw):
    return spawnd("-p", port, "-u", "www", "-F", workers, "--name", "p",
                  *options, "--", h.app(app), **kw)


@pytest.mark.parametrize("address, allow, inside, outside", [
    (None, "127.0.0.2", ["127.0.0.2"], ["127.0.0.1", "127.0.0.3"]),
    (None, "127.0.0.1,127.0.0.9", ["127.0.0.1", "127.0.0.9"],
     ["127.0.0.8", "127.0.0.10", "127.1.0.1"]),
    (None, "127.0.4.0/23", ["127.0.4.0", "127.0.5.255", "127.0.4.1"],
     ["127.0.3.255", "127.0.6.0"]),
    (None, "::ffff:127.0.0.2", ["127.0.0.2"], ["127.0.0.1"]),
    (None, "0.0.0.0/0", ["127.0.0.1", "127.255.255.254"], []),
    ("0.0.0.0", "127.0.0.2,::1", ["127.0.0.2"], ["127.0.0.1"]),
    ("::1", "2001:db8::1,2001:db8:1::/48",
     ["2001:db8::1", "2001:db8:1::1", "2001:db8:1:1::1"],
     ["::1", "2001:db8::2", "2001:db8:2::1"]),
    ("::", "::1", ["::1"], ["2001:db8::1"]),
    ("*", "127.0.0.2,2001:db8::1", ["127.0.0.2", "2001:db8::1"],
     ["127.0.0.1", "::1", "2001:db8::2"]),
    ("*", "127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "::1"]),
    ("*", "::ffff:127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "::1"]),
    ("*", "::/0", ["::1", "2001:db8::1"], ["127.0.0.1"]),
    ("*", "0.0.0.0/0", ["127.0.0.1"], ["::1"])])
def test_others_get_no_answer(spawnd, address, allow, inside, outside):
    port = h.free_port()
    pool(spawnd, port, *(["-a", address] if address else []), "--allow",
         allow)
    check(port, inside, outside)
    for a in inside:
        assert request(port, a).status == 200


def test_a_long_list(spawnd, memory):
    """Five hundred of each family, far and near, or a fifth of that."""
    some, part = random.Random(1), 1 if memory else 5
    four = [f"127.{some.randrange(256)}.{some.randrange(256)}."
            f"{some.randrange(1, 255)}" for _ in range(500 // part)]
    far = [":".join(f"{some.randrange(1, 65536):x}" for _ in range(8))
           for _ in range(100 // part)]
    near = [f"2001:db8:3::{n:x}" for n in range(400 // part)]
    port = h.free_port()
    s = pool(spawnd, port, "-a", "*", "--allow", ",".join(four[:50]),
             "--allow", ",".join(four[50:] + far + near + HERE6[:1]))
    m = re.search(r"only for \S+, \S+, \S+ and (\d+) more; others see a "
                  r"time-out\)", s.log())
    assert int(m.group(1)) == len({*four, *far, *near, HERE6[0]}) - 3
    others = [f"127.{some.randrange(256)}.{some.randrange(256)}.7"
              for _ in range(200)]
    check(port, four[:200] + HERE6[:1],
          [a for a in others if a not in four] + HERE6[1:] + ["::1"])


def test_much_data_comes_through_whole(spawnd):
    """The filter sees each packet of a connection, and cuts none."""
    port = h.free_port()
    pool(spawnd, port, "--allow", "127.0.0.1", workers=1)
    body = random.Random(2).randbytes(2_000_000)
    answer = h.request(("127.0.0.1", port), "stdin", stdin=body)
    assert answer.body.endswith(body)
    assert h.request(("127.0.0.1", port), "big=1000000").body == \
        b"x" * 1000000


def test_it_holds_from_the_first_moment(spawnd):
    """The filter is there and locked when the socket begins to listen."""
    port = h.free_port()
    trace = f"{h.new_place()}/trace"
    pool(spawnd, port, "--allow", "127.0.0.2", wrap=[
        "/usr/bin/strace", "-D", "-o", trace, "-e",
        "trace=bind,setsockopt,listen"])
    with open(trace, encoding="utf-8") as f:
        calls = re.findall(r"^(bind|listen)\(|SOL_SOCKET, (SO_\w*FILTER)",
                           f.read(), re.MULTILINE)
    names = [a or b for a, b in calls]
    end = names.index("listen")
    assert names[end - 3:end] == ["bind", "SO_ATTACH_FILTER",
                                  "SO_LOCK_FILTER"]


def test_no_worker_takes_it_off(spawnd):
    port = h.free_port()
    pool(spawnd, port, "--allow", "127.0.0.1", app="hostile")
    for _ in range(2):
        answer = h.request(("127.0.0.1", port), "unfilter")
        assert answer.facts["unfilter"] == [str(errno.EPERM)]
    check(port, ["127.0.0.1"], ["127.0.0.2"])


def test_it_outlives_reloads_and_workers(spawnd):
    port = h.free_port()
    s = pool(spawnd, port, "--allow", "127.0.0.1")
    for _ in range(2):
        old = s.workers()
        assert ctl("-p", "p", "reload", deadline=60).status == 0
        assert not set(s.workers()) & set(old)
        check(port, ["127.0.0.1"], ["127.0.0.2"])
    with pytest.raises(h.FcgiError):
        h.request(("127.0.0.1", port), "crash")
    s.wait_workers(2)
    check(port, ["127.0.0.1"], ["127.0.0.2"])


# A stop: nobody who was let in is lost, and the others are refused then

@pytest.mark.parametrize("address", ["127.0.0.1", "*"])
def test_a_stop_serves_those_that_wait(spawnd, address):
    port = h.free_port()
    s = spawnd("-a", address, "-p", port, "-u", "www", "-F", 2, "--allow",
               "127.0.0.0/30", "--", h.app("bare"))
    load = crowd(("127.0.0.1", port), None, 250, clients=60)
    where = (address, port)
    h.wait_for(lambda: waiting(where) > 30, 10, s.log)
    s.signal(signal.SIGTERM)
    result = load.result()
    assert s.wait() == 0
    assert result["failed"] == result["refused"], (result, s.log())
    assert result["answered"] > 30, (result, s.log())


def test_stops_under_load_lose_nothing(spawnd):
    port, rounds = h.free_port(), 3 if h.brief() else 20
    answered = 0
    for _ in range(rounds):
        s = pool(spawnd, port, "--allow", "127.0.0.1", app="bare", workers=4)
        load = crowd(("127.0.0.1", port), None, 1, seconds=60, clients=16)
        h.wait_for(lambda s=s: busy(s) and h.cpu(s.workers()[0]) > 0.01, 10,
                   s.log)
        s.signal(signal.SIGTERM)
        assert s.wait() == 0
        load.popen.send_signal(signal.SIGINT)
        result = load.result()
        assert result["failed"] == result["refused"], (result, s.log())
        answered += result["answered"]
    assert answered > 20 * rounds


# What is said of it

def test_start_test_and_status_say_who(spawnd):
    port = h.free_port()
    args = ["-a", "0.0.0.0", "-p", port, "-u", "www", "-F", 1, "--name", "p",
            "--allow", "127.0.0.3,127.0.0.2,10.0.0.0/8", "--allow",
            "192.0.2.7,10.1.0.0/16", "--", h.app("echo")]
    test = h.run_spawnd("-t=strict", *args)
    assert test.status == 0, test.stdout
    assert ("\nweb servers:\n\t10.0.0.0/8\n\t127.0.0.2\n\t127.0.0.3\n"
            "\t192.0.2.7\nbacklog:") in test.stdout
    assert (f"\nnote: connect: only the web servers above; tcp:0.0.0.0:{port} "
            "does not answer others, who see a time-out\n") in test.stdout
    some = "10.0.0.0/8, 127.0.0.2, 127.0.0.3 and 1 more"
    s = spawnd(*args)
    assert (f"ready on tcp:0.0.0.0:{port} (only for {some}; others see a "
            "time-out), ") in s.log()
    data = json.loads(ctl("-p", "p", "status", "--json").stdout)
    assert data["pool"]["clients"] == some
    assert data["guarantees"]["only_allowed"] is True
    out = ctl("-p", "p", "status").stdout
    assert f"tcp:0.0.0.0:{port} (only for {some})\n" in out
    assert "only_allowed" not in out


def test_without_a_list_all_is_as_it_was(spawnd):
    port = h.free_port()
    args = ["-a", "0.0.0.0", "-p", port, "-u", "www", "-F", 1, "--name", "p",
            "--", h.app("echo")]
    test = h.run_spawnd("-t", *args)
    assert re.search(rf"\nwarning: address: tcp:0.0.0.0:{port}: FastCGI has "
                     r"no authentication: .* --allow\)\n", test.stdout)
    assert "\nweb servers:" not in test.stdout
    s = spawnd(*args)
    assert "time-out" not in s.log()
    assert figures("p")["guarantees"]["only_allowed"] == "no"
    check(port, ["127.0.0.1", "127.0.0.2"], [])
    assert h.run_spawnd("-t=strict", "-a", "0.0.0.0", "-p", h.free_port(),
                        "--allow", "0.0.0.0/0", "-u", "www", "--",
                        h.app("echo")).status == 78


@pytest.mark.parametrize("args", [["-s", "/run/t/sock"], ["-p", 9000]])
def test_nothing_is_said_where_only_this_host_can_connect(spawnd, args):
    spawnd(*args, "-u", "www", "-F", 1, "--name", "p", "--", h.app("echo"))
    assert "only_allowed" not in figures("p")["guarantees"]


# What is refused

NO_MEMORY = "--allow: attaching its filter: Cannot allocate memory (raise " \
    "net.core.optmem_max, or name networks: ADDR/LEN)"


def refused(*args, status=EX_USAGE, tried=None, **kw):
    """The line of a start, which a test says too; tried: the status of the
    test, where the plan alone is right."""
    args = ["-u", "www", *args, "--", h.app("echo")]
    start = h.run_spawnd("-n", *args, **kw)
    test = h.run_spawnd("-t", *args, **kw)
    assert (start.status, test.status) == (status, tried or status)
    line = h.line_of(start).removeprefix("spawnd: ")
    assert f"\nerror: {line}\n" in test.stdout
    return line


def test_too_long_a_list(spawnd, memory):
    """How many would fit is said, and they do, if there is the memory."""
    every = [f"127.{n >> 8}.{n & 255}.{n * 7 & 255}" for n in range(1, 4000)]
    port = h.free_port()
    line = refused("-p", port, "--allow", ",".join(every), tried=EX_CONFIG)
    m = re.fullmatch(r"--allow: 3999 addresses are too many for the kernel: "
                     r"(\d+) of them would fit \(name networks: ADDR/LEN\)",
                     line)
    assert m and int(m.group(1)) > 3000, line
    some = sorted(every, key=socket.inet_aton)[:int(m.group(1))]
    if memory:
        pool(spawnd, port, "--allow", ",".join(some))
        check(port, some[:20] + some[-20:], ["127.0.0.1"])
    else:
        assert NO_MEMORY == refused("-p", port, "--allow", ",".join(some),
                                    status=EX_OSERR, tried=EX_CONFIG)


def test_where_the_kernel_refuses_it_nothing_starts():
    def none():
        h.forbid_call(SETSOCKOPT, errno.ENOMEM, a2=SO_ATTACH_FILTER)

    def lock():
        h.forbid_call(SETSOCKOPT, errno.EINVAL, a2=SO_LOCK_FILTER)

    def neither():
        """They only look as if they worked."""
        h.forbid_call(SETSOCKOPT, 0, a2=SO_ATTACH_FILTER)

    def refusal(become):
        return refused("-p", 9000, "--allow", "127.0.0.1,127.0.0.2",
                       status=EX_OSERR, tried=EX_CONFIG, become=become)
    assert refusal(none) == NO_MEMORY
    assert refusal(lock) == (
        "--allow: locking its filter: Invalid argument")
    assert refusal(neither) == (
        "--allow: the kernel has no locked filter after all")


def test_a_socket_of_another_kind():
    assert refused("-s", "/run/t/sock", "--allow", "127.0.0.1") == (
        "--allow: unix:/run/t/sock is not a TCP socket (-U, -G and -M say who "
        "may connect to it)")
    assert refused("-p", 9000, "--allow", "::1") == (
        "--allow: names no IPv4 address: nobody could connect to "
        "tcp:127.0.0.1:9000")


def test_a_socket_that_was_passed_in():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        result = h.run_spawnd("-n", "-u", "www", "--allow", "127.0.0.1", "--",
                              h.app("echo"), stdin=listener)
    assert result.status == EX_USAGE
    assert h.line_of(result) == ("spawnd: --allow: does not apply to a listen "
                                 "socket that was passed in (leave it out)")


# The variable

@pytest.mark.parametrize("how", ["own", "option", "file"])
def test_the_variable_is_taken_likewise(spawnd, place, how):
    port, value = h.free_port(), "127.0.0.2,127.0.0.9"
    env, options = {}, []
    if how == "own":
        env = {VARIABLE: value}
    elif how == "option":
        options = ["-e", f"{VARIABLE}={value}"]
    else:
        with open(f"{place}/env", "w", encoding="ascii") as f:
            f.write(f"{VARIABLE}={value}\n")
        options = ["--env-file", f"{place}/env"]
    s = pool(spawnd, port, *options, env=env)
    assert "(only for 127.0.0.2, 127.0.0.9; others see a time-out)" in s.log()
    assert "warning" not in s.log() and VARIABLE not in s.log()
    check(port, ["127.0.0.2", "127.0.0.9"], ["127.0.0.1", "127.0.0.3"])
    # And the worker has it, which heeds it itself.
    assert f"{VARIABLE}={value}" in request(port, "127.0.0.2", "env").text


def test_it_holds_for_ipv6_too_where_the_library_does_not_heed_it(spawnd):
    port = h.free_port()
    pool(spawnd, port, "-a", "*", env={VARIABLE: "127.0.0.2,2001:db8::1"})
    check(port, ["127.0.0.2", "2001:db8::1"], ["127.0.0.1", "::1"])
    for a in ["127.0.0.2", "2001:db8::1"]:
        assert request(port, a).status == 200


def test_what_is_no_address_in_it_is_named(spawnd):
    """The blank is no obstacle to us, but to the library."""
    port, value = h.free_port(), "127.0.0.2,web1, 127.0.0.3,127.0.1.0/24"
    s = pool(spawnd, port, env={VARIABLE: value})
    assert (f"spawnd: {VARIABLE}: web1: not an IPv4 or IPv6 address, or "
            "ADDRESS/LENGTH (names are not looked up); it is left out\n"
            ) in s.log()
    for entry in ["127.0.0.3", "127.0.1.0/24"]:
        assert (f"spawnd: {VARIABLE}: {entry}: workers with libfcgi do not "
                "let it in: ") in s.log()
    check(port, ["127.0.0.2", "127.0.0.3", "127.0.1.9"], ["127.0.0.1"])
    assert f"{VARIABLE}={value}" in request(port, "127.0.0.2", "env").text
    with pytest.raises(h.FcgiError):
        request(port, "127.0.0.3")


def test_without_an_address_in_it_nobody_gets_in(spawnd):
    port = h.free_port()
    s = pool(spawnd, port, env={VARIABLE: "localhost"})
    assert (f"spawnd: {VARIABLE}: has no address that can reach "
            f"tcp:127.0.0.1:{port}: it lets nobody in (unset it, or give "
            "--allow)\n") in s.log()
    assert "(only for nobody; " in s.log()
    check(port, [], ["127.0.0.1"])
    out = h.run_spawnd("-t", "-p", port, "-u", "www", "--", h.app("echo"),
                       env={VARIABLE: "localhost"}).stdout
    assert "\nweb servers: none\n" in out
    assert (f"\nnote: connect: nobody; tcp:127.0.0.1:{port} does not answer "
            "clients, who see a time-out\n") in out


def test_the_option_wins(spawnd):
    port = h.free_port()
    s = pool(spawnd, port, "--allow", "127.0.0.2", app="bare",
             env={VARIABLE: "127.0.0.3,x"})
    assert (f"spawnd: {VARIABLE}: only --allow says who can connect (workers "
            "with libfcgi also refuse clients that the variable does not "
            "name)\n") in s.log()
    check(port, ["127.0.0.2"], ["127.0.0.3"])


def test_on_a_unix_socket_it_is_warned_of(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
               h.app("echo"), env={VARIABLE: "192.0.2.1"})
    assert (f"spawnd: {VARIABLE}: 192.0.2.1: has no effect on unix:{place}/"
            "sock: its clients have no addresses\n") in s.log()
    assert f"{VARIABLE}=192.0.2.1" in h.request(f"{place}/sock", "env").text


@pytest.mark.parametrize("only, address, served, says", [
    (1, "::1", True, "has no effect on tcp:[::1]:{port}: libfcgi checks "
     "clients of IPv4 sockets only, and lets all others in (use a packet "
     "filter)"),
    (0, "::ffff:127.0.0.1", True, "has no effect on "
     "tcp:[::ffff:127.0.0.1]:{port}: libfcgi checks clients of IPv4 sockets "
     "only, "),
    (None, "127.0.0.1", False, "only workers with libfcgi heed it on "
     "tcp:127.0.0.1:{port}, which was passed in (use a packet filter)\n")])
def test_on_a_socket_that_was_passed_in_it_is_warned_of(spawnd, only, address,
                                                        served, says):
    """And a worker with libfcgi does as the warning has it: nobody is kept
    from the socket, but it may refuse to answer."""
    port = h.free_port()
    parent = PARENT
    if only is None:
        parent = PARENT.replace("AF_INET6", "AF_INET").replace(
            "s.setsockopt(", "0 and s.setsockopt(")
    wrap = [sys.executable, "-c", parent, str(only or 0), address, str(port)]
    s = spawnd("-u", "www", "-F", 1, "--", h.app("echo"), wrap=wrap,
               env={VARIABLE: "192.0.2.1"})
    assert (f"spawnd: {VARIABLE}: 192.0.2.1: " + says.format(port=port)
            ) in s.log()
    where = "::1" if address == "::1" else "127.0.0.1"
    check(port, [where], [])
    if served:
        assert f"{VARIABLE}=192.0.2.1" in h.request((where, port), "env").text
    else:
        with pytest.raises(h.FcgiError) as e:
            h.request((where, port), "env")
        assert e.value.kind in ("closed", "reset")


# By itself a worker does what its library does: on a socket that was passed
# in, where nothing of ours keeps anybody away.

HEEDS = {
    "libfcgi": ([h.app("lib")], None),
    "perl": ([h.source("load.pl")], None),
    "fcgiwrap": (["/usr/sbin/fcgiwrap"], h.app("cgi")),
}
IGNORES = {
    "php-cgi": (["/usr/bin/php-cgi", "-n"], "php/load.php"),
    "go": ([os.path.join(h.APPS, "load-go")], None),
    "node": (["/usr/bin/node", h.source("load.js")], None),
}
# Its part in C heeds it, which that of Debian 12 does without.
HAS_C = subprocess.run(
    ["ruby", "-e", "require 'fcgi'; exit $\".any? { _1.end_with? 'fcgi.so' }"],
    stderr=subprocess.DEVNULL, timeout=60).returncode == 0
(HEEDS if HAS_C else IGNORES)["ruby"] = ([h.source("load.rb")], None)


@pytest.mark.parametrize("program, value, serves", [
    *[(p, v, v == "127.0.0.9,127.0.0.1") for p in HEEDS
      for v in ["127.0.0.9", "127.0.0.9, 127.0.0.1", "127.0.0.0/8",
                "127.0.0.9,127.0.0.1"]],
    *[(p, "127.0.0.9", True) for p in IGNORES]])
def test_what_a_worker_does_by_itself(spawnd, program, value, serves):
    port = h.free_port()
    argv, script = (HEEDS | IGNORES)[program]
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        spawnd("-u", "www", "-F", 1, "--stop-signal", "USR1", "-e",
               "NODE_PATH=/usr/share/nodejs", "-e", "NODE_NO_WARNINGS=1",
               "--", *argv, env={VARIABLE: value}, stdin=listener)
    result = crowd(("127.0.0.1", port), script, 1, clients=1).result()
    assert result["sent"] == result["answered"] + result["failed"]
    assert (result["answered"] > 0) == serves, result
    assert (result["failed"] == 0) == serves, result
