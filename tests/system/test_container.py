# SPDX-License-Identifier: ISC
"""
The images of scripts/container. That of static programs runs as a container
does: alone in a read-only root, as process 1 and a user without a name. Both
are run by podman when scripts/container-check.sh has built them.
"""

import os
import re
import shlex
import shutil
import subprocess

import pytest

import harness as h
import images
from images import entry

PLAIN_ONLY = True       # the programs are linked anew, as the image has them
UID = 12345
PORT = 9000
DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/urandom",
           "/dev/zero")
EVERYWHERE = (("127.0.0.1", PORT), ("::1", PORT))


@pytest.fixture(scope="module")
def image():
    """The root of that image, with what a runtime needs to be there."""
    place = h.new_place()
    root = images.static(place)
    for name in ("dev/shm", "proc", "run", "sys"):
        os.makedirs(f"{root}/{name}")
    for name in DEVICES:
        with open(root + name, "wb"):
            pass
    yield root
    shutil.rmtree(place)


class Container:
    """What a runtime does for it, as far as it matters here."""

    def __init__(self, root, mounts, argv, env):
        script = ['mount --bind "$0" "$0"',
                  'mount -t proc proc "$0/proc"',
                  *(f'mount --bind {path} "$0{path}"' for path in DEVICES),
                  *(f'mount -t tmpfs -o mode={mode} tmpfs "$0{path}"'
                    for path, mode in mounts),
                  'mount -o remount,bind,ro "$0"',
                  f'exec chroot --userspec={UID}:{UID} --groups= "$0" "$@"']
        self.log = f"{root}.log"
        self.env = env
        with open(self.log, "wb") as f:
            self.outer = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--ipc", "--uts",
                 "--kill-child", "sh", "-ec", "; ".join(script), root, *argv],
                stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=env)
        children = f"/proc/{self.outer.pid}/task/{self.outer.pid}/children"

        def ready():
            assert self.outer.poll() is None, self.said()
            return " ready on " in self.said()
        h.wait_for(ready, h.START_DEADLINE, self.said)
        with open(children, encoding="ascii") as f:
            self.pid = int(f.read())

    def said(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def run(self, *argv):
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), "--mount", "--pid",
             "--ipc", "--root", "--wd=/", "--setuid", str(UID), "--setgid",
             str(UID), *argv], env=self.env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=20 * h.PATIENCE)

    def end(self):
        if self.outer.poll() is None:
            os.kill(self.pid, 15)
        return self.outer.wait(h.STOP_DEADLINE * h.PATIENCE)


@pytest.mark.parametrize("mounts, env", [
    ([("/dev/shm", "1777")], {}),
    ([("/dev/shm", "1777"), ("/run", "0755")], {}),
    ([("/dev/shm", "1777"), ("/run", "1777")], {"XDG_RUNTIME_DIR": "/run"}),
    ([("/run", "1777")], {"XDG_RUNTIME_DIR": "/run"}),
    ([("/run", "1777")], {"XDG_RUNTIME_DIR": "/nonexistent",
                          "HOME": "/nonexistent"})],
    ids=["shm", "root's run", "run", "run alone", "no session"])
def test_static_programs_need_nothing_else(image, mounts, env):
    c = Container(image, mounts, entry("ENTRYPOINT") + entry("CMD"), env)
    try:
        for addr in EVERYWHERE:
            assert h.request(addr).body.startswith(b"Hello from a worker")
        healthy = c.run(*entry("HEALTHCHECK CMD"))
        assert (healthy.returncode, healthy.stderr) == (0, ""), healthy
    finally:
        status = c.end()
    assert status == 0, c.said()


# By podman, with what docker and podman give a container.

PODMAN = shlex.split(os.environ.get("PODMAN", ""))
PAGE = "<?php echo 'by php, ', php_sapi_name(); ?>"


