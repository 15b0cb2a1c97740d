# SPDX-License-Identifier: ISC
"""Files that root's start meets which others may write, or that are none; and
what the preflight shows of a file that is secret."""

import os

import pytest

import harness as h

ECHO = h.app("echo")


@pytest.mark.parametrize("owner,mode", [("_app", 0o600), ("root", 0o666),
                                        ("root", 0o620), ("_app", 0o666)])
@pytest.mark.parametrize("test", [[], ["-t"]], ids=["start", "test"])
@pytest.mark.parametrize("text", ["", "1\n"])
def test_pidfile_that_others_may_write_is_refused(place, owner, mode, test,
                                                  text):
    path = f"{place}/pid"
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chown(path, h.USERS.get(owner, 0), -1)
    os.chmod(path, mode)
    r = h.run_spawnd(*test, "-s", f"{place}/s", "-u", "_app", "-P", path, "--",
                     ECHO)
    assert r.status == (78 if test else 73)
    assert f"-P: {path}: others may write it (remove it)" in \
        (r.stdout if test else h.line_of(r))
    with open(path, encoding="ascii") as f:
        assert f.read() == text


@pytest.mark.parametrize("owner,mode,warned", [
    (0, 0o755, False), (h.USERS["_app"], 0o755, True), (0, 0o777, True),
    (h.USERS["www"], 0o755, False)])
@pytest.mark.parametrize("there", [False, True])
def test_pidfile_in_a_directory_of_the_workers_is_a_warning(
        place, owner, mode, warned, there):
    h.own_directory(f"{place}/run", owner, mode)
    if there:
        with open(f"{place}/run/pid", "w", encoding="ascii"):
            pass
    r = h.run_spawnd("-t", "-s", f"{place}/s", "-u", "_app", "-P",
                     f"{place}/run/pid", "--", ECHO)
    assert r.status == 0
    assert (f"warning: -P: {place}/run/pid: _app may write {place}/run: "
            "whoever breaks into a worker could have root signal any process"
            in r.stdout) == warned


@pytest.mark.parametrize("how", ["absolute", "colon", "relative"])
def test_time_zone_that_is_no_file_does_not_hold_up_the_start(place, how):
    os.mkfifo(f"{place}/zone")
    env = dict(h.BASE_ENV, TZ={"absolute": f"{place}/zone",
                               "colon": f":{place}/zone",
                               "relative": "zone"}[how])
    if how == "relative":
        env["TZDIR"] = place
    for test in ([], ["-t"]):
        r = h.run_spawnd(*test, "-s", f"{place}/s", "-u", "www", "--", ECHO,
                         env=env)
        assert r.status == 78
        assert f"TZ: {place}/zone: not a regular file" in \
            (r.stdout if test else h.line_of(r))


def test_time_zone_that_is_a_file_is_read(spawnd, place):
    zone = "/usr/share/zoneinfo/Asia/Kolkata"
    s = spawnd("-s", f"{place}/s", "-u", "www", "--", ECHO,
               env=dict(h.BASE_ENV, TZ=f":{zone}"))
    s.wait_log(r"\+05:30 echo\[")


@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_null_that_is_no_device_is_refused(place, kind):
    null = f"{place}/null"
    if kind == "fifo":
        os.mkfifo(null)
    else:
        with open(null, "w", encoding="ascii"):
            pass
    r = h.run_spawnd("-s", f"{place}/s", "-u", "www", "--", ECHO, wrap=[
        "unshare", "--mount", "sh", "-c",
        f'mount --bind {null} /dev/null && exec "$@"', "sh"])
    assert r.status == 71
    assert h.line_of(r) == "spawnd: /dev/null: not a device"


def test_preflight_shows_no_value_that_may_be_secret(place):
    path = f"{place}/env"
    with open(path, "w", encoding="ascii") as f:
        f.write("DB_PASSWORD=swordfish\nLANG=of=it\n")
    r = h.run_spawnd("-t", "-s", f"{place}/s", "-u", "www", "--env-file", path,
                     "-e", "TOKEN_*", "-e", "SEEN=by all", "--", ECHO,
                     env=dict(h.BASE_ENV, TOKEN_A="cod", TZ="UTC"))
    assert r.status == 0
    shown = r.stdout.splitlines()
    for name in ("DB_PASSWORD", "TOKEN_A", "LANG"):
        assert f"\t{name} (its value is not shown)" in shown
    assert {"\tSEEN=by all", "\tTZ=UTC"} <= set(shown)
    for secret in ("swordfish", "cod", "of=it"):
        assert secret not in r.stdout + r.stderr
