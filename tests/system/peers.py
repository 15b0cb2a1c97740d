# SPDX-License-Identifier: ISC
"""
One command line run by another manager and by spawnd under its name, and all
that can be seen of it: Seen(status=..., out=..., apps=[...], ...).

    links()             spawn-fcgi, kfcgi and multiwatch, which are spawnd
    started(place, ...) the pids that a spawn-fcgi has told, of spawnd unless
                        another program is given, executed as another argv0
    observe(argv, ...)  runs it, looks, ends everything it left. Keywords:
                        place, exe (the application's path, what is looked
                        for), stays (it does not end by itself), umask, env,
                        cwd, user, prepare (called with the place before),
                        look (called with the Seen before the end), stdin,
                        stop (the signal that ends one that stays), apps (how
                        many to wait for then), open_fds
      .status           of the command (None: it stayed)
      .out, .err        what it printed, pids as N
      .sockets          {name: "user:group mode"} below the place
      .listening        of TCP: [(address in hex, port), ...]
      .apps             a dict of facts for each application
      .same_pid         the application has the pid of the command
      .pidfile          its mode and how many pids are in it, or None
      .stopped          TERM to those pids ended all applications
      .late             status of one that stayed, after its stop signal
"""

import grp
import os
import pwd
import re
import signal
import stat as stat_m
import subprocess
import types

import harness as h

ORIGINALS = {"spawn-fcgi": "/usr/bin/spawn-fcgi",
             "multiwatch": "/usr/bin/multiwatch"}
RUN_DEADLINE = 20


def links():
    """Each name as a link to spawnd, as an installation has them."""
    place = h.new_place()
    for name in ("spawn-fcgi", "kfcgi", "multiwatch"):
        os.symlink(h.SPAWND, f"{place}/{name}")
    return place


def started(place, *args, env=None, program=None, argv0=None):
    program = program or f"{links()}/spawn-fcgi"
    out = subprocess.run([program if argv0 is None else argv0, *args],
                         executable=program, check=True, cwd=place,
                         stdout=subprocess.PIPE, encoding="ascii",
                         stdin=subprocess.DEVNULL, timeout=RUN_DEADLINE,
                         env={**h.BASE_ENV, **(env or {}),
                              **h.sanitizer_env()}).stdout
    told = r"spawn-fcgi: child spawned successfully: PID: (\d+)\n"
    assert re.fullmatch(f"({told})+", out), out
    return [int(found.group(1)) for found in re.finditer(told, out)]


