# SPDX-License-Identifier: ISC
"""
A swarm of Docker on the hosts of several.py. Each node has a copy of the root
that root.sh made, process numbers and a dockerd of its own, and the images.

    swarm(hosts)        a context: a Swarm of the nodes, once all are ready
    s.nodes             {name: Node}
    s.docker(...)       a command of the first node, which is the manager
    s.stack(name, ...)  a context: the recipe runs. once: its HAProxy asks no
                        second task; change: what is done to the file before
    s.tasks()           those of the service that Swarm wants to run, and do
"""

import collections
import contextlib
import json
import os
import re
import shutil
import subprocess
import time

import yaml

import harness as h
import images
import machine
import recipes
import several
import web

ROOT = os.environ.get("SWARM_ROOT") or os.path.join(
    os.path.dirname(machine.ROOT), "swarm-root")
RECIPE = os.path.join(recipes.RECIPES, "swarm")
HAPROXY = "/usr/sbin/haproxy"
CONF = "/usr/local/etc/haproxy/haproxy.cfg"
NETWORK = "pools"
PORT = 80

# Process 1 of a node. dockerd's directories are of no file system that is
# itself in layers. Its control groups have a parent of their own.
INIT = """\
dockerd --data-root /var/lib/docker --storage-driver overlay2 --bridge none \
--cgroup-parent {group} --log-level warn &
wait $!
"""


class Node(machine.Machine):
    def __init__(self, name, archives):
        self.name, self.place = name, h.new_place()
        super().__init__(self.place, ROOT)
        self.data = f"{self.place}/docker"
        os.mkdir(self.data)
        self.group = f"/spawnd-test-{time.monotonic_ns()}-{name}"
        self.write("/init", INIT.format(group=self.group))
        # Nobody is asked for images.
        self.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
        os.makedirs(self.root + "/images", exist_ok=True)
        subprocess.run(["mount", "--bind", archives, self.root + "/images"],
                       check=True)

    def boot(self):
        root = self.root
        with open(self.console, "ab") as console:
            self.nspawn = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.name}", "unshare",
                 "--mount", "--uts", "--ipc", "--pid", "--fork",
                 "--kill-child", "sh", "-ec",
                 f"hostname {self.name}\n"
                 f"mount -t proc proc {root}/proc\n"
                 f"mount -t sysfs sysfs {root}/sys\n"
                 f"mount --rbind /sys/fs/cgroup {root}/sys/fs/cgroup\n"
                 f"mount --rbind /dev {root}/dev\n"
                 f"mount -t tmpfs -o mode=755 tmpfs {root}/run\n"
                 f"mkdir -p {root}/var/lib/docker\n"
                 f"mount --bind {self.data} {root}/var/lib/docker\n"
                 f"cd {root}\n"
                 "pivot_root . mnt\n"
                 "umount -l /mnt\n"
                 "exec chroot . sh /init"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                env=h.BASE_ENV | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        self.leader = h.wait_for(lambda: h.children(self.nspawn.pid), 10,
                                 "its process 1")[0]
        h.wait_for(lambda: os.path.exists(self.path("/init")), 10,
                   self.journal)
        h.wait_for(lambda: self.run("docker", "version", check=False)
                   .returncode == 0, 30, self.journal, pause=0.2)

    def docker(self, *argv, **how):
        return self.run("docker", *map(str, argv), **how).stdout

    def journal(self, unit=None):
        with open(self.console, encoding="utf-8") as f:
            return f.read()[-8000:]

    def logs(self):
        """What all containers have written, that are still remembered."""
        text = []
        top = f"{self.data}/containers"
        for name in os.listdir(top):
            with contextlib.suppress(FileNotFoundError), \
                    open(f"{top}/{name}/{name}-json.log",
                         encoding="utf-8") as f:
                text += [json.loads(line)["log"] for line in f]
        return "".join(text)

    def kill(self):
        """All that runs there."""
        h.kill(self.leader)
        self.nspawn.wait(20)
        self.leader = None

    def end(self):
        if self.leader:
            self.kill()
        subprocess.run(["umount", self.root + "/images"], check=True)
        super().end()
        for mount in os.listdir("/sys/fs/cgroup"):
            with contextlib.suppress(OSError):
                machine._remove_groups([f"/sys/fs/cgroup/{mount}{self.group}"])
        shutil.rmtree(self.place, ignore_errors=True)


class Task(collections.namedtuple("Task", "id node container pid")):
    """One that runs; pid: of its supervisor, in the node's numbers."""

    def workers(self):
        """What its answers say."""
        return [self.container[:12]]

    def kill(self):
        self.node.run("kill", "-KILL", str(self.pid))


