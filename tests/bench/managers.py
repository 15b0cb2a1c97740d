# SPDX-License-Identifier: ISC
"""The managers that are measured, and how each is told to run a pool."""

import contextlib
import ctypes
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field, replace

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
APPS = os.environ.get("APPS", f"{TOP}/build/apps")
SPAWND = os.environ.get("SPAWND", f"{TOP}/build/spawnd")
SPAWNCTL = os.environ.get("SPAWNCTL", f"{TOP}/build/spawnctl")
ROOT = os.geteuid() == 0
USER = "nobody"                 # who the workers are, when root measures
OTHER = "daemon"                # and who they are after a change of that
PR_SET_CHILD_SUBREAPER = 36
NGINX_MODULES = os.environ.get("NGINX_MODULES", "/usr/lib/nginx/modules")


class Missing(Exception):
    """The program is not installed."""


class Later(Exception):
    """This spawnd cannot do that."""


@contextlib.contextmanager
def build_of(place):
    """Another build's programs are measured, unless place is None."""
    global SPAWND, SPAWNCTL
    ours = SPAWND, SPAWNCTL
    if place:
        SPAWND, SPAWNCTL = f"{place}/spawnd", f"{place}/spawnctl"
    try:
        yield
    finally:
        SPAWND, SPAWNCTL = ours


def find(*names):
    for name in names:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if path:
            return path
    raise Missing(names[0])


def php_fpm():
    found = sorted(glob.glob("/usr/sbin/php-fpm*"))
    if not found:
        raise Missing("php-fpm")
    return found[-1]


def spawnd_help():
    return subprocess.run([SPAWND, "--help"], capture_output=True, text=True,
                          check=True).stdout


@dataclass
class Job:
    """What a pool is to run."""
    workers: int = 4
    php: bool = False
    children: int = 0           # of php-cgi's own, in each worker
    most: int = 0               # adaptive: the upper bound
    max_requests: int = 0       # then a worker exits; 0: never
    options: dict = field(default_factory=dict)     # of the manager

    def env(self, pool):
        """What the workers have to find in their environment."""
        env = {}
        if self.php:
            env["PHP_FCGI_MAX_REQUESTS"] = str(self.max_requests)
            if self.children:
                env["PHP_FCGI_CHILDREN"] = str(self.children)
        else:
            env["BENCH_ACCEPTS"] = pool.accepts
            if self.max_requests:
                env["BENCH_MAX"] = str(self.max_requests)
        return env

    def argv(self, pool):
        if "program" in self.options:
            name, *more = self.options["program"]
            return [f"{pool.place}/{name}", *more]
        return [find("php-cgi")] if self.php else [f"{pool.place}/worker"]


def spawnd(pool, job):
    mode = [] if job.options.get("daemon") else ["-n"]
    port = pool.sock.partition(":")[2]
    argv = [SPAWND, *mode, *(["-p", port] if port else ["-s", pool.sock]),
            "-F", str(job.workers), "--log", f"{pool.place}/log",
            *job.options.get("argv", [])]
    if job.most:
        if "--max-workers" not in spawnd_help():
            raise Later("spawnd --max-workers")
        argv += ["-N", str(job.most)]
    if "--control" in spawnd_help():
        argv += ["--control", f"{pool.place}/control"]
    if ROOT:
        argv += ["-u", job.options.get("user", USER)]
    for name in job.env(pool):
        argv += ["-e", name]
    return argv + ["--"] + job.argv(pool)


def spawn_fcgi(pool, job):
    argv = [find("spawn-fcgi"), "-s", pool.sock, "-F", str(job.workers)]
    if ROOT:
        argv += ["-u", USER]
    return argv + ["--"] + job.argv(pool)


def multiwatch(pool, job):
    # Its defaults take a life of under 10 s for a failure, and give up.
    argv = [find("spawn-fcgi"), "-n", "-s", pool.sock]
    if ROOT:
        argv += ["-u", USER]
    return argv + ["--", find("multiwatch"), "-f", str(job.workers), "-t",
                   "1", "-r", "1000000", "--"] + job.argv(pool)


def limit(pool, job):
    return [f"{APPS}/limit", pool.sock, str(job.workers)] + job.argv(pool)


def null(pool, job):
    return [f"{APPS}/null", pool.sock, str(job.workers)]


