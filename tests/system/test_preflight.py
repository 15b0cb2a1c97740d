# SPDX-License-Identifier: ISC
"""-t: finds every mistake before anything starts, and changes nothing."""

import os
import re
import socket
import struct
import subprocess

import pytest

import harness as h

EX_USAGE, EX_NOUSER, EX_CONFIG = 64, 67, 78
EM_S390 = 22


class Report:
    """What one run with -t said."""

    def __init__(self, result):
        self.status = result.status
        self.text = result.stdout
        self.lines = result.stdout.splitlines()
        assert result.stderr == "", result.stderr
        assert self.lines, "it said nothing"
        self.last = self.lines[-1]

    def of(self, kind):
        return [n[len(kind) + 2:] for n in self.lines
                if n.startswith(kind + ": ")]

    @property
    def errors(self):
        return self.of("error")

    @property
    def warnings(self):
        return self.of("warning")

    @property
    def notes(self):
        return self.of("note")


def preflight(*args, test="-t", **kw):
    return Report(h.run_spawnd(test, *args, **kw))


def write(path, data, mode=0o755):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


def libraries(program):
    """The files that a program of ours is loaded from."""
    out = subprocess.run(["ldd", program], check=True, encoding="utf-8",
                         stdout=subprocess.PIPE).stdout
    return re.findall(r"(/\S+) \(0x", out)


def dynamic_jail(path, *without):
    """A jail with a dynamic program and what it needs, but for some."""
    program = h.app("echo")
    h.make_jail(path, program)
    for lib in libraries(program):
        if not any(w in lib for w in without):
            h.install(lib, path + lib)
    return path


def compile_c(out, text, *options):
    os.makedirs(os.path.dirname(out), exist_ok=True)
    subprocess.run(["cc", "-x", "c", "-o", out, "-", *options], check=True,
                   input=text.encode())
    return out


def chain(path):
    """path/bin/app needs path/own/libone.so, that needs libtwo.so there."""
    lib = f"{path}/own"
    compile_c(f"{lib}/libtwo.so", "int two(void) { return 2; }", "-shared",
              "-fPIC")
    compile_c(f"{lib}/libone.so",
              "int two(void); int one(void) { return two(); }", "-shared",
              "-fPIC", f"-L{lib}", "-ltwo", "-Wl,-rpath,$ORIGIN")
    return compile_c(f"{path}/bin/app",
                     "int one(void); int main(void) { return one(); }",
                     f"-L{lib}", "-lone", f"-Wl,-rpath-link,{lib}",
                     "-Wl,-rpath,$ORIGIN/../own")


@pytest.fixture
def base(place):
    """A directory with a good program and an empty run/."""
    return h.make_jail(place, h.app("echo"))


def plain(base, *options, app=None, sock=None):
    """The arguments for a pool without a jail."""
    return ["-s", sock or f"{base}/run/sock", "-u", "www", *options, "--",
            app or f"{base}/fcgi-bin/app"]


def jailed(base, *options, app="/fcgi-bin/app"):
    return ["-c", base, "-s", "/run/sock", "-u", "www", *options, "--", app]


# The mistakes. Each takes a good set-up, breaks one thing in it, and returns
# the command line and what the only error must say.

def missing_program(base):
    return plain(base, app=f"{base}/nothing"), r"nothing: does not exist"


def missing_directory(base):
    return plain(base, app=f"{base}/no/such/app"), \
        rf"its directory {base}/no does not exist"


def directory_not_searchable(base):
    write(f"{base}/a/b/app", read(h.app("echo")))
    os.chmod(f"{base}/a", 0o700)
    return plain(base, app=f"{base}/a/b/app"), \
        rf"the directory {base}/a may not be searched by www \(mode 0700"


def file_as_directory(base):
    return plain(base, app=f"{base}/fcgi-bin/app/more"), \
        rf"{base}/fcgi-bin/app is not a directory"


def program_is_a_directory(base):
    return plain(base, app=f"{base}/fcgi-bin"), r"it is a directory"


def program_is_a_fifo(base):
    os.mkfifo(f"{base}/fifo", 0o755)
    return plain(base, app=f"{base}/fifo"), r"it is not a regular file"


