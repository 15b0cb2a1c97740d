# SPDX-License-Identifier: ISC
"""make install and make uninstall: scripts/identical.sh has the list of what
is installed, here is how."""

import os
import stat
import subprocess

import pytest

import harness

PLAIN_ONLY = True       # make is told nothing of another build
OUT = os.path.dirname(harness.SPAWND)


def make(target, dest, *variables, program="make", umask=0o077):
    # What is built is not built anew: only GNU make can be told so.
    known = ["-o", "all"] if program == "make" else []
    r = subprocess.run(
        [program, "-s", "-C", harness._top, *known, target, f"OUT={OUT}",
         f"DESTDIR={dest}", "PREFIX=/usr", *variables],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120 * harness.PATIENCE, preexec_fn=lambda: os.umask(umask))
    assert r.returncode == 0, r


def tree(top):
    """{path: mode, and where a link leads}, of all below a directory."""
    found = {}
    for where, dirs, names in os.walk(top):
        for name in dirs + names:
            path = f"{where}/{name}"
            st = os.lstat(path)
            found[path[len(top):]] = os.readlink(path) \
                if stat.S_ISLNK(st.st_mode) else oct(st.st_mode)
    return found


@pytest.fixture
def dest(place):
    os.mkdir(f"{place}/a directory")
    return f"{place}/a directory"


@pytest.mark.parametrize("program", ["make", "bmake"])
def test_what_is_installed_goes_again(dest, program):
    make("install-compat", dest, program=program)
    found = tree(dest)
    assert len(found) > 40
    make("install-compat", dest, program=program, umask=0)
    assert tree(dest) == found
    make("uninstall", dest, program=program)
    assert tree(dest) == {}


def test_the_umask_is_not_that_of_the_files(dest):
    make("install-compat", dest)
    for path, what in tree(dest).items():
        wanted = {"0o40755", "0o100755" if "bin/" in path or
                  path.endswith(("/service", "/spawnd-status")) else
                  "0o100644"}
        if not os.path.islink(dest + path):
            assert what in wanted, path


@pytest.mark.parametrize("sbindir,leads", [
    ("/usr/sbin", "../sbin/spawnd"), ("/usr/bin", "spawnd"),
    ("/opt/spawnd/sbin", "../../opt/spawnd/sbin/spawnd")])
def test_links_lead_there_wherever_the_tree_is(dest, sbindir, leads):
    make("install-compat", dest, f"SBINDIR={sbindir}")
    assert os.readlink(f"{dest}/usr/bin/spawn-fcgi") == leads
    os.rename(dest, dest + " moved")
    for name in ("usr/bin/spawn-fcgi", "usr/bin/multiwatch",
                 f"{sbindir}/kfcgi"):
        assert os.path.samefile(f"{dest} moved/{name}",
                                f"{dest} moved{sbindir}/spawnd")


def test_a_link_is_found_from_where_its_directory_is(dest):
    os.makedirs(f"{dest}/usr/bin")
    os.symlink("usr/bin", f"{dest}/bin")
    make("install-compat", dest, "BINDIR=/bin")
    assert os.path.samefile(f"{dest}/bin/spawn-fcgi",
                            f"{dest}/usr/sbin/spawnd")


def test_a_running_program_keeps_its_file(dest):
    make("install", dest)
    with open(f"{dest}/usr/sbin/spawnd", "rb") as f:
        make("install", dest)
        assert os.fstat(f.fileno()).st_nlink == 0


def test_of_others_nothing_is_removed(dest):
    for path in ("usr/share/man/man1", "usr/bin", "usr/share/examples/spawnd"):
        os.makedirs(f"{dest}/{path}")
    os.chmod(f"{dest}/usr/bin", 0o2775)
    for path in ("usr/bin/spawn-fcgi", "usr/share/man/man1/spawn-fcgi.1",
                 "usr/share/examples/spawnd/mine"):
        with open(f"{dest}/{path}", "w") as f:
            f.write("the original\n")
    os.symlink("spawn-fcgi", f"{dest}/usr/bin/multiwatch")
    before = tree(dest)
    make("install", dest)
    make("uninstall", dest)
    assert tree(dest) == before
