# SPDX-License-Identifier: ISC
"""Newer kernels let only a process with CAP_NET_ADMIN set the filter of
--allow. Without it that option is an error, and FCGI_WEB_SERVER_ADDRS, which
pools had before there was a filter, a warning."""

import errno
import json
import re
import subprocess
import sys

import pytest

import harness as h
from ctl import ctl
from test_allow import EX_CONFIG, SO_ATTACH_FILTER, SO_LOCK_FILTER, \
    VARIABLE, check, request
from test_families import SETSOCKOPT

EX_NOPERM = 77
WHY = "the kernel lets only a process with CAP_NET_ADMIN set its filter"
HEEDED = "only workers with libfcgi heed it"
ROOT = ("in a container: --cap-add NET_ADMIN, in a unit: "
        "CapabilityBoundingSet=CAP_NET_ADMIN, PrivateUsers=no")
USER = ("start as root, or in a unit: CapabilityBoundingSet= and "
        "AmbientCapabilities=CAP_NET_ADMIN, PrivateUsers=no")


def no_right():
    """As such a kernel, on any."""
    h.forbid_call(SETSOCKOPT, errno.EPERM, a2=SO_ATTACH_FILTER)


AS_USER = ["setpriv", "--reuid=www", "--regid=www", "--init-groups"]
AS_ROOT = ["-u", "www"]
# Who starts the pool: options, a command, what it does first, its advice.
STARTERS = {
    "root, refused": (AS_ROOT, [], no_right, ROOT),
    "root, bounded": (AS_ROOT, ["setpriv", "--bounding-set=-net_admin"], None,
                      ROOT),
    "user, refused": ([], AS_USER, no_right, USER),
    "user": ([], AS_USER, None, USER),
    "user with it": ([], [*AS_USER, "--inh-caps=+net_admin",
                          "--ambient-caps=+net_admin"], None, None),
}
TRY = f"""
import ctypes, socket, struct, sys
let_in = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xffffffff))
try:
    socket.socket().setsockopt(socket.SOL_SOCKET, {SO_ATTACH_FILTER},
        struct.pack("HP", 1, ctypes.addressof(let_in)))
except PermissionError:
    sys.exit({EX_NOPERM})
"""


@pytest.fixture(params=STARTERS)
def starter(request):
    """options, a wrap, become, its advice, and: may it set the filter?"""
    options, wrap, become, cure = STARTERS[request.param]
    status = subprocess.run([*wrap, sys.executable, "-c", TRY], check=False,
                            preexec_fn=become).returncode
    assert status in (0, EX_NOPERM)
    assert status == EX_NOPERM or "refused" not in request.param
    assert status == 0 or "with it" not in request.param
    return options, wrap, become, cure, status == 0


def test_the_option_is_refused(spawnd, starter):
    options, wrap, become, cure, may = starter
    port = h.free_port()
    args = ["-p", port, *options, "-F", 1, "--allow",
            "127.0.0.2", "--", h.app("echo")]
    test = h.run_spawnd("-t", *args, wrap=wrap, become=become)
    if may:
        assert test.status == 0, test.stdout
        s = spawnd(*args, wrap=wrap, become=become)
        assert "(only for 127.0.0.2; others see a time-out)" in s.log()
        check(port, ["127.0.0.2"], ["127.0.0.1"])
        worker, = s.workers()
        for pid in (s.pid, worker):
            caps = h.caps(pid)
            del caps["CapBnd"]
            assert not any(caps.values()), caps
        return
    start = h.run_spawnd("-n", *args, wrap=wrap, become=become)
    assert start.status == EX_NOPERM
    line = f"--allow: {WHY} ({cure})"
    assert h.line_of(start) == f"spawnd: {line}"
    assert test.status == EX_CONFIG
    assert f"\nerror: {line}\n" in test.stdout


