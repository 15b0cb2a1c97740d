# SPDX-License-Identifier: ISC
"""Real web servers in front of a pool, and HTTP requests that never retry.

A server gets a directory of its own, a generated configuration and a free
port of the loopback address. It is started in the foreground, so that its
pid is known, and ended by that pid.
"""

import collections
import contextlib
import grp
import hashlib
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time

import harness

START = 10.0 * harness.PATIENCE     # seconds until a server listens
STOP = 5.0      # seconds until it has ended
ANSWER = 10.0 * harness.PATIENCE    # seconds for one answer
RUN = 60.0 * harness.PATIENCE       # seconds for many of them


class WebServer:
    """A server before one FastCGI backend.

    backend is "unix:PATH" or "tcp:ADDRESS:PORT"; root the directory of the
    scripts as the workers see it; user who the server becomes, with that
    user's primary group.
    """

    program = ""

    def __init__(self, backend, root="/", user="www-data"):
        self.kind, _, self.peer = backend.partition(":")
        if self.kind not in ("unix", "tcp"):
            raise ValueError(backend)
        self.root = root
        self.user = user
        self.port = harness.free_port()
        self.process = None
        self.dir = harness.new_place()
        self.tmp = os.path.join(self.dir, "tmp")
        os.mkdir(self.tmp)
        entry = pwd.getpwnam(user)
        self.group = grp.getgrgid(entry.pw_gid).gr_name
        os.chown(self.tmp, entry.pw_uid, entry.pw_gid)
        self.error_log = os.path.join(self.tmp, "error.log")
        self.output = os.path.join(self.dir, "output")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *unused):
        self.stop()

    def config(self):
        raise NotImplementedError

    def command(self, conf):
        raise NotImplementedError

    def start(self):
        conf = os.path.join(self.dir, "conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(self.config())
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                self.command(conf), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, cwd="/")
        end = time.monotonic() + START
        while True:
            if self.process.poll() is not None:
                raise RuntimeError("%s ended with %d:\n%s" % (
                    self.program, self.process.returncode, self.log()))
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if time.monotonic() > end:
                raise RuntimeError("%s does not listen:\n%s" % (
                    self.program, self.log()))
            time.sleep(0.01)

    def stop(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(STOP)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
            self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        """All the server has said so far."""
        text = ""
        for path in (self.output, self.error_log):
            with contextlib.suppress(OSError):
                with open(path, encoding="utf-8", errors="replace") as f:
                    text += f.read()
        return text

    def fetch(self, path, **how):
        return fetch(self.port, path, **how)


class Nginx(WebServer):
    """nginx, which asks the backend once per request and no more."""

    program = "nginx"

    def config(self):
        peer = "unix:" + self.peer if self.kind == "unix" else self.peer
        temporary = "".join(
            "\t%s_temp_path %s/%s;\n" % (what, self.tmp, what) for what in
            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        params = "".join("\t\t\tfastcgi_param %s %s;\n" % p for p in (
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_SOFTWARE", "nginx"),
            ("SERVER_PROTOCOL", "$server_protocol"),
            ("SERVER_NAME", "$host"),
            ("SERVER_PORT", "$server_port"),
            ("REMOTE_ADDR", "$remote_addr"),
            ("REQUEST_METHOD", "$request_method"),
            ("REQUEST_URI", "$request_uri"),
            ("DOCUMENT_ROOT", self.root),
            ("SCRIPT_NAME", "$fastcgi_script_name"),
            ("SCRIPT_FILENAME",
             self.root.rstrip("/") + "$fastcgi_script_name"),
            ("QUERY_STRING", "$query_string"),
            ("CONTENT_TYPE", "$content_type"),
            ("CONTENT_LENGTH", "$content_length"),
            # Without it php-cgi takes the request for a direct call.
            ("REDIRECT_STATUS", "200")))
        return """\
daemon off;
worker_processes 1;
user %(user)s %(group)s;
pid %(dir)s/pid;
error_log %(log)s info;
events { worker_connections 512; }
http {
	access_log off;
	client_max_body_size 16m;
%(temporary)s
	server {
		listen 127.0.0.1:%(port)d backlog=1024;
		location / {
			fastcgi_pass %(peer)s;
			fastcgi_next_upstream off;
%(params)s
		}
	}
}
""" % {"user": self.user, "group": self.group, "dir": self.dir,
       "log": self.error_log, "temporary": temporary, "port": self.port,
       "peer": peer, "params": params}

    def command(self, conf):
        return ["/usr/sbin/nginx", "-e", self.error_log, "-p", self.dir,
                "-c", conf]


class Lighttpd(WebServer):
    """lighttpd; match is the extension or prefix the backend serves.

    With mode "authorizer" root holds what lighttpd itself serves to those
    the backend lets in.
    """

    program = "lighttpd"

    def __init__(self, backend, root="/", user="www-data", match="/",
                 mode="responder"):
        super().__init__(backend, root, user)
        self.match = match
        self.mode = mode

    def config(self):
        if self.kind == "unix":
            peer = '"socket" => "%s"' % self.peer
        else:
            host, _, port = self.peer.rpartition(":")
            peer = '"host" => "%s", "port" => %s' % (host, port)
        empty = os.path.join(self.dir, "docs")
        os.makedirs(empty, exist_ok=True)
        return """\
server.modules = ( "mod_fastcgi" )
server.bind = "127.0.0.1"
server.port = %(port)d
server.username = "%(user)s"
server.groupname = "%(group)s"
server.document-root = "%(empty)s"
server.errorlog = "%(log)s"
server.upload-dirs = ( "%(tmp)s" )
server.max-request-size = 16384
mimetype.assign = ( ".txt" => "text/plain" )
fastcgi.server = ( "%(match)s" => ((
	%(peer)s,
	"mode" => "%(mode)s",
	"docroot" => "%(root)s",
	"check-local" => "disable",
	"fix-root-scriptname" => "enable"
)) )
""" % {"port": self.port, "user": self.user, "empty": empty,
       "group": self.group, "log": self.error_log, "tmp": self.tmp,
       "match": self.match, "peer": peer, "mode": self.mode,
       "root": self.root}

    def command(self, conf):
        return ["/usr/sbin/lighttpd", "-D", "-f", conf]


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def __repr__(self):
        return "<%d, %d bytes: %r>" % (
            self.status, len(self.body), self.body[:300])


def fetch(port, path, method="GET", body=None, headers=None, timeout=ANSWER,
          host="127.0.0.1"):
    """One request on one connection, tried once; raises what went wrong."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request(method, path, body,
                           dict(headers or {}, Connection="close"))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Tally:
    """What became of the requests of a run."""

    def __init__(self):
        self.sent = 0
        self.answered = 0
        self.failed = collections.Counter()
        self.values = collections.Counter()
        self.wrong = []         # the first wrong answers
        self.lock = threading.Lock()

    def __repr__(self):
        return "sent %d = answered %d + failed %d %r" % (
            self.sent, self.answered, self.lost,
            dict(self.failed)) + "".join("\n" + w for w in self.wrong)

    @property
    def lost(self):
        return sum(self.failed.values())


def one_by_one(port, path, check, tally, wanted, **how):
    """Requests one after another while wanted() says so.

    path holds %s for the token. check(answer, token) returns what the
    answer says, or raises AssertionError when it is not the whole and right
    answer to this very request. how: as of fetch().
    """
    while wanted():
        token = hashlib.sha256(os.urandom(16)).hexdigest()
        kind, value, text = None, None, None
        try:
            answer = fetch(port, path.replace("%s", token), **how)
            if answer.status != 200:
                kind = "status %d" % answer.status
            else:
                value = check(answer, token)
        except AssertionError as e:
            kind, text = "wrong answer", str(e)
        except (OSError, http.client.HTTPException) as e:
            kind = type(e).__name__
        with tally.lock:
            tally.sent += 1
            if kind is None:
                tally.answered += 1
                tally.values[value] += 1
            else:
                tally.failed[kind] += 1
                if text and len(tally.wrong) < 5:
                    tally.wrong.append(text)


def request_many(port, path, check, total, threads):
    """total requests from that many threads, none after RUN; the tally."""
    tally = Tally()
    end = time.monotonic() + RUN
    left = iter(range(total))
    lock = threading.Lock()

    def wanted():
        with lock:
            return time.monotonic() < end and next(left, None) is not None

    crew = [threading.Thread(target=one_by_one, daemon=True,
                             args=(port, path, check, tally, wanted))
            for _ in range(threads)]
    for t in crew:
        t.start()
    for t in crew:
        t.join()
    print(tally)
    return tally


@contextlib.contextmanager
def requesting(port, path, check):
    """Requests one after another as long as the block runs."""
    tally = Tally()
    over = threading.Event()
    thread = threading.Thread(target=one_by_one, daemon=True,
                              args=(port, path, check, tally,
                                    lambda: not over.is_set()))
    thread.start()
    try:
        yield tally
    finally:
        over.set()
        thread.join()
        print(tally)