class Swarm:
    def __init__(self, nodes):
        self.nodes = nodes
        self.manager = next(iter(nodes.values()))
        self.name = None

    def docker(self, *argv, **how):
        return self.manager.docker(*argv, **how)

    def form(self, hosts):
        one, *others = self.nodes.values()
        address = hosts[one.name]
        self.docker("swarm", "init", "--advertise-addr", address,
                    "--task-history-limit", 50)
        token = self.docker("swarm", "join-token", "-q", "worker").strip()
        for node in others:
            node.docker("swarm", "join", "--token", token, "--advertise-addr",
                        hosts[node.name], f"{address}:2377")
        h.wait_for(self.ready, 30, one.journal)

    def ready(self):
        return self.docker("node", "ls", "--format", "{{.Status}}").split() \
            == ["Ready"] * len(self.nodes)

    @contextlib.contextmanager
    def stack(self, name, once=False, change=None):
        stack = read_stack()
        stack["services"]["app"]["entrypoint"][1:1] = ["-e", "HOSTNAME"]
        if change:
            change(stack)
        with open(f"{RECIPE}/haproxy.cfg", encoding="ascii") as f:
            conf = f.read()
        if once:
            conf = recipes.ask_once(conf)
        self.manager.write("/shop/haproxy.cfg", conf)
        self.manager.write("/shop/stack.yml", yaml.safe_dump(stack))
        self.name = name
        self.docker("stack", "deploy", "--resolve-image", "never", "-c",
                    "/shop/stack.yml", name)
        try:
            yield
        finally:
            self.docker("stack", "rm", name)
            h.wait_for(lambda: NETWORK not in self.docker("network", "ls"),
                       90, self.why, pause=0.5)

    def service(self):
        return f"{self.name}_app"

    def tasks(self):
        said = self.docker(
            "service", "ps", self.service(), "--no-trunc", "--filter",
            "desired-state=running", "--format", "{{.ID}}").split()
        out = []
        for t in json.loads(self.docker("inspect", *said, check=False)) \
                if said else []:
            status = t["Status"]
            if status["State"] != "running":
                continue
            node = self.docker("node", "inspect", "-f",
                               "{{.Description.Hostname}}", t["NodeID"])
            out.append(Task(t["ID"], self.nodes[node.strip()],
                            status["ContainerStatus"]["ContainerID"],
                            status["ContainerStatus"]["PID"]))
        return out

    def running(self):
        """How many containers of it there are, with those that are to stop."""
        ours = f"label=com.docker.swarm.service.name={self.service()}"
        return sum(len(n.docker("ps", "-q", "--filter", ours).split())
                   for n in self.nodes.values() if n.leader)

    def updates(self):
        """When the last update began, and how far it is."""
        spec, = json.loads(self.docker("service", "inspect", self.service()))
        status = spec.get("UpdateStatus", {})
        return status.get("StartedAt"), status.get("State")

    def web_logs(self):
        return self.docker("service", "logs", "--raw", f"{self.name}_web",
                           check=False)

    def why(self):
        return "\n".join([
            self.docker("node", "ls", check=False),
            self.docker("stack", "ps", "--no-trunc", self.name, check=False),
            *(f"{n.name}: {n.journal()[-2000:]}"
              for n in self.nodes.values())])


def read_stack():
    with open(f"{RECIPE}/stack.yml", encoding="ascii") as f:
        return yaml.safe_load(f)


def fetch(address):
    return web.fetch(PORT, "/page?env", host=address)


def archive(place, name, root, *changes):
    """The image of what is below root, and how docker is to take it."""
    file = re.sub(r"\W", "-", name) + ".tar"
    subprocess.run(["tar", "-C", root, "-cf", f"{place}/{file}", "."],
                   check=True)
    words = [w for c in changes for w in ("--change", c)]
    return ["import", *words, f"/images/{file}", name]


def make_images(place):
    """What the recipe's images are here: two versions of the application, and
    the host's HAProxy."""
    services = read_stack()["services"]
    app, web = (services[s]["image"] for s in ("app", "web"))
    root = images.static(place)
    h.install(h.app("static"), root + "/app")
    out = [archive(place, app[:-1] + n, root, f"ENV VERSION={n}")
           for n in "12"]
    images.dynamic(f"{place}/web", HAPROXY)
    out.append(archive(place, web, f"{place}/web", "ENTRYPOINT " + json.dumps(
        [HAPROXY, "-W", "-db", "-f", CONF])))
    return out


@contextlib.contextmanager
def swarm(hosts):
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as f:
        f.write("1")
    place = h.new_place()
    nodes = {}
    try:
        commands = make_images(place)
        for name, address in hosts.items():
            several.ip("-n", name, "route", "add", "default", "via",
                       several.our_address(address))
            nodes[name] = Node(name, place)
        for node in nodes.values():
            node.boot()
            for words in commands:
                node.docker(*words)
        s = Swarm(nodes)
        s.form(hosts)
        yield s
    finally:
        for node in nodes.values():
            node.end()
        shutil.rmtree(place, ignore_errors=True)
