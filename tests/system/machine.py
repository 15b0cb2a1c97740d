# SPDX-License-Identifier: ISC
"""
A booted systemd: a container on a copy of the root that root.sh made, without
network. Nothing of it is left when it has ended, in the file system and in
the host's control groups.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import harness
import units

ROOT = os.environ.get("SYSTEMD_ROOT") or os.path.join(
    harness._top, "build", "systemd-root")
BOOT_DEADLINE = 60      # seconds


def _control_group(name):
    """Makes a group below our own in the hierarchies that systemd uses;
    returns their directories."""
    ours = {}
    with open("/proc/self/cgroup") as f:
        for line in f:
            _, which, path = line.rstrip("\n").split(":", 2)
            ours[which] = path
    made = []
    with open("/proc/self/mounts") as f:
        mounts = [line.split() for line in f]
    for _, mount, kind, options, *_ in mounts:
        which = {"cgroup2": "", "cgroup": "name=systemd"}.get(kind)
        if which is None or which not in ours or \
                which and which not in options.split(","):
            continue
        path = os.path.normpath(f"{mount}/{ours[which]}/{name}")
        # A hierarchy may be mounted in several places.
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
            made.append(path)
    assert made, "no control group of systemd's is mounted"
    return made


def _remove_groups(groups):
    for top in groups:
        for path, _, _ in os.walk(top, topdown=False):
            harness.wait_for(lambda: _rmdir(path), 10, f"empty: {path}")


def _rmdir(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


@contextlib.contextmanager
def booted(m, place):
    """Boots it; it ends with all that is in its place."""
    try:
        m.boot()
        yield m
    finally:
        m.end()
        shutil.rmtree(place, ignore_errors=True)


class Machine:
    def __init__(self, place, lower=ROOT):
        assert os.path.isdir(lower), f"{lower}: missing (root.sh makes it)"
        self.root = f"{place}/root"
        self.console = f"{place}/console"
        self.groups = []
        self.nspawn = None
        self.leader = None
        for name in ("root", "upper", "work"):
            os.mkdir(f"{place}/{name}")
        subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o",
             f"lowerdir={lower},upperdir={place}/upper,workdir={place}/work",
             self.root], check=True)

    # Before the boot

    def path(self, name):
        """A path of the machine, from here."""
        if self.leader:
            return f"/proc/{self.leader}/root{name}"
        return self.root + name

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)

    def program(self, src, name):
        """Puts a program there, with the libraries that it lacks there."""
        harness.install(src, self.path(name))
        r = subprocess.run(["ldd", src], capture_output=True, text=True)
        for lib in re.findall(r"=> (/\S+)", r.stdout):
            if not os.path.exists(self.path(lib)):
                harness.install(os.path.realpath(lib), self.path(lib), 0o644)

    def user(self, name, uid):
        with open(self.path("/etc/passwd"), "a") as f:
            f.write(f"{name}:x:{uid}:{uid}::/nonexistent:/bin/false\n")
        with open(self.path("/etc/group"), "a") as f:
            f.write(f"{name}:x:{uid}:\n")

    # The boot and the end

    def boot(self):
        self.groups = _control_group(f"spawnd-test-{time.monotonic_ns()}")

        def enter():
            for group in self.groups:
                with open(f"{group}/cgroup.procs", "w") as f:
                    f.write("0")
        with open(self.console, "wb") as f:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
                 "--private-network", "--boot", "--directory", self.root,
                 # What a host allows and a container does not.
                 "--system-call-filter=landlock_create_ruleset "
                 "landlock_restrict_self",
                 "--machine=spawnd", "--console=read-only",
                 "systemd.log_target=journal", "systemd.journald.storage="
                 "volatile"], stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                preexec_fn=enter)
        harness.wait_for(self._booted, BOOT_DEADLINE,
                         lambda: f"booted:\n{self._text()}", pause=0.1)

    def _text(self):
        with open(self.console, errors="replace") as f:
            return f.read()

    def _booted(self):
        assert self.nspawn.poll() is None, self._text()
        for pid in harness.children(self.nspawn.pid):
            self.leader = pid
            try:
                r = self.run("systemctl", "is-system-running", check=False)
            except subprocess.TimeoutExpired:
                continue
            if r.stdout.strip() in ("running", "degraded"):
                return True
        self.leader = None
        return False

    def end(self):
        if self.nspawn:
            if self.leader:
                # Halt at once: nothing in it is worth a clean stop.
                harness.kill(self.leader, signal.SIGKILL)
            try:
                self.nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait(20)
        _remove_groups(self.groups)
        subprocess.run(["umount", self.root], check=True)

    # In the booted machine

    def run(self, *argv, check=True, deadline=60):
        r = subprocess.run(
            ["nsenter", "-t", str(self.leader), "--all", "--", "env", "-i",
             "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *argv],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=deadline * harness.PATIENCE)
        assert not check or r.returncode == 0, \
            f"{argv}: {r.returncode}\n{r.stdout}{r.stderr}\n{self.journal()}"
        return r

    def systemctl(self, *args, check=True):
        return self.run("systemctl", "--no-pager", *args, check=check)

    def show(self, unit, what):
        return self.systemctl("show", "-P", what, unit).stdout.strip()

    def main_pid(self, unit):
        """In the container's numbers."""
        return int(self.show(unit, "MainPID"))

    def outside(self, pid):
        """Our number of the container's process."""
        for s in harness.all_stats():
            try:
                numbers = harness.status(s.pid)["NSpid"].split()
            except (FileNotFoundError, ProcessLookupError, KeyError):
                continue
            if numbers[-1] == str(pid) and self._is_ours(s.pid):
                return s.pid
        raise AssertionError(f"no process {pid} in the machine")

    def _is_ours(self, pid):
        return os.readlink(f"/proc/{pid}/ns/pid") == \
            os.readlink(f"/proc/{self.leader}/ns/pid")

    def journal(self, unit=None):
        """All that was written before this call: what is on its way to the
        journal is waited for."""
        which = ["-u", unit] if unit else []
        self.run("journalctl", "--sync", check=False)
        r = self.run("journalctl", "--no-pager", "-o", "short", *which,
                     check=False)
        return r.stdout[-8000:]

    def until(self, unit, what, value, deadline=20):
        def right():
            return self.show(unit, what) == value
        harness.wait_for(right, deadline, lambda: (
            f"{unit}: {what}={self.show(unit, what)} instead of {value}\n"
            f"{self.journal(unit)}"), pause=0.05)

    def fed(self, unit, seconds, deadline=20):
        """Waits until the watchdog of a unit has heard for so long of its
        main process."""
        def last():
            return int(self.show(unit, "WatchdogTimestampMonotonic"))
        until = last() + seconds * 1e6
        harness.wait_for(lambda: last() >= until, deadline, lambda: (
            f"{unit}: fed up to {last()}\n{self.journal(unit)}"), pause=0.1)

    def configure(self, pool, options, program, drop_in=None):
        self.write(f"/etc/spawnd/{pool}.conf",
                   f"SPAWND_OPTS={options}\nSPAWND_APP={program}\n")
        if drop_in:
            self.write(f"/etc/systemd/system/spawnd@{pool}.service.d/x.conf",
                       drop_in)
        if self.leader:
            self.systemctl("daemon-reload")


def prepare(place):
    """A machine with spawnd, its units and a test application."""
    m = Machine(place)
    units.install(m.path("/etc/systemd/system"))
    m.program(harness.SPAWND, "/usr/sbin/spawnd")
    m.program(os.path.join(os.path.dirname(harness.SPAWND), "spawnctl"),
              "/usr/bin/spawnctl")
    m.program(harness.app("echo"), "/usr/bin/echo-app")
    m.program(harness.app("exit0"), "/usr/bin/exit0-app")
    m.user("_app", 68)
    harness.make_jail(m.path("/var/www"))
    shutil.chown(m.path("/var/www/run"), "root", "root")
    return m