def test_with_the_variable_alone_the_pool_starts(spawnd, place, starter):
    options, wrap, become, cure, may = starter
    port, kw = h.free_port(), {"wrap": wrap, "become": become,
                             "env": {VARIABLE: "127.0.0.2"}}
    h.own_directory(place, "root" if options else "www")
    args = ["-p", port, *options, "-F", 1, "--control", f"{place}/c", "--"]
    test = h.run_spawnd("-t", *args, h.app("bare"), **kw)
    assert test.status == 0, test.stdout
    # It does not heed the variable itself.
    s = spawnd(*args, h.app("bare"), **kw)
    line = f"{VARIABLE}: {WHY} ({cure}): {HEEDED}"
    own = ctl("-p", f"{place}/c", "status")
    data = json.loads(ctl("-p", f"{place}/c", "status", "--json").stdout)
    assert own.status == 0
    assert data["guarantees"]["only_allowed"] is may
    assert ("clients" in data["pool"]) == may
    for text in (s.log(), own.stdout, test.stdout):
        assert ("only for 127.0.0.2" in text or
                "only the web servers" in text) == may, text
    assert s.log().count(f"{line}\n") == (not may)
    assert (f"\nwarning: {line}\n" in test.stdout) == (not may)
    assert ("\nweb servers:" in test.stdout) == may
    check(port, ["127.0.0.2"] + ["127.0.0.1"] * (not may),
          ["127.0.0.1"] * may)
    s.stop()
    spawnd(*args, h.app("echo"), **kw)
    answer = request(port, "127.0.0.2", "env")
    assert f"{VARIABLE}=127.0.0.2" in answer.text


def no_memory():
    h.forbid_call(SETSOCKOPT, errno.ENOMEM, a2=SO_ATTACH_FILTER)


def no_lock():
    h.forbid_call(SETSOCKOPT, errno.EINVAL, a2=SO_LOCK_FILTER)


MANY = ",".join(f"127.{n >> 8}.{n & 255}.{n * 7 & 255}"
                for n in range(1, 4000))


@pytest.mark.parametrize("value, become, why", [
    ("127.0.0.2", no_memory, "attaching its filter: Cannot allocate memory "
     "(raise net.core.optmem_max, or name networks: ADDR/LEN)"),
    ("127.0.0.2", no_lock, "locking its filter: Invalid argument"),
    (MANY, None, r"3999 addresses are too many for the kernel: \d+ of them "
     "would fit (name networks: ADDR/LEN)")],
    ids=["memory", "lock", "many"])
def test_the_variable_stops_no_pool(spawnd, value, become, why):
    port = h.free_port()
    kw = {"become": become, "env": {VARIABLE: value}}
    args = ["-p", port, "-u", "www", "-F", 1, "--", h.app("bare")]
    test = h.run_spawnd("-t", *args, **kw)
    assert test.status == 0, test.stdout
    line = re.escape(f"{VARIABLE}: {why}: {HEEDED}").replace(r"\\d\+", r"\d+")
    assert re.search(f"^warning: {line}$", test.stdout, re.M), test.stdout
    s = spawnd(*args, **kw)
    assert re.search(f"warning: {line}$", s.log(), re.M), s.log()
    check(port, ["127.0.0.2", "127.0.0.1"], [])


@pytest.mark.parametrize("listen, env", [
    (["-p", 9000], {}), (["-s", "/run/t/sock"], {}),
    (["-s", "/run/t/sock"], {VARIABLE: "127.0.0.2"})])
def test_without_a_list_no_right_is_needed(spawnd, starter, listen, env):
    options, wrap, become, _, _ = starter
    h.own_directory("/run/t", "www")
    s = spawnd(*listen, *options, "-F", 1, "--", h.app("echo"), env=env,
               wrap=wrap, become=become)
    assert "NET_ADMIN" not in s.log() and "filter" not in s.log()


def test_a_plan_for_root_is_not_blamed():
    """Its tester may lack what root will have."""
    test = h.run_spawnd("-t", "-a", "0.0.0.0", "-p", h.free_port(), "-u",
                        "_app", "--allow", "127.0.0.2", "--", h.app("echo"),
                        wrap=AS_USER, become=no_right)
    assert test.status == 0, test.stdout
    assert "\nweb servers:\n\t127.0.0.2\n" in test.stdout
    assert ("\nnote: not checked: whether only the web servers above can "
            "connect: as this plan stands, only root can start it\n"
            ) in test.stdout
    assert "warning: address" not in test.stdout
    assert "NET_ADMIN" not in test.stdout