def program_not_executable(base):
    os.chmod(f"{base}/fcgi-bin/app", 0o644)
    return plain(base), r"may not be executed by www \(mode 0644"


def program_for_others_only(base):
    os.chown(f"{base}/fcgi-bin/app", -1, h.USERS["www"])
    os.chmod(f"{base}/fcgi-bin/app", 0o705)
    return plain(base), r"may not be executed by www \(mode 0705"


def empty_program(base):
    write(f"{base}/fcgi-bin/app", b"")
    return plain(base), r"it is empty"


def text_as_program(base):
    write(f"{base}/fcgi-bin/app", b"hello\n")
    return plain(base), r"neither a program nor a script"


def script_without_interpreter(base):
    write(f"{base}/fcgi-bin/app", b"#!/no/such/perl -w\n")
    return plain(base), r"its interpreter /no/such/perl: .*does not exist"


def script_with_empty_line(base):
    write(f"{base}/fcgi-bin/app", b"#! \n")
    return plain(base), r"its #! line names no interpreter"


def script_with_crlf(base):
    write(f"{base}/fcgi-bin/app", b"#!/bin/sh\r\nexit 0\r\n")
    return plain(base), r"its lines end in CR LF, so its interpreter /bin/sh"


def script_of_env(base):
    write(f"{base}/fcgi-bin/app", b"#!/usr/bin/env no-such-perl\n")
    return plain(base), r"its interpreter no-such-perl is not in .* PATH"


def script_of_itself(base):
    app = f"{base}/fcgi-bin/app"
    write(app, b"#!" + app.encode() + b"\n")
    return plain(base), r"too many interpreters"


def interpreter_not_executable(base):
    write(f"{base}/perl", read("/bin/sh"), 0o644)
    write(f"{base}/fcgi-bin/app", f"#!{base}/perl\n".encode())
    return plain(base), r"its interpreter .*/perl: it may not be executed"


def patched(base, at, value):
    data = bytearray(read(h.app("echo")))
    data[at:at + len(value)] = value
    write(f"{base}/fcgi-bin/app", bytes(data))


def other_machine(base):
    patched(base, 18, struct.pack("=H", EM_S390))
    return plain(base), r"built for S/390 \(ELF number 22\), not for this"


def other_byte_order(base):
    patched(base, 5, bytes([3 - read(h.app("echo"))[5]]))
    return plain(base), r"a machine of the other byte order"


def object_file(base):
    patched(base, 16, struct.pack("=H", 1))
    return plain(base), r"an ELF file, but not a program"


def program_cut_off(base):
    write(f"{base}/fcgi-bin/app", read(h.app("echo"))[:9000])
    return plain(base), r"it is cut off"


def no_loader_in_jail(base):
    return jailed(base), r"its loader /lib\S+: .*not exist \(link it static"


def no_library_in_jail(base):
    dynamic_jail(base, "libfcgi")
    return jailed(base), \
        r"its library libfcgi\.so\.0 is missing \(copy it into the jail"


def library_not_readable(base):
    dynamic_jail(base)
    lib = next(n for n in libraries(h.app("echo")) if "libfcgi" in n)
    os.chmod(base + lib, 0o700)
    return jailed(base), \
        r"library libfcgi\.so\.0 cannot be used \(\S+: Permission denied\)"


def library_cut_off(base):
    dynamic_jail(base)
    lib = next(n for n in libraries(h.app("echo")) if "libfcgi" in n)
    write(base + lib, read(lib)[:2000])
    return jailed(base), r"libfcgi\.so\.0 cannot be used \(.*: it is cut off"


def library_of_a_library(base):
    app = chain(base)
    os.unlink(f"{base}/own/libtwo.so")
    return plain(base, app=app), \
        r"its library libtwo\.so, needed by \S+/libone\.so, is missing"


def link_out_of_the_jail(base):
    os.unlink(f"{base}/fcgi-bin/app")
    os.symlink(h.app("static"), f"{base}/fcgi-bin/app")
    return jailed(base), \
        r"is a symbolic link to \S+, which does not exist inside"


def path_of_the_host(base):
    return jailed(base, app=f"{base}/fcgi-bin/app"), \
        r"as seen inside the jail: try /fcgi-bin/app\)"