def exe(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        return ""


def running(*paths):
    """Live processes of these programs."""
    return sorted(s.pid for s in h.all_stats()
                  if s.state not in "ZX" and exe(s.pid) in paths)


def _where(target):
    return re.sub(r"\[\d+\]", "", target)


def facts(pid):
    """What an application was given; sanitizers' own variables aside."""
    env = {k: v for k, v in h.environ(pid).items()
           if not k.endswith("SAN_OPTIONS")}
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        args = f.read().decode().split("\0")[:-1]
    return {"env": env, "args": args,
            "fds": {n: _where(t) for n, t in h.fds(pid).items()},
            "uid": h.ids(pid, "Uid"), "gid": h.ids(pid, "Gid"),
            "groups": h.groups(pid), "umask": h.status(pid)["Umask"],
            "cwd": h.link(pid, "cwd"), "root": h.link(pid, "root"),
            "blocked": h.signals(pid, "SigBlk"),
            "ignored": h.signals(pid, "SigIgn"),
            "privs": h.status(pid)["NoNewPrivs"],
            "effective": h.caps(pid)["CapEff"]}


def _name(find, number):
    try:
        return find(number)[0]
    except KeyError:
        return str(number)


def owner(path):
    st = os.lstat(path)
    return f"{_name(pwd.getpwuid, st.st_uid)}:" \
           f"{_name(grp.getgrgid, st.st_gid)} " \
           f"{stat_m.S_IMODE(st.st_mode):04o}"


def _sockets(place):
    return {os.path.relpath(path, place): owner(path)
            for path, entry in h.tree(place).items()
            if stat_m.S_ISSOCK(entry[0])}


def _listening():
    found = []
    for name in ("tcp", "tcp6"):
        with open(f"/proc/net/{name}", encoding="ascii") as f:
            for line in f.read().splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                if state == "0A":
                    address, _, port = local.partition(":")
                    found.append((address, int(port, 16)))
    return sorted(found)


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def _end(programs):
    """Supervisors first: they would start new ones."""
    for _ in range(100):
        left = [p for program in programs for p in running(program)]
        for pid in left:
            h.kill(pid)
        if not left:
            return
        h.wait_for(lambda: not all(h.alive(p) for p in left), 5)
    raise h.Late(f"still there: {left}")


def _pids(path):
    try:
        return [int(n) for n in _read(path).split()]
    except FileNotFoundError:
        return []


def observe(argv, place, exe, stays=False, umask=0o022, env=None, cwd=None,
            user=None, prepare=None, look=None, stdin=subprocess.DEVNULL,
            stop=signal.SIGTERM, apps=None, open_fds=()):
    if prepare:
        prepare(place)
    become = h.become_user(user) if user else None

    def before():
        os.umask(umask)
        if become:
            become()
    files = [f"{place}.out", f"{place}.err"]
    with open(files[0], "wb") as out, open(files[1], "wb") as err:
        p = subprocess.Popen(
            argv, stdin=stdin, stdout=out, stderr=err, cwd=cwd or place,
            env=dict(h.BASE_ENV if env is None else env, **h.sanitizer_env()),
            preexec_fn=before, start_new_session=True,
            pass_fds=open_fds)
    try:
        return _look(p, place, exe, stays, look, stop, apps, files)
    finally:
        if p.poll() is None:
            p.kill()
        p.wait()
        _end([h.SPAWND, *ORIGINALS.values(), exe])


def _look(p, place, app, stays, look, stop, apps, files):
    seen = types.SimpleNamespace(status=None, late=None, stopped=None)
    if not stays:
        seen.status = p.wait(RUN_DEADLINE)

    def settled():
        """Started, and waiting for a request: not being loaded any more.
        What has not got so far is a copy of the program still."""
        if not stays and any(map(running, ORIGINALS.values())):
            return False
        now = [h.stat(pid) for pid in running(app)]
        right = len(now) == (apps or 1) if stays else True
        # It tells when it has begun to serve: a stop before is no success.
        if stays and p.args[0].endswith("/kfcgi"):
            right = right and " ready on " in _read(files[1])
        return right and all(s and s.state == "S" for s in now)
    h.wait_for(lambda: settled() or (stays and p.poll() is not None),
               RUN_DEADLINE, lambda: f"{p.args}: {_read(files[1])}")
    found = running(app)
    seen.apps = sorted((facts(pid) for pid in found), key=str)
    seen.same_pid = found == [p.pid]
    seen.out, seen.err = (re.sub(r"\d+", "N", _read(f)) for f in files)
    seen.sockets = _sockets(place)
    seen.listening = _listening()
    seen.pidfile = None
    pids = _pids(f"{place}/pid")
    if pids:
        seen.pidfile = (owner(f"{place}/pid"), len(pids))
    if look:
        seen.look = look(seen)
    if pids and found:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        h.wait_for(lambda: not running(app), 10, f"end of {app}")
        seen.stopped = True
    if stays and p.poll() is None:
        p.send_signal(stop)
        seen.late = p.wait(RUN_DEADLINE)
    elif stays:
        seen.status = p.returncode
    return seen


def differences(a, b):
    """Where two Seen are not the same: {name: (of a, of b)}."""
    found = {}
    for name in vars(a):
        one, other = getattr(a, name), getattr(b, name)
        if name == "err" or one == other:
            continue
        if name == "apps" and len(one) == len(other):
            for x, y in zip(one, other):
                found.update({k: (x[k], y[k]) for k in x if x[k] != y[k]})
            continue
        found[name] = (one, other)
    return found