def podman(*argv, check=True):
    done = subprocess.run([*PODMAN, *map(str, argv)], capture_output=True,
                          stdin=subprocess.DEVNULL, text=True,
                          timeout=60 * h.PATIENCE)
    assert not check or done.returncode == 0, done
    return done.stdout + done.stderr


@pytest.fixture
def run(place):
    """Starts a container of an image, and has its health seen."""
    with open(f"{place}/index.php", "w", encoding="ascii") as f:
        f.write(PAGE)
    started = []

    def start(image, *options, args=()):
        name = f"spawnd-{len(started)}"
        started.append(name)
        podman("run", "--detach", "--name", name, "--network", "host",
               "--pull", "never", "--volume", f"{place}:{place}:ro",
               *options, f"localhost/{image}", *args)
        h.wait_for(lambda: " ready on " in podman("logs", name),
                   h.START_DEADLINE, lambda: podman("logs", name))
        return name
    yield start
    for name in started:
        podman("rm", "--force", "--time", 0, name, check=False)


def get(image, place, addr):
    script = f"{place}/index.php"
    return h.request(addr, params={"SCRIPT_FILENAME": script,
                                   "REDIRECT_STATUS": 200}).body


SAYS = {"static": b"Hello from a worker", "php": b"by php, cgi-fcgi"}


@pytest.mark.parametrize("options", [
    [], ["--user", "12345"], ["--user", "12345:0"],
    ["--read-only"], ["--read-only", "--read-only-tmpfs=false"],
    ["--read-only", "--tmpfs", "/run", "--user", "12345"],
    ["--read-only", "--env", "XDG_RUNTIME_DIR=/run"],
    ["--read-only", "--tmpfs", "/run:mode=1777", "--env",
     "XDG_RUNTIME_DIR=/run"],
    ["--security-opt", "no-new-privileges"]], ids=" ".join)
@pytest.mark.parametrize("image_name", SAYS)
@h.soak
def test_an_image_serves_and_is_healthy(run, place, image_name, options):
    name = run(image_name, "--cap-drop", "all", *options)
    podman("healthcheck", "run", name)
    for addr in EVERYWHERE:
        assert get(image_name, place, addr).startswith(SAYS[image_name])
    podman("stop", "--time", 10, name)
    assert podman("inspect", "--format", "{{.State.ExitCode}}",
                  name).strip() == "0", podman("logs", name)


@h.soak
def test_the_limit_of_a_container_is_named(run):
    name = run("static", "--pids-limit", 8, "--cap-drop", "all",
               args=["-F", 20, "--", "/app"])
    h.wait_for(lambda: re.search(r"fork: Resource temporarily unavailable: "
                                 r"pids\.max of the control group \S+ allows "
                                 r"8 processes", podman("logs", name)), 10,
               lambda: podman("logs", name))


@h.soak
def test_an_application_that_is_stuck_ends_before_its_container(run, place):
    """In the time that docker and podman give."""
    with open(f"{place}/index.php", "w", encoding="ascii") as f:
        f.write("<?php for (;;) sleep(1000); ?>")
    name = run("php", "--read-only", "--cap-drop", "all")
    client = h.Connection(EVERYWHERE[0])
    client.send(params={"SCRIPT_FILENAME": f"{place}/index.php",
                        "REDIRECT_STATUS": 200})
    h.wait_for(lambda: re.search(r"\b1 busy", podman(
        "exec", name, "spawnctl", "status")), 10)
    podman("stop", "--time", 10, name)
    client.close()
    assert podman("inspect", "--format", "{{.State.ExitCode}}",
                  name).strip() == "0", podman("logs", name)


@h.soak
def test_a_dead_pool_is_not_healthy(run):
    name = run("static", "--cap-drop", "all")
    pid = podman("inspect", "--format", "{{.State.Pid}}", name).strip()
    os.kill(int(pid), 19)
    assert "unhealthy" in podman("healthcheck", "run", name, check=False)
    os.kill(int(pid), 18)
    h.wait_for(lambda: "unhealthy" not in podman("healthcheck", "run", name,
                                                 check=False), 10)