def missing_chdir(base):
    return plain(base, "-d", f"{base}/no"), r"chdir: \S+/no: does not exist"


def closed_chdir(base):
    os.mkdir(f"{base}/closed", 0o700)
    return plain(base, "-d", f"{base}/closed"), \
        r"chdir: \S+/closed: it may not be searched by www"


def file_as_chdir(base):
    return plain(base, "-d", f"{base}/fcgi-bin/app"), \
        r"chdir: .*: it is not a directory"


def no_socket_directory(base):
    return plain(base, sock=f"{base}/new dir/sock"), \
        rf"\(install -d -o root -g root -m 0755 '{base}/new dir'\)"


def no_socket_directory_in_jail(base):
    h.install(h.app("static"), f"{base}/fcgi-bin/app")
    os.rmdir(f"{base}/run")
    return jailed(base), rf"\(install -d -o root -g root -m 0755 {base}/run\)"


def file_as_socket_directory(base):
    return plain(base, sock=f"{base}/fcgi-bin/app/sock"), \
        r"its directory \S+/app: is not a directory"


def file_as_socket(base):
    write(f"{base}/run/sock", b"precious")
    return plain(base), r"run/sock: exists and is not a socket"


def link_as_socket(base):
    os.symlink("/etc/passwd", f"{base}/run/sock")
    return plain(base), r"run/sock: exists and is not a socket"


def address_of_another(base):
    return ["-a", "192.0.2.1", "-p", "9000", "-u", "www", "--",
            f"{base}/fcgi-bin/app"], r"bind: tcp:192\.0\.2\.1:9000: "


MISTAKES = [
    missing_program, missing_directory, directory_not_searchable,
    file_as_directory, program_is_a_directory, program_is_a_fifo,
    program_not_executable, program_for_others_only, empty_program,
    text_as_program, script_without_interpreter, script_with_empty_line,
    script_with_crlf, script_of_env, script_of_itself,
    interpreter_not_executable, other_machine, other_byte_order, object_file,
    program_cut_off, no_loader_in_jail, no_library_in_jail,
    library_not_readable, library_cut_off, library_of_a_library,
    link_out_of_the_jail, path_of_the_host, missing_chdir, closed_chdir,
    file_as_chdir, no_socket_directory, no_socket_directory_in_jail,
    file_as_socket_directory, file_as_socket, link_as_socket,
    address_of_another,
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda f: f.__name__)
def test_mistake(mistake, base):
    args, text = mistake(base)
    before = h.tree(base)
    report = preflight(*args)
    assert h.tree(base) == before
    assert len(report.errors) == 1, report.text
    assert re.search(text, report.errors[0]), report.errors
    assert re.match(r"spawnd: 1 error, \d warnings?$", report.last)
    assert report.status == EX_CONFIG


def test_noexec(base):
    os.mkdir(f"{base}/m")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,mode=755,size=4m",
                    "tmpfs", f"{base}/m"], check=True)
    try:
        h.install(h.app("static"), f"{base}/m/app")
        report = preflight(*plain(base, app=f"{base}/m/app"))
    finally:
        subprocess.run(["umount", f"{base}/m"], check=True)
    assert len(report.errors) == 1
    assert "is its file system mounted noexec?" in report.errors[0]


def test_all_mistakes_are_named_at_once(base):
    write(f"{base}/fcgi-bin/app", b"#!/no/such/perl\n")
    report = preflight("-s", f"{base}/none/sock", "-d", f"{base}/nowhere",
                       "-u", "www", "--", f"{base}/fcgi-bin/app")
    assert len(report.errors) == 3, report.text
    assert report.last == "spawnd: 3 errors, 0 warnings"
    assert report.status == EX_CONFIG


def test_error_of_the_plan_keeps_its_status(base):
    report = preflight("-s", f"{base}/run/sock", "-u", "nobody-at-all", "--",
                       f"{base}/fcgi-bin/app")
    assert report.status == EX_NOUSER
    assert "-u: nobody-at-all: no such user" in report.errors
    assert any("not checked: the application" in n and
               "the user is not known" in n for n in report.notes)
    assert "guarantees: not checked" in report.lines