def fpm(pool, job):
    """php-fpm. options: pm (static), lines of the pool's section, timeout."""
    lines = ["[global]", f"error_log = {pool.place}/log", "daemonize = no",
             f"process_control_timeout = {job.options.get('timeout', 10)}",
             "[bench]", f"listen = {pool.sock}", "listen.backlog = 1024",
             f"pm = {job.options.get('pm', 'static')}",
             f"pm.max_children = {job.most or job.workers}",
             f"pm.max_requests = {job.max_requests}"]
    lines += [f"pm.{line}" for line in job.options.get("lines", [])]
    if ROOT:
        lines += [f"user = {USER}"]
    with open(f"{pool.place}/fpm.conf", "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    return [php_fpm(), "-F", "-y", f"{pool.place}/fpm.conf"]


def fpm_dynamic(pool, job):
    n = job.workers
    job.options = {"pm": "dynamic", "lines": [
        f"start_servers = {n}", f"min_spare_servers = {n}",
        f"max_spare_servers = {n}"], **job.options}
    return fpm(pool, job)


def fpm_ondemand(pool, job):
    job.options = {"pm": "ondemand", **job.options}
    return fpm(pool, job)


def supervisord(pool, job):
    user = f"user={USER}\n" if ROOT else ""
    with open(f"{pool.place}/super.conf", "w", encoding="utf-8") as f:
        f.write(f"""[supervisord]
nodaemon=true
logfile={pool.place}/log
pidfile={pool.place}/super.pid
minfds={4 * job.workers + 100}
[unix_http_server]
file={pool.place}/control.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory =
 supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{pool.place}/control.sock
[fcgi-program:app]
command={' '.join(job.argv(pool))}
socket=unix://{pool.sock}
socket_backlog=1024
process_name=app%(process_num)d
numprocs={job.workers}
startsecs=0
autorestart=true
{user}""")
    return [find("supervisord"), "-c", f"{pool.place}/super.conf"]


def uwsgi(pool, job):
    argv = [find("uwsgi"), "--fastcgi-socket", pool.sock, "--listen", "1024",
            "--master", "--processes", str(job.workers), "--worker-exec",
            *job.argv(pool), "--logto", f"{pool.place}/log"]
    return argv + (["--uid", USER] if ROOT else [])


def nginx(pool, job):
    """nginx as a plain proxy before the cheapest server: what its own reload,
    of its workers, costs the clients."""
    module = f"{NGINX_MODULES}/ngx_stream_module.so"
    if not os.path.exists(module):
        raise Missing("nginx's stream module")
    behind = f"{pool.place}/behind"
    with open(f"{pool.place}/nginx.conf", "w", encoding="utf-8") as f:
        f.write(f"""load_module {module};
daemon off;
worker_processes {job.workers};
{f"user {USER} nogroup;" if ROOT else ""}
pid {pool.place}/nginx.pid;
error_log {pool.place}/log;
events {{ worker_connections 1024; }}
stream {{ server {{
    listen unix:{pool.sock};
    proxy_pass unix:{behind};
}} }}
""")
    script = '"$1" "$2" "$3" & exec "$4" -p "$5" -e "$5/log" -c "$5/nginx.conf"'
    return ["/bin/sh", "-c", f"umask 0; {script}", "sh", f"{APPS}/null",
            behind, str(job.workers), find("nginx"), pool.place]


# By the name that results are kept under.
MANAGERS = {
    "limit": limit, "spawnd": spawnd, "spawn-fcgi": spawn_fcgi,
    "multiwatch": multiwatch, "supervisord": supervisord, "uwsgi": uwsgi,
    "php-fpm static": fpm, "php-fpm dynamic": fpm_dynamic,
    "php-fpm ondemand": fpm_ondemand, "null": null, "nginx": nginx,
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def adopt_orphans():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def proc(pid, name):
    with open(f"/proc/{pid}/{name}", encoding="utf-8") as f:
        return f.read()


def cpu_ns(pid):
    """What the threads that a process has have used so far."""
    total = 0
    for task in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(task, encoding="utf-8") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass                # it has ended meanwhile
    return total


def name_of(pid):
    try:
        return proc(pid, "comm").strip()
    except OSError:
        return ""               # it has ended meanwhile


def wait_for_load(popen, cpu=0.005, longest=5):
    """Until the load generator has computed for a while: requests flow."""
    deadline = time.monotonic() + longest
    while cpu_ns(popen.pid) < cpu * 1e9:
        if popen.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the load does not begin")
        time.sleep(0.002)


def children(pid):
    found = []
    for task in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(task, encoding="utf-8") as f:
                found += map(int, f.read().split())
        except OSError:
            pass
    return found


def descendants(pid):
    found = children(pid)
    for child in found:
        found += children(child)
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        return


class Pool:
    """One manager with its workers, as long as the context lasts."""

    def __init__(self, manager, job):
        self.manager = manager
        self.job = job
        self.place = tempfile.mkdtemp(prefix="spawnd-bench-", dir="/tmp")
        os.chmod(self.place, 0o755)
        if ROOT:
            shutil.chown(self.place, USER)      # some bind as that user
        self.sock = f"127.0.0.1:{free_port()}" if job.options.get("tcp") \
            else f"{self.place}/sock"
        self.accepts = f"{self.place}/accepts"
        self.script = f"{self.place}/load.php" if job.php else ""
        self.counted = not job.php and manager not in ("null", "nginx") and \
            "program" not in job.options
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        job = self.job
        for source in (f"{APPS}/worker", f"{TOP}/tests/apps/php/load.php",
                       *(f"{APPS}/{name}" for name in
                         job.options.get("program", ())[:1])):
            if not os.path.exists(source):
                raise Missing(os.path.basename(source))
            shutil.copy(source, self.place)
            os.chmod(f"{self.place}/{os.path.basename(source)}", 0o755)
        with open(self.accepts, "wb") as f:
            f.truncate(8 + 4 * 65536)
        os.chmod(self.accepts, 0o666)
        argv = MANAGERS[self.manager](self, job)
        with open(f"{self.place}/start", "wb") as log:
            run = subprocess.run(
                [f"{APPS}/probe", "start",
                 self.accepts if self.counted else "-", self.sock,
                 self.script, str(job.workers), *argv],
                stdout=subprocess.PIPE, stderr=log, text=True, check=False,
                env={**os.environ, **job.env(self)}, timeout=100)
        if run.returncode != 0:
            raise RuntimeError(f"{self.manager} does not start "
                               f"({run.returncode}): {self.logs()}")
        words = run.stdout.split()
        self.times = dict(zip(words[::2], map(int, words[1::2])))
        self.pid = self.times.pop("pid")
        if job.options.get("daemon"):
            self.pid = self.owner()
        if self.manager == "spawn-fcgi":
            self.pid = None             # it has gone; so has all supervision

    def owner(self):
        """The supervisor of spawnd as a daemon, by its control directory."""
        with open(f"{self.place}/control/pid", encoding="utf-8") as f:
            return int(f.read())

    def take_over(self):
        """Another spawnd takes over, with one variable more; how long until
        it says so. The workers are its own from then on. option "other": it
        is another file, and they another user's."""
        job = self.job
        if job.options.get("other"):
            job = replace(job, options={**job.options, "user": OTHER})
        argv = spawnd(self, job)
        if job is not self.job:
            argv[0] = shutil.copy(SPAWND, f"{self.place}/spawnd")
        began = time.monotonic()
        subprocess.run([argv[0], "--replace", "-e", "CHANGED=1", *argv[1:]],
                       check=True, stdout=subprocess.DEVNULL, timeout=60,
                       env={**os.environ, **self.job.env(self)})
        self.pid = self.owner()
        return time.monotonic() - began

    def logs(self):
        text = ""
        for name in ("start", "log"):
            try:
                with open(f"{self.place}/{name}", encoding="utf-8",
                          errors="replace") as f:
                    text += f.read()[-2000:]
            except OSError:
                pass
        return text

    def probe(self, what, *args):
        run = subprocess.run([f"{APPS}/probe", what, *map(str, args)],
                             stdout=subprocess.PIPE, text=True, check=False,
                             timeout=120)
        if run.returncode != 0:
            raise RuntimeError(f"{self.manager}: probe {what}: "
                               f"{run.returncode} {self.logs()}")
        return run.stdout.split("\n")[:-1]

    def load(self, clients, seconds, ms=0, background=False):
        popen = subprocess.Popen(
            [f"{APPS}/load", self.sock, str(clients), str(seconds), str(ms),
             "0", self.script, "latency"], stdout=subprocess.PIPE, text=True)
        return popen if background else self.result(popen, seconds)

    @staticmethod
    def result(popen, seconds):
        words = popen.communicate(timeout=60)[0].split()
        result = dict(zip(words[::2], map(int, words[1::2])))
        result["rps"] = result["answered"] / seconds
        return result

    def cpu_ns(self):
        """What the supervisor has used so far, without its workers."""
        return cpu_ns(self.pid)

    def wakeups(self):
        total = 0
        for task in glob.glob(f"/proc/{self.pid}/task/*/status"):
            with open(task, encoding="utf-8") as f:
                for line in f:
                    if "ctxt_switches" in line:
                        total += int(line.split()[1])
        return total

    def memory(self):
        """KB of the supervisor alone, by smaps_rollup."""
        found = {}
        for line in proc(self.pid, "smaps_rollup").splitlines()[1:]:
            words = line.split()
            found[words[0].rstrip(":")] = int(words[1])
        return found

    def workers(self):
        """The processes that serve, at this moment."""
        if self.pid is None:
            return descendants(os.getpid())
        below = descendants(self.pid)
        if self.manager == "nginx":     # without the server behind it
            return [p for p in below if name_of(p) == "nginx"]
        if self.manager == "spawnd":    # without what looks for it
            below = [p for p in below if name_of(p) != "spawnd: looker"]
        if self.job.children:
            return [p for p in below if p not in children(self.pid)]
        return below

    def close(self):
        # All that was started is a descendant of ours, orphans included.
        deadline = time.monotonic() + 60
        pid = getattr(self, "pid", None)
        first = [pid] if pid else []
        while time.monotonic() < deadline:
            below = descendants(os.getpid())
            if not below:
                break
            for p in first + below:
                try:
                    os.kill(p, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            first = []
            time.sleep(0.002)
            reap()
        shutil.rmtree(self.place, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()
