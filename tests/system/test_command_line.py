# SPDX-License-Identifier: ISC
"""Bad input: the status, one clear line, and nothing created or removed."""

import os
import re
import resource
import subprocess

import pytest

import harness as h

UNTRUSTED = True

USAGE, NOINPUT, NOUSER, OSERR, CANTCREAT, NOPERM, CONFIG = \
    64, 66, 67, 71, 73, 77, 78


@pytest.fixture
def site(place):
    """A directory with everything in it that a good command line needs."""
    h.make_jail(place)
    h.install(h.app("echo"), f"{place}/app")
    os.mkdir(f"{place}/dir")
    for name, mode, text in (
            ("good.env", 0o600, "A=1\n"), ("group.env", 0o620, "A=1\n"),
            ("others.env", 0o602, "A=1\n"), ("bad.env", 0o600, "A=1\nno\n"),
            ("name.env", 0o600, "1A=1\n"),
            ("listen.env", 0o600, "LISTEN_FDS=1\n"), ("file", 0o644, "")):
        with open(f"{place}/{name}", "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(f"{place}/{name}", mode)
    return place


def refuse(site, args, status, pattern, program=("--", "{d}/app"), **kw):
    """spawnd must refuse: with this status, and one line that matches."""
    args = [a.replace("{d}", site) for a in (*args, *program)]
    before = h.tree(site), h.tree("/var/www")
    result = h.run_spawnd(*args, cwd=site, **kw)
    assert result.status == status, result
    line = h.line_of(result)
    assert re.search(pattern.replace("{d}", re.escape(site)), line), line
    # what: object: why
    assert re.fullmatch(r"spawnd: [^:]+(: .+)?", line), line
    assert len(line) < 600
    assert (h.tree(site), h.tree("/var/www")) == before
    return line


SOCK = ["-n", "-s", "{d}/sock"]
GOOD = [*SOCK, "-u", "www"]


def bad_values():
    """option, what its message calls it, values it must refuse."""
    number = ["", "x", "4x", "4 ", " 4", "+4", "0x4", "4.0", "4,0", "--",
              "99999999999999999999", "-1"]
    octal = ["", "x", "8", "0668", "rw-rw----", "0660x", " 660", "-660",
             "+660", "01000", "07777", "77777777777777777777777"]
    table = {
        "-F": [*number, "0", "65536"], "--workers": ["-1", "1e3"],
        "-C": [*number, "65536"], "--php-children": ["none"],
        "-b": [*number, "0", "65536"], "--backlog": ["1k"],
        "-p": [*number, "0", "65536", "http"], "--port": ["80/tcp"],
        "--start-timeout": [*number, "0", "60s"],
        "--stop-timeout": [*number, "30s"], "--drain": [*number, "30s"],
        "--nice": ["", "x", "5x", "20", "-21", "+5", "-", "- 5"],
        "-M": octal, "--socket-mode": ["9"], "--umask": octal,
        "--stop-signal": ["", "x", "0", "65", "-15", "TERM ", "SIGFOO",
                          "KILL", "SIGKILL", "9", "STOP", "19", "15x"],
        "--no-new-privs": ["", "maybe", "Yes", "1", "true"],
        "--confine": ["", "maybe", "No", "0", "some"],
        "--name": ["", "a/b", "a b", "..", ".", "a\nb", "ä", "x" * 33],
        "--rlimit": ["", "nofile", "nofile=", "nofile=x", "foo=1", "=1",
                     "nofile=1:", "nofile=:1", "nofile=10:5", "nofile=1:2:3",
                     "nofile=-1", "nofile= 1", "nofile=1T",
                     "nofile=99999999999999999999"],
        "-e": ["", "=x", "1A=b", "A B=c", "LISTEN_FDS", "LISTEN_FDS=1",
               "LISTEN_ANYTHING=1", "NOTIFY_SOCKET", "WATCHDOG_USEC=1",
               "MAINPID", "FCGI_LISTENSOCK_DESCRIPTORS=0"],
        "--env": ["NOTIFY_SOCKET=/x"],
        "-s": ["", "/", "/tmp/", ".", "..", "/tmp/..", "/tmp/."],
        "-c": [""], "-d": [""], "-u": [""], "-g": [""], "-U": [""],
        "--allow": ["", ",", "10.0.0.1,", "10.0.0.1,,10.0.0.2", "web1", "*",
                    "10.0.0.1 ", "10.0.0", "10.0.0.1:80", "[::1]", "::1%lo",
                    "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/8", "::1/129",
                    "::1/127", "10.0.0.1;10.0.0.2", "a" * 10000],
        "-G": [""], "-a": [""], "-f": [""], "--env-file": [""],
    }
    for option, values in table.items():
        for value in values:
            yield option, value


@pytest.mark.parametrize("option, value", list(bad_values()))
def test_malformed_value(site, option, value):
    refuse(site, [*GOOD, option, value], USAGE,
           "^spawnd: " + re.escape(option) + ": ")


@pytest.mark.parametrize("option, value", [
    ("--workers", "4x"), ("--nice", "20"), ("--name", "a/b"),
    ("--umask", "9"), ("--env", "=x")])
def test_malformed_value_after_an_equals_sign(site, option, value):
    refuse(site, [*GOOD, f"{option}={value}"], USAGE,
           f"^spawnd: {option}: {re.escape(value)}")


@pytest.mark.parametrize("args", [
    ["-M9"], ["-F4x"], ["-nF0"], ["-p0"]])
def test_malformed_value_in_the_same_word(site, args):
    refuse(site, [*GOOD, *args], USAGE, r"^spawnd: -[MFp]: ")


@pytest.mark.parametrize("option", [
    "-x", "-Z", "-9", "-nx", "--frobnicate", "--frobnicate=1", "---", "--=",
    "--=x",
    # Long names are not abbreviated.
    "--sock", "--socket-mod", "--foregroun", "--versio", "--env-fil",
    # Not built yet.
    "--when-full=queue", "--max-memory=1"])
def test_unknown_option(site, option):
    name = option.partition("=")[0]
    line = refuse(site, [*GOOD, option], USAGE, "no such option")
    if option.startswith("--"):
        assert line.startswith(f"spawnd: {name}: ")


@pytest.mark.parametrize("option", [
    "-s", "-M", "-U", "-G", "-p", "-a", "-b", "-c", "-u", "-g", "-d", "-F",
    "-C", "-e", "-f", "--socket", "--socket-mode", "--socket-user",
    "--socket-group", "--port", "--address", "--backlog", "--chroot",
    "--user", "--group", "--chdir", "--workers", "--php-children", "--env",
    "--env-file", "--command", "--name", "--umask", "--nice", "--rlimit",
    "--no-new-privs", "--confine", "--start-timeout", "--stop-signal",
    "--stop-timeout", "--drain", "--allow"])
def test_missing_value(site, option):
    refuse(site, [*GOOD, option], USAGE, f"^spawnd: {option}: needs a value",
           program=())


@pytest.mark.parametrize("option", [
    "--foreground=yes", "--foreground=", "--socket-before-chroot=1",
    "--version=1", "--help=all"])
def test_value_where_none_is_taken(site, option):
    refuse(site, [*GOOD, option], USAGE,
           "^spawnd: " + option.partition("=")[0] + ": ")


@pytest.mark.parametrize("args, pattern", [
    (["-s", "{d}/sock", "-p", "9000"], r"-s .*-p|-p.*-s "),
    (["-a", "127.0.0.1", "-s", "{d}/sock"], "-a: "),
    (["-a", "127.0.0.1"], "-a: "),
    (["-p", "9000", "-M", "0600"], "-M: "),
    (["-p", "9000", "-U", "www"], "-U: "),
    (["-p", "9000", "-G", "www"], "-G: "),
    (["-p", "9000", "-S"], "-S: "),
    (["-S", "-c", "{d}"], "-S: "),
])
def test_options_that_contradict_each_other(site, args, pattern):
    refuse(site, ["-n", "-u", "www", *args], USAGE, pattern)


@pytest.mark.parametrize("address", [
    "localhost", "example.org", "127.0.0.1:80", "127.1", "1.2.3", "256.0.0.1",
    "[::1]", "::1%lo", "::1/128", "**", " 127.0.0.1", "127.0.0.1 "])
def test_address_that_is_no_literal(site, address):
    refuse(site, ["-n", "-u", "www", "-p", "9000", "-a", address], USAGE,
           "^spawnd: -a: " + re.escape(address))


@pytest.mark.parametrize("program, pattern", [
    ([], "no application"), (["--"], "no application"),
    (["--", ""], "slash|empty"), (["--", "app"], "slash.*PATH"),
    (["app"], "slash.*PATH"), (["--", "php-cgi", "-b"], "slash.*PATH"),
    (["-f", "/bin/true", "--", "{d}/app"], "-f")])
def test_application_that_is_not_one(site, program, pattern):
    refuse(site, GOOD, USAGE, pattern, program=program)


@pytest.mark.parametrize("length, status", [(108, USAGE), (500, USAGE)])
def test_socket_path_too_long(site, length, status):
    path = f"{site}/dir/" + "x" * length
    refuse(site, ["-n", "-u", "www", "-s", path[:length]], status, "-s: ")


def test_longest_socket_path(site, spawnd):
    path = (f"{site}/dir/" + "x" * 107)[:107]
    spawnd("-u", "www", "-F", 1, "-s", path, "--", f"{site}/app")
    assert h.request(path, "pid").status == 200


@pytest.mark.parametrize("option, value, status", [
    ("-u", "nosuchuser", NOUSER), ("-g", "nosuchgroup", NOUSER),
    ("-U", "nosuchuser", NOUSER), ("-G", "nosuchgroup", NOUSER),
    ("-u", "67x", NOUSER), ("-u", "-1", NOUSER), ("-u", "+67", NOUSER),
    ("-u", " 67", NOUSER), ("-u", "4294967295", NOUSER),
    ("-u", "4294967296", NOUSER), ("-g", "4294967295", NOUSER),
    ("-g", "99999999999999999999", NOUSER), ("-U", "4294967295", NOUSER),
    ("-G", "4294967295", NOUSER), ("-G", "www:www", NOUSER),
    ("-u", "root", USAGE), ("-u", "0", USAGE), ("-u", "00", USAGE),
    ("-g", "root", USAGE), ("-g", "0", USAGE),
    ("-u", "12345", USAGE),         # no passwd entry, so no group
])
def test_user_or_group_that_will_not_do(site, option, value, status):
    refuse(site, [*GOOD, option, value], status,
           f"^spawnd: {option}: {re.escape(value)}: ")


def test_user_is_required_as_root(site):
    refuse(site, SOCK, USAGE, "^spawnd: -u: .*root")


@pytest.mark.parametrize("name, status", [
    ("{d}/missing.env", NOINPUT), ("{d}/dir", CONFIG),
    ("{d}/group.env", CONFIG), ("{d}/others.env", CONFIG),
    ("{d}/bad.env", CONFIG), ("{d}/name.env", CONFIG),
    ("{d}/listen.env", CONFIG)])
def test_env_file_that_will_not_do(site, name, status):
    refuse(site, [*GOOD, "--env-file", name], status,
           "^spawnd: --env-file: " + name)


def test_env_file_that_may_not_be_read(site):
    own = h.own_directory(f"{site}/own", "many")
    refuse(site, ["-n", "-s", f"{own}/sock", "--env-file", "{d}/good.env"],
           NOPERM, "^spawnd: --env-file: {d}/good.env: ", user="many")


def test_env_file_that_is_a_fifo_does_not_hold_up_the_start(site):
    os.mkfifo(f"{site}/fifo", 0o600)
    refuse(site, [*GOOD, "--env-file", "{d}/fifo"], CONFIG, "regular")


@pytest.mark.parametrize("jail, status", [
    ("{d}/missing", CONFIG), ("{d}/file", CONFIG)])
def test_jail_that_will_not_do(site, jail, status):
    refuse(site, ["-n", "-u", "www", "-c", jail], status,
           "^spawnd: chroot: " + jail)


@pytest.mark.parametrize("value", ["x", "-1", "4x", "65536"])
def test_php_children_of_the_environment_must_be_a_number(site, value):
    refuse(site, GOOD, USAGE, "PHP_FCGI_CHILDREN: " + value,
           env={"PHP_FCGI_CHILDREN": value, "PATH": "/bin"})


def test_more_workers_than_descriptors(site):
    def become():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    refuse(site, [*GOOD, "-F", "64"], CONFIG, "^spawnd: -F: 64: ",
           become=become)


@pytest.mark.parametrize("options", [
    ["-c", "{d}"], ["-u", "www"], ["-g", "www"], ["-U", "www"],
    ["-c", "{d}", "-S"], ["-u", "www", "-c", "{d}", "-U", "www"]])
def test_what_needs_root_is_named(site, options):
    own = h.own_directory(f"{site}/own", "many")
    line = refuse(site, ["-n", "-s", f"{own}/sock", *options], NOPERM,
                  "root", user="many")
    for option in (o for o in options if o.startswith("-")):
        assert option in line


def test_default_jail_needs_root(site):
    refuse(site, ["-n"], NOPERM, "/var/www", user="many")


@pytest.mark.parametrize("options, pattern", [
    (["--nice", "-5"], "--nice: -5"),
    (["--rlimit", "nofile=200:300"], "--rlimit: nofile"),
    (["-G", "www"], "-G: www")])
def test_what_a_plain_user_may_not_ask_for(site, options, pattern):
    def become():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        h.become_user("many")()
    own = h.own_directory(f"{site}/own", "many")
    refuse(site, ["-n", "-F", "1", "-s", f"{own}/sock", *options], NOPERM,
           "^spawnd: " + pattern, become=become)


@pytest.mark.parametrize("options, status, text", [
    (["-u", "nosuch"], NOUSER, "-u: nosuch: no such user"),
    (["--user", "nosuch"], NOUSER, "--user: nosuch: no such user"),
    (["-uwww", "--user=nosuch"], NOUSER, "--user: nosuch: no such user"),
    (["--user=www", "-unosuch"], NOUSER, "-u: nosuch: no such user"),
    (["-u", "www", "--group", "nosuch"], 67, "--group: nosuch: no such"),
    (["-u", "www", "--socket", "/tmp/"], USAGE, "--socket: /tmp/: does not"),
    (["-u", "www", "--address=x", "-p", "80"], USAGE, "--address: x: not an"),
    (["-u", "www", "-p", "80", "--socket-mode", "600"], USAGE,
     "--socket-mode: a TCP socket (-p) has no owner"),
    (["-u", "www", "-F2", "--max-workers", "1"], USAGE,
     "--max-workers: 1: is below -F (2)"),
    (["-u", "www", "--pidfile", "/nosuch/pid", "-s", "/run/t/sock"],
     CANTCREAT, "--pidfile: /nosuch/pid: its directory: No such file"),
])
def test_message_names_the_option_as_it_was_typed(site, options, status,
                                                  text):
    result = h.run_spawnd("-n", *options, "--", f"{site}/app")
    assert result.status == status
    assert h.line_of(result).startswith(f"spawnd: {text}")


@pytest.mark.parametrize("args", [
    ["-n", "-u", "a\nb\033[1m"], ["-n", "-u", "www", "-c", "/no\nsuch"],
    ["-n", "-u", "www", "-s", "/no\nsuch/dir/sock"],
    ["-n", "-u", "www", "-F", "4\r\n"], ["-\n"], ["--no\nsuch"],
    ["-n", "-u", "www", "-s", "/run/s", "--rlimit", "\t=\n"]])
def test_message_is_one_line_whatever_is_in_it(site, args):
    result = h.run_spawnd(*args, "--", f"{site}/app")
    assert result.status in (USAGE, NOUSER, CANTCREAT, CONFIG)
    line = h.line_of(result)
    assert line.isprintable(), line


def test_long_argument_does_not_make_a_long_line(site):
    result = h.run_spawnd("-n", "-u", "x" * 100000, "--", f"{site}/app")
    assert result.status == NOUSER
    assert len(h.line_of(result)) < 2000


def test_bytes_that_are_no_text_are_taken(site):
    result = h.run_spawnd("-n", "-u", b"\xff\xfe", "--", f"{site}/app")
    assert result.status == NOUSER
    h.line_of(result)


@pytest.mark.parametrize("args", [GOOD[1:], ["-u", "www", "-F", "0"]])
def test_daemon_refuses_in_the_same_way(site, args):
    """Without -n the first process says it and exits with the status."""
    refuse(site, [*args, "-M", "9"], USAGE, "-[MF]: ")


def test_daemon_that_cannot_listen_says_so(site):
    refuse(site, ["-u", "www", "-s", "{d}/file"], CANTCREAT, "{d}/file")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_descriptors_do_not_matter(site, spawnd, closed):
    redirect = " ".join(f"{fd}>&-" if fd else "0<&-" for fd in closed)
    s = spawnd("-s", f"{site}/sock", "-u", "www", "-F", 1, "--",
               f"{site}/app", ready=2 not in closed,
               wrap=["/bin/sh", "-c", f'exec "$@" {redirect}', "sh"])

    def answered():
        try:
            return h.request(f"{site}/sock", "facts")
        except h.FcgiError as e:
            assert e.kind in ("missing", "refused"), e
            return None
    answer = h.wait_for(answered, 10)
    assert answer.fact("fds") == "0 1 2"
    assert s.running()


# What is not an error

@pytest.mark.parametrize("option", ["-v", "--version"])
def test_version(option):
    result = h.run_spawnd(option)
    assert result.status == 0 and result.stderr == ""
    assert re.fullmatch(r"spawnd [0-9][0-9.]*\n", result.stdout)


@pytest.mark.parametrize("option", ["-h", "--help", "-?"])
def test_help_names_every_option(option):
    result = h.run_spawnd(option)
    assert result.status == 0 and result.stderr == ""
    for word in ("usage: spawnd", "-s, --socket PATH", "-F, --workers N",
                 "--no-new-privs", "--stop-timeout", "--env-file"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_help_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w", encoding="ascii") as full:
        p = subprocess.run([h.SPAWND, "-h"], stdout=full,
                           stderr=subprocess.PIPE, timeout=10 * h.PATIENCE,
                           env={**h.BASE_ENV, **h.sanitizer_env()})
    assert p.returncode != 0


def test_last_of_a_repeated_option_wins(site, spawnd):
    s = spawnd("-s", "/nonexistent/x", "-s", f"{site}/sock", "-u", "many",
               "-u", "www", "-F", 9, "--workers=2", "--", f"{site}/app")
    assert len(s.wait_workers(2)) == 2
    answer = h.request(f"{site}/sock", "facts")
    assert answer.fact("uid").split()[0] == str(h.USERS["www"])


def test_letters_may_share_a_word(site, spawnd):
    s = spawnd("-nuwww", f"-s{site}/sock", "-F2", f"{site}/app")
    s.wait_workers(2)


def test_words_behind_the_application_are_its_own(site, spawnd):
    s = spawnd("-s", f"{site}/sock", "-u", "www", "-F", 1, f"{site}/app",
               "say=-F 9 --help")
    s.wait_log("-F 9 --help")
    assert len(s.wait_workers(1)) == 1


def test_command_goes_through_the_shell(site, spawnd):
    s = spawnd("-s", f"{site}/sock", "-u", "www", "-F", 1, "-f",
               f"{site}/app 'say=two  words'")
    s.wait_log("two  words")
    # exec: the worker is the application, not a shell that waits for it.
    assert h.link(s.wait_workers(1)[0], "exe") == f"{site}/app"


@pytest.mark.parametrize("options, name", [
    ([], "app"), (["--name", "pool-1.x_Y"], "pool-1.x_Y"),
    (["--name", "x" * 32], "x" * 32)])
def test_name_of_the_pool(site, spawnd, options, name):
    s = spawnd("-s", f"{site}/sock", "-u", "www", "-F", 1, *options, "--",
               f"{site}/app")
    assert re.search(rf" {re.escape(name)}\[{s.pid}\] \w+: 1 worker ready",
                     s.log()), s.log()