def test_missing_jail(base):
    report = preflight(*jailed(f"{base}/none"))
    assert report.status == EX_CONFIG
    assert any(f"chroot: {base}/none" in n for n in report.errors)
    assert any("the jail cannot be entered" in n for n in report.notes)


# What is right

@pytest.mark.parametrize("app", ["echo", "static"])
def test_good_plan_passes(base, app):
    h.install(h.app(app), f"{base}/fcgi-bin/app")
    before = h.tree(base)
    report = preflight(*plain(base))
    assert report.status == 0, report.text
    assert report.last == "spawnd: configuration ok"
    assert report.errors == report.warnings == []
    assert h.tree(base) == before


@pytest.mark.parametrize("program", ["/usr/bin/php-cgi", "/usr/bin/perl"])
def test_system_programs_pass(base, program):
    assert preflight(*plain(base, app=program)).status == 0


def test_scripts_pass(base):
    for line in (b"#!/bin/sh", b"#! /usr/bin/env sh", b"#!/usr/bin/env -S sh",
                 b"#!/usr/bin/perl -w"):
        write(f"{base}/fcgi-bin/app", line + b"\nexit 0\n")
        report = preflight(*plain(base))
        assert report.status == 0, report.text


def test_libraries_are_found_by_runpath(base):
    report = preflight(*plain(base, app=chain(base)))
    assert report.status == 0, report.text


def test_library_path_of_the_environment_counts(base):
    app = chain(base)
    os.mkdir(f"{base}/other")
    os.rename(f"{base}/own/libtwo.so", f"{base}/other/libtwo.so")
    assert preflight(*plain(base, app=app)).status == EX_CONFIG
    report = preflight(*plain(base, "-e", f"LD_LIBRARY_PATH={base}/other",
                              app=app))
    assert report.status == 0, report.text


def test_origin_needs_proc_in_a_jail(base):
    """What the real loader does there is what -t says."""
    app = chain(base)
    for lib in libraries(app):
        if not lib.startswith(base):
            h.install(lib, base + lib)
    run = subprocess.run(["chroot", base, "/bin/app"], check=False,
                         stderr=subprocess.PIPE)
    assert run.returncode == 127 and b"libone.so" in run.stderr
    report = preflight(*jailed(base, app="/bin/app"))
    assert len(report.errors) == 1
    assert "libone.so is missing ($ORIGIN needs /proc" in report.errors[0]


def test_dynamic_program_in_a_furnished_jail(base):
    dynamic_jail(base)
    report = preflight(*jailed(base))
    assert report.status == 0, report.text
    assert any(n.startswith("jail: /dev/null: ") for n in report.notes)
    os.mkdir(f"{base}/dev")
    os.mknod(f"{base}/dev/null", 0o20666, os.makedev(1, 3))
    h.own_directory(f"{base}/tmp", 0, 0o1777)
    report = preflight(*jailed(base))
    assert not any(n.startswith(("jail: /dev/null: ", "jail: /tmp: "))
                   for n in report.notes)
    assert any(n.startswith("jail: /etc/resolv.conf: ") for n in report.notes)


