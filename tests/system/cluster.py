# SPDX-License-Identifier: ISC
"""
A cluster of Pacemaker on the hosts of several.py. Each node has a copy of the
root that root.sh made, and corosync, Pacemaker, the resource agent and what
tells HAProxy of its pool.

    cluster(hosts)      a context: {name: Node}, once all are online
    node.run(...)       a command there; node.end() kills all that runs there
    node.workers()      of its pool
"""

import contextlib
import os
import shutil
import subprocess

import harness as h
import machine
import several
import units

ROOT = os.environ.get("CLUSTER_ROOT") or os.path.join(
    os.path.dirname(machine.ROOT), "cluster-root")
TOP = os.path.dirname(os.path.dirname(h.SOURCES))
AGENT = "scripts/recipes/pacemaker/pool"
READCONF = "scripts/readconf.sh"

COROSYNC = """\
totem {
	version: 2
	cluster_name: pools
	transport: udpu
	token: 1000
}
nodelist {
%s}
quorum {
	provider: corosync_votequorum
}
system {
	sched_rr: no
	move_to_root_cgroup: no
}
logging {
	to_syslog: no
	to_logfile: yes
	logfile: /var/log/corosync.log
}
"""

# The agent for HAProxy belongs to the host, not to the pool.
INIT = """\
spawnctl agent --listen {address}:9707 --allow {ours} &
corosync -f &
until corosync-cfgtool -s >/dev/null 2>&1; do sleep 0.1; done
pacemakerd &
wait
"""

POOL = """\
SPAWND_OPTS=-a {address} -p 9000 --allow {ours} --drain 2 -u www-data -F 4 \
--stop-timeout 5 --log /var/log/pool
SPAWND_APP=/usr/bin/echo-app
"""

RESOURCE = """\
<clone id="pools"><primitive id="app" class="ocf" provider="spawnd" type="pool">
<instance_attributes id="app-is">
<nvpair id="app-pool" name="pool" value="app"/>
</instance_attributes>
<operations>
<op id="app-start" name="start" interval="0" timeout="60s"/>
<op id="app-stop" name="stop" interval="0" timeout="60s"/>
<op id="app-monitor" name="monitor" interval="2s" timeout="20s"/>
</operations></primitive></clone>
"""


class Node(machine.Machine):
    def __init__(self, name, hosts):
        self.name, self.place = name, h.new_place()
        super().__init__(self.place, ROOT)
        self.process = None
        sbin = os.path.dirname(h.SPAWND)
        self.program(h.SPAWND, "/usr/sbin/spawnd")
        self.program(f"{sbin}/spawnctl", "/usr/bin/spawnctl")
        self.program(h.app("echo"), "/usr/bin/echo-app")
        for source, path in ((AGENT, "/usr/lib/ocf/resource.d/spawnd/pool"),
                             (READCONF, "/usr/libexec/spawnd/readconf.sh"),
                             ("scripts/service.sh",
                              "/usr/libexec/spawnd/service")):
            with open(os.path.join(TOP, source), encoding="ascii") as f:
                self.write(path, units.fill(f.read()), 0o755)
        where = {"address": hosts[name],
                 "ours": several.our_address(hosts[name])}
        self.write("/etc/corosync/corosync.conf", COROSYNC % "".join(
            f"\tnode {{\n\t\tname: {n}\n\t\tnodeid: {i}\n"
            f"\t\tring0_addr: {a}\n\t}}\n"
            for i, (n, a) in enumerate(hosts.items(), 1)))
        self.write("/etc/spawnd/app.conf", POOL.format(**where))
        self.write("/init", INIT.format(**where))

    def boot(self):
        root = self.root
        self.process = subprocess.Popen(
            [*several.inside(self.name), "unshare", "--mount", "--uts",
             "--ipc", "sh", "-ec",
             f"hostname {self.name}\n"
             f"mount -t proc proc {root}/proc\n"
             f"mount --rbind /dev {root}/dev\n"
             f"mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm\n"
             f"mount -t tmpfs -o mode=755 tmpfs {root}/run\n"
             f"exec chroot {root} sh /init"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=h.BASE_ENV |
            {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        self.leader = self.process.pid
        h.wait_for(lambda: os.path.exists(self.path("/init")), 10, "its root")

    def run(self, *argv, check=True, deadline=60):
        r = subprocess.run(
            ["nsenter", "-t", str(self.leader), "--mount", "--uts", "--ipc",
             "--net", "--root", "env", "-C", "/", "-i",
             "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *argv],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=deadline * h.PATIENCE)
        assert not check or r.returncode == 0, (argv, r)
        return r

    def workers(self):
        """None while there is no pool."""
        try:
            with open(self.path("/run/spawnd-app.pid"), encoding="ascii") as f:
                pid = int(f.read())
        except (FileNotFoundError, ValueError):
            return []
        return h.children(pid) if h.stat(pid) else []

    def supervisor(self):
        return h.stat(self.workers()[0]).ppid

    def log(self):
        text = ""
        for path in "corosync.log", "pacemaker/pacemaker.log", "pool":
            with contextlib.suppress(OSError), \
                    open(self.path(f"/var/log/{path}"), encoding="ascii",
                         errors="replace") as f:
                text += f.read()
        return text

    def kill(self):
        pids = several.pids(self.name)
        for pid in pids:
            h.kill(pid)
        h.wait_for(lambda: not any(map(h.alive, pids)), 10, "their end")
        self.process.wait()
        self.leader = None

    def end(self):
        if self.leader:
            self.kill()
        super().end()
        shutil.rmtree(self.place, ignore_errors=True)


def forward():
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as f:
        f.write("1")


def online(node):
    """The nodes that it sees in the cluster."""
    r = node.run("crm_mon", "-1", "--output-as=xml", check=False)
    return r.stdout.count(' online="true"') \
        if '<current_dc present="true"' in r.stdout else 0


@contextlib.contextmanager
def cluster(hosts):
    forward()
    nodes = {}
    try:
        for name, address in hosts.items():
            several.ip("-n", name, "route", "add", "default", "via",
                       several.our_address(address))
            nodes[name] = Node(name, hosts)
            nodes[name].boot()
        one = nodes[next(iter(hosts))]
        h.wait_for(lambda: online(one) == len(hosts), 60, one.log, pause=0.5)
        one.run("crm_attribute", "--name", "stonith-enabled", "--update",
                "false")
        one.run("cibadmin", "-C", "-o", "resources", "-X", RESOURCE)
        yield nodes
    finally:
        for node in nodes.values():
            node.end()
