# SPDX-License-Identifier: ISC
"""What the two commands of README meet on machines that are not like this one:
packages that are gone, a checkout that others cannot enter, a root that is the
only user."""

import os
import subprocess

import pytest

import harness as h

PLAIN_ONLY = True       # what it shows is nothing that sanitizers see

TOP = os.path.dirname(os.path.dirname(h.SOURCES))
RUN = "tests/system/run.sh"
TEST = "test_retire.py::test_fast_stop_does_not_wait"


def run(*argv, path=None):
    """Without what run.sh has set for the tests."""
    env = {k: v for k, v in os.environ.items()
           if k not in ("SPAWND", "APPS", "SPAWND_INSIDE")}
    if path:
        env["PATH"] = path
    return subprocess.run(argv, env=env, cwd=TOP, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60 * h.PATIENCE)


def write_program(path, script):
    with open(path, "x", encoding="ascii") as f:
        f.write(f"#!/bin/sh\n{script}\n")
    os.chmod(path, 0o755)


@pytest.fixture(name="archive")
def _archive(place):
    """An archive that has one of two packages; what apt-get was told to do."""
    write_program(f"{place}/dpkg-query", "exit 1")
    write_program(f"{place}/apt-cache", 'case $2 in here) c=1.0 ;; '
                  '*) c="(none)" ;; esac\necho "  Candidate: $c"')
    write_program(f"{place}/apt-get", f'echo "$*" >>{place}/told')
    return place


def test_package_that_is_gone_is_named_and_the_others_installed(archive):
    done = run("sh", "-c", ". scripts/packages.sh; packages_install gone here;"
               ' echo "unknown:$packages_unknown"',
               path=f"{archive}:/usr/sbin:/usr/bin:/sbin:/bin")
    assert "not in this archive: gone\n" in done.stdout
    assert "unknown: gone\n" in done.stdout
    with open(f"{archive}/told", encoding="ascii") as f:
        told = f.read().splitlines()
    assert [line for line in told if "install" in line] == [
        "-q -y --no-install-recommends install here"], told


def test_checkout_that_others_cannot_enter_is_tested(place):
    # The inner tests have a /run of their own.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True)
    try:
        os.makedirs("/mnt/home/tree")
        os.chmod("/mnt/home", 0o700)
        subprocess.run(["mount", "--rbind", TOP, "/mnt/home/tree"], check=True)
        done = run("sh", f"/mnt/home/tree/{RUN}", "-q", TEST)
        assert done.returncode == 0 and " passed" in done.stdout, done.stdout
    finally:
        subprocess.run(["umount", "-R", "/mnt"], check=True)


@h.needs(h.user_namespaces)
def test_root_that_is_the_only_user_is_told():
    done = run("unshare", "-U", "-r", "sh", RUN, TEST)
    assert done.returncode != 0
    assert "root is the only user here" in done.stdout, done.stdout