def test_library_in_a_directory_this_loader_does_not_know(base):
    """The loader of Debian does not look in /lib64."""
    dynamic_jail(base, "libfcgi")
    lib = next(n for n in libraries(h.app("echo")) if "libfcgi" in n)
    h.install(lib, f"{base}/lib64/libfcgi.so.0")
    run = subprocess.run(["chroot", base, "/fcgi-bin/app"], check=False,
                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    found = b"libfcgi.so.0: cannot open" not in run.stderr
    assert (preflight(*jailed(base)).status == 0) == found


def test_program_that_cannot_be_read(base):
    os.chmod(f"{base}/fcgi-bin/app", 0o711)
    report = preflight(*plain(base))
    assert report.status == 0
    assert any("www cannot read it" in n for n in report.notes)


def test_command(base):
    report = preflight("-s", f"{base}/run/sock", "-u", "www", "-f",
                       "/no/such/app")
    assert report.status == 0
    assert any("not checked: -f:" in n for n in report.notes)


# Sockets are left alone

def test_live_socket_is_not_connected_to(base):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{base}/run/sock")
        s.listen(5)
        s.setblocking(False)
        before = h.tree(base)
        report = preflight(*plain(base))
        assert h.tree(base) == before
        with pytest.raises(BlockingIOError):
            s.accept()
    assert report.status == 0
    assert any("run/sock: already exists" in n for n in report.notes)


def test_running_pool_passes(base, spawnd):
    s = spawnd("-F", "2", *plain(base))
    workers = s.workers()
    report = preflight("-F", "2", *plain(base))
    assert report.status == 0, report.text
    assert report.last == "spawnd: configuration ok"
    assert s.workers() == workers
    assert h.request(f"{base}/run/sock").status == 200
    # Its own workers are not somebody else.
    assert not any(n.startswith("user: www:") for n in report.notes)


def test_running_tcp_pool_passes(base, spawnd):
    """Even a strict test, which only notes that the port is in use."""
    args = ["-p", "9123", "-u", "www", "--", f"{base}/fcgi-bin/app"]
    assert not any("in use" in n for n in preflight(*args).notes)
    spawnd(*args)
    report = preflight(*args, test="--test=strict")
    assert report.status == 0
    assert report.last == "spawnd: configuration ok"
    assert "bind: tcp:127.0.0.1:9123: in use by another process (a start " \
        "fails until that has ended)" in report.notes
    assert h.request(("127.0.0.1", 9123)).status == 200


def test_port_in_use_is_noted_whoever_asks(base):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        for user in (None, "many"):
            report = preflight("-p", port, *([] if user else ["-u", "www"]),
                               "--", f"{base}/fcgi-bin/app", user=user)
            assert report.status == 0, report.text
            assert [n for n in report.notes if "in use" in n] == [
                f"bind: tcp:127.0.0.1:{port}: in use by another process (a "
                "start fails until that has ended)"]
        # Its other addresses are free.
        report = preflight("-a", "127.0.0.2", "-p", port, "-u", "www", "--",
                           f"{base}/fcgi-bin/app")
        assert not any("in use" in n for n in report.notes)


def test_port_that_takes_a_right(base):
    """An error for those who would start it without, and for no others."""
    args = ["-p", "80", "--", f"{base}/fcgi-bin/app"]
    report = preflight(*args, user="many")
    assert report.errors == ["bind: tcp:127.0.0.1:80: Permission denied"]
    assert report.status == EX_CONFIG
    assert preflight("-u", "www", *args, user="many").status == 0
    assert preflight("-u", "www", *args).status == 0


def test_inherited_socket(base):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{base}/run/sock")
        s.listen(5)
        s.setblocking(False)
        report = preflight("-u", "www", "--", f"{base}/fcgi-bin/app",
                           stdin=s)
        with pytest.raises(BlockingIOError):
            s.accept()
    assert report.status == 0, report.text
    assert f"socket: unix:{base}/run/sock" in report.lines


# What is said

def test_plan_is_printed(base):
    report = preflight(
        *plain(base, "-F", "3", "-C", "2", "-e", "A=b c", "--rlimit",
               "nofile=64:128", "--nice", "3", "--umask", "027",
               "--stop-signal", "USR1", "--stop-timeout", "7", "-M", "0600",
               "-U", "_app", "--name", "blog", "-b", "77", "--reload-surge",
               "5"), "x", "y z")
    for line in ("name: blog", f"application: {base}/fcgi-bin/app x 'y z'",
                 "user: www (uid 67), group www (gid 67), groups 67",
                 "jail: none", "working directory: /",
                 f"socket: unix:{base}/run/sock", "owner: _app:_app 0600",
                 "backlog: 77", "workers: 3 x (2 children + 1)",
                 "reload: 5 at a time",
                 "\tA=b c", "\tPHP_FCGI_CHILDREN=2",
                 "limits: nofile=64:128", "nice: 3", "umask: 027",
                 "stop: SIGUSR1, SIGKILL after 7 s", "start timeout: 60 s",
                 "note: connect: user _app only"):
        assert line in report.lines, (line, report.text)


def test_secrets_are_not_printed(base):
    """What is printed may end in a ticket."""
    path = write(f"{base}/env", b"TOKEN=hush-1\n", 0o600)
    report = preflight(*plain(base, "--env-file", path, "-e", "KEY", "-e",
                              "MODE=live"), env={"KEY": "hush-2"})
    assert report.status == 0, report.text
    for line in ("TOKEN (its value is not shown)",
                 "KEY (its value is not shown)", "MODE=live"):
        assert f"\t{line}" in report.lines, report.text
    assert "hush" not in report.text


def test_guarantees_are_looked_at(base):
    h.install(h.app("static"), f"{base}/fcgi-bin/app")
    report = preflight(*jailed(base))
    for line in ("no new privileges: yes", "empty bounding set: yes",
                 "processes can be looked at: yes, from within the jail only",
                 "listen queue can be seen: yes",
                 "ends of traced workers are seen: yes"):
        assert f"guarantees: {line}" in report.lines, report.text
    report = preflight(*jailed(base, "--no-new-privs", "no"))
    assert "guarantees: no new privileges: no" in report.lines
    assert "guarantees: empty bounding set: no" in report.lines


def test_who_can_connect(base):
    report = preflight(*plain(base))
    assert "connect: user www and members of group www (web, www)" in \
        report.notes
    report = preflight(*plain(base, "-M", "0666"))
    assert "connect: every user of this system" in report.notes
    report = preflight(*plain(base, "-M", "0"))
    assert any(w.startswith("connect: nobody but root")
               for w in report.warnings)
    os.chmod(f"{base}/run", 0o750)
    report = preflight(*plain(base))
    assert f"connect: only those who may search {base}/run (mode 0750, " \
        "root:root)" in report.notes


def test_neighbours_are_named(base):
    p = subprocess.Popen(["/bin/sleep", "60"], user="www",
                         stdin=subprocess.DEVNULL)
    try:
        h.wait_for(lambda: h.ids(p.pid, "Uid")[0] == h.USERS["www"] and
                   h.status(p.pid)["Name"] == "sleep")
        report = preflight(*plain(base))
    finally:
        p.kill()
        p.wait()
    assert any(f"user: www: other processes run as this user too: sleep "
               f"({p.pid})" in n for n in report.notes), report.notes


@pytest.mark.parametrize("address, open_to_all", [
    ("127.0.0.1", False), ("127.9.9.9", False), ("::1", False),
    ("0.0.0.0", True), ("::", True), ("*", True)])
def test_open_address_is_a_warning(base, address, open_to_all):
    args = ["-a", address, "-p", "9000", "-u", "www", "--",
            f"{base}/fcgi-bin/app"]
    report = preflight(*args)
    assert report.status == 0, report.text
    assert [w.startswith("address: tcp:") for w in report.warnings] == \
        [True] * open_to_all
    if open_to_all:
        assert report.last == "spawnd: 0 errors, 1 warning"
    strict = preflight(*args, test="--test=strict")
    assert strict.status == (EX_CONFIG if open_to_all else 0)


def test_open_address_of_a_passed_socket(base):
    """Nobody is told to give --allow where it cannot be given."""
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
        report = preflight("-u", "www", "--", f"{base}/fcgi-bin/app", stdin=s)
    assert [w for w in report.warnings if w.startswith("address: tcp:") and
            w.endswith("or use a packet filter)")], report.text


def test_backlog_above_the_limit_is_a_warning(base):
    limit = int(read("/proc/sys/net/core/somaxconn"))
    report = preflight(*plain(base, "-b", limit + 1))
    assert report.status == 0
    assert report.warnings == [f"backlog: {limit + 1}: the system cuts it "
                               f"to {limit} (raise net.core.somaxconn)"]
    assert preflight(*plain(base, "-b", limit),
                     test="--test=strict").status == 0


def test_crlf_behind_an_argument_is_a_warning(base):
    write(f"{base}/fcgi-bin/app", b"#!/usr/bin/perl -w\r\n")
    report = preflight(*plain(base))
    assert report.status == 0
    assert any("CR LF" in w for w in report.warnings)


def test_control_bytes_are_shown_as_numbers(base):
    report = h.run_spawnd("-t", *plain(
        base, "-d", f"{base}/\x1b[2J\x7f\u009b\u00e4\n",
        app=f"{base}/\x1b]0;x\x07/app"), "\x1b[31m", "a\tb")
    for byte in ("\x1b", "\x07", "\x7f", "\u009b", "\t[", "\r"):
        assert byte not in report.stdout, report.stdout
    assert r"\x1b[2J\x7f\xc2\x9bä" in report.stdout
    assert r"\x1b]0;x\x07" in report.stdout
    assert report.status == EX_CONFIG


def elf_that_wants(names, interp):
    """A program that needs all these libraries."""
    strings = b"\0" + b"\0".join(n.encode() for n in [interp, *names]) + b"\0"
    dyn, at = [], 1 + len(interp) + 1
    head = 64 + 3 * 56
    size = 16 * (len(names) + 3)
    for name in names:
        dyn.append((1, at))
        at += len(name) + 1
    dyn += [(5, 0x1000 + head + size), (10, len(strings)), (0, 0)]
    total = head + size + len(strings)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    machine = struct.unpack("=H", read(h.app("echo"))[18:20])[0]
    out = ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0,
                              64, 56, 3, 0, 0, 0)
    for kind, offset, addr, length in (
            (1, 0, 0x1000, total), (2, head, 0x1000 + head, size),
            (3, head + size + 1, 0, len(interp) + 1)):
        out += struct.pack("<IIQQQQQQ", kind, 5, offset, addr, addr, length,
                           length, 1)
    out += b"".join(struct.pack("<QQ", *d) for d in dyn)
    return out + strings


def loader_of(program):
    return next(n for n in libraries(program) if "/ld-" in n or "/ld64" in n)


def test_a_hostile_program_names_libraries(base):
    """Few: each is said, and no byte of them reaches the terminal raw."""
    interp = loader_of(h.app("echo"))
    write(f"{base}/fcgi-bin/app", elf_that_wants(
        ["\x1b[2Jlib.so", "../../etc/shadow", "two\nerror: lines"], interp))
    report = preflight(*plain(base))
    assert len(report.errors) == 3, report.text
    assert "\x1b" not in report.text
    assert report.status == EX_CONFIG


def test_a_flood_of_findings_is_one_error(base):
    interp = loader_of(h.app("echo"))
    write(f"{base}/fcgi-bin/app", elf_that_wants(
        [f"{n}{'x' * 900}.so" for n in range(300)], interp))
    report = preflight(*plain(base))
    assert len(report.errors) == 1, report.text[:2000]
    assert "reported too much" in report.errors[0]
    assert report.status == EX_CONFIG


# Other users

def test_plain_user(place, base):
    own = h.own_directory(f"{place}/own", "www")
    report = preflight("-s", f"{own}/sock", "--", f"{base}/fcgi-bin/app",
                       user="www")
    assert report.status == 0, report.text
    assert "guarantees: no new privileges: yes" in report.lines
    os.chmod(f"{base}/fcgi-bin/app", 0o700)
    report = preflight("-s", f"{base}/run/sock", "--",
                       f"{base}/fcgi-bin/app", user="www")
    assert report.status == EX_CONFIG
    assert len(report.errors) == 2, report.text
    assert any("cannot be written: Permission denied" in n
               for n in report.errors)
    assert any("may not be executed by www" in n for n in report.errors)


def test_plain_user_who_names_himself(place, base):
    """Everything is checked, since he can start it."""
    own = h.own_directory(f"{place}/own", "www")
    report = preflight("-s", f"{own}/sock", "-u", "www", "-g", "www", "-U",
                       "www", "--", f"{base}/fcgi-bin/app", user="www")
    assert report.status == 0, report.text
    assert not any("not checked" in n for n in report.notes)
    assert "guarantees: no new privileges: yes" in report.lines


def test_plain_user_tests_the_plan_of_root(base):
    h.install(h.app("static"), f"{base}/fcgi-bin/app")
    report = preflight(*jailed(base), user="many")
    assert report.status == 0, report.text
    assert any("not checked: the application" in n and
               "only root can become another user" in n
               for n in report.notes)
    assert "guarantees: not checked" in report.lines


def test_usage_errors_come_first(base):
    result = h.run_spawnd("-t", "-F", "x", *plain(base))
    assert result.status == EX_USAGE
    assert "-F: x: " in h.line_of(result)
